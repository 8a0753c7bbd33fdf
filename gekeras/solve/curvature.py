"""The averaged curvature H = E[J^T J] of a least squares problem over the generator's own latents.

Its eigenvalues span orders of magnitude, which is why a descent that does not know them needs hundreds of steps for the last
directions. (H + mu I)^-1 is the metric of L-BFGS: one for all pictures, since it depends on none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from ..config import SolveOptions
from ..config.solve import FEWEST
from . import starts
from .objective import Map, Target

FLOOR = 0.3  # mu over the mean eigenvalue: some hundred draws tell the larger eigenvalues only
AT_ONCE = 64  # latents that are pulled back together
SEEDS = (1_000_003, 7)  # of the latents and of the directions


def average(
    residuals: Callable[[tf.Tensor], list[tf.Tensor]], latents: tf.Tensor, seed: int = 0, at_once: int = AT_ONCE
) -> np.ndarray:
    """H `[d, d]` in float64: the mean of v v^T, v = J^T u with a random direction u for each latent, since E[u u^T] = I.

    Args:
        residuals: latents `[n, d]` -> parts `[n, ...]` of r, J being the Jacobian of all of them.
        latents: where, `[count, d]`.
        seed: of the directions; the latents must have been drawn with another one.
        at_once: latents that are pulled back together; the result does not depend on it.
    """

    @tf.function(reduce_retracing=True, autograph=False)
    def pull_back(z, rows):
        def direction(part, k):
            draw = lambda row: tf.random.stateless_normal(tf.shape(part)[1:], (seed + k, row))  # noqa: E731
            return tf.map_fn(draw, rows, fn_output_signature=tf.float32)

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            parts = residuals(z)
        directions = [direction(part, k) for k, part in enumerate(parts)]
        return tape.gradient(parts, z, directions, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    rows = tf.range(len(latents))
    pulled = [pull_back(latents[i : i + at_once], rows[i : i + at_once]).numpy() for i in range(0, len(latents), at_once)]
    every = np.concatenate(pulled).astype(np.float64)
    return every.T @ every / len(every)


def inverse(curvature: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """(H + mu I)^-1, mu = floor times the mean eigenvalue, times that: `[d, d]` -> `[d, d]` in float32."""
    mean = np.trace(curvature) / len(curvature)
    if not mean > 0:  # nothing depends on z
        return np.eye(len(curvature), dtype=np.float32)
    inverted = np.linalg.inv(curvature / mean + floor * np.eye(len(curvature)))
    return ((inverted + inverted.T) / 2).astype(np.float32)


class NoMetric:
    """Of an optimizer that has no use for one."""

    def matrix(self, target: Target, latent_size: int, options: SolveOptions, at_once: int = AT_ONCE) -> None:
        return None

    def specification(self, latent_size: int, options: SolveOptions) -> None:
        return None


class Metric:
    """Of L-BFGS, for one generator, encoder and forward map: drawn once for each set of weights, or known beforehand.

    Args:
        residuals: of `objective.make_residuals`.
        latent: what G's input is drawn from, of `config.LATENTS`.
        drawn: where those that are drawn are kept.
        known: `[d, d]`, a starter's, where none is drawn.
    """

    def __init__(
        self, residuals: Callable[..., Map], latent: str, drawn: dict[tuple, tf.Tensor], known: tf.Tensor | None = None
    ):
        self.residuals, self.latent, self.drawn, self.known = residuals, latent, drawn, known

    def matrix(self, target: Target, latent_size: int, options: SolveOptions, at_once: int = AT_ONCE) -> tf.Tensor | None:
        """`[d, d]`, or None: the identity.

        Args:
            target: tells which terms the objective has; what they compare with makes no difference.
            at_once: as in `average`.
        """
        if not draws(options):
            return self.known
        parts = (target.code, target.measurement, target.decoded)
        terms = zip(parts, (options.code_weight, options.pixel_weight, options.decoder_weight))
        weights = tuple(0.0 if part is None else weight for part, weight in terms)
        key = (options.probes, latent_size, weights)
        if key not in self.drawn:
            latents_seed, directions_seed = SEEDS
            latents = starts.draw(latents_seed, options.probes, latent_size, self.latent)
            self.drawn[key] = tf.constant(inverse(average(self.residuals(*weights), latents, directions_seed, at_once)))
        return self.drawn[key]

    def specification(self, latent_size: int, options: SolveOptions) -> tf.Tensor | tf.TensorSpec | None:
        """What `matrix` will be, or its type, without drawing."""
        return tf.TensorSpec((latent_size, latent_size)) if draws(options) else self.known


def draws(options: SolveOptions) -> bool:
    """Whether the metric is measured for a solve, instead of known or the identity."""
    return options.probes > 0 and options.steps >= FEWEST
