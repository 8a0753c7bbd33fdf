"""Training of the boundary equilibrium GAN: its losses, one step, and the loop.

Berthelot, Schumm, Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv 1703.10717, 2017, section 3.
The discriminator is an autoencoder D; what is compared are its errors on real and on generated pictures. As in the public
implementation, both networks learn from one batch of G(z) and from one state of the weights, then k moves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, plots
from ..config import BEGANOptions, Limits
from ..models.began import BEGANDiscriminator, BEGANGenerator
from ..models.precision import building_in, training_policy
from . import checkpoints, distribute, divergence, optimizers, schedule, validation
from .latents import draw
from .run import USUAL, Run

MARK = "began"  # the record's key by which its runs are known
LATENT = "uniform"  # z ~ U[-1, 1], see `config.LATENTS`
SETTLED = 400_000  # images; until about then every z gives much the same picture, and that is no collapse
SHEET = 48  # samples on a sheet, and real pictures that their variance is compared with
SHAPE = ("resolution", "channels", "latent_size", "width", "skip")
NETWORKS = ("generator", "average", "discriminator")
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


class Networks:
    """Generator, its moving average, discriminator, their optimizers, and k, the balance between the two."""

    def __init__(self, options: BEGANOptions):
        self.options, self.shape = options, {name: getattr(options, name) for name in SHAPE}
        keras.utils.set_random_seed(options.seed)
        with building_in(training_policy(options.mixed_precision)):
            self.generator, self.average = BEGANGenerator(**self.shape), BEGANGenerator(**self.shape)
            self.discriminator = BEGANDiscriminator(**self.shape)
        self.average.set_weights(self.generator.get_weights())
        adam = (options.learning_rate, options.beta_1, options.beta_2, optimizers.EPSILON)
        self.generator_optimizer = optimizers.adam(self.generator.trainable_variables, *adam)
        self.discriminator_optimizer = optimizers.adam(self.discriminator.trainable_variables, *adam)
        self.k = tf.Variable(0.0, trainable=False, name="k")

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        return {"k": self.k.numpy(), **checkpoints.arrays_of(self, NETWORKS, OPTIMIZERS)}

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`."""
        self.k.assign(float(arrays["k"]))
        checkpoints.restore(self, arrays, NETWORKS, OPTIMIZERS)


# ----------------------------------------------------------------------------------------------------- the losses


