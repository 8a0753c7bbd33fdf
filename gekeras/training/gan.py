"""Training of the progressive GAN: the networks of one resolution, one step, and the loop over the schedule.

Karras et al. 2018. Everything that changes while a compiled step runs (alpha, images, latents) is a tensor; everything a
resumed run needs is in the checkpoint or is a function of images shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, plots
from ..config import GANOptions, Limits
from ..models import ops
from ..models.layers import GROUP_SIZE
from ..models.pgan import Discriminator, Generator, copy_weights, set_alpha
from ..models.precision import building_in, training_policy
from . import checkpoints, distribute, divergence, losses, optimizers, schedule, validation
from .run import USUAL, Run

MARK = "phase"  # the record's key by which its runs are known
LATENT = "normal"  # z ~ N(0, I), see `config.LATENTS`
SHEET = 48  # samples on a sheet, and real pictures that their variance is compared with
SIZES = ("channels", "latent_size", "fmap_base", "fmap_max")  # a run keeps them; its resolution grows
NETWORKS = ("generator", "average", "discriminator")
OPTIMIZERS = ("generator_optimizer", "discriminator_optimizer")


class Networks:
    """Generator, its moving average, discriminator and their optimizers at one resolution."""

    def __init__(self, options: GANOptions, resolution: int, grown_from: Networks | None = None):
        self.options, self.resolution = options, resolution
        keras.utils.set_random_seed(options.seed + resolution)
        shape = dict(
            resolution=resolution, channels=options.channels, fmap_base=options.fmap_base, fmap_max=options.fmap_max
        )
        with building_in(training_policy(options.mixed_precision)):
            own = dict(latent_size=options.latent_size, bilinear_from=options.bilinear_from, fade=True)
            self.generator, self.average = Generator(**own, **shape), Generator(**own, **shape)
            self.discriminator = Discriminator(fade=True, **shape)
        self.average.set_weights(self.generator.get_weights())  # new layers start equal, old ones keep their average
        if grown_from:
            for name in NETWORKS:
                copy_weights(getattr(grown_from, name), getattr(self, name))
        adam = (schedule.learning_rate_at(resolution, options), options.beta_1, options.beta_2, optimizers.EPSILON)
        self.generator_optimizer = optimizers.adam(self.generator.trainable_variables, *adam)
        self.discriminator_optimizer = optimizers.adam(self.discriminator.trainable_variables, *adam)

    def blend(self, alpha: float) -> None:
        """Set alpha of all three networks; the 4x4 networks have none."""
        if self.resolution > 4:
            for network in (self.generator, self.average, self.discriminator):
                set_alpha(network, alpha)

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        return checkpoints.arrays_of(self, NETWORKS, OPTIMIZERS)

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`."""
        checkpoints.restore(self, arrays, NETWORKS, OPTIMIZERS)

    def reset_optimizers(self) -> None:
        """Forget Adam's moments, as the original does at the start and at the end of each fade."""
        optimizers.forget(self.generator_optimizer)
        optimizers.forget(self.discriminator_optimizer)


