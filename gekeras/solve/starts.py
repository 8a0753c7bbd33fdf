"""Where the iteration starts: draws from N(0, I), the generator's input distribution (section 4.4)."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf


def draw(seed: int, count: int, latent_size: int) -> tf.Tensor:
    """`[count, latent_size]` draws from N(0, I), a function of the seed alone."""
    return tf.random.stateless_normal((count, latent_size), seed=(seed, 0))


def nearest(
    features: Callable[[tf.Tensor], tf.Tensor], candidates: tf.Tensor, code: tf.Tensor, chunk: int = 64
) -> tf.Tensor:
    """For each image the candidate whose features lie nearest to its code.

    Section 5.4 proposes the comparison; here it is made by the distance of the objective, ||E(S(G(z))) - m||, because the
    clean picture is not known. The candidates are shared, so n images cost one forward pass a candidate, not n.

    Args:
        features: latent `[k, d]` -> E(S(G(z))) `[k, ...]`.
        candidates: `[count, d]`.
        code: m, `[n, ...]`.

    Returns:
        `[n, d]`.
    """
    count = candidates.shape[0]
    found = tf.concat([_flat(features(candidates[i : i + chunk])) for i in range(0, count, chunk)], axis=0)
    target = _flat(code)
    # ||f||^2 - 2 <f, m>, which orders candidates as ||f - m||^2 does, without a [n, count, k] array.
    distance = tf.reduce_sum(tf.square(found), axis=1)[None] - 2 * tf.matmul(target, found, transpose_b=True)
    return tf.gather(candidates, tf.argmin(distance, axis=1))


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (tf.shape(x)[0], -1))
