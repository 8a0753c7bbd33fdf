"""Volumes of micro-CT as pictures: slices along every axis, cut to squares (section 4.1 of Ong and Yang, Figure 12).

A volume is a `.npy` (mapped, not read), `.npy.xz`, a raw file whose shape is told, or a TIFF stack. A stack of plain
pictures `[n, h, w]` is a volume that is sliced along axis 0 alone.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import lzma
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from ..config import VolumeOptions
from ..formats import Refused, tiff
from ..messages import reason_of

_TIFF = (".tif", ".tiff")
SUFFIXES = (".npy", ".npy.xz", ".raw", *_TIFF)
_HEADER = 2**16  # bytes in which the header of a .npy lies
_LABELS = 32  # what 8 bits that are gray values exceed: an eighth of their range


@dataclass(frozen=True)
class Crop:
    """One square of one slice of a volume."""

    volume: str
    path: Path
    options: VolumeOptions
    axis: int
    index: int
    top: int
    left: int
    size: int

    @property
    def name(self) -> str:
        return f"{self.volume}[{'zyx'[self.axis]}={self.index}, {self.top}, {self.left}]"

    def picture(self) -> Image.Image:
        """The square as 8-bit gray, `options.levels` (or the volume's own range) from black to white, or from white to black
        where a TIFF says so."""
        planes = np.moveaxis(read(self.path, self.options), self.axis, 0)
        square = planes[self.index, self.top : self.top + self.size, self.left : self.left + self.size]
        low, high = self.options.levels or levels(self.path, self.options)
        negative = white_is_zero(self.path)
        if square.dtype == np.uint8 and (low, high) == (0, 255):
            return Image.fromarray(np.ascontiguousarray(255 - square if negative else square))
        gray = np.nan_to_num(
            255 * (square.astype(np.float64) - low) / (high - low)
        )  # what was not measured is the low level
        gray = np.clip(np.round(gray), 0, 255).astype(np.uint8)
        return Image.fromarray(255 - gray if negative else gray)


def is_volume(path: Path) -> bool:
    """Whether a file is read as a volume; a `.tif` is one if it has several pages, beside reduced ones.

    Raises ValueError for a `.tif` whose chain of pages leads out of the file: its first page alone would be a picture.
    """
    if path.suffix.lower() not in _TIFF:
        return path.name.lower().endswith((".npy", ".npy.xz", ".raw"))
    try:
        with tiff.opened(path) as file:
            pages = tiff.full_pages(file)
            return len(pages) > 1 or (len(pages) == 1 and tiff.planes_of_one_page(file, pages[0]) > 1)
    except Refused as error:
        raise ValueError(f"{path} cannot be read as a volume: {error}") from None
    except Exception:  # whatever tifffile makes of damaged tags: ZeroDivisionError, TypeError, KeyError, ...
        return False  # `images` will say what is wrong with it


def _remembered(function):
    """What a function of a file, and of options, gave, for as long as the file stays the same."""
    # mapped files stay open, and a process may have 1024
    kept = functools.lru_cache(maxsize=512)(lambda place, state, *arguments: function(*arguments))

    @functools.wraps(function)
    def remembered(path: Path, *options):
        state = path.stat() if path.exists() else None
        return kept(os.path.realpath(path), state and (state.st_size, state.st_mtime_ns, state.st_ino), path, *options)

    remembered.cache_clear = kept.cache_clear  # type: ignore[attr-defined]  # `wraps` tells of the call alone
    return remembered


@_remembered
def white_is_zero(path: Path) -> bool:
    """Whether a volume's values run from white to black, as the tag of a TIFF may say."""
    if path.suffix.lower() not in _TIFF:
        return False
    with tiff.opened(path) as file:
        return tiff.white_is_zero(tiff.full_pages(file)[0])


@_remembered
def read(path: Path, options: VolumeOptions) -> np.ndarray:
    """The volume `[z, y, x]`. `.npy`, raw files and TIFF stacks in one piece are mapped, the others are held in memory.

    Raises ValueError naming the file if it cannot be read or has not three axes.
    """
    try:
        volume = _READERS[_suffix(path)](path, options)
    except Exception as error:  # OSError, LZMAError, MemoryError (a header's size), tokenize.TokenError (its text), ...
        raise ValueError(f"{path} cannot be read as a volume: {reason_of(error)}") from error
    if volume.ndim != 3 or 0 in volume.shape or volume.dtype.kind not in "uifb":
        raise ValueError(f"{path} is no volume: its shape is {list(volume.shape)} of {volume.dtype}")
    return volume.view(np.uint8) if volume.dtype == bool else volume


def _suffix(path: Path) -> str:
    return ".npy.xz" if path.name.lower().endswith(".npy.xz") else path.suffix.lower()


def _read_npy(path: Path, _options) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="r")


def _read_xz(path: Path, _options) -> np.ndarray:
    """Held in memory, no more of it than its header tells: a few bytes can unpack to any number of them."""
    with lzma.open(path) as file:
        size = _size_told(io.BytesIO(file.read(_HEADER)))
        _check_fits(size)
        file.seek(0)
        volume = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1):
            raise ValueError(f"unpacked it goes on behind the {size:,} bytes that its header tells")
    return volume


