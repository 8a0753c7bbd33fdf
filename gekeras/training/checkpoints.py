"""Checkpoints: one `.npz` of named arrays with a JSON record inside, written under another name and renamed.

A zip archive carries a CRC of every member, so a damaged file is noticed when it is read, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import replacing
from ..messages import reason_of
from . import divergence, optimizers

Arrays = dict[str, np.ndarray]


def save(path: Path, arrays: Arrays, record: dict[str, Any]) -> None:
    """Write a checkpoint whole or not at all: a reader sees the old file or the new one, never a part.

    Args:
        path: of the `.npz`; its folder is made if it is not there.
        arrays: by name, e.g. `generator/conv_8_0/1`, of any dtype but objects.
        record: what JSON holds: images shown, options, ...

    Raises:
        OSError: it cannot be written; what was at `path` is there still.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        _write(file, {"__record__": np.frombuffer(json.dumps(record).encode(), np.uint8), **arrays})


def _write(file, arrays: Arrays) -> None:
    """As np.savez, which leaves its archive open where the disk is full, to fail once more when it is collected."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


def load(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """Read what `save` wrote.

    Returns:
        Arrays by name, and the record.

    Raises:
        ValueError: the file is missing, damaged or something else.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # given a name, np.load leaks a bad zip
            arrays = {name: file[name] for name in file.files}
        record = json.loads(arrays.pop("__record__").tobytes())
    except Exception as error:  # OSError, BadZipFile, KeyError, NotImplementedError (a damaged flag), MemoryError, ...
        raise ValueError(f"{path} is not a whole checkpoint: {reason_of(error)}") from error
    return arrays, record


def save_rotating(folder: Path, images: int, arrays: Arrays, record: dict[str, Any], keep: int = 2) -> Path:
    """Save as `checkpoint-<images>.npz` and remove all but the newest `keep`.

    Raises divergence.Diverged, and keeps what is there, if a weight is not finite.
    """
    divergence.require_finite_arrays(arrays, images)
    path = folder / f"checkpoint-{images:09d}.npz"
    save(path, arrays, record)
    for old in _files(folder)[:-keep]:
        old.unlink()
    return path


def load_latest(folder: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """The newest whole checkpoint of a folder, or None; a damaged one is passed over with a warning."""
    for path in reversed(_files(folder)):
        try:
            return load(path)
        except ValueError as error:
            warnings.warn(f"{error}; trying the one before", stacklevel=2)
    return None


def require_same(folder: Path, record: dict[str, Any], asked: dict[str, Any]) -> None:
    """Raises ValueError unless the record of a folder's checkpoint holds what is asked for."""
    for name, value in json.loads(json.dumps(asked)).items():  # JSON has no tuples
        if record.get(name) != value:
            raise ValueError(f"{folder} was trained with {name} {record.get(name)}, not {value}")


def require_kind(folder: Path, record: dict[str, Any], kind: str, *marks: str) -> None:
    """Raises ValueError unless the record of a folder's checkpoint has the keys that mark one kind of run."""
    if not set(marks) <= set(record):
        raise ValueError(f"{folder} is not the run of {kind}")


def require_latest(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    """As `load_latest`. Raises ValueError where that finds nothing."""
    if (latest := load_latest(folder)) is None:
        raise ValueError(f"no checkpoint in {folder}")
    return latest


def require_run(folder: Path, kind: str, *marks: str) -> tuple[Arrays, dict[str, Any]]:
    """As `require_latest`. Raises ValueError also where the run is of another kind, see `require_kind`."""
    arrays, record = require_latest(folder)
    require_kind(folder, record, kind, *marks)
    return arrays, record


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*.npz"))


# --------------------------------------------------------------------------------- networks and optimizers by name


def arrays_of(owner, networks: Sequence[str], optimizers: Sequence[str]) -> Arrays:
    """All that these attributes of an object hold: weights as `name/layer/index`, optimizers as `name/index`."""
    arrays: Arrays = {}
    for name in networks:
        arrays |= weights_of(name, getattr(owner, name))
    for name in optimizers:
        arrays |= optimizer_of(name, getattr(owner, name))
    return arrays


def restore(owner, arrays: Arrays, networks: Sequence[str], optimizers: Sequence[str] = ()) -> None:
    """Inverse of `arrays_of`. An optimizer that a checkpoint lacks (a published one) starts afresh.

    Raises ValueError if a network's weights are missing.
    """
    for name in networks:
        set_weights(name, getattr(owner, name), arrays)
    for name in optimizers:
        if f"{name}/0" in arrays:
            set_optimizer(name, getattr(owner, name), arrays)


def weights_of(prefix: str, network) -> Arrays:
    """Weights of a Keras network as `prefix/layer/index`."""
    layers = ((layer.name, layer.get_weights()) for layer in network.layers)
    return {f"{prefix}/{name}/{i}": w for name, weights in layers for i, w in enumerate(weights)}


def set_weights(prefix: str, network, arrays: Arrays) -> None:
    """Inverse of `weights_of` (any float dtype). Raises ValueError if a layer's weights are missing."""
    for layer in network.layers:
        names = [f"{prefix}/{layer.name}/{i}" for i in range(len(layer.get_weights()))]
        if missing := [name for name in names if name not in arrays]:
            raise ValueError(f"checkpoint lacks {missing[0]}")
        if names:
            layer.set_weights([arrays[name].astype("float32") for name in names])


def weights_of_part(prefix: str, part) -> Arrays:
    """As `weights_of`, of a network in a loaded SavedModel, whose variables are named `layer/kernel:0`, `layer/bias:0`."""
    arrays: Arrays = {}
    for weights in part.network.values():
        ordered = [weights[name] for name in ("kernel", "bias") if name in weights]
        arrays |= {f"{prefix}/{v.name.split('/')[0]}/{i}": v.numpy() for i, v in enumerate(ordered)}
    return arrays


def optimizer_of(prefix: str, optimizer) -> Arrays:
    """State of a Keras optimizer, see `optimizers.state`: the same arrays on both lines of Keras."""
    return {f"{prefix}/{i}": v.numpy() for i, v in enumerate(optimizers.state(optimizer))}


def set_optimizer(prefix: str, optimizer, arrays: Arrays) -> None:
    """Inverse of `optimizer_of`; the optimizer must be built. Its learning rate stays: a run may go on with another one."""
    for i, variable in enumerate(optimizers.state(optimizer)):
        variable.assign(arrays[f"{prefix}/{i}"])
