"""Networks of one's own: a Keras file, a SavedModel or a TF-Hub module as a function, tensor in, tensor out.

What a network tells of its shapes is kept with it, so that parts that do not fit are refused before anything is solved, and
its range of pictures is mapped to [-1, 1], in which everything else here works.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..files import PathLike
from ..messages import reason_of, shown
from .keras_files import check_code, keras_fault

if TYPE_CHECKING:
    from typing_extensions import TypeGuard

KERAS_FILES = (".keras", ".h5", ".hdf5")
SIGNATURES = ("serving_default", "default", "serve")  # TensorFlow Serving's, TF1-Hub's, Keras' own: the first there is
UNIT = (-1.0, 1.0)

Range = tuple[float, float]
Shape = Optional[tuple[Optional[int], ...]]  # the batch first; None where a side, or all of it, is not known


@dataclass(frozen=True, eq=False)
class Module:
    """A network as a function: float32 tensor in, float32 tensor out.

    Attributes:
        function: the network itself, one tensor -> one tensor, in its own ranges and type.
        name: for messages and records.
        input_shape, output_shape: see `Shape`.
        dtype: of the network's input.
        input_range, output_range: of its pictures, mapped from and to [-1, 1]; `UNIT` leaves the numbers as they are.
        flat: give `[n, k]` whatever the rank of the result, whose shape is known then.
        source: the Keras model or loaded SavedModel that the function is of, which `layers` cuts; None where it is neither.
    """

    function: Callable
    name: str
    input_shape: Shape = None
    output_shape: Shape = None
    dtype: Any = "float32"
    input_range: Range = UNIT
    output_range: Range = UNIT
    flat: bool = False
    source: Any = None

    def __call__(self, x):
        import tensorflow as tf

        inside = tf.cast(rescale(tf.convert_to_tensor(x), UNIT, self.input_range), self.dtype)
        result = rescale(tf.cast(self.function(inside), tf.float32), self.output_range, UNIT)
        sides = (self.output_shape or ())[1:]
        if self.output_shape:
            result = tf.ensure_shape(result, (None, *sides))
        return tf.reshape(result, (-1, math.prod(side or 0 for side in sides))) if self.flat else result


def is_path(part: Any) -> TypeGuard[PathLike]:
    return isinstance(part, (str, os.PathLike))


def is_address(part: Any) -> TypeGuard[str]:
    """Whether it is a TF-Hub handle."""
    return isinstance(part, str) and part.startswith(("https://", "http://"))


def adopt(part: Any, what: str, *, input_range: Range | None = None, output_range: Range | None = None) -> Callable:
    """A network as a function of pictures in [-1, 1].

    Args:
        part: a path or TF-Hub handle (`load_module`), a Keras model, a loaded SavedModel, or any function, which is given
            back as it is unless a range is named.
        what: "generator", "encoder", ..., for messages.
        input_range, output_range: of the pictures it takes and gives; None is (-1, 1).

    Raises:
        ValueError: as `load_module`, something that is no network, or a range that is none.
    """
    given = {"input_range": input_range, "output_range": output_range}
    ranges: dict[str, Any] = {name: check_range(name, value) for name, value in given.items() if value is not None}
    if is_path(part):
        part = load_module(part)
    elif callable(part) and hasattr(part, "input_shape") and not isinstance(part, Module):
        part = of_keras(part, name_of(part))
    elif not callable(part) and hasattr(part, "signatures"):
        part = of_saved_model(part, what)
    if not callable(part):
        raise ValueError(f"the {what} must be a function, a Keras model or a path; received {shown(part)}")
    if all(value == UNIT for value in ranges.values()):
        return part
    return dataclasses.replace(as_module(part), **ranges)


def as_module(part: Callable) -> Module:
    """A function of which nothing is known but its name, or the Module that it is."""
    return part if isinstance(part, Module) else Module(part, name_of(part))


def load_module(path: PathLike) -> Module:
    """The network of a `.keras` or `.h5` file, a SavedModel or TF1-Hub folder, or a TF-Hub handle (`https://...`).

    A folder may also hold numbered versions, as TensorFlow Serving reads them: the highest is taken.

    Raises:
        ValueError: nothing there, not readable (a file of another generation of Keras says so), Python code in a Keras
            file, several inputs or outputs, or no signature that could be meant; for a handle without the package
            tensorflow_hub, too.
    """
    if is_address(path):
        return of_saved_model(_load_saved_model(_fetch(path)), str(path))
    place = locate(path)
    if place.is_dir():
        return of_saved_model(_load_saved_model(place), name_of(place))
    check_code(place)
    import keras

    try:
        model = keras.models.load_model(str(place), compile=False)
    except Exception as error:  # OSError, ValueError, TypeError, KeyError, ...: as varied as what a file can lack
        raise ValueError(keras_fault(path, error, keras.__version__)) from error
    return of_keras(model, name_of(place))


def locate(path: PathLike) -> Path:
    """The file, or the folder with `saved_model.pb` in it, that a path means. Raises ValueError if there is none."""
    place = Path(path)
    if place.is_dir():
        folder = place if (place / "saved_model.pb").is_file() else newest_version(place) or place
        if (folder / "saved_model.pb").is_file():
            return folder
        which = "" if folder == place else f" in its newest version, {folder.name}"
        raise ValueError(f"{path} is no SavedModel: it holds no saved_model.pb{which}")
    if not place.exists():
        raise ValueError(f"{path}: no such file or folder")
    if place.suffix.lower() not in KERAS_FILES:
        raise ValueError(f"{path}: a network is a file {', '.join(KERAS_FILES)}, a SavedModel folder or a TF-Hub handle")
    return place


def newest_version(folder: Path) -> Path | None:
    """The folder of the highest number in a folder, as TensorFlow Serving reads it; an incomplete one is not passed over."""
    versions = [p for p in folder.glob("*") if p.name.isdecimal() and p.is_dir()]
    return max(versions, key=lambda p: int(p.name), default=None)


def of_keras(model: Any, name: str) -> Module:
    """A Keras model, called as in inference. Raises ValueError for several inputs or outputs."""
    shapes = [getattr(model, side, None) or () for side in ("input_shape", "output_shape")]
    for shape, side in zip(shapes, ("input", "output")):
        if isinstance(shape, Mapping) or any(isinstance(item, (tuple, list)) for item in shape):
            raise ValueError(f"{name} has {len(shape)} {side}s; a network with one is needed")
    dtype = model.inputs[0].dtype if getattr(model, "inputs", None) else "float32"
    takes_training = "training" in inspect.signature(model.call).parameters
    function = (lambda x: model(x, training=False)) if takes_training else model
    inside, outside = (tuple(shape) if shape else None for shape in shapes)
    return _module(function, name, inside, outside, dtype, model)


def of_saved_model(loaded: Any, name: str) -> Module:
    """What `tf.saved_model.load` returned: its own call where it takes one tensor, else one of its signatures.

    Raises ValueError where neither is one tensor -> one tensor.
    """
    traces = [trace for trace in _traces(loaded) if len(_tensors(trace.structured_input_signature)) == 1]
    if traces:
        entry = _entry(traces[0].structured_outputs, name)
        inputs = [_tensors(trace.structured_input_signature)[0] for trace in traces]
        outputs = [_pick(trace.structured_outputs, entry) for trace in traces]
        return _module(lambda x: _pick(loaded(x), entry), name, _merge(inputs), _merge(outputs), inputs[0].dtype, loaded)
    signature = _signature(loaded, name)
    inputs = signature.structured_input_signature[1]
    if len(inputs) != 1:
        raise ValueError(f"{name} takes {', '.join(sorted(inputs)) or 'nothing'}; a network with one input is needed")
    ((key, inside),) = inputs.items()
    entry = _entry(signature.structured_outputs, name)
    outside = _pick(signature.structured_outputs, entry)

    def function(x, owner=loaded):  # the signature alone would not keep its variables
        return _pick(signature(**{key: x}), entry)

    return _module(function, name, _merge([inside]), _merge([outside]), inside.dtype, loaded)


def _traces(loaded: Any) -> list:
    return list(getattr(getattr(loaded, "__call__", None), "concrete_functions", []))  # noqa: B004


def _signature(loaded: Any, name: str):
    signatures = getattr(loaded, "signatures", {})
    for known in SIGNATURES:
        if known in signatures:
            return signatures[known]
    if len(signatures) != 1:
        names = ", ".join(sorted(signatures)) or "none"
        raise ValueError(f"{name} has no signature {', '.join(SIGNATURES)}, and not a single one either; found: {names}")
    return next(iter(signatures.values()))


def _tensors(structure: Any) -> list:
    import tensorflow as tf

    return [leaf for leaf in tf.nest.flatten(structure) if isinstance(leaf, tf.TensorSpec)]


def _entry(outputs: Any, name: str) -> Any:
    """Which of a network's outputs is meant: the key of a dict, None for a plain tensor."""
    if hasattr(outputs, "dtype"):
        return None
    keys = sorted(outputs) if isinstance(outputs, Mapping) else list(range(len(outputs or ())))
    if "default" in keys or len(keys) == 1:
        return "default" if "default" in keys else keys[0]
    raise ValueError(f"{name} gives {', '.join(map(str, keys)) or 'nothing'}; one output, or one called default, is needed")


