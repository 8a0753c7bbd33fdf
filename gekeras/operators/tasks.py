"""The paper's tasks: what happens to a picture (P), how the encoder sees it, and what is applied to G(z) (S)."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
import tensorflow as tf

from .base import Adjoint, Compose, Identity, Operator, load, whole
from .linear import Downsample, GaussianBlur, Resize, Upsample
from .masks import BlockMask
from .noise import ClippedMean, Noise


@dataclass(frozen=True)
class Task:
    """What happens to a picture in a task, and what the solver is told about it (section 3.2.2).

    Attributes:
        degrade: P, clean picture -> measurement.
        lift: measurement -> x_dagger of the encoder's size.
        forward: S, applied to G(z) in the objective, after the picture's mask if it has one.
        measure: A, what P gives on average: its linear part, or the mean of a clipped noise; None where it is not known.
        factor: side of the picture over the side of the measurement; a fraction where that is no whole number.
        parameters: what `make_task` needs beside the name to make this task again.

    Example:
        >>> task = make_task("superres", 64, 3)
        >>> task.observe(tf.zeros((1, 64, 64, 3))).shape, task.factor
        (TensorShape([1, 64, 64, 3]), 4)
        >>> from gekeras.operators import Function
        >>> Task("fog", Function(lambda images: 0.4 * images + 0.6), measure=None).exact
        False
    """

    name: str
    degrade: Operator
    lift: Operator = field(default_factory=Identity)
    forward: Operator = field(default_factory=Identity)
    measure: Operator | None = field(default_factory=Identity)
    factor: int | Fraction = 1
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def masked(self) -> bool:
        """Whether pixels are missing, so that a mask comes with every picture."""
        return isinstance(self.degrade, BlockMask)

    @property
    def exact(self) -> bool:
        """Whether a measurement is A x itself, with no noise, and less than x: then a result can be made to agree."""
        same = self.degrade is self.measure and not isinstance(self.measure, Identity)
        return self.measure is not None and (self.masked or same)

    @property
    def measures_degraded(self) -> bool:
        """Whether A has the degradation's parameters, so that a pixel term depends on them."""
        return self.measure is not None and not isinstance(self.measure, Identity)

    @property
    def noise_variance(self) -> float | None:
        """Of one value of a measurement, before it is clipped; None where P is not additive noise."""
        return self.degrade.sigma**2 if isinstance(self.degrade, Noise) else None

    def sample(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor | None]:
        """(P(x), mask `[n, h, w, 1]` of the known pixels, or None where the task has no mask)."""
        if not isinstance(self.degrade, BlockMask):
            return self.degrade(images, seed), None
        known = self.degrade.known([tf.shape(images)[0], *images.shape[1:]], seed)
        return images * known, known

    def observe(self, images: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """x_dagger = lift(P(x)), what the encoder sees."""
        return self.lift(self.degrade(images, seed))

    def checked(self, measurement, shape: tuple[int, int, int] | None):
        """The measurements `[n, ...]` themselves.

        Args:
            shape: (h, w, c) of the pictures; None: not known, and nothing is checked.

        Raises:
            ValueError: x_dagger of them is not of that shape.
        """
        if shape is None:
            return measurement
        try:
            right = tuple(self.lift(measurement[:1]).shape[1:]) == tuple(shape)
        except (ValueError, tf.errors.InvalidArgumentError):
            right = False
        if right:
            return measurement
        due = self.degrade(tf.zeros((1, *shape)), tf.constant([0, 0])).shape[1:]
        wanted, found = ("x".join(map(str, sides)) for sides in (due, measurement.shape[1:]))
        way = "; load the model with parameters={'size': 20} for those of 20x20" if self.sizable else ""
        raise ValueError(f"observations of {self.name} are {wanted} here; received {found}{way}")

    @property
    def sizable(self) -> bool:
        """Whether the measurement may have any size below the picture's: of superres."""
        return self.factor > 1 and "factor" in self.parameters

    def seen(self, resolution: int) -> int | None:
        """The side that E sees a measurement of superres with; None of another task."""
        return resolution // self.parameters["factor"] if self.sizable else None

    def of_size(self, size: int, resolution: int) -> Task:
        """This task, S included, for measurements of that side; itself where it has them.

        Raises ValueError if the task has no size, or as its function.
        """
        if self.factor * size == resolution:
            return self
        if not self.sizable:
            raise ValueError(f"observations of {self.name} have one size; there is none of {size}x{size}")
        task = make_task(self.name, resolution, **{**self.parameters, "size": size})
        usual = isinstance(self.forward, Compose) and self.forward.operators == (self.measure, self.lift)
        return task if usual else replace(task, forward=self.forward)

    def with_forward(self, name: str) -> Task:
        """This task with another S: `identity`, `degrade` (P itself, lifted; not for random ones), or `module:object`.

        Raises ValueError for `degrade` where P is random or unknown, or a name that is no operator.
        """
        if name == "identity":
            return replace(self, forward=Identity())
        if name == "degrade":
            if self.measure is None or self.degrade is not self.measure:
                raise ValueError(f"the degradation of {self.name} is random or not linear: it cannot be the forward map")
            return replace(self, forward=Compose(self.measure, self.lift))
        return replace(self, forward=load(name))


def reconstruct(resolution: int = 128) -> Task:
    """Nothing is lost but what E drops. Its code is the compressed picture."""
    same = Identity()
    return Task("reconstruct", same, measure=same)


def denoise(resolution: int = 128, sigma: float = 0.5) -> Task:
    """Gaussian noise of standard deviation `sigma` on [-1, 1], clipped; S is the identity (section 3.2.2).

    A is what such noise leaves of a picture on average.
    """
    return Task("denoise", Noise(sigma), measure=ClippedMean(sigma), parameters={"sigma": sigma})


def inpaint(resolution: int = 128, size: float = 0.5) -> Task:
    """A block of `size` times the side is missing at a random place; S is the picture's own mask."""
    return Task("inpaint", BlockMask(size), parameters={"size": size})


def deblur(resolution: int = 128, sigma: float | None = None, size: int | None = None) -> Task:
    """A Gaussian blur; S is the identity (section 3.2.2).

    Args:
        sigma: pixels; by default a 32nd of the side (4 of 128), the paper printing none.
        size: of the kernel, see `GaussianBlur`.
    """
    blur = GaussianBlur(resolution / 32 if sigma is None else sigma, size)
    return Task("deblur", blur, measure=blur, parameters=blur.get_config())


def superres(resolution: int = 128, factor: int = 4, kernel: str = "box", size: int | None = None) -> Task:
    """A small picture, enlarged again; S does the same to G(z), so both sides of E are alike.

    Args:
        factor: E sees pictures of side / factor, each pixel repeated: what it was trained with.
        kernel: how the picture became small, see `Downsample`.
        size: side of the small picture, by default side / factor; one of another size is resized to that for E.
    """
    known, up = Downsample(factor, kernel), Upsample(factor)
    if resolution % known.factor:
        raise ValueError(f"factor must divide the pictures' side, {resolution}; received {factor!r}")
    low = resolution // known.factor
    if size is None or whole("size", size) == low:
        return Task("superres", known, up, Compose(known, up), known, known.factor, known.get_config())
    if size >= resolution:
        raise ValueError(f"size must be below the pictures' side, {resolution}; received {size!r}")
    size, ratio = int(size), Fraction(resolution, int(size))
    fits = ratio.denominator == 1
    down = Downsample(int(ratio), kernel) if fits else Resize(resolution, size, kernel)
    lift = Compose(Resize(size, low, "box" if size > low else "bicubic"), up)
    parameters = {**known.get_config(), "size": size}
    return Task("superres", down, lift, Compose(down, lift), down, int(ratio) if fits else ratio, parameters)


TASKS = {"reconstruct": reconstruct, "denoise": denoise, "inpaint": inpaint, "deblur": deblur, "superres": superres}


def custom(name: str, operator: Operator, parameters: dict[str, Any], resolution: int, channels: int) -> Task:
    """A task of a user's own operator. Where it keeps the picture's shape, E sees its output and S is the identity; where it
    does not, E sees A^T y and S is A^T A, for which the operator has to be linear.

    Raises:
        ValueError: another shape, and not linear.
    """
    shape = (1, resolution, resolution, channels)
    shape_of_result = tuple(operator(tf.zeros(shape), tf.constant([0, 0])).shape)
    linear = operator if operator.linear else Identity() if isinstance(operator, BlockMask) else None
    if shape_of_result == shape:
        return Task(name, operator, measure=linear, parameters=parameters)
    if linear is None:
        raise ValueError(
            f"operator of {name} turns {list(shape)} into {list(shape_of_result)}; only a linear one may change the shape"
        )
    back = Adjoint(operator)
    return Task(name, operator, back, Compose(operator, back), operator, parameters=parameters)


def make_task(name: str, resolution: int = 128, channels: int = 3, **parameters: Any) -> Task:
    """The task of a name.

    Args:
        name: one of `TASKS`, or any name with `operator`.
        resolution, channels: of the pictures; a task's defaults may depend on them.
        parameters: those of the task's function in this module; or `operator="module:object"` for a task of one's own.

    Raises:
        ValueError: unknown task or parameter, listing the known ones.
    """
    if "operator" in parameters:
        if unknown := sorted(set(parameters) - {"operator"}):
            raise ValueError(f"an operator of one's own takes no {', '.join(unknown)}; name an object that holds them")
        return custom(name, load(str(parameters["operator"])), parameters, resolution, channels)
    if name not in TASKS:
        raise ValueError(f"unknown task {name!r}; tasks are {', '.join(TASKS)}")
    known = list(inspect.signature(TASKS[name]).parameters)[1:]
    if unknown := sorted(set(parameters) - set(known)):
        raise ValueError(f"task {name} has no {', '.join(unknown)}; it has {', '.join(known) or 'no parameters'}")
    return TASKS[name](resolution, **parameters)


def describe_task(name: str, shape: tuple[int, int, int], parameters: dict[str, Any], forward: str | None = None) -> Task:
    """The task for pictures of that shape. Raises ValueError as `make_task`, and for another S that changes the shape."""
    task = make_task(name, *shape[1:], **parameters)
    if not forward:
        return task
    task, batch = task.with_forward(forward), (1, *shape)
    if (result := np.shape(task.forward(np.zeros(batch, np.float32)))) != batch:
        raise ValueError(f"forward map {forward} turns {list(batch)} into {list(result)}; E takes the former only")
    return task


def batch_of(measurements) -> np.ndarray:
    """Measurements as float32. Raises ValueError for what is no batch `[n, h, w, c]`, nor `[n, k]` as y = A x may be."""
    measurements = np.asarray(measurements, np.float32)
    if measurements.ndim not in (2, 4):
        raise ValueError(f"expected a batch [n, h, w, c]; received shape {list(measurements.shape)}")
    return measurements
