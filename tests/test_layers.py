"""The layers of the progressive GAN are the arithmetic of the paper: scaling, norms, statistics, fused resampling."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras.models import ops
from gekeras.models.layers import (
    Bias,
    Downsample,
    EqualizedConv2D,
    EqualizedDense,
    FadeIn,
    LeakyReLU,
    MinibatchStdDev,
    PixelNorm,
    Upsample,
)


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def block_mean(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))


def twin(layer, x, **changes):
    """A layer of the same class and weights with other options."""
    other = type(layer).from_config({**layer.get_config(), "name": "twin", **changes})
    other.build(x.shape)
    other.set_weights(layer.get_weights())
    return other


@pytest.mark.parametrize("height, width", [(4, 4), (8, 6), (2, 10)])
def test_fused_resampling_equals_the_two_steps(rng, height, width):
    x = normal(rng, 2, height, width, 3)
    plain = EqualizedConv2D(5)
    plain.build(x.shape)
    plain.set_weights([plain.get_weights()[0], normal(rng, 5)])
    doubled = x.repeat(2, 1).repeat(2, 2)
    np.testing.assert_allclose(twin(plain, x, resample="nearest")(x), plain(doubled), atol=2e-5)
    np.testing.assert_allclose(twin(plain, x, resample="down")(x), block_mean(plain(x).numpy()), atol=2e-5)


def test_bilinear_doubling_is_that_of_a_resized_picture(rng):
    """Away from the border, outside of which there are zeros."""
    x = normal(rng, 2, 6, 9, 3)
    plain = EqualizedConv2D(5)
    plain.build(x.shape)
    expected = plain(tf.image.resize(x, (12, 18), "bilinear")).numpy()
    np.testing.assert_allclose(twin(plain, x, resample="bilinear")(x)[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=2e-5)


def test_resampling_alone(rng):
    x = normal(rng, 2, 4, 6, 3)
    np.testing.assert_array_equal(Upsample()(x), x.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(Downsample()(x), block_mean(x), atol=1e-6)
    np.testing.assert_allclose(Downsample()(Upsample()(x)), x, atol=1e-6)


def test_convolution_against_its_sum(rng):
    x = normal(rng, 1, 5, 5, 2)
    layer = EqualizedConv2D(3, gain=1.5)
    layer.build(x.shape)
    kernel, bias = layer.get_weights()[0], normal(rng, 3)
    layer.set_weights([kernel, bias])
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = np.zeros((5, 5, 3))
    for i in range(5):
        for j in range(5):
            window = padded[0, i : i + 3, j : j + 3, :, None]
            expected[i, j] = (window * kernel).sum((0, 1, 2)) * 1.5 / np.sqrt(9 * 2) + bias
    np.testing.assert_allclose(layer(x)[0], expected, atol=1e-5)


@pytest.mark.parametrize("layer", [EqualizedConv2D(64, gain=1.0), EqualizedConv2D(64, 1, gain=1.0)])
def test_equalized_convolution_keeps_the_variance(rng, layer):
    keras.utils.set_random_seed(0)
    y = layer(normal(rng, 4, 16, 16, 64)).numpy()[:, 1:-1, 1:-1]
    assert layer.get_weights()[0].std() == pytest.approx(1, abs=0.03)
    assert layer.get_weights()[1].max() == 0
    assert y.var() == pytest.approx(1, abs=0.1)


def test_equalized_dense_keeps_the_variance(rng):
    keras.utils.set_random_seed(0)
    layer = EqualizedDense(256, gain=1.0, use_bias=False)
    y = layer(normal(rng, 64, 256)).numpy()
    (kernel,) = layer.get_weights()
    assert kernel.std() == pytest.approx(1, abs=0.03)
    assert y.var() == pytest.approx(1, abs=0.1)


def test_he_gain_keeps_the_scale_through_leaky_relus(rng):
    """mean lrelu(y)^2 = (1 + 0.2^2) / 2 for y ~ N(0, 1), so sqrt(2) leaves 1.04 a layer."""
    keras.utils.set_random_seed(0)
    x = normal(rng, 64, 512)
    for _ in range(6):
        x = LeakyReLU()(EqualizedDense(512)(x))
    assert np.square(x).mean() == pytest.approx(1.04**6, rel=0.25)


def test_pixel_norm(rng):
    x = 30 * normal(rng, 3, 4, 4, 16)
    y = PixelNorm()(x).numpy()
    np.testing.assert_allclose(np.square(y).mean(-1), 1, atol=1e-5)
    np.testing.assert_allclose(y, x / np.sqrt(np.square(x).mean(-1, keepdims=True)), atol=1e-5)
    assert np.isfinite(PixelNorm()(np.zeros((1, 8), np.float32))).all()


@pytest.mark.parametrize("batch, group_size", [(8, 4), (4, 4), (12, 4), (3, 4), (6, 4), (1, 4), (6, 3)])
def test_minibatch_standard_deviation(rng, batch, group_size):
    x = normal(rng, batch, 4, 4, 3)
    y = MinibatchStdDev(group_size)(x).numpy()
    assert y.shape == (batch, 4, 4, 4)
    np.testing.assert_array_equal(y[..., :3], x)
    groups = batch // group_size if batch % group_size == 0 else 1
    for i in range(batch):
        members = x[i % groups :: groups]  # picture i, and every `groups`-th after it
        statistic = np.sqrt(members.var(axis=0) + 1e-8).mean()
        np.testing.assert_allclose(y[i, ..., 3], statistic, rtol=1e-5)


def test_minibatch_standard_deviation_of_an_unknown_batch(rng):
    layer = MinibatchStdDev(4)
    compiled = tf.function(layer, input_signature=[tf.TensorSpec([None, 4, 4, 3])])
    for batch in (3, 8):
        x = normal(rng, batch, 4, 4, 3)
        np.testing.assert_allclose(compiled(x), layer(x), atol=1e-6)


def test_leaky_relu_and_bias(rng):
    x = normal(rng, 2, 3, 3, 4)
    np.testing.assert_allclose(LeakyReLU()(x), np.maximum(x, 0.2 * x), rtol=1e-6)
    layer = Bias()
    layer.build(x.shape)
    layer.set_weights([np.arange(4, dtype=np.float32)])
    np.testing.assert_allclose(layer(x), x + np.arange(4), rtol=1e-6)


def test_fade_in_is_exact_at_both_ends(rng):
    old, new = (tf.constant(normal(rng, 2, 4, 4, 3)) for _ in range(2))
    layer = FadeIn()
    layer.build([old.shape, new.shape])
    for alpha, expected in ((0.0, old), (1.0, new)):
        layer.alpha.assign(alpha)
        np.testing.assert_array_equal(layer([old, new]), expected)
    layer.alpha.assign(0.25)
    np.testing.assert_allclose(layer([old, new]), 0.75 * old + 0.25 * new, rtol=1e-6)
    assert not layer.trainable_weights


def test_strided_convolutions_are_adjoint(rng):
    """<conv(x, k), y> = <x, transposed conv(y, k)>, up to the channel order that each wants of its kernel."""
    x, y, kernel = normal(rng, 1, 8, 8, 2), normal(rng, 1, 4, 4, 3), normal(rng, 4, 4, 2, 3)
    forward = np.vdot(ops.conv2d(x, kernel, stride=2), y)
    assert forward == pytest.approx(np.vdot(x, ops.conv2d_transpose(y, kernel)), rel=1e-4)


@pytest.mark.parametrize(
    "layer, shape",
    [
        (EqualizedConv2D(5, 1, gain=2.0), (2, 4, 4, 3)),
        (EqualizedConv2D(5, resample="nearest"), (2, 4, 4, 3)),
        (EqualizedConv2D(5, resample="bilinear"), (2, 4, 4, 3)),
        (EqualizedConv2D(5, resample="down"), (2, 4, 4, 3)),
        (EqualizedDense(7, gain=0.5, use_bias=False), (2, 6)),
        (EqualizedDense(7), (2, 6)),
        (Bias(), (2, 4, 4, 3)),
        (PixelNorm(), (2, 5)),
        (MinibatchStdDev(2), (4, 4, 4, 3)),
        (Upsample(), (2, 4, 4, 3)),
        (Downsample(), (2, 4, 4, 3)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_config_round_trip_and_output_shape(rng, layer, shape):
    x = normal(rng, *shape)
    y = layer(x)
    copy = twin(layer, x)
    np.testing.assert_array_equal(copy(x), y)
    assert {**copy.get_config(), "name": ""} == {**layer.get_config(), "name": ""}
    assert tuple(layer.compute_output_shape(shape)) == y.shape


def test_unknown_resampling_is_refused():
    with pytest.raises(ValueError, match="None, 'nearest', 'bilinear' or 'down'; received 'left'"):
        EqualizedConv2D(3, resample="left")
