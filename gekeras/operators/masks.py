"""Missing pixels: what is known of a picture is 1 in a mask, and the rest of the picture is 0, mid gray."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
import tensorflow as tf

from .base import Operator, register, seed_of


@register
class Mask(Operator):
    """x * known, the Hadamard product of section 2.2. A^+ = A^T = A.

    Args:
        known: 1 (or True) where the pixel is known, 0 where it is missing: `[h, w]` or `[h, w, 1]`, or `[n, h, w, 1]` with
            a mask for each picture.

    Raises:
        ValueError: another shape, other values, or nothing known.

    Example:
        >>> Mask([[1, 0]])(tf.ones((1, 1, 2, 1)))[0, ..., 0].numpy()
        array([[1., 0.]], dtype=float32)
    """

    linear = True

    def __init__(self, known):
        known = np.asarray(known, np.float32)
        known = known[..., None] if known.ndim == 2 else known
        if known.ndim not in (3, 4) or known.shape[-1] != 1 or not np.isin(known, (0, 1)).all():
            raise ValueError(f"a mask holds zeros and ones in [h, w, 1]; received shape {list(known.shape)}")
        if not known.any(axis=(-3, -2, -1)).all():
            raise ValueError("the mask covers everything: no pixel is known")
        self.known = known

    @classmethod
    def of_tensor(cls, known: tf.Tensor) -> Mask:
        """Of zeros and ones `[n, h, w, 1]` that a graph has the names of only, and that nothing here can check."""
        mask = cls.__new__(cls)
        mask.known = known
        return mask

    def __call__(self, images, seed=None):
        return images * tf.cast(self.known, images.dtype)

    def adjoint(self, measurement):
        return self(measurement)

    def get_config(self):
        return {"shape": list(self.known.shape), "bits": np.packbits(self.known.astype(bool)).tobytes().hex()}

    @classmethod
    def from_config(cls, config: dict[str, Any]):
        bits = np.unpackbits(np.frombuffer(bytes.fromhex(config["bits"]), np.uint8), count=int(np.prod(config["shape"])))
        return cls(bits.reshape(config["shape"]))


@register
class BlockMask(Operator):
    """A square of `size` times the shorter side missing, at a random place for each picture: 64 of 128 in the paper.

    Args:
        size: side of the block over that of the picture, above 0 and below 1.

    Example:
        >>> known = BlockMask(0.5).known((1, 8, 8, 3), seed=(0, 2))
        >>> float(tf.reduce_sum(1 - known))
        16.0
    """

    def __init__(self, size: float = 0.5):
        if not (isinstance(size, Real) and 0 < size < 1):
            raise ValueError(f"size must be above 0 and below 1; received {size!r}")
        self.size: float = float(size)

    def known(self, shape, seed=None) -> tf.Tensor:
        """The masks `[n, h, w, 1]` of a batch of that `shape` `[n, h, w, c]`, a function of the seed."""
        count, height, width = shape[0], int(shape[1]), int(shape[2])
        side = max(1, min(round(self.size * min(height, width)), min(height, width) - 1))  # never all of the picture
        room = tf.constant([height - side + 1, width - side + 1], tf.float32)
        place = tf.floor(tf.random.stateless_uniform([count, 2], seed_of(seed)) * room)
        inside = [
            (tf.range(length, dtype=tf.float32) >= place[:, i, None])
            & (tf.range(length, dtype=tf.float32) < place[:, i, None] + side)
            for i, length in enumerate((height, width))
        ]
        block = inside[0][:, :, None, None] & inside[1][:, None, :, None]
        return tf.cast(~block, tf.float32)

    def __call__(self, images, seed=None):
        shape = [tf.shape(images)[0], *images.shape[1:]]
        return images * tf.cast(self.known(shape, seed), images.dtype)

    def get_config(self):
        return {"size": self.size}


def full_mask(known, shape) -> np.ndarray:
    """`known` as float32 `[n, h, w, 1]` for a batch of that shape. Raises ValueError for another size or values."""
    mask = Mask(known).known
    if mask.shape[-3:-1] != shape[1:3] or (mask.ndim == 4 and len(mask) != shape[0]):
        raise ValueError(f"the mask is {list(mask.shape)}, the batch {list(shape)}: sizes differ")
    return np.broadcast_to(mask, (shape[0], *shape[1:3], 1))
