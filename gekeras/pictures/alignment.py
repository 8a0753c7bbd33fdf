"""From a detector's rough square to the box that a training picture is cropped by: where, how large, how far turned; and
whether it is a face at all.

Supervised descent: the gradients of the picture inside a box (HOG) tell, by a linear map, how the box has to move; the maps
were fitted on training crops, whose boxes are known exactly, each map on what the one before it leaves. A last linear
function of the same gradients tells faces from what a detector takes for one.

References: Xiong and De la Torre, "Supervised descent method and its applications to face alignment", 2013; Dalal and
Triggs, "Histograms of oriented gradients for human detection", 2005. `tools/fit_face_alignment.py` fits the maps.
"""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from scipy import ndimage

WEIGHTS = Path(__file__).parent.parent / "assets" / "face-alignment.npz"
INNER = 0.68  # of a box's side: brows to lower lip; beyond it a training crop has no picture once it is turned
_Numbers = TypeVar("_Numbers", float, np.ndarray)
PIXELS = 48  # of the inner square that HOG sees


class Box(NamedTuple):
    """A square in float pixels, turned about its center: the corner of the first pixel is (0, 0), its center (0.5, 0.5).

    It may leave the picture. `top` and `left` are of the square before it is turned.
    """

    top: float
    left: float
    side: float
    angle: float = 0.0  # degrees, clockwise

    def __str__(self) -> str:
        turned = f", turned {self.angle:.0f} degrees" if self.angle else ""
        return f"{self.side:.0f} px at ({self.left:.0f}, {self.top:.0f}){turned}"

    @property
    def center(self) -> tuple[float, float]:
        """Row and column."""
        return self.top + self.side / 2, self.left + self.side / 2

    def grown(self, factor: float) -> Box:
        """In a picture that is so many times as large."""
        return Box(self.top * factor, self.left * factor, self.side * factor, self.angle)

    def holds(self, height: int, width: int) -> np.ndarray:
        """`[height, width]`: which pixels of a picture have their center inside."""
        down, right = self.within(np.arange(height)[:, None] + 0.5, np.arange(width) + 0.5)
        return (0 <= down) & (down < 1) & (0 <= right) & (right < 1)

    def at(self, down: _Numbers, right: _Numbers) -> tuple[_Numbers, _Numbers]:
        """The picture's point (row, column) at these shares of the side along the box's own axes: (0, 0) is its corner."""
        (sine, cosine), (y, x) = _direction(self), self.center
        down, right = (down - 0.5) * self.side, (right - 0.5) * self.side
        return y + cosine * down + sine * right, x + cosine * right - sine * down

    def within(self, y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The inverse of `at`: from 0 to 1 is inside."""
        (sine, cosine), (y, x) = _direction(self), (y - self.center[0], x - self.center[1])
        return (cosine * y - sine * x) / self.side + 0.5, (sine * y + cosine * x) / self.side + 0.5

    def moved(self, step) -> Box:
        """By (down, right) in units of its side along its own axes, the logarithm of the side, and an angle in degrees."""
        down, right, growth, turn = map(float, step)
        (y, x), side = self.at(0.5 + down, 0.5 + right), self.side * math.exp(growth)
        return Box(y - side / 2, x - side / 2, side, self.angle + turn)


def _direction(box: Box) -> tuple[float, float]:
    """Sine and cosine of the angle."""
    return math.sin(math.radians(box.angle)), math.cos(math.radians(box.angle))


def points(box: Box, count: int, share: float = 1.0) -> np.ndarray:
    """`[2, count, count]` rows and columns of the pixels of the box drawn upright, or of the `share` of its side around its
    center, in the units of `scipy.ndimage`, where a pixel's center is a whole number."""
    grid = ((np.arange(count) + 0.5) / count - 0.5) * share + 0.5
    return np.stack(box.at(*np.meshgrid(grid, grid, indexing="ij"))) - 0.5


def gradients(gray: np.ndarray, box: Box) -> np.ndarray:
    """HOG of what is inside a box, and a 1 for the constant, `[k]`; `gray` is `[h, w]`.

    A large picture is blurred first as reducing it asks for.
    """
    from skimage.feature import hog  # slow to import, and only this needs it

    step = INNER * box.side / PIXELS
    where = points(box, PIXELS, INNER)
    low = np.maximum(np.floor(where.min(axis=(1, 2))).astype(int) - 3 * math.ceil(step), 0)
    high = np.ceil(where.max(axis=(1, 2))).astype(int) + 3 * math.ceil(step) + 1
    region = gray[low[0] : max(high[0], low[0] + 1), low[1] : max(high[1], low[1] + 1)]
    if 0 in region.shape:
        region, low = gray, np.zeros(2, int)
    if step > 1:
        region = ndimage.gaussian_filter(region, 0.5 * math.sqrt(step**2 - 1), mode="nearest")
    seen = ndimage.map_coordinates(region, where - low[:, None, None], order=1, mode="nearest")
    return np.append(hog(seen, 9, (6, 6), (2, 2)), 1.0)


class Alignment(NamedTuple):
    """The fitted maps."""

    steps: np.ndarray  # `[stages, k, 4]`: HOG to a step of `Box.moved`
    face: np.ndarray  # `[k]`: HOG of the aligned box to a score, above 0 for a face

    def align(self, gray: np.ndarray, box: Box) -> tuple[Box, float]:
        """(The box of the face that a rough one is around, its score)."""
        for stage in self.steps:
            box = box.moved(gradients(gray, box) @ stage)
        return box, float(gradients(gray, box) @ self.face)


@functools.lru_cache(maxsize=1)
def fitted() -> Alignment:
    """The maps that the package has."""
    with np.load(WEIGHTS, allow_pickle=False) as there:
        return Alignment(there["steps"].astype(np.float64), there["face"].astype(np.float64))
