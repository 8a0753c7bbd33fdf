"""Where pictures lie: folders, tar shards, TFRecords, single files and volumes, listed once and read one by one.

A listing holds offsets, not pictures, so that any picture can be read at any time: the order of a stream is a function of
the seed alone, and nothing is held in memory.
"""

from __future__ import annotations

import io
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .. import images
from ..config import VolumeOptions
from . import records, volumes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
SHARDS = (".tar", *records.SUFFIXES)


@dataclass(frozen=True)
class Entry:
    """One encoded picture: `length` bytes at `offset` of `path` (length -1: the whole file)."""

    name: str
    path: Path
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def picture(self) -> Image.Image:
        """The decoded picture. Raises what Pillow raises."""
        return Image.open(io.BytesIO(self.read()))


def entries(*paths: str | Path, options: VolumeOptions | None = None) -> list:
    """Pictures in folders (searched recursively), shards, single files and volumes: files by their names,
    what a shard holds in its order.

    A folder that holds `.tar` or `.tfrecord` files is read as shards.

    Args:
        options: how volumes are cut; the whole slices along every axis by default.

    Returns:
        `Entry`, `records.Record` and `volumes.Crop`, which all have `name`, `path` and `picture()`.

    Raises:
        ValueError: there is nothing, or something cannot be read.
    """
    listed = [entry for path in paths for entry in _entries(Path(path), options or VolumeOptions())]
    if not listed:
        kinds = ", ".join(dict.fromkeys((*SUFFIXES, *SHARDS, *volumes.SUFFIXES)))
        raise ValueError(f"no images ({kinds}) in {', '.join(map(str, paths))}")
    return listed


def _entries(path: Path, options: VolumeOptions) -> list:
    if not path.exists():
        raise ValueError(f"no such file or folder: {path}")
    if path.is_dir():
        shards = records.largest([p for p in sorted(path.iterdir()) if p.suffix in SHARDS])
        if shards:
            return [entry for shard in shards for entry in _entries(shard, options)]
        kinds = (*SUFFIXES, *volumes.SUFFIXES)
        files = [p for p in sorted(path.rglob("*")) if p.name.lower().endswith(kinds) and p.is_file()]
        return [entry for file in files for entry in _file(file, file.relative_to(path).as_posix(), options)]
    if path.suffix == ".tar":
        return _members(path)
    if path.suffix in records.SUFFIXES:
        return records.listing(path)
    return _file(path, path.name, options)


def _file(path: Path, name: str, options: VolumeOptions) -> list:
    return volumes.crops(path, options, name) if volumes.is_volume(path) else [Entry(name, path)]


def _members(path: Path) -> list[Entry]:
    try:
        with tarfile.open(path, "r:") as tar:
            members = [m for m in tar if m.isfile() and m.name.lower().endswith(SUFFIXES)]
    except tarfile.TarError as error:
        raise ValueError(f"{path} is not a readable tar file: {error}") from error
    return [Entry(m.name, path, m.offset_data, m.size) for m in members]


def load(entry, side: int, channels: int = 3) -> np.ndarray:
    """Decode one picture to uint8 `[side, side, channels]`: center square, then box average (bicubic if not a divisor).

    Raises ValueError naming the picture if it cannot be decoded.
    """
    try:
        picture = images.eight_bits(entry.name, entry.picture(), channels)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # all of them Pillow's
        raise ValueError(f"cannot decode {entry.name} in {entry.path}: {error}") from error
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    method = Image.Resampling.BICUBIC if edge % side else Image.Resampling.BOX
    return np.asarray(picture.resize((side, side), method, box=box)).reshape(side, side, channels)


def load_all(items: list, side: int, channels: int = 3, workers: int = 2) -> np.ndarray:
    """All pictures as one uint8 array `[n, side, side, channels]`; the memory is n side^2 channels bytes."""
    with ThreadPoolExecutor(workers) as pool:  # Pillow decodes outside Python's lock
        return np.stack(list(pool.map(lambda entry: load(entry, side, channels), items)))
