"""Faces in a photograph: find them, crop each as the training pictures are cropped, paste restored crops back.

The generators know CelebA's aligned faces, cropped to 128x128 around x 89, y 121: the eyes lie at about x 0.348 and 0.645,
y 0.422 of the side. A `Box` is such a square. The detector is scikit-image's local binary pattern cascade, which knows
upright frontal faces only: profiles and heads tilted by more than about 15 degrees are missed, and nothing is rotated.

References: Liao, Zhu, Lei, Zhang and Li, "Learning multi-scale block local binary patterns for face recognition", 2007;
scikit-image, `skimage.feature.Cascade`.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
from PIL import Image

from ..images import luma

# The long side of the picture that is searched. 640: at most about three seconds of one core, however large the photograph;
# a face is found when its crop is at least 5 % of the long side. 128: below, windows have too few sizes.
LONGEST, SHORTEST = 640, 128
MARGIN = 1 / 8  # of the short side, edge pixels repeated: a picture that is one face has windows larger than itself

# What a face is: enough windows that agree. The strength of a group counts its windows, each weighted by the area of the
# detector's step in units of a 24th of the window, since small windows are searched more densely. In the 14 pictures of
# `skimage.data` that were tried, `astronaut` at six sizes, the strongest wrong group had 15.3 (its helmet's visor; 8.9 in
# the others) and the astronaut's face 27 to 54. Of 200 training crops 94 % have a strength of 6, 88 % of 12, 86 % of 16
# and 82 % of 20: the threshold prefers a missed face to a wrong one.
MIN_STRENGTH = 16.0
MIN_EACH = 3  # windows in the picture and in its mirror image: a face is one in both, chance resemblances rarely are
SCALE_STEP = 1.1
SAME_FACE = 0.4  # intersection over union of windows of one group; over the smaller one, of groups of which one is kept

# From the detector's mean window to the crop, in units of the window's side: medians over 600 evenly spaced training crops
# (`tools/calibrate_faces.py faces-train-000.tar --pictures 600`), of which 514 had one face, 86 none, and none several.
CROP_SIDE = 1.226  # quartiles 1.179 and 1.285: half of the crops have a side right to 5 %, some are off by 15 %
CROP_UP = 0.036  # quartiles 0.025 and 0.047; to the left it is 0 by symmetry (measured 0.000, -0.009 and 0.007)


class Box(NamedTuple):
    """A square in float pixels: the corner of the first pixel is (0, 0), its center (0.5, 0.5). May leave the picture."""

    top: float
    left: float
    side: float


# ------------------------------------------------------------------------------------------------------------ find


def find(image: np.ndarray) -> list[Box]:
    """The squares to crop, one for each upright frontal face, largest first; the same for the same picture.

    The picture is searched at a long side of 128 to 640 pixels, so faces whose crop is under 5 % of a large
    photograph's long side are not found. No face: an empty list.

    Args:
      image: `[h, w, c]` in [-1, 1], c = 1 or 3.

    Raises:
      ValueError: another shape.
    """
    return [_crop_of(window) for window in windows(image)]


def _crop_of(window: Box) -> Box:
    side = window.side * CROP_SIDE
    margin = (side - window.side) / 2
    return Box(window.top - margin - CROP_UP * window.side, window.left - margin, side)


def windows(image: np.ndarray) -> list[Box]:
    """The detector's own squares, about from the brows' upper edge to the chin, before the map to the crop.

    Args, Raises: as `find`. Largest first.
    """
    height, width, channels = _checked_shape(image)
    if channels not in (1, 3):
        raise ValueError(f"faces are searched in gray or RGB pictures, received {channels} channels")
    gray = luma(np.asarray(image, np.float32))
    factor = np.clip(max(height, width), SHORTEST, LONGEST) / max(height, width)
    rows, columns = (max(1, round(n * factor)) for n in (height, width))
    searched = _resample(gray, (0, height, rows), (0, width, columns))[..., 0]
    margin = math.ceil(min(rows, columns) * MARGIN)
    found = _faces(np.pad(searched.astype(np.float64), margin, mode="edge"))
    scale = np.array([height / rows, width / columns])  # equal but for the rounding
    boxes = []
    for top, left, side in found:
        y, x = np.array([top - margin + side / 2, left - margin + side / 2]) * scale
        if 0 <= y < height and 0 <= x < width:
            half = side * scale.mean() / 2
            boxes.append(Box(float(y - half), float(x - half), float(2 * half)))
    return sorted(boxes, key=lambda box: (-box.side, box.top, box.left))


def _faces(gray: np.ndarray) -> list[np.ndarray]:
    """Mean windows (top, left, side) of the groups that are faces, strongest first."""
    here, there = _hits(gray), _hits(gray[:, ::-1])
    there[:, 1] = gray.shape[1] - there[:, 1] - there[:, 2]
    hits, mirrored = np.concatenate([here, there]), np.repeat([False, True], [len(here), len(there)])
    weights = _weights(hits[:, 2])
    faces = []
    for members in sorted(_groups(hits, weights), key=lambda members: -weights[members].sum()):
        if weights[members].sum() < MIN_STRENGTH:
            break
        each = min(mirrored[members].sum(), (~mirrored[members]).sum())
        mean = hits[members].mean(axis=0)
        if each >= MIN_EACH and not any(_overlap(mean[None], face[None], np.minimum) > SAME_FACE for face in faces):
            faces.append(mean)
    return faces


@functools.lru_cache(maxsize=1)
def _cascade():
    import skimage.data
    from skimage.feature import Cascade  # slow to import, and only this needs it

    return Cascade(skimage.data.lbp_frontal_face_cascade_filename())


def _hits(gray: np.ndarray) -> np.ndarray:
    """Every window (top, left, side) that the cascade accepts, `[n, 3]`, in the order of the rows."""
    # The mean is removed because the detector sums the picture in float32, which is exact enough around zero only.
    gray = np.ascontiguousarray(gray - gray.mean())
    limit = (min(gray.shape), min(gray.shape))
    # One window is enough (1), none are merged (1.0): with several threads the detector's own grouping depends on their
    # order. By position, since the names of these two arguments differ between releases.
    found = _cascade().detect_multi_scale(gray, SCALE_STEP, 1.0, (24, 24), limit, 1, 1.0)
    return np.array(sorted((hit["r"], hit["c"], hit["width"]) for hit in found), np.float64).reshape(-1, 3)


def _weights(sides: np.ndarray) -> np.ndarray:
    """(step / (side / 24))^2, where the detector steps by side / 24 rounded to whole pixels."""
    relative = sides / 24
    return (np.maximum(np.rint(relative), 1) / relative) ** 2


def _groups(hits: np.ndarray, weights: np.ndarray) -> list[np.ndarray]:
    """Indices of the windows of each group: around the window with the heaviest neighborhood, then around the next."""
    near = _overlap(hits, hits, None) > SAME_FACE
    neighborhood, left, groups = near @ weights, np.ones(len(hits), bool), []
    while left.any():
        center = np.argmax(np.where(left, neighborhood, -1))
        members = np.flatnonzero(near[center] & left)
        groups.append(members)
        left[members] = False
        neighborhood = neighborhood - near[:, members] @ weights[members]
    return groups


def _overlap(a: np.ndarray, b: np.ndarray, smaller) -> np.ndarray:
    """`[n, m]` intersections of squares `[n, 3]` and `[m, 3]` over their union, or over `smaller(area, area)`."""
    ends_a, ends_b = a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:]
    common = np.minimum(ends_a, ends_b) - np.maximum(a[:, None, :2], b[None, :, :2])
    shared = np.clip(common, 0, None).prod(axis=-1)
    areas = a[:, None, 2] ** 2, b[None, :, 2] ** 2
    return shared / (smaller(*areas) if smaller else areas[0] + areas[1] - shared)


# --------------------------------------------------------------------------------------------------- crop and paste


def crop(image: np.ndarray, box: Box, side: int) -> np.ndarray:
    """The square as float32 `[side, side, c]` in [-1, 1], by bicubic interpolation, antialiased when it is reduced.

    Outside the picture its edge pixels are repeated.

    Args:
      image: `[h, w, c]` in [-1, 1].

    Raises:
      ValueError: an image of another shape, a side under 1, or a box that is no square of finite numbers.
    """
    _checked_shape(image)
    top, left, length = _checked_box(box)
    if side < 1:
        raise ValueError(f"side must be at least 1, received {side}")
    return _resample(image, (top, top + length, side), (left, left + length, side))


def paste(photo: np.ndarray, patch: np.ndarray, box: Box, feather: float = 0.15) -> np.ndarray:
    """A copy of the photograph, float32 `[h, w, c]`, with the patch laid over the square.

    The patch is resampled as `crop` does. Its opacity is 1 inside and falls smoothly to 0 at the rim of the square, over
    `feather` of the side. What leaves the photograph is dropped, and pixels whose center is outside the square keep
    their values exactly.

    Args:
      photo: `[h, w, c]` in [-1, 1].
      patch: `[p, p, c]` in [-1, 1], of any size p.
      feather: 0 (a hard edge) to 0.5.

    Raises:
      ValueError: shapes that do not fit, a bad box or feather.
    """
    height, width, channels = _checked_shape(photo)
    rows, columns, depth = _checked_shape(patch)
    top, left, side = _checked_box(box)
    if rows != columns or depth != channels:
        raise ValueError(f"the patch must be a square with {channels} channels, received {rows}x{columns}x{depth}")
    if not 0 <= feather <= 0.5:
        raise ValueError(f"feather must be in 0..0.5, received {feather}")
    result = np.array(photo, np.float32)
    spans = _inside(top, side, height), _inside(left, side, width)
    if any(start >= stop for start, stop in spans):
        return result
    sources = [
        ((start - origin) / side * rows, (stop - origin) / side * rows, stop - start)
        for (start, stop), origin in zip(spans, (top, left))
    ]
    (first, last), (west, east) = spans
    mask = _opacity(first, last, top, side, feather)[:, None, None] * _opacity(west, east, left, side, feather)[:, None]
    target = result[first:last, west:east]
    target[:] = mask * _resample(patch, *sources) + (1 - mask) * target
    return result


def _inside(origin: float, side: float, length: int) -> tuple[int, int]:
    """The pixels [start, stop) of 0..length whose centers lie in [origin, origin + side)."""
    return max(0, math.ceil(origin - 0.5)), min(length, math.ceil(origin + side - 0.5))


def _opacity(start: int, stop: int, origin: float, side: float, feather: float) -> np.ndarray:
    """float32 `[stop - start]`: 3 t^2 - 2 t^3 of the distance to the rim in units of the feather."""
    across = (np.arange(start, stop) + 0.5 - origin) / side
    t = np.clip(np.minimum(across, 1 - across) / max(feather, 1e-9), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _resample(image: np.ndarray, rows: tuple[float, float, int], columns: tuple[float, float, int]) -> np.ndarray:
    """Float32 `[n, m, c]` of the rectangle given by (start, stop, n) in rows and columns, clipped to [-1, 1]."""
    (top, bottom), down = _padded(rows, image.shape[0])
    (left, right), across = _padded(columns, image.shape[1])
    region = np.asarray(image[down][:, across], np.float32)
    size, box = (columns[2], rows[2]), (left, top, right, bottom)
    planes = [Image.fromarray(np.ascontiguousarray(region[..., c])) for c in range(region.shape[-1])]
    return np.clip(np.dstack([plane.resize(size, Image.Resampling.BICUBIC, box) for plane in planes]), -1, 1)


def _padded(axis: tuple[float, float, int], length: int) -> tuple[tuple[float, float], np.ndarray]:
    """The interval measured from the first of the source pixels it needs, and their indices, edges repeated."""
    start, stop, n = axis
    support = math.ceil(2 * max(1.0, (stop - start) / n)) + 1  # Pillow's cubic reaches 2 pixels of the coarser grid
    first = math.floor(start) - support
    indices = np.arange(first, math.ceil(stop) + support)
    return (start - first, stop - first), np.clip(indices, 0, length - 1)


def _checked_shape(image: np.ndarray) -> tuple[int, int, int]:
    shape = np.shape(image)
    if len(shape) != 3 or 0 in shape:
        raise ValueError(f"an image has shape [h, w, c], received {list(shape)}")
    return shape


def _checked_box(box: Box) -> Box:
    box = Box(*map(float, box))
    if not all(map(math.isfinite, box)) or box.side <= 0:
        raise ValueError(f"a box is (top, left, side) with a positive side, received {tuple(box)}")
    return box
