"""The losses are their formulas, gradients included: written out again here in NumPy or with another tape."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras.config import GANOptions
from gekeras.models.pgan import Discriminator
from gekeras.training import losses, wargs

WASSERSTEIN, NONSATURATING = GANOptions(loss="wgan-gp"), GANOptions(loss="nonsaturating")
SEED = tf.constant([3, 4])


def softplus(x):
    return np.log1p(np.exp(x))


def compiled(function, *args):
    return tf.function(function)(*args)


# tensorflow-gan's losses where that imports, and those that take their place where it does not.
LIBRARIES = {module.__name__: module for module in (losses._wargs, wargs)}


@pytest.fixture(params=LIBRARIES.values(), ids=LIBRARIES)
def library(request, monkeypatch):
    monkeypatch.setattr(losses, "_wargs", request.param)


@pytest.fixture
def scores(rng):
    return rng.normal(size=(2, 6, 1)).astype(np.float32)


@pytest.fixture
def network(rng):
    """A discriminator with every bias drawn, and four real and four fake pictures for it."""
    keras.utils.set_random_seed(2)
    network = Discriminator(8, fmap_base=32, fmap_max=4)
    return network, *(tf.constant(rng.uniform(-1, 1, (4, 8, 8, 3)).astype(np.float32)) for _ in range(2))


def linear(weights):
    return lambda x, training: tf.reduce_sum(x * weights, axis=(1, 2, 3))[:, None]


@pytest.mark.usefixtures("library")
def test_wasserstein(scores):
    real, fake = scores
    expected = fake.mean() - real.mean() + 0.001 * np.square(real).mean()
    assert compiled(losses.discriminator_loss, WASSERSTEIN, real, fake).numpy() == pytest.approx(expected, rel=1e-5)
    assert compiled(losses.generator_loss, WASSERSTEIN, fake).numpy() == pytest.approx(-fake.mean(), rel=1e-5)


@pytest.mark.usefixtures("library")
def test_nonsaturating(scores):
    real, fake = scores
    expected = softplus(fake).mean() + softplus(-real).mean()
    assert compiled(losses.discriminator_loss, NONSATURATING, real, fake).numpy() == pytest.approx(expected, rel=1e-5)
    assert compiled(losses.generator_loss, NONSATURATING, fake).numpy() == pytest.approx(softplus(-fake).mean(), rel=1e-5)


@pytest.mark.usefixtures("library")
def test_the_generator_learns_most_where_the_discriminator_is_sure():
    """The reason for the non-saturating form: at D(G(z)) = -30 the slope is -1, not e^-30."""
    fake = tf.constant([[-30.0]])
    with tf.GradientTape() as tape:
        tape.watch(fake)
        loss = losses.generator_loss(NONSATURATING, fake)
    assert tape.gradient(loss, fake).numpy() == pytest.approx(-1)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("target", [1.0, 3.0])
def test_penalty_of_a_linear_discriminator(rng, target):
    """Its gradient is w everywhere, so the penalty is 10 (||w|| - t)^2 / t^2 whatever the pictures."""
    weights = rng.normal(size=(8, 8, 3)).astype(np.float32)
    real, fake = rng.normal(size=(2, 5, 8, 8, 3)).astype(np.float32)
    options = GANOptions(penalty_target=target)
    penalty = compiled(losses.gradient_penalty, options, linear(weights), real, fake, SEED)
    norm = np.linalg.norm(weights)
    assert penalty.numpy() == pytest.approx(10 * (norm - target) ** 2 / target**2, rel=1e-4)


@pytest.mark.usefixtures("library")
def test_the_penalty_is_taken_between_real_and_fake():
    """D = ||x||^2 / 2 has the gradient x: from real 0 to fake 1 its norm is mix sqrt(d), uniform, one mix a pair."""
    real, fake = tf.zeros((4000, 4, 4, 1)), tf.ones((4000, 4, 4, 1))
    discriminator = lambda x, training: tf.reduce_sum(x**2, axis=(1, 2, 3))[:, None] / 2  # noqa: E731
    penalty = compiled(losses.gradient_penalty, WASSERSTEIN, discriminator, real, fake, SEED)
    assert penalty.numpy() == pytest.approx(10 * (16 / 3 - 4 + 1), rel=0.05)  # E (4 u - 1)^2 = 7/3


def test_the_seed_decides_the_mixes(network):
    discriminator, real, fake = network
    function = tf.function(lambda seed: losses.gradient_penalty(WASSERSTEIN, discriminator, real, fake, seed))
    assert function(SEED) == function(SEED) != function(SEED + 1)


@pytest.mark.usefixtures("library")
def test_second_order_gradient_of_the_penalty(network):
    """The gradient that reaches D's weights through the norm of a gradient, against two nested tapes."""
    discriminator, real, fake = network
    weights = discriminator.trainable_variables

    @tf.function
    def ours():
        with tf.GradientTape() as tape:
            penalty = losses.gradient_penalty(WASSERSTEIN, discriminator, real, fake, SEED)
        return penalty, tape.gradient(penalty, weights)

    mix = tf.random.stateless_uniform((4, 1, 1, 1), SEED)
    x = mix * fake + (1 - mix) * real
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            scores = discriminator(x)
        norm = tf.sqrt(tf.reduce_sum(inner.gradient(scores, x) ** 2, axis=(1, 2, 3)) + 1e-10)
        expected = 10 * tf.reduce_mean((norm - 1) ** 2)
    penalty, gradients = ours()
    assert penalty.numpy() == pytest.approx(expected.numpy(), rel=1e-4)
    references = outer.gradient(expected, weights)
    gradients, references = (
        [np.zeros(w.shape) if g is None else g for g, w in zip(found, weights)] for found in (gradients, references)
    )
    assert sum(np.abs(g).max() > 1e-3 for g in references) >= 6
    for gradient, reference in zip(gradients, references):
        np.testing.assert_allclose(gradient, reference, rtol=1e-3, atol=1e-4 * np.abs(reference).max() + 1e-6)


def test_r1_of_a_linear_discriminator(rng):
    weights = rng.normal(size=(8, 8, 3)).astype(np.float32)
    real = tf.constant(rng.normal(size=(5, 8, 8, 3)).astype(np.float32))
    assert losses.r1_penalty(linear(weights), real).numpy() == pytest.approx(np.square(weights).sum(), rel=1e-5)


def test_r1_by_finite_differences(network):
    """||grad D||^2 at a picture is the sum over pixels of (dD/dx)^2; alone, so that D has no batch statistics."""
    discriminator, real, _ = network
    real = real[:1]
    step = 1e-2
    moves = step * np.eye(8 * 8 * 3, dtype=np.float32).reshape(-1, 8, 8, 3)
    # Singly, because the minibatch standard deviation looks across a batch.
    score = tf.function(lambda x: tf.map_fn(lambda image: discriminator(image[None])[0, 0], x))
    slopes = (score(real + moves) - score(real - moves)).numpy() / (2 * step)
    assert losses.r1_penalty(discriminator, real).numpy() == pytest.approx(np.square(slopes).sum(), rel=0.02)


def test_r1_weight():
    assert losses.r1_weight(8, 32) == pytest.approx(0.0002 * 64 / 32 + 0.02)
    assert losses.r1_weight(64, 32) == pytest.approx(0.0456)
