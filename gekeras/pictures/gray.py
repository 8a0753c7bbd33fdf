"""Gray pictures stay gray: which they are. What an RGB model makes of one is reduced to its `images.luma`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .. import images

_ROUNDING = 1.01 * 2 / 255  # a level of 8 bits on [-1, 1]: what a color profile or JPEG rounds apart


def is_gray(image: np.ndarray) -> bool:
    """Whether `[h, w, 1 or 3]` has no color: one channel, or three that are equal up to a level of 8 bits."""
    first = image[..., :1]
    return all(bool((np.abs(image[..., c : c + 1] - first) <= _ROUNDING).all()) for c in range(1, image.shape[-1]))


def kept(item, channels: int):
    """The `observations.Observation` of a gray file: its results are gray, too, and written with as many channels as the
    file has."""

    def join(pieces):
        return images.with_channels(images.luma(item.join(pieces)), pieces.shape[-1])

    def place(pictures, around=None):
        return item.place(pictures, around)[..., :channels]

    return replace(item, join=join, place=place)
