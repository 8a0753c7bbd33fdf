"""Which Keras saved a file, and why the one here does not read it."""

from __future__ import annotations

import json
import zipfile

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
