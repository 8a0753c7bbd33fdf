"""Picture files -> what the solver gets of them: a square, the faces of a photograph, or the tiles of a large picture.

Each way of cutting a picture knows how the restored pieces become a picture again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import images
from ..config import PictureOptions
from ..operators import Identity, Task, bicubic
from . import doubts, faces, gray, holes, sizes, tiles


@dataclass(frozen=True)
class Request:
    """What is asked of every picture of a call, by the task and the model's pictures.

    Attributes:
        task, resolution, channels: of the model.
        options: how a picture is cut and degraded.
        seed: of the degradation that `options.simulate` asks for.

    Raises:
        ValueError: a mask or a box for a task that has none, or neither for one that needs to know what is missing; reduce
            for another task than superres; tiles or faces that would not grow by a whole factor.
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
        if self.options.reduce and not self.task.sizable:
            raise ValueError(f"reduce is for superres; {self.task.name} has no use for it")
        pasted = self.options.tile or (self.options.align and not self.options.simulate)
        if pasted and int(self.task.factor) != self.task.factor:
            rule = f"tiles and faces grow by a whole factor: size must divide {self.resolution}"
            raise ValueError(f"{rule}; received {self.resolution // self.task.factor}")

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
        join: restored pieces `[k, H, W, c]` -> pictures `[r, ...]`, gray if the file is.
        place: pictures `[r, H, W, c]` -> the picture to write; with a number as its second argument, that is around them
            instead of the photograph they came from.
        task: whose measurements these are: of superres of the file's own size.
        size: (height, width) of the file as read; (0, 0) of an observation that is of no file.
        boxes: (left, top, side, degrees clockwise) in pixels of the file of each face that is a piece; None where no faces
            were looked for.
        note: what was done to the file, for the user.
    """

    path: Path
    measurements: np.ndarray
    known: np.ndarray | None
    shown: np.ndarray
    truth: np.ndarray | None
    join: Callable[[np.ndarray], np.ndarray]
    place: Callable[..., np.ndarray]
    task: Task
    size: tuple[int, int] = (0, 0)
    boxes: list[tuple[float, float, float, float]] | None = None
    note: str = ""


class _Reference(NamedTuple):
    """The file that a result is compared with."""

    path: Path
    image: np.ndarray


class NoFace(images.ImageError):
    """A photograph in which no face was found."""


def observe_all(paths: list[Path], request: Request, tell: Callable[[str], None] = lambda text: None) -> list[Observation]:
    """`observe` each. Photographs without a face are refused together, or left out if the options skip them.

    Args:
        tell: called with a line that names what was left out.

    Raises:
        ValueError: as `observe`; no face in some photographs, or, if they are skipped, in all.
    """
    items, faceless = [], []
    for path in paths:
        try:
            items.append(observe(path, request))
        except NoFace:
            if len(paths) == 1:
                raise
            faceless.append(path)
    names = ", ".join(map(str, faceless))
    if faceless and not items:
        raise ValueError(f"no face found in {names}: nothing is left")
    if faceless and not request.options.skip_faceless:
        raise ValueError(f"no face found in {names}; --skip-faceless leaves {'these' if faceless[1:] else 'it'} out")
    if faceless:
        tell(f"no face found in {names}: left out")
    return items


def observe(path: Path, request: Request) -> Observation:
    """Read a picture and cut it as asked.

    Raises:
        NoFace: a photograph in which `align` finds none.
        ValueError: an unreadable file, a picture that is too small or, for superres, too large, a mask or a box as
            `holes.find` refuses it or that lies beside what is solved, a reference of another size.
    """
    options = request.options
    source = images.read(path, levels=options.levels)
    picture = images.with_channels(source, request.channels)
    size = (picture.shape[0], picture.shape[1])
    hole = holes.find(path, size, options)
    truth, narrow = None, _narrow(path, source, options)
    if options.reference is not None:
        truth = _Reference(options.reference, images.read(options.reference, request.channels, options.levels))
        narrow = _notes(narrow, _narrow(*truth, options))
    request = _as_it_is(path, size, request)
    if min(size) < request.side and not options.align:
        (height, width), side, name = size, request.side, request.task.name
        raise images.ImageError(path, f"{width}x{height} is too small: {name} needs at least {side}x{side} here")
    cut = _faces if options.align else _tiles if options.tile else _square
    item = cut(path, picture, None if hole is None else hole.known, truth, request)
    colorless = gray.is_gray(source)
    dropped = "" if colorless or request.channels == 3 else f"{path.name}: colors dropped, the model's pictures are gray"
    doubtful = "" if options.simulate else doubts.doubt(path.name, request.task, item.measurements)
    note = _notes(narrow, hole and hole.note, dropped, item.note, doubtful)
    item = replace(item, size=size, note=note)
    return gray.kept(item, source.shape[-1]) if colorless and request.channels == 3 else item


def _as_it_is(path: Path, size: tuple[int, int], request: Request) -> Request:
    """The request for a picture of (height, width): one that superres takes as it is is a measurement of its own size.

    Raises ImageError for one that is too large, or that there is nothing to reduce of.
    """
    if not request.task.sizable:
        return request
    if request.options.reduce:
        sizes.check_larger(path, size, request.side)
    if not request.options.as_it_is:
        return request
    sizes.check_smaller(path, size, request.resolution)
    return replace(request, task=request.task.of_size(min(size), request.resolution))


def _narrow(path: Path, picture: np.ndarray, options: PictureOptions) -> str:
    """What to say of a file whose values use little of their range; nothing if the user said what they mean."""
    return "" if options.levels else images.small_range(path, picture)


def _notes(*notes: str | None) -> str:
    return "; ".join(filter(None, notes))


def stack_pieces(items: list[Observation]) -> tuple[np.ndarray, np.ndarray | None]:
    """The measurements `[n, ...]` and masks `[n, h, w, 1]` of all inputs' pieces."""
    known = None if items[0].known is None else np.concatenate([item.known for item in items])
    return np.concatenate([item.measurements for item in items]), known


