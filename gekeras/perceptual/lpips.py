"""LPIPS, a distance between pictures that follows people's judgments better than MSE, PSNR and SSIM.

    d(x, x') = sum over layers l of mean over positions of sum over channels c of w_lc (f_lc(x) - f_lc(x'))^2

where f_l are AlexNet's features behind its l-th convolution and ReLU, divided at each position by their length.

Reference: Zhang, Isola, Efros, Shechtman and Wang, "The Unreasonable Effectiveness of Deep Features as a Perceptual
Metric", 2018; version 0.1 with AlexNet, as richzhang/PerceptualSimilarity has it (`lpips/lpips.py`).
"""

from __future__ import annotations

from typing import Any, Union

import numpy as np

from ..files import PathLike
from .weights import Weights, read

Score = Union[float, np.ndarray]

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # AlexNet's mean and deviation, of pictures in [-1, 1]
STRIDES, PADDINGS, POOLED = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1), (1, 2)  # pools stand before the second and third convolution
SMALLEST = 31  # pixels: 7 behind the first convolution, 3 and 1 behind the pools
EPSILON = 1e-10  # of the original


class LPIPS:
    """LPIPS with AlexNet: 0 for equal pictures, about 0.7 for very different ones.

    Args:
        weights: what `read` makes of a file.

    Example:
        >>> import gekeras
        >>> lpips = gekeras.perceptual.LPIPS.from_file("alexnet.ckpt")  # doctest: +SKIP
        >>> distance = lpips(restored, truth)  # doctest: +SKIP
    """

    def __init__(self, weights: Weights):
        import tensorflow as tf  # takes seconds, and a file is refused before

        self.sha256 = weights.sha256
        self._weights = weights
        self._compiled = tf.function(self._distance, input_signature=[tf.TensorSpec((2, None, None, 3), tf.float32)])

    @classmethod
    def from_file(cls, path: PathLike) -> LPIPS:
        """Of a file of weights. Raises FileError as `read`."""
        return cls(read(path))

    def __call__(self, x: np.ndarray, reference: np.ndarray) -> Score:
        """d(x, reference), which is d(reference, x).

        Args:
            x, reference: `[h, w, c]`, or a batch `[n, h, w, c]`, in [-1, 1]; what is outside is clipped. Gray pictures are
                compared as gray colors.

        Returns:
            A float, or float64 `[n]` for a batch; each as it is alone.

        Raises:
            ValueError: the shapes differ, are neither of the two, or are refused by `check`.
        """
        x, reference = (np.asarray(each, np.float32) for each in (x, reference))
        if x.shape != reference.shape:
            raise ValueError(f"shapes differ: {list(x.shape)} and reference {list(reference.shape)}")
        if x.ndim not in (3, 4):
            raise ValueError(f"expected [h, w, c] or [n, h, w, c], received {list(x.shape)}")
        check(x.shape[-3:])
        pairs = np.stack([x, reference], -4).reshape(-1, 2, *x.shape[-3:])
        pairs = np.clip(pairs if x.shape[-1] == 3 else pairs.repeat(3, -1), -1, 1)
        values = np.reshape([float(self._compiled(pair)) for pair in pairs], x.shape[:-3])  # a batch would round otherwise
        return values if x.ndim == 4 else float(values)

    def _distance(self, pair: Any) -> Any:
        import tensorflow as tf

        total, x = tf.zeros(()), (pair - SHIFT) / SCALE
        for k, ((kernel, bias), head) in enumerate(zip(self._weights.convolutions, self._weights.heads)):
            if k in POOLED:
                x = tf.nn.max_pool2d(x, 3, 2, "VALID")
            padding = [(0, 0), (PADDINGS[k],) * 2, (PADDINGS[k],) * 2, (0, 0)]
            x = tf.nn.relu(tf.nn.conv2d(x, kernel, STRIDES[k], padding) + bias)
            unit = x / (tf.norm(x, axis=-1, keepdims=True) + EPSILON)
            total += tf.reduce_mean(tf.reduce_sum((unit[0] - unit[1]) ** 2 * head, axis=-1))
        return total


def check(shape: tuple[int, ...]) -> None:
    """Raise ValueError for pictures of a shape `(h, w, c)` that LPIPS cannot compare."""
    height, width, channels = shape
    if channels not in (1, 3):
        raise ValueError(f"LPIPS compares gray or color pictures, of 1 or 3 channels; received {list(shape)}")
    if min(height, width) < SMALLEST:
        raise ValueError(f"LPIPS with AlexNet needs sides of at least {SMALLEST} pixels; received {list(shape)}")
