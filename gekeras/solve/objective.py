"""The objective of equation (3), per image, with two terms the paper does not have.

The pixel term compares with the measurement; its extreme is equation (4), invertGAN's. The decoded term compares G(z) with
DC(m), the autoencoder's own picture: what m says, weighed by how much it shows instead of by the code's own scales.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from .priors import Prior

Map = Callable[[tf.Tensor], tf.Tensor]


class Target(NamedTuple):
    """What is known of n images. A term whose side is None is left out of the objective.

    Attributes:
        code: m = E(x_dagger), `[n, k]`.
        measurement: y, `[n, ...]`, what A G(z) is compared with.
        known: mask `[n, h, w, 1]`, 1 where the picture is known: these two terms see known * G(z).
        decoded: DC(m) `[n, h, w, c]`, what all of G(z) is compared with.
        anchor: `[n, d]`, what the unknown is drawn to by its penalty, in the place of the prior's own.

    Example:
        >>> target = Target(code=tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
        >>> target.count
        3
        >>> target.take([2, 0]).code.numpy()
        array([[5., 6.],
               [1., 2.]], dtype=float32)
    """

    code: tf.Tensor | None = None
    measurement: tf.Tensor | None = None
    known: tf.Tensor | None = None
    decoded: tf.Tensor | None = None
    anchor: tf.Tensor | None = None

    @property
    def count(self) -> int:  # type: ignore[override]  # a tuple's own, which nobody asks of a target
        """n."""
        return next(part.shape[0] for part in self if part is not None)

    def take(self, rows) -> Target:
        """The target of some of its images, as often as `rows` names them."""
        return Target(*(None if part is None else tf.gather(part, rows) for part in self))


class Weights(NamedTuple):
    """The factors of the objective's terms, scalars."""

    code: tf.Tensor  # alpha, 1 in the paper
    pixel: tf.Tensor  # beta, 0 in the paper
    prior: tf.Tensor  # lambda
    decoded: tf.Tensor | float = 0.0  # gamma, 0 in the paper


def identity(x: tf.Tensor) -> tf.Tensor:
    return x


def squared_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """||a - b||^2 per image: `[n, ...]`, `[n, ...]` -> `[n]`."""
    return tf.reduce_sum(tf.square(a - b), axis=tf.range(1, tf.rank(a)))


def masked(image: tf.Tensor, known: tf.Tensor | None) -> tf.Tensor:
    """known * x, or x where everything is known."""
    return image if known is None else image * known


def make_objective(
    generator: Map, encoder: Map, forward: Map, prior: Prior, measure: Map = identity
) -> Callable[..., tf.Tensor]:
    """f(z) = alpha ||E(S(G(z))) - m||^2 + beta ||A G(z) - y||^2 + gamma ||G(z) - DC(m)||^2 + lambda penalty(z).

    Equation (3) is alpha = 1, beta = gamma = 0; compressed sensing with generative models (Bora et al. 2017) is alpha = 0,
    beta = 1, and with A the identity and y = x_dagger that is equation (4), invertGAN.

    Args:
        generator: G, latent `[n, d]` -> image `[n, h, w, c]` in [-1, 1].
        encoder: E, image -> code `[n, k]`.
        forward: S, image -> image.
        prior: its penalty is ||z||^2 in the paper.
        measure: A, image -> measurement `[n, ...]`.

    Returns:
        `objective(latent [n, d], Target, Weights) -> [n]`, one number an image, so that an image solved in a batch has
        the gradient it would have alone. A last argument is G(z), where that is at hand.
    """

    def objective(latent: tf.Tensor, target: Target, weights: Weights, whole: tf.Tensor | None = None) -> tf.Tensor:
        whole = generator(latent) if whole is None else whole
        image = masked(whole, target.known)
        away = latent if target.anchor is None else latent - target.anchor
        loss = weights.prior * prior.penalty(away)
        if target.code is not None:
            loss += weights.code * squared_distance(encoder(forward(image)), target.code)
        if target.measurement is not None:
            loss += weights.pixel * squared_distance(measure(image), target.measurement)
        if target.decoded is not None:
            loss += weights.decoded * squared_distance(whole, target.decoded)
        return loss

    return objective


def make_residuals(generator: Map, encoder: Map, forward: Map, measure: Map = identity) -> Callable[..., Map]:
    """r(z) with the objective's Jacobian, `residuals(alpha, beta, gamma)`: latent `[n, d]` -> its parts, `[n, ...]` each.

    What the terms compare with drops out of a Jacobian. Masks are left out, so that r is the same for every image. Args as
    `make_objective`; a term without weight is left out.
    """

    def residuals(code: float, pixel: float, decoded: float) -> Map:
        def parts(latent: tf.Tensor) -> list[tf.Tensor]:
            image = generator(latent)
            terms = ((code, lambda x: encoder(forward(x))), (pixel, measure), (decoded, identity))
            return [weight**0.5 * term(image) for weight, term in terms if weight]

        return parts

    return residuals
