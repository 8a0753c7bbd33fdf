"""Linear measurements: resampling, blurs, and random projections, each with its exact adjoint."""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import numpy as np
import tensorflow as tf

from .base import Operator, positive, register, whole

# Of a blur's pseudo-inverse, see `correction`: the variance of rounding to 8 bits over that of an error in the pictures
# that are corrected, GE's and the autoencoder's (their MSE is 0.01 to 0.03).
DAMPING = (2 / 255) ** 2 / 12 / 0.017


def resampled(images: tf.Tensor, rows: np.ndarray, columns: np.ndarray) -> tf.Tensor:
    """R x C^T of each channel: `[n, h, w, c]`, `[h', h]`, `[w', w]` -> `[n, h', w', c]`."""
    rows, columns = tf.cast(rows, images.dtype), tf.cast(columns, images.dtype)
    return tf.einsum("ij,njlc,kl->nikc", rows, images, columns)


def repeat(images: tf.Tensor, factor: int) -> tf.Tensor:
    """Each pixel factor x factor times."""
    return tf.repeat(tf.repeat(images, factor, axis=1), factor, axis=2)


def bicubic(images: tf.Tensor, factor: int | Fraction) -> tf.Tensor:
    """`[n, h, w, c]` enlarged by Keys' cubic (a = -1/2), the interpolation a user would do without a model."""
    size = [round(side * factor) for side in images.shape[1:3]]
    return tf.image.resize(images, size, method="bicubic")


@functools.lru_cache(maxsize=64)
def box_matrix(length: int, size: int) -> np.ndarray:
    """`[size, length]`: the mean over each new pixel, an old one counting as far as it lies in it. Rows sum to 1."""
    new, old = np.arange(size)[:, None] * length, np.arange(length) * size  # whole numbers: both in units of 1 / size
    shared = np.minimum(new + length, old + size) - np.maximum(new, old)
    return np.maximum(shared, 0) / length


@functools.lru_cache(maxsize=64)
def cubic_matrix(length: int, size: int) -> np.ndarray:
    """`[size, length]`: Keys' cubic (a = -1/2), for a reduction widened by its factor (antialiased).

    Rows sum to 1; at the borders the weights that fall outside are left out, as Pillow and TensorFlow do.
    """
    factor = length / size
    centers = (np.arange(size) + 0.5) * factor
    t = np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(factor, 1.0)
    weights = np.where(t < 1, (1.5 * t - 2.5) * t**2 + 1, np.where(t < 2, ((-0.5 * t + 2.5) * t - 4) * t + 2, 0))
    return weights / weights.sum(axis=1, keepdims=True)


MATRICES = {"box": box_matrix, "bicubic": cubic_matrix}


def known_kernel(kernel: str) -> str:
    """Raises ValueError for a kernel that is none of `MATRICES`."""
    if kernel not in MATRICES:
        raise ValueError(f"kernel must be 'box' or 'bicubic'; received {kernel!r}")
    return kernel


