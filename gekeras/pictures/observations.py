"""Picture files -> what the solver gets of them: a square, the faces of a photograph, or the tiles of a large picture.

Each way of cutting a picture knows how the restored pieces become a picture again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import images
from ..config import PictureOptions
from ..operators import Identity, Task, bicubic
from . import faces, tiles


@dataclass(frozen=True)
class Request:
    """What is asked of every picture of a call, by the task and the model's pictures.

    Attributes:
        task, resolution, channels: of the model.
        options: how a picture is cut and degraded.
        seed: of the degradation that `options.simulate` asks for.

    Raises:
        ValueError: a mask or a box for a task that has none, or neither for one that needs to know what is missing.
    """

    task: Task
    resolution: int
    channels: int
    options: PictureOptions = field(default_factory=PictureOptions)
    seed: int = 0

    def __post_init__(self):
        hole = self.options.mask is not None or self.options.box is not None
        if hole and not self.task.masked:
            raise ValueError(f"a mask or a box is for inpaint; {self.task.name} has none")
        if self.task.masked and not hole and not self.options.simulate:
            raise ValueError(f"{self.task.name} needs to know what is missing: give a mask or a box, or simulate")

    @property
    def side(self) -> int:
        """Side of a piece as it is read: of the picture when it is to be degraded, of the measurement otherwise."""
        return self.resolution if self.options.simulate else self.resolution // self.task.factor


@dataclass(frozen=True)
class Observation:
    """One input made ready: k pieces to solve, which become r pictures to score, which become one picture to write.

    Attributes:
        path: the file.
        measurements: `[k, h, w, c]`.
        known: `[k, h, w, 1]`, 1 where a pixel is known, or None.
        shown: what was observed, `[r, h', w', c]`, for people to look at.
        truth: `[r, H, W, c]`, or None where it is not known.
        join: restored pieces `[k, H, W, c]` -> pictures `[r, ...]`.
        place: pictures `[r, H, W, c]` -> the picture to write; with a number as its second argument, that is around them
            instead of the photograph they came from.
        note: what was done to the file, for the user.
    """

    path: Path
    measurements: np.ndarray
    known: np.ndarray | None
    shown: np.ndarray
    truth: np.ndarray | None
    join: Callable[[np.ndarray], np.ndarray]
    place: Callable[..., np.ndarray]
    note: str = ""


def observe(path: Path, request: Request) -> Observation:
    """Read a picture and cut it as asked.

    Raises:
        ValueError: an unreadable file, a picture that is too small, a mask of another size or all white, a box outside the
            picture, no face found, a reference of another size.
    """
    picture = images.read(path, request.channels)
    known = _known(path, picture.shape[:2], request)
    reference = request.options.reference
    truth = None if reference is None else images.read(reference, request.channels)
    if min(picture.shape[:2]) < request.side and not request.options.align:
        height, width, _ = picture.shape
        side, name = request.side, request.task.name
        raise images.ImageError(path, f"{width}x{height} is too small: {name} needs at least {side}x{side} here")
    cut = _faces if request.options.align else _tiles if request.options.tile else _square
    return cut(path, picture, known, truth, request)


def stack_pieces(items: list[Observation]) -> tuple[np.ndarray, np.ndarray | None]:
    """The measurements `[n, ...]` and masks `[n, h, w, 1]` of all inputs' pieces."""
    known = None if items[0].known is None else np.concatenate([item.known for item in items])
    return np.concatenate([item.measurements for item in items]), known


def places_of(items: list[Observation]) -> Iterator[tuple[Observation, slice]]:
    """Each input with the place of its pieces among those of all."""
    ends = np.cumsum([len(item.measurements) for item in items])
    return ((item, slice(end - len(item.measurements), end)) for item, end in zip(items, ends))


def _square(path, picture, known, truth, request: Request) -> Observation:
    """The center square, reduced to the model's size."""
    side, (height, width) = request.side, picture.shape[:2]
    square = images.fit(picture, side)[None]
    hole = None if known is None else _all_known(known, lambda mask: images.fit(mask, side))[None]
    note = (
        ""
        if (height, width) == (side, side)
        else f"{path.name}: {width}x{height} cropped square and reduced to {side}x{side}"
    )
    if truth is not None:
        if min(truth.shape[:2]) < request.resolution:
            raise images.ImageError(
                request.options.reference, f"a reference needs at least {request.resolution}x{request.resolution}"
            )
        truth = images.fit(truth, request.resolution)[None]
    y, hole = _measure(square, hole, request)
    return Observation(path, y, hole, y, _truth(square, truth, request), _same, _first, note)


