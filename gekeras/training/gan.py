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
from ..models.layers import GROUP_SIZE
from ..models.pgan import Discriminator, Generator, copy_weights, set_alpha
from ..models.precision import building_in, training_policy
from . import checkpoints, distribute, divergence, losses, schedule
from .run import Run

SHEET = 48  # samples on a sheet, and real pictures that their variance is compared with


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
        self.generator_optimizer = _adam(options, resolution, self.generator)
        self.discriminator_optimizer = _adam(options, resolution, self.discriminator)

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


def _adam(options: GANOptions, resolution: int, network):
    adam = keras.optimizers.Adam(
        schedule.learning_rate_at(resolution, options), options.beta_1, options.beta_2, epsilon=1e-8
    )
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
    `latent` is the whole batch's, `real` what this worker has read; of both, every replica takes its own rows.
    """
    options, g, d, strategy = nets.options, nets.generator, nets.discriminator, tf.distribute.get_strategy()

    def replica(real, latent, alpha, seed, penalise):
        real, latent = reals_at(distribute.local_rows(real), alpha), distribute.replica_rows(latent)
        with tf.GradientTape() as g_tape:
            fake = g(latent, training=True)
            with tf.GradientTape() as d_tape:
                d_loss = losses.discriminator_loss(options, d(real, training=True), d(tf.stop_gradient(fake), training=True))
                penalised = d_loss + _penalty(nets, real, tf.stop_gradient(fake), seed) if penalise else d_loss
                penalised = distribute.share_of_mean(penalised)
            _apply(nets.discriminator_optimizer, d_tape.gradient(penalised, d.trainable_variables), d)
            g_loss = distribute.share_of_mean(losses.generator_loss(options, d(fake, training=True)))
        _apply(nets.generator_optimizer, g_tape.gradient(g_loss, g.trainable_variables), g)
        return tf.stack([distribute.share_of_mean(d_loss), g_loss])

    @tf.function
    def step(real, latent, alpha, decay, seed, penalise: bool):
        parts = strategy.run(replica, (real, latent, alpha, seed, penalise))
        distribute.move_average(strategy, nets.average.trainable_variables, g.trainable_variables, decay)
        return tf.unstack(strategy.reduce("SUM", parts, axis=None))

    return step


def _penalty(nets: Networks, real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    options = nets.options
    if options.loss == "wgan-gp":
        return losses.gradient_penalty(options, nets.discriminator, real, fake, seed)
    weight = options.r1_every * losses.r1_weight(nets.resolution, distribute.replicas() * real.shape[0])
    return weight * losses.r1_penalty(nets.discriminator, real)


def _apply(optimizer, gradients, network) -> None:
    pairs = zip(gradients, network.trainable_variables)
    optimizer.apply_gradients([(tf.zeros_like(v) if g is None else g, v) for g, v in pairs])


def train(
    options: GANOptions,
    items,
    folder: Path,
    *,
    memory: bool = False,
    minutes: float = 0.0,
    quiet: bool = False,
    save_every: float = 120.0,
    strategy: tf.distribute.Strategy | None = None,
) -> int:
    """Train from the newest checkpoint of `folder` (or from nothing) to the end of the schedule.

    Args:
        items: `data.entries(...)`.
        folder: run folder, see `run.Run`.
        memory: hold the decoded pictures of the current resolution in memory.
        minutes, save_every: see `run.Run`.
        strategy: of `distribute.strategy_for`; the result is that of one device.

    Returns:
        Images shown so far, over all runs of this folder.

    Raises:
        ValueError: the folder holds a GAN of other sizes, or is in use; a picture cannot be decoded; no room to save; a
            batch cannot be split over the replicas.
        divergence.Diverged: a loss is not finite, or the samples are all alike.
        run.Interrupted: a signal asked to stop.
        distribute.WorkerLost: another worker is gone.
    """
    limits = dict(minutes=minutes, quiet=quiet, save_every=save_every)
    with distribute.scope(strategy) as role:
        for stage in options.stages:
            distribute.require_divisible(schedule.batch_size_at(stage.resolution, options), GROUP_SIZE)
        nets, seen, phase = _resume(options, folder)
        with Run(folder, config.to_json(options), schedule.total_images(options), role=role, **limits) as run:
            run.require_same_start(seen)
            while run.goes_on(seen):
                point = schedule.at(seen, options)
                if nets is None or nets.resolution != point.resolution:
                    nets = Networks(options, point.resolution, grown_from=nets)
                seen, phase = _train_stage(nets, items, seen, phase, memory, run)
    return seen


def _resume(options: GANOptions, folder: Path):
    found = checkpoints.load_latest(folder)
    if found is None:
        return None, 0, -1
    arrays, record = found
    if "phase" not in record:
        raise ValueError(f"{folder} is not the run of a GAN")
    for name in ("channels", "latent_size", "fmap_base", "fmap_max"):
        if record["options"][name] != getattr(options, name):
            raise ValueError(f"{folder} was trained with {name} {record['options'][name]}, not {getattr(options, name)}")
    resolution, seen = record["resolution"], record["images"]
    if seen < schedule.total_images(options) and (due := schedule.at(seen, options).resolution) < resolution:
        raise ValueError(f"{folder} holds a GAN at {resolution} px; after {seen:,} images the schedule is at {due} px")
    nets = Networks(options, resolution)
    nets.restore(arrays)
    return nets, seen, record["phase"]


def _train_stage(nets: Networks, items, seen: int, phase: int, memory: bool, run: Run):
    """Steps at one resolution until the schedule moves on, the time is up or the run ends; leaves a checkpoint."""
    options, point = nets.options, schedule.at(seen, nets.options)
    source = data.Source(items, point.resolution, options.channels, memory)
    views = dict(mirror=options.mirror, turn=options.turn, shard=run.role.shard)
    stream = data.stream(source, point.batch_size, seed=options.seed, start=seen, **views)
    step, real = make_step(nets), images.from_uint8(source.take(np.arange(min(SHEET, len(source)))))

    def write():
        _save(nets, seen, phase, real, run)

    while run.goes_on(seen):
        point = schedule.at(seen, options)
        if point.resolution != nets.resolution:
            break
        if point.phase != phase:
            nets.reset_optimizers()
            phase = point.phase
        nets.blend(point.alpha)
        d_loss, g_loss = step(run.take(stream), *step_inputs(options, point, seen))
        seen += point.batch_size
        run.step(seen, point.batch_size, dict(resolution=point.resolution, alpha=point.alpha), d=d_loss, g=g_loss)
        if run.save_due():
            run.save(write, seen)
    run.finish(write, seen)
    return seen, phase


def step_inputs(options: GANOptions, point: schedule.Point, seen: int):
    """latent, alpha, decay, seed and penalise of the step after `seen` images: functions of it, so that a run resumes."""
    latent = tf.random.stateless_normal((point.batch_size, options.latent_size), seed=(options.seed, seen))
    mixing = tf.constant([options.seed + 1, seen])  # not the latents' seed, which would draw the same bits
    penalise = options.loss == "wgan-gp" or (seen // point.batch_size) % options.r1_every == 0
    return latent, tf.constant(point.alpha), tf.constant(schedule.average_decay(point.step, options)), mixing, penalise


def _save(nets: Networks, seen: int, phase: int, real: np.ndarray, run: Run) -> None:
    record = dict(images=seen, phase=phase, resolution=nets.resolution, options=config.to_dict(nets.options))
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    latent = tf.random.stateless_normal((SHEET, nets.options.latent_size), seed=(nets.options.seed, 7))
    samples = np.asarray(nets.average(latent, training=False))
    run.sheet(seen, plots.grid(samples, columns=8))
    run.diversity(seen, divergence.diversity(samples, real))


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
