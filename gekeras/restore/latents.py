"""A latent in few bytes: whole numbers along the axes of a preset's metric, entropy coded, and the file that holds them.

    z = Q (s * u),  u = 2^(-level / 8) * 8 sqrt(w),  p(s_i) = (1 - t_i) / (1 + t_i) * t_i^|s_i|

Q and w are the eigenvectors and eigenvalues of the inverse of the starter's averaged curvature: where G hardly looks, the
step is long and the number nearly always 0. Each t_i follows from u_i alone, so a row is its level, one byte, and the bits
of the numbers: one arithmetic code, in integers of any size, exact and without loss to words.

Entries of the `.npz`: `header`, UTF-8 JSON as uint8 (version, preset, task, generator, starter, resolution, names), and
`code`, uint8 `[n, bytes]`.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import files
from ..files import PathLike
from . import codes
from .codes import CodeError, CodeFile

VERSION = 2
FEWEST, MOST = 16, 1024  # bytes a picture
LEVELS = 64  # of the steps, eight an octave
REACH = 4095  # greatest number
_SPREAD = 0.5  # of a number in units of z, chosen on training pictures
_BITS = 24  # of a probability


@dataclass(frozen=True, eq=False)
class LatentFile:
    """What a file of latents holds.

    Attributes:
        code: uint8 `[n, bytes]`, rows as `pack` makes them.
        names: of the n source files.
        preset, task: whose generator draws the pictures, and whose starter's metric the axes are of.
        generator, starter: checksums of the two, in hex.
        resolution: side of the pictures in pixels.
    """

    code: np.ndarray
    names: list[str]
    preset: str
    task: str
    generator: str
    starter: str
    resolution: int


def axes(metric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q `[d, d]` and 8 sqrt(w) `[d]` of an inverse curvature `[d, d]`, the same on every machine up to rounding."""
    values, vectors = np.linalg.eigh(np.asarray(metric, np.float64))
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    return vectors, 8 * np.sqrt(np.maximum(values, 1e-8))


def steps(longest: np.ndarray, level: np.ndarray) -> np.ndarray:
    """u: `[d]` and levels `[n]` -> `[n, d]`."""
    return longest * 2.0 ** (-np.asarray(level, np.float64)[..., None] / 8)


def decay(step: np.ndarray) -> np.ndarray:
    """t of steps, in a form that needs no exponential: e^(-1/b) but for a few percent, b = the spread in steps.

    b is rounded to eight values an octave: sender and receiver agree whatever their last digits are.
    """
    b = _spread(np.clip(np.rint(8 * np.log2(_SPREAD / step)), -64, 72))
    return b * b / (b * b + b + 1)


def _spread(octave):
    return np.float32(2.0 ** (octave / 8)).astype(np.float64)


@functools.lru_cache(maxsize=256)
def _starts(t: float) -> np.ndarray:
    """Where the share of each of -REACH..REACH begins, of 2^24 in all: int64 `[2 REACH + 2]`, the same on every machine."""
    tail = np.multiply.accumulate(np.concatenate([[(1 - t) / (1 + t)], np.full(REACH, t)]))
    shares = np.floor(np.concatenate([tail[:0:-1], tail]) * (2**_BITS - 2 * REACH - 1)).astype(np.int64) + 1
    shares[REACH] += 2**_BITS - shares.sum()
    return np.concatenate([[0], np.cumsum(shares)])


def pack(numbers: np.ndarray, level: int, step: np.ndarray, size: int) -> np.ndarray | None:
    """Numbers `[d]` in so many bytes, uint8 `[size]`; None where they do not fit.

    Args:
        step: `[d]`, that of the level.
    """
    low, width = 0, 1
    for s, t in zip(np.asarray(numbers).astype(int) + REACH, decay(step)):
        starts = _starts(float(t))
        low, width = (low << _BITS) + int(starts[s]) * width, width * int(starts[s + 1] - starts[s])
    more, spare = _shifts(len(step), size)
    code = -(-low << more >> spare)  # the least of those that mean these numbers
    if code << spare >= low + width << more:
        return None
    return np.frombuffer(bytes([level]) + code.to_bytes(size - 1, "big"), np.uint8)


def _shifts(count: int, size: int) -> tuple[int, int]:
    """By how many bits the shares of so many numbers, and the code of a row, are short of the longer of the two."""
    shares, code = _BITS * count, 8 * (size - 1)
    return max(code - shares, 0), max(shares - code, 0)


