"""Priors on the latent vector: a penalty inside the objective and a projection after each step.

The progressive GAN normalises its latent, G(c z) = G(z): there ||z||^2 leaves the reachable pictures as they are and only
makes the step's angle grow as ||z|| falls. `sphere` keeps that angle constant, `norm` asks for the typical norm softly.
"""

from __future__ import annotations

from typing import Callable, NamedTuple

import tensorflow as tf


class Prior(NamedTuple):
    """`penalty`: `[n, d]` -> `[n]`; `project`: `[n, d]` -> `[n, d]`."""

    penalty: Callable[[tf.Tensor], tf.Tensor]
    project: Callable[[tf.Tensor], tf.Tensor]


def typical_norm(latent: tf.Tensor) -> tf.Tensor:
    """sqrt(d), about the norm of a draw from N(0, I) in d dimensions."""
    return tf.sqrt(tf.cast(tf.shape(latent)[-1], latent.dtype))


def squared_norm(latent: tf.Tensor) -> tf.Tensor:
    """||z||^2, the paper's."""
    return tf.reduce_sum(tf.square(latent), axis=-1)


def norm_deviation(latent: tf.Tensor) -> tf.Tensor:
    """(||z|| - sqrt(d))^2."""
    return tf.square(tf.norm(latent, axis=-1) - typical_norm(latent))


def to_sphere(latent: tf.Tensor) -> tf.Tensor:
    """sqrt(d) z / ||z||."""
    return typical_norm(latent) * tf.math.l2_normalize(latent, axis=-1)


def _nothing(latent: tf.Tensor) -> tf.Tensor:
    return tf.zeros_like(latent[:, 0])


PRIORS = {
    "l2": Prior(squared_norm, tf.identity),
    "norm": Prior(norm_deviation, tf.identity),
    "sphere": Prior(_nothing, to_sphere),
}
