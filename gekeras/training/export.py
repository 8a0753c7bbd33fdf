"""Networks -> SavedModels -> a preset folder.

Every part has a signature `serving_default` and is callable after `tf.saved_model.load`; a generator also has two of each
layer that a search can go on in (`networks.layers`), of the same weights. Autoencoders and the AEGAN
baseline are stored in float16 and computed in float32; the generator, whose pictures are the result, keeps float32.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import files, images, plots
from ..models.pgan import cuts_of
from ..models.precision import building_in
from ..networks import layers, presets
from ..networks.record import read_about
from ..operators import make_task
from ..solve import starts
from . import aegan, autoencoder, checkpoints, sources, starter
from .distribute import inner_variable
from .problem import Problem, same_networks


class Part(tf.Module):
    """A network as a tensor -> tensor function with a serving signature; `input_name` and `output_name` are its keys.

    It has the network's weights but not the network, whose every layer Keras would add functions for: most of what loading
    a SavedModel takes, and called by nobody. Their keys are those that the network itself would have (`weights_of`).
    """

    def __init__(self, network, input_name: str, output_name: str, extra: dict[str, tf.Variable] | None = None):
        super().__init__(name=network.name)
        self.network = weights_of(network)
        for name, value in (extra or {}).items():
            setattr(self, name, value)
        shape = [None, *network.inputs[0].shape[1:]]
        specification = tf.TensorSpec(shape, tf.float32, name=input_name)
        self.call = tf.function(lambda x: tf.cast(network(x, training=False), tf.float32), input_signature=[specification])
        self.serve = tf.function(lambda x: {output_name: self.call(x)}, input_signature=[specification])
        self.cuts = [self._cut(network, name, layer) for name, layer in _cuts_of(network).items()]

    def _cut(self, network, name: str, layer: str) -> str:
        """Add the functions of `networks.layers.Cut` at a layer, of the network's own weights; its name again."""
        cut = layers.cut_of(network, layer)
        latent = tf.TensorSpec([None, *network.inputs[0].shape[1:]], tf.float32, name="latent")
        inside = [None, *cut.features(tf.zeros([1, *latent.shape[1:]])).shape[1:]]
        features = tf.TensorSpec(inside, tf.float32, name="features")
        for part, function, given in zip(
            (layers.FEATURES, layers.IMAGE, layers.CONSTRAIN), cut, (latent, features, features)
        ):
            setattr(self, f"{part}{name}", tf.function(_in_float32(function), input_signature=[given]))
        return name

    def signatures(self) -> dict[str, Any]:
        """What TensorFlow Serving is asked for: the whole network, and of each cut both of its sides."""
        named = {"serving_default": self.serve}
        for name in self.cuts:
            for key, outside in ((f"{layers.FEATURES}{name}", "features"), (f"{layers.IMAGE}{name}", "image")):
                named[key] = _named(getattr(self, key), outside)
        return {key: function.get_concrete_function() for key, function in named.items()}

    @tf.function
    def __call__(self, x):
        return self.call(x)


def _cuts_of(network) -> dict[str, str]:
    """Its own, or where an imported generator, a plain Keras model, has the layers of a progressive GAN."""
    there = {layer.name for layer in network.layers}
    cuts = network.cuts if hasattr(network, "cuts") else cuts_of(network.outputs[0].shape[1] or 0)
    return {name: layer for name, layer in cuts.items() if layer in there}


def _in_float32(function):
    return lambda x: tf.cast(function(x), tf.float32)


def _named(function, output_name: str):
    """The function with its result under a name, as a signature has it."""
    return tf.function(lambda x: {output_name: function(x)}, input_signature=function.input_signature)


def weights_of(network) -> dict[str, dict[str, tf.Variable]]:
    """The weights by layer and name, as in Keras' own checkpoints.

    TensorFlow's own variables: of one of Keras 3 a SavedModel holds two, the restored one and the one that its functions
    read, and a C++ server would initialize only the first.
    """
    layers = [layer for layer in network.layers if layer.weights]
    named = [{w.name.split("/")[-1].split(":")[0]: inner_variable(w) for w in layer.weights} for layer in layers]
    return {f"layer_with_weights-{k}": weights for k, weights in enumerate(named)}


