"""A preset as a folder of models for TensorFlow Serving: its parts as they are, and the solve of each task."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tensorflow as tf

from .. import files
from ..generative_encoder import GenerativeEncoder
from ..networks.modules import newest_version
from ..networks.presets import Preset
from . import layout, readme, signatures, warmup
from .solver import MOST_STEPS, ServedSolver


def export(
    preset: Preset, folder: Path, tasks: Sequence[str] = (), tell: Callable[[str], None] = lambda text: None
) -> list[Path]:
    """Write models that TensorFlow Serving reads; all of them or none.

    `DIR/<preset>-generator`, `-encoder-<task>`, `-decoder-<task>` are copies of the preset's parts, `-solver-<task>` is the
    whole solve. A model that is there gets the next version, which a running server takes up by itself.

    Args:
        folder: DIR; made if it is not there.
        tasks: of the preset; by default all that it has.
        tell: called with a line for each task that is solved otherwise than the preset would have it.

    Returns:
        The folders of the versions that were written.

    Raises:
        ValueError: an unknown task, a preset whose name makes no address, or without the package tensorflow-serving-api.
        presets.PresetError, files.FileError (ValueErrors): a part that is missing or damaged, or a folder in which something
            else is in the way.
    """
    tasks = list(tasks) or list(preset.tasks)
    layout.check(preset, folder, tasks)
    parts = layout.parts_of(preset, tasks)
    with _adding(folder) as scratch:
        for model, part in parts.items():
            _copy_part(preset, part, _new(scratch, folder, model), model)
        for task in tasks:
            model = layout.solver_name(preset, task)
            record = save_solver(preset, task, _new(scratch, folder, model), model)
            if record["note"]:
                tell(f"{model}: {record['note']}")
        written = [path.relative_to(scratch) for path in sorted(scratch.glob("*/*"))]
    return [folder / path for path in written]


def save_solver(preset: Preset, task: str, path: Path, model: str) -> dict[str, Any]:
    """Write the solve of a task with the preset's options as a SavedModel; its record, which lies beside it."""
    encoder = GenerativeEncoder.from_preset(preset, task)
    options = encoder.options()
    solve = ServedSolver(encoder, options)
    module, functions = signatures.saved(solve)
    tf.saved_model.save(module, str(path), signatures=functions)
    (path / "fingerprint.pb").unlink(missing_ok=True)  # as `training.export`
    warmup.write(
        path, model, warmup.of_solver(solve.shape, encoder.image_shape, solve.task.masked, signatures.ENCODED in functions)
    )
    record = {
        "kind": "solver",
        "preset": preset.name,
        "task": task,
        "observation": list(solve.shape),
        "image": list(encoder.image_shape),
        "latent_size": encoder.latent_size,
        "masked": solve.task.masked,
        "encoded": signatures.ENCODED in functions,
        "steps": options.steps,
        "most_steps": MOST_STEPS,
        "layer_steps": options.layer_steps if options.layers != "none" else 0,
        "seeded": options.start != "starter",
        "note": encoder.note(),
    }
    files.write_json(path / layout.EXTRA / layout.RECORD, record)
    return record


def _copy_part(preset: Preset, part: str, path: Path, model: str) -> None:
    """A part of the preset with the warm-up requests of its signatures, and a record of them."""
    loaded = preset.part(part)  # refuses a damaged one
    shutil.copytree(preset.part_folder(part), path)
    inputs = {name: function.structured_input_signature[1] for name, function in loaded.signatures.items()}
    warmup.write(path, model, {name: warmup.blank(specifications) for name, specifications in inputs.items()})
    kept = {
        name: [_described(inputs[name]), _described(function.structured_outputs)]
        for name, function in loaded.signatures.items()
    }
    files.write_json(path / layout.EXTRA / layout.RECORD, {"kind": "part", "preset": preset.name, "signatures": kept})


def _described(specifications) -> dict[str, list]:
    return {name: ["n", *spec.shape[1:]] for name, spec in specifications.items()}


def _new(scratch: Path, folder: Path, model: str) -> Path:
    """Where the next version of a model is made."""
    path = scratch / model / str(layout.next_version(folder / model))
    path.parent.mkdir()
    return path


@contextmanager
def _adding(folder: Path) -> Iterator[Path]:
    """A scratch folder, whose `model/version` folders are put into `folder` when the block ends, and then the files that
    list them. After an error everything is as it was.

    Each version appears whole, by one rename inside of the folder, which a running server may be looking at.
    """
    made = [place for place in (folder, *folder.absolute().parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    moved: list[Path] = []
    try:
        with tempfile.TemporaryDirectory(prefix=".gekeras.", dir=folder) as scratch:
            yield Path(scratch)
            for path in sorted(Path(scratch).glob("*/*")):
                target = folder / path.relative_to(scratch)
                target.parent.mkdir(exist_ok=True)
                os.rename(path, target)
                moved.append(target)
            _list(folder)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        for place in made:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()
        raise


def _list(folder: Path) -> None:
    """The files beside the models. The parameters of batching stay as they are found."""
    models = layout.models_in(folder)
    newest = ((model, newest_version(folder / model)) for model in models)
    notes = {model: version / layout.EXTRA / layout.RECORD for model, version in newest if version is not None}
    records = {model: files.read_json(path) if path.is_file() else {} for model, path in notes.items()}
    with files.together():
        files.write_text(folder / layout.CONFIG, layout.config_text(models))
        if not (folder / layout.BATCHING).exists():
            files.write_text(folder / layout.BATCHING, layout.BATCHING_TEXT)
        files.write_text(folder / layout.README, readme.text(records, tf.__version__))
