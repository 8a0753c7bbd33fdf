"""Which pictures have a feature, by a CSV of labels such as CelebA's attributes."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..files import FileError, PathLike
from ..messages import reason_of

NAMES = ("image", "image_id", "name", "file", "filename")  # the column of pictures' names is one of these
_VALUES = {"1": True, "0": False, "-1": False}  # CelebA's own file has -1 for no


def read(path: PathLike, feature: str) -> dict[str, bool]:
    """Picture's name -> whether it has the feature.

    Args:
        path: a CSV file with a line of titles: one of `NAMES`, and the features, each 1 for yes and 0 or -1 for no.

    Raises:
        FileError: a file that cannot be read, has no column of names or of the feature, another value, or one picture twice
            with different labels.
    """
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            return _read(path, csv.DictReader(file), feature)
    except (OSError, UnicodeError, csv.Error) as error:
        raise FileError(path, f"cannot be read: {getattr(error, 'strerror', None) or reason_of(error)}") from error


def _read(path: PathLike, rows: csv.DictReader, feature: str) -> dict[str, bool]:
    titles = [title or "" for title in rows.fieldnames or ()]
    name = next((title for title in titles if title.strip().lower() in NAMES), None)
    if name is None:
        first = f"{', '.join(titles)[:120]!r}" if titles else "nothing"
        raise FileError(path, f"has no column {' or '.join(NAMES)} in its first line; found {first}")
    features = [title for title in titles if title != name]
    if feature not in features:
        near = difflib.get_close_matches(feature, features, 1, 0.4)
        guess = f" (did you mean {near[0]}?)" if near else ""
        raise FileError(path, f"has no column {feature!r}{guess}; it has {', '.join(features)[:300]}")
    found: dict[str, bool] = {}
    for row in rows:
        value = _VALUES.get((row[feature] or "").strip())
        if value is None:
            raise FileError(path, f"line {rows.line_num}: {feature} must be 1, 0 or -1; found {row[feature]!r}")
        if found.setdefault(row[name], value) != value:
            raise FileError(path, f"line {rows.line_num}: {row[name]} is there twice, with different labels")
    return found


def match(labels: Mapping[str, bool], items: list[Any], path: PathLike) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of the pictures that have a label, and the labels: `[n]` integers, `[n]` booleans.

    A picture is found by its name as it is listed, or without its folder.

    Args:
        labels: of `read`.
        items: of `data.entries`.
        path: of the labels, for the message.

    Raises:
        FileError: none of the pictures has a label, or all that have one are of one kind.
    """
    of = [labels.get(item.name, labels.get(item.name.rpartition("/")[2])) for item in items]
    known = np.array([number for number, label in enumerate(of) if label is not None], int)
    if not len(known):
        theirs = next(iter(labels), "none at all")
        raise FileError(path, f"has labels of other pictures: it names {theirs}, and the first picture is {items[0].name}")
    found = np.array([of[number] for number in known], bool)
    if found.all() or not found.any():
        kind = "all of them have" if found.all() else "none of them has"
        raise FileError(path, f"labels {len(found)} of the pictures, and {kind} the feature: there is nothing to tell apart")
    return known, found


def unlabeled(known: np.ndarray, items: list[Any]) -> str:
    """A line about pictures without a label, "" if all have one."""
    left = len(items) - len(known)
    return f"{left} of {len(items)} pictures have no label and were left out" if left else ""
