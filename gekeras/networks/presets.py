"""Presets: folders of trained parts, found by name and loaded as SavedModels.

`<models>/<name>/{generator,{encoder,decoder,starter}-<task>}/<version>/saved_model.pb` (what TensorFlow Serving reads)
beside `preset.json`. Loading needs TensorFlow 2.15 or newer, no Keras class and none of our model code.
"""

from __future__ import annotations

import atexit
import functools
import gc
import hashlib
import json
import os
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import FileError, PathLike, check_folder, read_json, write_json
from ..messages import reason_of
from .modules import newest_version
from .record import fault_of

DEFAULT = "faces-64"
ENVIRONMENT = "GEKERAS_MODELS"
_PACKAGE = Path(__file__).resolve().parents[1]


class PresetError(ValueError):
    """A preset, or a part of it, is missing or damaged; the message is one line."""


def places(models: PathLike | None = None) -> list[Path]:
    """Where presets are looked for, in order: `models`, $GEKERAS_MODELS, the installed package, the checkout.

    $GEKERAS_MODELS is a folder, or several, separated as in $PATH. Raises PresetError for one that is no folder that can be
    read, and for `models` with no preset in it: something else would be taken for what was meant.
    """
    named = [] if models is None else [_checked(Path(models), "models")]
    if models is not None and not folders_in(named[0]):
        raise PresetError(f"models: no preset in {models}")
    named += [_checked(Path(p), f"${ENVIRONMENT}") for p in os.environ.get(ENVIRONMENT, "").split(os.pathsep) if p]
    return [*named, _PACKAGE / "saved_models", _PACKAGE.parent / "saved_models"]


def _checked(place: Path, source: str) -> Path:
    faults = {
        "no such folder": not place.exists(),
        "is not a folder": not place.is_dir(),
        "permission denied": not os.access(place, os.R_OK | os.X_OK),
        "is a preset itself: name the folder that it lies in": (place / "preset.json").is_file(),
    }
    for fault, found in faults.items():
        if found:
            raise PresetError(f"{source}: {place}: {fault}")
    return place


def folders_in(place: Path) -> list[Path]:
    """Folders with a `preset.json`, or that cannot be looked into, which is told when they are read."""

    def is_one(folder: Path) -> bool:
        return folder.is_dir() and (os.path.lexists(folder / "preset.json") or not os.access(folder, os.X_OK))

    return sorted(filter(is_one, place.iterdir())) if place.is_dir() else []


def available(models: PathLike | None = None) -> dict[str, Path]:
    """Name -> folder of every preset that can be found; of two with one name the first place's. Raises as `places`."""
    found: dict[str, Path] = {}
    for place in places(models):
        for folder in folders_in(place):
            found.setdefault(folder.name, folder)
    return found


def load(name: PathLike = DEFAULT, models: PathLike | None = None) -> Preset:
    """The preset of a name, or of a folder that holds a `preset.json`.

    Raises PresetError with the places tried, and as `places` and `read`.
    """
    name = str(name)
    is_path = bool(os.path.dirname(name)) or name in (os.curdir, os.pardir)
    folder = None if is_path and models is None else available(models).get(name)
    if folder is None and name and (Path(name) / "preset.json").is_file():
        folder = Path(name) if Path(name).name not in ("", os.pardir) else Path(name).resolve()
    if folder is None:
        raise PresetError(_unknown(name, models))
    return read(folder)


def read(folder: Path) -> Preset:
    """The preset of a folder. Raises PresetError for a record that cannot be read, or as `record.fault_of` finds."""
    try:
        info = read_json(folder / "preset.json")
    except FileError as error:
        raise PresetError(str(error)) from error
    if fault := fault_of(info):
        raise PresetError(f"{folder / 'preset.json'}: {fault}")
    return Preset(folder, info)


def _unknown(name: str, models: PathLike | None) -> str:
    """Why there is no preset of a name: what there is, and where that was looked for."""
    tried = places(models)
    bare = [folder for folder in (*(place / name for place in tried), Path(name)) if name and folder.is_dir()]
    hint = f" ({bare[0]} holds no preset.json)" if bare else ""
    found = ", ".join(available(models)) or "none"
    return f"unknown preset {name!r}{hint}; found: {found} (looked in {', '.join(map(str, tried))})"


def check_target(folder: Path) -> None:
    """Raise PresetError for a place where no preset can be written: a file, a run's folder, or one that holds presets."""
    check_folder(folder)
    if not folder.is_dir() or (folder / "preset.json").is_file():
        return
    if any(folder.glob("checkpoint-*.npz")) or (folder / "options.json").is_file():
        raise PresetError(f"{folder} is the folder of a run: name another one for the preset")
    if inside := folders_in(folder):
        raise PresetError(f"{folder} holds presets ({inside[0].name}, ...): name one in it, as {folder / 'NAME'}")


