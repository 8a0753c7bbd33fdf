"""The objective of equation (3), per image; and equation (4), invertGAN's, which is the same with E the identity."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from .priors import Prior

Map = Callable[[tf.Tensor], tf.Tensor]


def identity(x: tf.Tensor) -> tf.Tensor:
    return x


def squared_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """||a - b||^2 per image: `[n, ...]`, `[n, ...]` -> `[n]`."""
    return tf.reduce_sum(tf.square(a - b), axis=tf.range(1, tf.rank(a)))


def make_objective(generator: Map, encoder: Map, forward: Map, prior: Prior) -> Callable[..., tf.Tensor]:
    """Equation (3), f(z) = ||E(S(G(z))) - m||^2 + lambda penalty(z).

    Args:
        generator: G, latent `[n, d]` -> image `[n, h, w, c]` in [-1, 1].
        encoder: E, image -> code `[n, k]` (any shape; `identity` compares pictures, which is equation (4)).
        forward: S, image -> image.
        prior: its penalty is ||z||^2 in the paper.

    Returns:
        `objective(latent [n, d], code [n, k], weight []) -> [n]`, one number an image, so that an image solved in a
        batch has the gradient it would have alone.
    """

    def objective(latent: tf.Tensor, code: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
        return squared_distance(encoder(forward(generator(latent))), code) + weight * prior.penalty(latent)

    return objective
