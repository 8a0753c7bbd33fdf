"""The averaged curvature H = E[J^T J] of a least squares problem over the generator's own latents.

Its eigenvalues span orders of magnitude, which is why a descent that does not know them needs hundreds of steps for the last
directions. (H + mu I)^-1 is the metric of L-BFGS: one for all pictures, since it depends on none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

FLOOR = 0.3  # mu over the mean eigenvalue: some hundred draws tell the larger eigenvalues only
FEWEST = 20  # steps below which drawing does not pay
CHUNK = 64  # draws at once


def average(
    residuals: Callable[[tf.Tensor], list[tf.Tensor]],
    draw: Callable[[int, int], tf.Tensor],
    count: int,
    seed: int = 0,
    chunk: int = CHUNK,
) -> np.ndarray:
    """H `[d, d]` in float64: the mean of v v^T, v = J^T u with random directions u, since E[u u^T] = I.

    Args:
        residuals: latents `[n, d]` -> parts `[n, ...]` of r, J being the Jacobian of all of them.
        draw: (n, i) -> the i-th to (i + n)-th latent `[n, d]`.
        count: of draws.
        seed: of the directions.
        chunk: draws at once.
    """

    @tf.function(reduce_retracing=True)
    def pull_back(z, i):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(z)
            parts = residuals(z)
        directions = [tf.random.stateless_normal(tf.shape(part), (seed + k, i)) for k, part in enumerate(parts)]
        return tape.gradient(parts, z, directions, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    pulled = [pull_back(draw(min(chunk, count - i), i), tf.constant(i)).numpy() for i in range(0, count, chunk)]
    pulled = np.concatenate(pulled).astype(np.float64)
    return pulled.T @ pulled / count


def inverse(curvature: np.ndarray, floor: float = FLOOR) -> np.ndarray:
    """(H + mu I)^-1, mu = floor times the mean eigenvalue, times that: `[d, d]` -> `[d, d]` in float32."""
    mean = np.trace(curvature) / len(curvature)
    if not mean > 0:  # nothing depends on z
        return np.eye(len(curvature), dtype=np.float32)
    found = np.linalg.inv(curvature / mean + floor * np.eye(len(curvature)))
    return ((found + found.T) / 2).astype(np.float32)
