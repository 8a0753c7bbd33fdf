"""A part of a picture that panels mark and enlarge (Figures 10, 11 and 13 of the paper)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Left, top, width, height as shares of the side, in CelebA's frame as the faces presets have it: eyes at 0.42 of the height
# and 0.34 and 0.65 of the width, mouth at 0.74 and from 0.37 to 0.63.
NAMED = {"eyes": (0.17, 0.30, 0.66, 0.26), "mouth": (0.27, 0.58, 0.46, 0.27), "top": (0.0, 0.0, 1.0, 0.42)}
_RED = (0.9, -0.9, -0.9)
_SIDE = 384  # pixels of an enlarged picture


class Region(NamedTuple):
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """The part of `[h, w, c]` inside."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def check(text: str) -> None:
    """Raise ValueError for what names no region, "" being none at all, before its picture's size is known."""
    if text and text not in NAMED:
        _numbers(text)


def region_of(text: str, side: int) -> Region | None:
    """The region of a name, or of `x,y,width,height`, in pictures of a side; None of "".

    Raises:
        ValueError: another name, other numbers, or a rectangle that is not inside.

    Example:
        >>> region_of("eyes", 64)
        Region(left=11, top=19, width=42, height=17)
    """
    if not text:
        return None
    if text in NAMED:
        left, top, width, height = NAMED[text]
        return Region(*(round(share * side) for share in (left, top)), *(max(2, round(v * side)) for v in (width, height)))
    region = Region(*_numbers(text))
    if region.left + region.width > side or region.top + region.height > side:
        raise ValueError(f"region {text} does not lie in pictures of {side}x{side}")
    return region


def _numbers(text: str) -> list[int]:
    parts = text.split(",")
    if len(parts) == 4 and all(part.strip().isdecimal() for part in parts):
        numbers = [int(part) for part in parts]
        if min(numbers[2:]) >= 2:
            return numbers
    raise ValueError(f"region must be {', '.join(NAMED)}, or x,y,width,height in pixels, of 2 or more; received {text!r}")


def marked(image: np.ndarray, region: Region | None) -> np.ndarray:
    """`[h, w, c]` in [-1, 1] enlarged by a whole factor, in color, with a red frame around the region."""
    factor = max(1, _SIDE // max(image.shape[:2]))
    large = np.repeat(np.repeat(color(image), factor, axis=0), factor, axis=1)
    if region:
        left, top, width, height = (value * factor for value in region)
        line = max(1, _SIDE // 96)
        inside = large[top + line : top + height - line, left + line : left + width - line].copy()
        large[top : top + height, left : left + width] = _RED
        large[top + line : top + height - line, left + line : left + width - line] = inside
    return large


def color(image: np.ndarray) -> np.ndarray:
    """A picture of three channels."""
    return np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
