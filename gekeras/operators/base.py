"""What an operator is, how operators are chained and described, and the pseudo-inverse of a linear one."""

from __future__ import annotations

import importlib
import math
import sys
from numbers import Real
from pathlib import Path
from typing import Any

import tensorflow as tf

from ..messages import reason_of


class Operator:
    """Interface: images in, measurement out. Linear operators have an `adjoint` A^T with <A x, y> = <x, A^T y>.

    Operators are described by `get_config`, and are TensorFlow graphs: usable in a `tf.function`, in a `tf.data` map and
    under a `GradientTape`. To write one, derive from this class; a plain function of images is taken too (`Function`).

    Example:
        >>> class Negative(Operator):
        ...     linear = True
        ...
        ...     def __call__(self, images, seed=None):
        ...         return -images
        ...
        ...     adjoint = __call__
        >>> from gekeras.operators import check_adjoint
        >>> check_adjoint(Negative(), (4, 4, 3)) < 1e-6
        True
    """

    linear = False
    ridge = 0.0  # damping of its pseudo-inverse, see `correction`

    def __call__(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """`images` `[n, h, w, c]` in [-1, 1]; `seed` int32 `[2]` is used by random operators only."""
        raise NotImplementedError

    def adjoint(self, measurement: tf.Tensor) -> tf.Tensor:
        """A^T y. Raises TypeError for an operator that is not linear."""
        raise TypeError(f"{type(self).__name__} is not linear and has no adjoint")

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Operator:
        return cls(**config)


REGISTRY: dict[str, type[Operator]] = {}


def register(cls: type[Operator]) -> type[Operator]:
    """Class decorator: make an operator known to `deserialize` by its class's name."""
    REGISTRY[cls.__name__] = cls
    return cls


@register
class Identity(Operator):
    """A x = x.

    Example:
        >>> Identity()(tf.ones((1, 2, 2, 1))).shape
        TensorShape([1, 2, 2, 1])
    """

    linear = True

    def __call__(self, images, seed=None):
        return images

    def adjoint(self, measurement):
        return measurement


@register
class Compose(Operator):
    """Compose(A, B)(x) = B(A(x)): operators in the order in which they are applied.

    Example:
        >>> from gekeras.operators import Downsample, Noise
        >>> camera = Compose(Downsample(2), Noise(0.05))
        >>> camera(tf.zeros((1, 8, 8, 3)), (0, 1)).shape
        TensorShape([1, 4, 4, 3])
    """

    def __init__(self, *operators: Operator):
        self.operators = operators
        self.linear = all(operator.linear for operator in operators)
        self.ridge = max((operator.ridge for operator in operators), default=0.0)

    def __call__(self, images, seed=None):
        for index, operator in enumerate(self.operators):
            images = operator(images, None if seed is None else fold(seed, index))
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


@register
class Adjoint(Operator):
    """A^T as an operator, the rough picture that a measurement of another shape is shown to the encoder as.

    Example:
        >>> from gekeras.operators import Downsample
        >>> Adjoint(Downsample(2))(tf.ones((1, 4, 4, 3))).shape
        TensorShape([1, 8, 8, 3])
    """

    def __init__(self, operator: Operator):
        self.operator, self.linear, self.ridge = operator, operator.linear, operator.ridge

    def __call__(self, images, seed=None):
        return self.operator.adjoint(images)

    def adjoint(self, measurement):
        return self.operator(measurement)

    def get_config(self):
        return {"operator": serialize(self.operator)}

    @classmethod
    def from_config(cls, config):
        return cls(deserialize(config["operator"]))


class Function(Operator):
    """A plain function of images, `[n, h, w, c]` in, `[n, h', w', c]` out, as an operator that is taken not to be linear.

    Example:
        >>> fog = Function(lambda images: 0.4 * images + 0.6)
        >>> float(fog(tf.ones((1, 2, 2, 1)))[0, 0, 0, 0])
        1.0
    """

    def __init__(self, function):
        self.function = function

    def __call__(self, images, seed=None):
        return self.function(images)

    def get_config(self):
        """Raises TypeError: a function has no description; write a class with `get_config` to store it."""
        raise TypeError(f"{self.function!r} is a function and cannot be stored; derive a class from Operator")


def serialize(operator: Operator) -> dict[str, Any]:
    """`{"class_name": .., "config": ..}`, ready for JSON."""
    return {"class_name": type(operator).__name__, "config": operator.get_config()}


def deserialize(item: dict[str, Any]) -> Operator:
    """Inverse of `serialize`. Raises ValueError for a class that is not registered."""
    if item["class_name"] not in REGISTRY:
        raise ValueError(f"unknown operator {item['class_name']!r}; known: {', '.join(REGISTRY)}")
    return REGISTRY[item["class_name"]].from_config(item["config"])


def load(name: str) -> Operator:
    """The operator that `module:object` names: an Operator, a class of one, or a function of images.

    Modules of the current folder are found too, as with `python -m`. A bare name is one of this package's operators.

    Raises:
        ValueError: no such module or object, or one that is no operator.
    """
    module, _, attribute = name.partition(":")
    if not attribute:
        return instantiate(REGISTRY.get(name), name)
    if not sys.path or sys.path[0] not in ("", str(Path.cwd())):
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"operator {name!r} cannot be loaded: {reason_of(error)}") from error
    return instantiate(found, name)


