"""A preset's generator written anew, with the functions of its layers, from its own weights."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .. import files
from ..models.began import BEGANGenerator
from ..models.pgan import Generator
from ..networks import presets
from . import export

SIZES = ("resolution", "channels", "latent_size")
KINDS = {  # a name that tells the kind -> its network, and what is taken from the record where the record has it
    "fmap_base": (Generator, ("fmap_base", "fmap_max", "bilinear_from")),
    "width": (BEGANGenerator, ("width", "skip")),
}


def add_layers(folder: Path) -> str:
    """Give a preset's generator the functions of its layers, where it was written before they were; its name.

    Weights and pictures stay as they are: the new one is compared with the old before anything is written.

    Raises:
        ValueError: no preset, a generator of which the record does not tell how it is built (an imported one), or one whose
            pictures would change.
    """
    preset = presets.read(folder)
    old = preset.part("generator")
    network = _rebuilt(preset, old)
    z = tf.random.stateless_normal((4, preset.latent_size), (0, 0))
    if (apart := float(np.abs(np.asarray(old(z)) - np.asarray(network(z))).max())) > 1e-5:
        raise _otherwise(preset, f"pictures differ by {apart:.3g}")
    with files.rewriting(folder) as made:
        shutil.rmtree(made / "generator")
        export.save_part(network, made / "generator", "latent", "image")
        export.write_record(made, files.read_json(made / "preset.json"))
    return "generator"


def _rebuilt(preset: presets.Preset, old: Any):
    """The network that the record describes, with the weights of the SavedModel."""
    options = preset.info.get("generator", {}).get("options", {})
    kind = next((kind for mark, kind in KINDS.items() if mark in options), None)
    if kind is None or not hasattr(old, "network"):
        raise ValueError(f"{preset.folder}: its record does not tell how the generator is built; write it anew")
    build, names = kind
    told = {name: options[name] for name in names if name in options}
    network = build(**{name: preset.info[name] for name in SIZES}, **told)
    for part, weights in export.weights_of(network).items():
        for name, variable in weights.items():
            saved = old.network[part].get(name) if part in old.network else None
            if saved is None or saved.shape != variable.shape:
                raise _otherwise(preset, f"{part}/{name} is not of shape {list(variable.shape)}")
            variable.assign(saved)
    return network


def _otherwise(preset: presets.Preset, how: str) -> ValueError:
    return ValueError(f"{preset.folder}: its generator is built otherwise than its record says: {how}")
