"""An open picture file -> its pixels in [0, 1]: formats, depth, transparency, orientation, profile, levels.

Whatever one reads, one of two ways leads to it: Pillow for all that it is known to decode rightly, `tiff` for deep TIFFs.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from . import Refused, profiles, tiff

MAX_PIXELS = 64_000_000  # 8000x8000: about 0.8 GB once it is float32 RGB
SUSPECT = 178_956_970  # above which Pillow takes any file for an attack; deep TIFFs, which it does not open, as well
MIN_SIDE = 2
# Named, so that no decoder that starts another program (EPS) or builds composites (PSD) ever sees a user's file.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
_APPLE_DOUBLE = b"\0\5\x16\7"


def size(file: BinaryIO) -> tuple[int, int]:
    """(height, width) of an upright picture, from the header alone. Raises Refused, and what decoders raise."""
    if tiff.is_tiff(file):
        with tiff.opened(file) as pages:
            page = tiff.the_page(pages)
            if not tiff.pillow_decodes(page):
                tiff.check_samples(page)
            return _page_size(page)
    with _opened(file) as image:
        return _checked_size(*_header_size(image))


def unit(file: BinaryIO, levels: tuple[float, ...] = (), limited: bool = True) -> np.ndarray:
    """Float `[h, w, c]` in [0, 1], c = 1 (gray) or 3 (sRGB), over white.

    Args:
        levels: of gray, the file's values that become 0 and 1.
        limited: refuse what is smaller or larger than a picture of a user should be.

    Raises Refused, and what decoders raise.
    """
    if limited:
        size(file)
    if tiff.is_tiff(file):
        with tiff.opened(file) as pages:
            page = tiff.the_page(pages)
            if levels or not tiff.pillow_decodes(page):
                return _of_page(page, levels)
            with contextlib.suppress(UnidentifiedImageError), _opened(file, page.index) as image:
                return _of_picture(image, levels)
            return _of_page(page, levels)
    with _opened(file) as image:
        return _of_picture(image, levels)


def plain(file: BinaryIO) -> Image.Image | None:
    """The picture of a file whose pixels are what the decoder says, mode L or RGB; None for all others."""
    index = 0
    if tiff.is_tiff(file):
        with tiff.opened(file) as pages:
            page = tiff.the_page(pages)
            if not tiff.pillow_decodes(page):
                return None
            index = page.index
    with _opened(file, index) as image:
        picture = _upright(image)
    if picture.mode not in ("L", "RGB") or picture.has_transparency_data or "icc_profile" in picture.info:
        return None
    return None if profiles.stated_by_png(picture.info) else picture


def gray_range(file: BinaryIO) -> tuple[float, float, float]:
    """Least and greatest value in a gray file of at least 8 bits, and its full scale (255, 65535, 1 for floats); zeros for
    all other files."""
    negative, full = False, 0.0
    if tiff.is_tiff(file):
        with tiff.opened(file) as pages:
            page = tiff.the_page(pages)
            if page.photometric in tiff.GRAY and tiff.kind_of(page) not in ("u1", "u2", "u4"):
                negative, full = tiff.white_is_zero(page), tiff.full_scale(page)
    else:
        with _opened(file) as image:
            full = _full_scale(image) if image.mode in ("L", "LA", "La", "F") or image.mode.startswith("I") else 0.0
    if not full:
        return 0.0, 0.0, 0.0
    values: np.ndarray = full * unit(file, (0.0, full))
    low, high = float(values.min()), float(values.max())
    return (full - high, full - low, full) if negative else (low, high, full)


def window(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values -> float32 in [0, 1]: low to 0, high to 1, clipped; what was not measured (NaN) is black. Any shape."""
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = (np.asarray(values, np.float64) - low) / (high - low)
    return np.nan_to_num(np.clip(scaled, 0, 1)).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- by Pillow


