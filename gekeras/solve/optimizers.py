"""The optimizers of the loop, the step-size ramps, and Adam (Kingma and Ba 2015, Algorithm 1) with its state in the open.

`keras.optimizers` keep their state in variables, which a `tf.while_loop` body cannot create and an exported function
should not hold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from .lbfgs import lbfgs_init, lbfgs_update


class Optimizer(NamedTuple):
    """`init(latent) -> state`; `update(latent, loss, gradient, state, step, rate, metric) -> (next latent, next state)`.

    All of n problems at once and each by itself: latent and gradient `[n, d]`, loss `[n]`, step and rate []; the metric is
    `lbfgs_update`'s.
    """

    init: Callable[[tf.Tensor], Any]
    update: Callable[..., tuple[tf.Tensor, Any]]


class AdamState(NamedTuple):
    """First and second moment, both like the latent `[n, d]`."""

    mean: tf.Tensor
    square: tf.Tensor


def adam_init(latent: tf.Tensor) -> AdamState:
    return AdamState(tf.zeros_like(latent), tf.zeros_like(latent))


def adam_update(
    gradient: tf.Tensor, state: AdamState, step: tf.Tensor, rate: tf.Tensor, beta_1=0.9, beta_2=0.999, epsilon=1e-8
) -> tuple[tf.Tensor, AdamState]:
    """The change of the latent and the next state; `step` counts from 0."""
    mean = beta_1 * state.mean + (1 - beta_1) * gradient
    square = beta_2 * state.square + (1 - beta_2) * tf.square(gradient)
    t = tf.cast(step + 1, gradient.dtype)
    unbiased_mean = mean / (1 - tf.pow(beta_1, t))
    unbiased_square = square / (1 - tf.pow(beta_2, t))
    return -rate * unbiased_mean / (tf.sqrt(unbiased_square) + epsilon), AdamState(mean, square)


def ramp_none(step: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    return tf.ones((), tf.float32)


def ramp_cosine(step: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """(1 + cos(pi step / steps)) / 2: from 1 at the first step towards 0 at the last."""
    return 0.5 * (1 + tf.cos(math.pi * tf.cast(step, tf.float32) / tf.cast(steps, tf.float32)))


def adam() -> Optimizer:
    def update(latent, loss, gradient, state, step, rate, metric=None):
        change, state = adam_update(gradient, state, step, rate)
        return latent + change, state

    return Optimizer(adam_init, update)


def lbfgs() -> Optimizer:
    """Its first step is as long as Adam's is: rate sqrt(d)."""

    def update(latent, loss, gradient, state, step, rate, metric=None):
        first_move = rate * tf.sqrt(tf.cast(latent.shape[1], latent.dtype))
        return lbfgs_update(latent, loss, gradient, state, first_move, metric)

    return Optimizer(lbfgs_init, update)


OPTIMIZERS = {"adam": adam(), "lbfgs": lbfgs()}
RAMPS = {"none": ramp_none, "cosine": ramp_cosine}
