"""TIFF files: which of their pages is the picture, and its samples exactly as the file has them.

tifffile reads the tags. Pillow decodes what it is known to decode rightly (`pillow_decodes`): up to 8 bits. What is deeper
it gets wrong without a word (WhiteIsZero of 16 bits and floats, planes apart, 12 bits), so libtiff, through Pillow, only
decompresses those, and their samples are put together here. See the TIFF 6.0 specification and its technical notes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from . import Refused

SEVERAL = "is animated or has several pages; a single picture is needed"
GRAY, COLORS = (0, 1), {0: 1, 1: 1, 2: 3, 5: 4}  # photometric -> samples that are colors: white is 0, black is 0, RGB, CMYK
_ASSOCIATED, _UNASSOCIATED = 1, 2  # of ExtraSamples: opacity that the colors are multiplied by already, or not
_BYTEWISE = (5, 8, 32946, 32773, 34925, 50000)  # LZW, Deflate, PackBits, LZMA, Zstandard: bytes in, bytes out
_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # SampleFormat; 4 is "undefined"
_AT_ONCE = 2**26  # bytes that Pillow decompresses in one picture: above three times as many it suspects an attack


def is_tiff(file: BinaryIO) -> bool:
    """Whether a file begins as TIFF or BigTIFF; it is left at its beginning."""
    file.seek(0)
    found = file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    file.seek(0)
    return found


@contextlib.contextmanager
def opened(file: Any) -> Iterator[Any]:
    """The `tifffile.TiffFile` of a path or of an open file. Raises what tifffile raises."""
    import tifffile  # comes with scikit-image; a tenth of a second to import

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it writes to stderr what is then raised
    with tifffile.TiffFile(file, _multifile=False) as tiff:  # no other files, whatever its OME description names
        yield tiff


# -------------------------------------------------------------------------------------------------------- pages


def full_pages(tiff: Any) -> list:
    """The pages that are pictures of their own: all but the reduced ones (thumbnails, levels of a pyramid).

    Raises Refused if the chain of pages leads out of the file: what is left of it would pass for all of it.
    """
    tiff.filehandle.seek(tiff.pages.next_page_offset)
    if tiff.filehandle.read(tiff.tiff.offsetsize) != bytes(tiff.tiff.offsetsize):
        raise Refused("its pages are cut short")
    pages = [page for page in tiff.pages if not _is_reduced(page)]
    for page in pages[:1]:
        inner = [part for part in (page.pages or ()) if not _is_reduced(part)]
        pages += [part for part in inner if part.imagelength * part.imagewidth >= page.imagelength * page.imagewidth]
    return pages


def _is_reduced(page: Any) -> bool:
    """By NewSubfileType, or by the SubfileType of older files."""
    old = page.tags.get(255)
    return bool(page.subfiletype & 1) or (254 not in page.tags and old is not None and old.value == 2)


def planes_of_one_page(tiff: Any, page: Any) -> int:
    """How many pictures lie behind one directory, where a file has no other: ImageJ and others so store a stack."""
    if page.imagedepth > 1 or tiff.is_ome or len(tiff.pages) > 1:  # OME-TIFF has a directory for every plane
        return page.imagedepth
    planes = 1
    with contextlib.suppress(Exception):  # a description that makes no sense: the page alone is what there is
        planes = max(1, math.prod(tiff.series[0].shape) // math.prod(page.shape))
    if planes == 1 and (tiff.is_imagej or tiff.is_shaped) and page.is_contiguous:  # a stack that was cut short
        planes += max(0, tiff.filehandle.size - page.dataoffsets[0] - page.nbytes) // page.nbytes
    return planes


def the_page(tiff: Any) -> Any:
    """The page that is the picture of a file that holds one. Raises Refused if there are several, or none."""
    pages = full_pages(tiff)
    if not pages:
        raise Refused("holds reduced pictures alone")
    if len(pages) > 1 or planes_of_one_page(tiff, pages[0]) > 1:
        raise Refused(SEVERAL)
    return pages[0]


# ------------------------------------------------------------------------------------------------------ samples


def tag(page: Any, code: int, default: Any) -> Any:
    """A tag's value."""
    found = page.tags.get(code)
    return default if found is None else found.value


def orientation(page: Any) -> int:
    """Orientation as EXIF has it; 1, upright, when absent or unknown."""
    found = tag(page, 274, 1)
    return found if found in range(1, 9) else 1


def white_is_zero(page: Any) -> bool:
    return page.photometric == 0


def kind_of(page: Any) -> str:
    """`u`, `i` or `f`, and the bits: u8, u12, f32; empty if there is no such number."""
    kind = _KINDS.get(page.sampleformat, "")
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 0
    known = bits in {"u": (*range(1, 17), 32, 64), "i": (8, 16, 32, 64), "f": (16, 32, 64)}.get(kind, ())
    return f"{kind}{bits}" if known else ""


