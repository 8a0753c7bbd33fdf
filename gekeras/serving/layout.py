"""The folder that TensorFlow Serving reads: `DIR/<model>/<version>`, and the files that list the models for the server."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path

from ..files import FileError, check_folder, check_writable
from ..networks.modules import newest_version
from ..networks.presets import Preset

CONFIG, BATCHING, README = "models.config", "batching_parameters.txt", "README.md"
PLACE = "/models"  # where the server sees the folder: what a container mounts it at
EXTRA = "assets.extra"  # files beside a SavedModel that TensorFlow Serving looks for, or passes over
RECORD = "gekeras.json"  # ours among them
TITLE = "# Models for TensorFlow Serving"

BATCHING_TEXT = """\
# How requests to one model are put together; see https://www.tensorflow.org/tfx/serving/serving_config
max_batch_size { value: 16 }
batch_timeout_micros { value: 5000 }
num_batch_threads { value: 2 }
max_enqueued_batches { value: 100 }
"""


def check(preset: Preset, folder: Path, tasks: Sequence[str]) -> None:
    """Raise ValueError unless these tasks of the preset can be written there.

    That is for an unknown task, a name that makes no address, a folder as in `check_target`, and where the package
    tensorflow-serving-api is not installed.
    """
    for task in tasks:
        preset.task_parameters(task)
    check_library()
    check_target(folder, [*parts_of(preset, tasks), *(solver_name(preset, task) for task in tasks)])


def parts_of(preset: Preset, tasks: Sequence[str]) -> dict[str, str]:
    """Model -> part of the preset that it is a copy of.

    Raises:
        ValueError: the preset's name has characters that an address of TensorFlow Serving cannot have.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", preset.name):
        raise ValueError(f"{preset.folder}: its name becomes part of an address: letters, digits, dots, _ and - only")
    parts = ["generator", *(f"{part}-{task}" for task in tasks for part in ("encoder", "decoder"))]
    return {f"{preset.name}-{part}": part for part in parts}


def solver_name(preset: Preset, task: str) -> str:
    return f"{preset.name}-solver-{task}"


def check_target(folder: Path, models: Sequence[str]) -> None:
    """Raise FileError for a folder that the models cannot be written to, or where something else would be lost or served."""
    check_folder(folder)
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        if path.name in (CONFIG, BATCHING, README):
            check_writable(path)
        elif not _is_model(path) and not path.name.startswith("."):
            raise FileError(folder, f"holds {path.name}, which is no model for TensorFlow Serving: name another folder")
        elif path.name in models:
            check_folder(path)
    there = models_in(folder)
    if (config := folder / CONFIG).is_file() and config.read_bytes() != config_text(there).encode():
        raise FileError(config, "lists other models than lie there, or was edited: move it away, it is written anew")
    if (readme := folder / README).is_file() and not readme.read_bytes().startswith(TITLE.encode()):
        raise FileError(readme, "was not written by gekeras: move it away, or name another folder")


def check_library() -> None:
    """Raise ValueError unless the messages of TensorFlow Serving are installed, of which warm-up requests are made."""
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise ValueError(
            "warm-up requests need the package tensorflow-serving-api, which is not here: pip install 'gekeras[serving]'"
        )


def models_in(folder: Path) -> list[str]:
    """The models that lie in a folder, by name."""
    return sorted(path.name for path in folder.iterdir() if _is_model(path)) if folder.is_dir() else []


def _is_model(path: Path) -> bool:
    """Whether it is a folder of versions and nothing else."""
    if not path.is_dir() or path.name.startswith("."):
        return False
    inside = [item for item in path.iterdir() if not item.name.startswith(".")]
    return bool(inside) and all(item.name.isdecimal() and (item / "saved_model.pb").is_file() for item in inside)


def next_version(model: Path) -> int:
    """1 where there is none, else the number after the highest: TensorFlow Serving serves the highest."""
    newest = newest_version(model)
    return int(newest.name) + 1 if newest else 1


def config_text(models: Sequence[str]) -> str:
    """`models.config`: a ModelServerConfig as text."""
    entries = (
        f'  config {{\n    name: "{name}"\n    base_path: "{PLACE}/{name}"\n    model_platform: "tensorflow"\n  }}\n'
        for name in models
    )
    return f"model_config_list {{\n{''.join(entries)}}}\n"