@contextlib.contextmanager
def _opened(file: BinaryIO, index: int = 0) -> Iterator[ImageFile.ImageFile]:
    """The image, its header read and found to be that of one picture, nothing decoded."""
    file.seek(0)
    if file.read(4) == _APPLE_DOUBLE:
        raise Refused("is what macOS keeps beside a file (AppleDouble), no picture; that is the file without ._ in its name")
    file.seek(0)
    with Image.open(file, formats=FORMATS) as image:
        # An MPO is a phone's JPEG with a preview or a depth map behind the photograph: its first frame is the picture.
        # Of a TIFF, `tiff` has said which page it is.
        if image.format not in ("MPO", "TIFF") and getattr(image, "is_animated", False):
            raise Refused(tiff.SEVERAL)
        if image.format == "PPM" and _goes_on(file, image):
            raise Refused(tiff.SEVERAL)
        if index:
            image.seek(index)
        yield image


def _goes_on(file: BinaryIO, image: ImageFile.ImageFile) -> bool:
    """Whether a PNM file holds another picture behind the first, as Netpbm's programs write and Pillow passes over."""
    tile: Any = image.tile[0]
    name, (*_, width, height), begin, args = tile
    length: int | None
    if name == "ppm_plain":  # text
        length = 0
    elif name == "ppm":  # another full scale than 255 or 65535
        length = width * height * len(image.getbands()) * (1 if args[1] < 256 else 2)
    else:
        bits = {"1;I": 1, "L": 8, "RGB": 24, "I;16B": 16}.get(args if isinstance(args, str) else args[0], 0)
        length = height * -(-width * bits // 8) if bits else None
    if length is None:
        return False
    here = file.tell()
    file.seek(begin + length)
    rest = file.read() if name == "ppm_plain" else file.read(64)
    file.seek(here)
    pattern = rb"\sP[1-7fF]\s" if name == "ppm_plain" else rb"\s*P[1-7fF]\s"
    return bool(re.search(pattern, rest) if name == "ppm_plain" else re.match(pattern, rest))


def _header_size(image: Image.Image) -> tuple[int, int]:
    width, height = image.size
    return (width, height) if _orientation(image) >= 5 else (height, width)


def _checked_size(height: int, width: int) -> tuple[int, int]:
    if min(height, width) < MIN_SIDE:
        raise Refused(f"{width}x{height} pixels is too small: at least {MIN_SIDE}x{MIN_SIDE} is needed")
    if height * width > MAX_PIXELS:
        raise Refused(f"{width}x{height} pixels is too large: at most {MAX_PIXELS:,} pixels are accepted")
    return height, width


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1, upright, when absent or unreadable."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # `getexif` would decode the whole file in search of a late chunk
    with contextlib.suppress(Exception):  # damaged EXIF says nothing about the picture
        found = image.getexif().get(0x0112, 1)
        return found if found in range(1, 9) else 1
    return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image itself, decoded and turned as its EXIF orientation says."""
    turned = _orientation(image) != 1
    image.load()
    if turned:  # a TIFF has turned itself while loading and has lost the tag: then this does nothing
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _of_picture(opened: ImageFile.ImageFile, levels: tuple[float, ...]) -> np.ndarray:
    """Float `[h, w, c]` in [0, 1] of an opened image."""
    full = _full_scale(opened)  # told before it is decoded
    image = _upright(opened)
    if image.mode == "F" or image.mode.startswith("I"):
        return _of_deep_gray(image, levels, full)
    if levels and image.mode not in ("L", "LA", "La"):
        raise Refused("is no gray picture of 8 bits or more: levels are for those")
    info = image.info
    image, alpha = _split_alpha(image)
    if levels:
        pixels = window(np.rint(np.atleast_3d(np.asarray(image)) * (full / 255)), *levels)
    else:
        levels8 = np.asarray(profiles.to_srgb(image, info.get("icc_profile")))
        pixels = np.atleast_3d(levels8).astype(np.float32) / np.float32(255)
        pixels = profiles.from_png(pixels, info) if profiles.stated_by_png(info) else pixels
    return pixels if alpha is None else pixels * alpha + (1 - alpha)


def _split_alpha(image: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    """The colors (mode L, RGB or CMYK) and, for a transparent image, the opacity `[h, w, 1]` in [0, 1]."""
    gray = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if gray else "RGBA")
        alpha = np.asarray(image.getchannel("A")).astype(np.float32)[..., None] / np.float32(255)
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if gray else "RGB")
    return image, alpha


def _full_scale(image: ImageFile.ImageFile) -> float:
    """The value in the file of an opened image that is white; Pillow spreads a PNM's own full scale over 255 or 65535."""
    if image.mode == "F":
        return 1.0
    if image.format == "PPM" and image.tile and image.tile[0][0].startswith("ppm"):
        args: Any = image.tile[0][3]
        return float(args[1])
    return 65535.0 if image.mode.startswith("I") else 255.0


def _of_deep_gray(image: Image.Image, levels: tuple[float, ...], full: float) -> np.ndarray:
    """Gray of 16 bits or floats `[h, w, 1]`, its transparent level (a PNG may name one) white."""
    values, info = np.atleast_3d(np.asarray(image)), image.info
    scale = 1.0 if image.mode == "F" else 65535.0
    if levels:
        pixels = window(values if full == scale else np.rint(values * (full / scale)), *levels)
    elif image.mode == "F":
        pixels = checked_floats(values)
    else:
        pixels = profiles.deep_to_srgb(values.astype(np.float32) / np.float32(scale), info.get("icc_profile"))
        pixels = profiles.from_png(pixels, info) if profiles.stated_by_png(info) else pixels
    return np.where(values == info.get("transparency", -1), np.float32(1), pixels)


def checked_floats(values: np.ndarray) -> np.ndarray:
    """Values of any shape, checked to lie in [0, 1]."""
    if not np.isfinite(values).all():
        raise Refused("holds NaN or infinite values")
    if values.min() < 0 or values.max() > 1:
        raise Refused(f"floating point values must lie in [0, 1], found [{values.min():.4g}, {values.max():.4g}]")
    return values


# ---------------------------------------------------------------------------------------------------- deep TIFF


def _page_size(page: Any) -> tuple[int, int]:
    height, width = _checked_size(page.imagelength, page.imagewidth)
    return (width, height) if tiff.orientation(page) >= 5 else (height, width)


def _of_page(page: Any, levels: tuple[float, ...]) -> np.ndarray:
    """Float `[h, w, c]` in [0, 1] of a page whose samples Pillow does not give."""
    if page.imagelength * page.imagewidth > SUSPECT:
        raise Refused(f"{page.imagewidth}x{page.imagelength} pixels is too large: at most {SUSPECT:,} pixels are accepted")
    tiff.check_samples(page)
    kind, colors = tiff.kind_of(page), tiff.COLORS[page.photometric]
    if levels and (colors > 1 or kind == "u1"):
        raise Refused("is no gray picture of 8 bits or more: levels are for those")
    if not levels and (kind[0] == "i" or kind in ("u32", "u64")):
        raise Refused(
            "holds 32-bit or signed integers; save it with 8 or 16 bits, or as floats in [0, 1], or give the levels of "
            "black and white of a gray one"
        )
    samples, place = tiff.samples(page), tiff.opacity(page)
    opacity = None if place is None else np.clip(_scaled(samples[..., place : place + 1], page), 0, 1)
    pixels = window(samples[..., :colors], *levels) if levels else _scaled(samples[..., :colors], page)
    pixels = 1 - pixels if tiff.white_is_zero(page) else pixels
    if opacity is not None and tiff.is_premultiplied(page):
        pixels = np.clip(np.divide(pixels, opacity, out=np.zeros_like(pixels), where=opacity > 0), 0, 1)
    pixels = pixels if levels else _to_srgb(pixels, tiff.tag(page, 34675, None))
    pixels = pixels if opacity is None else pixels * opacity + (1 - opacity)
    return tiff.upright(pixels, tiff.orientation(page))


def _scaled(values: np.ndarray, page: Any) -> np.ndarray:
    """Samples -> float32 in [0, 1] by their full scale."""
    if values.dtype.kind == "f":
        return checked_floats(values.astype(np.float32))
    full = tiff.full_scale(page) or float(np.iinfo(values.dtype).max)  # the opacity of signed integers
    exact: Any = np.float32 if full < 2**24 else np.float64
    return (values.astype(exact) / exact(full)).astype(np.float32)


def _to_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    if pixels.shape[-1] == 4:  # CMYK, for which only LittleCMS has what it takes
        inks = Image.fromarray(np.rint(pixels * 255).astype(np.uint8), "CMYK")
        return np.asarray(profiles.to_srgb(inks, icc)).astype(np.float32) / np.float32(255)
    return profiles.deep_to_srgb(pixels, icc)