def full_scale(page: Any) -> float:
    """The value that is fully bright: 2^bits - 1, or 1 for floats; 0 for what has no such value, signed integers."""
    kind = kind_of(page)
    return 0.0 if kind[:1] in ("", "i") else 1.0 if kind[0] == "f" else 2.0 ** int(kind[1:]) - 1


def pillow_decodes(page: Any) -> bool:
    """Whether Pillow's picture of a page is right."""
    if page.photometric in (*GRAY, 3):
        return kind_of(page) in ("u1", "u2", "u4", "u8") and page.samplesperpixel <= (2 if page.photometric == 3 else 1)
    if page.extrasamples and page.photometric in (2, 5) and page.compression in (1, *_BYTEWISE):
        return False  # it knows few of their orders, and fewer in planes apart
    return kind_of(page) == "u8"


def describe(page: Any) -> str:
    """What a page holds, for a message: `50x34 of 16-bit unsigned minisblack`."""
    photometric = str(getattr(page.photometric, "name", page.photometric)).lower()
    number = {"u": "unsigned", "i": "signed", "f": "float"}.get(_KINDS.get(page.sampleformat, ""), "unknown")
    several = f", {page.samplesperpixel} samples" if page.samplesperpixel > 1 else ""
    return f"{page.imagewidth}x{page.imagelength} of {page.bitspersample}-bit {number} {photometric}{several}"


def check_samples(page: Any) -> None:
    """Raise ValueError for a page whose samples are no colors that are known here: also of a stack that lies in samples."""
    colors = COLORS.get(page.photometric)
    if colors is None or not kind_of(page) or page.samplesperpixel < colors:
        raise Refused(f"a TIFF that cannot be read: {describe(page)}")
    extra = page.samplesperpixel - colors
    if colors == 1 and extra and (extra > 1 or opacity(page) is None):
        raise Refused(f"holds several gray pictures as one's samples ({describe(page)}); save the one that is meant")


def opacity(page: Any) -> int | None:
    """Which of the samples is the opacity, or None."""
    if page.photometric == 2 and page.samplesperpixel == 4 and not page.extrasamples:
        return 3  # a fourth sample that is not told of; libtiff takes it so
    behind = page.samplesperpixel - len(page.extrasamples)
    found = [behind + k for k, extra in enumerate(page.extrasamples) if extra in (_ASSOCIATED, _UNASSOCIATED)]
    return found[0] if found else None


def is_premultiplied(page: Any) -> bool:
    return _ASSOCIATED in page.extrasamples


def samples(page: Any) -> np.ndarray:
    """`[h, w, samples]` as the file has them, nothing scaled, inverted or turned.

    Raises Refused for a compression or a depth that cannot be read, and for missing data.
    """
    if page.compression not in (1, *_BYTEWISE):
        return _of_pillow(page)
    if not kind_of(page):
        raise Refused(f"a TIFF that cannot be read: {describe(page)}")
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    count = len(page.dataoffsets) // planes
    if count < 1 or len(page.dataoffsets) % planes or min(page.databytecounts) < 1:
        raise Refused("parts of the picture are missing")
    return np.concatenate([_plane(page, slice(k * count, (k + 1) * count), planes) for k in range(planes)], axis=-1)


def check_whole(page: Any) -> None:
    """Raise Refused for a page some of whose strips or tiles are not there: tifffile would give zeros for them."""
    ends = [offset + count for offset, count in zip(page.dataoffsets, page.databytecounts)]
    count = math.prod(page.chunked)
    if len(ends) != count or min(page.databytecounts) < 1 or max(ends) > page.parent.filehandle.size:
        raise Refused("parts of the picture are missing")


def _of_pillow(page: Any) -> np.ndarray:
    """What Pillow decodes and tifffile cannot: JPEG, fax. Its WhiteIsZero is undone again."""
    name = getattr(page.compression, "name", page.compression)
    unreadable = f"a TIFF that cannot be read: {describe(page)}, {name}; save it uncompressed or with LZW or Deflate"
    if not pillow_decodes(page) or page.photometric not in (*GRAY, 2):
        raise Refused(unreadable)
    page.parent.filehandle.seek(0)
    try:
        with Image.open(page.parent.filehandle, formats=("TIFF",)) as image:
            image.seek(page.index)
            levels = np.atleast_3d(np.asarray(image.convert("L") if image.mode == "1" else image))
    except UnidentifiedImageError:
        raise Refused(unreadable) from None
    return 255 - levels if white_is_zero(page) else levels


