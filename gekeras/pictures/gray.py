"""Gray pictures stay gray: which they are. What an RGB model makes of one is reduced to its `images.luma`."""

from __future__ import annotations

import numpy as np

_ROUNDING = 1.01 * 2 / 255  # a level of 8 bits on [-1, 1]: what a color profile or JPEG rounds apart


def is_gray(image: np.ndarray) -> bool:
    """Whether `[h, w, 1 or 3]` has no color: one channel, or three that are equal up to a level of 8 bits."""
    first = image[..., :1]
    return all(bool((np.abs(image[..., c : c + 1] - first) <= _ROUNDING).all()) for c in range(1, image.shape[-1]))
