"""Image files in, arrays out, and back: the only place where [0, 255] meets [-1, 1].

Inside the package an image is float32 `[h, w, c]` in [-1, 1] with c = 1 (gray) or 3 (sRGB). Every bad file is refused
with an `ImageError` of one line that names it, because users meet files long before they meet tensors.
"""

import contextlib
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Optional

import numpy as np
from PIL import Image, UnidentifiedImageError

from .files import FileError, PathLike, write_bytes
from .formats import Refused, pixels
from .formats.pixels import MAX_PIXELS

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")  # that are written
READABLE = (
    *(*SUFFIXES, ".apng", ".jpe", ".jfif", ".dib", ".gif", ".pnm", ".ppm", ".pgm", ".pbm", ".pfm"),
    *(".jp2", ".j2k", ".jpc", ".jpf", ".jpx"),
)
_QUALITY: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},  # 0: 4:4:4, color at full size
    "WEBP": {"lossless": True},
}
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's own "L"
_SMALL = 1 / 8  # of the full scale: what uses less is not what was meant to be black and white


class ImageError(FileError):
    """A file that cannot be read or written as an image; the message is one line that names the file.

    Attributes:
        reason: what is wrong, without the name.
    """

    def __init__(self, path: PathLike, reason: object):
        self.reason = re.sub(r" ?<[^<>]* at 0x[0-9a-f]+>", "", " ".join(str(reason).splitlines()))  # addresses help nobody
        super().__init__(path, self.reason)


