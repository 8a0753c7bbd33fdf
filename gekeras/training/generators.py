"""The generator of a training run, whatever kind of GAN was trained there."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import tensorflow as tf

from . import began, checkpoints, gan

KINDS: dict[str, tuple[ModuleType, str]] = {"phase": (gan, "normal"), "began": (began, began.LATENT)}  # by key of the record


class Trained(NamedTuple):
    """What a run holds: G as it is used, what z is drawn from (`config.LATENTS`), all its networks, and its record."""

    generator: Any
    latent: str
    networks: Any
    record: dict[str, Any]


def of_run(folder: Path) -> Trained:
    """The averaged generator of the newest checkpoint. Raises ValueError if there is none, or it is no GAN's or BEGAN's."""
    _, record = checkpoints.require_latest(folder)
    found = [kind for key, kind in KINDS.items() if key in record]
    if not found:
        raise ValueError(f"{folder} is not the run of a GAN or of a BEGAN")
    kind, latent = found[0]
    networks, record = kind.networks_of(folder)
    return Trained(kind.generator_of(networks), latent, networks, record)


def draw(shape: tuple[int, int], seed: tuple[int, int], latent: str) -> tf.Tensor:
    """Latents `[n, d]` from what a generator's input is drawn from, of `config.LATENTS`: a function of the seed."""
    return began.latents(shape, seed) if latent == "uniform" else tf.random.stateless_normal(shape, seed)
