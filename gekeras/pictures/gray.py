"""Gray pictures stay gray: what an RGB model makes of one is reduced to its luma.

Reference: ITU-R BT.601, section 2.5.1.
"""

from __future__ import annotations

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # as `gekeras.images` has it
_ROUNDING = 1.01 * 2 / 255  # a level of 8 bits on [-1, 1]: what a color profile or JPEG rounds apart


def luma(image: np.ndarray) -> np.ndarray:
    """`[..., 3]` -> `[..., 1]`; one channel is returned as it is.

    Example:
        >>> luma(np.float32([[0.5, 0.5, 0.5], [1, -1, -1]])).round(3)
        array([[ 0.5  ],
               [-0.402]], dtype=float32)
    """
    return image if image.shape[-1] == 1 else (np.asarray(image, np.float32) @ LUMA)[..., None]


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """`[h, w, 1 or 3]` with that many: gray repeated, or the luma of colors."""
    if image.shape[-1] == channels:
        return image
    return np.repeat(image, channels, axis=-1) if image.shape[-1] == 1 else luma(image)


def is_gray(image: np.ndarray) -> bool:
    """Whether `[h, w, 1 or 3]` has no color: one channel, or three that are equal up to a level of 8 bits."""
    first = image[..., :1]
    return all(bool((np.abs(image[..., c : c + 1] - first) <= _ROUNDING).all()) for c in range(1, image.shape[-1]))
