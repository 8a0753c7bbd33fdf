"""Layers of the progressive GAN (Karras et al., "Progressive Growing of GANs", 2018, sections 3 and 4).

All work on `[n, h, w, c]` in the layer's compute dtype; statistics are taken in float32.
"""

import math

import keras
import numpy as np

from . import ops


class EqualizedConv2D(keras.layers.Layer):
    """3x3 or 1x1 convolution whose N(0, 1) kernel is scaled at run time by gain / sqrt(fan_in) (section 4.1).

    The scale sits in the graph, not in the weights, so that Adam moves every layer at the same relative speed.
    The bias starts at zero and is not scaled.

    Args:
        filters: number of output channels.
        kernel_size: 1 or 3.
        gain: He's constant, sqrt(2) before a leaky ReLU, 1 for a linear output.
        resample: None, `"nearest"` or `"bilinear"` (doubling, then the convolution) or `"down"` (the convolution, then
            the mean of 2x2 blocks, before the bias). Each is one strided convolution with the 3x3 kernel spread over
            4x4, which is the same arithmetic for 16/36 of the work, or over 6x6 for `"bilinear"`.
    """

    def __init__(self, filters, kernel_size=3, gain=math.sqrt(2.0), resample=None, **kwargs):
        super().__init__(**kwargs)
        if resample not in (None, "down", *SPREADS):
            raise ValueError(f"resample must be None, {', '.join(map(repr, SPREADS))} or 'down'; received {resample!r}")
        self.filters, self.kernel_size, self.gain, self.resample = filters, kernel_size, gain, resample

    def build(self, input_shape):
        size, inputs = self.kernel_size, input_shape[-1]
        self.scale = self.gain / math.sqrt(size * size * inputs)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(size, size, inputs, self.filters),
            initializer=keras.initializers.RandomNormal(0.0, 1.0),
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        self.built = True

    def call(self, x):
        kernel = ops.cast(self.kernel, self.compute_dtype) * self.scale
        if self.resample in SPREADS:
            y = ops.conv2d_transpose(x, fused_upsampling_kernel(kernel, SPREADS[self.resample]))
        elif self.resample == "down":
            y = ops.conv2d(x, fused_resampling_kernel(kernel) * 0.25, stride=2)
        else:
            y = ops.conv2d(x, kernel)
        return y + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        n, h, w, _ = input_shape
        factor = {None: 1.0, "down": 0.5}.get(self.resample, 2.0)
        return (n, int(h * factor), int(w * factor), self.filters)

    def get_config(self):
        own = {k: getattr(self, k) for k in ("filters", "kernel_size", "gain", "resample")}
        return {**super().get_config(), **own}


def spread(taps):
    """Where each tap of a 3-tap kernel lands after convolution with `taps`: `[len(taps) + 2, 3]`."""
    return np.stack([np.convolve(taps, unit) for unit in np.eye(3)], axis=1).astype(np.float32)


BOX = spread([1, 1])
SPREADS = {"nearest": BOX, "bilinear": spread([0.25, 0.75, 0.75, 0.25])}  # by what doubles the features


def fused_resampling_kernel(kernel, matrix=BOX):
    """The 3x3 kernel convolved with the taps that a `spread` was made of: `[3, 3, in, out]` -> `[k, k, in, out]`, one
    small product an axis."""
    _, _, inputs, outputs = kernel.shape
    size, matrix = len(matrix), ops.convert(matrix, dtype=kernel.dtype)
    rows = ops.reshape(ops.matmul(matrix, ops.reshape(kernel, (3, -1))), (size, 3, inputs * outputs))
    return ops.reshape(ops.matmul(matrix, rows), (size, size, inputs, outputs))


def fused_upsampling_kernel(kernel, matrix=BOX):
    """Kernel of the strided transposed convolution that equals doubling, then correlating: `[k, k, out, in]`."""
    return ops.transpose(fused_resampling_kernel(kernel, matrix[:, ::-1]), (0, 1, 3, 2))


