"""Compressed pictures: a code m = E(x) of k numbers for each, in an `.npz` file that NumPy alone reads.

Entries: `header`, UTF-8 JSON as uint8 (version, preset, task, encoder, resolution, bits, names); `code` `[n, k]`, float32,
float16 or uint8; and for uint8 `minimum` and `step`, float32 `[n]`: the numbers are minimum + step * code. Nothing is
pickled, so reading a stranger's file runs none of it.
"""

from __future__ import annotations

import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..files import FileError, PathLike
from ..messages import reason_of

VERSION = 1
BITS = (32, 16, 8)
LIMIT = 64 * 2**20  # bytes of all entries, unpacked: 16,384 codes of 1,024 float32
_SIDE_BITS = 64  # a minimum and a step of 32 bits beside each 8-bit code
_DTYPES: dict[int, np.dtype] = {32: np.dtype("<f4"), 16: np.dtype("<f2"), 8: np.dtype("u1")}
_SCALE = np.dtype("<f4")


class CodeError(FileError):
    """A file that is no code file, or not one of this preset; the message is one line that names the file."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A batch of codes at a number of bits.

    Attributes:
        code: `[n, k]` float32, float16 or uint8.
        minimum, step: float32 `[n]`, for uint8 only: the numbers are minimum + step * code.
    """

    bits: int
    code: np.ndarray
    minimum: np.ndarray | None = None
    step: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class CodeFile:
    """What a code file holds.

    Attributes:
        code: float32 `[n, k]`, finite.
        names: of the n source files.
        preset: name of the preset whose encoder made the code.
        task: of that encoder.
        encoder: checksum of that encoder, in hex: another encoder's code means another picture.
        resolution: side of the pictures in pixels.
        bits: 32, 16 or 8 for each number in the file.

    Example:
        >>> file = CodeFile(np.zeros((1, 4), np.float32), ["a.png"], "faces-64", "reconstruct", "00ff", 64, bits=8)
        >>> bits_per_pixel(file.code.shape[1], file.bits, file.resolution)
        0.0234375
    """

    code: np.ndarray
    names: list[str]
    preset: str
    task: str
    encoder: str
    resolution: int
    bits: int = 32


def quantize(code: np.ndarray, bits: int) -> Packed:
    """Store each number with 32, 16 or 8 bits.

    8 bits: 256 levels, evenly from the least to the greatest number of each code (a step of 0 where all are equal), so that
    no number moves by more than half a step, and the rounding of the sum to float32.

    Args:
        code: float32 `[n, k]`.

    Raises:
        ValueError: bits that are not in `BITS`, another shape, or numbers that are not finite, or too large for the bits
            (float16 ends at 65504).

    Example:
        >>> packed = quantize(np.float32([[0.0, 0.5, 1.0]]), 8)
        >>> dequantize(packed).round(2)
        array([[0. , 0.5, 1. ]], dtype=float32)
    """
    _check_bits(bits)
    code = np.asarray(code, np.float32)
    if code.ndim != 2 or 0 in code.shape:
        raise ValueError(f"codes have shape [n, k], received {list(code.shape)}")
    if not np.isfinite(code).all():
        raise ValueError("the code holds NaN or infinite values")
    with np.errstate(over="ignore"):
        packed = _to_uint8(code) if bits == 8 else Packed(bits, code.astype(_DTYPES[bits]))
    if not np.isfinite(dequantize(packed)).all():
        raise ValueError(f"the code reaches {np.abs(code).max():.4g}, too large for {bits} bits")
    return packed


def _to_uint8(code: np.ndarray) -> Packed:
    low, high = (extreme(code, axis=1).astype(np.float64) for extreme in (np.min, np.max))
    # Rounded up, never to 0 unless all numbers are equal: 255 steps reach the greatest number.
    exact = (high - low) / 255
    step = exact.astype(_SCALE)
    step = np.where(step < exact, np.nextafter(step, np.float32(np.inf)), step)
    levels = np.rint((code - low[:, None]) / np.where(step > 0, step, 1)[:, None].astype(np.float64))
    return Packed(8, np.clip(levels, 0, 255).astype(np.uint8), low.astype(_SCALE), step)


def dequantize(packed: Packed) -> np.ndarray:
    """float32 `[n, k]` of what `quantize` made."""
    if packed.minimum is None or packed.step is None:
        return packed.code.astype(np.float32)
    steps = packed.step.astype(np.float64)[:, None] * packed.code
    with np.errstate(over="ignore"):
        return (packed.minimum.astype(np.float64)[:, None] + steps).astype(np.float32)


def _check_bits(bits: int) -> None:
    if bits not in BITS:
        raise ValueError(f"bits must be one of {', '.join(map(str, BITS))}; received {bits!r}")


