"""A detector: pictures in, the probability that each shows a feature out; how it lies on disk, and what may be loaded.

A folder that `gekeras study train-detector` wrote holds the network as a SavedModel (`1/`), `detector.json` (feature,
options, accuracy on held-out pictures, SHA-256 of every file) and `trained-on.txt`, the names of the pictures it has
learned from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import files
from ..files import FileError, PathLike
from ..messages import reason_of
from ..networks.modules import Module, Range, adopt, as_module, describe, name_of, newest_version
from ..networks.presets import checksum

RECORD, PICTURES = "detector.json", "trained-on.txt"
_AT_ONCE = 256


class Detector(NamedTuple):
    """A detector to be asked.

    Attributes:
        network: pictures `[n, h, w, c]` in [-1, 1] -> `[n]` or `[n, 1]`.
        name: for messages.
    """

    network: Callable
    name: str

    def __call__(self, pictures) -> np.ndarray:
        """The probability `[n]` of each picture `[n, h, w, c]` in [-1, 1].

        Raises:
            ValueError: pictures that it does not take, or answers that are no probabilities.
        """
        parts = np.split(pictures, range(_AT_ONCE, len(pictures), _AT_ONCE))
        return np.concatenate([self._ask(part) for part in parts])

    def _ask(self, pictures) -> np.ndarray:
        try:
            answers = np.asarray(self.network(np.asarray(pictures, np.float32)))
        except Exception as error:  # whatever a network of somebody's raises
            size = "x".join(map(str, np.shape(pictures)[1:]))
            raise ValueError(f"the detector {self.name} does not take pictures of {size}: {reason_of(error)}") from error
        if answers.shape not in ((len(pictures),), (len(pictures), 1)):
            raise ValueError(
                f"the detector {self.name} gives {list(answers.shape)} for {len(pictures)} pictures; one number each is due"
            )
        if not ((answers >= 0) & (answers <= 1)).all():  # false for NaN
            raise ValueError(
                f"the detector {self.name} gives values from {answers.min():.3g} to {answers.max():.3g}; a probability from "
                "0 to 1 is needed, as a sigmoid at its end makes of them"
            )
        return answers.reshape(-1)


def check(path: PathLike, feature: str, trust: bool) -> dict[str, Any]:
    """The record of a detector, before TensorFlow is imported.

    Args:
        path: a folder of `gekeras study train-detector`, or a Keras file, SavedModel or TF-Hub handle without a record.
        feature: what it is to be asked.
        trust: whether a file without a record may be loaded, which can do what programs can.

    Returns:
        What `detector.json` holds, or `modules.describe` of another one; `sha256` of its files in both.

    Raises:
        ValueError: nothing there, files that are not as recorded, a detector of another feature, or one without a record
            that is not trusted.
    """
    record = Path(path) / RECORD
    if not recorded(path):
        if not trust:
            raise ValueError(
                f"{path}: a network in a file is a program, which can read and write files here as you can, and this one "
                f"has no {RECORD} beside it; if you trust where it comes from, add --trust"
            )
        return describe(path)
    info = files.read_json(record)
    if not (isinstance(info.get("checksums"), dict) and isinstance(info.get("feature"), str)):
        raise FileError(record, "is no detector's record: it lacks the feature or the checksums")
    _check_files(Path(path), info["checksums"])
    if info["feature"] != feature:
        raise ValueError(f"{path} is a detector of {info['feature']}, and is to be asked about {feature}")
    return info | {"name": name_of(path), "sha256": describe(path)["sha256"]}


def recorded(path: PathLike) -> bool:
    """Whether a detector has a record, which its files are compared with: no other trust is needed then."""
    return (Path(path) / RECORD).is_file()


def _check_files(folder: Path, sums: dict[str, str]) -> None:
    """Raise FileError unless the newest version and the list of pictures are as recorded, and nothing lies beside them."""
    version = newest_version(folder)
    there = [path for path in sorted(version.rglob("*")) if path.is_file()] if version else []
    names = {path.relative_to(folder).as_posix() for path in there} | set(sums)
    faults = [name for name in sorted(names) if checksum(folder / name) != sums.get(name) or not sums.get(name)]
    if faults:
        raise FileError(folder, f"is not what {RECORD} records, and was not loaded: {', '.join(faults)[:300]}")


def trained_on(path: PathLike) -> set[str]:
    """Names, without folders, of the pictures that a detector has learned from; none where there is no list."""
    place = Path(path) / PICTURES
    if not place.is_file():
        return set()
    return {plain_name(line) for line in place.read_text("utf-8", "surrogateescape").split("\n") if line}


def plain_name(name: str) -> str:
    """A picture's name without its folder: the same picture may be listed from another place."""
    return name.rpartition("/")[2]


def load(path: PathLike, shape: tuple[int, int, int], picture_range: Range | None = None) -> Detector:
    """A detector that takes pictures of a shape, tried on two of them.

    Args:
        path: see `check`.
        shape: (h, w, c) of the pictures.
        picture_range: of the pictures that it takes, (-1, 1) by default.

    Raises:
        ValueError: as `modules.load_module`, a range that is none, another size of pictures, or as `Detector`.
    """
    module = as_module(adopt(path, "detector", input_range=picture_range))
    name, known = name_of(path), module.input_shape
    if known and (len(known) != 4 or any(side not in (None, wanted) for side, wanted in zip(known[1:], shape))):
        takes, wanted = ("x".join("?" if side is None else str(side) for side in sides) for sides in (known[1:], shape))
        raise ValueError(f"the detector {name} takes {takes}, and the pictures are {wanted}: they must be of one size")
    found = Detector(_plain(module), name)
    found(np.zeros((2, *shape), np.float32))
    return found


def _plain(module: Module) -> Callable:
    import tensorflow as tf

    return lambda pictures: module(tf.constant(pictures)).numpy()


def check_place(folder: PathLike) -> None:
    """Raise FileError for a place where no detector can be written: a file, or a folder of something else."""
    folder = Path(folder)
    files.check_folder(folder.parent)
    if folder.exists() and not folder.is_dir():
        raise FileError(folder, "is a file; a detector is a folder")
    there = list(folder.iterdir()) if folder.is_dir() else []
    ours = all(path.name in (RECORD, PICTURES) or path.name.isdecimal() for path in there)
    if there and not (ours and recorded(folder)):
        raise FileError(folder, "is not a detector and would be replaced; move it, or name another folder")
    if folder.is_dir():
        files.check_folder(folder)


def fits(info: dict[str, Any], size: int) -> None:
    """Raise ValueError for a detector whose record tells another size of pictures, before TensorFlow is imported."""
    its = info.get("options", {}).get("size", size)
    if its != size:
        raise ValueError(
            f"{info['name']} takes pictures of {its} px, and those of the preset have {size}: train one of --size {size}"
        )
