"""Faces in a photograph: find them, crop each as the training pictures are cropped, paste restored crops back.

The generators know CelebA's aligned faces, cropped to 128x128 around x 89, y 121: the eyes lie at about x 0.348 and 0.645,
y 0.422 of the side. A `Box` is such a square, turned as the head is. The detector is scikit-image's local binary pattern
cascade, which knows upright frontal faces only, so that the picture is looked at turned, too; `alignment` then finds the
box of each, and says whether it is a face. Profiles are missed, and heads tilted by more than about 45 degrees.

References: Liao, Zhu, Lei, Zhang and Li, "Learning multi-scale block local binary patterns for face recognition", 2007;
scikit-image, `skimage.feature.Cascade`.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from PIL import Image
from scipy import ndimage

from ..images import luma
from .alignment import Box, fitted, points

# The long side of the picture that is searched. 640: at most about three seconds of one core, however large the photograph;
# a face is found when its crop is at least 5 % of the long side. 128: below, windows have too few sizes.
LONGEST, SHORTEST = 640, 128
LONGEST_TILTED = 400  # where the search is for tilted heads, which is the same again, twice
MARGIN = 1 / 8  # of the short side, edge pixels repeated: a picture that is one face has windows larger than itself

# What is looked at closer: enough windows that agree. The strength of a group counts its windows, each weighted by the area
# of the detector's step in units of a 24th of the window, since small windows are searched more densely.
MIN_STRENGTH = 4.0
MIN_SCORE = 0.3  # of the aligned box: 5 % of 8,000 training crops have less, 1 % of 4,908 windows of no face have over -0.2
TILTS = (0.0, -30.0, 30.0)  # degrees; the detector itself knows heads tilted by some 15
MIN_ANGLE = 3.0  # degrees: below, a crop is not turned, which would resample it
SCALE_STEP = 1.1
SAME_FACE = 0.4  # intersection over union of windows of one group; over the smaller one, of groups of which one is kept

# From the detector's mean window to the crop, in units of the window's side: medians over 600 evenly spaced training crops
# (`tools/calibrate_faces.py faces-train-000.tar --pictures 600`), of which 514 had one face, 86 none, and none several.
CROP_SIDE = 1.226  # quartiles 1.179 and 1.285: half of the crops have a side right to 5 %, some are off by 15 %
CROP_UP = 0.036  # quartiles 0.025 and 0.047; to the left it is 0 by symmetry (measured 0.000, -0.009 and 0.007)


# ------------------------------------------------------------------------------------------------------------ find


def find(image: np.ndarray) -> list[Box]:
    """The squares to crop, one for each frontal face, upright or tilted, largest first; the same for the same picture.

    The picture is searched at a long side of 128 to 640 pixels, so faces whose crop is under 5 % of a large
    photograph's long side are not found. No face: an empty list.

    Args:
      image: `[h, w, c]` in [-1, 1], c = 1 or 3.

    Raises:
      ValueError: another shape.
    """
    gray = _gray(image)[..., 0]
    faces: list[Box] = []
    aligned = [fitted().align(gray, crop_of(window)) for window in windows(image)]
    for box, score in sorted(aligned, key=lambda found: -found[1]):
        inside = all(0 <= at < length for at, length in zip(box.center, gray.shape))
        if score >= MIN_SCORE and inside and not any(_share(box, face) > SAME_FACE for face in faces):
            faces.append(box if abs(box.angle) >= MIN_ANGLE else box._replace(angle=0.0))
    return sorted(faces, key=lambda box: (-box.side, box.top, box.left))


def crop_of(window: Box) -> Box:
    """The square that a training picture is cropped by, as far as a window of the detector tells."""
    return window.moved((-CROP_UP, 0, math.log(CROP_SIDE), 0))


def windows(image: np.ndarray) -> list[Box]:
    """The detector's own squares, about from the brows' upper edge to the chin, of the picture as it is and turned by each
    of `TILTS`, strongest first of each; a face may be in several.

    Args, Raises: as `find`.
    """
    gray = _gray(image)
    height, width, _ = gray.shape
    found = []
    for tilt in TILTS:
        factor = np.clip(max(height, width), SHORTEST, LONGEST_TILTED if tilt else LONGEST) / max(height, width)
        rows, columns = (max(1, round(n * factor)) for n in (height, width))
        searched = _resample(gray, (0, height, rows), (0, width, columns))[..., 0].astype(np.float64)
        inside = (box for box in _tilted(searched, tilt) if 0 <= box.center[0] < rows and 0 <= box.center[1] < columns)
        found += [box.grown(height / rows) for box in inside]
    return found


def _gray(image: np.ndarray) -> np.ndarray:
    """`[h, w, 1]`. Raises ValueError as `find`."""
    if (channels := _checked_shape(image)[2]) not in (1, 3):
        raise ValueError(f"faces are searched in gray or RGB pictures, received {channels} channels")
    return luma(np.asarray(image, np.float32))


def _tilted(gray: np.ndarray, tilt: float) -> list[Box]:
    """The detector's squares in a picture that is looked at with the head tilted clockwise."""
    margin = math.ceil(min(gray.shape) * MARGIN)
    if tilt:
        turn, (long, short) = math.radians(abs(tilt)), sorted(gray.shape, reverse=True)
        side = math.ceil(long * math.cos(turn) + short * math.sin(turn)) + 2 * margin
        view = Box(gray.shape[0] / 2 - side / 2, gray.shape[1] / 2 - side / 2, side, tilt)
        seen = ndimage.map_coordinates(gray, points(view, side), order=1, mode="nearest")
    else:
        seen = np.pad(gray, margin, mode="edge")
    middle = Box(gray.shape[0] / 2 - 0.5, gray.shape[1] / 2 - 0.5, 1, tilt)
    return [
        middle.moved((top + side / 2 - seen.shape[0] / 2, left + side / 2 - seen.shape[1] / 2, math.log(side), 0))
        for top, left, side in _faces(seen)
    ]


