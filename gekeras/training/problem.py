"""What a starter is trained for: generator, encoder and task as one map from latents to codes.

Two pairs (G, E) are told apart by the codes of a few fixed latents, their fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from .. import images
from ..operators import Task
from ..solve import curvature
from .latents import draw

CHUNK = 64  # pictures at once where no gradient is kept
PROBES = 4  # latents whose codes are the fingerprint

Map = Callable[[tf.Tensor], tf.Tensor]


class Problem:
    """What a starter is trained for: the objective with the mask of the task, and the codes of real pictures.

    Args:
        decoder: DC, needed for a `decoder_weight` (gamma) above 0.
    """

    def __init__(
        self,
        generator: Map,
        encoder: Map,
        task: Task,
        latent_size: int,
        latent: str,
        side: int,
        channels: int,
        decoder: Map | None = None,
    ):
        self.encoder, self.decoder, self.task = encoder, decoder, task
        self.latent_size, self.latent = latent_size, latent
        # A hole at random does not move the code much; the middle one stands for all.
        known = task.sample(tf.zeros((1, side, side, channels)), tf.constant([0, 0]))[1] if task.masked else None

        def parts_of(z):
            """E(S(G(z))) and G(z)."""
            image = tf.cast(generator(z), tf.float32)
            return tf.cast(encoder(task.forward(image if known is None else image * known)), tf.float32), image

        self.parts_of = parts_of
        self.compiled = tf.function(lambda z: parts_of(z)[0], reduce_retracing=True)
        self.objective = tf.function(self.distance, reduce_retracing=True)

    def distance(self, z: tf.Tensor, code: tf.Tensor, weight: float) -> tf.Tensor:
        """||E(S(G(z))) - m||^2 + gamma ||G(z) - DC(m)||^2 of each pair: `[n, d]`, `[n, k]` -> `[n]`."""
        reached, image = self.parts_of(z)
        total = tf.reduce_sum(tf.square(reached - code), axis=1)
        if weight:
            if self.decoder is None:
                raise ValueError("no decoder's picture to compare with: the weight must be 0")
            total += weight * tf.reduce_sum(tf.square(image - tf.cast(self.decoder(code), tf.float32)), axis=(1, 2, 3))
        return total

    def draw(self, count: int, seed: tuple[int, int]) -> tf.Tensor:
        """`[count, d]` draws from G's own distribution."""
        return draw((count, self.latent_size), seed, self.latent)

    def codes(self, z: tf.Tensor) -> np.ndarray:
        """E(S(G(z))) `[n, k]`, `CHUNK` at once."""
        return np.concatenate([self.compiled(z[i : i + CHUNK]).numpy() for i in range(0, len(z), CHUNK)])

    def codes_of(self, source, seed: int, mirror: bool) -> np.ndarray:
        """E(x_dagger) of every picture, every other one mirrored."""
        encode = tf.function(lambda y: tf.cast(self.encoder(self.task.lift(y)), tf.float32), reduce_retracing=True)
        codes = []
        for i in range(0, len(source), CHUNK):
            x = images.from_uint8(source.take(np.arange(i, min(i + CHUNK, len(source)))))
            if mirror:
                x = np.where(np.arange(len(x))[:, None, None, None] % 2, x[:, :, ::-1], x)
            codes.append(encode(self.task.sample(tf.constant(x), tf.constant([seed, i]))[0]).numpy())
        return np.concatenate(codes)

    def curvature(self, probes: int, seed: int, weight: float = 0.0) -> np.ndarray:
        """H = E[J^T J] `[d, d]`, J the Jacobian of (E(S(G(z))), sqrt(gamma) G(z))."""

        def residuals(z):
            code, image = self.parts_of(z)
            return [code, weight**0.5 * image] if weight else [code]

        return curvature.average(residuals, self.draw(probes, (seed, 0)), seed + 1)

    def fingerprint(self) -> list[float]:
        """The codes of a few fixed latents, in one row: tells one pair (G, E) from another, whatever file they come from."""
        return self.codes(self.draw(PROBES, (0, 1))).ravel().tolist()


def same_networks(one, other, tolerance: float = 0.05) -> bool:
    """Whether two fingerprints are of one pair (G, E), be it stored or computed in half precision."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(np.linalg.norm(one - other) <= tolerance * np.linalg.norm(one))
