"""Presets: folders of trained parts, found by name and loaded as SavedModels.

`<models>/<name>/{generator,{encoder,decoder,starter}-<task>}/<version>/saved_model.pb` (what TensorFlow Serving reads)
beside `preset.json`. Loading needs TensorFlow 2.15 or newer, no Keras class and none of our model code.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..files import FileError, PathLike, read_json, write_json

DEFAULT = "faces-64"
ENVIRONMENT = "GEKERAS_MODELS"
REQUIRED = ("resolution", "channels", "latent_size", "tasks", "checksums")
_PACKAGE = Path(__file__).resolve().parents[1]


class PresetError(ValueError):
    """A preset, or a part of it, is missing or damaged; the message is one line."""


def places(models: PathLike | None = None) -> list[Path]:
    """Where presets are looked for, in order: `models`, $GEKERAS_MODELS, the installed package, the checkout."""
    named = [Path(p) for p in (models, os.environ.get(ENVIRONMENT)) if p]
    return [*named, _PACKAGE / "saved_models", _PACKAGE.parent / "saved_models"]


def available(models: PathLike | None = None) -> dict[str, Path]:
    """Name -> folder of every preset that can be found; of two with one name the first place's."""
    found: dict[str, Path] = {}
    for place in places(models):
        for record in sorted(place.glob("*/preset.json")):
            found.setdefault(record.parent.name, record.parent)
    return found


def load(name: str = DEFAULT, models: PathLike | None = None) -> Preset:
    """The preset of a name, or of a folder that holds a `preset.json`. Raises PresetError with the places tried."""
    folder = available(models).get(name)
    if folder is None and (Path(name) / "preset.json").is_file():
        folder = Path(name)
    if folder is None:
        known = ", ".join(available(models)) or "none"
        tried = ", ".join(str(p) for p in places(models))
        raise PresetError(f"unknown preset {name!r}; found: {known} (looked in {tried})")
    try:
        info = read_json(folder / "preset.json")
    except FileError as error:
        raise PresetError(str(error)) from error
    if missing := [key for key in REQUIRED if key not in info]:
        raise PresetError(f"{folder / 'preset.json'} lacks {', '.join(missing)}")
    return Preset(folder, info)


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

        Raises PresetError if it is missing or is not a readable SavedModel.
        """
        versions = sorted((p for p in (self.folder / name).glob("[0-9]*") if p.is_dir()), key=lambda p: int(p.name))
        if not versions:
            raise PresetError(f"preset {self.name!r} has no {name} (looked in {self.folder / name})")
        return _load_saved_model(versions[-1])

    def part_checksum(self, name: str) -> str:
        """SHA-256 over the recorded checksums of a part's files: tells one encoder from another."""
        files = sorted((k, v) for k, v in self.info["checksums"].items() if k.startswith(f"{name}/"))
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def checksums_of(self, task: str) -> dict[str, str]:
        """Part -> `part_checksum` of all that a score on this task can depend on."""
        names = ("generator", f"encoder-{task}", f"decoder-{task}", f"starter-{task}", "aegan-encoder", "aegan-generator")
        return {name: self.part_checksum(name) for name in names if self.has(name)}

    def has(self, name: str) -> bool:
        """Whether there is a part of that name."""
        return any((self.folder / name).glob("[0-9]*/saved_model.pb"))

    def verify(self) -> list[str]:
        """Files whose SHA-256 is not the recorded one, or that are missing; empty if all is well."""
        return [name for name, digest in self.info["checksums"].items() if checksum(self.folder / name) != digest]

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
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PresetError(f"{folder} is not a readable SavedModel: {reason}") from error


def checksum(path: Path) -> str:
    """SHA-256 of a file in hex, "" if it is not there."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
