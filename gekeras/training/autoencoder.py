"""Training of a task's autoencoder: Algorithm 1 step 2 with the added term of section 3.2.2.

Each step shows real and generated images half and half; for a task with a degradation the loss is
||AE(x) - x||^2 + ||AE(x_dagger) - x||^2 (as means over pixels), so that E sees pictures as they arrive and filters them.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from .. import config, data, images, plots
from ..config import AutoencoderOptions
from ..models.autoencoder import BLOCKS, Decoder, Encoder
from ..models.precision import building_in, training_policy
from ..operators import Identity, Task
from . import checkpoints, distribute
from .generators import draw
from .run import Run
from .schedule import half_cosine


class Networks:
    """Encoder, decoder and their optimizer."""

    def __init__(self, options: AutoencoderOptions, resolution: int, channels: int, blocks: int = BLOCKS):
        keras.utils.set_random_seed(options.seed)
        shape = dict(
            resolution=resolution, channels=channels, width=options.width, code_size=options.code_size, blocks=blocks
        )
        with building_in(training_policy(options.mixed_precision)):
            self.encoder, self.decoder = Encoder(**shape), Decoder(**shape)
        self.optimizer = keras.optimizers.Adam(options.learning_rate)
        self.optimizer.build(self.trainable_variables)

    @property
    def trainable_variables(self):
        return self.encoder.trainable_variables + self.decoder.trainable_variables

    def __call__(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """AE(x) = DC(E(x))."""
        return self.decoder(self.encoder(x, training=training), training=training)

    def arrays(self) -> checkpoints.Arrays:
        networks = checkpoints.weights_of("encoder", self.encoder) | checkpoints.weights_of("decoder", self.decoder)
        return networks | checkpoints.optimizer_of("optimizer", self.optimizer)

    def restore(self, arrays: checkpoints.Arrays, optimizer: bool = True) -> None:
        checkpoints.set_weights("encoder", self.encoder, arrays)
        checkpoints.set_weights("decoder", self.decoder, arrays)
        if optimizer:
            checkpoints.set_optimizer("optimizer", self.optimizer, arrays)


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
    items,
    validation,
    generator,
    latent_size: int,
    folder: Path,
    *,
    latent: str = "normal",
    start: checkpoints.Arrays | None = None,
    minutes: float = 0.0,
    quiet: bool = False,
    save_every: float = 120.0,
    strategy: tf.distribute.Strategy | None = None,
) -> list[tuple[int, float]]:
    """Train from the newest checkpoint of `folder`, from the weights `start`, or from nothing.

    Args:
        items, validation: `data.Source` of training and of held-out real images.
        generator: G, latent -> image; frozen.
        latent: what its input is drawn from, see `config.LATENTS`.
        strategy: of `distribute.strategy_for`; the result is that of one device.

    Returns:
        The validation curve: (real images shown, MSE of AE(x_dagger) against x on [-1, 1]).

    Raises:
        ValueError: as `gan.train`.
        distribute.WorkerLost: another worker is gone.
    """
    limits = dict(minutes=minutes, quiet=quiet, save_every=save_every)
    with distribute.scope(strategy) as role:
        distribute.require_divisible(options.batch_size)
        held_out = images.from_uint8(validation.take(np.arange(len(validation))))
        _, side, _, channels = held_out.shape
        nets = Networks(options, side, channels, blocks=min(BLOCKS, side.bit_length() - 1))
        seen, curve = _resume(nets, task, folder, start)
        with Run(folder, config.to_json(options), options.images, role=role, **limits) as run:
            run.require_same_start(seen)
            pool = data.Source(make_pool(generator, latent_size, options.pool, options.seed, latent=latent))
            streams = _streams(options, (items, pool), seen, role.shard)
            _loop(nets, options, task, streams, held_out, seen, curve, run)
    return curve


def _loop(nets: Networks, options: AutoencoderOptions, task: Task, streams, held_out, seen: int, curve, run: Run) -> None:
    """Steps until the run ends; extends the curve and leaves a checkpoint."""
    step = make_step(nets, task)

    def write():
        _save(nets, options, task, seen, curve, held_out, run)

    while run.goes_on(seen):
        rate = tf.constant(learning_rate(seen, options), tf.float32)
        error = step(*map(run.take, streams), tf.constant([options.seed, seen]), rate)
        before, seen = seen, seen + options.batch_size
        run.step(seen, options.batch_size, {}, train=error, validation=_last(curve))
        if before // options.validate_every != seen // options.validate_every:
            curve.append((seen, validate(nets, task, held_out)))
        if run.save_due():
            run.save(write, seen)
    if not curve or curve[-1][0] != seen:
        curve.append((seen, validate(nets, task, held_out)))
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
    errors = []
    for i in range(0, len(held_out), chunk):
        x = tf.constant(held_out[i : i + chunk])
        restored = nets(task.observe(x, tf.constant([0, i])))
        errors.append(tf.reduce_mean(tf.square(restored - x), axis=(1, 2, 3)).numpy())
    return float(np.concatenate(errors).mean())


def _last(curve) -> float:
    return curve[-1][1] if curve else float("nan")


def _resume(nets: Networks, task: Task, folder: Path, start: checkpoints.Arrays | None) -> tuple[int, list]:
    if found := checkpoints.load_latest(folder):
        arrays, record = found
        asked = dict(task=task.name, parameters=task.parameters, network=nets.encoder.config)
        checkpoints.require_same(folder, record, asked)
        nets.restore(arrays)
        return record["images"], [tuple(point) for point in record["curve"]]
    if start is not None:
        nets.restore(start, optimizer=False)
    return 0, []


def _save(nets, options, task: Task, seen: int, curve, held_out: np.ndarray, run: Run) -> None:
    record = dict(
        images=seen,
        curve=curve,
        task=task.name,
        parameters=task.parameters,
        network=nets.encoder.config,
        options=config.to_dict(options),
    )
    checkpoints.save_rotating(run.folder, seen, nets.arrays(), record)
    x = tf.constant(held_out[:8])
    observed = task.observe(x, tf.constant([0, 0]))
    run.sheet(seen, plots.grid(np.concatenate([x, observed, nets(observed)]), columns=len(x)))


def networks_of(folder: Path) -> tuple[Networks, dict]:
    """Networks and record of the newest checkpoint of a run. Raises ValueError if there is none, or not an autoencoder's."""
    arrays, record = checkpoints.require_latest(folder)
    if not {"network", "task"} <= set(record):
        raise ValueError(f"{folder} is not the run of an autoencoder")
    shape = record["network"]
    nets = Networks(
        config.from_dict(AutoencoderOptions, record["options"]), shape["resolution"], shape["channels"], shape["blocks"]
    )
    nets.restore(arrays)
    return nets, record