def _size_told(file: io.BytesIO) -> int:
    """Bytes of a `.npy` by its header. Raises ValueError for what is none."""
    version = np.lib.format.read_magic(file)
    if version > (2, 0):  # of structures with names in Unicode
        raise ValueError(f"a .npy of version {version[0]}.{version[1]}")
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return file.tell() + math.prod(shape) * dtype.itemsize


def _check_fits(size: int) -> None:
    """Raise ValueError for more bytes than this machine's memory has, or, where it does not tell, than 16 GiB."""
    most = 2**34
    with contextlib.suppress(AttributeError, OSError, ValueError):
        most = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if size > most:
        raise ValueError(f"unpacked it has {size:,} bytes, more than the memory here, {most:,}; a plain .npy is mapped")


def _read_raw(path: Path, options: VolumeOptions) -> np.ndarray:
    if not options.shape:
        raise ValueError("a raw file needs its shape")
    expected = int(np.prod(options.shape, dtype=np.int64)) * np.dtype(options.dtype).itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"it has {path.stat().st_size} bytes, not the {expected} of {list(options.shape)} {options.dtype}")
    return np.memmap(path, options.dtype, "r", shape=options.shape)


def _read_tiff(path: Path, _options) -> np.ndarray:
    with tiff.opened(path) as file:
        pages = tiff.full_pages(file)
        _check_alike(pages)
        first, mapped = pages[0], _mapped(path)
        if mapped is not None and mapped.size == len(pages) * tiff.planes_of_one_page(file, first) * first.size:
            return mapped
        if len(pages) == 1:  # a stack behind one directory, which lies in one piece unless some of it is missing
            if first.imagedepth == 1:
                raise ValueError("its pages are cut short")
            tiff.check_whole(first)
            _check_fits(first.nbytes)
            return file.asarray()
        if first.samplesperpixel > 1 or len(file.series[0].shape) > 3:
            shape = list(file.series[0].shape)
            raise ValueError(f"its pages are no slices of one gray volume: shape {shape}, axes {file.series[0].axes}")
        _check_fits(sum(page.nbytes for page in pages))
        return np.stack([tiff.samples(page)[..., 0] for page in pages])


def _mapped(path: Path) -> np.ndarray | None:
    import tifffile

    with contextlib.suppress(ValueError):  # its pages are compressed, or apart
        return tifffile.memmap(path, mode="r")
    return None


def _check_alike(pages: list) -> None:
    """Raise ValueError unless all pages are of one kind: a part of a file would pass for all of it."""
    kinds = collections.Counter(tiff.describe(page) for page in pages)
    if len(kinds) > 1:
        found = "; ".join(f"{count} are {kind}" for kind, count in kinds.items())
        raise ValueError(f"its {len(pages)} pages are not of one kind: {found}; save them as files of their own")


_READERS = {".npy": _read_npy, ".npy.xz": _read_xz, ".raw": _read_raw, ".tif": _read_tiff, ".tiff": _read_tiff}


@_remembered
def levels(path: Path, options: VolumeOptions) -> tuple[float, float]:
    """Values that become black and white: 0 and 255 for 8 bits, else the volume's least and greatest.

    A segmented volume, whose 8-bit values are 0 and 1 alone, has the levels 0 and 1.

    Raises ValueError for a constant one, and for one of 8 bits whose values are so few that they are labels.
    """
    volume = read(path, options)
    if volume.dtype == np.uint8:
        if any(plane.max() >= _LABELS for plane in volume):
            return 0.0, 255.0
        top = max(int(plane.max()) for plane in volume)
        if top <= 1:
            return 0.0, 1.0
        raise ValueError(
            f"{path} holds the values 0 to {top} alone: labels? give the gray levels of black and white, as 0,{top}"
        )
    low, high = float(np.min([plane.min() for plane in volume])), float(np.max([plane.max() for plane in volume]))
    if not low < high or not np.isfinite([low, high]).all():
        raise ValueError(f"{path} has values from {low} to {high}; give the gray levels of black and white")
    return low, high


def crops(path: Path, options: VolumeOptions, name: str = "") -> list[Crop]:
    """The squares of a volume by axis, slice, row and column. An axis whose slices are too small is left out.

    Args:
        name: of the volume, which the squares' names begin with; its file name by default.

    Raises ValueError if none is large enough.
    """
    shape = read(path, options).shape
    options.levels or levels(path, options)  # refuses here what would fail at the first picture
    crops_of_all = [crop for axis in options.axes for crop in _crops_along(axis, name or path.name, path, shape, options)]
    if not crops_of_all:
        raise ValueError(f"{path} has shape {list(shape)}: no slice along axes {list(options.axes)} holds {options.crop} px")
    return crops_of_all


def _crops_along(axis: int, name: str, path: Path, shape, options: VolumeOptions) -> Iterator[Crop]:
    height, width = (n for i, n in enumerate(shape) if i != axis)
    size = options.crop or min(height, width)
    for index in range(shape[axis]):
        for top in offsets(height, size, options.stride):
            for left in offsets(width, size, options.stride):
                yield Crop(name, path, options, axis, index, top, left, size)


def offsets(length: int, size: int, stride: int) -> list[int]:
    """Where windows of `size` begin: one in the middle (stride 0), or every `stride`, what is left over on both sides."""
    room = length - size
    if room < 0:
        return []
    return list(range(room % stride // 2, room + 1, stride)) if stride else [room // 2]