def places_of(items: list[Observation]) -> Iterator[tuple[Observation, slice]]:
    """Each input with the place of its pieces among those of all."""
    ends = np.cumsum([len(item.measurements) for item in items])
    return ((item, slice(end - len(item.measurements), end)) for item, end in zip(items, ends))


def _square(path, picture, known, reference: _Reference | None, request: Request) -> Observation:
    """The center square, reduced to the model's size."""
    side = request.side
    square = images.fit(picture, side)[None]
    hole = None if known is None else holes.cut_known(known, lambda mask: images.fit(mask, side))[None]
    if hole is not None:
        holes.check_square(path, picture.shape[:2], hole)
    seen = None if request.options.simulate else request.task.seen(request.resolution)
    note = sizes.described(path.name, picture.shape[:2], side, seen)
    truth = None
    if reference is not None:
        (height, width, _), full = reference.image.shape, request.resolution
        if min(height, width) < full:
            raise images.ImageError(reference.path, f"a reference needs at least {full}x{full}")
        told = sizes.described(reference.path.name, (height, width), full)
        note, truth = _notes(note, told), images.fit(reference.image, full)[None]
    y, hole = _measure(square, hole, request)
    return Observation(path, y, hole, y, _truth(square, truth, request), _same, _first, request.task, note=note)


