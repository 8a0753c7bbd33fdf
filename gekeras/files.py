"""Files and folders written whole or not at all, JSON objects, and one line that says what is wrong with a file."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Union

PathLike = Union[str, "os.PathLike[str]"]


class FileError(ValueError):
    """A file that cannot be read or written; the message is one line that names it."""

    def __init__(self, path: PathLike, reason: object):
        super().__init__(" ".join(f"{os.fspath(path)}: {reason}".splitlines()))


# ------------------------------------------------------------------------------------------------------- writing


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """A file to write, under a temporary name in the same folder, that takes the place of `path` when the block ends.

    A reader sees the old file or the new one, never a part, and after an error the old one. Raises OSError.
    """
    target = os.path.realpath(path)  # through a link, instead of replacing it
    temporary = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:  # plain `open`, so that the file gets the user's usual permissions
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    finally:
        with contextlib.suppress(OSError):  # gone already when it was renamed
            os.unlink(temporary)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write bytes whole or not at all. Raises FileError if that cannot be."""
    check_writable(path)
    try:
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror or error})") from error


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text whole or not at all. Raises FileError as `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all. Raises FileError as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def check_writable(path: PathLike) -> None:
    """Raise FileError now if `path` could not be written later, before the minutes of work that lead to it."""
    target = os.path.realpath(path)
    parent, exists = os.path.dirname(target), os.path.exists(target)
    obstacles = {
        f"the folder {parent} does not exist": not os.path.exists(parent),
        f"{parent} is not a folder": not os.path.isdir(parent),
        "it is a folder": os.path.isdir(target),
        "it is not a regular file": exists and not os.path.isfile(target),  # a rename would replace the device itself
        "permission denied": not os.access(parent, os.W_OK | os.X_OK) or (exists and not os.access(target, os.W_OK)),
    }
    for reason, found in obstacles.items():
        if found:
            raise FileError(path, f"cannot be written: {reason}")


@contextlib.contextmanager
def rewriting(folder: Path, ignore: Callable[[str, list[str]], set[str]] | None = None) -> Iterator[Path]:
    """A copy of a folder to change, which takes its place when the block ends: all of it or nothing.

    Args:
        ignore: what is not copied, as `shutil.copytree` has it.
    """
    folder = folder.resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as scratch:
        made = Path(scratch) / "new"
        if folder.is_dir():
            shutil.copytree(folder, made, symlinks=True, ignore=ignore)
        made.mkdir(exist_ok=True)
        yield made
        _replace(folder, made, Path(scratch) / "old")


def _replace(folder: Path, made: Path, old: Path) -> None:
    """Put a finished folder in the place of another, which is back where it was if that fails."""
    if folder.exists():
        os.rename(folder, old)
    try:
        os.rename(made, folder)
    except OSError:
        if old.exists():
            os.rename(old, folder)
        raise


# ------------------------------------------------------------------------------------------------------- reading


def read_json(path: PathLike) -> dict[str, Any]:
    """The JSON object of a file. Raises FileError if it cannot be read or holds something else."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(value, dict):
        raise FileError(path, "is not a JSON object")
    return value
