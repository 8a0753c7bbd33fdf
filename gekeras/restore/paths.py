"""Where results go, and what is wrong with that place: told before TensorFlow is imported, and before anything is solved."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import files, images, plots
from ..config import PictureOptions, as_paths
from ..files import FileError, PathLike

RECORD_LIMIT = 2**26  # bytes: what is larger is no record of ours, and is not read
DECODED = ".decoded.png"
MOST_PIXELS = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # on a side, as far as these formats count


@dataclass(frozen=True)
class Outputs:
    """What a call writes.

    Attributes:
        output: a file for one input; or a folder for any: one that is there, or a name with a slash at its end or without a
            suffix; None: `NAME.restored.png` beside each input.
        panel: also a figure with observation, result and truth side by side (.png, .pdf, .svg).
        animate: also how the first result came about (.gif).

    Example:
        >>> Outputs("restored", panel="panel.png").panel.suffix
        '.png'
    """

    output: PathLike | None = None  # as it was given: a `Path` forgets the slash
    panel: Path | None = None
    animate: Path | None = None

    def __post_init__(self):
        as_paths(self, "panel", "animate")


@dataclass(frozen=True)
class Places:
    """Where each input's results go, all of them found to be writable; the record lies beside the picture, as .json."""

    pictures: list[Path]
    deviations: list[Path]  # of several solves of each input; empty for one
    panel: Path | None = None
    animate: Path | None = None


def plan(inputs: list[Path], options: PictureOptions, outputs: Outputs, several: bool = False) -> Places:
    """Check all that is read and all that will be written.

    Args:
        options: name the mask and the reference, which belong to one input.
        several: whether each input is solved several times, and has a picture of their deviation.

    Raises:
        ValueError: an input that is no picture, by its header; a mask, box or reference for several inputs; a place as
            `output_paths` refuses it, or where an input or another result is; or something that is no result of ours in a
            place that was not named itself: of a record, a deviation, a picture beside its input or in a folder.
    """
    for name in ("reference", "mask", "box"):
        if getattr(options, name) is not None and len(inputs) > 1:
            raise ValueError(f"{name} belongs to one picture; {len(inputs)} are given")
    sources = [*inputs, *options.companions.values()]
    for path in sources:
        images.size(path)
    pictures = output_paths(inputs, outputs.output)
    deviations = [_deviation_path(path) for path in pictures] if several else []
    results = [*pictures, *deviations, *map(record_path, pictures)]
    figures = [path for path in (outputs.panel, outputs.animate) if path is not None]
    check_apart([*results, *figures], sources)
    check_apart(figures, results, "a result")
    _check_distinct(results)
    if outputs.panel:
        plots.check_path(outputs.panel)
    if outputs.animate:
        plots.check_animation_path(outputs.animate)
    named = outputs.output is not None and not is_folder(outputs.output)
    check_places(results, None if named else outputs.output)
    for k, path in enumerate(pictures):
        _check_ours(record_path(path), [*([] if named else [path]), *deviations[k : k + 1]])
    return Places(pictures, deviations, outputs.panel, outputs.animate)


def is_folder(output: PathLike) -> bool:
    """Whether an output is a folder: one that is there, or a name with a slash at its end or without a suffix."""
    name = os.fspath(output)
    return os.path.isdir(name) or name.endswith(("/", os.sep)) or not Path(name).suffix


def output_paths(inputs: list[Path], output: PathLike | None) -> list[Path]:
    """Where each picture goes: `NAME.restored.png` beside its input, the file given for one input, or a folder for any.

    Raises:
        ValueError: a file for several inputs, two inputs with one result, or a file whose suffix is no picture's.
    """
    names = [f"{path.stem}.restored.png" for path in inputs]
    if output is None:
        paths = [path.with_name(name) for path, name in zip(inputs, names)]
    elif is_folder(output):
        paths = [Path(output) / name for name in names]
    else:
        paths = [_one_file(output, len(inputs), "inputs")]
    if len(set(paths)) < len(paths):
        raise ValueError("two inputs of one name would have the same output; solve them one at a time")
    return paths