def _pick(outputs: Any, entry: Any) -> Any:
    return outputs if entry is None else outputs[entry]


def _merge(specs: list) -> Shape:
    """The shape that covers all traces' shapes."""
    import tensorflow as tf

    shape = tf.TensorShape(specs[0].shape)
    for spec in specs[1:]:
        shape = shape.most_specific_compatible_shape(spec.shape)
    return None if shape.rank is None else tuple(shape.as_list())


def _module(function: Callable, name: str, inside: Shape, outside: Shape, dtype: Any, source: Any) -> Module:
    import tensorflow as tf

    dtype = tf.as_dtype(dtype)
    if not dtype.is_floating:
        raise ValueError(f"{name} takes {dtype.name} numbers, through which no gradient passes")
    if inside and inside[0] is not None:
        raise ValueError(f"{name} takes batches of {inside[0]} only: store it for batches of any size")
    return Module(function, name, inside, outside, dtype, source=source)


def _load_saved_model(folder: PathLike):
    """A SavedModel of either TensorFlow: TF1-Hub modules have the graph to use under no tag, others under `serve`."""
    import tensorflow as tf

    def load(tags):
        return tf.saved_model.load(str(folder), tags=tags)

    try:
        if (Path(folder) / "tfhub_module.pb").is_file():
            return load([])
        try:
            return load(None)
        except ValueError as error:
            if "tags" not in str(error):  # it holds several graphs
                raise
            return load(["serve"])
    except Exception as error:  # OSError, ValueError, IndexError, tf.errors.OpError, ...
        raise ValueError(f"{folder} is not a readable SavedModel: {reason_of(error)}") from error