def autoencoder_loss(v: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """L(v) = E |v - D(v)|, the mean over batch, pixels and channels."""
    return tf.reduce_mean(tf.abs(v - reconstruction))


def discriminator_loss(real_loss: tf.Tensor, fake_loss: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """L_D = L(x) - k L(G(z)); of tensors, or of the gradients of L(x) and L(G(z)), in which it is linear."""
    return real_loss - k * fake_loss


def generator_loss(fake_loss: tf.Tensor) -> tf.Tensor:
    """L_G = L(G(z)), whose gradient reaches G both as the picture and through D."""
    return fake_loss


def next_k(k: tf.Tensor, real_loss: tf.Tensor, fake_loss: tf.Tensor, gamma: float, lambda_k: float) -> tf.Tensor:
    """k + lambda_k (gamma L(x) - L(G(z))), kept in [0, 1]: D's attention to G falls while G is behind."""
    return tf.clip_by_value(k + lambda_k * (gamma * real_loss - fake_loss), 0.0, 1.0)


def convergence(real_loss: tf.Tensor, fake_loss: tf.Tensor, gamma: float) -> tf.Tensor:
    """M = L(x) + |gamma L(x) - L(G(z))|: the paper's global measure, which falls while the training succeeds."""
    return real_loss + tf.abs(gamma * real_loss - fake_loss)


def learning_rate(seen: int, options: BEGANOptions) -> float:
    """learning_rate / 2^(seen // halve_every), not below `final_learning_rate`; `seen` in images."""
    return max(options.learning_rate / 2 ** (seen // options.halve_every), options.final_learning_rate)


def make_step(nets: Networks):
    """Compiled `step(real, latent, rate, decay) -> dict of real, fake (L(x), L(G(z)) before the step), k (after it), M`.

    One pass through G and D gives the gradients of both losses; G's comes from the D of before the step, too.
    """
    options, g, d, strategy = nets.options, nets.generator, nets.discriminator, tf.distribute.get_strategy()

    @tf.function
    def step(real, latent, rate, decay):
        with tf.GradientTape() as real_tape:
            real_loss = autoencoder_loss(real, d(real, training=True))
        with tf.GradientTape() as fake_tape:
            fake = g(latent, training=True)
            fake_loss = generator_loss(autoencoder_loss(fake, d(fake, training=True)))
        of_real = real_tape.gradient(real_loss, d.trainable_variables)
        of_fake, of_g = fake_tape.gradient(fake_loss, [d.trainable_variables, g.trainable_variables])
        of_d = [discriminator_loss(one, other, nets.k) for one, other in zip(of_real, of_fake)]
        for optimizer, gradients, network in (
            (nets.discriminator_optimizer, of_d, d),
            (nets.generator_optimizer, of_g, g),
        ):
            optimizer.learning_rate.assign(rate)
            optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        distribute.move_average(strategy, nets.average, g, decay)
        k = nets.k.assign(next_k(nets.k, real_loss, fake_loss, options.gamma, options.lambda_k))
        return dict(real=real_loss, fake=fake_loss, k=k, M=convergence(real_loss, fake_loss, options.gamma))

    return step


# -------------------------------------------------------------------------------------------------------- the run


def train(
    options: BEGANOptions,
    items,
    folder: Path,
    *,
    memory: bool = False,
    limits: Limits = USUAL,
) -> int:
    """Train from the newest checkpoint of `folder`, or from nothing, until `images` were shown.

    Args:
        items: `data.entries(...)`.
        folder: run folder, see `run.Run`.
        memory: hold the decoded pictures in memory.
        limits: time limit, checkpoints and messages, see `config.Limits`.

    Returns:
        Images shown so far, over all runs of this folder.

    Raises:
        ValueError: the folder holds another kind of run, or a BEGAN of other sizes, or is in use; a picture cannot be
            decoded; no room to save.
        divergence.Diverged: a loss is not finite, or the samples are all alike.
        run.Interrupted: a signal asked to stop.
    """
    nets, seen = _resume(options, folder)
    source = data.Source(items, options.resolution, options.channels, memory)
    real, step = validation.pictures(source, SHEET), make_step(nets)

    def write():
        _save(nets, seen, real, run)

    with Run(folder, config.to_json(options), options.images, limits=limits) as run:
        views = dict(mirror=options.mirror, turn=options.turn)
        stream = data.stream(source, options.batch_size, seed=options.seed, start=seen, **views)
        while run.goes_on(seen):
            values = step(run.take(stream), *step_inputs(options, seen))
            seen += options.batch_size
            run.step(seen, options.batch_size, {}, **values)
            if run.save_due():
                run.save(write, seen)
        run.finish(write, seen)
    return seen


def step_inputs(options: BEGANOptions, seen: int):
    """latent, rate and decay of the step after `seen` images: functions of it, so that a run resumes."""
    latent = draw((options.batch_size, options.latent_size), (options.seed, seen), LATENT)
    decay = schedule.average_decay(seen // options.batch_size, options)
    return latent, tf.constant(learning_rate(seen, options)), tf.constant(decay, tf.float32)


def _resume(options: BEGANOptions, folder: Path) -> tuple[Networks, int]:
    nets, latest = Networks(options), checkpoints.load_latest(folder)
    if latest is None:
        return nets, 0
    arrays, record = latest
    checkpoints.require_kind(folder, record, "a BEGAN", MARK)
    checkpoints.require_same(folder, record[MARK], nets.shape)
    nets.restore(arrays)
    return nets, record["images"]


def _save(nets: Networks, seen: int, real: np.ndarray, run: Run) -> None:
    record = dict(images=seen, began=nets.shape, options=config.to_dict(nets.options))
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    latent = draw((SHEET, nets.options.latent_size), (nets.options.seed, 7), LATENT)
    samples = np.asarray(nets.average(latent, training=False))
    run.sheet(seen, plots.grid(samples, columns=8))
    measured = divergence.diversity(samples, real)
    if seen < SETTLED:
        run.progress.scalars(seen, {"diversity": measured})
    else:
        run.diversity(seen, measured)


# -------------------------------------------------------------------------------------------- what a run is read by


def networks_of(folder: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks and record of the newest checkpoint of a run. Raises ValueError if there is none, or not a BEGAN's."""
    arrays, record = checkpoints.require_run(folder, "a BEGAN", MARK)
    nets = Networks(config.from_dict(BEGANOptions, record["options"]))
    nets.restore(arrays)
    return nets, record


def generator_of(nets: Networks) -> BEGANGenerator:
    """The averaged generator in float32: what a preset ships."""
    generator = BEGANGenerator(**nets.average.config)
    generator.set_weights(nets.average.get_weights())
    return generator
