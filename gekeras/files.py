"""Files and folders written whole or not at all, JSON objects, and one line that says what is wrong with a file."""

from __future__ import annotations

import contextlib
import contextvars
import fcntl
import json
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Union

PathLike = Union[str, "os.PathLike[str]"]

# (temporary name, final one) of what `together` holds back; None outside of it.
_WAITING: contextvars.ContextVar[list[tuple[str, str]] | None] = contextvars.ContextVar("waiting", default=None)


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
    target, waiting = os.path.realpath(path), _WAITING.get()  # through a link, instead of replacing it
    temporary, kept = os.path.join(os.path.dirname(target), _temporary_name()), False
    try:
        with open(temporary, "xb") as file:  # plain `open`, so that the file gets the user's usual permissions
            yield file
            file.flush()
            os.fsync(file.fileno())
        if waiting is None:
            os.replace(temporary, target)
        else:
            waiting.append((temporary, target))
            kept = True
    finally:
        if not kept:
            _remove(temporary)


def _temporary_name() -> str:
    return f".{secrets.token_hex(8)}.tmp"


def remove_partial(folder: Path) -> None:
    """Remove what a process left in a folder that was ended while it wrote there."""
    for path in folder.glob(".*.tmp"):
        if re.fullmatch(r"\.[0-9a-f]{16}\.tmp", path.name):
            path.unlink()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # gone already when it was renamed
        os.unlink(path)


@contextlib.contextmanager
def together(folder: PathLike | None = None) -> Iterator[None]:
    """What is written in the block appears when it ends, in the order in which it was written; after an error nothing does.

    Args:
        folder: made if it is not there, and taken away again, if it is empty, after an error.

    Raises:
        FileError: a folder that cannot be made, or a file that cannot be renamed.
    """
    made = None if folder is None or os.path.isdir(folder) else folder
    if made is not None:
        with _file_errors(made):
            os.mkdir(made)
    waiting: list[tuple[str, str]] = []
    token = _WAITING.set(waiting)
    try:
        try:
            yield
        finally:
            _WAITING.reset(token)
        for temporary, target in waiting:
            with _file_errors(target):
                os.replace(temporary, target)
    except BaseException:
        for temporary, _ in waiting:
            _remove(temporary)
        if made is not None:
            with contextlib.suppress(OSError):  # earlier blocks have put something into it
                os.rmdir(made)
        raise


@contextlib.contextmanager
def _file_errors(path: PathLike) -> Iterator[None]:
    """FileErrors that name a file in the place of OSErrors."""
    try:
        yield
    except OSError as error:
        raise FileError(path, f"cannot be written ({error.strerror or error})") from error


@contextlib.contextmanager
def alone(path: PathLike) -> Iterator[None]:
    """No other process is in this block with the same `path`, which takes more than one writing to complete.

    `.NAME.lock` lies beside it as long as the block lasts; that of a process that was killed locks nobody out.

    Raises:
        FileError: another process is, or the folder cannot be written to.
    """
    place = os.path.join(os.path.dirname(os.path.abspath(path)), f".{os.path.basename(path)}.lock")
    with _file_errors(path):
        file = locked(place)
    if file is None:
        raise FileError(path, "another process is writing it; wait for its end, or name another output")
    with file:
        try:
            yield
        finally:
            _remove(place)


def locked(place: PathLike) -> IO | None:
    """An open file that no other process has locked, made if it is not there, or None; closing it frees it, and so does the
    end of the process. Raises OSError where it cannot be opened."""
    file = open(place, "w")
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(file.fileno()), os.stat(place)):  # else its owner has just removed it
            return file
    file.close()
    return None


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write bytes whole or not at all. Raises FileError if that cannot be."""
    check_writable(path)
    with _file_errors(path), replacing(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    """Write UTF-8 text whole or not at all. Raises FileError as `write_bytes`."""
    write_bytes(path, text.encode("utf-8"))


def write_json(path: PathLike, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all. Raises FileError as `write_bytes`."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def check_writable(path: PathLike, *, made: bool = False) -> None:
    """Raise FileError now if `path` could not be written later, before the minutes of work that lead to it.

    Args:
        made: whether its folder is made before, with those above it, where it does not exist.
    """
    _check_name(path)
    if os.fspath(path).endswith(("/", os.sep)):
        raise FileError(path, "cannot be written: a name that ends with a slash is a folder's")
    target = os.path.realpath(path)
    parent, exists = os.path.dirname(target), os.path.exists(target)
    if made and not os.path.exists(parent):
        return check_folder(os.path.dirname(os.fspath(path)))
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


def check_folder(path: PathLike) -> None:
    """Raise FileError now if nothing could be put into a folder later, which is made, with those above it, if need be."""
    _check_name(path)
    there = _existing(path)
    if not os.path.isdir(there):  # a link that leads nowhere, too
        raise FileError(path, f"cannot be written: {there} is not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise FileError(path, f"cannot be written: permission denied in {there}")


def longest_name(folder: PathLike) -> int:
    """How many bytes a file's name may have in a folder, or in one that is made there."""
    return _limit(_existing(folder), "PC_NAME_MAX", 255)


def _check_name(path: PathLike) -> None:
    """Raise FileError if the system has no such names, whatever lies there: an odd character, or too many of them."""
    try:
        target = os.path.realpath(path)
        names = [os.fsencode(name) for name in Path(target).parts]
    except ValueError as error:  # a NUL; half of a surrogate pair
        raise FileError(ascii(os.fspath(path)), f"cannot be written: this is no name of a file ({error})") from None
    there, longest = _existing(target), longest_name(target)
    most = _limit(there, "PC_PATH_MAX", 4096)
    for name in names[len(Path(there).parts) :]:
        if len(name) > longest:
            raise FileError(path, f"cannot be written: a name has at most {longest} bytes there, this one has {len(name)}")
    shorter = max(0, len(_temporary_name()) - len(names[-1]))  # by which the name is that it is written under
    if (length := len(os.fsencode(target)) + shorter) >= most:
        raise FileError(path, f"cannot be written: a path has at most {most - 1} bytes there, this one needs {length}")


def _existing(path: PathLike) -> str:
    """The path, or what is nearest above it of all that exists, links that lead nowhere included."""
    there = os.path.abspath(path)
    while not os.path.lexists(there) and there != os.path.dirname(there):
        there = os.path.dirname(there)
    return there


def _limit(path: str, name: str, usual: int) -> int:
    """Of the file system there; as is usual where it does not say (on Windows, over some networks)."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if (limit := os.pathconf(path, name)) > 0:
            return limit
    return usual


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


def read_beginning(path: PathLike, most: int) -> bytes:
    """Of a file that is refused beyond `most` bytes: those, and one more if there is one.

    Raises FileError if it cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error


def read_json(path: PathLike) -> dict[str, Any]:
    """The JSON object of a file. Raises FileError if it cannot be read or holds something else."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not isinstance(value, dict):
        raise FileError(path, "is not a JSON object")
    return value