def unpack(row: np.ndarray, longest: np.ndarray) -> np.ndarray:
    """s * u, float64 `[d]`, of what `pack` made. Raises ValueError for a row that it did not make for these axes."""
    level, code, found = int(row[0]), int.from_bytes(row[1:].tobytes(), "big"), []
    if level >= LEVELS:
        raise ValueError(f"its step's level is {level}, of {LEVELS}")
    step = steps(longest, np.array(level))
    more, spare = _shifts(len(step), len(row))
    rest, width = code << spare, 1 << more
    for left, t in zip(range(len(step) - 1, -1, -1), decay(step)):
        starts, cell = _starts(float(t)), width << _BITS * left
        s = int(np.searchsorted(starts, rest // cell, "right")) - 1
        rest, width = rest - int(starts[s]) * cell, width * int(starts[s + 1] - starts[s])
        found.append(s - REACH)
    if rest >> spare:  # another code than the least
        raise ValueError("its bits are not those of its numbers")
    return np.array(found) * step


def check_size(size: int) -> None:
    """Raise ValueError for bytes a picture that no file has."""
    if type(size) is not int or not FEWEST <= size <= MOST:
        raise ValueError(f"bytes must be a whole number from {FEWEST} to {MOST}; received {size!r}")


def save(path: PathLike, file: LatentFile) -> None:
    """As `codes.save`."""
    codes.check_output(path)
    files.write_bytes(path, _content(path, file))


def check_save(path: PathLike, file: LatentFile) -> None:
    """As `codes.check_save`."""
    codes.check_output(path)
    _content(path, file)


def _content(path: PathLike, file: LatentFile) -> bytes:
    fields = ("preset", "task", "generator", "starter", "resolution")
    header = {"version": VERSION, **{name: getattr(file, name) for name in fields}, "names": list(file.names)}
    if fault := _fault(header, file.code):
        raise ValueError(f"{os.fspath(path)}: not written: {fault}")
    buffer = io.BytesIO()
    np.savez(buffer, header=np.frombuffer(json.dumps(header).encode(), np.uint8), code=file.code)
    if buffer.tell() > codes.LIMIT:
        most = f"at most {codes.LIMIT:,} can be read again"
        raise ValueError(f"{os.fspath(path)}: not written: {buffer.tell():,} bytes; {most}")
    return buffer.getvalue()


def load(path: PathLike) -> LatentFile | CodeFile:
    """A file of latents, or of codes, whichever it is. Raises CodeError as `codes.load`."""
    return codes.guarded(path, lambda: _parse(path, codes.entries(path)))


def _parse(path: PathLike, entries: dict[str, Any]) -> LatentFile | CodeFile:
    header = codes.header_of(path, entries)
    if not isinstance(header, dict) or header.get("version") != VERSION:
        return codes.parse(path, entries)
    if fault := _fault(header, entries["code"]):
        raise CodeError(path, fault)
    header.pop("version")
    return LatentFile(entries["code"], **{name: header[name] for name in LatentFile.__dataclass_fields__ if name in header})


def _fault(header: dict, code: Any) -> str:
    """What is wrong with the contents, "" if nothing is."""
    if missing := {"preset", "task", "generator", "starter", "resolution", "names"} - set(header):
        return f"its header lacks {', '.join(sorted(missing))}"
    for name in ("preset", "task"):
        if not isinstance(header[name], str):
            return f"its {name} must be text"
    for name in ("generator", "starter"):
        if not isinstance(header[name], str) or not re.fullmatch("[0-9a-f]+", header[name]):
            return f"its {name} must be a checksum in hex"
    if type(header["resolution"]) is not int or header["resolution"] < 1:
        return "its resolution must be a whole number above 0"
    names = header["names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return "its names must be a list of texts"
    if not isinstance(code, np.ndarray) or code.dtype != np.uint8 or code.ndim != 2 or not len(code):
        return "its code must be uint8 [n, bytes]"
    if not FEWEST <= code.shape[1] <= MOST:
        return f"its rows have {code.shape[1]} bytes, not {FEWEST} to {MOST}"
    return "" if len(names) == len(code) else f"it has {len(names)} names for {len(code)} codes"


def check_effect(path: PathLike, fidelity: str, changes: Mapping[str, Any], preview: bool) -> None:
    """Raise CodeError for an option of `decode` that would change nothing: there is nothing to solve."""
    given = [name for name, value in changes.items() if value is not None and (name, value) != ("seed", 0)]
    given += ["preview"] * bool(preview) + ["fidelity"] * (fidelity != "fast")
    if given:
        why = "holds latents, which the generator draws at once"
        raise CodeError(path, f"{why}: {given[0]} would change nothing, leave it out")


def check(file: LatentFile, path: PathLike, *, preset: str, generator: str, starter: str) -> None:
    """Raise CodeError if a file's latents are not of these parts; `path` is named in the message."""
    if file.preset != preset:
        raise CodeError(path, f"its latents are of preset {file.preset!r}, expected {preset!r}")
    for name, found, expected in (("generator", file.generator, generator), ("starter", file.starter, starter)):
        if found != expected:
            found, expected = codes.short(found, expected)
            raise CodeError(path, f"its latents are of a {name} with checksum {found}, expected {expected}")