def bits_per_picture(k: int, bits: int) -> int:
    """Bits of one code of k numbers, with the minimum and the step of an 8-bit one; names and header are not counted.

    Raises ValueError for bits that are not in `BITS` or a k below 1.
    """
    _check_bits(bits)
    if k < 1:
        raise ValueError(f"a code has at least 1 number; received {k!r}")
    return k * bits + (_SIDE_BITS if bits == 8 else 0)


def bits_per_pixel(k: int, bits: int, resolution: int) -> float:
    """`bits_per_picture` over resolution^2 pixels. Raises ValueError as it does, and for a resolution below 1."""
    if resolution < 1:
        raise ValueError(f"the resolution must be above 0; received {resolution!r}")
    return bits_per_picture(k, bits) / resolution**2


def save(path: PathLike, codefile: CodeFile) -> None:
    """Write a code file whole or not at all.

    Raises:
        ValueError: a suffix that is not .npz, contents that `load` would refuse, or numbers too large for the bits.
        FileError (a ValueError): a place that cannot be written.
    """
    check_output(path)
    files.write_bytes(path, _content(path, codefile))


def check_save(path: PathLike, codefile: CodeFile) -> None:
    """Raise ValueError, as `save` would, before there are the numbers themselves; the code's may be any."""
    check_output(path)
    _content(path, codefile)


def _content(path: PathLike, codefile: CodeFile) -> bytes:
    header = {name: getattr(codefile, name) for name in ("preset", "task", "encoder", "resolution", "bits")}
    header = {"version": VERSION, **header, "names": list(codefile.names)}
    if fault := _header_fault(header):
        raise ValueError(f"{os.fspath(path)}: not written: {fault}")
    packed = quantize(codefile.code, codefile.bits)
    if len(packed.code) != len(codefile.names):
        raise ValueError(f"{os.fspath(path)}: not written: {len(codefile.names)} names for {len(packed.code)} codes")
    entries: dict[str, Any] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), "code": packed.code}
    if packed.bits == 8:
        entries.update(minimum=packed.minimum, step=packed.step)
    buffer = io.BytesIO()
    np.savez(buffer, **entries)  # not deflated: that gains little, and would blur how large a code is
    if buffer.tell() > LIMIT:
        raise ValueError(f"{os.fspath(path)}: not written: {buffer.tell():,} bytes; at most {LIMIT:,} can be read again")
    return buffer.getvalue()


def load(path: PathLike) -> CodeFile:
    """Read a code file, its numbers as float32 whatever its bits.

    Raises:
        CodeError: missing, unreadable, damaged or truncated file, one that is no code file or of another version, or whose
            entries lack, contradict each other, are not finite, or take over `LIMIT` bytes unpacked.
    """
    return guarded(path, lambda: parse(path, entries(path)))


def guarded(path: PathLike, read: Callable[[], Any]) -> Any:
    """What `read` gives; whatever a damaged file makes it raise becomes a CodeError."""
    try:
        return read()
    except CodeError:
        raise
    except Exception as error:  # zipfile and NumPy raise BadZipFile, zlib.error, EOFError, MemoryError, ValueError, ...
        raise CodeError(path, f"damaged code file ({reason_of(error)})") from error


def entries(path: PathLike) -> dict[str, Any]:
    """Name -> array of a code file of any version. Raises CodeError for what is none, and as NumPy does."""
    return _entries(path, _read(path))


def _read(path: PathLike) -> bytes:
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait forever
            raise CodeError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "is not a regular file")
        if status.st_size == 0:
            raise CodeError(path, "is an empty file")
        _check_size(path, status.st_size)
        return Path(path).read_bytes()
    except OSError as error:
        raise CodeError(path, (error.strerror or str(error)).lower()) from None


def _entries(path: PathLike, data: bytes) -> dict[str, Any]:
    """Name -> array of a code file's bytes; nothing is unpacked before its directory has told its size."""
    if not zipfile.is_zipfile(io.BytesIO(data)):
        cut = data.startswith(b"PK\x03\x04")  # the directory of a zip stands at its end
        raise CodeError(path, "truncated code file" if cut else "not a code file (.npz)")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_size(path, sum(entry.file_size for entry in archive.infolist()))
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        if missing := {"header", "code"} - set(archive.files):
            raise CodeError(path, f"not a code file: it has no {' and no '.join(sorted(missing))}")
        return {name: archive[name] for name in ("header", "code", "minimum", "step") if name in archive.files}


def _check_size(path: PathLike, size: int) -> None:
    if size > LIMIT:
        raise CodeError(path, f"too large: {size:,} bytes unpacked; at most {LIMIT:,} are read")