def _share(box: Box, other: Box) -> float:
    """The common area of two boxes, as if both were upright, over the smaller one's."""
    one, two = (np.array([b[:3]]) for b in (box, other))
    return float(_overlap(one, two, np.minimum)[0, 0])


def _faces(gray: np.ndarray) -> list[np.ndarray]:
    """Mean windows (top, left, side) of the groups that may be faces, strongest first."""
    hits = _hits(gray)
    weights = _weights(hits[:, 2])
    faces: list[np.ndarray] = []
    for members in sorted(_groups(hits, weights), key=lambda members: -weights[members].sum()):
        if weights[members].sum() < MIN_STRENGTH:
            break
        mean = hits[members].mean(axis=0)
        if not any(_overlap(mean[None], face[None], np.minimum) > SAME_FACE for face in faces):
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
    """The square as float32 `[side, side, c]` in [-1, 1], by bicubic interpolation, antialiased when it is reduced; upright
    if the box is turned.

    Outside the picture its edge pixels are repeated.

    Args:
      image: `[h, w, c]` in [-1, 1].

    Raises:
      ValueError: an image of another shape, a side under 1, or a box that is no square of finite numbers.
    """
    _checked_shape(image)
    box = _checked_box(box)
    if side < 1:
        raise ValueError(f"side must be at least 1, received {side}")
    if not box.angle:
        return _resample(image, (box.top, box.top + box.side, side), (box.left, box.left + box.side, side))
    around = _around(box)
    pixels = max(1, round(side * around.side / box.side))
    upright, scale = crop(image, around, pixels), pixels / around.side

    def place(y, x):
        rows, columns = box.at(y / side, x / side)
        return (rows - around.top) * scale, (columns - around.left) * scale

    return _warped(upright, (side, side), place)


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
    box = _checked_box(box)
    if rows != columns or depth != channels:
        raise ValueError(f"the patch must be a square with {channels} channels, received {rows}x{columns}x{depth}")
    if not 0 <= feather <= 0.5:
        raise ValueError(f"feather must be in 0..0.5, received {feather}")
    result, around = np.array(photo, np.float32), _around(box)
    (first, last), (west, east) = _inside(around.top, around.side, height), _inside(around.left, around.side, width)
    if first >= last or west >= east:
        return result
    if box.angle:
        laid, mask = _laid_turned(patch, box, (first, last), (west, east), feather)
    else:
        laid = _resample(
            patch,
            *(
                ((start - origin) / box.side * rows, (stop - origin) / box.side * rows, stop - start)
                for start, stop, origin in ((first, last, box.top), (west, east, box.left))
            ),
        )
        across = [
            (np.arange(*span) + 0.5 - origin) / box.side
            for span, origin in (((first, last), box.top), ((west, east), box.left))
        ]
        mask = _opacity(across[0], feather)[:, None] * _opacity(across[1], feather)
    target = result[first:last, west:east]
    target[:] = mask[..., None] * laid + (1 - mask[..., None]) * target
    return result


