"""A generator trained elsewhere -> a preset with a generator: read, rebuild in Keras, write."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from .. import files
from ..models.layers import EqualizedDense
from ..models.pgan import Generator
from ..networks import presets
from ..networks.record import check_about
from ..training import export
from . import numpy_dump, torch_archive, zoo
from .weights import ImportedGenerator

SIZE = ("resolution", "channels", "latent_size")


def read(path: Path) -> ImportedGenerator:
    """The generator of a GAN zoo checkpoint, or of an `.npz` of the original's variables; the file's content tells which.

    Raises:
        ValueError: a missing, unreadable or damaged file, one of another kind, or a network that is not ours; one line.
    """
    kind = _format(path)
    content = torch_archive.load(path) if kind == "torch" else numpy_dump.load(path)
    try:
        return zoo.convert(content) if kind == "torch" else numpy_dump.convert(content)
    except ValueError as error:
        raise ValueError(f"{path} is no progressive generator that can be imported: {error}") from error


def _format(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(32)
            names = zipfile.ZipFile(file).namelist() if head.startswith(b"PK") else []
    except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "truncated or damaged archive"
        raise ValueError(f"{path}: {reason.lower()}") from error
    if torch_archive.is_stream(head) or any(name.endswith("data.pkl") for name in names):
        return "torch"
    if any(name.endswith(".npy") for name in names):
        return "npz"
    if "model.weights.h5" in names or head.startswith(b"\x89HDF"):
        raise ValueError(f"{path} is a Keras file, which needs no import: solve with it by --generator")
    raise ValueError(f"{path} is neither a PyTorch checkpoint nor an .npz of the original's variables")


def build(imported: ImportedGenerator) -> keras.Model:
    """The network, float32: a `Generator`, with a bias at its first layer and a tanh at its end where the file has them."""
    network = Generator(**imported.config)
    biased = len(imported.weights["dense_4"]) == 2
    if biased or imported.tanh:
        network = _chain(network.layers[1:], network.inputs[0].shape[1], biased, imported.tanh)
    for layer in network.layers:
        if layer.weights:
            layer.set_weights(imported.weights[layer.name])
    return network


def _chain(layers, latent_size: int, biased: bool, tanh: bool) -> keras.Model:
    x = latent = keras.Input((latent_size,), name="latent")
    for layer in layers:
        if biased and layer.name == "dense_4":
            layer = EqualizedDense(layer.units, gain=layer.gain, name="dense_4")
        if not (biased and layer.name == "bias_4"):
            x = layer.from_config(layer.get_config())(x)  # one with a path of its own, that a cut can follow
    if tanh:
        x = keras.layers.Activation("tanh", dtype="float32", name="tanh")(x)
    return keras.Model(latent, x, name="generator")


def import_generator(
    checkpoint: Path, folder: Path, about: Mapping[str, Any] | None = None, force: bool = False
) -> dict[str, Any]:
    """Write the generator of `checkpoint` as the preset `folder`: SavedModel, `samples.png` and `preset.json`.

    The folder appears, or changes, as a whole. With `force` the generator of a preset is replaced: its scores and its
    training checkpoint go, since they were the old one's; encoders of the same size stay.

    Args:
        checkpoint: what `read` reads.
        folder: preset to write.
        about: description, data and terms for `preset.json`.

    Returns:
        What `preset.json` says now.

    Raises:
        ValueError: what `read` refuses, a generator that is there already, encoders of another size, a folder as
            `presets.check_target` refuses it, or an `about` as `check_about` does.
    """
    check_about(about or {})
    folder = folder.resolve()
    old = _record_of(folder, force)
    imported = read(checkpoint)
    if old.get("tasks") and (differing := [name for name in SIZE[:2] if old.get(name) != imported.config[name]]):
        raise ValueError(f"{folder} has encoders of another {differing[0]}; import into a new folder")
    with files.rewriting(folder, _left_out) as made:
        network = build(imported)
        size = export.save_generator(network, made)
        info = {"range": [-1, 1], "tasks": {}, "solve": {}, **old, **(about or {}), **size}
        info["generator"] = dict(parameters=network.count_params(), config=imported.config)
        info["source"] = dict(file=checkpoint.name, sha256=presets.checksum(checkpoint), **imported.source)
        export.write_record(made, info)
    return files.read_json(folder / "preset.json")


def _record_of(folder: Path, force: bool) -> dict[str, Any]:
    """What stays of an existing preset's record. Raises ValueError if there is a generator that must not be replaced."""
    presets.check_target(folder)
    if (folder / "generator").exists() and not force:
        raise ValueError(f"{folder} has a generator already; --force replaces it")
    record = folder / "preset.json"
    info = files.read_json(record) if record.is_file() else {}
    return {name: value for name, value in info.items() if name not in ("scores", "generator", "source", "checksums")}


def _left_out(folder: str, names: list[str]) -> set[str]:
    return {"generator", "training", "samples.png"} & set(names) if (Path(folder) / "preset.json").is_file() else set()
