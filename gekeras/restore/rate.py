"""The latent of a picture that fits into so many bytes: what `gekeras encode --bytes` searches, and `gekeras decode` draws.

    s* = argmin ||G(Q (s * u)) - x||^2 / (h w c) + c D(u) bits(s)

The numbers s are rounded in the forward pass and not in the backward one, D(u) is the error of one rounded number, and the
level of the steps u of each picture follows the bits that it has left. All a receiver does is to draw G once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..solve.priors import to_sphere
from . import latents

EVALUATIONS = (40, 80)  # before the numbers are rounded, and after
RATE, WARMTH = 0.06, 0.1  # Adam's first step, and the part of it that is left at the end
SLACK = 4  # bits that the estimate may be wrong by


class Found(NamedTuple):
    """Latents as stored: rows uint8 `[n, size]`, G's pictures `[n, h, w, c]`."""

    rows: np.ndarray
    image: np.ndarray


class Coder:
    """Latents of one generator and its metric as rows of bytes.

    Args:
        generator: G, latent `[n, d]` -> `[n, h, w, c]`; blind to the latent's length.
        metric: the inverse of the averaged curvature `[d, d]`.
    """

    def __init__(self, generator, metric):
        self.axes, self.longest = latents.axes(metric)
        self._turn = tf.constant(self.axes, tf.float32)
        self._draw = lambda u: generator(to_sphere(tf.matmul(u, self._turn, transpose_b=True) + 1e-8))
        self.draw = tf.function(self._draw, reduce_retracing=True)
        self._evaluate = tf.function(self._gradient, reduce_retracing=True)

    def distance(self, image, picture):
        """What is minimized, of each picture: its MSE."""
        return tf.reduce_mean(tf.square(image - picture), axis=(1, 2, 3))

    def _gradient(self, u, picture, step, cost, decay, rounded):
        """Gradient by u, error and bits of each picture."""
        with tf.GradientTape() as tape:
            tape.watch(u)
            exact = u / step
            whole = tf.clip_by_value(tf.round(exact), -latents.REACH, latents.REACH)
            image = self._draw(step * (exact + tf.stop_gradient(tf.where(rounded, whole - exact, 0.0))))
            error = self.distance(image, picture)
            loss = error + cost * _bits(exact, decay)
        return tape.gradient(loss, u), error, _bits(whole, decay)

    def _cost_of_rounding(self, u) -> float:
        """D / u^2: the error of a picture by a number rounded to steps of level 0, of the axes that G looks at most."""
        base, costs = self.draw(u), []
        for axis in range(min(8, len(self.longest))):
            shift = np.zeros((1, len(self.longest)), np.float32)
            shift[0, axis] = self.longest[axis] / 16
            costs.append(tf.reduce_mean(tf.square(self.draw(u + shift) - base)) * 256 / 12)
        return float(np.mean(costs))

    def solve(self, pictures: np.ndarray, latent: np.ndarray, size: int) -> Found:
        """The rows of pictures `[n, h, w, c]`, from latents `[n, d]` to begin with.

        Raises:
            ValueError: a picture whose latent did not come into so few bytes.
        """
        x, u = tf.constant(pictures, tf.float32), tf.matmul(to_sphere(tf.constant(latent, tf.float32)), self._turn)
        n, total, budget = len(pictures), sum(EVALUATIONS), 8 * (size - 1) - SLACK
        unit, octaves = self._cost_of_rounding(u), np.full(n, 24.0)
        best, kept, levels = np.full(n, np.inf), np.zeros(u.shape), np.zeros(n, int)
        first = second = tf.zeros_like(u)
        for k in range(total):
            level = np.clip(np.rint(octaves), 0, latents.LEVELS - 1).astype(int)
            step = latents.steps(self.longest, level)
            cost, decay = 2 * np.log(2) * unit * 4.0 ** (-level / 8), latents.decay(step)
            given = (tf.constant(part, tf.float32) for part in (step, cost, decay))
            gradient, error, bits = self._evaluate(u, x, *given, tf.constant(k >= EVALUATIONS[0]))
            error, bits = error.numpy(), bits.numpy()
            better = (bits <= budget) & (error < best) & (k >= EVALUATIONS[0])
            best[better], levels[better] = error[better], level[better]
            kept[better] = np.rint(u.numpy() / step.astype(np.float32))[better]
            late = 1 if k < 0.7 * total else 0.2
            octaves -= late * np.clip(3.5 * (bits - budget + 8) / budget, -1.2, 1.2) * (k > 2)
            octaves = np.clip(octaves, 0, latents.LEVELS - 1)
            gradient /= tf.norm(gradient, axis=1, keepdims=True) + 1e-12
            first, second = 0.9 * first + 0.1 * gradient, 0.98 * second + 0.02 * tf.square(gradient)
            rate = RATE * (WARMTH + (1 - WARMTH) * (1 + np.cos(np.pi * k / total)) / 2)
            u -= rate * (first / (1 - 0.9 ** (k + 1))) / (tf.sqrt(second / (1 - 0.98 ** (k + 1))) + 1e-10)
        return self._packed(kept, levels, best, size)

    def _packed(self, numbers, levels, best, size) -> Found:
        numbers, rows = np.clip(numbers, -latents.REACH, latents.REACH), []
        for s, level, error in zip(numbers, levels, best):
            row = latents.pack(s, level, latents.steps(self.longest, level), size) if np.isfinite(error) else None
            if row is None:
                raise ValueError(f"no latent of a picture was found that {size} bytes hold; take more")
            rows.append(row)
        return Found(np.stack(rows), self.pictures(np.stack(rows)))

    def pictures(self, rows: np.ndarray) -> np.ndarray:
        """G's pictures of rows, in [-1, 1]. Raises ValueError for rows that are not of this coder."""
        scaled = np.stack([latents.unpack(row, self.longest) for row in rows])
        return np.clip(self.draw(tf.constant(scaled, tf.float32)).numpy(), -1, 1)


def _bits(numbers, decay):
    """-log2 p, of the numbers of each row; between whole numbers as if they were."""
    each = tf.math.log((1 - decay) / (1 + decay)) + tf.abs(numbers) * tf.math.log(decay)
    return -tf.reduce_sum(each, axis=1) / np.log(2)