def decoded_paths(names: list[str], output: PathLike) -> list[Path]:
    """One file for one code, or a folder for any, with the names of the pictures that they came from: `NAME.decoded.png`.

    Whatever a stored name is, it becomes a file in the folder: the last part of a path, with _ for what cannot be printed,
    cut to what the folder takes; of pictures of one name the later ones are numbered.

    Raises:
        ValueError: a file where a folder is needed, a suffix that is no picture's, or an unwritable place.
    """
    if not is_folder(output):
        path = _one_file(output, len(names), "codes")
        files.check_writable(path)
        return [path]
    most = files.longest_name(output) - len(f"-{len(names)}{DECODED}")
    paths, taken = [], set()
    last: dict[str, int] = {}
    for name in names:
        stem = unique = _plain_stem(name, most)
        while _key(unique) in taken:
            last[stem] = last.get(stem, 1) + 1
            unique = f"{stem}-{last[stem]}"
        taken.add(_key(unique))
        paths.append(Path(output) / f"{unique}{DECODED}")
    check_places(paths, output)
    return paths


def _one_file(output: PathLike, count: int, what: str) -> Path:
    """An output that is a file. Raises ValueError for several pictures, or a suffix that is none of theirs."""
    if count > 1:
        raise ValueError(f"{output} is a file, but there are {count} {what}; give a folder")
    if (path := Path(output)).suffix.lower() not in images.SUFFIXES:
        raise images.ImageError(path, f"unknown suffix: use one of {', '.join(images.SUFFIXES)}; a folder's ends with /")
    return path


def _plain_stem(name: str, most: int) -> str:
    """A stored name without folder and suffix, as a stem of at most so many bytes."""
    stem = "".join(letter if letter.isprintable() else "_" for letter in Path(name).stem) or "picture"
    return stem.encode("utf-8")[:most].decode("utf-8", "ignore")


def _key(name: str) -> str:
    """Equal for names that some file system takes for one."""
    return unicodedata.normalize("NFC", name).casefold()


def record_path(picture: Path) -> Path:
    """Of the record that lies beside a result."""
    return picture.with_suffix(".json")


def _deviation_path(path: Path) -> Path:
    """`NAME.uncertainty.png` for `NAME.restored.png` or for `NAME.jpg`."""
    return path.with_name(f"{path.stem.removesuffix('.restored')}.uncertainty.png")


# --------------------------------------------------------------------------------------------------------- checks


def check_places(paths: Iterable[Path], folder: PathLike | None = None) -> None:
    """Raise FileError if one of the files could not be written; a folder that is not there yet is made before, but none
    above it."""
    new = None if folder is None or os.path.exists(folder) else Path(folder)
    if new is not None:
        files.check_writable(new)
    for path in paths:
        files.check_writable(path, made=new is not None)


def check_side(path: Path, height: int, width: int) -> None:
    """Raise ImageError if the format of a file has no pictures of that size."""
    most = MOST_PIXELS.get(path.suffix.lower(), max(height, width))
    if max(height, width) > most:
        raise images.ImageError(path, f"{width}x{height} is too large for this format, {most:,} a side; name a .png")


def check_apart(paths: Iterable[Path], others: Iterable[Path], what: str = "an input") -> None:
    """Raise ValueError if one of the paths, once written, would have replaced one of the others."""
    taken = set(map(_identity, others))
    for path in paths:
        if _identity(path) in taken:
            raise ValueError(f"{path} is {what}; name another file")


def _identity(path: Path) -> tuple[int, int] | str:
    """What tells one file from another: a link is another name of one, as is, on some systems, another case."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _check_distinct(results: list[Path]) -> None:
    found: dict[str, Path] = {}
    for path in results:
        if (other := found.setdefault(os.path.realpath(path), path)) != path:
            raise ValueError(f"{path} and {other} are one file, by a link; name another output")


def _check_ours(record: Path, pictures: list[Path]) -> None:
    """Raise FileError for a file that a result would replace and that may be something else.

    Args:
        pictures: those whose names are made here, not given; one that has a record beside it is an older result.
    """
    ours = is_record(record)
    if os.path.exists(record) and not ours:
        raise FileError(
            record, "is no record of a restoration and would be replaced by one; move it, or name another output"
        )
    for path in pictures:
        if os.path.exists(path) and not ours:
            why = f"would be replaced, and may be no result: {record.name}, its record, is not there"
            raise FileError(path, f"{why}; move it, or name another output")


def is_record(path: Path) -> bool:
    """Whether a file is the record of a restoration."""
    try:
        record = files.read_json(path) if os.path.getsize(path) <= RECORD_LIMIT else {}
    except (OSError, FileError):
        return False
    versions = record.get("versions")
    return isinstance(versions, dict) and "gekeras" in versions and {"input", "task", "method"} <= set(record)
