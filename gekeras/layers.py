"""A restoration as a Keras layer: for functional models, `tf.data` and any `tf.function`.

What it runs is the graph that TensorFlow Serving is given (`serving.solver`): the whole solve, for any number of pictures,
with no step in Python. Keras 2.15, and Keras 3 on TensorFlow.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .config import SolveOptions
from .files import PathLike
from .generative_encoder import GenerativeEncoder
from .networks import ModelOptions
from .networks.presets import DEFAULT, Preset
from .operators import TASKS
from .serving.solver import ServedSolver

FIELDS = [field.name for field in dataclasses.fields(SolveOptions)]


@keras.saving.register_keras_serializable(package="gekeras")
class Restore(keras.layers.Layer):
    """Observation `[n, h, w, c]` in [-1, 1] -> restored picture `[n, H, W, c]` in [-1, 1], as `GenerativeEncoder.solve`.

    The input of `inpaint`, and of any task with missing pixels, is `[observation, known]`; `known` is `[n, h, w, 1]`, 1
    where a pixel is known. All pictures of a batch are solved at once, each as it would be alone: memory bounds the batch.

    The networks are frozen: the layer has no weights, it computes in float32 whatever the policy is, and no gradient passes
    through it. Asking for the gradient of its observation raises LookupError; what comes after the layer trains as usual.

    Args:
        task, preset, models, parameters, forward: as `GenerativeEncoder.from_preset`, whose networks it has.
        model: a `GenerativeEncoder` in the place of these; such a layer cannot be saved, since it has no name.
        fidelity, changes: as `GenerativeEncoder.options`.
        options: all of them, a `SolveOptions` or a dict of its fields, in the place of `fidelity` and `changes`.
        name: of the layer.

    Attributes:
        model: the `GenerativeEncoder`.
        options: the `SolveOptions`.
        observation_shape, image_shape: `(h, w, c)` and `(H, W, c)`.

    Raises:
        ValueError: neither or both of task and model, an unknown option, and as `from_preset`, `options` and `check`. When
            it is called: an input of another shape, integers, or a mask that is missing, or not wanted.
        tf.errors.InvalidArgumentError: when it runs: values out of [-1, 1], or a mask that has others than 0 and 1.

    Example:
        `Restore("superres", "faces-64")` is of a preset. Of functions, with pictures of 2x2 and their means as codes:

        >>> networks = GenerativeEncoder(
        ...     generator=lambda z: z[:, :, None, None] * np.ones((1, 1, 2, 1), np.float32),
        ...     encoder=lambda x: tf.reduce_mean(x, axis=[2, 3]),
        ...     latent_size=2,
        ... )
        >>> restore = Restore(model=networks, steps=20, starts=1, probes=0, weight=0.0)
        >>> observation = keras.Input(restore.observation_shape)
        >>> model = keras.Model(observation, restore(observation))
        >>> y = tf.reshape([0.2, 0.4, -0.5, -0.7], (1, 2, 2, 1))
        >>> model.predict(y, verbose=0)[0, :, :, 0].round(3)
        array([[ 0.3,  0.3],
               [-0.6, -0.6]], dtype=float32)
    """

    def __init__(
        self,
        task: str | None = None,
        preset: PathLike | Preset | None = None,
        *,
        model: GenerativeEncoder | None = None,
        models: PathLike | None = None,
        parameters: Mapping[str, Any] | None = None,
        forward: str | None = None,
        fidelity: str = "fast",
        options: SolveOptions | Mapping[str, Any] | None = None,
        name: str | None = None,
        **changes: Any,
    ):
        _check_backend()
        named = (task, preset, models, parameters, forward)
        if (task is None) == (model is None) or (model is not None and any(part is not None for part in named)):
            raise ValueError("Restore is of a task of a preset, or of a model: give task, or model alone")
        source: _Source | None = None
        if model is None:
            source = _source_of(*named)
            model = _model_of(source)
        super().__init__(name=name, dtype="float32", trainable=False)
        self.supports_jit = False  # of Keras 3: each size of a batch would be compiled anew
        self.model = _shaped(model)
        self.options = _options_of(self.model, fidelity, options, changes)
        solve = ServedSolver(self.model, self.options, [self.options.steps])
        self.observation_shape, self.image_shape = solve.shape, self.model.image_shape
        self._source, self._graph = source, _graph_of(solve)
        parts = (self.model.generator, self.model.encoder, self.model.decoder, self.model.starter)
        self._loaded = [part for part in parts if hasattr(part, "signatures")]  # an export of the layer takes them along

    def build(self, input_shape):
        self._check_shapes(input_shape)
        self.built = True

    def call(self, inputs):
        parts = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        parts = [tf.convert_to_tensor(part) for part in parts]
        self._check_shapes([part.shape for part in parts])
        if not parts[0].dtype.is_floating:
            raise ValueError(f"observations are floats in [-1, 1]; received {parts[0].dtype.name}: x / 127.5 - 1 of 8 bits")
        image = _untaped(self._graph, [tf.cast(part, tf.float32) for part in parts])
        return _without_gradient(tf.ensure_shape(image, (None, *self.image_shape)), parts[0])

    def compute_output_shape(self, input_shape):
        first, *_ = self._check_shapes(input_shape)
        return (first[0], *self.image_shape)

    def _check_shapes(self, shapes) -> list[tuple]:
        """Those of the inputs, each as a tuple. Raises ValueError unless they are what the task needs."""
        several = (
            isinstance(shapes, (list, tuple)) and len(shapes) > 0 and isinstance(shapes[0], (list, tuple, tf.TensorShape))
        )
        found = [tf.TensorShape(shape) for shape in (shapes if several else [shapes])]
        task, wanted = self.model.task, [self.observation_shape]
        if task.masked:
            wanted.append((*self.image_shape[:2], 1))
        if len(found) != len(wanted):
            inputs = "[observation, known]: known is 1 where a pixel is known" if task.masked else "the observation alone"
            raise ValueError(f"the input of task {task.name} is {inputs}; received {len(found)} tensors")
        for what, shape, sides in zip(("observations", "masks"), found, wanted):
            if not shape.is_compatible_with([None, *sides]):
                raise ValueError(f"{what} of {task.name} are {_text([None, *sides])} here; received {_text(shape)}")
        return [(shape[0] if shape.rank else None, *sides) for shape, sides in zip(found, wanted)]

    def get_config(self):
        """What makes this layer again, and the checksums of the preset's parts. Raises ValueError for one of a `model`."""
        if self._source is None:
            raise ValueError(f"{self.name} was made of a GenerativeEncoder, which has no name: give task and preset instead")
        return {**self._source.config(), "options": dataclasses.asdict(self.options), "name": self.name}

    @classmethod
    def from_config(cls, config):
        """The layer of `get_config`. Raises ValueError where the preset of that name has other parts by now."""
        layer = cls(**{key: value for key, value in config.items() if key != "checksums"})
        source = layer._source
        if source is not None and (other := source.changed(config.get("checksums", {}))):
            raise ValueError(
                f"{layer.name} was saved with other networks: {', '.join(other)} of the preset {source.preset.folder} "
                f"{'has' if len(other) == 1 else 'have'} another checksum; name the folder of the same preset by models"
            )
        return layer


