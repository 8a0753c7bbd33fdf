"""The search goes on in a layer of the generator: features h in the place of z, the same objective, G cut at the layer.

    G(z) = image(features(z)),    h* = argmin f(image(h)) + mu ||h - features(z*)||^2,    x = image(h*)

A real picture is rarely in the range of G, while the layers above can draw far more than the layers below ask of them. This
is the intermediate layer optimization of Daras, Dean, Jalal and Dimakis (2021), with a penalty where they have an l1 ball.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..config import SolveOptions
from .objective import Map, Target, identity
from .priors import Prior, squared_norm
from .solver import Solution, Solver, as_written


class Layer(NamedTuple):
    """A generator, cut: G(z) = image(features(z)).

    Attributes:
        features: latent `[n, d]` -> `[n, ...]`.
        image: features -> picture `[n, h, w, c]`.
        constrain: features -> the nearest that the layer can have, as those of a pixel normalization; by default any.
    """

    features: Map
    image: Map
    constrain: Map = identity


class LayerStage:
    """The search of a layer's features: a `Solver` whose unknown is h, flattened to `[n, d]`.

    Its steps are Adam's. L-BFGS comes nearer to the measurement for the same work and ends further from the truth.

    Args:
        layer: where G is cut.
        latent_size: of z.
        encoder, forward, measure: E, S, A as in `objective.make_objective`.
        ramp: as of `Solver`.

    Example:
        >>> layer = Layer(lambda z: 2 * z, lambda h: h[:, None, :, None])  # G(z) = 2 z, as a row
        >>> stage = LayerStage(layer, 2)
        >>> z = np.ones((1, 2), np.float32)
        >>> target, options = Target(measurement=tf.constant([[[[3.0], [2.0]]]])), SolveOptions(pixel_weight=1.0)
        >>> solution = stage.solve(z, target, options)
        >>> solution.image[0, 0, :, 0].round(1)
        array([3., 2.], dtype=float32)
    """

    def __init__(
        self,
        layer: Layer,
        latent_size: int,
        encoder: Map = identity,
        forward: Map = identity,
        measure: Map = identity,
        ramp: str = "none",
    ):
        self.features = tf.function(layer.features, reduce_retracing=True)
        self.shape = tuple(self.features.get_concrete_function(tf.TensorSpec([None, latent_size])).output_shapes[1:])
        self.size = int(np.prod(self.shape))
        prior = Prior(squared_norm, lambda h: self._flat(layer.constrain(self._shaped(h))))
        self.solver = Solver(
            lambda h: layer.image(self._shaped(h)), encoder, forward, measure, prior=prior, ramp=ramp, optimizer="adam"
        )
        self.draw = as_written(lambda h: layer.image(self._shaped(h)))

    def _shaped(self, flat: tf.Tensor) -> tf.Tensor:
        return tf.reshape(flat, (-1, *self.shape))

    def _flat(self, features: tf.Tensor) -> tf.Tensor:
        return tf.reshape(features, (-1, self.size))

    def start(self, latent: tf.Tensor) -> tf.Tensor:
        """features(z), where the search begins: `[n, latent_size]` -> `[n, d]`."""
        return self._flat(self.features(latent))

    def options(self, options: SolveOptions) -> SolveOptions:
        """Those of the search of h, as a solve has them: its steps, rate and weight are the layer's."""
        return dataclasses.replace(
            options, steps=options.layer_steps, learning_rate=options.layer_rate, weight=options.layer_weight, probes=0
        )

    def compiled(self, target: Target, options: SolveOptions):
        """As `Solver.compiled`."""
        target = target._replace(anchor=tf.zeros([1, self.size]))
        return self.solver.compiled(target, self.size, self.options(options))

    def solve(
        self,
        latent: np.ndarray,
        target: Target,
        options: SolveOptions,
        *,
        callback: Callable | None = None,
        chunk: int = 0,
        at_once: int | None = None,
    ) -> Solution:
        """h* of each image, from what z* gives; its `latent` is h*, `[n, d]` of the flattened features.

        Args:
            latent: z* `[n, latent_size]`.
            target: as of `Solver.solve`.
            options: of the whole solve.
            callback: as of `Solver.solve`; its evaluations come after those for z, whose last call showed where this begins.
            chunk, at_once: as of `Solver.solve`.
        """

        def later(done, loss, features):
            if done and callback is not None:
                callback(options.steps + done, loss, features)

        count = at_once or len(latent)
        start = tf.concat([self.start(latent[i : i + count]) for i in range(0, len(latent), count)], axis=0)
        return self.solver.solve(
            target._replace(anchor=start),
            self.size,
            self.options(options),
            initial=start,
            callback=callback and later,
            chunk=chunk,
            at_once=at_once,
        )


def joined(z: Solution, h: Solution) -> Solution:
    """One solution of a solve for z and of one that went on from it: G's picture and the objective are the latter's."""
    return Solution(
        latent=z.latent,
        image=h.image,
        loss=h.loss,
        steps=z.steps + h.steps,
        history=np.concatenate([z.history[:-1], h.history]),  # the last of z gives way to the best, where h begins
        seconds=z.seconds + h.seconds,
        features=h.latent,
    )
