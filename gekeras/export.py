"""Networks -> SavedModels -> a preset folder.

Every part has one signature, `serving_default`, and is callable after `tf.saved_model.load`. Autoencoders and the AEGAN
baseline are stored in float16 and computed in float32; the generator, whose pictures are the result, keeps float32.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from . import images, plots, presets
from .models.precision import building_in
from .solve import starts
from .training import aegan, autoencoder, checkpoints, generators


class Part(tf.Module):
    """A network as a tensor -> tensor function with a serving signature; `input_name` and `output_name` are its keys."""

    def __init__(self, network, input_name: str, output_name: str):
        super().__init__(name=network.name)
        self.network = network
        shape = [None, *network.inputs[0].shape[1:]]
        specification = tf.TensorSpec(shape, tf.float32, name=input_name)
        self.call = tf.function(lambda x: tf.cast(network(x, training=False), tf.float32), input_signature=[specification])
        self.serve = tf.function(lambda x: {output_name: self.call(x)}, input_signature=[specification])

    @tf.function
    def __call__(self, x):
        return self.call(x)


def save_part(network, folder: Path, input_name: str, output_name: str, version: int = 1) -> Path:
    """Write a network to `folder/version` as a SavedModel whose call works for any batch size."""
    part = Part(network, input_name, output_name)
    # One trace only: beside a trace for a batch of one, a loader would take that one for a batch it does not know yet.
    part.__call__.get_concrete_function(tf.TensorSpec([None, *network.inputs[0].shape[1:]], tf.float32))
    path = folder / str(version)
    tf.saved_model.save(part, str(path), signatures=part.serve.get_concrete_function())
    (path / "fingerprint.pb").unlink(missing_ok=True)  # differs at every writing and is read by nothing here
    return path


def in_half(network):
    """The same network with its weights stored as float16 and its arithmetic in float32.

    A layer that names its own dtype, as the generator's toRGB does, keeps it; its values are rounded like the others.
    """
    policy = keras.mixed_precision.Policy("float32")
    policy._variable_dtype = "float16"  # Keras names only the opposite mix; keras is pinned where this code runs
    with building_in(policy):
        copy = type(network)(**network.config, name=network.name)
    copy.set_weights([w.astype(np.float16) for w in network.get_weights()])
    return copy


def export(
    preset: Path,
    gan_run: Path | None,
    autoencoder_runs: Sequence[Path],
    about: Path | None = None,
    aegan_run: Path | None = None,
) -> list[str]:
    """Write the parts of these runs into a preset folder and bring `preset.json` up to date.

    Parts that no run is given for stay, with their description and scores; a new autoencoder drops its task's scores, and a
    new generator all of them, since they were measured with the old one. A new AEGAN drops its own row of every task.

    Args:
        preset: folder to write.
        gan_run, autoencoder_runs, aegan_run: run folders.
        about: JSON file with what no run knows: description, data, terms.

    Returns:
        The names of the parts written.

    Raises:
        ValueError: nothing to write, a run without a checkpoint, no generator yet, or an AEGAN of another size.
    """
    if not (gan_run or autoencoder_runs or about or aegan_run):
        raise ValueError("name a GAN run, an autoencoder run, or a description")
    record = preset / "preset.json"
    info = json.loads(record.read_text()) if record.is_file() else {"range": [-1, 1], "tasks": {}, "solve": {}}
    written = []
    if gan_run:
        info |= export_generator(gan_run, preset)
        info.pop("scores", None)
        written.append("generator")
    elif "generator" not in info:
        raise ValueError(f"{preset} has no generator; name a GAN run")
    for run in autoencoder_runs:
        task, parameters, details = export_autoencoder(run, preset)
        info["tasks"][task] = parameters
        info.setdefault("autoencoders", {})[task] = details
        info.get("scores", {}).pop(task, None)
        info["code_size"] = details["options"]["code_size"]
        written += [f"encoder-{task}", f"decoder-{task}"]
    if aegan_run:
        info["aegan"] = export_aegan(aegan_run, preset, (info["resolution"], info["channels"]))
        for scores in info.get("scores", {}).values():
            scores["methods"].pop("AEGAN", None)
        written += ["aegan-encoder", "aegan-generator"]
    if about:
        info |= json.loads(about.read_text())
    write_record(preset, info)
    return written


def export_generator(run: Path, preset: Path) -> dict[str, Any]:
    """The averaged generator of a GAN's or BEGAN's run -> `preset/generator`, and what training can go on from ->
    `preset/training`."""
    generator, latent, nets, record = generators.of_run(run)
    size = save_generator(generator, preset, latent)
    shutil.rmtree(preset / "training", ignore_errors=True)
    weights = {k: v.astype(np.float16) for k, v in nets.arrays().items() if "optimizer" not in k}
    checkpoints.save(preset / "training" / f"checkpoint-{record['images']:09d}.npz", weights, record)
    facts = dict(parameters=generator.count_params(), images=record["images"], options=record["options"])
    return {**size, "generator": facts}


def save_generator(network, preset: Path, latent: str = "normal") -> dict[str, Any]:
    """A generator -> `preset/generator`, a sheet of its pictures -> `preset/samples.png`; its sizes and what its latent is
    drawn from (`config.LATENTS`), for the record."""
    shutil.rmtree(preset / "generator", ignore_errors=True)
    save_part(network, preset / "generator", "latent", "image")
    latent_size, (_, resolution, _, channels) = network.inputs[0].shape[1], network.outputs[0].shape
    drawn = starts.draw(0, 48, latent_size, latent)
    sheet = np.concatenate([network(part).numpy() for part in np.split(drawn, 12)])  # all at once, 1024 px takes 20 GB
    images.write(preset / "samples.png", plots.grid(np.clip(sheet, -1, 1), columns=12))
    return dict(resolution=resolution, channels=channels, latent_size=latent_size, latent=latent)


def export_autoencoder(run: Path, preset: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Encoder and decoder of an autoencoder run -> `preset/encoder-<task>`, `preset/decoder-<task>`."""
    nets, record = autoencoder.networks_of(run)
    encoder, decoder = in_half(float32(nets.encoder)), in_half(float32(nets.decoder))
    for network, inside, outside in ((encoder, "image", "code"), (decoder, "code", "image")):
        folder = preset / f"{network.name}-{record['task']}"
        shutil.rmtree(folder, ignore_errors=True)
        save_part(network, folder, inside, outside)
    kept = {k: record[k] for k in ("images", "curve", "options")}
    details = dict(parameters=encoder.count_params() + decoder.count_params(), **kept)
    return record["task"], record["parameters"], details


