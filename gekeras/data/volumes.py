"""Volumes of micro-CT as pictures: slices along every axis, cut to squares (section 4.1 of Ong and Yang, Figure 12).

A volume is a `.npy` (mapped, not read), `.npy.xz`, a raw file whose shape is told, or a TIFF stack. A stack of plain
pictures `[n, h, w]` is a volume that is sliced along axis 0 alone.
"""

from __future__ import annotations

import functools
import io
import logging
import lzma
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageSequence

from ..config import VolumeOptions

SUFFIXES = (".npy", ".npy.xz", ".raw", ".tif", ".tiff")


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
        """The square as 8-bit gray, `options.levels` (or the volume's own range) from black to white."""
        planes = np.moveaxis(read(self.path, self.options), self.axis, 0)
        square = planes[self.index, self.top : self.top + self.size, self.left : self.left + self.size]
        low, high = self.options.levels or levels(self.path, self.options)
        if square.dtype == np.uint8 and (low, high) == (0, 255):
            return Image.fromarray(np.ascontiguousarray(square))
        gray = np.nan_to_num(255 * (square.astype(np.float64) - low) / (high - low))  # what was not measured is black
        return Image.fromarray(np.clip(np.round(gray), 0, 255).astype(np.uint8))


def is_volume(path: Path) -> bool:
    """Whether a file is read as a volume; a `.tif` is one if it has several pages of one size.

    Raises ValueError for a `.tif` whose chain of pages leads out of the file: its first page alone would be a picture.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return path.name.lower().endswith((".npy", ".npy.xz", ".raw"))
    tifffile = _tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            file.filehandle.seek(file.pages.next_page_offset)
            whole = file.filehandle.read(file.tiff.offsetsize) == bytes(file.tiff.offsetsize)
            series = file.series[0]
    except (OSError, ValueError, IndexError, struct.error):
        return False  # Pillow will say what is wrong with it
    if not whole:
        raise ValueError(f"{path} cannot be read as a volume: its pages are cut short")
    return series.ndim > 2 and not (series.ndim == 3 and "S" in series.axes)  # samples: one picture in color


def _tifffile():
    import tifffile  # a dependency of scikit-image

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it writes to stderr what is then raised
    return tifffile


@functools.lru_cache(maxsize=512)  # mapped files stay open, and a process may have 1024
def read(path: Path, options: VolumeOptions) -> np.ndarray:
    """The volume `[z, y, x]`. `.npy`, raw files and TIFF stacks in one piece are mapped, the others are held in memory.

    Raises ValueError naming the file if it cannot be read or has not three axes.
    """
    try:
        volume = _READERS[_suffix(path)](path, options)
    except (OSError, ValueError, EOFError, TypeError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as a volume: {error}") from error
    if volume.ndim != 3 or 0 in volume.shape or volume.dtype.kind not in "uifb":
        raise ValueError(f"{path} is no volume: its shape is {list(volume.shape)} of {volume.dtype}")
    return volume.view(np.uint8) if volume.dtype == bool else volume


def _suffix(path: Path) -> str:
    return ".npy.xz" if path.name.lower().endswith(".npy.xz") else path.suffix.lower()


def _read_npy(path: Path, _options) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="r")


def _read_xz(path: Path, _options) -> np.ndarray:
    with lzma.open(path) as file:
        return np.lib.format.read_array(io.BytesIO(file.read()), allow_pickle=False)


def _read_raw(path: Path, options: VolumeOptions) -> np.ndarray:
    if not options.shape:
        raise ValueError("a raw file needs its shape")
    expected = int(np.prod(options.shape, dtype=np.int64)) * np.dtype(options.dtype).itemsize
    if path.stat().st_size != expected:
        raise ValueError(f"it has {path.stat().st_size} bytes, not the {expected} of {list(options.shape)} {options.dtype}")
    return np.memmap(path, options.dtype, "r", shape=options.shape)


def _read_tiff(path: Path, _options) -> np.ndarray:
    tifffile = _tifffile()
    try:
        return tifffile.memmap(path, mode="r")
    except ValueError:  # its pages are compressed, or apart
        pass
    try:
        return tifffile.imread(path)
    except ValueError:  # LZW and others, which Pillow knows
        with Image.open(path) as file:
            return np.stack([np.asarray(page) for page in ImageSequence.Iterator(file)])


_READERS = {".npy": _read_npy, ".npy.xz": _read_xz, ".raw": _read_raw, ".tif": _read_tiff, ".tiff": _read_tiff}


@functools.lru_cache(maxsize=512)
def levels(path: Path, options: VolumeOptions) -> tuple[float, float]:
    """Values that become black and white: 0 and 255 for 8 bits, else the volume's least and greatest.

    A segmented volume, whose 8-bit values are 0 and 1 alone, has the levels 0 and 1. Raises ValueError for a constant one.
    """
    volume = read(path, options)
    if volume.dtype == np.uint8:
        return (0.0, 255.0) if any(plane.max() > 1 for plane in volume) else (0.0, 1.0)
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
