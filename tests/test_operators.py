"""Operators are what they say: linear ones have their adjoint, and all survive JSON, graphs and tf.data."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from skimage.measure import block_reduce

from gekeras import operators
from gekeras.operators import Compose, Downsample, Identity, Operator, Upsample, deserialize, make_task, serialize

LINEAR = [
    Identity(),
    Downsample(1),
    Downsample(2),
    Downsample(4),
    Upsample(1),
    Upsample(3),
    Compose(),
    Compose(Downsample(4), Upsample(4)),
    Compose(Upsample(3), Downsample(2)),
    Compose(Downsample(2), Compose(Identity(), Downsample(2)), Upsample(3)),
]
every_operator = pytest.mark.parametrize("operator", LINEAR, ids=lambda operator: json.dumps(serialize(operator)))


@every_operator
def test_adjoint(rng, operator):
    """<A x, y> = <x, A^T y>."""
    assert operator.linear
    x = rng.normal(size=(2, 8, 12, 3))
    image = operator(tf.constant(x)).numpy()
    y = rng.normal(size=image.shape)
    back = operator.adjoint(tf.constant(y)).numpy()
    assert back.dtype == np.float64 and back.shape == x.shape
    assert np.vdot(image, y) == pytest.approx(np.vdot(x, back), rel=1e-12)


@every_operator
def test_linear(rng, operator):
    x, y = rng.normal(size=(2, 1, 8, 12, 3))
    both = operator(tf.constant(2 * x - 3 * y)).numpy()
    np.testing.assert_allclose(both, 2 * operator(tf.constant(x)).numpy() - 3 * operator(tf.constant(y)).numpy(), atol=1e-12)


@every_operator
def test_survives_json(rng, operator):
    copy = deserialize(json.loads(json.dumps(serialize(operator))))
    assert serialize(copy) == serialize(operator)
    x = tf.constant(rng.normal(size=(2, 8, 12, 3)))
    np.testing.assert_array_equal(copy(x), operator(x))


@every_operator
def test_in_graphs_and_pipelines(rng, operator):
    x = rng.normal(size=(5, 8, 12, 3)).astype(np.float32)
    expected = operator(x)
    compiled = tf.function(operator, input_signature=[tf.TensorSpec([None, 8, 12, 3])])
    np.testing.assert_allclose(compiled(x), expected, atol=1e-6)
    stream = tf.data.Dataset.from_tensor_slices(x).batch(2).map(operator)
    np.testing.assert_allclose(np.concatenate(list(stream.as_numpy_iterator())), expected, atol=1e-6)


def test_downsample_against_scikit_image(rng):
    x = rng.normal(size=(2, 8, 12, 3))
    for factor in (2, 4):
        expected = block_reduce(x, (1, factor, factor, 1), np.mean)
        np.testing.assert_allclose(Downsample(factor)(tf.constant(x)), expected, atol=1e-12)


def test_upsample_against_a_kronecker_product(rng):
    x = rng.normal(size=(2, 3, 4, 1))
    for image, large in zip(x, Upsample(3)(tf.constant(x)).numpy()):
        np.testing.assert_array_equal(large[..., 0], np.kron(image[..., 0], np.ones((3, 3))))


def test_compose_applies_its_operators_in_order(rng):
    x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    assert Compose(Downsample(4), Upsample(2))(x).shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(Compose(Downsample(4), Upsample(2))(x), Upsample(2)(Downsample(4)(x)))


class Noise(Operator):
    """Standard normal noise, for the test of seeds."""

    def __call__(self, images, seed=None):
        return images + tf.random.stateless_normal(tf.shape(images), seed)


def test_random_operators_of_a_chain_draw_their_own_noise():
    zero, seed = tf.zeros((1, 32, 32, 1)), tf.constant([1, 2])
    chain = Compose(Noise(), Noise())
    total = chain(zero, seed).numpy()
    np.testing.assert_array_equal(total, chain(zero, seed))
    assert total.var() == pytest.approx(2, rel=0.2)  # 4 if both were the same noise
    assert not chain.linear
    with pytest.raises(TypeError, match="Noise is not linear"):
        chain.adjoint(zero)


@pytest.mark.parametrize("factor", [0, -2, 1.5, True])
@pytest.mark.parametrize("operator", [Downsample, Upsample])
def test_factors_that_are_refused(operator, factor):
    with pytest.raises(ValueError, match="factor must be a whole number above 0"):
        operator(factor)


def test_sides_that_are_no_multiple_are_refused():
    with pytest.raises(ValueError, match="multiples of 4; received 8 x 10"):
        Downsample(4)(tf.zeros((1, 8, 10, 3)))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"unknown operator 'Blur'; known: Identity, Downsample"):
        deserialize({"class_name": "Blur", "config": {}})
    with pytest.raises(ValueError, match=r"unknown task 'paint'; tasks are reconstruct, superres"):
        make_task("paint")


# ------------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("factor", [2, 4])
def test_superres(rng, factor):
    task = make_task("superres", factor=factor)
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    assert task.degrade(x).shape == (2, 8 // factor, 8 // factor, 3) and task.factor == factor
    observed = task.observe(x)
    np.testing.assert_allclose(task.forward(x), observed, atol=1e-12)  # S does to G(z) what happened to the picture
    np.testing.assert_allclose(task.forward(observed), observed, atol=1e-12)  # a projection
    np.testing.assert_allclose(task.degrade(task.lift(task.degrade(x))), task.degrade(x), atol=1e-12)


def test_reconstruct_loses_nothing(rng):
    task = make_task("reconstruct")
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    for part in (task.degrade, task.lift, task.forward, task.observe):
        np.testing.assert_array_equal(part(x), x)
    assert task.factor == 1


@pytest.mark.parametrize("name, parameters", [("superres", {"factor": 2}), ("superres", {}), ("reconstruct", {})])
def test_a_task_is_made_again_from_its_name_and_parameters(name, parameters):
    task = make_task(name, **parameters)
    again = make_task(task.name, **json.loads(json.dumps(task.parameters)))
    for part in ("degrade", "lift", "forward"):
        assert serialize(getattr(again, part)) == serialize(getattr(task, part))
    assert again.factor == task.factor


def test_bicubic_is_the_usual_one(rng):
    """Keys' cubic with a = -1/2, as Pillow has it; a ramp stays a ramp."""
    x = rng.uniform(-1, 1, (2, 5, 6, 1)).astype(np.float32)
    for small, large in zip(x, operators.bicubic(tf.constant(x), 4).numpy()):
        expected = Image.fromarray(small[..., 0]).resize((24, 20), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(large[..., 0], expected, atol=1e-5)