def save_part(
    network, folder: Path, input_name: str, output_name: str, version: int = 1, extra: dict[str, tf.Variable] | None = None
) -> Path:
    """Write a network to `folder/version` as a SavedModel whose call works for any batch size; `extra` are attributes of
    the loaded object."""
    part = Part(network, input_name, output_name, extra)
    # One trace only: beside a trace for a batch of one, a loader would take that one for a batch it does not know yet.
    part.__call__.get_concrete_function(tf.TensorSpec([None, *network.inputs[0].shape[1:]], tf.float32))
    path = folder / str(version)
    tf.saved_model.save(part, str(path), signatures=part.signatures())
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
    starter_runs: Sequence[Path] = (),
) -> list[str]:
    """Write the parts of these runs into a preset folder and bring `preset.json` up to date.

    Parts that no run is given for stay, with their description and scores; a new autoencoder drops its task's scores, and a
    new generator all of them, since they were measured with the old one. A new AEGAN drops its own row of every task.

    Args:
        preset: folder to write.
        gan_run, autoencoder_runs, aegan_run, starter_runs: run folders.
        about: JSON file with what no run knows: description, data, terms.

    Returns:
        The names of the parts written.

    Raises:
        ValueError: nothing to write, a run without a checkpoint or of another kind, no generator yet, parts of different
            sizes, two runs of one task, a starter of another generator or encoder, a place as `presets.check_target`
            refuses it, or an `about` as `record.read_about` does. The preset then is as it was.
    """
    if not (gan_run or autoencoder_runs or about or aegan_run or starter_runs):
        raise ValueError("name a GAN run, an autoencoder run, or a description")
    presets.check_target(preset)
    described = read_about(about) if about else {}
    record = preset / "preset.json"
    info: dict[str, Any] = {"range": [-1, 1], "tasks": {}, "solve": {}}
    if record.is_file():
        info = files.read_json(record)
    if gan_run is None and "generator" not in info:
        raise ValueError(f"{preset} has no generator; name a GAN run")
    runs = {run: autoencoder.networks_of(run) for run in autoencoder_runs}
    gan = sources.trained_generator(gan_run) if gan_run else None
    baseline = aegan.networks_of(aegan_run) if aegan_run else None
    starts_of = {run: starter.networks_of(run) for run in starter_runs}
    for found in (runs, starts_of):
        _check_tasks({run: details["task"] for run, (_, details) in found.items()})
    _check_sizes(preset, info, gan, runs, (aegan_run, baseline))

    written = []
    with files.rewriting(preset) as made:
        if gan:
            info |= export_generator(gan, made)
            info.pop("scores", None)
            written.append("generator")
        for networks, details in runs.values():
            task = details["task"]
            info["tasks"][task] = details["parameters"]
            info.setdefault("autoencoders", {})[task] = export_autoencoder(networks, details, made)
            info.get("scores", {}).pop(task, None)
            info["code_size"] = details["options"]["code_size"]
            written += [f"encoder-{task}", f"decoder-{task}"]
        _drop_starters(made, info, gan is not None, [details["task"] for _, details in runs.values()])
        for run, (network, details) in starts_of.items():
            _check_starter(run, details, made, info)
            info.setdefault("starters", {})[details["task"]] = export_starter(network, details, made)
            info.get("scores", {}).pop(details["task"], None)
            written.append(f"starter-{details['task']}")
        if baseline:
            info["aegan"] = export_aegan(*baseline, made)
            for scores in info.get("scores", {}).values():
                scores["methods"].pop("AEGAN", None)
            written += ["aegan-encoder", "aegan-generator"]
        write_record(made, info | described)
    return written


def _check_sizes(preset: Path, info: dict[str, Any], gan, runs: dict, baseline: tuple) -> None:
    """Raises ValueError unless all parts, those that stay included, are of the generator's resolution and channels."""
    shape = gan.generator.config if gan else info
    size = shape["resolution"], shape["channels"]
    sizes = {run: networks.encoder.config for run, (networks, _) in runs.items()}
    if baseline[1]:
        sizes[baseline[0]] = baseline[1][0].shape
    if set(info["tasks"]) - {details["task"] for _, details in runs.values()} or ("aegan" in info and not baseline[1]):
        sizes[preset] = info
    for where, other in sizes.items():
        if (its := (other["resolution"], other["channels"])) != size:
            raise ValueError(f"{where} is of {its[0]} px and {its[1]} channels, the generator of {size[0]} px and {size[1]}")


def _check_tasks(tasks: dict[Path, str]) -> None:
    """Raises ValueError for two runs of one task."""
    for run, task in tasks.items():
        if twice := [other for other in tasks if other != run and tasks[other] == task]:
            raise ValueError(f"{run} and {twice[0]} are both for {task}: name one of them")


def _drop_starters(preset: Path, info: dict[str, Any], generator: bool, tasks: list[str]) -> None:
    """Remove those that were trained with a generator or an encoder that has just been replaced."""
    for task in set(info.get("starters", {})) if generator else set(info.get("starters", {})) & set(tasks):
        shutil.rmtree(preset / f"starter-{task}", ignore_errors=True)
        del info["starters"][task]


