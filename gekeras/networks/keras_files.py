"""Which Keras saved a file, why the one here does not read it, and whether reading it would run Python code."""

from __future__ import annotations

import contextlib
import json
import zipfile
from typing import Any

from ..files import PathLike
from ..messages import reason_of


def keras_version(path: PathLike) -> str:
    """The version of Keras that saved a `.keras` or `.h5` file, "" where the file does not tell."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return str(json.loads(archive.read("metadata.json"))["keras_version"])
        import h5py

        with h5py.File(path, "r") as file:
            version = file.attrs["keras_version"]
        return version.decode() if isinstance(version, bytes) else str(version)
    except Exception:  # whatever a damaged file lacks: then it tells nothing, and the reader's own reason is given
        return ""


def check_code(path: PathLike) -> None:
    """Raise ValueError for a file with a Lambda layer: Python code of whoever saved it, which Keras 2 runs from an `.h5`.

    What cannot be looked at is left to Keras, which reads `.keras` files in its safe mode.
    """
    if any(_has_code(config) for config in (_config_of_zip(path), _config_of_h5(path))):  # a file can be both
        raise ValueError(
            f"{path} has a Lambda layer, which is Python code of whoever saved it: not loaded; save the network as a "
            "SavedModel where it was made, or load it in Python and give the model itself"
        )


def _config_of_zip(path: PathLike) -> Any:
    """The configuration of a `.keras` file's layers, None where the file does not tell."""
    with contextlib.suppress(Exception):  # whatever a damaged file lacks: Keras says it
        with zipfile.ZipFile(path) as archive:
            return json.loads(archive.read("config.json"))


def _config_of_h5(path: PathLike) -> Any:
    """The same of an `.h5` file."""
    with contextlib.suppress(Exception):
        import h5py

        with h5py.File(path, "r") as file:
            return json.loads(file.attrs["model_config"])


def _has_code(config: Any) -> bool:
    """Whether anywhere in a configuration there is a Lambda layer, or a function written down as code."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if value.get("class_name") in ("Lambda", "__lambda__") or value.get("function_type") == "lambda":
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


def keras_fault(path: PathLike, error: BaseException, here: str) -> str:
    """Why Keras `here` has not read a file: it was saved by another generation, or the reader's own reason."""
    saved = keras_version(path)
    if saved and saved.partition(".")[0] != here.partition(".")[0]:
        how = "tf.saved_model.save(model, FOLDER)" if saved.startswith(("1.", "2.")) else "model.export(FOLDER)"
        return (
            f"{path} was saved by Keras {saved}, and the Keras here, {here}, does not read it: load it where it was saved, "
            f"write a SavedModel by {how}, and give that folder"
        )
    saved = f" (saved by Keras {saved})" if saved else ""
    weights = "; give the whole network, not its weights alone" if "No model config" in str(error) else ""
    return f"{path} is not a readable Keras model{saved}: {reason_of(error)}{weights}"
