"""What an evaluation measures beside MSE, PSNR and SSIM: files as their users name them, then the networks in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import metrics, perceptual
from ..files import FileError, PathLike, check_writable
from ..perceptual import identity, inception_file
from . import sets

SAID = {"lpips": "LPIPS", "identity": "identity", "inception": "FID"}  # how a message calls what a file is for


@dataclass(frozen=True)
class Measures:
    """What is to be measured; `evaluate` says what each is. Raises ValueError for a threshold that would do nothing."""

    lpips: PathLike | None = None
    sets: bool = False
    inception: PathLike | None = None
    identity: PathLike | None = None
    identity_threshold: float | None = None
    keep: bool = False

    def __post_init__(self):
        if self.identity_threshold is not None and self.identity is None:
            raise ValueError("an identity threshold would change nothing: name a recognizer for identity, too")
        if self.identity_threshold is not None and not -1 <= self.identity_threshold <= 1:
            raise ValueError(f"the identity threshold is a cosine, from -1 to 1; received {self.identity_threshold}")

    @property
    def of_sets(self) -> bool:
        return self.sets or self.inception is not None

    @property
    def threshold(self) -> float | None:
        """Of identity, where it is measured."""
        if self.identity is None:
            return None
        return identity.THRESHOLD if self.identity_threshold is None else self.identity_threshold

    def programs(self) -> list[str]:
        """Those of the files that are programs, SavedModels, and handles of such."""
        named = [place for place in (self.inception, self.identity) if place is not None]
        return [str(place) for place in named if inception_file.is_program(place)]

    def read(self) -> Read:
        """The files, none of which needs TensorFlow yet. Raises ValueError as their readers do."""
        return Read(
            None if self.lpips is None else perceptual.read(self.lpips),
            None if self.identity is None else identity.read(self.identity),
            None if self.inception is None else inception_file.read(self.inception),
            self.of_sets,
            self.keep,
        )


class Read(NamedTuple):
    """What the files hold."""

    lpips: perceptual.Weights | None
    identity: identity.Recognizer | None
    inception: inception_file.Network | None
    sets: bool
    keep: bool = False

    def meters(self, shape: tuple[int, ...], count: int) -> Meters:
        """The networks. Raises ValueError for pictures `(h, w, c)`, or so many, that cannot be measured so."""
        if self.lpips:
            perceptual.check(shape)
        if self.identity:
            identity.check(shape)
        if self.sets:
            sets.check(shape, count)
        return Meters(
            None if self.lpips is None else perceptual.LPIPS(self.lpips),
            None if self.identity is None else perceptual.Identity(self.identity),
            None if self.inception is None else perceptual.Inception(self.inception),
            self.sets,
            self.keep,
        )


class Reference(NamedTuple):
    """Clean pictures, and what is measured of them once for all methods."""

    pictures: np.ndarray
    embedded: np.ndarray | None = None


@dataclass(frozen=True)
class Meters:
    """What measures; restored pictures are kept for distances between `sets`, and for a report (`keep`)."""

    lpips: perceptual.LPIPS | None = None
    identity: perceptual.Identity | None = None
    inception: perceptual.Inception | None = None
    sets: bool = False
    keep: bool = False

    def circumstances(self) -> dict[str, Any]:
        """What the first line of the scores says of them: an evaluation goes on with the same alone."""
        files = {name: meter.sha256 for name in SAID if (meter := getattr(self, name))}
        if self.sets:
            return {**files, "sets": True}
        return {**files, "kept": True} if self.keep else files

    def reference(self, truth: np.ndarray) -> Reference:
        return Reference(truth, None if self.identity is None else self.identity.embed(truth))

    def scores(self, restored: np.ndarray, reference: Reference) -> dict[str, np.ndarray]:
        """Score -> `[n]` of pictures `[n, h, w, c]` in [-1, 1]."""
        scores = metrics.scores(restored, reference.pictures, self.lpips)
        found = {name: np.asarray(values) for name, values in scores.items()}
        if self.identity is not None and reference.embedded is not None:
            found["identity"] = identity.cosines(self.identity.embed(restored), reference.embedded)
        return found


def check_same(path: Path, there: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raise ValueError if an evaluation, of whose first line this is, measures something else."""
    for name, title in SAID.items():
        if there.get(name) != wanted.get(name):
            held = f"without {title}"
            if name in there:
                of_file = "" if str(there[name]).startswith("http") else "the file of SHA-256 "
                held = f"with {title} of {of_file}{there[name]}"
            raise ValueError(f"{path} holds an evaluation {held}; remove it or name another output")
    if there.get("sets") != wanted.get("sets"):
        held = "with" if "sets" in there else "without"
        raise ValueError(f"{path} holds an evaluation {held} distances between sets; remove it or name another output")
    if there.get("kept") != wanted.get("kept"):
        held = "with" if "kept" in there else "without"
        raise ValueError(f"{path} holds an evaluation {held} the pictures of a report; remove it or name another output")


def check_place(lines: Path) -> None:
    """Raise ValueError where the pictures for distances between sets cannot be kept beside the scores."""
    path = sets.place_of(lines)
    check_writable(path, made=True)
    if path.exists() and not sets.is_ours(path):
        raise FileError(path, "is not of an evaluation and would be replaced; move it, or name another output")
