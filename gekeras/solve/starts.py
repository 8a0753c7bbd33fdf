"""Where the iteration starts: a draw from the generator's input distribution, N(0, I) in the paper (section 4.4), the best
of several, or what a starter predicts."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from ..config import SolveOptions
from .objective import Map, Target, masked

AT_ONCE = 64  # candidates that are drawn together: bounds the memory

Compare = Sequence[Map]


class Starts:
    """Those of a solver.

    Args:
        generate: G, compiled.
        compare: as in `nearest`.
        project: as `Prior.project`: no start is outside of where the iterates are.
        latent: what G's input is drawn from, of `config.LATENTS`.
        starter: code `[n, k]` -> latent `[n, d]`.
    """

    def __init__(self, generate: Map, compare: Compare, project: Map, latent: str = "normal", starter: Map | None = None):
        self.generate, self.compare, self.project, self.latent, self.starter = generate, compare, project, latent, starter
        self.drawn: dict[tuple[int, int, int], tf.Tensor] = {}  # the batches of one large job share their pictures

    def choose(
        self, target: Target, latent_size: int, options: SolveOptions, initial=None, at_once: int | None = None
    ) -> tf.Tensor:
        """`[n, k, d]`, of each image the best first; k is `finalists` for random starts, else 1.

        Args and Raises: as `Solver.solve`.
        """
        if initial is not None:
            return self.project(_given(initial, (target.count, latent_size)))[:, None]
        if options.start == "starter":
            return self.project(self._predicted(target))[:, None]
        candidates = self.project(draw(options.seed, options.starts, latent_size, self.latent))
        if options.starts == 1:
            return tf.repeat(candidates[None], target.count, axis=0)
        together = min(at_once or AT_ONCE, AT_ONCE)  # a pass forward alone needs less than a step
        key = (options.seed, options.starts, latent_size)
        images = self.drawn.get(key)
        if images is None:
            images = pictures(self.generate, candidates, together)
            self.drawn = {key: images}  # threads that draw for other seeds replace it at any time
        weights = (options.code_weight, options.pixel_weight, options.decoder_weight)
        best = nearest(self.compare, images, target, weights, together, kept=options.finalists)
        return tf.gather(candidates, best)

    def choose_each(self, target: Target, latent_size: int, options: SolveOptions, seeds: tf.Tensor) -> tf.Tensor:
        """As `choose` inside a graph, for any number of images with a seed each `[n]`: what each would start from alone.

        Images of one seed share their candidates' pictures. A starter makes no use of the seeds.
        """
        if options.start == "starter":
            return self.project(self._predicted(target))[:, None]
        unique, place = tf.unique(seeds)

        def drawn(seed):
            return self.project(draw(seed, options.starts, latent_size, self.latent))

        if options.starts == 1:
            return tf.gather(tf.map_fn(drawn, unique, fn_output_signature=tf.TensorSpec((1, latent_size))), place)

        def of_seed(k, found):
            rows, candidates = tf.where(place == k)[:, 0], drawn(unique[k])
            best = self._nearest(candidates, target.take(rows), options)
            return k + 1, tf.tensor_scatter_nd_update(found, rows[:, None], tf.gather(candidates, best))

        found = tf.zeros(tf.stack([tf.size(seeds), options.finalists, latent_size]))
        return tf.while_loop(lambda k, _: k < tf.size(unique), of_seed, (0, found), parallel_iterations=1)[1]

    def _nearest(self, candidates: tf.Tensor, target: Target, options: SolveOptions) -> tf.Tensor:
        """`nearest` of candidates that are not drawn yet, for any number of images."""
        images = pictures(self.generate, candidates)
        images = tf.ensure_shape(images, (options.starts, *images.shape[1:]))  # which a network that is a graph lacks
        weights = (options.code_weight, options.pixel_weight, options.decoder_weight)
        if target.known is None:
            return nearest(self.compare, images, target, weights, kept=options.finalists)

        def alone(k):
            return nearest(self.compare, images, target.take([k]), weights, kept=options.finalists)[0]

        rows, kind = tf.range(tf.shape(target.known)[0]), tf.TensorSpec([options.finalists], tf.int32)
        return tf.map_fn(alone, rows, fn_output_signature=kind, parallel_iterations=1)

    def _predicted(self, target: Target) -> tf.Tensor:
        if self.starter is None:
            raise ValueError("there is no starter here that a solve could begin with: start must be 'random'")
        if target.code is None:
            raise ValueError("a starter reads a code, and the target has none: start must be 'random'")
        return self.starter(target.code)


def _given(initial, shape: tuple[int, int]) -> tf.Tensor:
    latent = tf.convert_to_tensor(initial, tf.float32)
    if latent.shape != shape:
        raise ValueError(f"initial latents must be {list(shape)}; received {list(latent.shape)}")
    return latent


def draw(seed: int, count: int, latent_size: int, latent: str = "normal") -> tf.Tensor:
    """`[count, latent_size]` draws from N(0, I), or evenly from [-1, 1]^d ("uniform"): a function of the seed alone."""
    if latent == "uniform":
        return tf.random.stateless_uniform((count, latent_size), seed=(seed, 0), minval=-1, maxval=1)
    return tf.random.stateless_normal((count, latent_size), seed=(seed, 0))


def pictures(generate: Map, candidates: tf.Tensor, at_once: int = AT_ONCE) -> tf.Tensor:
    """G of each candidate, `[count, d]` -> `[count, h, w, c]`."""
    return tf.concat([generate(candidates[i : i + at_once]) for i in range(0, candidates.shape[0], at_once)], axis=0)


def nearest(
    compare: Compare,
    images: tf.Tensor,
    target: Target,
    weights: tuple[float, float, float] = (1.0, 0.0, 0.0),
    at_once: int = AT_ONCE,
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
        at_once: candidates that are drawn together.
        kept: candidates an image.

    Returns:
        Indices of candidates for each image, the best first, `[n, kept]`.
    """
    groups = [target] if target.known is None else [target.take([i]) for i in range(target.count)]
    apart = tf.concat([_distances(compare, images, group, weights, at_once) for group in groups], axis=0)
    return tf.math.top_k(-apart, kept).indices


def _distances(compare: Compare, images: tf.Tensor, target: Target, weights, at_once: int) -> tf.Tensor:
    """The objective of n images that share one mask, without its prior and up to a constant an image, at `count` candidates:
    `[n, count]`."""
    parts = [masked(images[i : i + at_once], target.known) for i in range(0, images.shape[0], at_once)]
    total = tf.zeros([])
    if target.decoded is not None:
        total += weights[2] * _pairwise(_flat(target.decoded), _flat(images))
    for wanted, weight, function in zip((target.code, target.measurement), weights, compare):
        if wanted is not None:
            total += weight * _pairwise(_flat(wanted), _flat(tf.concat([function(part) for part in parts], axis=0)))
    return total


def _pairwise(target: tf.Tensor, reached: tf.Tensor) -> tf.Tensor:
    """||f||^2 - 2 <f, m>, which orders candidates as ||f - m||^2 does: `[n, k]`, `[count, k]` -> `[n, count]`."""
    return tf.reduce_sum(tf.square(reached), axis=1)[None] - 2 * tf.matmul(target, reached, transpose_b=True)


def _flat(x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, (tf.shape(x)[0], -1))
