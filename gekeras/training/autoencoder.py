"""Training of a task's autoencoder: Algorithm 1 step 2 with the added term of section 3.2.2.

Each step shows real and generated images half and half; for a task with a degradation the loss is
||AE(x) - x||^2 + ||AE(x_dagger) - x||^2 (as means over pixels), so that E sees pictures as they arrive and filters them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, images, plots
from ..config import AutoencoderOptions, Limits
from ..models.autoencoder import BLOCKS, Decoder, Encoder
from ..models.precision import building_in, training_policy
from ..operators import Identity, Task
from . import checkpoints, distribute, optimizers, validation
from .latents import draw
from .run import USUAL, Run
from .schedule import half_cosine

MARKS = ("task", "curve")  # the record's keys by which its runs are known; a starter's has no curve
NETWORKS = ("encoder", "decoder")


class Networks:
    """Encoder, decoder and their optimizer."""

    def __init__(self, options: AutoencoderOptions, resolution: int, channels: int, blocks: int = BLOCKS):
        keras.utils.set_random_seed(options.seed)
        shape = dict(
            resolution=resolution, channels=channels, width=options.width, code_size=options.code_size, blocks=blocks
        )
        with building_in(training_policy(options.mixed_precision)):
            self.encoder, self.decoder = Encoder(**shape), Decoder(**shape)
        self.optimizer = optimizers.adam(self.trainable_variables, options.learning_rate)

    @property
    def trainable_variables(self):
        return self.encoder.trainable_variables + self.decoder.trainable_variables

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """AE(x) = DC(E(x))."""
        return self.decoder(self.encoder(x, training=training), training=training)

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        return checkpoints.arrays_of(self, NETWORKS, ["optimizer"])

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`."""
        checkpoints.restore(self, arrays, NETWORKS, ["optimizer"])

    def start_from(self, arrays: checkpoints.Arrays) -> None:
        """Take the weights of another autoencoder, not its moments."""
        checkpoints.restore(self, arrays, NETWORKS)


def learning_rate(seen: int, options: AutoencoderOptions) -> float:
    """Half a cosine from `learning_rate` to `final_learning_rate` over `images`."""
    return half_cosine(seen / options.images, options.learning_rate, options.final_learning_rate)


def make_step(nets: Networks, task: Task):
    """Compiled `step(real, generated, seed, rate) -> mean squared error` over both halves.

    `real` and `generated` are what this worker has read; every replica takes its own rows, and its part of what the task
    draws for the whole batch.
    """
    degraded, strategy = not isinstance(task.degrade, Identity), tf.distribute.get_strategy()

    def replica(real, generated, seed):
        x = tf.concat([distribute.local_rows(real), distribute.local_rows(generated)], axis=0)
        with tf.GradientTape() as tape:
            loss = error = tf.reduce_mean(tf.square(nets(x, training=True) - x))
            if degraded:
                observed = distribute.replica_rows(task.observe(distribute.whole_batch(x), seed))
                loss += tf.reduce_mean(tf.square(nets(observed, training=True) - x))
            loss = distribute.share_of_mean(loss)
        nets.optimizer.apply_gradients(zip(tape.gradient(loss, nets.trainable_variables), nets.trainable_variables))
        return distribute.share_of_mean(error)

    @tf.function
    def step(real, generated, seed, rate):
        nets.optimizer.learning_rate.assign(rate)
        return strategy.reduce("SUM", strategy.run(replica, (real, generated, seed)), axis=None)

    return step


def make_pool(generator, latent_size: int, count: int, seed: int, chunk: int = 64, latent: str = "normal") -> np.ndarray:
    """`count` generated images as uint8 `[count, h, w, c]`, a function of the seed; `latent` as in `config.LATENTS`."""
    generate = tf.function(lambda z: generator(z), reduce_retracing=True)
    parts = []
    for i in range(0, count, chunk):
        drawn = draw((min(chunk, count - i), latent_size), (seed, i), latent)
        parts.append(images.to_uint8(generate(drawn).numpy()))
    return np.concatenate(parts)