def _tiles(path, picture, known, truth, request: Request) -> Observation:
    """Overlapping tiles. The degradation of a simulation is the whole picture's, so that tiles agree where they overlap."""
    factor, side = request.task.factor, request.resolution // request.task.factor
    unit = factor if request.options.simulate else 1
    height, width = (n // unit * unit for n in picture.shape[:2])
    whole = picture[None, :height, :width]
    y, hole = _measure(whole, None if known is None else known[None, :height, :width], request)
    pieces, places = tiles.split(y[0], side, side // 4)
    holes = None if hole is None else tiles.split(hole[0], side, side // 4)[0]
    if holes is not None and not holes.any(axis=(1, 2, 3)).all():
        raise images.ImageError(path, f"a tile of {side}x{side} lies in the hole: nothing is known that would fill it")
    size = y.shape[1:3]
    if truth is not None and truth.shape[:2] != (size[0] * factor, size[1] * factor):
        raise images.ImageError(
            request.options.reference, f"a reference for tiles must be {size[1] * factor}x{size[0] * factor}"
        )

    def join(restored):
        return tiles.blend(restored, places, size, factor)[None]

    note = f"{path.name}: {len(pieces)} tiles of {side}x{side}"
    return Observation(
        path, pieces, holes, y, _truth(whole, None if truth is None else truth[None], request), join, _first, note
    )


def _faces(path, picture, known, truth, request: Request) -> Observation:
    """The faces, each cropped as the training pictures were; put back into the photograph, which superres enlarges."""
    boxes = faces.find(picture)
    if not boxes:
        raise images.ImageError(path, "no face found; without alignment its center square is taken")
    if truth is not None and truth.shape != picture.shape:
        raise images.ImageError(
            request.options.reference, f"a reference for faces must be {picture.shape[1]}x{picture.shape[0]} too"
        )
    crops = np.stack([faces.crop(picture, box, request.side) for box in boxes])
    masks = [] if known is None else [_all_known(known, lambda m, b=box: faces.crop(m, b, request.side)) for box in boxes]
    true = None if truth is None else np.stack([faces.crop(truth, box, request.resolution) for box in boxes])
    y, hole = _measure(crops, np.stack(masks) if masks else None, request)
    grow = 1 if request.options.simulate else request.task.factor

    def place(restored, around=None):
        height, width, _ = picture.shape
        if around is not None:
            photo = np.full((grow * height, grow * width, restored.shape[-1]), around, np.float32)
        else:
            photo = picture if grow == 1 else enlarge(picture[None], grow)[0]
        for patch, box in zip(restored, boxes):
            photo = faces.paste(photo, patch, faces.Box(*(grow * number for number in box)))
        return photo

    places = ", ".join(f"{box.side:.0f} px at ({box.left:.0f}, {box.top:.0f})" for box in boxes)
    note = f"{path.name}: {len(boxes)} face{'s' if len(boxes) > 1 else ''}, {places}"
    return Observation(path, y, hole, y, _truth(crops, true, request), _same, place, note)


def _known(path: Path, shape: tuple[int, int], request: Request) -> np.ndarray | None:
    """`[h, w, 1]`, 1 where the picture is known, as the user's mask or box says; None where neither was given."""
    if request.options.mask is not None:
        mask = images.read(request.options.mask, 1)
        if mask.shape[:2] != shape:
            sizes = f"{mask.shape[1]}x{mask.shape[0]}, {path.name} is {shape[1]}x{shape[0]}"
            raise images.ImageError(request.options.mask, f"the mask is {sizes}: they must be of one size")
        known = (mask < 0).astype(np.float32)
        if not known.any():
            raise images.ImageError(request.options.mask, "the mask is all white: white is missing, and nothing is left")
        return known
    if request.options.box is None:
        return None
    x, y, width, height = request.options.box
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > shape[1] or y + height > shape[0]:
        raise images.ImageError(path, f"the box {x},{y},{width},{height} does not lie in the {shape[1]}x{shape[0]} picture")
    known = np.ones((*shape, 1), np.float32)
    known[y : y + height, x : x + width] = 0
    if not known.any():
        raise images.ImageError(path, "the box covers the whole picture: nothing is left")
    return known


def _all_known(known: np.ndarray, cut: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The mask cut as the picture is. A pixel is known if all that it was made of is: NaN spreads to all others."""
    return np.isfinite(cut(np.where(known > 0, known, np.float32(np.nan)))).astype(np.float32)


def _measure(pictures: np.ndarray, known, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
    """(y, mask) of pictures `[k, h, w, c]`: degraded if that is asked for, or as they are, without what is missing."""
    if known is not None:
        if not known.any(axis=(1, 2, 3)).all():
            raise ValueError("nothing is known of the part of the picture that is used: the mask covers it")
        return pictures * known, known
    if not request.options.simulate:
        return pictures, None
    y, mask = request.task.sample(pictures, np.array([request.seed, 0], np.int32))
    return np.asarray(y), None if mask is None else np.asarray(mask)


def _truth(pictures: np.ndarray, reference, request: Request) -> np.ndarray | None:
    """The reference; or the pictures themselves, if they were degraded here or are not degraded at all."""
    if reference is not None:
        return reference
    return pictures if request.options.simulate or isinstance(request.task.degrade, Identity) else None


def enlarge(pictures: np.ndarray, factor: int) -> np.ndarray:
    """Bicubic enlargement `[n, h, w, c]`, clipped to [-1, 1]."""
    return np.clip(bicubic(pictures, factor).numpy(), -1, 1)


def _same(pieces: np.ndarray) -> np.ndarray:
    return pieces


def _first(pictures: np.ndarray, around=None) -> np.ndarray:  # nothing is around it
    return pictures[0]