def export_aegan(run: Path, preset: Path, size: tuple[int, int]) -> dict[str, Any]:
    """Averaged encoder (image -> mean of its latent) and generator of an AEGAN run -> `preset/aegan-<part>`.

    Raises ValueError if its pictures are not of the preset's size (resolution, channels).
    """
    nets, record = aegan.networks_of(run)
    if (found := (nets.shape["resolution"], nets.shape["channels"])) != size:
        raise ValueError(f"{run} is of {found[0]} px and {found[1]} channels, {preset} of {size[0]} px and {size[1]}")
    encoder, generator = in_half(aegan.encoder_of(nets)), in_half(aegan.generator_of(nets))
    for network, inside, outside in ((encoder, "image", "latent"), (generator, "latent", "image")):
        folder = preset / f"aegan-{network.name}"
        shutil.rmtree(folder, ignore_errors=True)
        save_part(network, folder, inside, outside)
    kept = {k: record[k] for k in ("images", "curve", "options")}
    return dict(parameters=encoder.count_params() + generator.count_params(), **kept)


def float32(network):
    """The same network computing in float32, whatever it was trained in."""
    copy = type(network)(**network.config, name=network.name)
    copy.set_weights(network.get_weights())
    return copy


def write_record(preset: Path, info: dict[str, Any]) -> None:
    """`preset.json` with a checksum of every file of the SavedModels."""
    files = [p for p in sorted(preset.glob("*/[0-9]*/**/*")) if p.is_file()]  # the training checkpoint is not installed
    checksums = {p.relative_to(preset).as_posix(): presets.checksum(p) for p in files}
    images.write_text(preset / "preset.json", json.dumps({**info, "checksums": checksums}, indent=2) + "\n")
