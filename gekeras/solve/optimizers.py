"""The optimizers and step-size ramps by their names: Adam, the paper's, is in `descent`, L-BFGS in `lbfgs`."""

from __future__ import annotations

import math

import tensorflow as tf

from .descent import Optimizer, adam
from .lbfgs import lbfgs_init, lbfgs_update


def ramp_none(step: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    return tf.ones((), tf.float32)


def ramp_cosine(step: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """(1 + cos(pi step / steps)) / 2: from 1 at the first step towards 0 at the last."""
    return 0.5 * (1 + tf.cos(math.pi * tf.cast(step, tf.float32) / tf.cast(steps, tf.float32)))


def lbfgs() -> Optimizer:
    """Its first step is as long as Adam's is: rate sqrt(d)."""

    def update(point, loss, gradient, state, step, rate, metric=None):
        first_move = rate * tf.sqrt(tf.cast(point.shape[1], point.dtype))
        return lbfgs_update(point, loss, gradient, state, first_move, metric)

    return Optimizer(lbfgs_init, update)


OPTIMIZERS = {"adam": adam(), "lbfgs": lbfgs()}
RAMPS = {"none": ramp_none, "cosine": ramp_cosine}