def _fetch(handle: str) -> str:
    """The folder into which tensorflow_hub unpacks a handle's module, or has unpacked it."""
    try:
        import tensorflow_hub as hub
    except ImportError as error:
        raise ValueError(f"{handle} is a TF-Hub handle: pip install tensorflow-hub (here: {reason_of(error)})") from error
    try:
        return hub.resolve(handle)
    except Exception as error:  # no network, no such module, no space
        raise ValueError(f"{handle} cannot be fetched: {reason_of(error)}") from error


def rescale(x, source: Range, target: Range):
    """The affine map of one range onto another; `x` itself where they are the same."""
    if source == target:
        return x
    return (x - source[0]) * ((target[1] - target[0]) / (source[1] - source[0])) + target[0]


def check_range(name: str, value: Any) -> Range:
    """Two numbers, the lower one first. Raises ValueError otherwise."""
    try:
        low, high = map(float, value)
    except (TypeError, ValueError):
        low = high = 0.0
    if not (low < high and abs(low) != float("inf") != high):
        raise ValueError(f"{name} must be two numbers, the lower one first; received {shown(value)}")
    return low, high


def name_of(part: Any) -> str:
    """A file's name, a version with its folder's (`generator/1`), a handle, or what a function or model is called."""
    if is_address(part):
        return str(part)
    if is_path(part):
        path = Path(part).resolve()
        return f"{path.parent.name}/{path.name}" if path.name.isdigit() else path.name
    return str(getattr(part, "name", None) or getattr(part, "__name__", None) or type(part).__name__)


def describe(part: Any) -> dict[str, Any]:
    """Name of a network and, where it lies in files, the SHA-256 of them all."""
    if not is_path(part) or is_address(part):
        return {"name": name_of(part)}
    place = locate(part)
    files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file())
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(place).as_posix().encode() + hashlib.sha256(file.read_bytes()).digest())
    return {"name": name_of(place), "sha256": digest.hexdigest()}