@dataclass(frozen=True)
class _Source:
    """The preset that a layer is of, as it was named and as it was found."""

    task: str
    name: str
    models: str | None
    parameters: Mapping[str, Any]
    forward: str | None
    preset: Preset

    def config(self) -> dict[str, Any]:
        named = {"task": self.task, "preset": self.name, "models": self.models}
        return {**named, "parameters": dict(self.parameters), "forward": self.forward, "checksums": self._checksums()}

    def _checksums(self) -> dict[str, str]:
        """Of the parts that the layer has; the record of a preset holds those of others, too."""
        every = self.preset.checksums_of(self.task)
        return {name: digest for name, digest in every.items() if not name.startswith("aegan")}

    def changed(self, checksums: Mapping[str, str]) -> list[str]:
        """The parts whose checksums are not these."""
        now = self._checksums()
        return sorted(name for name in {*checksums, *now} if checksums.get(name) != now.get(name)) if checksums else []


def _check_backend() -> None:
    """Raise ValueError on a Keras whose tensors are not TensorFlow's."""
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"Restore runs on TensorFlow; Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )


def _source_of(task, preset, models, parameters, forward) -> _Source:
    found = ModelOptions(task, preset or DEFAULT, models, parameters or {}, forward).named_preset()
    name = preset.folder if isinstance(preset, Preset) else preset or DEFAULT
    return _Source(task, str(name), None if models is None else str(models), parameters or {}, forward, found)


