"""Random degradations: additive and multiplicative noise, and JPEG, which is not random but as hard to undo."""

from __future__ import annotations

import math

import tensorflow as tf

from .base import Operator, positive, register, seed_of, whole


@register
class Noise(Operator):
    """x + sigma n with n from N(0, I) (section 2.2), clipped to [-1, 1] as an image file would.

    Args:
        sigma: standard deviation on [-1, 1]; 0.5 in the paper.
        clip: False keeps what leaves the range.

    Example:
        >>> x = tf.zeros((1, 2, 2, 1))
        >>> bool(tf.reduce_all(Noise(0.5)(x, (0, 1)) == Noise(0.5)(x, (0, 1))))
        True
    """

    def __init__(self, sigma: float = 0.5, clip: bool = True):
        self.sigma, self.clip = positive("sigma", sigma), bool(clip)

    def __call__(self, images, seed=None):
        noisy = images + self.sigma * tf.random.stateless_normal(tf.shape(images), seed_of(seed), dtype=images.dtype)
        return tf.clip_by_value(noisy, -1, 1) if self.clip else noisy

    def get_config(self):
        return {"sigma": self.sigma, "clip": self.clip}


@register
class ClippedMean(Operator):
    """E[clip(x + sigma n)], what noise that a file clips leaves of x on average: closer to gray than x, the more the noise.

    With a and b how many sigma -1 and 1 are from x, phi the density and Phi the distribution of N(0, 1):

        x (Phi(b) - Phi(a)) + sigma (phi(a) - phi(b)) - Phi(a) + 1 - Phi(b)

    A picture compared with clipped observations as it is would be drawn towards gray itself.

    Args:
        sigma: standard deviation on [-1, 1].

    Example:
        >>> ClippedMean(0.5)(tf.reshape([-1.0, 0.0, 1.0], (1, 1, 3, 1)))[0, 0, :, 0].numpy().round(3)
        array([-0.801,  0.   ,  0.801], dtype=float32)
    """

    def __init__(self, sigma: float = 0.5):
        self.sigma = positive("sigma", sigma)

    def __call__(self, images, seed=None):
        a, b = (-1 - images) / self.sigma, (1 - images) / self.sigma
        inside = images * (_normal(b) - _normal(a)) + self.sigma * (_density(a) - _density(b))
        return inside - _normal(a) + _normal(-b)

    def get_config(self):
        return {"sigma": self.sigma}


def _density(t: tf.Tensor) -> tf.Tensor:
    return tf.exp(-tf.square(t) / 2) / math.sqrt(2 * math.pi)


def _normal(t: tf.Tensor) -> tf.Tensor:
    return 0.5 * (1 + tf.math.erf(t / math.sqrt(2)))


@register
class MultiplicativeNoise(Operator):
    """Speckle: the intensities u = (x + 1) / 2 times (1 + sigma n), clipped to [0, 1], back on [-1, 1].

    Intensities, because a product with x itself would leave mid gray, 0 on [-1, 1], free of noise.

    Args:
        sigma: standard deviation of the factor.

    Example:
        >>> float(MultiplicativeNoise(0.5)(-tf.ones((1, 1, 1, 1)), (0, 1))[0, 0, 0, 0])  # black stays black
        -1.0
    """

    def __init__(self, sigma: float = 0.5):
        self.sigma = positive("sigma", sigma)

    def __call__(self, images, seed=None):
        factor = 1 + self.sigma * tf.random.stateless_normal(tf.shape(images), seed_of(seed), dtype=images.dtype)
        return tf.clip_by_value((images + 1) * factor - 1, -1, 1)

    def get_config(self):
        return {"sigma": self.sigma}


@register
class JPEG(Operator):
    """Compressed and decompressed. A degradation only: it has no gradient, so it cannot be the forward map S.

    Args:
        quality: 1 to 100.

    Example:
        >>> JPEG(quality=50)(tf.zeros((1, 8, 8, 3))).shape
        TensorShape([1, 8, 8, 3])
    """

    def __init__(self, quality: int = 10):
        self.quality = whole("quality", quality)
        if self.quality > 100:
            raise ValueError(f"quality must be 1 to 100; received {quality!r}")

    def __call__(self, images, seed=None):
        def one(image):  # the default DCT of TensorFlow loses more than the quality does, from 90 on
            data = tf.io.encode_jpeg(image, quality=self.quality)
            return tf.io.decode_jpeg(data, channels=images.shape[-1], dct_method="INTEGER_ACCURATE")

        pixels = tf.cast(tf.round((tf.clip_by_value(images, -1, 1) + 1) * 127.5), tf.uint8)
        return tf.ensure_shape(tf.cast(tf.map_fn(one, pixels), images.dtype) / 127.5 - 1, images.shape)

    def get_config(self):
        return {"quality": self.quality}
