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
from ..files import PathLike
from ..messages import reason_of
from . import records, volumes

SUFFIXES = images.READABLE
SHARDS = (".tar", *records.SUFFIXES)
_SIDE_FILE = "._"  # begins the name of what macOS keeps beside a file: attributes, no picture
_SAMPLED = 8  # pictures that are looked at for `notes`


@dataclass(frozen=True)
class Entry:
    """One encoded picture: `length` bytes at `offset` of `path` (length -1: the whole file).

    Attributes:
        levels: of a gray one, the file's values of black and white, as `images.read` has them.
    """

    name: str
    path: Path
    offset: int = 0
    length: int = -1
    levels: tuple[float, ...] = ()

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)

    def picture(self) -> Image.Image:
        """The picture as `images.read` sees it, mode L or RGB. Raises ImageError."""
        return images.eight_bits(self.name, io.BytesIO(self.read()), self.levels)


def entries(*paths: PathLike, options: VolumeOptions | None = None) -> list:
    """Pictures in folders (searched recursively), shards, single files and volumes: files by their names,
    what a shard holds in its order.

    A folder that holds `.tar` or `.tfrecord` files is read as shards.

    Args:
        options: how volumes are cut; the whole slices along every axis by default. Its `levels` are those of pictures,
            too, which must be gray then.

    Returns:
        `Entry`, `records.Record` and `volumes.Crop`, which all have `name`, `path` and `picture()`.

    Raises:
        ValueError: there is nothing, something cannot be read, or an option is for what is not there.
    """
    options = options or VolumeOptions()
    listed = [entry for path in paths for entry in _entries(Path(path), options)]
    if not listed:
        kinds = ", ".join(dict.fromkeys((*SUFFIXES, *SHARDS, *volumes.SUFFIXES)))
        raise ValueError(f"no images ({kinds}) in {', '.join(map(str, paths))}")
    _check_used(options, listed, ", ".join(map(str, paths)))
    return listed


def _check_used(options: VolumeOptions, listed: list, where: str) -> None:
    """Raise ValueError for options that would do nothing."""
    given = [name for name, value in vars(options).items() if value != getattr(VolumeOptions(), name)]
    cuts, raw = (" and ".join(n for n in names if n in given) for names in (("axes", "crop", "stride"), ("shape", "dtype")))
    if cuts and not any(isinstance(entry, volumes.Crop) for entry in listed):
        raise ValueError(f"{cuts} cut volumes, but {where} holds pictures alone; leave out {cuts}")
    if raw and not any(entry.path.suffix.lower() == ".raw" for entry in listed):
        raise ValueError(f"{raw} tell what a raw file holds, but {where} holds none; leave out {raw}")
    record = next((entry for entry in listed if isinstance(entry, records.Record)), None)
    if "levels" in given and record:
        raise ValueError(f"levels are for volumes and gray picture files; {record.path} is a TFRecord file, of 8 bits")


def _entries(path: Path, options: VolumeOptions) -> list:
    if not path.exists():
        raise ValueError(f"no such file or folder: {path}")
    if path.is_dir():
        shards = _shards(path)
        if shards:
            return [entry for shard in shards for entry in _entries(shard, options)]
        files = [p for p in _files(path) if p.name.lower().endswith((*SUFFIXES, *volumes.SUFFIXES))]
        return [entry for file in files for entry in _file(file, file.relative_to(path).as_posix(), options)]
    if path.suffix.lower() == ".tar":
        return _members(path, options)
    if path.suffix.lower() in records.SUFFIXES:
        return records.listing(path)
    return _file(path, path.name, options)


def _files(folder: Path) -> list[Path]:
    return [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(_SIDE_FILE)]


def _shards(folder: Path) -> list[Path]:
    inside = [p for p in sorted(folder.iterdir()) if not p.name.startswith(_SIDE_FILE)]
    return records.largest([p for p in inside if p.suffix.lower() in SHARDS])


def _file(path: Path, name: str, options: VolumeOptions) -> list:
    return volumes.crops(path, options, name) if volumes.is_volume(path) else [Entry(name, path, levels=options.levels)]


def _members(path: Path, options: VolumeOptions) -> list[Entry]:
    try:
        with tarfile.open(path, "r:") as tar:
            members = [m for m in tar if m.isfile() and m.name.lower().endswith(SUFFIXES)]
    except Exception as error:  # TarError, MemoryError (a header's size), RecursionError (headers of headers), ...
        raise ValueError(f"{path} is not a readable tar file: {reason_of(error)}") from error
    pictures = [m for m in members if not m.name.rpartition("/")[2].startswith(_SIDE_FILE)]
    return [Entry(m.name, path, m.offset_data, m.size, options.levels) for m in pictures]


def notes(*paths: PathLike, items: list) -> list[str]:
    """Lines for the user about what `entries(*paths)` listed: files that were left out, and, of a few single pictures, such
    as are all but black because they use little of their range (see `images.small_range`).

    Args:
        items: what was listed, or the part of it that is used.
    """
    lines = [line for path in paths if (line := _left_out(Path(path)))]
    single = [item for item in items if isinstance(item, Entry) and item.length < 0 and not item.levels]
    for item in single[:: -(-len(single) // _SAMPLED) or 1]:
        try:
            line = images.small_range(item.path, images.read(item.path))
        except images.ImageError:  # `load` will say it
            continue
        if line:
            return [*lines, line]
    return lines


def _left_out(folder: Path) -> str:
    """How many files of a folder are not read, by their suffixes."""
    if not folder.is_dir():
        return ""
    kinds = SHARDS if _shards(folder) else (*SUFFIXES, *volumes.SUFFIXES)
    others = [p for p in _files(folder) if not p.name.lower().endswith(kinds) and not p.name.startswith(".")]
    if not others:
        return ""
    why = "it is read as shards" if kinds == SHARDS else "no pictures by their names"
    found = ", ".join(sorted({p.suffix.lower() or p.name for p in others})[:6])
    count = f"{len(others)} files were" if len(others) > 1 else "1 file was"
    return f"{folder}: {count} left out ({found}): {why}"


def load(entry, side: int, channels: int = 3) -> np.ndarray:
    """Decode one picture to uint8 `[side, side, channels]`: center square, then box average (bicubic if not a divisor).

    Raises ValueError naming the picture if it cannot be decoded.
    """
    try:
        picture = entry.picture().convert("RGB" if channels == 3 else "L")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise ValueError(f"cannot decode {entry.name} in {entry.path}: {reason}") from error
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    method = Image.Resampling.BICUBIC if edge % side else Image.Resampling.BOX
    return np.asarray(picture.resize((side, side), method, box=box)).reshape(side, side, channels)


def load_all(items: list, side: int, channels: int = 3, workers: int = 2) -> np.ndarray:
    """All pictures as one uint8 array `[n, side, side, channels]`; the memory is n side^2 channels bytes."""
    with ThreadPoolExecutor(workers) as pool:  # Pillow decodes outside Python's lock
        return np.stack(list(pool.map(lambda entry: load(entry, side, channels), items)))
