"""Adam as every network here is trained by it: made, stepped and made to forget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import keras
import tensorflow as tf

EPSILON = 1e-8  # of the progressive GAN's Adam, which the other GANs here took over; Keras' own is 1e-7


def adam(
    variables: Sequence[tf.Variable], rate: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-7
) -> keras.optimizers.Adam:
    """Adam with its moments made, so that a checkpoint can be read into them; the defaults are Keras'."""
    optimizer = keras.optimizers.Adam(rate, beta_1, beta_2, epsilon=epsilon)
    optimizer.build(variables)
    return optimizer


def apply(optimizer, gradients: Iterable[tf.Tensor | None], variables: Iterable[tf.Variable]) -> None:
    """One step. A variable that the loss does not reach (None) has gradient zero: its moments fade, and Keras is silent."""
    pairs = zip(gradients, variables)
    optimizer.apply_gradients([(tf.zeros_like(v) if g is None else g, v) for g, v in pairs])


def state(optimizer) -> list:
    """The count of steps and each variable's two moments, in Keras' order; not the learning rate, which Keras 3 adds."""
    return [variable for variable in optimizer.variables if "learning_rate" not in variable.name]


def forget(optimizer) -> None:
    """Zero the moments and the count of steps; the learning rate stays."""
    for variable in state(optimizer):
        variable.assign(tf.zeros_like(variable))
