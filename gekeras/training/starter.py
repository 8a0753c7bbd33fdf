"""Training of a task's starter: R with ||E(S(G(R(m)))) - m||^2 + gamma ||G(R(m)) - DC(m)||^2 small, for the codes m that a
solve will meet.

Codes of generated pictures cost nothing but G and E, m = E(S(G(z))); where there are real pictures, half of the codes are
theirs, E(x_dagger). First R is fitted to pairs (z, m) in the metric of the averaged curvature, which costs seconds; then it
learns through G and E, where any latent that gives the code is right, not only the one that it was made from.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from .. import config, images
from ..config import StarterOptions
from ..models.precision import building_in, training_policy
from ..models.starter import Starter, stretching, whitening
from ..operators import Task
from ..solve import curvature
from . import checkpoints
from .generators import draw
from .run import Run
from .schedule import half_cosine

CHUNK = 64  # pictures at once where no gradient is kept
FIT_BATCH = 256
WARM_UP = 200  # steps until the learning rate has its full height
CLIP = 3.0  # norm of a gradient: a few codes far from all others must not decide
PROBES = 4  # latents whose codes tell one pair (G, E) from another, see `fingerprint`

Map = Callable[[tf.Tensor], tf.Tensor]


class Networks:
    """The starter and its optimizer."""

    def __init__(self, options: StarterOptions, code_size: int, latent_size: int, latent: str):
        keras.utils.set_random_seed(options.seed)
        shape = dict(code_size=code_size, latent_size=latent_size, width=options.width, blocks=options.blocks)
        with building_in(training_policy(options.mixed_precision)):
            self.starter = Starter(**shape, latent=latent)
        self.optimizer = keras.optimizers.Adam(options.learning_rate, beta_2=0.99)
        self.optimizer.build(self.starter.trainable_variables)

    def arrays(self) -> checkpoints.Arrays:
        return checkpoints.weights_of("starter", self.starter) | checkpoints.optimizer_of("optimizer", self.optimizer)

    def restore(self, arrays: checkpoints.Arrays) -> None:
        checkpoints.set_weights("starter", self.starter, arrays)
        checkpoints.set_optimizer("optimizer", self.optimizer, arrays)


class Problem:
    """What a starter is trained for: the objective with the mask of the task, and the codes of real pictures.

    Args:
        decoder: DC, needed for a `decoder_weight` (gamma) above 0.
    """

    def __init__(
        self,
        generator: Map,
        encoder: Map,
        task: Task,
        latent_size: int,
        latent: str,
        side: int,
        channels: int,
        decoder: Map | None = None,
    ):
        self.encoder, self.decoder, self.task = encoder, decoder, task
        self.latent_size, self.latent = latent_size, latent
        # A hole at random does not move the code much; the middle one stands for all.
        known = task.sample(tf.zeros((1, side, side, channels)), tf.constant([0, 0]))[1] if task.masked else None

        def parts_of(z):
            """E(S(G(z))) and G(z)."""
            image = tf.cast(generator(z), tf.float32)
            return tf.cast(encoder(task.forward(image if known is None else image * known)), tf.float32), image

        self.parts_of = parts_of
        self.compiled = tf.function(lambda z: parts_of(z)[0], reduce_retracing=True)
        self.objective = tf.function(self.distance, reduce_retracing=True)

    def distance(self, z: tf.Tensor, code: tf.Tensor, weight: float) -> tf.Tensor:
        """||E(S(G(z))) - m||^2 + gamma ||G(z) - DC(m)||^2 of each pair: `[n, d]`, `[n, k]` -> `[n]`."""
        found, image = self.parts_of(z)
        total = tf.reduce_sum(tf.square(found - code), axis=1)
        if weight:
            total += weight * tf.reduce_sum(tf.square(image - tf.cast(self.decoder(code), tf.float32)), axis=(1, 2, 3))
        return total

    def draw(self, count: int, seed: tuple[int, int]) -> tf.Tensor:
        """`[count, d]` draws from G's own distribution."""
        return draw((count, self.latent_size), seed, self.latent)

    def codes(self, z: tf.Tensor) -> np.ndarray:
        return np.concatenate([self.compiled(z[i : i + CHUNK]).numpy() for i in range(0, len(z), CHUNK)])

    def codes_of(self, source, seed: int, mirror: bool) -> np.ndarray:
        """E(x_dagger) of every picture, every other one mirrored."""
        encode = tf.function(lambda y: tf.cast(self.encoder(self.task.lift(y)), tf.float32), reduce_retracing=True)
        found = []
        for i in range(0, len(source), CHUNK):
            x = images.from_uint8(source.take(np.arange(i, min(i + CHUNK, len(source)))))
            if mirror:
                x = np.where(np.arange(len(x))[:, None, None, None] % 2, x[:, :, ::-1], x)
            found.append(encode(self.task.sample(tf.constant(x), tf.constant([seed, i]))[0]).numpy())
        return np.concatenate(found)

    def curvature(self, probes: int, seed: int, weight: float = 0.0) -> np.ndarray:
        """H = E[J^T J] `[d, d]`, J the Jacobian of (E(S(G(z))), sqrt(gamma) G(z))."""

        def residuals(z):
            code, image = self.parts_of(z)
            return [code, weight**0.5 * image] if weight else [code]

        return curvature.average(residuals, self.draw(probes, (seed, 0)), seed + 1)

    def fingerprint(self) -> list[float]:
        """The codes of a few fixed latents, in one row: tells one pair (G, E) from another, whatever file they come from."""
        return self.codes(self.draw(PROBES, (0, 1))).ravel().tolist()


