"""What comes out of a restoration, and the JSON record beside it: that, and all that the restoration is repeated by."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .._version import __version__
from ..config import PictureOptions, SolveOptions, to_dict
from ..generative_encoder import GenerativeEncoder
from ..networks import ModelOptions
from ..networks.modules import is_path
from ..pictures.observations import Observation
from . import memory


@dataclass(frozen=True)
class Uncertainty:
    """What several solves of one input disagree about, as gray pictures in [-1, 1], and in numbers for its record."""

    pictures: np.ndarray  # [r, H, W, 1]
    image: np.ndarray  # [H', W', 1]
    record: dict[str, Any]


@dataclass(frozen=True)
class Restored:
    """One input restored: r pictures to score, the picture to write, and numbers over its pieces; the seconds are its share
    of the job's."""

    pictures: np.ndarray  # [r, H, W, c]
    image: np.ndarray  # [H', W', c]
    loss: float
    steps: int
    seconds: float
    uncertainty: Uncertainty | None = None


def asked(
    model: GenerativeEncoder,
    networks: ModelOptions,
    pictures: PictureOptions,
    fidelity: str,
    changes: Mapping[str, Any],
    options: SolveOptions | None,
    seed: int,
) -> dict[str, Any]:
    """What a call is repeated by, the same for all its inputs; made before the solve, while the files are what was read.

    Args:
        networks, pictures, fidelity, changes: as `pipeline.files` has them, the preset loaded.
        options: what they come to: of the solves, with nothing left for a preset to decide; None for a preview.
        seed: of the starts, and of the degradation of a simulation, which a preview has, too.
    """
    preset = networks.load_preset()
    return {
        "preset": preset.name if preset else None,
        "preset_folder": str(preset.folder) if preset else None,
        "checksums": preset.checksums_of(networks.task) if preset else None,
        **({"networks": _own_networks(model)} if model.custom.given() else {}),
        "task": model.task.name,
        "parameters": model.task.parameters,
        "parameters_given": dict(networks.parameters),
        "forward": networks.forward,
        "pictures": to_dict(pictures),
        "method": "GE" if options else "ConvAE",
        "fidelity": fidelity,
        "options_given": {k: v for k, v in changes.items() if v is not None and k != "seed"},
        "options": to_dict(options) if options else None,
        "seed": seed,
        **_circumstances(),
    }


def records(
    items: list[Observation], asked: dict[str, Any], found: list[Restored], batches: list[memory.Batch]
) -> list[dict[str, Any]]:
    """The record of each input's result, without its scores. Paths are as they were given.

    `seconds` are a picture's share of those of the job, by its pieces; `job` has all solves and their seconds, without what
    was waited for before: TensorFlow, networks, files.

    Args:
        asked: as `asked` gives it; its parameters are the call's, those of a record its input's.
        batches: that each input was solved in.
    """
    solved = asked["options"] is not None
    samples = found[0].uncertainty.record["samples"] if found[0].uncertainty else 1
    solves = samples * sum(len(item.measurements) for item in items)
    job = {"solves": solves, "seconds": sum(restored.seconds for restored in found)}
    return [
        as_json(
            {
                "input": str(item.path),
                "size": [item.size[1], item.size[0]],
                "note": item.note,
                **asked,
                "parameters": item.task.parameters,
                "faces": item.boxes,
                "pieces": len(item.measurements),
                "loss": restored.loss if solved else None,
                "steps": restored.steps,
                "seconds": restored.seconds,
                "job": job,
                "batch": batch.size,
                "memory": batch.record(),
                **({"uncertainty": restored.uncertainty.record} if restored.uncertainty else {}),
            }
        )
        for item, restored, batch in zip(items, found, batches)
    ]


def _own_networks(model: GenerativeEncoder) -> dict[str, Any]:
    """Those that are not the preset's: what they are, and where they were read from."""
    own = model.custom.record()
    for name, part in model.custom.given().items():
        own[name]["path"] = str(part) if is_path(part) else None
    if "generator" in own:
        own["generator"]["latent_size"] = model.latent_size
    return own


def _circumstances() -> dict[str, Any]:
    import tensorflow as tf

    versions = {
        "gekeras": __version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    return {"versions": versions, "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU"}


def as_json(record: dict[str, Any]) -> dict[str, Any]:
    """The record as it is read again; what JSON has no form for, as an operator of one's own, as text."""

    def form(value):
        return str(value) if isinstance(value, Path) else value.item() if isinstance(value, np.generic) else repr(value)

    return json.loads(json.dumps(record, default=form))
