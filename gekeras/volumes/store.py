"""What a run keeps while it lasts: results as mapped files, and how far it is. A stopped run goes on where it was.

Beside the output OUT lies the folder `.OUT.part`: a `.npy` for each method, written slice by slice, and `state.json`,
written after each block. A block that was not finished is computed again, by the same rules, so the bytes are the same.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from . import voxels

STATE = "state.json"
_HEADER = 2**12  # bytes more than a file's values need


def folder_of(output: Path) -> Path:
    return output.with_name(f".{output.name}.part")


class Store:
    """The folder of a run.

    Args:
        output: of the run.
        key: all that the results depend on; a run goes on only where it is the same.
        plan: sizes of blocks, which an earlier call of the same run decides.
        names: of the methods.

    Attributes:
        plan: as given, or as the earlier call had it.
        slices: what is noted of each slice that is done.
        seconds: that were spent on them.
        arrays: name -> mapped volume.

    Raises:
        ValueError: a folder of a run of something else, or too little room on the disk.
    """

    def __init__(self, output: Path, key: dict[str, Any], plan: dict[str, int]):
        self.folder, self.key = folder_of(output), json.loads(json.dumps(key))
        self.plan, self.seconds = plan, 0.0
        self.slices: list[dict[str, Any]] = []
        self.arrays: dict[str, np.memmap] = {}
        if self.folder.exists():
            self._resume(output)

    def _resume(self, output: Path) -> None:
        ways = f"remove {self.folder}, or name another output"
        try:
            state = files.read_json(self.folder / STATE)
            there, plan, slices, seconds = (state[name] for name in ("key", "plan", "slices", "seconds"))
        except (files.FileError, KeyError):
            raise ValueError(f"{self.folder} is there, and is no unfinished run that could go on: {ways}") from None
        if there != self.key:
            other = ", ".join(sorted(k for k in {*there, *self.key} if there.get(k) != self.key.get(k)))
            raise ValueError(f"an unfinished run of {output} has other settings ({other}): repeat them, {ways}")
        self.plan, self.slices, self.seconds = plan, slices, seconds

    def open(self, names: Sequence[str], shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Map the results, made if they are not there. Raises ValueError where the disk has no room for them."""
        if not self.folder.exists():
            each = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize + _HEADER
            free = shutil.disk_usage(self.folder.parent).free
            if 2 * each * len(names) > free:  # the result is written beside what it is made of
                raise ValueError(f"{self.folder.parent} has {free:,} bytes free; {2 * each * len(names):,} are needed")
            self.folder.mkdir()
            for name in names:
                np.lib.format.open_memmap(self._file(name), "w+", dtype, shape).flush()
                _reserve(self._file(name))
            self._write()
        self.arrays = {name: np.lib.format.open_memmap(self._file(name), "r+") for name in names}

    def _file(self, name: str) -> Path:
        return self.folder / f"{name.replace(' ', '-')}.npy"

    def commit(self, fresh: list[dict[str, Any]], seconds: float) -> None:
        """Note slices as done, their planes being on the disk before."""
        for array in self.arrays.values():
            array.flush()
        self.slices += fresh
        self.seconds += seconds
        self._write()

    def _write(self) -> None:
        state = {"key": self.key, "plan": self.plan, "slices": self.slices, "seconds": self.seconds}
        files.write_json(self.folder / STATE, state)

    def remove(self) -> None:
        self.arrays = {}
        shutil.rmtree(self.folder, ignore_errors=True)


def _reserve(path: Path) -> None:
    """Take the room now: a mapped file that finds none later ends the process."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def write(path: Path, volume: np.ndarray, voxel: voxels.Voxel | None) -> None:
    """A volume as TIFF or .npy, plane by plane, whole or not at all. Raises FileError if that cannot be."""
    try:
        with files.replacing(path) as file:
            if path.suffix.lower() in voxels.SUFFIXES:
                voxels.write(file, volume, voxel)
                return
            header = {"descr": np.lib.format.dtype_to_descr(volume.dtype), "fortran_order": False, "shape": volume.shape}
            np.lib.format.write_array_header_1_0(file, header)
            for plane in volume:
                file.write(np.ascontiguousarray(plane).tobytes())
    except OSError as error:
        raise files.FileError(path, f"cannot be written ({error.strerror or error})") from error