class EqualizedDense(keras.layers.Layer):
    """Dense layer with the equalized learning rate; see `EqualizedConv2D`."""

    def __init__(self, units, gain=math.sqrt(2.0), use_bias=True, **kwargs):
        super().__init__(**kwargs)
        self.units, self.gain, self.use_bias = units, gain, use_bias

    def build(self, input_shape):
        self.scale = self.gain / math.sqrt(input_shape[-1])
        self.kernel = self.add_weight(
            name="kernel", shape=(input_shape[-1], self.units), initializer=keras.initializers.RandomNormal(0.0, 1.0)
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.units,), initializer="zeros")
        self.built = True

    def call(self, x):
        y = ops.matmul(x, ops.cast(self.kernel, self.compute_dtype) * self.scale)
        return y + ops.cast(self.bias, self.compute_dtype) if self.use_bias else y

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units, "gain": self.gain, "use_bias": self.use_bias}


class Bias(keras.layers.Layer):
    """Adds one number per channel."""

    def build(self, input_shape):
        self.bias = self.add_weight(name="bias", shape=(input_shape[-1],), initializer="zeros")
        self.built = True

    def call(self, x):
        return x + ops.cast(self.bias, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class LeakyReLU(keras.layers.Layer):
    """max(0.2 x, x), in float32: TensorFlow's gradient of it in bfloat16 takes longer than this one with its casts."""

    def call(self, x):
        return ops.cast(ops.leaky_relu(ops.cast(x, "float32")), self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


class PixelNorm(keras.layers.Layer):
    """x / sqrt(mean over channels of x^2 + 1e-8) (section 4.2), also used on the latent vector."""

    def call(self, x):
        y = ops.cast(x, "float32")
        y = y * ops.rsqrt(ops.mean(ops.square(y), axis=-1, keepdims=True) + 1e-8)
        return ops.cast(y, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape


GROUP_SIZE = 4  # of the original; training on several replicas splits a batch in multiples of it


class MinibatchStdDev(keras.layers.Layer):
    """Append one channel: the mean over features of the standard deviation within groups (section 3).

    The batch is split as reshape `[group, n / group, ...]`; the variance is the population's. A batch smaller than
    the group, or not a multiple of it, is one group.
    """

    def __init__(self, group_size=GROUP_SIZE, **kwargs):
        super().__init__(**kwargs)
        self.group_size = group_size

    def call(self, x):
        n, (h, w, c) = ops.shape(x)[0], x.shape[1:]
        group = ops.where(n % self.group_size == 0, self.group_size, n)
        y = ops.reshape(ops.cast(x, "float32"), (group, -1, h, w, c))
        variance = ops.mean(ops.square(y - ops.mean(y, axis=0, keepdims=True)), axis=0)
        statistic = ops.mean(ops.sqrt(variance + 1e-8), axis=(1, 2, 3), keepdims=True)  # [n / group, 1, 1, 1]
        channel = ops.tile(ops.cast(statistic, x.dtype), (group, h, w, 1))
        return ops.concat([x, channel], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "group_size": self.group_size}


class Upsample(keras.layers.Layer):
    """Nearest-neighbor doubling."""

    def call(self, x):
        return ops.upsample(x)

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        return (n, 2 * h, 2 * w, c)


class Downsample(keras.layers.Layer):
    """Mean of 2x2 blocks."""

    def call(self, x):
        return ops.downsample(x)

    def compute_output_shape(self, input_shape):
        n, h, w, c = input_shape
        return (n, h // 2, w // 2, c)


class FadeIn(keras.layers.Layer):
    """(1 - alpha) old + alpha new, with alpha a weight that the schedule sets (Figure 2 of the paper).

    Written with both products, so that alpha 0 gives exactly `old` and alpha 1 exactly `new`.
    """

    def build(self, input_shape):
        self.alpha = self.add_weight(name="alpha", shape=(), initializer="ones", trainable=False)
        self.built = True

    def call(self, inputs):
        old, new = inputs
        alpha = ops.cast(self.alpha, old.dtype)
        return (1.0 - alpha) * old + alpha * new

    def compute_output_shape(self, input_shape):
        return input_shape[0]