@register
class Downsample(Operator):
    """The picture at 1/factor: the mean of factor x factor blocks, or a bicubic reduction.

    Args:
        factor: a whole number above 0 that divides height and width; 4 in the paper.
        kernel: `"box"` (block means) or `"bicubic"` (antialiased, what image editors do).

    Example:
        >>> Downsample(2)(tf.reshape(tf.range(16.0), (1, 4, 4, 1)))[0, ..., 0].numpy()
        array([[ 2.5,  4.5],
               [10.5, 12.5]], dtype=float32)
    """

    linear = True

    def __init__(self, factor: int = 4, kernel: str = "box"):
        self.factor, self.kernel = whole("factor", factor), known_kernel(kernel)

    def __call__(self, images, seed=None):
        n, (h, w, c), f = tf.shape(images)[0], images.shape[1:], self.factor
        if h % f or w % f:
            raise ValueError(f"height and width must be multiples of {f}; received {h} x {w}")
        if f == 1:
            return images
        if self.kernel == "bicubic":
            return resampled(images, cubic_matrix(h, h // f), cubic_matrix(w, w // f))
        return tf.reduce_mean(tf.reshape(images, (n, h // f, f, w // f, f, c)), axis=(2, 4))

    def adjoint(self, measurement):
        """box: each number goes to all pixels of its block, divided by factor^2; bicubic: the transposed matrices."""
        f = self.factor
        if self.kernel == "box" or f == 1:
            return repeat(measurement, f) / f**2
        h, w = measurement.shape[1:3]
        return resampled(measurement, cubic_matrix(h * f, h).T, cubic_matrix(w * f, w).T)

    def get_config(self):
        return {"factor": self.factor, "kernel": self.kernel}


@register
class Upsample(Operator):
    """Nearest-neighbor enlargement by a whole factor: the paper's preconditioner (section 2.4).

    Example:
        >>> Upsample(2)(tf.reshape([1.0, 2.0], (1, 1, 2, 1)))[0, ..., 0].numpy()
        array([[1., 1., 2., 2.],
               [1., 1., 2., 2.]], dtype=float32)
    """

    linear = True

    def __init__(self, factor: int = 4):
        self.factor = whole("factor", factor)

    def __call__(self, images, seed=None):
        return repeat(images, self.factor)

    def adjoint(self, measurement):
        """The sum of each block."""
        return Downsample(self.factor)(measurement) * self.factor**2

    def get_config(self):
        return {"factor": self.factor}


@register
class Resize(Operator):
    """Square pictures of `side` pixels as ones of `size`, whatever their ratio: A x = M x M^T of each channel.

    Args:
        side, size: whole numbers above 0.
        kernel: `"box"` (the mean over the area of each new pixel) or `"bicubic"` (antialiased if it reduces).

    Example:
        >>> Resize(3, 2)(tf.reshape(tf.range(9.0), (1, 3, 3, 1)))[0, ..., 0].numpy().round(3)
        array([[1.333, 2.667],
               [5.333, 6.667]], dtype=float32)
    """

    linear = True

    def __init__(self, side: int, size: int, kernel: str = "box"):
        self.side, self.size, self.kernel = whole("side", side), whole("size", size), known_kernel(kernel)

    @property
    def matrix(self) -> np.ndarray:
        """M `[size, side]`."""
        return MATRICES[self.kernel](self.side, self.size)

    def __call__(self, images, seed=None):
        check_side(images, self.side)
        return resampled(images, self.matrix, self.matrix)

    def adjoint(self, measurement):
        check_side(measurement, self.size)
        return resampled(measurement, self.matrix.T, self.matrix.T)

    def get_config(self):
        return {"side": self.side, "size": self.size, "kernel": self.kernel}


def check_side(images: tf.Tensor, side: int) -> None:
    """Raise ValueError for pictures `[n, h, w, c]` of another height or width."""
    if tuple(images.shape[1:3]) != (side, side):
        raise ValueError(f"pictures of {side}x{side} are needed; received shape {list(images.shape)}")


def gaussian(sigma: float, size: int) -> np.ndarray:
    """`[size]` samples of exp(-t^2 / (2 sigma^2)) around the middle one, with sum 1."""
    t = np.arange(size) - size // 2
    weights = np.exp(-0.5 * (t / sigma) ** 2)
    return weights / weights.sum()


@functools.lru_cache(maxsize=64)
def blur_matrix(length: int, sigma: float, size: int) -> np.ndarray:
    """`[length, length]`: convolution with `gaussian(sigma, size)`, the picture mirrored at its borders (c b | a b c)."""
    matrix = np.zeros((length, length))
    period = max(2 * (length - 1), 1)
    for offset, weight in zip(range(-(size // 2), size // 2 + 1), gaussian(sigma, size)):
        index = np.abs(np.arange(length) + offset) % period
        index = np.minimum(index, period - index) if length > 1 else index * 0
        np.add.at(matrix, (np.arange(length), index), weight)
    return matrix


@register
class GaussianBlur(Operator):
    """The rotationally symmetric Gaussian low-pass filter of section 2.3, borders mirrored.

    Args:
        sigma: standard deviation in pixels.
        size: side of the kernel in pixels, odd; by default 6 sigma, which holds 99.7 % of the weight of either axis.

    Example:
        >>> blur = GaussianBlur(sigma=2.0, size=13)
        >>> blur.kernel.shape, round(float(blur.kernel.sum()), 6)
        ((13, 13), 1.0)
    """

    linear = True
    ridge = DAMPING

    def __init__(self, sigma: float = 2.0, size: int | None = None):
        self.sigma = positive("sigma", sigma)
        self.size = 2 * math.ceil(3 * self.sigma) + 1 if size is None else whole("size", size)
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd; received {size!r}")

    @property
    def kernel(self) -> np.ndarray:
        """`[size, size]`, sum 1."""
        return np.outer(gaussian(self.sigma, self.size), gaussian(self.sigma, self.size))

    def _matrices(self, images, transpose: bool):
        matrices = [blur_matrix(side, self.sigma, self.size) for side in images.shape[1:3]]
        return [matrix.T for matrix in matrices] if transpose else matrices

    def __call__(self, images, seed=None):
        return resampled(images, *self._matrices(images, transpose=False))

    def adjoint(self, measurement):
        return resampled(measurement, *self._matrices(measurement, transpose=True))

    def get_config(self):
        return {"sigma": self.sigma, "size": self.size}


@register
class MotionBlur(Operator):
    """The mean along a straight line, as of a camera that moves while the shutter is open; borders mirrored.

    Args:
        length: of the line in pixels.
        angle: degrees from the horizontal, counterclockwise.

    Example:
        >>> MotionBlur(length=3, angle=0).kernel.shape[0] % 2
        1
    """

    linear = True
    ridge = DAMPING

    def __init__(self, length: float = 9, angle: float = 0.0):
        self.length, self.angle = positive("length", length), float(angle)

    @property
    def kernel(self) -> np.ndarray:
        """`[k, k]`, k odd, sum 1: the line sampled finely, each sample shared bilinearly by its four pixels."""
        radius = math.ceil(self.length / 2)
        line = np.linspace(-self.length / 2, self.length / 2, 64 * radius + 1)
        x = radius + line * math.cos(math.radians(self.angle))
        y = radius - line * math.sin(math.radians(self.angle))
        grid = np.arange(2 * radius + 1)
        near = [np.clip(1 - np.abs(grid[:, None] - place), 0, 1) for place in (y, x)]
        kernel = near[0] @ near[1].T
        return kernel / kernel.sum()

    def __call__(self, images, seed=None):
        radius, channels = self.kernel.shape[0] // 2, images.shape[-1]
        if min(images.shape[1:3]) <= radius:
            raise ValueError(f"a motion of {self.length} pixels needs sides above {radius}; received {images.shape[1:3]}")
        padded = tf.pad(images, [[0, 0], [radius, radius], [radius, radius], [0, 0]], mode="REFLECT")
        kernel = tf.tile(tf.cast(self.kernel[::-1, ::-1, None, None], images.dtype), [1, 1, channels, 1])
        return tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], "VALID")

    def adjoint(self, measurement):
        """The gradient of <A x, y> with respect to x, which is A^T y for every linear A."""
        with tf.GradientTape() as tape:
            x = tf.zeros_like(measurement)
            tape.watch(x)
            product = tf.reduce_sum(self(x) * measurement)
        return tape.gradient(product, x)

    def get_config(self):
        return {"length": self.length, "angle": self.angle}


@register
class Measure(Operator):
    """Compressed sensing (section 2.1): y = A x with A's entries from N(0, 1 / count).

    Noise is a link of its own, `Compose(Measure(500), Noise(0.01, clip=False))`. The matrix is a function of `seed` and of
    the picture's size, so that sender and receiver need not exchange it; it takes 4 count h w c bytes.

    Args:
        count: numbers in the measurement.
        seed: of the matrix.
        shape: height, width and channels of the pictures.

    Example:
        >>> Measure(10, shape=(8, 8, 3))(tf.zeros((2, 8, 8, 3))).shape
        TensorShape([2, 10])
    """

    linear = True

    def __init__(self, count: int = 500, seed: int = 0, shape: tuple[int, int, int] = (64, 64, 3)):
        self.count, self.seed, self.shape = whole("count", count), int(seed), tuple(shape)

    @functools.cached_property
    def matrix(self) -> np.ndarray:
        """A, `[count, h w c]`."""
        rows = np.random.default_rng(self.seed).standard_normal((self.count, math.prod(self.shape)), np.float32)
        return rows / np.float32(math.sqrt(self.count))

    def __call__(self, images, seed=None):
        flat = tf.reshape(images, (tf.shape(images)[0], math.prod(self.shape)))
        return tf.matmul(flat, tf.cast(self.matrix, images.dtype), transpose_b=True)

    def adjoint(self, measurement):
        return tf.reshape(tf.matmul(measurement, tf.cast(self.matrix, measurement.dtype)), (-1, *self.shape))

    def get_config(self):
        return {"count": self.count, "seed": self.seed, "shape": list(self.shape)}
