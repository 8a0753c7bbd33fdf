"""PyTorch checkpoints read with numpy alone: no torch, and nothing of the file is ever executed.

Both formats of `torch.save` (pytorch/pytorch, torch/serialization.py): the zip archive of torch 1.6 and newer, and the
stream of pickles before it. A pickle is a program; here it may use the operations that a dict of tensors needs, name the
globals of `_globals` and no other, and take no more memory for tensors than its file has bytes.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..formats.pickles import check_operations
from ..messages import reason_of
from .weights import quoted

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of a stream
PROTOCOL = 1001  # the second
MAX_OPERATIONS = 1_000_000  # a checkpoint of a hundred tensors has some 5,000

OPERATIONS = frozenset(
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "BINUNICODE SHORT_BINUNICODE BINSTRING SHORT_BINSTRING "  # the last two: written by Python 2
    "EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS BINGET LONG_BINGET "
    "BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE NEWOBJ BUILD BINPERSID".split()
)
BFLOAT16 = "bfloat16"  # the upper half of a float32; numpy has no such type
STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": BFLOAT16,
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "u1",
}


def is_stream(head: bytes) -> bool:
    """Whether a file that begins so is in the older format; the newer one is a zip archive."""
    return MAGIC.to_bytes(10, "little") in head[:32]


def load(path: Path) -> Any:
    """What `torch.save` was given, with numpy arrays (read-only) for tensors; half stays half, bfloat16 becomes float32.

    Raises:
        ValueError: an unreadable, truncated or damaged file, or one that asks for anything but tensors; one line.
    """
    try:
        data = path.read_bytes()
        return _load_stream(data) if is_stream(data) else _load_archive(data)
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except Exception as error:  # whatever unpickling nonsense may raise: BadZipFile, EOFError, TypeError, MemoryError, ...
        raise ValueError(f"{path} cannot be read as a PyTorch checkpoint: {reason_of(error)}") from error


# ------------------------------------------------------------------------------------------------------------ pickles


def _ordered(pairs: list | tuple = ()) -> OrderedDict:
    if not isinstance(pairs, (list, tuple)):  # an array would become a dict many times its size
        raise ValueError("an OrderedDict is not made of a list")
    return OrderedDict(pairs)


def _size(numbers: tuple) -> tuple:
    if not isinstance(numbers, tuple):
        raise ValueError("a size is not made of a tuple")
    return numbers


def _rebuild_tensor(storage, offset, size, stride, *_unused) -> np.ndarray:
    """A view of a storage: element i lies at offset + sum_k i_k stride_k. Raises ValueError if any lies outside."""
    if not (isinstance(storage, np.ndarray) and storage.ndim == 1 and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise ValueError("a tensor is not made of a storage, a size and strides")
    if len(size) != len(stride) or len(size) > 16 or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise ValueError(f"a tensor of offset {quoted(offset)} and {len(size)} sizes makes no sense")
    count = math.prod(size)
    last = offset + sum((n - 1) * step for n, step in zip(size, stride))
    if count > storage.size or (count and last >= storage.size):
        raise ValueError(f"a tensor of size {size!r:.80} lies outside its storage of {storage.size} elements")
    if not count:
        return np.zeros(size, storage.dtype)
    steps = [step * storage.itemsize for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], size, steps, writeable=False)


def _rebuild_parameter(tensor, *_unused):
    return tensor


def _globals() -> dict[tuple[str, str], Any]:
    """Every name a checkpoint may use, and what it gets for it: made anew for each, so that none can leave a mark on it."""
    return {
        ("collections", "OrderedDict"): partial(_ordered),
        ("torch", "Size"): partial(_size),
        ("torch._utils", "_rebuild_tensor"): partial(_rebuild_tensor),
        ("torch._utils", "_rebuild_tensor_v2"): partial(_rebuild_tensor),
        ("torch._utils", "_rebuild_parameter"): partial(_rebuild_parameter),
        ("models.utils.config", "BaseConfig"): type("BaseConfig", (), {}),  # the GAN zoo's bag of settings
        **{("torch", name): kind for name, kind in STORAGES.items()},
    }


class _Unpickler(pickle.Unpickler):
    """Knows `_globals` and, for what torch stores beside the pickle, `storage(kind, key, count)`."""

    def __init__(self, data: bytes, storage: Callable[[str, str, int], np.ndarray] | None = None):
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="utf-8")
        self.table, self.storage = _globals(), storage

    def find_class(self, module: str, name: str):
        try:
            return self.table[module, name]
        except KeyError:
            raise ValueError(f"it asks for {quoted(f'{module}.{name}')}, which no file of weights needs; refused") from None

    def persistent_load(self, saved):
        if not (self.storage and isinstance(saved, tuple) and len(saved) in (5, 6) and saved[0] == "storage"):
            raise ValueError("it asks for a persistent object that is no tensor's storage")
        _, kind, key, _, count, *view = saved
        if kind not in STORAGES.values() or not isinstance(key, str) or type(count) is not int or count < 0:
            raise ValueError("it asks for a persistent object that is no tensor's storage")
        if view and view[0] is not None:
            raise ValueError("its storages are views of others, which is not supported")
        return self.storage(kind, key, count)


def _cut(stream: io.BytesIO) -> bytes:
    """The next pickle of a stream, checked to be made of `OPERATIONS` alone, without executing it."""
    start = stream.tell()
    check_operations(stream, OPERATIONS, MAX_OPERATIONS)
    return stream.getbuffer()[start : stream.tell()].tobytes()


# ------------------------------------------------------------------------------------------------------------ storages


class _Storages:
    """1-D arrays by key, together no larger than the file that holds them."""

    def __init__(self, file_size: int):
        self.left = file_size
        self.kinds: dict[str, tuple[str, int]] = {}
        self.arrays: dict[str, np.ndarray] = {}

    def __call__(self, kind: str, key: str, count: int) -> np.ndarray:
        """The storage of a key, zeros until it is filled."""
        if self.kinds.setdefault(key, (kind, count)) != (kind, count):
            raise ValueError(f"storage {quoted(key)} is used with two types or sizes")
        if key not in self.arrays:
            self.left -= count * itemsize(kind)
            if self.left < 0:
                raise ValueError(f"storage {quoted(key)} of {count} elements is larger than the file")
            self.arrays[key] = np.zeros(count, "f4" if kind == BFLOAT16 else kind)
        return self.arrays[key]

    def size(self, key: str) -> int:
        """Bytes of a storage in the file."""
        kind, count = self.kinds[key]
        return count * itemsize(kind)

    def fill(self, key: str, data: bytes, order: str = "<") -> None:
        """Put the bytes of the file in their place."""
        kind, _ = self.kinds[key]
        if len(data) != self.size(key):
            raise ValueError(f"storage {quoted(key)} has {len(data)} bytes of {self.size(key)}")
        if kind == BFLOAT16:
            self.arrays[key].view(np.uint32)[:] = np.frombuffer(data, f"{order}u2").astype(np.uint32) << 16
        else:
            self.arrays[key][:] = np.frombuffer(data, order + kind)


def itemsize(kind: str) -> int:
    """Bytes of an element in the file."""
    return 2 if kind == BFLOAT16 else np.dtype(kind).itemsize


def _load_archive(data: bytes):
    """`<name>/data.pkl`, `<name>/data/<key>` and, since torch 2.1, `<name>/byteorder`; nothing in it is compressed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename: member for member in archive.infolist()}
        roots = [name[: -len("data.pkl")] for name in members if name.endswith("data.pkl")]
        if len(roots) != 1:
            raise ValueError("it has no data.pkl, or several")

        def read(name: str) -> bytes:
            member = members.get(roots[0] + name)
            if member is None:
                raise ValueError(f"it has no {quoted(name)}")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(data):
                raise ValueError(f"{quoted(name)} is compressed, or larger than the file")
            return archive.read(member)

        storages = _Storages(len(data))
        result = _Unpickler(_cut(io.BytesIO(read("data.pkl"))), storages).load()
        order = ">" if f"{roots[0]}byteorder" in members and read("byteorder") == b"big" else "<"
        for key in storages.arrays:
            storages.fill(key, read(f"data/{key}"), order)
    return result


def _load_stream(data: bytes):
    """Pickles of magic number, protocol, system, result and storage keys; then for each key an int64 count and its bytes.

    torch writes the numbers little-endian on every machine.
    """
    stream, storages = io.BytesIO(data), _Storages(len(data))
    magic, protocol, _ = (_Unpickler(_cut(stream)).load() for _ in range(3))
    if (magic, protocol) != (MAGIC, PROTOCOL):
        raise ValueError(f"protocol {quoted(protocol)} is not {PROTOCOL}")
    result = _Unpickler(_cut(stream), storages).load()
    keys = _Unpickler(_cut(stream)).load()
    if (
        not isinstance(keys, list)
        or not all(isinstance(key, str) for key in keys)
        or sorted(keys) != sorted(storages.arrays)
    ):
        raise ValueError("its list of storages is not that of its tensors")
    for key in keys:
        (count,) = struct.unpack("<q", stream.read(8))
        if count != storages.kinds[key][1]:
            raise ValueError(f"storage {quoted(key)} has {count} elements of {storages.kinds[key][1]}")
        storages.fill(key, stream.read(storages.size(key)))
    return result