def _model_of(source: _Source) -> GenerativeEncoder:
    options = ModelOptions(source.task, source.preset, None, source.parameters, source.forward)
    return GenerativeEncoder.from_options(options)


def _shaped(model: GenerativeEncoder) -> GenerativeEncoder:
    """The model with the shape of its pictures, which functions do not tell before they are called."""
    if model.shape is not None:
        return model
    model = copy.copy(model)
    _, height, width, channels = model.generate(np.zeros((1, model.latent_size), np.float32)).shape
    model.shape = (height, width, channels)
    return model


def _options_of(model: GenerativeEncoder, fidelity: str, options, changes: Mapping[str, Any]) -> SolveOptions:
    if unknown := sorted(set(changes) - set(FIELDS)):
        raise ValueError(f"a solve has no option {', '.join(unknown)}; it has {', '.join(FIELDS)}")
    if options is None:
        return model.options(fidelity, **changes)
    if changes or fidelity != "fast":
        raise ValueError(f"options are all of them: leave {', '.join(changes) or 'fidelity'} out, or options")
    return options if isinstance(options, SolveOptions) else SolveOptions(**options)


def _graph_of(solve: ServedSolver):
    """observation, (known) -> image, for any number of pictures; traced once, whatever graphs it becomes a part of."""
    task, options = solve.task, solve.options
    shapes = [solve.shape, *([(*solve.model.image_shape[:2], 1)] if task.masked else [])]

    def restored(observation, known=None):
        count = tf.shape(observation)[:1]
        seed, steps = tf.fill(count, options.seed), tf.fill(count, options.steps)
        given = (observation, known, seed, steps)
        ours = task.name in TASKS or task.masked  # a measurement of somebody's own may have any values
        return solve(*(solve.checked(*given) if ours else given)).image

    inputs = [tf.TensorSpec([None, *shape]) for shape in shapes]
    return tf.function(restored, autograph=False).get_concrete_function(*inputs)


def _untaped(graph, inputs: list[tf.Tensor]) -> tf.Tensor:
    """A call of a concrete function with one result. A tape that watches the networks' variables would have the gradient of
    an ordinary call built, solve and all, whether anybody asks for it or not."""
    inside = [*inputs, *graph.captured_inputs]
    return tf.raw_ops.StatefulPartitionedCall(args=inside, Tout=[tf.float32], f=graph)[0]


def _without_gradient(image: tf.Tensor, observation: tf.Tensor) -> tf.Tensor:
    """The image; a gradient that is asked for beyond it is refused, where it would else be missing without a word."""
    why = (
        "Restore passes no gradient to its observation: put tf.stop_gradient around its input, and train what comes after it"
    )
    nothing = tf.reduce_sum(tf.raw_ops.PreventGradient(input=observation, message=why)[:0])  # 0, but of the observation
    return tf.stop_gradient(image) + tf.cast(nothing, image.dtype)


def _text(shape) -> str:
    return str(["n" if side is None else side for side in tf.TensorShape(shape).as_list()]).replace("'", "")