def reals_at(images: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    """Real images faded as the generator's: (1 - alpha) of the 2x2 box average, alpha of the image itself."""
    coarse = ops.upsample(ops.downsample(images))
    return coarse + alpha * (images - coarse)


def make_step(nets: Networks):
    """Compiled `step(real, latent, alpha, decay, seed, penalize) -> (discriminator loss, generator loss)`.

    One discriminator update, then one generator update on the same latents. `seed` is the gradient penalty's. `penalize` is
    a Python bool: with the non-saturating loss R1 runs only every `r1_every` steps, weighted as often as it is skipped.
    `latent` is the whole batch's, `real` what this worker has read; of both, every replica takes its own rows.
    """
    options, g, d, strategy = nets.options, nets.generator, nets.discriminator, tf.distribute.get_strategy()

    def replica(real, latent, alpha, seed, penalize):
        real, latent = reals_at(distribute.local_rows(real), alpha), distribute.replica_rows(latent)
        with tf.GradientTape() as g_tape:
            fake = g(latent, training=True)
            with tf.GradientTape() as d_tape:
                d_loss = losses.discriminator_loss(options, d(real, training=True), d(tf.stop_gradient(fake), training=True))
                total = d_loss + _penalty(nets, real, tf.stop_gradient(fake), seed) if penalize else d_loss
                total = distribute.share_of_mean(total)
            of_d = d_tape.gradient(total, d.trainable_variables)
            optimizers.apply(nets.discriminator_optimizer, of_d, d.trainable_variables)
            g_loss = distribute.share_of_mean(losses.generator_loss(options, d(fake, training=True)))
        of_g = g_tape.gradient(g_loss, g.trainable_variables)
        optimizers.apply(nets.generator_optimizer, of_g, g.trainable_variables)
        return tf.stack([distribute.share_of_mean(d_loss), g_loss])

    @tf.function
    def step(real, latent, alpha, decay, seed, penalize: bool):
        parts = strategy.run(replica, (real, latent, alpha, seed, penalize))
        distribute.move_average(strategy, nets.average, g, decay)
        return tf.unstack(strategy.reduce("SUM", parts, axis=None))

    return step


def _penalty(nets: Networks, real: tf.Tensor, fake: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    options = nets.options
    if options.loss == "wgan-gp":
        return losses.gradient_penalty(options, nets.discriminator, real, fake, seed)
    weight = options.r1_every * losses.r1_weight(nets.resolution, distribute.replicas() * real.shape[0])
    return weight * losses.r1_penalty(nets.discriminator, real)


def train(
    options: GANOptions,
    items,
    folder: Path,
    *,
    memory: bool = False,
    limits: Limits = USUAL,
    strategy: tf.distribute.Strategy | None = None,
) -> int:
    """Train from the newest checkpoint of `folder` (or from nothing) to the end of the schedule.

    Args:
        items: `data.entries(...)`.
        folder: run folder, see `run.Run`.
        memory: hold the decoded pictures of the current resolution in memory.
        limits: time limit, checkpoints and messages, see `config.Limits`.
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
    with distribute.scope(strategy) as role:
        for stage in options.stages:
            distribute.require_divisible(schedule.batch_size_at(stage.resolution, options), GROUP_SIZE)
        nets, record = _resume(options, folder)
        seen, phase = record["images"], record["phase"]
        with Run(folder, config.to_json(options), schedule.total_images(options), limits=limits, role=role) as run:
            run.require_same_start(seen)
            if (before := record["options"].get("bilinear_from", 0)) != options.bilinear_from and seen:
                now = f"features are doubled bilinearly from {options.bilinear_from} px on"
                run.say(f"{now}, no longer from {before} (0: nowhere)")
            while run.goes_on(seen):
                point = schedule.at(seen, options)
                if nets is None or nets.resolution != point.resolution:
                    nets = Networks(options, point.resolution, grown_from=nets)
                seen, phase = _train_stage(nets, items, seen, phase, memory, run)
    return seen


def _resume(options: GANOptions, folder: Path) -> tuple[Networks | None, dict[str, Any]]:
    """Networks and record of the newest checkpoint; None and the record of a beginning where there is none."""
    latest = checkpoints.load_latest(folder)
    if latest is None:
        return None, dict(images=0, phase=-1, options={})
    arrays, record = latest
    checkpoints.require_kind(folder, record, "a GAN", MARK)
    checkpoints.require_same(folder, record["options"], {name: getattr(options, name) for name in SIZES})
    resolution, seen = record["resolution"], record["images"]
    if seen < schedule.total_images(options) and (due := schedule.at(seen, options).resolution) < resolution:
        raise ValueError(f"{folder} holds a GAN at {resolution} px; after {seen:,} images the schedule is at {due} px")
    nets = Networks(options, resolution)
    nets.restore(arrays)
    return nets, record


def _train_stage(nets: Networks, items, seen: int, phase: int, memory: bool, run: Run):
    """Steps at one resolution until the schedule moves on, the time is up or the run ends; leaves a checkpoint."""
    options, point = nets.options, schedule.at(seen, nets.options)
    source = data.Source(items, point.resolution, options.channels, memory)
    views = dict(mirror=options.mirror, turn=options.turn, shard=run.role.shard)
    stream = data.stream(source, point.batch_size, seed=options.seed, start=seen, **views)
    step, real = make_step(nets), validation.pictures(source, SHEET)

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
    """latent, alpha, decay, seed and penalize of the step after `seen` images: functions of it, so that a run resumes."""
    latent = tf.random.stateless_normal((point.batch_size, options.latent_size), seed=(options.seed, seen))
    mixing = tf.constant([options.seed + 1, seen])  # not the latents' seed, which would draw the same bits
    penalize = options.loss == "wgan-gp" or (seen // point.batch_size) % options.r1_every == 0
    return latent, tf.constant(point.alpha), tf.constant(schedule.average_decay(point.step, options)), mixing, penalize


def _save(nets: Networks, seen: int, phase: int, real: np.ndarray, run: Run) -> None:
    record = dict(images=seen, phase=phase, resolution=nets.resolution, options=config.to_dict(nets.options))
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    latent = tf.random.stateless_normal((SHEET, nets.options.latent_size), seed=(nets.options.seed, 7))
    samples = np.asarray(nets.average(latent, training=False))
    run.sheet(seen, plots.grid(samples, columns=8))
    run.diversity(seen, divergence.diversity(samples, real))


def networks_of(folder: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks and record of the newest checkpoint of a run. Raises ValueError if there is none, or not a GAN's."""
    arrays, record = checkpoints.require_run(folder, "a GAN", MARK)
    nets = Networks(config.from_dict(GANOptions, record["options"]), record["resolution"])
    nets.restore(arrays)
    return nets, record


def generator_of(nets: Networks) -> Generator:
    """The averaged generator without its fade, float32: what a preset ships."""
    generator = Generator(**{**nets.average.config, "fade": False})
    copy_weights(nets.average, generator)
    return generator
