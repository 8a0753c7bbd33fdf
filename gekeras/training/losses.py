"""Losses of the GAN, on `tfgan.losses.wargs` (plain tensors in, scalar out); call them inside a `tf.function`.

tensorflow-gan does not import beside Keras 3; there `wargs` has the same losses.

WGAN-GP: Gulrajani et al. 2017 with the drift term of Karras et al. 2018, appendix A.1. Non-saturating: Goodfellow et al.
2014, with the R1 penalty of Mescheder et al. 2018.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from ..config import GANOptions
from . import distribute

if hasattr(keras, "ops"):  # Keras 3
    from . import wargs as _wargs
else:
    import tensorflow_gan as tfgan

    _wargs = tfgan.losses.wargs


def generator_loss(options: GANOptions, fake_scores: tf.Tensor) -> tf.Tensor:
    """-E D(G(z)), or E softplus(-D(G(z)))."""
    if options.loss == "wgan-gp":
        return _wargs.wasserstein_generator_loss(fake_scores, loss_collection=None)
    return _wargs.modified_generator_loss(fake_scores, loss_collection=None)


def discriminator_loss(options: GANOptions, real_scores: tf.Tensor, fake_scores: tf.Tensor) -> tf.Tensor:
    """E D(G(z)) - E D(x) + drift E D(x)^2, or E softplus(D(G(z))) + E softplus(-D(x))."""
    if options.loss == "wgan-gp":
        distance = _wargs.wasserstein_discriminator_loss(real_scores, fake_scores, loss_collection=None)
        return distance + options.drift * tf.reduce_mean(tf.square(real_scores))
    return _wargs.modified_discriminator_loss(real_scores, fake_scores, label_smoothing=0.0, loss_collection=None)


def gradient_penalty(options: GANOptions, discriminator, real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """weight E (||grad D(x)|| - target)^2 / target^2 at x on the segments from real to fake, one mix a pair.

    `seed` int32 `[2]` decides the mixes of the whole batch; the call below gets x for both ends, because its own draw knows
    no seed.
    """
    count = distribute.replicas() * tf.shape(real)[0]
    mix = distribute.replica_rows(tf.random.stateless_uniform((count, 1, 1, 1), seed))
    x = real + mix * (fake - real)
    penalty = _wargs.wasserstein_gradient_penalty(
        x,
        x,
        None,
        lambda x, _: discriminator(x, training=True),
        tf.compat.v1.get_variable_scope(),
        target=options.penalty_target,
        loss_collection=None,
    )
    return options.gradient_penalty * penalty


def r1_penalty(discriminator, real: tf.Tensor) -> tf.Tensor:
    """E ||grad D(x)||^2 at real images, unweighted."""
    with tf.GradientTape() as tape:
        tape.watch(real)
        scores = tf.reduce_sum(discriminator(real, training=True))
    return tf.reduce_mean(tf.reduce_sum(tf.square(tape.gradient(scores, real)), axis=(1, 2, 3)))


def r1_weight(resolution: int, batch_size: int) -> float:
    """0.0002 resolution^2 / batch + 0.02: StyleGAN2-ADA's rule for its gamma, with a floor for small pictures.

    (The rule alone leaves 8 px and 16 px unregularized; a weight meant for 1024 px leaves the discriminator at chance.)
    """
    return 0.0002 * resolution**2 / batch_size + 0.02