def learning_rate(seen: int, options: StarterOptions) -> float:
    """Half a cosine from `learning_rate` to `final_learning_rate` over `images`, rising over the first steps."""
    rate = half_cosine(seen / options.images, options.learning_rate, options.final_learning_rate)
    return rate * min(1.0, (seen // options.batch_size + 1) / WARM_UP)


def train(
    options: StarterOptions,
    problem: Problem,
    folder: Path,
    *,
    source=None,
    validation=None,
    minutes: float = 0.0,
    quiet: bool = False,
    save_every: float = 120.0,
) -> float:
    """Train from the newest checkpoint of `folder`, or from nothing.

    Args:
        source: `data.Source` of real pictures, or None for generated ones alone.
        validation: `data.Source` of held-out real pictures; 256 generated ones without it.

    Returns:
        The median over the validation codes of the objective at R(m).

    Raises:
        ValueError: a decoder_weight without a decoder, the folder's checkpoint is of another task, generator or encoder, or
            another process trains there.
    """
    if options.decoder_weight and problem.decoder is None:
        raise ValueError("there is no decoder here: decoder_weight (gamma) must be 0")
    mark = problem.fingerprint()
    with Run(folder, config.to_json(options), options.images, minutes=minutes, quiet=quiet, save_every=save_every) as run:
        real = problem.codes_of(source, options.seed, options.mirror) if source is not None else None
        if validation is not None:
            held_out = problem.codes_of(validation, 0, False)
        else:
            held_out = problem.codes(problem.draw(256, (options.seed + 7, 0)))
        nets = Networks(options, held_out.shape[1], problem.latent_size, problem.latent)
        record = dict(task=problem.task.name, parameters=problem.task.parameters, network=nets.starter.config)
        if found := checkpoints.load_latest(folder):
            seen = _restore(nets, found, record, mark, folder)
        else:
            run.say("computing codes and the averaged curvature")
            _prepare(nets, options, problem, real)
            seen = 0
        return _loop(nets, options, problem, real, held_out, seen, run, dict(record, fingerprint=mark))


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
        _apply(nets, tape, loss)

    for k in range(options.fit_steps):
        index = tf.random.stateless_uniform((FIT_BATCH,), (options.seed + 3, k), 0, len(codes), tf.int32)
        step(index, tf.constant(options.learning_rate * min(1.0, (k + 1) / WARM_UP) * (1 - 0.9 * k / options.fit_steps)))
    for variable in nets.optimizer.variables:  # the moments are of another loss
        if "learning_rate" not in variable.name:
            variable.assign(tf.zeros_like(variable))


def _apply(nets: Networks, tape: tf.GradientTape, loss: tf.Tensor) -> None:
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
        _apply(nets, tape, loss)
        return loss

    return step


def _batch(options: StarterOptions, problem: Problem, real: np.ndarray | None, seen: int) -> tf.Tensor:
    """Codes, a function of the seed and of what was seen: half of real pictures where there are any."""
    half = 0 if real is None else options.batch_size // 2
    made = problem.compiled(problem.draw(options.batch_size - half, (options.seed + 4, seen)))
    if not half:
        return made
    index = np.random.default_rng((options.seed, seen)).integers(len(real), size=half)
    return tf.concat([made, real[index]], axis=0)


def _loop(nets, options: StarterOptions, problem: Problem, real, held_out, seen: int, run: Run, record: dict) -> float:
    step, errors = make_step(nets, problem, options.decoder_weight), []

    def write():
        errors.append(validate(nets.starter, problem, held_out, options.decoder_weight))
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


def validate(starter: Starter, problem: Problem, held_out: np.ndarray, weight: float = 0.0) -> float:
    """Median of the objective at R(m) over codes `[n, k]`."""
    chunks = [held_out[i : i + CHUNK] for i in range(0, len(held_out), CHUNK)]
    return float(np.median(np.concatenate([problem.objective(starter(part), part, weight) for part in chunks])))


def _restore(nets: Networks, found, asked: dict[str, Any], mark: list[float], folder: Path) -> int:
    arrays, record = found
    checkpoints.require_same(folder, record, asked)
    if not same_networks(mark, record["fingerprint"]):
        raise ValueError(f"{folder} was trained with another generator or encoder")
    nets.restore(arrays)
    return record["images"]


def same_networks(one, other, tolerance: float = 0.05) -> bool:
    """Whether two fingerprints are of one pair (G, E), be it stored or computed in half precision."""
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and bool(np.linalg.norm(one - other) <= tolerance * np.linalg.norm(one))


def networks_of(folder: Path) -> tuple[Starter, dict[str, Any]]:
    """Starter in float32 and record of the newest checkpoint of a run. Raises ValueError where there is none."""
    arrays, record = checkpoints.require_latest(folder)
    if "fingerprint" not in record:
        raise ValueError(f"{folder} is not the run of a starter")
    starter = Starter(**record["network"])
    checkpoints.set_weights("starter", starter, arrays)
    return starter, record
