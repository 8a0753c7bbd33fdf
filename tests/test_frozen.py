"""A frozen network is the network: the same numbers and gradients, or nearly the same in half precision."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import GAN

from gekeras.networks.frozen import CONTRACTIONS, frozen


@pytest.fixture(scope="module")
def parts(tiny):
    return tiny.part("generator"), tiny.part("encoder-superres")


def value_and_gradient(generator, encoder, latent):
    with tf.GradientTape() as tape:
        tape.watch(latent)
        code = encoder(generator(latent))
    return code.numpy(), tape.gradient(code, latent).numpy()


def both(parts, precision):
    generator, encoder = parts
    image = generator(np.zeros((1, GAN.latent_size), np.float32))
    return frozen(generator, [GAN.latent_size], precision), frozen(encoder, image.shape[1:], precision)


def operations(function):
    return [operation.type for operation in function.graph.get_operations()]


@pytest.mark.parametrize("count", [1, 5])
def test_frozen_is_live(parts, rng, count):
    latent = tf.constant(rng.normal(size=(count, GAN.latent_size)).astype(np.float32))
    for live, stored in zip(value_and_gradient(*parts, latent), value_and_gradient(*both(parts, "float32"), latent)):
        np.testing.assert_allclose(stored, live, rtol=1e-5, atol=1e-6)


def test_half_precision_is_near(parts, rng):
    latent = tf.constant(rng.normal(size=(16, GAN.latent_size)).astype(np.float32))
    for live, half in zip(value_and_gradient(*parts, latent), value_and_gradient(*both(parts, "bfloat16"), latent)):
        assert half.dtype == np.float32 and np.abs(half - live).max() > 0
        cosine = (half * live).sum() / np.linalg.norm(half) / np.linalg.norm(live)
        assert cosine > 0.9  # of the gradient; rounding changes which of four pixels a pooling takes


def test_constants_are_computed_once():
    """exp(w) x + b: one product is left, and the function keeps the weights that it was frozen with."""
    weight, bias = tf.Variable(tf.ones((3, 2))), tf.Variable([1.0, 2.0])
    stored = frozen(lambda x: tf.matmul(x, tf.exp(weight)) + bias, [3])
    assert not {"Exp", "ReadVariableOp"} & set(operations(stored))
    expected = np.ones((2, 3)) @ np.exp(np.ones((3, 2))) + [1, 2]
    weight.assign(tf.zeros((3, 2)))
    np.testing.assert_allclose(stored(tf.ones((2, 3))), expected, rtol=1e-6)


def test_the_last_contraction_keeps_its_precision():
    first, last = tf.random.stateless_normal((2, 4, 4), (1, 2))
    stored = frozen(lambda x: tf.matmul(tf.nn.relu(tf.matmul(x, first)), last), [4], "bfloat16")
    kinds = [op.inputs[0].dtype for op in stored.graph.get_operations() if op.type in CONTRACTIONS]
    assert kinds == [tf.bfloat16, tf.float32]


def test_a_function_without_weights():
    stored = frozen(lambda x: 2 * x, [3])
    np.testing.assert_array_equal(stored(tf.ones((2, 3))), np.full((2, 3), 2.0))
