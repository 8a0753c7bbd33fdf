"""Priors on the latent vector: a penalty inside the objective and a projection after each step.

The progressive GAN normalizes its latent, G(c z) = G(z): there ||z||^2 leaves the reachable pictures as they are and only
makes the step's angle grow as ||z|| falls. `sphere` keeps that angle constant, `norm` asks for the typical norm softly. A
BEGAN takes its latent as it is, drawn evenly from [-1, 1]^d: `box` keeps z where the generator was trained.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, NamedTuple

import tensorflow as tf


class Prior(NamedTuple):
    """`penalty`: `[n, d]` -> `[n]`; `project`: `[n, d]` -> `[n, d]`."""

    penalty: Callable[[tf.Tensor], tf.Tensor]
    project: Callable[[tf.Tensor], tf.Tensor]


def typical_norm(latent: tf.Tensor, variance: float = 1.0) -> tf.Tensor:
    """sqrt(d variance), about the norm of a draw with that variance in each of d dimensions: sqrt(d) for N(0, I)."""
    return tf.sqrt(variance * tf.cast(tf.shape(latent)[-1], latent.dtype))


def squared_norm(latent: tf.Tensor) -> tf.Tensor:
    """||z||^2, the paper's."""
    return tf.reduce_sum(tf.square(latent), axis=-1)


def norm_deviation(latent: tf.Tensor, variance: float = 1.0) -> tf.Tensor:
    """(||z|| - sqrt(d))^2 for N(0, I), see `typical_norm`."""
    return tf.square(tf.norm(latent, axis=-1) - typical_norm(latent, variance))


def to_sphere(latent: tf.Tensor, variance: float = 1.0) -> tf.Tensor:
    """sqrt(d) z / ||z|| for N(0, I), see `typical_norm`."""
    return typical_norm(latent, variance) * tf.math.l2_normalize(latent, axis=-1)


def to_box(latent: tf.Tensor) -> tf.Tensor:
    """z with every number outside [-1, 1] moved to its border."""
    return tf.clip_by_value(latent, -1.0, 1.0)


def _nothing(latent: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(latent[:, 0])


def make_priors(variance: float = 1.0) -> dict[str, Prior]:
    """Name -> prior, for latents of that variance in each dimension."""
    return {
        "l2": Prior(squared_norm, tf.identity),
        "norm": Prior(partial(norm_deviation, variance=variance), tf.identity),
        "sphere": Prior(_nothing, partial(to_sphere, variance=variance)),
        "box": Prior(squared_norm, to_box),
    }


PRIORS = make_priors()
PRIORS_OF = {"normal": PRIORS, "uniform": make_priors(1 / 3)}  # the variance of an even draw from [-1, 1]
