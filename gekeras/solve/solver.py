"""The solver: equation (3) for a batch of images, from their starts to their pictures.

The iteration itself is `descent`; around it random starts compete (`halving`), and images that have converged leave
(`compaction`).
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..config import SolveOptions
from . import compaction, curvature, halving, starts
from .descent import Descent, Parameters, State, keep_best, make_parameters
from .objective import Map, Target, identity, make_objective, make_residuals
from .optimizers import OPTIMIZERS, RAMPS
from .priors import PRIORS_OF, Prior


class Solution(NamedTuple):
    """What a solve returns for n images; arrays are NumPy's.

    Attributes:
        latent: z* `[n, d]`, the iterate with the lowest objective of each image.
        image: G(z*) `[n, h, w, c]`, about [-1, 1].
        loss: the objective at z*, or at h*, `[n]`.
        steps: evaluations of the gradient that each image took `[n]`, those of its finalists included.
        history: the objective at each iterate `[steps + 1, n]`, up to the last step that any image took; an image that has
            converged repeats its last one. While finalists compete, the best of theirs. Where a layer was searched after z,
            its objective from z* on, `[steps + layer_steps + 1, n]`, with mu in the place of lambda.
        seconds: wall-clock time of the whole solve, tracing included.
        features: h* `[n, d']`, flattened, where a layer was searched after z (`layers.LayerStage`): the picture is the one
            that the layers above make of them.

    Example:
        >>> solution = Solver(lambda z: z[:, None, :, None]).solve([[[[1.0], [2.0]]]], 2, SolveOptions(steps=10))
        >>> {name: array.shape for name, array in solution._asdict().items() if name not in ("seconds", "features")}
        {'latent': (1, 2), 'image': (1, 1, 2, 1), 'loss': (1,), 'steps': (1,), 'history': (11, 1)}
        >>> bool((solution.loss < solution.history[0]).all())
        True
    """

    latent: np.ndarray
    image: np.ndarray
    loss: np.ndarray
    steps: np.ndarray
    history: np.ndarray
    seconds: float
    features: np.ndarray | None = None


# Called with the evaluations done, the best objective `[n]` and its latent `[n, d]`.
Callback = Callable[[int, np.ndarray, np.ndarray], None]

# The compiled loop with its parameters: (state, target, steps) -> (state, objective at each iterate `[steps, n]`).
Run = Callable[[State, Target, int], "tuple[State, tf.Tensor]"]


class Solver:
    """Solves equation (3) for one generator, encoder and forward map; compiled at most twice: for the number of images
    that comes first, and for any number.

    Args:
        generator, encoder, forward, measure: G, E, S, A as in `objective.make_objective`.
        prior: a name of `priors.PRIORS`, or a `Prior`.
        ramp, optimizer: names from `optimizers.RAMPS`, and "adam" or "lbfgs".
        starter: code `[n, k]` -> latent `[n, d]`, for `SolveOptions.start`; its attribute `inverse_curvature` `[d, d]`, if
            it has one, is the metric of L-BFGS, wherever the solve starts, unless `SolveOptions.probes` asks for another.
        latent: what G's input is drawn from, of `config.LATENTS`: the starts are, and priors have its typical norm.
        metrics: where the metrics that are drawn are kept; solvers for the same G, E, S and A may share it.

    Example:
        >>> mix = tf.constant([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
        >>> solver = Solver(
        ...     generator=lambda z: tf.reshape(z @ mix, (-1, 1, 3, 1)),  # pictures a, b, a + b
        ...     encoder=lambda x: tf.reshape(x, (-1, 3)),
        ...     optimizer="lbfgs",
        ... )
        >>> solution = solver.solve([[1.0, 2.0, 3.0], [3.0, 3.0, 3.0]], 2, SolveOptions(steps=20, weight=0.0))
        >>> solution.latent.round(2)
        array([[1., 2.],
               [2., 2.]], dtype=float32)
        >>> solution.steps, solution.history.shape
        (array([20, 20], dtype=int32), (21, 2))
    """

    def __init__(
        self,
        generator: Map,
        encoder: Map = identity,
        forward: Map = identity,
        measure: Map = identity,
        *,
        prior: str | Prior = "l2",
        ramp: str = "none",
        optimizer: str = "adam",
        latent: str = "normal",
        starter: Map | None = None,
        metrics: dict[tuple, tf.Tensor] | None = None,
    ):
        generator, encoder, forward, measure = map(_translated, (generator, encoder, forward, measure))
        self.generator, self.prior = generator, PRIORS_OF[latent][prior] if isinstance(prior, str) else prior
        known, residuals = getattr(starter, "inverse_curvature", None), make_residuals(generator, encoder, forward, measure)
        drawn = {} if metrics is None else metrics
        self.metric = curvature.Metric(residuals, latent, drawn, known) if optimizer == "lbfgs" else curvature.NoMetric()
        self.objective = make_objective(generator, encoder, forward, self.prior, measure)
        self.descent = Descent(self.objective, self.prior.project, OPTIMIZERS[optimizer], RAMPS[ramp])
        generate, *compare = (as_written(f) for f in (generator, lambda x: encoder(forward(x)), measure))
        starter = starter and tf.function(starter, reduce_retracing=True)
        self.starts = starts.Starts(generate, compare, self.prior.project, latent, starter)
        self.advance = as_written(self.descent.advance)
        self.finish = as_written(self._finish)

    def solve(
        self,
        target,
        latent_size: int,
        options: SolveOptions,
        *,
        initial=None,
        callback: Callback | None = None,
        chunk: int = 0,
        at_once: int | None = None,
    ) -> Solution:
        """z* = argmin alpha ||E(S(G(z))) - m||^2 + beta ||A G(z) - y||^2 + gamma ||G(z) - DC(m)||^2 + lambda penalty(z).

        Each image by itself.

        Args:
            target: m = E(x_dagger) `[n, k]`, or a `Target` with m, y, mask and DC(m).
            latent_size: d.
            initial: latents `[n, d]` to start from, in place of the start that the options name.
            callback: called with (evaluations done, best objective `[n]`, its latent `[n, d]`) before the first step, after
                every `chunk` evaluations, and at the end; also once finalists have left one winner.
            chunk: evaluations between two calls; 0 means all of them, so that the whole solve is one call of one graph.
            at_once: images that the memory holds: so many candidates, finalists and draws of a metric are computed
                together. It makes no difference to the result; None: as many finalists and draws as there are images.

        Raises:
            ValueError: a target with nothing to match, a start that there is no starter for, or initial latents of another
                shape.
        """
        begin = time.perf_counter()
        target = _tensors(target if isinstance(target, Target) else Target(target))
        candidates = self.starts.choose(target, latent_size, options, initial, at_once)
        plan = halving.make_plan(candidates.shape[1], options.steps)
        metric = self.metric.matrix(target, latent_size, options, at_once or target.count)
        parameters = make_parameters(dataclasses.replace(options, steps=plan.own), metric)
        leaving = options.tolerance > 0 and target.count > 1
        if leaving or plan.rounds:  # sizes that come once: none of them is worth a graph of its own
            leaving &= self.compiled(target, latent_size, options) is not None

        def run(state, target, steps):
            return self.advance(state, target, parameters, tf.constant(steps))

        state, first = self._compete(run, candidates, target, plan, at_once or target.count, callback)
        state, then = self._descend(run, state, target, options, leaving, callback, chunk)
        state, image = self.finish(state, target, parameters)
        moved = bool(tf.reduce_any(state.active))  # once all have converged, the loop has seen their last iterates
        last = state.loss.numpy()[None] if moved else then[:0]
        return Solution(
            latent=state.best_point.numpy(),
            image=image.numpy(),
            loss=state.best_loss.numpy(),
            steps=state.taken.numpy(),
            history=np.concatenate([first, then, last]),
            seconds=time.perf_counter() - begin,
        )

    def compiled(self, target: Target, latent_size: int, options: SolveOptions):
        """The loop for any number of images, traced on the first call: a `ConcreteFunction`, or None where a network wants
        to know the number.

        Args:
            target: one like those that will be solved, with as many images as you like.
            options: of the solves; of them only whether there is a metric counts.
        """
        state = compaction.any_number(self.descent.begin(tf.zeros([1, latent_size])))
        target = compaction.any_target(_tensors(target))
        parameters = make_parameters(options, self.metric.specification(latent_size, options))
        try:
            return self.advance.get_concrete_function(state, target, parameters, tf.TensorSpec([], tf.int32))
        except (TypeError, ValueError):  # as `tf.reshape(x, (x.shape[0], -1))` raises them
            return None

    def _compete(
        self, run: Run, candidates: tf.Tensor, target: Target, plan: halving.Plan, at_once: int, callback: Callback | None
    ) -> tuple[State, np.ndarray]:
        """The state of the best of each image's candidates `[n, k, d]`, and the objective at each evaluation that it took
        to find it."""
        _tell(callback, self.descent.begin(candidates[:, 0]))
        rivals = self.descent.begin(tf.reshape(candidates, (-1, candidates.shape[2])))
        state, history = halving.compete(run, rivals, target, plan, at_once)
        if plan.rounds:
            _tell(callback, state)
        return state, history

    def _descend(
        self,
        run: Run,
        state: State,
        target: Target,
        options: SolveOptions,
        leaving: bool,
        callback: Callback | None,
        chunk: int,
    ) -> tuple[State, np.ndarray]:
        """The state after all steps, or once every image has converged, and the objective at each iterate."""
        crowd, history = compaction.gathered(state, target), [np.zeros((0, target.count), np.float32)]
        while (left := options.steps - int(crowd.state.spent)) and bool(tf.reduce_any(crowd.state.active)):
            steps = min(chunk - int(crowd.state.spent) % chunk, left) if chunk else left
            crowd, losses = compaction.advance(run, crowd, steps, options.patience if leaving else None)
            history.append(losses)
            _tell(callback, compaction.whole(crowd))
        return compaction.whole(crowd), np.concatenate(history)

    def _finish(self, state: State, target: Target, parameters: Parameters) -> tuple[State, tf.Tensor]:
        """The last iterate, not evaluated yet unless its image has converged; then the picture of the best one."""
        image = self.generator(state.point)
        best = keep_best(state, self.objective(state.point, target, parameters.weights, image))
        older = tf.reduce_any(best.best_point != state.point, axis=1)
        return best, _redraw(self.generator, image, best.best_point, older)


def _tell(callback: Callback | None, state: State) -> None:
    if callback:
        callback(int(state.spent), state.best_loss.numpy(), state.best_point.numpy())


def _redraw(generator: Map, image: tf.Tensor, latent: tf.Tensor, which: tf.Tensor) -> tf.Tensor:
    """`image` with G(latent) where `which` `[n]` says so; G draws nothing else, unless it wants to know how many."""

    def some():
        rows = tf.where(which)
        return tf.tensor_scatter_nd_update(image, rows, generator(tf.gather_nd(latent, rows)))

    try:
        return tf.cond(tf.reduce_any(which), some, lambda: image)
    except (TypeError, ValueError):  # as in `Solver.compiled`
        return generator(latent)


def as_written(function: Callable) -> Any:
    """A `tf.function` of one of the solver's own: AutoGraph would take half of the time to trace the loop.

    TensorFlow warns of retracing by counting the calls of a piece of code, and every solver traces the same: a `partial` has
    no code, so that its calls are counted by themselves.
    """
    return tf.function(functools.partial(function), reduce_retracing=True, autograph=False)


def _translated(part: Map) -> Map:
    """A map with a graph of its own, for which AutoGraph makes TensorFlow's conditions and loops of Python's.

    Networks and maps of a user's own may have such. The solver's functions have none, and are traced `as_written`; a
    SavedModel is graphs already.
    """
    return part if part is identity or hasattr(part, "signatures") else tf.function(part)


def _tensors(target: Target) -> Target:
    if target.code is None and target.measurement is None and target.decoded is None:
        raise ValueError("nothing to match: the target has neither a code nor a measurement nor a decoded picture")
    return Target(*(None if part is None else tf.convert_to_tensor(part, tf.float32) for part in target))