@dataclass(frozen=True)
class Preset:
    """A folder of trained parts.

    Attributes:
        folder: where it lies.
        info: `preset.json`: resolution, channels, latent_size, latent (what z is drawn from, "normal" where it is not
            said, or "uniform"), code_size, tasks (name -> parameters of the degradation),
            solve (values that override the defaults of `SolveOptions`), objectives (the same for one task), training, data,
            terms, scores, checksums.

    Example:
        >>> preset = load("faces-64")
        >>> preset.resolution, preset.latent, preset.has("generator")
        (64, 'normal', True)
    """

    folder: Path
    info: dict[str, Any]

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def resolution(self) -> int:
        return self.info["resolution"]

    @property
    def channels(self) -> int:
        return self.info["channels"]

    @property
    def latent_size(self) -> int:
        return self.info["latent_size"]

    @property
    def latent(self) -> str:
        return self.info.get("latent", "normal")

    @property
    def tasks(self) -> dict[str, dict[str, Any]]:
        return self.info["tasks"]

    def task_parameters(self, task: str) -> dict[str, Any]:
        """Parameters of a task's degradation. Raises PresetError if the preset was not trained for it."""
        if task not in self.tasks:
            raise PresetError(f"preset {self.name!r} has no task {task!r}; it has {', '.join(self.tasks) or 'none'}")
        return self.tasks[task]

    def part(self, name: str):
        """The callable of `generator`, `encoder-<task>`, ...: tensor in, tensor out; loaded once a process.

        Of several versions the one of the highest number, once its files are found to be those of the record. Raises
        PresetError as `part_folder`, and if it is no readable SavedModel.
        """
        return _load_saved_model(self.part_folder(name))

    def part_folder(self, name: str) -> Path:
        """Where the newest version of a part lies. Raises PresetError if it is missing, or is not as recorded."""
        version = newest_version(self.folder / name)
        if version is None:
            raise PresetError(f"preset {self.name!r} has no {name} (looked in {self.folder / name})")
        self._check_recorded(version)
        return version

    def part_checksum(self, name: str) -> str:
        """SHA-256 over the recorded checksums of a part's files: tells one encoder from another."""
        files = sorted((k, v) for k, v in self.info["checksums"].items() if k.startswith(f"{name}/"))
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def checksums_of(self, task: str) -> dict[str, str]:
        """Part -> `part_checksum` of all that a score on this task can depend on."""
        names = ("generator", f"encoder-{task}", f"decoder-{task}", f"starter-{task}", "aegan-encoder", "aegan-generator")
        return {name: self.part_checksum(name) for name in names if self.has(name)}

    def has(self, name: str) -> bool:
        """Whether there is a part of that name, whole or damaged: `part` refuses a damaged one."""
        return newest_version(self.folder / name) is not None

    def missing(self) -> list[str]:
        """Names of the parts that its tasks need, or its record tells of, and that are not there with all their files."""
        names = ["generator", *(f"{part}-{task}" for task in self.tasks for part in ("encoder", "decoder"))]
        names += [f"starter-{task}" for task in self.info.get("starters", {})]
        names += ["aegan-encoder", "aegan-generator"] if "aegan" in self.info else []
        return [name for name in names if not self._is_whole(name)]

    def _is_whole(self, name: str) -> bool:
        version = newest_version(self.folder / name)
        files = [self.folder / file for file in self.info["checksums"] if file.startswith(f"{name}/")]
        return version is not None and all(file.is_file() for file in (version / "saved_model.pb", *files))

    def damaged(self) -> dict[str, str]:
        """File -> "missing", "changed" (its SHA-256 is not the recorded one) or "not recorded", of its parts' files."""
        return self._faults(self.info["checksums"], files_of_parts(self.folder))

    def _faults(self, expected: Iterable[str], there: Iterable[Path]) -> dict[str, str]:
        """`damaged` of files that should be there, by their names in the record, and of files that are."""
        recorded = self.info["checksums"]
        found = {name: checksum(self.folder / name) for name in expected}
        faults = {name: "changed" if digest else "missing" for name, digest in found.items() if digest != recorded[name]}
        names = (file.relative_to(self.folder).as_posix() for file in there)
        return faults | {name: "not recorded" for name in names if name not in recorded}

    def _check_recorded(self, version: Path) -> None:
        """Raise PresetError unless every file of a part's version is as recorded: loading it could run what is in it."""
        inside = f"{version.relative_to(self.folder).as_posix()}/"
        expected = [name for name in self.info["checksums"] if name.startswith(inside)]
        if faults := self._faults(expected, [path for path in sorted(version.rglob("*")) if path.is_file()]):
            found = ", ".join(f"{name} ({what})" for name, what in faults.items())
            raise PresetError(
                f"{version} is not what preset.json records, and was not loaded: {found:.300}; see gekeras doctor"
            )

    def verify(self) -> list[str]:
        """The files of `damaged`; empty if all is well."""
        return list(self.damaged())

    def record_scores(self, task: str, methods: list[dict[str, Any]], data: str, options: dict[str, Any]) -> None:
        """Store an evaluation's summary in `preset.json`: what was scored, on what, and with which options."""
        named = {row["method"]: {k: v for k, v in row.items() if k != "method"} for row in methods}
        record = self.folder / "preset.json"
        info = read_json(record)  # anew: it may have changed while the pictures were scored
        for known in (info, self.info):
            known.setdefault("scores", {})[task] = {"data": data, "options": options, "methods": named}
        write_json(record, info)


@functools.cache
def _load_saved_model(folder: Path):
    import tensorflow as tf

    try:
        return tf.saved_model.load(str(folder))
    except Exception as error:  # OSError, ValueError, IndexError (a short file of weights), tf.errors.OpError, ...
        raise PresetError(f"{folder} is not a readable SavedModel: {reason_of(error)}") from error


@atexit.register
def _end() -> None:
    """Free what is cached, and quiet what callers hold: objects of TensorFlow that outlive its modules complain on stderr.

    Those that do have been restored whole, or loading them had failed; they only tell what a file held beside it.
    """
    _load_saved_model.cache_clear()
    if "tensorflow" in sys.modules:
        for found in gc.get_objects():
            if type(found).__name__ == "_CheckpointRestoreCoordinatorDeleter":
                found.set_expect_partial(True)


def files_of_parts(folder: Path) -> list[Path]:
    """Every file of a preset's SavedModels, which a record has checksums of."""
    return [path for path in sorted(folder.glob("*/[0-9]*/**/*")) if path.is_file()]


def checksum(path: Path) -> str:
    """SHA-256 of a file in hex, "" if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if os.path.isfile(path) else ""
