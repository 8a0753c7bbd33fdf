"""What a generator's input is drawn from, see `config.LATENTS`."""

from __future__ import annotations

import tensorflow as tf


def draw(shape: tuple[int, int], seed: tuple[int, int], latent: str) -> tf.Tensor:
    """Latents `[n, d]`, a function of the seed: from N(0, I) ("normal"), or evenly from [-1, 1]^d ("uniform")."""
    if latent == "uniform":
        return tf.random.stateless_uniform(shape, seed=seed, minval=-1, maxval=1)
    return tf.random.stateless_normal(shape, seed=seed)
