"""The output: a folder, or whatever a filesystem of Beam's has in its place, with a picture and its record for each input.

A result is finished when its record names the input, the call and the picture beside it by their SHA-256. So a worker that
was ended while it wrote leaves a result that is made again, never one that is taken for finished.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from .. import files

NAMESPACE = "gekeras"  # of the counters
RECORD = {"input", "task", "method", "versions"}  # keys of the record of a restoration, whoever wrote it


def digest(*parts: bytes) -> str:
    """SHA-256 of one text, or of several that are told apart."""
    found = hashlib.sha256(parts[0])
    for part in parts[1:]:
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()


def read(path: str) -> bytes | None:
    """The bytes of a file as they are, None where there is none. Raises OSError."""
    try:
        if not is_remote(path):
            with open(path, "rb") as file:
                return file.read()
        if not FileSystems.exists(path):
            return None
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return file.read()
    except FileNotFoundError:
        return None


def is_remote(path: str) -> bool:
    return FileSystems.get_scheme(path) is not None


class Shelf:
    """The results in a folder: `NAME.png` and `NAME.json`.

    Args:
        output: a folder, made when there is something to put into it; `gs://...` and the like as Beam has them.

    Raises:
        FileError: a folder of this machine into which nothing can be put.
    """

    def __init__(self, output: files.PathLike):
        self.output = os.fspath(output).removeprefix("file://")
        if not is_remote(self.output):
            files.check_folder(self.output)
            self.output = os.path.abspath(self.output)  # workers may have another current folder

    def lies_in(self, folder: str) -> bool:
        above = folder if is_remote(folder) else os.path.realpath(folder)
        here = self.output if is_remote(self.output) else os.path.realpath(self.output)
        return f"{here.rstrip('/')}/".startswith(f"{above.rstrip('/')}/")

    def path(self, result: str, suffix: str) -> str:
        if is_remote(self.output):
            return f"{self.output.rstrip('/')}/{result}{suffix}"
        return os.path.join(self.output, *f"{result}{suffix}".split("/"))

    def finished(self, result: str, wanted: dict[str, str]) -> tuple[bytes, dict[str, Any]] | None:
        """The picture and the record of a result that is there already, made of the same.

        Args:
            wanted: digests of the input and of the call.

        Raises:
            ValueError: something that is no result of ours, and would be replaced by one.
        """
        picture, text = (read(self.path(result, suffix)) for suffix in (".png", ".json"))
        record = None if text is None else _record(text)
        if text is not None and record is None:
            why = "is no record of a restoration and would be replaced by one"
            raise ValueError(f"{self.path(result, '.json')} {why}; move it, or name another output")
        if picture is not None and record is None:
            why = "would be replaced, and may be no result: it has no record beside it"
            raise ValueError(f"{self.path(result, '.png')} {why}; move it, or name another output")
        if picture is None or record is None or record.get("sha256") != {**wanted, "picture": digest(picture)}:
            return None
        return picture, record

    def write(self, result: str, picture: bytes, record: dict[str, Any]) -> None:
        """Both files, each whole or not at all; the record comes first, so that no picture lies there without one."""
        text = (json.dumps(record, indent=2) + "\n").encode()
        paths = self.path(result, ".json"), self.path(result, ".png")
        if not is_remote(self.output):
            os.makedirs(os.path.dirname(paths[0]), exist_ok=True)
            with files.together():
                for path, data in zip(paths, (text, picture)):
                    files.write_bytes(path, data)
            return
        for path in reversed(
            paths
        ):  # some filesystems rename to no name that is taken; the record goes last, and comes first
            if FileSystems.exists(path):
                FileSystems.delete([path])
        for path, data in zip(paths, (text, picture)):
            _create(path, data)


def _record(text: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    ours = isinstance(record, dict) and RECORD <= set(record)
    return record if ours and isinstance(record["versions"], dict) and "gekeras" in record["versions"] else None


def _create(path: str, data: bytes) -> None:
    """A file of a filesystem of Beam's, written beside its place first."""
    temporary = f"{path.rpartition('/')[0]}/.{secrets.token_hex(8)}.tmp"
    with FileSystems.create(temporary, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        file.write(data)
    FileSystems.rename([temporary], [path])