def instantiate(found: Any, name: str) -> Operator:
    """An operator as it is, a class called without arguments, a function wrapped. Raises ValueError for anything else."""
    if isinstance(found, Operator):
        return found
    if isinstance(found, type) and issubclass(found, Operator):
        try:
            return found()
        except TypeError as error:
            raise ValueError(
                f"operator {name!r} needs arguments: {reason_of(error)}; name an object of it instead"
            ) from error
    if callable(found):
        return Function(found)
    raise ValueError(f"{name!r} is no operator; give module:object, or one of {', '.join(REGISTRY)}")


def fold(seed: tf.Tensor, index: int) -> tf.Tensor:
    """Another seed for each `index`: the links of a chain draw noise of their own."""
    return tf.cast(seed, tf.int32) + tf.constant([0, index])


def seed_of(seed) -> tf.Tensor:
    """`seed`, two whole numbers, as a tensor; a fresh draw where none is given."""
    if seed is None:
        return tf.random.uniform([2], maxval=2**31 - 1, dtype=tf.int32)
    return tf.cast(seed, tf.int32)


def dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """<a, b> of each item: `[n, ...]`, `[n, ...]` -> `[n]`."""
    return tf.reduce_sum(a * b, axis=tf.range(1, tf.rank(a)))


def ratio(a: tf.Tensor, b: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """a / b `[n]` in the rank of `like`, ready to scale its items; 0 / 0 is 0."""
    return tf.reshape(tf.math.divide_no_nan(a, b), [-1] + [1] * (len(like.shape) - 1))


def correction(operator: Operator, residual: tf.Tensor, iterations: int = 50) -> tf.Tensor:
    """A^+ r for a linear A: argmin_x ||A x - r||^2 + ridge ||x||^2 by conjugate gradients from x = 0 (CGLS, Bjorck 1996).

    For a mask or a box average A A^T is a multiple of the identity on what it keeps, and one iteration is exact. A blur has
    all but lost the fine detail: there `operator.ridge` keeps rounding from blowing up. With the variance of the noise over
    that of what the picture corrected lacks it is Wiener's filter, around that picture.

    Args:
        operator: A, linear.
        residual: r = y - A x, `[n, ...]`; what of it no picture can explain is left.
        iterations: of conjugate gradients.

    Returns:
        An array like x: adding it to x makes A x equal y, as far as A and its ridge let it.
    """
    gradient = operator.adjoint(residual)
    ridge, shapes = operator.ridge, (gradient.shape, gradient.shape, residual.shape, [None])

    def iterate(k, solution, direction, residual, power):
        image = operator(direction)
        step = ratio(power, dot(image, image) + ridge * dot(direction, direction), like=gradient)
        solution += step * direction
        residual -= tf.reshape(step, [-1] + [1] * (len(residual.shape) - 1)) * image
        descent = operator.adjoint(residual) - ridge * solution
        before, power = power, dot(descent, descent)
        direction = descent + ratio(power, before, like=gradient) * direction
        return k + 1, *map(tf.ensure_shape, (solution, direction, residual, power), shapes)

    start = (0, tf.zeros_like(gradient), gradient, residual, dot(gradient, gradient))
    return tf.while_loop(lambda k, *_: k < iterations, iterate, start)[1]


def positive(name: str, value: float) -> float:
    """A number above 0. Raises ValueError naming it otherwise."""
    if not (isinstance(value, Real) and 0 < value < math.inf):
        raise ValueError(f"{name} must be above 0; received {value!r}")
    return float(value)


def whole(name: str, value: int) -> int:
    """A whole number above 0. Raises ValueError naming it otherwise."""
    if isinstance(value, bool) or not (isinstance(value, Real) and 1 <= value < math.inf and int(value) == value):
        raise ValueError(f"{name} must be a whole number above 0; received {value!r}")
    return int(value)