def _plane(page: Any, part: slice, planes: int) -> np.ndarray:
    """`[h, w, samples / planes]` of some of a page's strips or tiles, which follow each other in rows."""
    height, width = page.imagelength, page.imagewidth
    tall, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    if min(tall, wide) < 1:
        raise Refused(f"a TIFF that cannot be read: strips or tiles of {wide}x{tall}")
    across, down = -(-width // wide), -(-height // tall)
    if part.stop - part.start != across * down:
        raise Refused("parts of the picture are missing")
    depth, last = page.samplesperpixel // planes, tall if page.is_tiled else height - (down - 1) * tall
    row_bytes = -(-wide * depth * page.bitspersample // 8)
    raw = _bytes(page, part, tall, last, row_bytes)
    values = _numbers(page, raw, wide, depth)
    if page.is_tiled:
        values = values.reshape(down, across, tall, wide, depth).swapaxes(1, 2)
        values = values.reshape(down * tall, across * wide, depth)
    return values[:height, :width]


def _bytes(page: Any, part: slice, tall: int, last: int, row_bytes: int) -> np.ndarray:
    """The uncompressed bytes `[rows, row_bytes]` of some strips or tiles of `tall` rows, the last one of `last`."""
    file, found = page.parent.filehandle, []
    spans = list(zip(page.dataoffsets, page.databytecounts))[part]
    step = max(1, _AT_ONCE // (tall * row_bytes))
    for begin in range(0, len(spans), step):
        parts = [_span(file, *span) for span in spans[begin : begin + step]]
        ends = begin + step >= len(spans)
        rows = tall * (len(parts) - ends) + last * ends
        if page.compression != 1:
            found.append(_decompressed(page, parts, tall, rows, row_bytes))
            continue
        parts = [data[: row_bytes * tall] for data in parts]
        raw = np.frombuffer(b"".join(parts), np.uint8)[: rows * row_bytes]
        if len(raw) < rows * row_bytes:
            raise Refused("parts of the picture are missing")
        if page.fillorder == 2:
            raw = np.packbits(np.unpackbits(raw, bitorder="little"))
        found.append(raw.reshape(rows, row_bytes))
    return np.concatenate(found)


def _span(file: Any, offset: int, count: int) -> bytes:
    file.seek(offset)
    data = file.read(count)
    if len(data) < count:
        raise Refused("parts of the picture are missing")
    return data


def _decompressed(page: Any, parts: list[bytes], tall: int, rows: int, row_bytes: int) -> np.ndarray:
    """Strips decompressed by libtiff, as if they were gray pictures of 8 bits: it then has nothing to interpret."""
    tags = ImageFileDirectory_v2()
    for code, value in {256: row_bytes, 257: rows, 258: 8, 262: 1, 277: 1, 278: tall}.items():
        tags[code] = value
    tags[259], tags[266] = int(page.compression), int(page.fillorder)
    counts = [len(data) for data in parts]
    tags[273], tags[279] = tuple(int(n) for n in np.cumsum([0, *counts[:-1]])), tuple(counts)
    buffer = io.BytesIO()
    tags.save(buffer)  # moves the strips behind itself
    buffer.write(b"".join(parts))
    with Image.open(buffer, formats=("TIFF",)) as image:
        return np.asarray(image)


def _numbers(page: Any, raw: np.ndarray, wide: int, depth: int) -> np.ndarray:
    """Bytes `[rows, row_bytes]` -> numbers `[rows, wide, depth]`, their predictor undone."""
    bits, rows = page.bitspersample, len(raw)
    if bits not in (8, 16, 32, 64):
        return _unpacked(raw, bits, wide * depth).reshape(rows, wide, depth)
    order = page.parent.byteorder
    if page.predictor == 3:  # the bytes of a row's numbers apart, the most significant first, and differences of them
        raw = raw.reshape(rows, -1, depth).cumsum(axis=1, dtype=np.uint8).reshape(rows, bits // 8, -1)
        raw, order = np.ascontiguousarray(raw.swapaxes(1, 2)).reshape(rows, -1), ">"
    numbers = np.ascontiguousarray(raw).view(f"{order}u{bits // 8}").reshape(rows, wide, depth)
    if page.predictor == 2:
        numbers = numbers.astype(numbers.dtype.newbyteorder("=")).cumsum(axis=1, dtype=f"u{bits // 8}")
    elif page.predictor not in (1, 3):
        raise Refused(f"a TIFF that cannot be read: predictor {page.predictor}")
    native = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    return native.view(f"{kind_of(page)[0]}{bits // 8}")


def _unpacked(raw: np.ndarray, bits: int, count: int) -> np.ndarray:
    """Rows of packed integers of up to 16 bits, the most significant bit first -> `[rows, count]`."""
    kind: Any = np.uint8 if bits <= 8 else np.uint16
    found, powers = np.empty((len(raw), count), kind), (1 << np.arange(bits - 1, -1, -1)).astype(kind)
    for begin in range(0, len(raw), 256):  # its bits are eight times as large
        every = np.unpackbits(raw[begin : begin + 256], axis=1)[:, : count * bits]
        found[begin : begin + 256] = every.reshape(len(every), count, bits) @ powers
    return found


def upright(image: np.ndarray, turned: int) -> np.ndarray:
    """`[h, w, c]`, stored as an orientation says, as it is to be seen."""
    if turned >= 5:
        image = image.swapaxes(0, 1)
    rows, columns = turned in (3, 4, 7, 8), turned in (2, 3, 6, 7)
    return image[:: -1 if rows else 1, :: -1 if columns else 1]