def read(path: PathLike, channels: Optional[int] = None, levels: Optional[Sequence[float]] = None) -> np.ndarray:
    """Read an image file as float32 `[h, w, c]` in [-1, 1].

    Transparency is laid over white, the orientation applied, and what a color profile (or a PNG's gamma) says converted to
    sRGB; a damaged profile is ignored. Gray and TIFF keep their depth (of 16 bits 65535 -> 1), other color of 16 bits the
    upper 8, which is what Pillow decodes. Floating point files (TIFF) are taken as [0, 1].

    Args:
      path: a PNG, JPEG, TIFF, BMP, GIF, WebP, PNM or JPEG 2000 file holding one picture; of a pyramid the full page.
      channels: 1 for gray (BT.601 luma), 3 for RGB (gray repeated), None for what the file holds.
      levels: of a gray picture, the values in the file that become -1 and 1; what is beyond is clipped, NaN is -1. Signed
        and 32-bit integers, and floats outside [0, 1], are read with these alone. Where a TIFF says that white is zero,
        the low one becomes 1. A profile's curve is not applied: these take its place.

    Raises:
      ImageError: missing, unreadable, damaged, truncated or animated file, not an image, under 2 pixels on a side,
        over `MAX_PIXELS` pixels (told from the header, before decoding), float values outside [0, 1], or levels of a
        picture in color.
      ValueError: `channels` is not None, 1 or 3, or levels are not two numbers that rise.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, 3 or None (as the file), received {channels!r}")
    levels = tuple(levels or ())
    if levels and not (len(levels) == 2 and levels[0] < levels[1] and np.isfinite(levels).all()):
        raise ValueError(f"levels are two numbers that rise, those of black and white, received {levels}")
    with _one_line_errors(path), _regular(path) as file:
        unit = pixels.unit(file, levels)
    image = np.ascontiguousarray(unit, np.float32) * 2 - 1
    return with_channels(image, channels or image.shape[-1])


def size(path: PathLike) -> tuple[int, int]:
    """(height, width) in pixels as `read` would give them, from the header alone. Raises ImageError as `read` does,
    except for damage that only decoding can find."""
    with _one_line_errors(path), _regular(path) as file:
        return pixels.size(file)


def small_range(path: PathLike, picture: np.ndarray) -> str:
    """A line for the user about a gray file that is all but black, or flat, because its values use little of their range:
    12 bits in 16, labels 0 to 2 in 8. Empty where there is nothing to say.

    Args:
      path: the file.
      picture: what `read` made of it, without levels.
    """
    if not 0 < float(np.max(picture)) - float(np.min(picture)) < 2 * _SMALL:
        return ""
    with _one_line_errors(path), _regular(path) as file:
        low, high, full = pixels.gray_range(file)
    used = high if full == 255 else high - low  # of 8 bits a flat picture is one, and a dark one is labels
    if low == high or used >= full * _SMALL:
        return ""
    found = f"values from {low:,.6g} to {high:,.6g} of {full:,.6g}"
    return f"{os.path.basename(path)}: {found}: give levels={low:.6g},{high:.6g} if that is its black and white"


def eight_bits(name: PathLike, file: BinaryIO, levels: Sequence[float] = ()) -> Image.Image:
    """The picture of an open file as `read` sees it, of any size, in mode L or RGB. Raises ImageError as `read` does."""
    with _one_line_errors(name):
        if not levels and (picture := pixels.plain(file)) is not None:
            return picture
        grays = np.rint(pixels.unit(file, tuple(levels), limited=False) * 255).astype(np.uint8)
    return Image.fromarray(grays[..., 0] if grays.shape[-1] == 1 else grays)


@contextlib.contextmanager
def _regular(path: PathLike) -> Iterator[BinaryIO]:
    """The open file, if it is one that can hold a picture, and no warnings of decoders."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
        raise Refused("is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
    if status.st_size == 0:
        raise Refused("is an empty file")
    # A file object: given a name, Pillow maps a plain TIFF into memory, and then turns it wrongly.
    with open(path, "rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield file


@contextlib.contextmanager
def _one_line_errors(path: PathLike) -> Iterator[None]:
    """Whatever a decoder throws becomes one ImageError."""
    try:
        yield
    except Refused as error:
        raise ImageError(path, error) from None
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise ImageError(path, (error.strerror or type(error).__name__).lower()) from None
    except Image.DecompressionBombError:  # Pillow's own limit, above ours, met before the size is known here
        raise ImageError(path, f"too large: at most {MAX_PIXELS:,} pixels are accepted") from None
    except UnidentifiedImageError:
        raise ImageError(path, "not an image in a format that can be read (PNG, JPEG, TIFF, BMP, GIF, WebP)") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, EOFError, ...
        raise ImageError(path, f"damaged or truncated image ({error or type(error).__name__})") from error


def luma(image: np.ndarray) -> np.ndarray:
    """`[..., 3]` -> `[..., 1]` (ITU-R BT.601, section 2.5.1); one channel is returned as it is.

    Example:
        >>> luma(np.float32([[0.5, 0.5, 0.5], [1, -1, -1]])).round(3)
        array([[ 0.5  ],
               [-0.402]], dtype=float32)
    """
    return image if image.shape[-1] == 1 else (np.asarray(image, np.float32) @ LUMA)[..., None]


def with_channels(image: np.ndarray, channels: int) -> np.ndarray:
    """`[..., 1 or 3]` with that many: gray repeated, or the luma of colors."""
    if image.shape[-1] == channels:
        return image
    return np.repeat(image, channels, axis=-1) if image.shape[-1] == 1 else luma(image)


def to_unit(image: np.ndarray) -> np.ndarray:
    """[-1, 1] -> [0, 1], clipped; any shape."""
    return np.clip((np.asarray(image) + 1) / 2, 0, 1)


def to_uint8(image: np.ndarray) -> np.ndarray:
    """[-1, 1] -> uint8 0..255, rounded and clipped; any shape. Inverse of `from_uint8`."""
    return np.rint(to_unit(image) * 255).astype(np.uint8)


def from_uint8(array: np.ndarray) -> np.ndarray:
    """uint8 0..255 -> float32 [-1, 1]; any shape.

    Example:
        >>> from_uint8(np.uint8([0, 255]))
        array([-1.,  1.], dtype=float32)
    """
    return np.asarray(array).astype(np.float32) / np.float32(127.5) - 1


def write(path: PathLike, image: np.ndarray) -> None:
    """Write a float image `[h, w, c]` in [-1, 1], c in {1, 3}, as 8 bits, in the format its suffix names.

    png, tif, bmp and webp are lossless; jpg has quality 95. The file appears whole or not at all.

    Raises:
      ImageError: unknown suffix, or a shape or values that are no image.
      FileError: a place that cannot be written.
    """
    image = np.asarray(image)
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or 0 in image.shape:
        raise ImageError(path, f"an image has shape [h, w, 1] or [h, w, 3], received {list(image.shape)}")
    if not np.isfinite(image).all():
        raise ImageError(path, "not written: the image holds NaN or infinite values")
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        raise ImageError(path, f"cannot write {suffix or 'no suffix'!r}: use one of {', '.join(SUFFIXES)}")
    name = {".jpg": "JPEG", ".tif": "TIFF"}.get(suffix, suffix[1:].upper())
    levels = to_uint8(image)
    buffer = io.BytesIO()
    try:
        Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(buffer, name, **_QUALITY.get(name, {}))
    except (OSError, ValueError) as error:  # WebP stops at 16383 pixels a side, JPEG at 65535
        raise ImageError(path, f"cannot be written as {name} ({error})") from error
    write_bytes(path, buffer.getvalue())


def crop_square(image: np.ndarray) -> np.ndarray:
    """The center square of `[h, w, c]`; with an odd remainder the extra row or column is lost below or right."""
    height, width, _ = _checked_shape(image)
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[top : top + side, left : left + side]


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """`[h, w, c]` -> float32 `[side, side, c]` by bicubic interpolation, the filter widened by the factor when
    reducing (antialiased); the cubic's overshoot is clipped to [-1, 1]."""
    channels = _checked_shape(image)[2]
    if side < 1:
        raise ValueError(f"side must be at least 1, received {side}")
    planes = [Image.fromarray(np.asarray(image[..., c], np.float32)) for c in range(channels)]
    return np.clip(np.dstack([np.asarray(plane.resize((side, side), Image.Resampling.BICUBIC)) for plane in planes]), -1, 1)


def box_reduce(image: np.ndarray, factor: int) -> np.ndarray:
    """`[h, w, c]` -> float32 `[h / factor, w / factor, c]`: means of blocks. ValueError unless factor divides both."""
    height, width, channels = _checked_shape(image)
    if factor < 1 or height % factor or width % factor:
        raise ValueError(f"factor must divide {height}x{width}, received {factor}")
    blocks = np.asarray(image).reshape(height // factor, factor, width // factor, factor, channels)
    return blocks.mean(axis=(1, 3), dtype=np.float64).astype(np.float32)


def fit(image: np.ndarray, side: int) -> np.ndarray:
    """`[h, w, c]` -> `[side, side, c]`: the center square as it is, or its block means if they fit, or resized."""
    square = crop_square(image)
    if square.shape[0] == side:
        return square
    if side >= 1 and square.shape[0] % side == 0:
        return box_reduce(square, square.shape[0] // side)
    return resize(square, side)


def _checked_shape(image: np.ndarray) -> tuple[int, int, int]:
    if len(shape := np.shape(image)) != 3 or 0 in shape:
        raise ValueError(f"an image has shape [h, w, c], received {list(shape)}")
    height, width, channels = shape
    return height, width, channels
