"""The losses of `tfgan.losses.wargs` that are used here, with its names and arguments, for Keras 3.

tensorflow-gan does not import there: the `tf.estimator` and the modules of Keras 2 that it needs are gone since TensorFlow
2.16. Where it does its own are used; the tests hold both against the formulas. Plain tensors in, scalar out.
"""

from __future__ import annotations

import tensorflow as tf


def wasserstein_generator_loss(discriminator_gen_outputs, loss_collection=None) -> tf.Tensor:
    """-E D(G(z))."""
    return -tf.reduce_mean(discriminator_gen_outputs)


def wasserstein_discriminator_loss(discriminator_real_outputs, discriminator_gen_outputs, loss_collection=None) -> tf.Tensor:
    """E D(G(z)) - E D(x)."""
    return tf.reduce_mean(discriminator_gen_outputs) - tf.reduce_mean(discriminator_real_outputs)


def modified_generator_loss(discriminator_gen_outputs, loss_collection=None) -> tf.Tensor:
    """E softplus(-D(G(z)))."""
    return tf.reduce_mean(tf.nn.softplus(-discriminator_gen_outputs))


def modified_discriminator_loss(
    discriminator_real_outputs, discriminator_gen_outputs, label_smoothing=0.0, loss_collection=None
) -> tf.Tensor:
    """E softplus(-D(x)) + E softplus(D(G(z))). Raises ValueError for a `label_smoothing` other than 0."""
    if label_smoothing:
        raise ValueError(f"label_smoothing must be 0; received {label_smoothing}")
    real, fake = discriminator_real_outputs, discriminator_gen_outputs
    return tf.reduce_mean(tf.nn.softplus(-real)) + tf.reduce_mean(tf.nn.softplus(fake))


def wasserstein_gradient_penalty(
    real_data,
    generated_data,
    generator_inputs,
    discriminator_fn,
    discriminator_scope,
    epsilon=1e-10,
    target=1.0,
    loss_collection=None,
) -> tf.Tensor:
    """E (||grad D(x)|| / target - 1)^2 at x drawn on the segments from real to generated, one x a pair."""
    shape = tf.concat([tf.shape(real_data)[:1], tf.ones(len(real_data.shape) - 1, tf.int32)], 0)
    x = real_data + tf.random.uniform(shape) * (generated_data - real_data)
    with tf.GradientTape() as tape:
        tape.watch(x)
        scores = discriminator_fn(x, generator_inputs)
    squares = tf.reduce_sum(tf.square(tape.gradient(scores, x)), axis=range(1, len(x.shape)))
    return tf.reduce_mean(tf.square(tf.sqrt(squares + epsilon) / target - 1.0))