def train(
    options: AutoencoderOptions,
    task: Task,
    source: data.Source,
    held_out: data.Source,
    generator,
    latent_size: int,
    folder: Path,
    *,
    latent: str = "normal",
    start: checkpoints.Arrays | None = None,
    limits: Limits = USUAL,
    strategy: tf.distribute.Strategy | None = None,
) -> validation.Curve:
    """Train from the newest checkpoint of `folder`, from the weights `start`, or from nothing.

    Args:
        task: its degradation is what the encoder learns to filter.
        source, held_out: real images to train on, and for the validation curve.
        generator: G, latent `[n, latent_size]` -> image; frozen.
        folder: run folder, see `run.Run`.
        latent: what G's input is drawn from, see `config.LATENTS`.
        start: weights by name, as `sources.autoencoder_weights` gives them.
        limits: time limit, checkpoints and messages, see `config.Limits`.
        strategy: of `distribute.strategy_for`; the result is that of one device.

    Returns:
        The validation curve: (real images shown, MSE of AE(x_dagger) against x on [-1, 1]).

    Raises:
        ValueError: as `gan.train`.
        distribute.WorkerLost: another worker is gone.
    """
    with distribute.scope(strategy) as role:
        distribute.require_divisible(options.batch_size)
        truth = validation.pictures(held_out)
        _, side, _, channels = truth.shape
        nets = Networks(options, side, channels, blocks=min(BLOCKS, side.bit_length() - 1))
        seen, curve = _resume(nets, task, folder, start)
        with Run(folder, config.to_json(options), options.images, limits=limits, role=role) as run:
            run.require_same_start(seen)
            pool = data.Source(make_pool(generator, latent_size, options.pool, options.seed, latent=latent))
            streams = _streams(options, (source, pool), seen, role.shard)
            _loop(nets, options, task, streams, truth, seen, curve, run)
    return curve


def _loop(nets: Networks, options: AutoencoderOptions, task: Task, streams, truth, seen: int, curve, run: Run) -> None:
    """Steps until the run ends; extends the curve and leaves a checkpoint."""
    step = make_step(nets, task)

    def measure():
        return validate(nets, task, truth)

    def write():
        _save(nets, options, task, seen, curve, truth, run)

    while run.goes_on(seen):
        rate = tf.constant(learning_rate(seen, options), tf.float32)
        error = step(*map(run.take, streams), tf.constant([options.seed, seen]), rate)
        before, seen = seen, seen + options.batch_size
        run.step(seen, options.batch_size, {}, train=error, validation=validation.last(curve))
        if validation.due(before, seen, options.validate_every):
            validation.add_point(curve, seen, measure)
        if run.save_due():
            run.save(write, seen)
    validation.add_point(curve, seen, measure)
    run.finish(write, seen)


def _streams(options: AutoencoderOptions, sources, seen: int, shard: tuple[int, int]) -> list:
    """The streams of real and of generated pictures, each with an order of its own."""
    views = dict(mirror=options.mirror, turn=options.turn, shard=shard)
    return [
        data.stream(source, options.batch_size, seed=options.seed + i, start=seen, **views)
        for i, source in enumerate(sources)
    ]


def validate(nets: Networks, task: Task, held_out: np.ndarray, chunk: int = 64) -> float:
    """MSE of AE(x_dagger) against x, on [-1, 1]."""
    return validation.mean_squared_error(lambda x, i: nets(task.observe(x, tf.constant([0, i]))), held_out, chunk)


def _resume(nets: Networks, task: Task, folder: Path, start: checkpoints.Arrays | None) -> tuple[int, validation.Curve]:
    """Images shown and curve of the newest checkpoint, or of a fresh run."""
    if latest := checkpoints.load_latest(folder):
        arrays, record = latest
        asked = dict(task=task.name, parameters=task.parameters, network=nets.encoder.config)
        checkpoints.require_same(folder, record, asked)
        nets.restore(arrays)
        return record["images"], validation.curve_of(record)
    if start is not None:
        nets.start_from(start)
    return 0, []


def _save(nets, options, task: Task, seen: int, curve, truth: np.ndarray, run: Run) -> None:
    record = dict(
        images=seen,
        curve=curve,
        task=task.name,
        parameters=task.parameters,
        network=nets.encoder.config,
        options=config.to_dict(options),
    )
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    x = tf.constant(truth[:8])
    observed = task.observe(x, tf.constant([0, 0]))
    run.sheet(seen, plots.grid(np.concatenate([x, observed, nets(observed)]), columns=len(x)))


def networks_of(folder: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks and record of the newest checkpoint of a run. Raises ValueError if there is none, or not an autoencoder's."""
    arrays, record = checkpoints.require_run(folder, "an autoencoder", *MARKS)
    shape = [record["network"][name] for name in ("resolution", "channels", "blocks")]
    nets = Networks(config.from_dict(AutoencoderOptions, record["options"]), *shape)
    nets.restore(arrays)
    return nets, record
