"""Readers of what a training starts from: trained parts of a run folder or of a preset folder, and pictures.

A folder with a `preset.json` is a preset, any other one is a run. What a preset holds computes in float32; what a run holds
can be rebuilt to compute in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import tensorflow as tf

from .. import data
from ..config import VolumeOptions
from ..models.precision import rebuilt, training_policy
from ..networks import presets
from . import autoencoder, began, checkpoints, gan

GANS: dict[str, ModuleType] = {kind.MARK: kind for kind in (gan, began)}  # by the key that marks a run's record


class Trained(NamedTuple):
    """What a GAN's or BEGAN's run holds.

    Attributes:
        generator: G as it is used, the averaged one, float32.
        latent: what z is drawn from, of `config.LATENTS`.
        networks: everything that is trained.
        record: of the checkpoint.
    """

    generator: Any
    latent: str
    networks: gan.Networks | began.Networks
    record: dict[str, Any]


class LoadedGenerator(NamedTuple):
    """A generator to train on: latent `[n, latent_size]`, drawn from `latent` (`config.LATENTS`), -> image."""

    network: Callable[[tf.Tensor], tf.Tensor]
    resolution: int
    channels: int
    latent_size: int
    latent: str


class LoadedAutoencoder(NamedTuple):
    """Encoder and decoder of a task to train on, and the parameters of its degradation."""

    encoder: Callable[[tf.Tensor], tf.Tensor]
    decoder: Callable[[tf.Tensor], tf.Tensor]
    parameters: dict[str, Any]


def trained_generator(folder: Path) -> Trained:
    """The generator of a run, whichever kind of GAN was trained there, at its newest checkpoint.

    Raises:
        ValueError: there is no checkpoint, or it is no GAN's or BEGAN's.
    """
    _, record = checkpoints.require_latest(folder)
    kind = next((kind for mark, kind in GANS.items() if mark in record), None)
    if kind is None:
        raise ValueError(f"{folder} is not the run of a GAN or of a BEGAN")
    networks, record = kind.networks_of(folder)
    return Trained(kind.generator_of(networks), kind.LATENT, networks, record)


def generator_of(path: Path, bfloat16: bool = False) -> LoadedGenerator:
    """The generator of a run (GAN or BEGAN) or of a preset.

    Args:
        path: run folder or preset folder.
        bfloat16: compute in bfloat16 where it is a run's.

    Raises:
        ValueError: as `trained_generator`, or as `presets.read`.
    """
    if preset := _preset(path):
        sizes = preset.resolution, preset.channels, preset.latent_size
        return LoadedGenerator(preset.part("generator"), *sizes, preset.latent)
    trained = trained_generator(path)
    network, sizes = trained.generator, trained.generator.config
    if bfloat16:
        network = rebuilt(network, training_policy(True))
    return LoadedGenerator(network, sizes["resolution"], sizes["channels"], sizes["latent_size"], trained.latent)


def autoencoder_of(
    path: Path, task: str, parameters: Mapping[str, Any] | None = None, bfloat16: bool = False
) -> LoadedAutoencoder:
    """Encoder and decoder of an autoencoder's run or of a preset's task.

    Args:
        path: run folder or preset folder.
        task: the task they are for.
        parameters: of the degradation, where they are other than those of the training.
        bfloat16: compute in bfloat16 where they are a run's.

    Raises:
        ValueError: no checkpoint, the run of something else or for another task, or as `presets.read`.
    """
    if preset := _preset(path):
        known = {**preset.task_parameters(task), **(parameters or {})}
        return LoadedAutoencoder(preset.part(f"encoder-{task}"), preset.part(f"decoder-{task}"), known)
    networks, record = autoencoder.networks_of(path)
    if record["task"] != task:
        raise ValueError(f"{path} is an autoencoder for {record['task']}, not for {task}")
    encoder, decoder = (rebuilt(part, training_policy(bfloat16)) for part in (networks.encoder, networks.decoder))
    return LoadedAutoencoder(encoder, decoder, {**record["parameters"], **(parameters or {})})


def autoencoder_weights(path: Path, task: str, tell: Callable[[str], None] = lambda text: None) -> checkpoints.Arrays:
    """The weights that an autoencoder can start from, for `autoencoder.train(start=...)`.

    Args:
        path: run folder of an autoencoder, or preset folder.
        task: which of a preset's autoencoders; that of reconstruct where it has none for the task.
        tell: called with a line where it is that of reconstruct.

    Returns:
        Arrays by their names in a checkpoint.

    Raises:
        ValueError: there is no checkpoint, or as `presets.read`.
    """
    preset = _preset(path)
    if preset is None:
        return checkpoints.require_latest(path)[0]
    name = task if preset.has(f"encoder-{task}") else "reconstruct"
    if name != task:
        tell(f"{path} has no autoencoder for {task}: starting from that of {name}")
    arrays: checkpoints.Arrays = {}
    for part in ("encoder", "decoder"):
        arrays |= checkpoints.weights_of_part(part, preset.part(f"{part}-{name}"))
    return arrays


def _preset(path: Path) -> presets.Preset | None:
    """The preset of a folder, None where it holds none."""
    return presets.read(path.resolve()) if (path / "preset.json").is_file() else None


def held_out(
    paths: Sequence[str | Path],
    resolution: int,
    channels: int,
    validation: int,
    *,
    cut: VolumeOptions | None = None,
    memory: bool = False,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[data.Source, data.Source]:
    """Pictures to train on, and the last `validation` of them, held out.

    Args:
        paths: as `data.entries` takes them: folders, shards, volumes.
        resolution, channels: what they are brought to.
        cut: how volumes are cut.
        memory: decode all of them once and hold them in memory.
        tell: called with the lines of `data.notes`.

    Raises:
        ValueError: as `data.entries`, or nothing would be left to train on.
    """
    items = data.entries(*paths, options=cut)
    for line in data.notes(*paths, items=items):
        tell(line)
    if validation >= len(items):
        raise ValueError(f"{validation} pictures cannot be held out of {len(items)}")
    shown, kept = (data.Source(part, resolution, channels, memory) for part in (items[:-validation], items[-validation:]))
    return shown, kept