def _check_starter(run: Path, details: dict[str, Any], preset: Path, info: dict[str, Any]) -> None:
    """Raises ValueError unless the starter was trained with the preset's generator and encoder."""
    name, side, channels = details["task"], info["resolution"], info["channels"]
    folders = [preset / part / "1" for part in ("generator", f"encoder-{name}")]
    if not all(folder.is_dir() for folder in folders):
        raise ValueError(f"{run} is a starter for {name}, for which the preset has no encoder")
    generator, encoder = (tf.saved_model.load(str(folder)) for folder in folders)
    task = make_task(name, side, channels, **details["parameters"])
    size, latent = info["latent_size"], info.get("latent", "normal")
    problem = Problem(generator, encoder, task, size, latent, side, channels)
    same = details["network"]["latent_size"] == size and same_networks(details["fingerprint"], problem.fingerprint())
    if not same:
        raise ValueError(f"{run} was trained with another generator or encoder than the preset's")


def export_generator(gan: sources.Trained, preset: Path) -> dict[str, Any]:
    """The averaged generator of a GAN's or BEGAN's run -> `preset/generator`, and what training can go on from ->
    `preset/training`."""
    generator, latent, nets, record = gan
    size = save_generator(generator, preset, latent)
    keep_training(nets.arrays(), record, preset)
    facts = dict(parameters=generator.count_params(), images=record["images"], options=record["options"])
    return {**size, "generator": facts}


def keep_training(arrays: checkpoints.Arrays, record: dict[str, Any], preset: Path) -> Path:
    """What training can go on from, without the optimizers' moments and in float16 -> `preset/training`, alone there."""
    shutil.rmtree(preset / "training", ignore_errors=True)
    path = preset / "training" / f"checkpoint-{record['images']:09d}.npz"
    checkpoints.save(path, {k: v.astype(np.float16) for k, v in arrays.items() if "optimizer" not in k}, record)
    return path


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


def export_autoencoder(nets: autoencoder.Networks, record: dict[str, Any], preset: Path) -> dict[str, Any]:
    """Encoder and decoder of an autoencoder's run -> `preset/encoder-<task>`, `preset/decoder-<task>`; facts."""
    encoder, decoder = in_half(nets.encoder), in_half(nets.decoder)
    for network, inside, outside in ((encoder, "image", "code"), (decoder, "code", "image")):
        folder = preset / f"{network.name}-{record['task']}"
        shutil.rmtree(folder, ignore_errors=True)
        save_part(network, folder, inside, outside)
    kept = {k: record[k] for k in ("images", "curve", "options")}
    return dict(parameters=encoder.count_params() + decoder.count_params(), **kept)


def export_aegan(nets: aegan.Networks, record: dict[str, Any], preset: Path) -> dict[str, Any]:
    """Averaged encoder (image -> mean of its latent) and generator of an AEGAN's run -> `preset/aegan-<part>`; facts."""
    encoder, generator = in_half(aegan.encoder_of(nets)), in_half(aegan.generator_of(nets))
    for network, inside, outside in ((encoder, "image", "latent"), (generator, "latent", "image")):
        folder = preset / f"aegan-{network.name}"
        shutil.rmtree(folder, ignore_errors=True)
        save_part(network, folder, inside, outside)
    kept = {k: record[k] for k in ("images", "curve", "options")}
    return dict(parameters=encoder.count_params() + generator.count_params(), **kept)


def export_starter(network, record: dict[str, Any], preset: Path) -> dict[str, Any]:
    """-> `preset/starter-<task>`, whose SavedModel also has `inverse_curvature`, `[d, d]`, for L-BFGS."""
    folder = preset / f"starter-{record['task']}"
    shutil.rmtree(folder, ignore_errors=True)
    stretch = network.get_layer("stretch").get_weights()[0]  # (H + floor)^-1/2
    extra = {"inverse_curvature": tf.Variable(stretch @ stretch.T, trainable=False, dtype=tf.float32)}
    save_part(in_half(network), folder, "code", "latent", extra=extra)
    return dict(parameters=network.count_params(), **{k: record[k] for k in ("images", "real", "error", "options")})


def write_record(preset: Path, info: dict[str, Any]) -> None:
    """`preset.json` with a checksum of every file of the SavedModels."""
    checksums = {p.relative_to(preset).as_posix(): presets.checksum(p) for p in presets.files_of_parts(preset)}
    files.write_json(preset / "preset.json", {**info, "checksums": checksums})
