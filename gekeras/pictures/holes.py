"""What is missing of a picture: a mask or a box as the user means it, or a line that says what was found instead.

White, or half way to it, is missing; black is known. Beyond that a mask means something only where it can mean one thing:

* two values, one of them black: the other is missing, whatever it is. So masks of 0 and 1, labels, and one color on black;
* transparent pixels count as black: nothing was drawn there;
* other colors, and pictures that are gray all over, are refused.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from .. import images
from ..config import PictureOptions
from ..formats import tiff
from ..messages import reason_of

_COLORED = 32 / 255  # channels of a pixel that are further apart: not the noise of a JPEG
_CLEAR = 1 / 8  # as near to black or white as that is one or the other, noise included


class Hole(NamedTuple):
    """What is known of a picture, `[h, w, 1]`: 1, or 0 where it is missing; and how a mask was understood, for the user."""

    known: np.ndarray
    note: str = ""


def find(path: Path, shape: tuple[int, int], options: PictureOptions) -> Hole | None:
    """The user's mask or box for the picture at `path` of that (height, width); None where neither was given.

    Raises:
        ImageError: a mask of another size or as `read_mask` refuses it, or a box outside the picture or all of it.
    """
    if options.box is not None:
        return Hole(_of_box(path, shape, options.box))
    if options.mask is None:
        return None
    height, width = images.size(options.mask)
    if (height, width) != shape:
        sizes = f"{width}x{height}, {path.name} is {shape[1]}x{shape[0]}"
        raise images.ImageError(options.mask, f"the mask is {sizes}: they must be of one size")
    return read_mask(options.mask)


def _of_box(path: Path, shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    x, y, width, height = box
    if x < 0 or y < 0 or width < 1 or height < 1 or x + width > shape[1] or y + height > shape[0]:
        raise images.ImageError(path, f"the box {x},{y},{width},{height} does not lie in the {shape[1]}x{shape[0]} picture")
    known = np.ones((*shape, 1), np.float32)
    known[y : y + height, x : x + width] = 0
    if not known.any():
        raise images.ImageError(path, "the box covers the whole picture: nothing is left")
    return known


def read_mask(path: Path) -> Hole:
    """A mask file, see the module.

    Raises:
        ImageError: no picture; no mask, by its colors; nothing missing, or everything.
    """
    values, most, transparent = _values(path)
    black = (values == 0).all(axis=-1)
    others = values[~black]
    notes = ["transparent counts as black, as known"] if transparent else []
    if len(others) and black.any() and (others == others[0]).all():
        missing = ~black
        if others[0].min() < 0.5:
            notes.append(f"it has two values, black and {_name(others[0], most)}, which is taken as missing")
    else:
        _check_gray(path, values, most)
        missing = values.mean(axis=-1) >= 0.5
    if not missing.any():
        found = f"its brightest value is {_name(values.reshape(-1, values.shape[-1]).max(axis=0), most)}"
        clear = ", transparent counting as black" if transparent else ""
        raise images.ImageError(path, f"the mask has no white pixel: nothing is missing ({found}{clear})")
    if missing.all():
        raise images.ImageError(path, "the mask is all white: white is missing, and nothing is left")
    note = f"{path.name}: {'; '.join(notes)} ({missing.mean():.1%} of the picture)" if notes else ""
    return Hole(1 - missing[..., None].astype(np.float32), note)


def _check_gray(path: Path, values: np.ndarray, most: int) -> None:
    """Raise ImageError for colors, or for a picture that is neither black nor white over more than half of it."""
    colored = np.ptp(values, axis=-1) > _COLORED
    if colored.any():
        y, x = np.argwhere(colored)[0]
        found = f"{_name(values[y, x], most)} at x {x}, y {y}, and colored pixels are {colored.mean():.1%} of it"
        raise images.ImageError(path, f"the mask has colors ({found}); draw what is missing in white on black")
    between = (np.abs(values.mean(axis=-1) - 0.5) < 0.5 - _CLEAR).mean()
    if between > 0.5:
        raise images.ImageError(
            path, f"{between:.0%} of the mask is gray, neither black nor white; draw what is missing in white on black"
        )


def _values(path: Path) -> tuple[np.ndarray, int, bool]:
    """(`[h, w, c]` in [0, 1], black where transparent; the number that 1 is in the file; whether any is transparent)."""
    values = (images.read(path) + 1) / 2  # over white; also refuses all that is no single picture
    try:
        return _drawn(path, values)
    except Exception as error:  # what Pillow decodes around, and this does not: ZeroDivisionError, formats.Refused, ...
        raise images.ImageError(path, f"damaged or truncated image ({reason_of(error)})") from error


def _drawn(path: Path, values: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """`_values` of what `images` made of a file, over white."""
    with warnings.catch_warnings(), open(path, "rb") as file:
        warnings.simplefilter("ignore")
        if tiff.is_tiff(file):
            return _of_tiff(file, values)
        picture = ImageOps.exif_transpose(Image.open(file))
        deep = picture.mode.startswith("I")
        most = 65535 if deep else 1 if picture.mode == "F" else 255
        if not picture.has_transparency_data:
            return values, most, False
        if deep:
            drawn = np.atleast_3d(np.asarray(picture)) != picture.info["transparency"]
        else:
            layers = np.asarray(picture.convert("RGBA"))
            values, drawn = layers[..., :3] / np.float32(255), layers[..., 3:] >= 128
    return np.where(drawn, values, np.float32(0)), most, not drawn.all()


def _of_tiff(file: BinaryIO, values: np.ndarray) -> tuple[np.ndarray, int, bool]:
    """`_values` of a TIFF, some of which Pillow does not decode, by what `images` made of it, over white."""
    with tiff.opened(file) as pages:
        page = tiff.the_page(pages)
        most, place = tiff.full_scale(page), tiff.opacity(page)
        if place is None:
            return values, int(most), False
        opacity = tiff.upright(tiff.samples(page)[..., place : place + 1] / np.float32(most), tiff.orientation(page))
    drawn = opacity >= 0.5
    values = np.clip(1 - (1 - values) / np.where(drawn, opacity, 1), 0, 1)
    return np.where(drawn, values, np.float32(0)), int(most), not drawn.all()


def _name(value: np.ndarray, most: int) -> str:
    """`1 of 255` or `the color (128, 0, 0)`."""
    levels = [f"{level:.4g}" for level in value * most]
    return f"{levels[0]} of {most}" if len(set(levels)) == 1 else f"the color ({', '.join(levels)})"


# ------------------------------------------------------------------------------------------ the parts that are solved


def cut_known(known: np.ndarray, cut: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The mask cut as the picture is. A pixel is known if all that it was made of is: NaN spreads to all others."""
    return np.isfinite(cut(np.where(known > 0, known, np.float32(np.nan)))).astype(np.float32)


def check_square(path: Path, shape: tuple[int, int], known: np.ndarray) -> None:
    """Raise ImageError if the hole lies beside the center square of a picture of that (height, width), or covers it.

    Args:
        known: of the square.
    """
    side = min(shape)
    top, left = ((n - side) // 2 for n in shape)
    used = f"the {side}x{side} square at {left},{top}"
    if known.all():
        raise images.ImageError(
            path,
            f"what is missing lies outside of {used} that is used; --tile uses the whole picture, --align face its faces",
        )
    if not known.any():
        raise images.ImageError(
            path, f"nothing is known of the part of the picture that is used, {used}: the hole covers it"
        )


def outside(known: np.ndarray, boxes) -> float:
    """The share of the missing pixels that lie outside of all boxes."""
    covered = np.any([box.holds(*known.shape[:2]) for box in boxes], axis=0)
    missing = known[..., 0] == 0
    return float((missing & ~covered).sum() / missing.sum())
