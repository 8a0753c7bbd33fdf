"""Where the iteration starts: draws from the generator's input distribution, N(0, I) in the paper (section 4.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from .objective import Target, masked

CHUNK = 64  # candidates at once: bounds the memory

Compare = Sequence[Callable[[tf.Tensor], tf.Tensor]]


def draw(seed: int, count: int, latent_size: int, latent: str = "normal") -> tf.Tensor:
    """`[count, latent_size]` draws from N(0, I), or evenly from [-1, 1]^d ("uniform"): a function of the seed alone."""
    if latent == "uniform":
        return tf.random.stateless_uniform((count, latent_size), seed=(seed, 0), minval=-1, maxval=1)
    return tf.random.stateless_normal((count, latent_size), seed=(seed, 0))


def pictures(generate: Callable[[tf.Tensor], tf.Tensor], candidates: tf.Tensor, chunk: int = CHUNK) -> tf.Tensor:
    """G of each candidate, `[count, d]` -> `[count, h, w, c]`."""
    return tf.concat([generate(candidates[i : i + chunk]) for i in range(0, candidates.shape[0], chunk)], axis=0)


def nearest(
    compare: Compare,
    images: tf.Tensor,
    target: Target,
    weights: tuple[float, float, float] = (1.0, 0.0, 0.0),
    chunk: int = CHUNK,
    kept: int = 1,
) -> tf.Tensor:
    """For each image the candidates with the lowest objective, without its prior.

    Section 5.4 proposes a comparison with the clean picture, which is not known here. The candidates are shared, so n images
    cost one pass of G a candidate, not n; only E and A are repeated where each image has a mask of its own.

    Args:
        compare: image -> E(S(x)) `[k, ...]`, and image -> A x `[k, ...]`; that of a target's missing side is not called.
        images: of the candidates, `[count, h, w, c]`.
        target: of n images.
        weights: alpha, beta, gamma.
        chunk: candidates at once.
        kept: candidates an image.

    Returns:
        Indices of candidates for each image, the best first, `[n, kept]`.
    """
    groups = [target] if target.known is None else [target.of([i]) for i in range(target.count)]
    apart = tf.concat([_distances(compare, images, group, weights, chunk) for group in groups], axis=0)
    return tf.math.top_k(-apart, kept).indices


def _distances(compare: Compare, images: tf.Tensor, target: Target, weights, chunk: int) -> tf.Tensor:
    """The objective of n images that share one mask, without its prior and up to a constant an image, at `count` candidates:
    `[n, count]`."""
    parts = [masked(images[i : i + chunk], target.known) for i in range(0, images.shape[0], chunk)]
    total = tf.zeros([])
    if target.decoded is not None:
        total += weights[2] * _pairwise(_flat(target.decoded), _flat(images))
    for wanted, weight, function in zip((target.code, target.measurement), weights, compare):
        if wanted is not None:
            total += weight * _pairwise(_flat(wanted), _flat(tf.concat([function(part) for part in parts], axis=0)))
    return total


def _pairwise(target: tf.Tensor, found: tf.Tensor) -> tf.Tensor:
    """||f||^2 - 2 <f, m>, which orders candidates as ||f - m||^2 does: `[n, k]`, `[count, k]` -> `[n, count]`."""
    return tf.reduce_sum(tf.square(found), axis=1)[None] - 2 * tf.matmul(target, found, transpose_b=True)


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (tf.shape(x)[0], -1))