def header_of(path: PathLike, entries: dict[str, Any]) -> Any:
    """The header, whatever it says. Raises CodeError where it is not JSON."""
    raw = entries["header"]
    if not _is_array(raw, np.dtype("u1"), 1):
        raise CodeError(path, "not a code file: its header is not text")
    try:
        return json.loads(raw.tobytes().decode("utf-8"))
    except ValueError as error:
        raise CodeError(path, f"not a code file: its header is not JSON ({error})") from error


def parse(path: PathLike, entries: dict[str, Any]) -> CodeFile:
    """The entries as a CodeFile. Raises CodeError where they are not what `save` writes."""
    header = header_of(path, entries)
    if fault := _header_fault(header):
        raise CodeError(path, fault)
    bits, names = header["bits"], header["names"]
    if missing := [name for name in ("minimum", "step") if bits == 8 and name not in entries]:
        raise CodeError(path, f"an 8-bit code lacks its {' and its '.join(missing)}")
    packed = Packed(bits, entries["code"], *((entries["minimum"], entries["step"]) if bits == 8 else ()))
    if not _is_array(packed.code, _DTYPES[bits], 2) or 0 in packed.code.shape:
        raise CodeError(path, f"its code must be {_DTYPES[bits]} [n, k], found {_found(packed.code)}")
    if len(names) != len(packed.code):
        raise CodeError(path, f"it has {len(names)} names for {len(packed.code)} codes")
    for name, values in {"minimum": packed.minimum, "step": packed.step}.items():
        if bits == 8 and (values is None or not _is_array(values, _SCALE, 1) or len(values) != len(names)):
            raise CodeError(path, f"its {name} must be {_SCALE} [{len(names)}], found {_found(values)}")
    with np.errstate(all="ignore"):
        code = dequantize(packed)
    if not np.isfinite(code).all():
        raise CodeError(path, "its code holds NaN or infinite values")
    return CodeFile(code, names, *(header[name] for name in ("preset", "task", "encoder", "resolution", "bits")))


def _header_fault(header: Any) -> str:
    """What is wrong with a header, "" if nothing is."""
    if not isinstance(header, dict) or "version" not in header:
        return "not a code file: its header has no version"
    if header["version"] != VERSION:
        return f"version {header['version']!r:.20} of code files is not supported, only version {VERSION}"
    if missing := {"preset", "task", "encoder", "resolution", "bits", "names"} - set(header):
        return f"its header lacks {', '.join(sorted(missing))}"
    for name in ("preset", "task"):
        if not isinstance(header[name], str):
            return f"its {name} must be text"
    if not isinstance(header["encoder"], str) or not re.fullmatch("[0-9a-f]+", header["encoder"]):
        return "its encoder must be a checksum in hex"
    if type(header["resolution"]) is not int or header["resolution"] < 1:
        return "its resolution must be a whole number above 0"
    if type(header["bits"]) is not int or header["bits"] not in BITS:
        return f"its bits must be one of {', '.join(map(str, BITS))}"
    if not isinstance(header["names"], list) or not all(isinstance(name, str) for name in header["names"]):
        return "its names must be a list of texts"
    return ""


def _is_array(values: Any, dtype: np.dtype, dimensions: int) -> bool:
    return isinstance(values, np.ndarray) and values.dtype == dtype and values.ndim == dimensions


def _found(values: Any) -> str:
    return f"{values.dtype} {list(values.shape)}" if isinstance(values, np.ndarray) else "no array"


def check(codefile: CodeFile, path: PathLike, *, preset: str, encoder: str, size: int) -> None:
    """Raise CodeError if a code cannot be decoded with these parts.

    Args:
        path: named in the message.
        preset: name of the preset at hand.
        encoder: checksum of the encoder that its decoder belongs to, in hex.
        size: k, how many numbers the decoder takes.
    """
    if codefile.preset != preset:
        raise CodeError(path, f"its code is of preset {codefile.preset!r}, expected {preset!r}")
    if codefile.encoder != encoder:
        found, expected = short(codefile.encoder, encoder)
        raise CodeError(path, f"its code is of an encoder with checksum {found}, expected {expected}")
    if codefile.code.shape[1] != size:
        raise CodeError(path, f"its codes have {codefile.code.shape[1]} numbers, expected {size}")


def short(*checksums: str) -> list[str]:
    """The first 12 digits of each, or all of them if the first 12 are alike."""
    return [c[:12] for c in checksums] if len({c[:12] for c in checksums}) > 1 else list(checksums)


def check_output(path: PathLike) -> None:
    """Raise ValueError before any work if `save` could not write there."""
    if Path(path).suffix != ".npz":
        raise ValueError(f"{os.fspath(path)}: a code file is written as .npz")
    files.check_writable(path)