def _laid_turned(patch, box: Box, rows: tuple[int, int], columns: tuple[int, int], feather: float):
    """(The patch as it lies on these pixels of the photograph, its opacity there)."""
    size = max(1, round(box.side))
    reduced = _resample(patch, (0, len(patch), size), (0, len(patch), size)) if size < len(patch) else patch
    (first, last), (west, east) = rows, columns
    laid = _warped(
        reduced, (last - first, east - west), lambda y, x: np.multiply(box.within(first + y, west + x), len(reduced))
    )
    down, right = box.within(np.arange(first, last)[:, None] + 0.5, np.arange(west, east) + 0.5)
    return laid, _opacity(down, feather) * _opacity(right, feather)


def _around(box: Box) -> Box:
    """The upright square around a turned one, and a little more."""
    if not box.angle:
        return box
    turn = math.radians(box.angle)
    side = 1.02 * box.side * (abs(math.cos(turn)) + abs(math.sin(turn)))
    return Box(box.center[0] - side / 2, box.center[1] - side / 2, side)


def _warped(image: np.ndarray, size: tuple[int, int], place) -> np.ndarray:
    """Float32 of a size (rows, columns), clipped to [-1, 1], by bicubic interpolation, which sees 4x4 pixels: what lies at
    the points of the picture that `place`, an affine map, has for those of the result."""
    origin, down, right = (np.array(place(y, x), np.float64) for y, x in ((0, 0), (1, 0), (0, 1)))
    (y_down, x_down), (y_right, x_right) = down - origin, right - origin
    how = (x_right, x_down, origin[1], y_right, y_down, origin[0])
    planes = [Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in np.moveaxis(image, -1, 0)]
    turned = [plane.transform(size[::-1], Image.Transform.AFFINE, how, Image.Resampling.BICUBIC) for plane in planes]
    return np.clip(np.dstack([np.asarray(plane) for plane in turned]), -1, 1)


def _inside(origin: float, side: float, length: int) -> tuple[int, int]:
    """The pixels [start, stop) of 0..length whose centers lie in [origin, origin + side)."""
    return max(0, math.ceil(origin - 0.5)), min(length, math.ceil(origin + side - 0.5))


def _opacity(across: np.ndarray, feather: float) -> np.ndarray:
    """float32: 3 t^2 - 2 t^3 of the distance to the rim in units of the feather, at shares of the way across the square."""
    t = np.clip(np.minimum(across, 1 - across) / max(feather, 1e-9), 0, 1)
    return (t * t * (3 - 2 * t)).astype(np.float32)


def _resample(image: np.ndarray, rows: tuple[float, float, int], columns: tuple[float, float, int]) -> np.ndarray:
    """Float32 `[n, m, c]` of the rectangle given by (start, stop, n) in rows and columns, clipped to [-1, 1]."""
    (top, bottom), down = _padded(rows, image.shape[0])
    (left, right), across = _padded(columns, image.shape[1])
    region = np.asarray(image[down][:, across], np.float32)
    size, box = (columns[2], rows[2]), (left, top, right, bottom)
    planes = [Image.fromarray(np.ascontiguousarray(region[..., c])) for c in range(region.shape[-1])]
    resized = [np.asarray(plane.resize(size, Image.Resampling.BICUBIC, box)) for plane in planes]
    return np.clip(np.dstack(resized), -1, 1)


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
    height, width, channels = shape
    return height, width, channels


def _checked_box(box: Box) -> Box:
    box = Box(*map(float, box))
    if not all(map(math.isfinite, box)) or box.side <= 0:
        raise ValueError(f"a box is (top, left, side, angle) with a positive side, received {tuple(box)}")
    return box
