"""Training of the progressive GAN: the networks of one resolution, one step, and the loop over the schedule.

Karras et al. 2018. Everything that changes while a compiled step runs (alpha, images, latents) is a tensor; everything a
resumed run needs is in the checkpoint or is a function of images shown.
"""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, images, plots
from ..config import GANOptions
from ..models import ops
from ..models.pgan import Discriminator, Generator, copy_weights, set_alpha
from ..models.precision import building_in, training_policy
from . import checkpoints, losses, schedule
from .progress import Progress


class Networks:
    """Generator, its moving average, discriminator and their optimisers at one resolution."""

    def __init__(self, options: GANOptions, resolution: int, grown_from: Networks | None = None):
        self.options, self.resolution = options, resolution
        keras.utils.set_random_seed(options.seed + resolution)
        shape = dict(
            resolution=resolution, channels=options.channels, fmap_base=options.fmap_base, fmap_max=options.fmap_max
        )
        with building_in(training_policy(options.mixed_precision)):
            self.generator = Generator(latent_size=options.latent_size, fade=True, **shape)
            self.average = Generator(latent_size=options.latent_size, fade=True, **shape)
            self.discriminator = Discriminator(fade=True, **shape)
        self.average.set_weights(self.generator.get_weights())  # new layers start equal, old ones keep their average
        if grown_from:
            for name in ("generator", "average", "discriminator"):
                copy_weights(getattr(grown_from, name), getattr(self, name))
        self.generator_optimizer = _adam(options, self.generator)
        self.discriminator_optimizer = _adam(options, self.discriminator)

    def blend(self, alpha: float) -> None:
        """Set alpha of all three networks; the 4x4 networks have none."""
        if self.resolution > 4:
            for network in (self.generator, self.average, self.discriminator):
                set_alpha(network, alpha)

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        networks = {n: getattr(self, n) for n in ("generator", "average", "discriminator")}
        arrays = {k: v for n, network in networks.items() for k, v in checkpoints.weights_of(n, network).items()}
        for name in ("generator_optimizer", "discriminator_optimizer"):
            arrays |= checkpoints.optimizer_of(name, getattr(self, name))
        return arrays

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`; a checkpoint without optimisers (a published one) starts them afresh."""
        for name in ("generator", "average", "discriminator"):
            checkpoints.set_weights(name, getattr(self, name), arrays)
        for name in ("generator_optimizer", "discriminator_optimizer"):
            if f"{name}/0" in arrays:
                checkpoints.set_optimizer(name, getattr(self, name), arrays)

    def reset_optimizers(self) -> None:
        """Forget Adam's moments, as the original does at the start and at the end of each fade."""
        for optimizer in (self.generator_optimizer, self.discriminator_optimizer):
            for variable in optimizer.variables:
                if "learning_rate" not in variable.name:
                    variable.assign(tf.zeros_like(variable))


def _adam(options: GANOptions, network):
    adam = keras.optimizers.Adam(options.learning_rate, options.beta_1, options.beta_2, epsilon=1e-8)
    adam.build(network.trainable_variables)
    return adam


def reals_at(images: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Real images faded as the generator's: (1 - alpha) of the 2x2 box average, alpha of the image itself."""
    coarse = ops.upsample(ops.downsample(images))
    return coarse + alpha * (images - coarse)


def make_step(nets: Networks):
    """Compiled `step(real, latent, alpha, decay, seed, penalise) -> (discriminator loss, generator loss)`.

    One discriminator update, then one generator update on the same latents. `seed` is the gradient penalty's. `penalise` is
    a Python bool: with the non-saturating loss R1 runs only every `r1_every` steps, weighted as often as it is skipped.
    """
    options, g, d = nets.options, nets.generator, nets.discriminator

    @tf.function
    def step(real, latent, alpha, decay, seed, penalise: bool):
        real = reals_at(real, alpha)
        with tf.GradientTape() as g_tape:
            fake = g(latent, training=True)
            with tf.GradientTape() as d_tape:
                d_loss = losses.discriminator_loss(options, d(real, training=True), d(tf.stop_gradient(fake), training=True))
                penalised = d_loss + _penalty(nets, real, tf.stop_gradient(fake), seed) if penalise else d_loss
            _apply(nets.discriminator_optimizer, d_tape.gradient(penalised, d.trainable_variables), d)
            g_loss = losses.generator_loss(options, d(fake, training=True))
        _apply(nets.generator_optimizer, g_tape.gradient(g_loss, g.trainable_variables), g)
        for mean, weight in zip(nets.average.trainable_variables, g.trainable_variables):
            mean.assign(weight + decay * (mean - weight))
        return d_loss, g_loss

    return step


def _penalty(nets: Networks, real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    options = nets.options
    if options.loss == "wgan-gp":
        return losses.gradient_penalty(options, nets.discriminator, real, fake, seed)
    weight = options.r1_every * losses.r1_weight(nets.resolution, real.shape[0])
    return weight * losses.r1_penalty(nets.discriminator, real)


def _apply(optimizer, gradients, network) -> None:
    pairs = zip(gradients, network.trainable_variables)
    optimizer.apply_gradients([(tf.zeros_like(v) if g is None else g, v) for g, v in pairs])


def train(
    options: GANOptions, items, folder: Path, *, memory: bool = False, minutes: float = 0.0, quiet: bool = False
) -> int:
    """Train from the newest checkpoint of `folder` (or from nothing) to the end of the schedule.

    Args:
        items: `data.entries(...)`.
        folder: run folder; gets `options.json`, checkpoints, sample sheets and TensorBoard logs.
        memory: hold the decoded pictures of the current resolution in memory.
        minutes: stop with a checkpoint after so long (0: no limit).

    Returns:
        Images shown so far, over all runs of this folder.
    """
    nets, seen, phase = _resume(options, folder)
    folder.mkdir(parents=True, exist_ok=True)
    images.write_text(folder / "options.json", config.to_json(options))
    progress = Progress(folder, schedule.total_images(options), minutes=minutes, quiet=quiet)
    while seen < progress.total and not progress.out_of_time():
        point = schedule.at(seen, options)
        if nets is None or nets.resolution != point.resolution:
            nets = Networks(options, point.resolution, grown_from=nets)
        seen, phase = _train_stage(nets, items, seen, phase, folder, memory, progress)
    return seen


def _resume(options: GANOptions, folder: Path):
    found = checkpoints.load_latest(folder)
    if found is None:
        return None, 0, -1
    arrays, record = found
    for name in ("channels", "latent_size", "fmap_base", "fmap_max"):
        if record["options"][name] != getattr(options, name):
            raise ValueError(f"{folder} was trained with {name} {record['options'][name]}, not {getattr(options, name)}")
    nets = Networks(options, record["resolution"])
    nets.restore(arrays)
    return nets, record["images"], record["phase"]


def _train_stage(nets: Networks, items, seen: int, phase: int, folder: Path, memory: bool, progress: Progress):
    """Steps at one resolution until the schedule moves on, the time is up or the run ends; leaves a checkpoint."""
    options, point = nets.options, schedule.at(seen, nets.options)
    source = data.Source(items, point.resolution, options.channels, memory)
    stream = data.stream(source, point.batch_size, seed=options.seed, start=seen, mirror=options.mirror)
    step = make_step(nets)
    while seen < progress.total and not progress.out_of_time():
        point = schedule.at(seen, options)
        if point.resolution != nets.resolution:
            break
        if point.phase != phase:
            nets.reset_optimizers()
            phase = point.phase
        nets.blend(point.alpha)
        count = seen // point.batch_size
        latent = tf.random.stateless_normal((point.batch_size, options.latent_size), seed=(options.seed, seen))
        penalise = options.loss == "wgan-gp" or count % options.r1_every == 0
        mixing = tf.constant([options.seed + 1, seen])  # not the latents' seed, which would draw the same bits
        alpha, decay = tf.constant(point.alpha), tf.constant(schedule.average_decay(point.step, options))
        d_loss, g_loss = step(next(stream), latent, alpha, decay, mixing, penalise)
        seen += point.batch_size
        progress.step(seen, point.batch_size, dict(resolution=point.resolution, alpha=point.alpha), d=d_loss, g=g_loss)
        if progress.checkpoint_due():
            _save(nets, seen, phase, folder)
    _save(nets, seen, phase, folder)
    return seen, phase


def _save(nets: Networks, seen: int, phase: int, folder: Path) -> None:
    record = dict(images=seen, phase=phase, resolution=nets.resolution, options=config.to_dict(nets.options))
    checkpoints.save_rotating(folder, seen, nets.arrays(), record)
    latent = tf.random.stateless_normal((48, nets.options.latent_size), seed=(nets.options.seed, 7))
    sheet = plots.grid(np.asarray(nets.average(latent, training=False)), columns=8)
    images.write(folder / f"samples-{seen:09d}.png", sheet)


def networks_of(folder: Path) -> tuple[Networks, dict]:
    """Networks and record of the newest checkpoint of a run folder. Raises ValueError if there is none."""
    arrays, record = checkpoints.require_latest(folder)
    nets = Networks(config.from_dict(GANOptions, record["options"]), record["resolution"])
    nets.restore(arrays)
    return nets, record


def generator_of(nets: Networks) -> Generator:
    """The averaged generator without its fade, float32: what a preset ships."""
    generator = Generator(**{**nets.average.config, "fade": False})
    copy_weights(nets.average, generator)
    return generator


def options_of(folder: Path) -> GANOptions:
    return config.from_dict(GANOptions, json.loads((folder / "options.json").read_text()))
