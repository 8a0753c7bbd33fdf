"""Pictures corrected to agree with their measurement: nothing that was measured is lost in a restoration."""

from __future__ import annotations

import math

import numpy as np
import tensorflow as tf

from .base import Compose, Operator, correction
from .masks import Mask
from .tasks import Task

ROUNDS = 20  # of cutting and correcting, see `consistent`
ROUNDING = 2 / 255 / math.sqrt(12)  # root mean square of what rounding to 8 bits changes


def consistent(task: Task, image, y, known=None) -> np.ndarray:
    """x + A^+ (y - A x): the picture nearest to x whose measurement is y.

    Where that leaves [-1, 1], a file would cut it off and lose the measurement: it is cut here and corrected again, until
    cutting loses next to nothing. A damped A^+ is applied once: its rounds would undo the damping.

    Args:
        image: x, `[n, h, w, c]`.
        y: the measurement `[n, ...]`, with zeros where nothing is known.
        known: the mask of a task that has one.

    Raises ValueError as `measure_of`.
    """
    measure = measure_of(task, None if known is None else Mask(known))
    return np.asarray(agreeing(measure, tf.convert_to_tensor(image), tf.convert_to_tensor(y)))


def measure_of(task: Task, mask: Mask | None) -> Operator:
    """A, after the mask of a task that has one. Raises ValueError for a task without a linear measurement."""
    if task.measure is None:
        raise ValueError(f"task {task.name} has no linear measurement that a picture could agree with")
    return task.measure if mask is None else Compose(mask, task.measure)


def agreeing(measure: Operator, image: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`consistent` of tensors, inside a graph, too; `measure` is A, after its mask where the task has one."""
    image += correction(measure, y - measure(image))
    if measure.ridge:
        return image

    def residual_of(image):
        inside = tf.clip_by_value(image, -1, 1)
        residual = y - measure(inside)
        sizes = tf.reduce_max(tf.abs(residual), axis=tf.range(1, tf.rank(residual)))
        return inside, residual, sizes > 1e-3  # an eighth of a level of 8 bits

    def unfinished(k, image, inside, residual, off):
        return (k < ROUNDS) & tf.reduce_any(off)

    def corrected(k, image, inside, residual, off):
        image = tf.where(off[:, None, None, None], inside + correction(measure, residual, 10), image)
        return k + 1, image, *residual_of(image)

    return tf.while_loop(unfinished, corrected, (0, image, *residual_of(image)))[1]


def unexplained(measure: Operator, y) -> np.ndarray:
    """y - A x, `[n, ...]`, of the picture x in [-1, 1] that explains y best: what of y no picture can have made.

    By 30 steps of projected gradients with Nesterov's momentum (FISTA, Beck and Teboulle 2009). Of a measurement that was
    rounded to 8 bits its root mean square is `ROUNDING` or little more.

    Args:
        measure: A, linear, with no gain above 1.
        y: `[n, ...]`.
    """
    y = tf.convert_to_tensor(y, tf.float32)
    image = ahead = tf.clip_by_value(measure.adjoint(y), -1, 1)
    pace = 1.0
    for _ in range(30):
        moved = tf.clip_by_value(ahead + measure.adjoint(y - measure(ahead)), -1, 1)
        before, pace = pace, (1 + math.sqrt(1 + 4 * pace**2)) / 2
        image, ahead = moved, moved + (before - 1) / pace * (moved - image)
    return np.asarray(y - measure(image))
