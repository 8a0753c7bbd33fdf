"""Training of a task's starter: R with ||E(S(G(R(m)))) - m||^2 + gamma ||G(R(m)) - DC(m)||^2 small, for the codes m that a
solve will meet.

Codes of generated pictures cost nothing but G and E, m = E(S(G(z))); where there are real pictures, half of the codes are
theirs, E(x_dagger). First R is fitted to pairs (z, m) in the metric of the averaged curvature, which costs seconds; then it
learns through G and E, where any latent that gives the code is right, not only the one that it was made from.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, data
from ..config import Limits, StarterOptions
from ..models.precision import building_in, training_policy
from ..models.starter import Starter, stretching, whitening
from . import checkpoints, optimizers
from .problem import CHUNK, Problem, same_networks
from .run import USUAL, Run
from .schedule import half_cosine

FIT_BATCH = 256
WARM_UP = 200  # steps until the learning rate has its full height
CLIP = 3.0  # norm of a gradient: a few codes far from all others must not decide
MARK = "fingerprint"  # the record's key by which its runs are known


class Networks:
    """The starter and its optimizer."""

    def __init__(self, options: StarterOptions, code_size: int, latent_size: int, latent: str):
        keras.utils.set_random_seed(options.seed)
        shape = dict(code_size=code_size, latent_size=latent_size, width=options.width, blocks=options.blocks)
        with building_in(training_policy(options.mixed_precision)):
            self.starter = Starter(**shape, latent=latent)
        self.optimizer = optimizers.adam(self.starter.trainable_variables, options.learning_rate, beta_2=0.99)

    def arrays(self) -> checkpoints.Arrays:
        """Everything that training changes, by name."""
        return checkpoints.arrays_of(self, ["starter"], ["optimizer"])

    def restore(self, arrays: checkpoints.Arrays) -> None:
        """Inverse of `arrays`."""
        checkpoints.restore(self, arrays, ["starter"], ["optimizer"])


def learning_rate(seen: int, options: StarterOptions) -> float:
    """Half a cosine from `learning_rate` to `final_learning_rate` over `images`, rising over the first steps."""
    rate = half_cosine(seen / options.images, options.learning_rate, options.final_learning_rate)
    return rate * min(1.0, (seen // options.batch_size + 1) / WARM_UP)


def train(
    options: StarterOptions,
    problem: Problem,
    folder: Path,
    *,
    source: data.Source | None = None,
    held_out: data.Source | None = None,
    limits: Limits = USUAL,
) -> float:
    """Train from the newest checkpoint of `folder`, or from nothing.

    Args:
        problem: generator, encoder and task that the starter is for.
        folder: run folder, see `run.Run`.
        source: real pictures, or None for generated ones alone.
        held_out: held-out real pictures; 256 generated ones without them.
        limits: time limit, checkpoints and messages, see `config.Limits`.

    Returns:
        The median over the validation codes of the objective at R(m).

    Raises:
        ValueError: a decoder_weight without a decoder, the folder's checkpoint is of another task, generator or encoder, or
            another process trains there.
    """
    if options.decoder_weight and problem.decoder is None:
        raise ValueError("there is no decoder here: decoder_weight (gamma) must be 0")
    fingerprint = problem.fingerprint()
    with Run(folder, config.to_json(options), options.images, limits=limits) as run:
        real = problem.codes_of(source, options.seed, options.mirror) if source is not None else None
        if held_out is not None:
            wanted = problem.codes_of(held_out, 0, False)
        else:
            wanted = problem.codes(problem.draw(256, (options.seed + 7, 0)))
        nets = Networks(options, wanted.shape[1], problem.latent_size, problem.latent)
        record = dict(task=problem.task.name, parameters=problem.task.parameters, network=nets.starter.config)
        if latest := checkpoints.load_latest(folder):
            seen = _restore(nets, latest, record, fingerprint, folder)
        else:
            run.say("computing codes and the averaged curvature")
            _prepare(nets, options, problem, real)
            seen = 0
        return _loop(nets, options, problem, real, wanted, seen, run, dict(record, fingerprint=fingerprint))


def _prepare(nets: Networks, options: StarterOptions, problem: Problem, real: np.ndarray | None) -> None:
    """The fixed ends of the network, then the fit to pairs."""
    latent = problem.draw(options.pairs, (options.seed, 0))
    codes = problem.codes(latent)
    bends = problem.curvature(options.probes, options.seed + 2, options.decoder_weight)
    nets.starter.get_layer("whiten").set_weights(whitening(codes if real is None else np.concatenate([codes, real])))
    nets.starter.get_layer("stretch").set_weights([stretching(bends)])
    metric = bends + 0.05 * np.trace(bends) / len(bends) * np.eye(len(bends))
    target = nets.starter.get_layer("latent")(latent) if problem.latent == "normal" else latent  # G sees its direction only
    _fit(nets, options, tf.constant(metric, tf.float32), tf.constant(codes), target)


def _fit(nets: Networks, options: StarterOptions, metric: tf.Tensor, codes: tf.Tensor, latent: tf.Tensor) -> None:
    """(R(m) - z)^T H (R(m) - z), which is ||J (R(m) - z)||^2 on average, over the pairs."""

    @tf.function
    def step(index, rate):
        nets.optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            off = nets.starter(tf.gather(codes, index), training=True) - tf.gather(latent, index)
            loss = tf.reduce_mean(tf.reduce_sum(tf.matmul(off, metric) * off, axis=1))
        _descend(nets, tape, loss)

    for k in range(options.fit_steps):
        index = tf.random.stateless_uniform((FIT_BATCH,), (options.seed + 3, k), 0, len(codes), tf.int32)
        step(index, tf.constant(options.learning_rate * min(1.0, (k + 1) / WARM_UP) * (1 - 0.9 * k / options.fit_steps)))
    optimizers.forget(nets.optimizer)  # the moments are of another loss


def _descend(nets: Networks, tape: tf.GradientTape, loss: tf.Tensor) -> None:
    """One step of R, its gradient no longer than `CLIP`."""
    weights = nets.starter.trainable_variables
    gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, weights), CLIP)
    nets.optimizer.apply_gradients(zip(gradients, weights))


def make_step(nets: Networks, problem: Problem, weight: float = 0.0):
    """Compiled `step(code, rate) -> mean objective at R(m)`, with one Adam step of R; `weight` is gamma."""

    @tf.function
    def step(code, rate):
        nets.optimizer.learning_rate.assign(rate)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(problem.distance(nets.starter(code, training=True), code, weight))
        _descend(nets, tape, loss)
        return loss

    return step


def _batch(options: StarterOptions, problem: Problem, real: np.ndarray | None, seen: int) -> tf.Tensor:
    """Codes, a function of the seed and of what was seen: half of real pictures where there are any."""
    half = 0 if real is None else options.batch_size // 2
    made = problem.compiled(problem.draw(options.batch_size - half, (options.seed + 4, seen)))
    if real is None or not half:
        return made
    index = np.random.default_rng((options.seed, seen)).integers(len(real), size=half)
    return tf.concat([made, real[index]], axis=0)


def _loop(nets, options: StarterOptions, problem: Problem, real, wanted, seen: int, run: Run, record: dict) -> float:
    """Steps until the run ends; leaves a checkpoint and returns its error on the `wanted` codes."""
    step, errors = make_step(nets, problem, options.decoder_weight), []

    def write():
        errors.append(validate(nets.starter, problem, wanted, options.decoder_weight))
        checkpoints.save_rotating(run.folder, seen, nets.arrays(), record | dict(images=seen, error=errors[-1], **about))
        run.say(f"validation: median objective {errors[-1]:.3f} after {seen:,} codes")

    about = dict(options=config.to_dict(options), real=0 if real is None else len(real))
    while run.goes_on(seen):
        rate = tf.constant(learning_rate(seen, options), tf.float32)
        loss = step(_batch(options, problem, real, seen), rate)
        seen += options.batch_size
        run.step(seen, options.batch_size, {}, objective=loss)
        if run.save_due():
            run.save(write, seen)
    run.finish(write, seen)
    return errors[-1]


def validate(starter: Starter, problem: Problem, wanted: np.ndarray, weight: float = 0.0) -> float:
    """Median of the objective at R(m) over codes `[n, k]`."""
    chunks = [wanted[i : i + CHUNK] for i in range(0, len(wanted), CHUNK)]
    return float(np.median(np.concatenate([problem.objective(starter(part), part, weight) for part in chunks])))


def _restore(nets: Networks, latest, asked: dict[str, Any], fingerprint: list[float], folder: Path) -> int:
    """Take the newest checkpoint; returns its images shown."""
    arrays, record = latest
    checkpoints.require_same(folder, record, asked)
    if not same_networks(fingerprint, record[MARK]):
        raise ValueError(f"{folder} was trained with another generator or encoder")
    nets.restore(arrays)
    return record["images"]


def networks_of(folder: Path) -> tuple[Starter, dict[str, Any]]:
    """Starter in float32 and record of the newest checkpoint of a run. Raises ValueError if there is none, or not a
    starter's."""
    arrays, record = checkpoints.require_run(folder, "a starter", MARK)
    starter = Starter(**record["network"])
    checkpoints.set_weights("starter", starter, arrays)
    return starter, record