def _tiles(path, picture, known, reference: _Reference | None, request: Request) -> Observation:
    """Overlapping tiles. The degradation of a simulation is the whole picture's, so that tiles agree where they overlap."""
    factor, side = int(request.task.factor), request.resolution // request.task.factor  # whole, or refused by `Request`
    unit = factor if request.options.simulate else 1
    height, width = (n // unit * unit for n in picture.shape[:2])
    whole = picture[None, :height, :width]
    y, hole = _measure(whole, None if known is None else known[None, :height, :width], request)
    pieces, places = tiles.split(y[0], side, side // 4)
    parts = None if hole is None else tiles.split(hole[0], side, side // 4)[0]
    if parts is not None and not parts.any(axis=(1, 2, 3)).all():
        raise images.ImageError(path, f"a tile of {side}x{side} lies in the hole: nothing is known that would fill it")
    size = (y.shape[1], y.shape[2])
    if reference is not None and reference.image.shape[:2] != (size[0] * factor, size[1] * factor):
        raise images.ImageError(reference.path, f"a reference for tiles must be {size[1] * factor}x{size[0] * factor}")

    def join(restored):
        return tiles.blend(restored, places, size, factor)[None]

    cropped = f", of its upper left {width}x{height}" if (height, width) != picture.shape[:2] else ""
    note = f"{path.name}: {len(pieces)} tile{'s' if len(pieces) > 1 else ''} of {side}x{side}{cropped}"
    truth = _truth(whole, None if reference is None else reference.image[None], request)
    return Observation(path, pieces, parts, y, truth, join, _first, request.task, note=note)


def _faces(path, picture, known, reference: _Reference | None, request: Request) -> Observation:
    """The faces, each cropped as the training pictures were; put back into the photograph, which superres enlarges."""
    found = faces.find(picture)
    if not found:
        large = request.task.sizable and not request.options.simulate and max(picture.shape[:2]) >= request.resolution
        way = "--reduce instead takes its center square" if large else "without alignment its center square is taken"
        raise NoFace(path, f"no face found; {way}")
    if reference is not None and reference.image.shape != picture.shape:
        raise images.ImageError(reference.path, f"a reference for faces must be {picture.shape[1]}x{picture.shape[0]} too")
    boxes, hole, note = found, None, ""
    if known is not None:
        boxes, hole, note = _holed_faces(path, known, found, request.side)
    crops = np.stack([faces.crop(picture, box, request.side) for box in boxes])
    true = None
    if reference is not None:
        true = np.stack([faces.crop(reference.image, box, request.resolution) for box in boxes])
    y, hole = _measure(crops, hole, request)
    grow = 1 if request.options.simulate else int(request.task.factor)  # whole, or refused by `Request`

    def place(restored, around=None):
        height, width, _ = picture.shape
        if around is not None:
            photo = np.full((grow * height, grow * width, restored.shape[-1]), around, np.float32)
        else:
            photo = picture if grow == 1 else enlarge(picture[None], grow)[0]
        for patch, box in zip(restored, boxes):
            box = box.grown(grow)
            pasted = faces.paste(photo, patch, box)
            if known is not None:  # what is missing must not shine through the soft rim
                pasted = np.where(known > 0, pasted, faces.paste(photo, patch, box, feather=0))
            photo = pasted
        return photo

    places = ", ".join(map(str, boxes))
    note = f"{path.name}: {len(boxes)} face{'s' if len(boxes) > 1 else ''}, {places}{note}"
    corners = [(box.left, box.top, box.side, box.angle) for box in boxes]
    truth = _truth(crops, true, request)
    return Observation(path, y, hole, y, truth, _same, place, request.task, boxes=corners, note=note)


def _holed_faces(path: Path, known: np.ndarray, boxes: list[faces.Box], side: int):
    """(the faces of which something is missing, their masks `[k, side, side, 1]`, a note on the rest)."""
    masks = [holes.cut_known(known, partial(faces.crop, box=box, side=side)) for box in boxes]
    holed = [(box, mask) for box, mask in zip(boxes, masks) if not mask.all()]
    if not holed:
        places = ", ".join(map(str, boxes))
        raise images.ImageError(path, f"what is missing lies outside of every face ({places}); --tile uses all of a picture")
    kept, masks = zip(*holed)
    if not all(mask.any() for mask in masks):
        raise images.ImageError(path, "nothing is known of a face: the hole covers it")
    whole, beside = len(boxes) - len(kept), holes.outside(known, kept)
    note = f"; nothing is missing of {whole} more, left as found" if whole else ""
    note += f"; {beside:.1%} of what is missing lies outside of the faces and stays as it is" if beside else ""
    return list(kept), np.stack(masks), note


def _measure(pictures: np.ndarray, known, request: Request) -> tuple[np.ndarray, np.ndarray | None]:
    """(y, mask) of pictures `[k, h, w, c]`: degraded if that is asked for, or as they are, without what is missing."""
    if known is not None:
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


def enlarge(pictures: np.ndarray, factor: int | Fraction) -> np.ndarray:
    """Bicubic enlargement `[n, h, w, c]`, clipped to [-1, 1]."""
    return np.clip(bicubic(pictures, factor).numpy(), -1, 1)


def _same(pieces: np.ndarray) -> np.ndarray:
    return pieces


def _first(pictures: np.ndarray, around=None) -> np.ndarray:  # nothing is around it
    return pictures[0]
