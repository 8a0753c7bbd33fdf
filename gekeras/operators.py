"""Degradations P and forward maps S as objects on batches `[n, h, w, c]`, and the tasks that are made of them.

An operator is called with images (and a seed, if it is random), knows its adjoint if it is linear, and is described by
`get_config`. All are TensorFlow graphs: usable in a `tf.function`, in a `tf.data` map and under a `GradientTape`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf


class Operator:
    """Interface: images in, measurement out. Linear operators have an `adjoint` A^T with <A x, y> = <x, A^T y>."""

    linear = False

    def __call__(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """`images` `[n, h, w, c]` in [-1, 1]; `seed` int32 `[2]` is used by random operators only."""
        raise NotImplementedError

    def adjoint(self, measurement: tf.Tensor) -> tf.Tensor:
        raise TypeError(f"{type(self).__name__} is not linear and has no adjoint")

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Operator:
        return cls(**config)


class Identity(Operator):
    """A x = x."""

    linear = True

    def __call__(self, images, seed=None):
        return images

    def adjoint(self, measurement):
        return measurement


class Downsample(Operator):
    """Mean of factor x factor blocks: the paper's super-resolution measurement for factor 4.

    Args:
        factor: a whole number above 0 that divides height and width.
    """

    linear = True

    def __init__(self, factor: int = 4):
        self.factor = _whole("factor", factor)

    def __call__(self, images, seed=None):
        if self.factor == 1:
            return images
        n, (h, w, c), f = tf.shape(images)[0], images.shape[1:], self.factor
        if h % f or w % f:
            raise ValueError(f"height and width must be multiples of {f}; received {h} x {w}")
        return tf.reduce_mean(tf.reshape(images, (n, h // f, f, w // f, f, c)), axis=(2, 4))

    def adjoint(self, measurement):
        """Each number goes to all pixels of its block, divided by factor^2."""
        return repeat(measurement, self.factor) / self.factor**2

    def get_config(self):
        return {"factor": self.factor}


class Upsample(Operator):
    """Nearest-neighbor enlargement by a whole factor: the paper's preconditioner (section 2.4)."""

    linear = True

    def __init__(self, factor: int = 4):
        self.factor = _whole("factor", factor)

    def __call__(self, images, seed=None):
        return repeat(images, self.factor)

    def adjoint(self, measurement):
        """The sum of each block."""
        return Downsample(self.factor)(measurement) * self.factor**2

    def get_config(self):
        return {"factor": self.factor}


class Compose(Operator):
    """Compose(A, B)(x) = B(A(x)): operators in the order in which they are applied."""

    def __init__(self, *operators: Operator):
        self.operators = operators
        self.linear = all(operator.linear for operator in operators)

    def __call__(self, images, seed=None):
        for index, operator in enumerate(self.operators):
            # Each random operator of the chain draws its own noise.
            images = operator(images, None if seed is None else seed + tf.constant([0, index], seed.dtype))
        return images

    def adjoint(self, measurement):
        for operator in reversed(self.operators):
            measurement = operator.adjoint(measurement)
        return measurement

    def get_config(self):
        return {"operators": [serialize(operator) for operator in self.operators]}

    @classmethod
    def from_config(cls, config):
        return cls(*[deserialize(item) for item in config["operators"]])


OPERATORS = {cls.__name__: cls for cls in (Identity, Downsample, Upsample, Compose)}


def serialize(operator: Operator) -> dict[str, Any]:
    return {"class_name": type(operator).__name__, "config": operator.get_config()}


def deserialize(item: dict[str, Any]) -> Operator:
    """Inverse of `serialize`. Raises ValueError for a class that is not in `OPERATORS`."""
    if item["class_name"] not in OPERATORS:
        raise ValueError(f"unknown operator {item['class_name']!r}; known: {', '.join(OPERATORS)}")
    return OPERATORS[item["class_name"]].from_config(item["config"])


@dataclass(frozen=True)
class Task:
    """What happens to a picture in a task, and what the solver is told about it (section 3.2.2).

    Attributes:
        degrade: P, clean picture -> measurement.
        lift: measurement -> x_dagger of the encoder's size.
        forward: S, applied to G(z) in the objective.
        factor: side of the picture over the side of the measurement.
        parameters: what `make_task` needs beside the name to make this task again.
    """

    name: str
    degrade: Operator
    lift: Operator
    forward: Operator
    factor: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)

    def observe(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """x_dagger = lift(P(x)), what the encoder sees."""
        return self.lift(self.degrade(images, seed))


def superres(factor: int = 4) -> Task:
    """The box average to 1/factor, enlarged again; S does the same to G(z), so both sides of E are alike."""
    down, up = Downsample(factor), Upsample(factor)
    return Task("superres", down, up, Compose(down, up), factor, {"factor": factor})


def reconstruct() -> Task:
    """Nothing is lost but what E drops."""
    return Task("reconstruct", Identity(), Identity(), Identity())


TASKS = {"reconstruct": reconstruct, "superres": superres}


def make_task(name: str, **parameters: Any) -> Task:
    """The task of a name with a preset's parameters. Raises ValueError for an unknown name, listing the known ones."""
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; tasks are {', '.join(TASKS)}")
    return TASKS[name](**parameters)


def repeat(images: tf.Tensor, factor: int) -> tf.Tensor:
    """Each pixel factor x factor times."""
    return tf.repeat(tf.repeat(images, factor, axis=1), factor, axis=2)


def bicubic(images: tf.Tensor, factor: int) -> tf.Tensor:
    """`[n, h, w, c]` enlarged by Keys' cubic (a = -1/2), the interpolation a user would do without a model."""
    size = [side * factor for side in images.shape[1:3]]
    return tf.image.resize(images, size, method="bicubic")


def _whole(name: str, value: int) -> int:
    if isinstance(value, bool) or int(value) != value or value < 1:
        raise ValueError(f"{name} must be a whole number above 0; received {value!r}")
    return int(value)
