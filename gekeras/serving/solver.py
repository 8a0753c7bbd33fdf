"""The whole solve as one graph without state, for any number of pictures: what TensorFlow Serving runs.

It is the solve of `GenerativeEncoder` with the preset's options, of the same compiled functions: what is compared with, the
starts, the descent of z, that of a layer's features, and the correction to the measurement. Each picture has a seed and a
number of steps of its own, and is solved as it would be alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from ..config import Z_ALONE, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..operators import Mask
from ..operators.consistency import agreeing, measure_of
from ..solve import Solver, Target, compaction, curvature, halving
from ..solve.descent import Parameters, State, make_parameters
from .checks import require

MOST_STEPS = 10_000  # of a request: a server is not to be kept busy by one for hours
FARTHEST = 1.5  # a picture's values lie in [-1, 1]; a bicubic reduction overshoots, a picture in [0, 255] is a mistake


class Regime(NamedTuple):
    """What a solve has from a number of steps on: how its starts compete, and whether L-BFGS has a measured metric."""

    first: int
    rounds: tuple[tuple[int, int], ...]  # starts, steps of each: `halving.Plan`
    metric: tf.Tensor | None

    @property
    def lost(self) -> int:
        """Steps that the starts that lose take."""
        return sum((count - 1) * each for count, each in self.rounds)


class Found(NamedTuple):
    """Of n pictures; a `solve.Solution` in a graph."""

    latent: tf.Tensor  # [n, d]
    image: tf.Tensor  # [n, h, w, c]
    loss: tf.Tensor  # [n]
    steps: tf.Tensor  # [n] int32


class ServedSolver:
    """The solve of a model with these options, in which steps and seed are the request's.

    Args:
        model: of a preset.
        options: as `model.options()`.
        steps: those that a request may ask for, ascending; by default any.

    Attributes:
        shape: (h, w, c) of a measurement.

    Raises:
        ValueError: options that the model cannot be solved with, or a ramp for lbfgs, which ends with the steps of all.
    """

    def __init__(self, model: GenerativeEncoder, options: SolveOptions, steps: Iterable[int] = range(MOST_STEPS + 1)):
        model.check(options)
        if options.ramp != "none" and options.optimizer == "lbfgs":
            raise ValueError("a ramp is for adam: lbfgs finds its own steps")
        self.model, self.options, self.task = model, options, model.task
        self.solver = model.solver(options)
        blank = tf.zeros((1, *model.image_shape))
        self.shape = tuple(self.task.degrade(blank, tf.constant([0, 0])).shape[1:])
        self.regimes = self._regimes(steps)

    def _regimes(self, possible: Iterable[int]) -> list[Regime]:
        """The kinds of solves that there are, by the steps from which on each holds."""
        masks = np.ones((*self.model.image_shape[:2],), np.float32) if self.task.masked else None
        target = self.model.target(np.zeros((1, *self.shape), np.float32), self.options, masks)
        count = 1 if self.options.start == "starter" else self.options.finalists
        found: list[tuple] = []
        for steps in possible:
            options = dataclasses.replace(self.options, steps=steps)
            kind = halving.make_plan(count, steps).rounds, curvature.draws(options)
            if not found or found[-1][1:] != kind:
                found.append((steps, *kind))
        kinds = [(first, rounds, dataclasses.replace(self.options, steps=first)) for first, rounds, _ in found]
        metric, size = self.solver.metric, self.model.latent_size
        return [Regime(first, rounds, metric.matrix(target, size, options)) for first, rounds, options in kinds]

    def __call__(self, observation, mask, seed, steps) -> Found:
        """The solve, inside a graph.

        Args:
            observation: y, `[n, *shape]`.
            mask: `[n, h, w, 1]`, 1 where a pixel is known; None for a task without one.
            seed, steps: int32 `[n]`.
        """
        y = observation if mask is None else observation * mask
        target = self._target(y, mask)
        found = self._latents(target, seed, steps)
        if self.options.layers != Z_ALONE:
            found = self._features(found, target)
        image = found.image
        if self.options.consistent:
            image = agreeing(self._measure(mask), image, y)
        return found._replace(image=tf.clip_by_value(image, -1, 1))

    def checked(self, observation, mask, seed, steps) -> tuple:
        """The inputs, once they are known to be what a solve takes; otherwise InvalidArgumentError, in one line."""
        count = tf.shape(observation)[0]
        sizes = [tf.shape(part)[0] for part in (mask, seed, steps) if part is not None]
        inside = tf.reduce_all(tf.abs(observation) <= FARTHEST)  # NaN, too
        few = tf.reduce_all((steps >= 0) & (steps <= MOST_STEPS))
        checks = [
            require(tf.reduce_all(tf.equal(sizes, count)), "all inputs must have as many rows as there are pictures"),
            require(inside, "observation must have values in [-1, 1]"),
            require(few, f"steps must be 0 to {MOST_STEPS:,}"),
            require(tf.reduce_all(seed >= 0), "seed must be 0 or more"),
        ]
        if mask is not None:
            binary = tf.reduce_all((mask == 0) | (mask == 1))
            some = tf.reduce_all(tf.reduce_any(mask > 0, axis=[1, 2, 3]))
            checks += [require(binary, "mask must be 1 where a pixel is known, 0 where it is missing")]
            checks += [require(some, "mask must have a pixel that is known in every picture")]
        with tf.control_dependencies(checks):
            return tuple(None if part is None else tf.identity(part) for part in (observation, mask, seed, steps))

    def _measure(self, mask):
        return measure_of(self.task, None if mask is None else Mask.of_tensor(mask))

    def _target(self, y: tf.Tensor, mask: tf.Tensor | None) -> Target:
        """As `GenerativeEncoder.target`, whose arrays are NumPy's."""
        options = self.options
        read = options.code_weight or options.start == "starter"
        code = self.model.encoder(self.task.lift(y)) if read or options.decoder_weight else None
        decoded = self.model.decoder(code) if options.decoder_weight else None
        if decoded is not None and options.pixel_weight and self.task.exact:
            decoded = tf.clip_by_value(agreeing(self._measure(mask), decoded, y), -1, 1)
        return Target(code if read else None, y if options.pixel_weight else None, mask, decoded)

    def _latents(self, target: Target, seed: tf.Tensor, steps: tf.Tensor) -> Found:
        """The solve for z: the rows of each regime by themselves."""
        if len(self.regimes) == 1:
            return self._descend(self.regimes[0], target, seed, steps)
        count, model = tf.shape(steps)[:1], self.model
        shapes = ([model.latent_size], model.image_shape, ())
        latent, image, loss = (tf.zeros(tf.concat([count, s], 0)) for s in shapes)
        found = Found(latent, image, loss, tf.zeros_like(steps))
        ends = [regime.first for regime in self.regimes[1:]] + [MOST_STEPS + 1]
        for regime, end in zip(self.regimes, ends):
            rows = tf.where((steps >= regime.first) & (steps < end))

            def some(regime=regime, rows=rows, found=found):
                which = rows[:, 0]
                part = self._descend(regime, target.take(which), tf.gather(seed, which), tf.gather(steps, which))
                return Found(*(tf.tensor_scatter_nd_update(old, rows, new) for old, new in zip(found, part)))

            found = tf.cond(tf.size(rows) > 0, some, lambda found=found: found)
        return found

    def _descend(self, regime: Regime, target: Target, seed: tf.Tensor, steps: tf.Tensor) -> Found:
        """The solve for z of rows of one regime."""
        own = steps - regime.lost
        parameters = make_parameters(self.options, regime.metric)
        candidates = self.solver.starts.choose_each(target, self.model.latent_size, self.options, seed)
        state = self.solver.descent.begin(tf.reshape(candidates, (-1, self.model.latent_size)))
        state = self._compete(state, target, regime, self._lasting(parameters, tf.repeat(own, candidates.shape[1])))
        parameters = self._lasting(parameters, own)._replace(limits=own)
        return _descended(self.solver, state, target, parameters, tf.reduce_max(own) - state.step)

    def _lasting(self, parameters: Parameters, steps: tf.Tensor) -> Parameters:
        """With the steps of each row for its ramp, where there is one."""
        return parameters if self.options.ramp == "none" else parameters._replace(steps=steps[:, None])

    def _compete(self, state: State, target: Target, regime: Regime, parameters: Parameters) -> State:
        """As `halving.compete`: the state of the winners."""
        count = 1 if self.options.start == "starter" else self.options.finalists
        rows = tf.range(tf.shape(state.point)[0] // count)
        taken = 0
        for _, each in regime.rounds:
            rivals = target.take(tf.repeat(rows, count))
            state, _ = self.solver.advance(state, rivals, parameters, tf.constant(each))
            order = tf.argsort(tf.reshape(state.best_loss, (-1, count)), axis=1, stable=True)
            kept = max(1, count // halving.KEPT)
            taken += (count - 1) * each
            better = tf.reshape(count * rows[:, None] + order[:, :kept], [-1])
            state, count = compaction.gather(state, better), kept
            if parameters.steps.shape.rank:
                parameters = parameters._replace(steps=tf.gather(parameters.steps, better))
        state = compaction.gather(state, count * rows) if count > 1 else state
        return state._replace(taken=state.taken + taken)

    def _features(self, found: Found, target: Target) -> Found:
        """The search of a layer from z on."""
        stage = self.model.layer_stage(self.options)
        options, start = stage.options(self.options), stage.start(found.latent)
        state = stage.solver.descent.begin(stage.solver.prior.project(start))
        steps, target = tf.constant(options.steps), target._replace(anchor=start)
        later = _descended(stage.solver, state, target, make_parameters(options), steps)
        return later._replace(latent=found.latent, steps=found.steps + later.steps)


def _descended(solver: Solver, state: State, target: Target, parameters: Parameters, steps: tf.Tensor) -> Found:
    """So many steps, and the best of all points that they came to."""
    state, _ = solver.advance(state, target, parameters, steps)
    state, image = solver.finish(state, target, parameters)
    return Found(state.best_point, image, state.best_loss, state.taken)
