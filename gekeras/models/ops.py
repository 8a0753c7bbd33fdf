"""The few tensor operations the networks need, spelled once for Keras 2.15 and for Keras 3 on any backend.

Keras 3 has `keras.ops`; Keras 2.15 has TensorFlow only. Images are `[n, h, w, c]`, kernels `[h, w, in, out]`.
"""

import keras

if hasattr(keras, "ops"):
    from keras import ops as _k

    cast, concat, mean, repeat, reshape, shape, sqrt, square, tile, relu, tanh = (
        _k.cast,
        _k.concatenate,
        _k.mean,
        _k.repeat,
        _k.reshape,
        _k.shape,
        _k.sqrt,
        _k.square,
        _k.tile,
        _k.relu,
        _k.tanh,
    )
    convert, matmul, rsqrt, transpose, where = _k.convert_to_tensor, _k.matmul, _k.rsqrt, _k.transpose, _k.where

    def leaky_relu(x, slope: float = 0.2):
        """max(slope x, x); the backend's own, because the gradient of `maximum` is slow in bfloat16."""
        return _k.leaky_relu(x, negative_slope=slope)

    def conv2d(x, kernel, stride: int = 1):
        """Correlate `x` with `kernel`, zero-padded so that stride 1 keeps the size."""
        return _k.conv(x, kernel, strides=stride, padding="same", data_format="channels_last")

    def conv2d_transpose(x, kernel):
        """Transposed convolution with stride 2; `kernel` is `[h, w, out, in]`; doubles height and width."""
        return _k.conv_transpose(x, kernel, strides=2, padding="same", data_format="channels_last")

else:
    import tensorflow as tf

    cast, concat, repeat, reshape, shape = tf.cast, tf.concat, tf.repeat, tf.reshape, tf.shape
    convert, matmul, rsqrt, transpose, where = tf.convert_to_tensor, tf.matmul, tf.math.rsqrt, tf.transpose, tf.where
    sqrt, square, tile, relu, tanh = tf.sqrt, tf.square, tf.tile, tf.nn.relu, tf.tanh

    def mean(x, axis=None, keepdims=False):
        return tf.reduce_mean(x, axis=axis, keepdims=keepdims)

    def leaky_relu(x, slope: float = 0.2):
        """max(slope x, x); the backend's own, because the gradient of `maximum` is slow in bfloat16."""
        return tf.nn.leaky_relu(x, alpha=slope)

    def conv2d(x, kernel, stride: int = 1):
        """Correlate `x` with `kernel`, zero-padded so that stride 1 keeps the size."""
        return tf.nn.conv2d(x, kernel, strides=stride, padding="SAME")

    def conv2d_transpose(x, kernel):
        """Transposed convolution with stride 2; `kernel` is `[h, w, out, in]`; doubles height and width."""
        n, h, w = tf.shape(x)[0], x.shape[1], x.shape[2]
        size = [n, 2 * h, 2 * w, kernel.shape[2]]
        return tf.nn.conv2d_transpose(x, kernel, output_shape=size, strides=2, padding="SAME")


def upsample(x):
    """Nearest-neighbor doubling of height and width (repeat, because XLA on the CPU lacks the resize gradient)."""
    return repeat(repeat(x, 2, axis=1), 2, axis=2)


def downsample(x):
    """Mean of each 2x2 block: halves height and width."""
    h, w, c = x.shape[1:]
    return mean(reshape(x, (-1, h // 2, 2, w // 2, 2, c)), axis=(2, 4))
