"""A volume as planes in [-1, 1], whatever its file holds: gray levels, the middle cut out, axes taken in turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..config import SliceOptions, VolumeOptions
from ..data import volumes

FEW_LEVELS = 32  # whole numbers between black and white below which a result would be a segmentation of itself


@dataclass(frozen=True, eq=False)
class Volume:
    """Gray values `[z, y, x]`, mapped or in memory, and which of them are black and white.

    Attributes:
        low, high: gray values of -1 and 1; what is beyond is cut off.
        negative: whether -1 is white, as the tag of a TIFF may say.
    """

    values: np.ndarray
    low: float
    high: float
    negative: bool = False

    @property
    def dtype(self) -> np.dtype:
        """Of results: the file's own for 8 and 16 bits, else float32; so it is where few levels would round much off."""
        kind = self.values.dtype.newbyteorder("=")
        whole = kind in (np.uint8, np.uint16) and self.high - self.low >= FEW_LEVELS
        return kind if whole else np.dtype(np.float32)

    def plane(self, axis: int, index: int) -> np.ndarray:
        """One plane, float32 `[h, w]` in [-1, 1]; what was not measured (NaN) is black."""
        return self.unit(np.moveaxis(self.values, axis, 0)[index])

    def planes(self, axis: int) -> Iterator[np.ndarray]:
        return (self.plane(axis, index) for index in range(self.values.shape[axis]))

    def unit(self, gray) -> np.ndarray:
        """Gray values -> [-1, 1]."""
        scaled = 2 * (np.asarray(gray, np.float64) - self.low) / (self.high - self.low) - 1
        scaled = np.clip(np.nan_to_num(scaled, nan=-1.0), -1, 1)
        return (-scaled if self.negative else scaled).astype(np.float32)

    def gray(self, unit: np.ndarray) -> np.ndarray:
        """[-1, 1] -> gray values of `dtype`, rounded where these are whole."""
        unit = np.clip(np.asarray(unit, np.float64), -1, 1)
        gray = self.low + ((-unit if self.negative else unit) + 1) / 2 * (self.high - self.low)
        if self.dtype.kind == "u":
            return np.clip(np.round(gray), 0, np.iinfo(self.dtype).max).astype(self.dtype)
        return gray.astype(np.float32)

    def of(self, values: np.ndarray) -> Volume:
        """Other values with the same levels."""
        return replace(self, values=values)

    def window(self, axis: int, options: SliceOptions, unit: int = 1) -> Volume:
        """The part that is restored: each slice's middle square if one is asked for, and whole multiples of `unit` of it.

        Raises ValueError for a square that is larger than the slices.
        """
        sides = [slice(None)] * 3
        for k in (k for k in range(3) if k != axis):
            length = self.values.shape[k]
            size = (options.crop or length) // unit * unit
            if options.crop > length or not size:
                plane = "x".join(str(n) for i, n in enumerate(self.values.shape) if i != axis)
                raise ValueError(f"slices of {plane} do not hold a square of {options.crop or unit}")
            begin = (length - size) // 2 if options.crop else 0
            sides[k] = slice(begin, begin + size)
        return self.of(self.values[tuple(sides)])


def read(path: Path, cut: VolumeOptions) -> Volume:
    """A volume's file. Raises ValueError naming it as `data.volumes.read` and `levels`, and for a file of another kind."""
    if not path.exists():
        raise ValueError(f"{path} does not exist")
    if not volumes.is_volume(path):
        names = ", ".join(volumes.SUFFIXES)
        raise ValueError(f"{path} is no volume: one is a TIFF stack of several pages, or one of {names}")
    values = volumes.read(path, cut)
    low, high = map(float, cut.levels or volumes.levels(path, cut))
    return Volume(values, low, high, volumes.white_is_zero(path))


def missing(path: Path, cut: VolumeOptions, shape: tuple[int, ...]) -> np.ndarray:
    """A mask's volume, not 0 where voxels are missing. Raises ValueError for another shape."""
    values = volumes.read(path, VolumeOptions(shape=cut.shape))
    if values.shape != shape:
        raise ValueError(f"{path} has shape {list(values.shape)}, the volume {list(shape)}: a mask needs the same")
    return values


def check_slices(source: Path, whole: Volume, options: SliceOptions, side: int, name: str) -> None:
    """Raise ValueError for slices, or a square of them, that do not hold a tile."""
    sides = [n for k, n in enumerate(whole.values.shape) if k != options.number]
    if min(sides) < side:
        raise ValueError(
            f"{source}: slices along {options.axis} are {sides[0]}x{sides[1]}, smaller than the {side}x{side} of {name}; "
            "take another axis, or a preset of smaller pictures"
        )
    if options.crop and options.crop < side:
        raise ValueError(f"crop must be at least {side}, the side of what {name} restores; received {options.crop}")
