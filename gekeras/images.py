"""Image files in, arrays out, and back: the only place where [0, 255] meets [-1, 1].

Inside the package an image is float32 `[h, w, c]` in [-1, 1] with c = 1 (gray) or 3 (sRGB). Every bad file is refused
with an `ImageError` of one line that names it, because users meet files long before they meet tensors.
"""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from typing import Optional

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from .files import FileError, PathLike, write_bytes

MAX_PIXELS = 64_000_000  # 8000x8000: about 0.8 GB once it is float32 RGB
MIN_SIDE = 2

# Named, so that no decoder that starts another program (EPS) or builds composites (PSD) ever sees a user's file.
_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "PPM", "JPEG2000")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_QUALITY = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}  # 0: 4:4:4, color at full size
_SEVERAL = "is animated or has several pages; a single picture is needed"
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's own "L"


class ImageError(FileError):
    """A file that cannot be read or written as an image; the message is one line that names the file."""


def read(path: PathLike, channels: Optional[int] = None) -> np.ndarray:
    """Read an image file as float32 `[h, w, c]` in [-1, 1].

    Transparency is laid over white, the EXIF orientation applied, and an embedded color profile converted to sRGB (a
    damaged profile is ignored). 16-bit gray keeps its 16 bits (65535 -> 1), 16-bit color the upper 8, which is what
    Pillow decodes. Floating point files (TIFF) are taken as [0, 1].

    Args:
      path: a PNG, JPEG, TIFF, BMP, GIF, WebP, PNM or JPEG 2000 file holding one picture.
      channels: 1 for gray (BT.601 luma), 3 for RGB (gray repeated), None for what the file holds.

    Raises:
      ImageError: missing, unreadable, damaged, truncated or animated file, not an image, under 2 pixels on a side,
        over `MAX_PIXELS` pixels (told from the header, before decoding), or float values outside [0, 1].
      ValueError: `channels` is not None, 1 or 3.
    """
    if channels not in (None, 1, 3):
        raise ValueError(f"channels must be 1, 3 or None (as the file), received {channels!r}")
    with _one_line_errors(path):
        try:
            with _open(path) as image:
                pixels = _unit_pixels(path, _upright(image))
        except UnidentifiedImageError:
            with _open_float_tiff(path) as page:
                pixels = _checked_floats(path, page.asarray())
    image = np.ascontiguousarray(pixels, np.float32) * 2 - 1
    if channels in (None, image.shape[-1]):
        return image
    return np.repeat(image, 3, axis=-1) if channels == 3 else (image @ _LUMA)[..., None]


def size(path: PathLike) -> tuple[int, int]:
    """(height, width) in pixels as `read` would give them, from the header alone. Raises ImageError as `read` does,
    except for damage that only decoding can find."""
    with _one_line_errors(path):
        try:
            with _open(path) as image:
                return _header_size(image)
        except UnidentifiedImageError:
            with _open_float_tiff(path) as page:
                return page.imagelength, page.imagewidth


