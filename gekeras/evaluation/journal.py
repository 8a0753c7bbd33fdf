"""Work whose results are lines of JSON behind a first one that says what they depend on: an evaluation, a study.

Lines are appended group by group, so that what was stopped goes on behind the last whole one.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .. import files
from ..files import FileError

LONGEST = 2**20  # bytes that are read of a first line


class Clock:
    """How far the work is, and how long the rest will take."""

    def __init__(self, total: int, done: int):
        self.total, self.done, self.before, self.began = total, done, done, time.monotonic()

    def tick(self, rows: int) -> tuple[int, int, str]:
        """(rows done, rows in all, what remains as text) after so many more."""
        self.done += rows
        left = (self.total - self.done) * (time.monotonic() - self.began) / max(1, self.done - self.before)
        return self.done, self.total, f", about {left / 60:.1f} min left"


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Raises FileError where there is no room; what is cut then is dropped by the next call."""
    try:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def resumed(
    path: Path,
    header: dict[str, Any],
    check: Callable[[dict[str, Any], dict[str, Any]], None],
    kept: Callable[[dict[str, Any]], bool] = lambda row: True,
) -> Iterator[list[dict[str, Any]]]:
    """Rows of an earlier call that are `kept`; others, and a last line cut short by a crash, are dropped, from the file too.

    While the block lasts no other process appends to the file: FileError.

    Args:
        check: called with the header that is there and the wanted one, both as JSON has them; raises ValueError where the
            file is of something else.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.alone(path):
        yield _resume(path, header, check, kept)


def _resume(path: Path, header: dict[str, Any], check: Callable, kept: Callable) -> list[dict[str, Any]]:
    if not path.exists():
        files.write_text(path, json.dumps(header) + "\n")
        return []
    whole = [line for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]
    check(json.loads(whole[0]) if whole else {}, json.loads(json.dumps(header)))  # JSON has no tuples
    rows = [(line, row) for line in whole[1:] if kept(row := json.loads(line))]
    files.write_text(path, "".join([*whole[:1], *(line for line, _ in rows)]))
    return [row for _, row in rows]


def first_line(path: Path) -> str:
    """By which a file is known again. Raises FileError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.readline(LONGEST).decode("utf-8", "replace")
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error


def header_of(line: str) -> dict[str, Any]:
    """The object that a first line holds; {} for anything else."""
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return header if isinstance(header, dict) else {}
