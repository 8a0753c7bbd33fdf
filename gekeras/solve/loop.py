"""The solver: Algorithm 1 step 4 as one compiled `tf.while_loop` over explicit state.

Memory is that of one forward and backward pass through G and E for the batch; the loop itself is not differentiated.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..config import SolveOptions
from . import compaction, curvature, halving, starts
from .objective import Map, Target, Weights, identity, make_objective, make_residuals
from .optimizers import OPTIMIZERS, RAMPS
from .priors import PRIORS_OF

AS_WRITTEN = {"reduce_retracing": True, "autograph": False}  # AutoGraph would take half of the time to trace the loop


class Solution(NamedTuple):
    """What a solve returns for n images; arrays are NumPy's.

    Attributes:
        latent: z* `[n, d]`, the iterate with the lowest objective of each image.
        image: G(z*) `[n, h, w, c]`, about [-1, 1].
        loss: the objective at z* `[n]`.
        steps: gradient steps each image took `[n]`, those of its finalists included.
        history: the objective at each iterate `[steps + 1, n]`, up to the last step that any image took; an image that has
            converged repeats its last one. While finalists compete, the best of theirs.
        seconds: wall-clock time of the whole solve, tracing included.
    """

    latent: np.ndarray
    image: np.ndarray
    loss: np.ndarray
    steps: np.ndarray
    history: np.ndarray
    seconds: float


class State(NamedTuple):
    """All that the loop changes; `n` images, `d` latent numbers. `compaction.gather` says which shapes a field can have."""

    step: tf.Tensor  # [] int32, gradient steps done
    latent: tf.Tensor  # [n, d]
    optimizer: Any  # the state of the optimizer
    best_latent: tf.Tensor  # [n, d]
    best_loss: tf.Tensor  # [n]
    mark: tf.Tensor  # [n] best loss `patience` steps ago
    active: tf.Tensor  # [n] bool, False once an image has converged
    taken: tf.Tensor  # [n] int32, steps each image took


class Parameters(NamedTuple):
    """The numbers of `SolveOptions` as tensors, so that changing one compiles nothing anew."""

    steps: tf.Tensor
    learning_rate: tf.Tensor
    weights: Weights
    tolerance: tf.Tensor
    patience: tf.Tensor
    metric: tf.Tensor | None  # [d, d] of L-BFGS; None: the identity


# Called with the steps done, the best objective `[n]` and its latent `[n, d]`.
Callback = Callable[[int, np.ndarray, np.ndarray], None]


class Solver:
    """Solves equation (3) for one generator, encoder and forward map; compiled at most twice: for the number of images
    that comes first, and for any number.

    Args:
        generator, encoder, forward, measure: G, E, S, A as in `objective.make_objective`.
        prior, ramp, optimizer: names from `priors.PRIORS` and `optimizers.RAMPS`, and "adam" or "lbfgs".
        starter: code `[n, k]` -> latent `[n, d]`, for `SolveOptions.start`; its attribute `inverse_curvature` `[d, d]`, if
            it has one, is the metric of L-BFGS, wherever the solve starts, unless `SolveOptions.probes` asks for another.
        latent: what G's input is drawn from, of `config.LATENTS`: the starts are, and priors have its typical norm.
        metrics: where the metrics that are drawn are kept; solvers for the same G, E, S and A may share it.
    """

    def __init__(
        self,
        generator: Map,
        encoder: Map = identity,
        forward: Map = identity,
        measure: Map = identity,
        *,
        prior: str = "l2",
        ramp: str = "none",
        optimizer: str = "adam",
        latent: str = "normal",
        starter: Map | None = None,
        metrics: dict[tuple, tf.Tensor] | None = None,
    ):
        generator, encoder, forward, measure = map(_translated, (generator, encoder, forward, measure))
        self.generator, self.prior, self.ramp, self.latent = generator, PRIORS_OF[latent][prior], RAMPS[ramp], latent
        self.optimizer = OPTIMIZERS[optimizer]
        known, residuals = getattr(starter, "inverse_curvature", None), make_residuals(generator, encoder, forward, measure)
        drawn = {} if metrics is None else metrics
        self.metric = curvature.Metric(residuals, latent, drawn, known) if optimizer == "lbfgs" else curvature.NoMetric()
        self.starter = starter and tf.function(starter, reduce_retracing=True)
        self.objective = make_objective(generator, encoder, forward, self.prior, measure)
        self.generate = tf.function(generator, **AS_WRITTEN)
        self.drawn: dict[tuple[int, int, int], tf.Tensor] = {}
        self.screened = starts.CHUNK  # candidates at once, forward
        self.at_once: int | None = None  # finalists and draws of a metric at once; None: as many as there are images
        compare = (lambda x: encoder(forward(x)), measure)
        self.compare = [tf.function(part, **AS_WRITTEN) for part in compare]
        self.advance = tf.function(self._advance, **AS_WRITTEN)
        self.finish = tf.function(self._finish, **AS_WRITTEN)

    def solve(
        self,
        target,
        latent_size: int,
        options: SolveOptions,
        *,
        initial=None,
        callback: Callback | None = None,
        chunk: int = 0,
    ) -> Solution:
        """z* = argmin alpha ||E(S(G(z))) - m||^2 + beta ||A G(z) - y||^2 + gamma ||G(z) - DC(m)||^2 + lambda penalty(z).

        Each image by itself.

        Args:
            target: m = E(x_dagger) `[n, k]`, or a `Target` with m, y, mask and DC(m).
            latent_size: d.
            initial: latents `[n, d]` to start from, in place of the start that the options name.
            callback: called with (steps done, best objective `[n]`, its latent `[n, d]`) before the first step, after every
                `chunk` steps, and at the end; also once finalists have left one winner.
            chunk: steps between two calls; 0 means all of them, so that the whole solve is one call of one graph.

        Raises:
            ValueError: a target with nothing to match, a start that there is no starter for, or initial latents of another
                shape.
        """
        begin = time.perf_counter()
        target = _tensors(target if isinstance(target, Target) else Target(target))
        latent = self._start(target, latent_size, options, initial)  # [n, k, d], k finalists
        n, count = latent.shape[:2]
        at_once = self.at_once or n
        plan = halving.make_plan(count, options.steps)
        rivals = plan.rivals
        metric = self.metric.of(target, latent_size, options, at_once)
        parameters = _parameters(dataclasses.replace(options, steps=options.steps - rivals), metric)  # the winner's own
        if callback:
            callback(0, np.full(n, np.inf, np.float32), latent[:, 0].numpy())
        leaving = options.tolerance > 0 and n > 1
        any_number = (leaving or plan.rounds) and self.compiled(target, latent_size, options)  # before sizes that come once

        def run(state, target, stop):
            return self.advance(state, target, parameters, tf.constant(stop))

        state = self._initial(tf.reshape(latent, (n * count, latent_size)))
        state, history = halving.compete(run, state, target, plan, at_once)
        if callback and plan.rounds:
            callback(len(history), state.best_loss.numpy(), state.best_latent.numpy())
        losses = history[-1] if plan.rounds else np.full(n, np.inf, np.float32)
        crowd, history = compaction.Crowd(state, target, np.arange(n), losses), [history]
        while (done := int(crowd.state.step) + rivals) < options.steps and bool(tf.reduce_any(crowd.state.active)):
            stop = min((done // chunk + 1) * chunk, options.steps) if chunk else options.steps
            patience = options.patience if leaving and any_number else None
            crowd, losses = compaction.advance(run, crowd, stop - rivals, patience)
            history.append(losses)
            if callback:
                state = compaction.whole(crowd)
                callback(int(state.step) + rivals, state.best_loss.numpy(), state.best_latent.numpy())
        state, last, image = self.finish(compaction.whole(crowd), target, parameters)
        if bool(tf.reduce_any(state.active)):  # once all have converged, the loop has seen their last iterates
            history.append(np.where(state.active, last, crowd.losses)[None])
        return Solution(
            state.best_latent.numpy(),
            image.numpy(),
            state.best_loss.numpy(),
            state.taken.numpy() + rivals,
            np.concatenate(history),
            time.perf_counter() - begin,
        )

    def compiled(self, target: Target, latent_size: int, options: SolveOptions):
        """The loop for any number of images, traced on the first call: a `ConcreteFunction`, or None where a network wants
        to know the number.

        Args:
            target: one like those that will be solved, with as many images as you like.
            options: of the solves; of them only whether there is a metric counts.
        """
        target = compaction.any_target(_tensors(target))
        state = compaction.any_number(self._initial(tf.zeros([1, latent_size])))
        try:
            return self.advance.get_concrete_function(
                state, target, _parameters(options, self.metric.like(latent_size, options)), tf.TensorSpec([], tf.int32)
            )
        except (TypeError, ValueError):  # as `tf.reshape(x, (x.shape[0], -1))` raises them
            return None

    def _start(self, target: Target, latent_size: int, options: SolveOptions, initial=None) -> tf.Tensor:
        """`[n, k, d]`, of each image the best first; k is `finalists` for random starts, else 1."""
        if initial is not None:
            return self.prior.project(_given(initial, (target.count, latent_size)))[:, None]
        if options.start == "starter":
            return self.prior.project(self._predicted(target, options))[:, None]
        candidates = self.prior.project(starts.draw(options.seed, options.starts, latent_size, self.latent))
        if options.starts == 1:
            return tf.repeat(candidates[None], target.count, axis=0)
        key = (options.seed, options.starts, latent_size)
        if key not in self.drawn:  # the batches of one large job share their candidates' pictures
            self.drawn = {key: starts.pictures(self.generate, candidates, self.screened)}
        weights = (options.code_weight, options.pixel_weight, options.decoder_weight)
        best = starts.nearest(self.compare, self.drawn[key], target, weights, self.screened, kept=options.finalists)
        return tf.gather(candidates, best)

    def _predicted(self, target: Target, options: SolveOptions) -> tf.Tensor:
        if self.starter is None:
            raise ValueError("there is no starter here that a solve could begin with: start must be 'random'")
        if target.code is None:
            raise ValueError("a starter reads a code, and the target has none: start must be 'random'")
        return self.starter(target.code)

    def _initial(self, latent: tf.Tensor) -> State:
        n = latent.shape[0]
        worst = tf.fill([n], tf.constant(np.inf, tf.float32))
        return State(
            tf.constant(0),
            latent,
            self.optimizer.init(latent),
            latent,
            worst,
            worst,
            tf.fill([n], True),
            tf.zeros([n], tf.int32),
        )

    def _advance(self, state: State, target, parameters: Parameters, stop):
        """Steps until `stop`, or until every image has converged; also the objective at each iterate."""
        record = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=state.latent.shape[:1])
        first = state.step

        def unfinished(state, record):
            return (state.step < stop) & tf.reduce_any(state.active)

        def body(state, record):
            state_after, loss = self._step(state, target, parameters)
            return state_after, record.write(state.step - first, loss)

        state, record = tf.while_loop(unfinished, body, (state, record))
        return state, record.stack()

    def _step(self, state: State, target, parameters: Parameters) -> tuple[State, tf.Tensor]:
        """Evaluate f and its gradient at z, keep z if it is the best so far, take a step."""
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(state.latent)
            loss = self.objective(state.latent, target, parameters.weights)
        # What a network that is a graph does not tell of its batch is that of the latents.
        gradient = tf.ensure_shape(tape.gradient(loss, state.latent), state.latent.shape)
        loss = tf.ensure_shape(loss, state.latent.shape[:1])
        state = _keep_best(state, loss)
        rate = parameters.learning_rate * self.ramp(state.step, parameters.steps)
        how = (state.optimizer, state.step, rate, parameters.metric)
        moved, optimizer = self.optimizer.update(state.latent, loss, gradient, *how)
        moved = self.prior.project(moved)
        active = _still_active(state, parameters)
        latent = tf.where(active[:, None], moved, state.latent)
        taken = state.taken + tf.cast(active, tf.int32)
        at_mark = (state.step % parameters.patience) == 0
        mark = tf.where(at_mark, state.best_loss, state.mark)
        return state._replace(
            step=state.step + 1, latent=latent, optimizer=optimizer, mark=mark, active=active, taken=taken
        ), loss

    def _finish(self, state: State, target, parameters: Parameters):
        """The last iterate, not evaluated yet unless its image has converged; then the picture of the best one."""
        image = self.generator(state.latent)
        loss = self.objective(state.latent, target, parameters.weights, image)
        best = _keep_best(state, tf.where(state.active, loss, state.best_loss))
        older = tf.reduce_any(best.best_latent != state.latent, axis=1)
        return best, loss, _redraw(self.generator, image, best.best_latent, older)


def _redraw(generator: Map, image: tf.Tensor, latent: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """`image` with G(latent) where `which` `[n]` says so; G draws nothing else, unless it wants to know how many."""

    def some():
        rows = tf.where(which)
        return tf.tensor_scatter_nd_update(image, rows, generator(tf.gather_nd(latent, rows)))

    try:
        return tf.cond(tf.reduce_any(which), some, lambda: image)
    except (TypeError, ValueError):  # as in `Solver.compiled`
        return generator(latent)


def _translated(part: Map) -> Map:
    """A map with a graph of its own, for which AutoGraph makes TensorFlow's conditions and loops of Python's.

    Networks and maps of a user's own may have such. The solver's functions have none, and are traced `AS_WRITTEN`; a
    SavedModel is graphs already.
    """
    return part if part is identity or hasattr(part, "signatures") else tf.function(part)


def _tensors(target: Target) -> Target:
    if target.code is None and target.measurement is None and target.decoded is None:
        raise ValueError("nothing to match: the target has neither a code nor a measurement nor a decoded picture")
    return Target(*(None if part is None else tf.convert_to_tensor(part, tf.float32) for part in target))


def _given(initial, shape: tuple[int, int]) -> tf.Tensor:
    latent = tf.convert_to_tensor(initial, tf.float32)
    if latent.shape != shape:
        raise ValueError(f"initial latents must be {list(shape)}; received {list(latent.shape)}")
    return latent


def _keep_best(state: State, loss: tf.Tensor) -> State:
    better = loss < state.best_loss
    latent = tf.where(better[:, None], state.latent, state.best_latent)
    return state._replace(best_latent=latent, best_loss=tf.minimum(loss, state.best_loss))


def _still_active(state: State, parameters: Parameters) -> tf.Tensor:
    """False from the step on where the best objective fell by less than `tolerance` of itself since the mark."""
    at_mark = (state.step > 0) & (state.step % parameters.patience == 0)
    stalled = state.mark - state.best_loss <= parameters.tolerance * state.best_loss  # equal where the best is 0
    return state.active & ~(at_mark & stalled & (parameters.tolerance > 0))


def _parameters(options: SolveOptions, metric) -> Parameters:
    weights = (options.code_weight, options.pixel_weight, options.weight, options.decoder_weight)
    return Parameters(
        tf.constant(options.steps),
        tf.constant(options.learning_rate, tf.float32),
        Weights(*(tf.constant(w, tf.float32) for w in weights)),
        tf.constant(options.tolerance, tf.float32),
        tf.constant(options.patience),
        metric,
    )