@contextlib.contextmanager
def _one_line_errors(path: PathLike) -> Iterator[None]:
    """Whatever a decoder throws or warns about becomes one ImageError."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise ImageError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        if status.st_size == 0:
            raise ImageError(path, "is an empty file")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ImageError:
        raise
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        raise ImageError(path, error.strerror.lower()) from None
    except Image.DecompressionBombError:  # Pillow's own limit, above ours, met before the size is known here
        raise ImageError(path, f"too large: at most {MAX_PIXELS:,} pixels are accepted") from None
    except UnidentifiedImageError:
        raise ImageError(path, "not an image in a format that can be read (PNG, JPEG, TIFF, BMP, GIF, WebP)") from None
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, zlib.error, EOFError, ...
        raise ImageError(path, f"damaged or truncated image ({error or type(error).__name__})") from error


@contextlib.contextmanager
def _open(path: PathLike) -> Iterator[Image.Image]:
    """The image, its header read and found acceptable, nothing decoded."""
    # From a file object: given a name, Pillow maps a plain TIFF into memory, and then turns it wrongly.
    with open(path, "rb") as file, Image.open(file, formats=_FORMATS) as image:
        _check_size(path, *_header_size(image))
        # An MPO is a phone's JPEG with a preview or a depth map behind the photograph: its first frame is the picture.
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise ImageError(path, _SEVERAL)
        yield image


def _check_size(path: PathLike, height: int, width: int) -> None:
    if min(height, width) < MIN_SIDE:
        raise ImageError(path, f"{width}x{height} pixels is too small: at least {MIN_SIDE}x{MIN_SIDE} is needed")
    if height * width > MAX_PIXELS:
        raise ImageError(path, f"{width}x{height} pixels is too large: at most {MAX_PIXELS:,} pixels are accepted")


def _header_size(image: Image.Image) -> tuple[int, int]:
    """(height, width) upright; an unloaded TIFF's `size` is upright or not by Pillow's release, its tags never are."""
    width, height = (image.tag_v2[256], image.tag_v2[257]) if image.format == "TIFF" else image.size
    return (width, height) if _orientation(image) in (5, 6, 7, 8) else (height, width)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation; 1, upright, when absent or unreadable."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # `getexif` would decode the whole file in search of a late chunk
    with contextlib.suppress(Exception):  # damaged EXIF says nothing about the picture
        return image.getexif().get(0x0112, 1)
    return 1


def _upright(image: Image.Image) -> Image.Image:
    """The image itself, decoded and turned as its EXIF orientation says."""
    turned = _orientation(image) != 1
    image.load()
    if turned:  # a TIFF has turned itself while loading and has lost the tag: then this does nothing
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _unit_pixels(path: PathLike, image: Image.Image) -> np.ndarray:
    """Float `[h, w, c]` in [0, 1] of a decoded image, over white."""
    if image.mode == "F":
        return _checked_floats(path, np.asarray(image))
    if image.mode.startswith("I"):
        return _deep_gray(path, image)
    image, alpha = _split_alpha(image)
    unit = np.atleast_3d(_to_srgb(image)).astype(np.float32) / np.float32(255)
    return unit if alpha is None else unit * alpha + (1 - alpha)


def eight_bits(name: PathLike, picture: Image.Image, channels: int) -> Image.Image:
    """An opened picture as `read` sees it, as mode L or RGB. Raises ImageError as `read` does."""
    picture = _upright(picture)
    if picture.mode not in ("L", "RGB") or picture.has_transparency_data or "icc_profile" in picture.info:
        levels = np.rint(_unit_pixels(name, picture) * 255).astype(np.uint8)
        picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    return picture.convert("RGB" if channels == 3 else "L")


def _split_alpha(image: Image.Image) -> tuple[Image.Image, Optional[np.ndarray]]:
    """The colors (mode L, RGB or CMYK) and, for a transparent image, the opacity `[h, w, 1]` in [0, 1]."""
    gray = image.mode in ("1", "L", "LA", "La")
    alpha = None
    if image.has_transparency_data:
        image = image.convert("LA" if gray else "RGBA")
        alpha = np.asarray(image.getchannel("A")).astype(np.float32)[..., None] / np.float32(255)
    if image.mode not in ("L", "RGB", "CMYK"):
        image = image.convert("L" if gray else "RGB")
    return image, alpha


def _to_srgb(image: Image.Image) -> Image.Image:
    """An L, RGB or CMYK image as sRGB, L or RGB."""
    plain = image.convert("RGB") if image.mode == "CMYK" else image
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        if "srgb" in ImageCms.getProfileDescription(profile).lower():
            return plain  # converting would only add rounding
        managed = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # no profile, a damaged one, or one for another color space: the pixels are still good
        return plain
    return managed.convert("L") if image.mode == "L" else managed


def _deep_gray(path: PathLike, image: Image.Image) -> np.ndarray:
    """16-bit gray as float32 `[h, w, 1]` in [0, 1], its transparent level (a PNG may name one) white."""
    if image.mode == "I" and image.format not in ("PNG", "PPM"):  # Pillow spreads these two over 0..65535
        raise ImageError(path, "holds 32-bit or signed integers; save it with 8 or 16 bits, or as floats in [0, 1]")
    levels = np.atleast_3d(image)
    unit = levels.astype(np.float32) / np.float32(65535)
    return np.where(levels == image.info.get("transparency", -1), np.float32(1), unit)


def _checked_floats(path: PathLike, values: np.ndarray) -> np.ndarray:
    """`[h, w]` or `[h, w, c]` -> `[h, w, c]`, checked to lie in [0, 1]."""
    if not np.isfinite(values).all():
        raise ImageError(path, "holds NaN or infinite values")
    if values.min() < 0 or values.max() > 1:
        found = f"[{values.min():.4g}, {values.max():.4g}]"
        raise ImageError(path, f"floating point values must lie in [0, 1], found {found}")
    return np.atleast_3d(values)


@contextlib.contextmanager
def _open_float_tiff(path: PathLike) -> Iterator[object]:
    """The one page of a floating point TIFF that Pillow does not know (color, 16 or 64 bits)."""
    with open(path, "rb") as file:
        if file.read(4) not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
            raise UnidentifiedImageError
    import tifffile  # comes with scikit-image; not needed for anything else

    with tifffile.TiffFile(path) as tiff:
        if len(tiff.pages) != 1:
            raise ImageError(path, _SEVERAL)
        page = tiff.pages[0]
        known = str(page.dtype).startswith("float") and page.axes in ("YX", "YXS") and page.samplesperpixel in (1, 3)
        if not known:
            raise ImageError(path, f"a TIFF of {page.dtype} values, shape {page.shape} ({page.axes}), cannot be read")
        _check_size(path, page.imagelength, page.imagewidth)
        yield page


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
    return np.clip(np.dstack([plane.resize((side, side), Image.Resampling.BICUBIC) for plane in planes]), -1, 1)


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
    return shape
