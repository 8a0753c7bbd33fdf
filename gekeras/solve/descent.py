"""Algorithm 1, step 4: a descent on f that keeps its best point, as one `tf.while_loop` over explicit state.

The paper's is: z_0 drawn from N(0, I) (`starts.draw`), f equation (3) (`objective`), and Adam (Kingma and Ba 2015,
Algorithm 1) at the constant rate 0.1. Nothing here asks what a point is: z, and any other unknown of d numbers. n problems
are solved at once, each by itself; memory is that of one pass forward and backward for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import tensorflow as tf

from ..config import SolveOptions
from .objective import Target, Weights


class Optimizer(NamedTuple):
    """`init(point) -> state`; `update(point, loss, gradient, state, step, rate, metric) -> (next point, next state)`.

    Point and gradient are `[n, d]`, loss is `[n]`, step and rate are [], and the metric is `lbfgs_update`'s. What
    `keras.optimizers` keep in variables, a `tf.while_loop` body cannot create and an exported function should not hold.
    """

    init: Callable[[tf.Tensor], Any]
    update: Callable[..., tuple[tf.Tensor, Any]]


class AdamState(NamedTuple):
    """First and second moment, both like the point `[n, d]`."""

    mean: tf.Tensor
    square: tf.Tensor


def adam_init(point: tf.Tensor) -> AdamState:
    return AdamState(tf.zeros_like(point), tf.zeros_like(point))


def adam_update(
    gradient: tf.Tensor, state: AdamState, step: tf.Tensor, rate: tf.Tensor, beta_1=0.9, beta_2=0.999, epsilon=1e-8
) -> tuple[tf.Tensor, AdamState]:
    """The change of the point and the next state; `step` counts from 0."""
    mean = beta_1 * state.mean + (1 - beta_1) * gradient
    square = beta_2 * state.square + (1 - beta_2) * tf.square(gradient)
    t = tf.cast(step + 1, gradient.dtype)
    unbiased_mean = mean / (1 - tf.pow(beta_1, t))
    unbiased_square = square / (1 - tf.pow(beta_2, t))
    return -rate * unbiased_mean / (tf.sqrt(unbiased_square) + epsilon), AdamState(mean, square)


def adam() -> Optimizer:
    def update(point, loss, gradient, state, step, rate, metric=None):
        change, state = adam_update(gradient, state, step, rate)
        return point + change, state

    return Optimizer(adam_init, update)


class State(NamedTuple):
    """All that the loop changes. `compaction.gather` says which shapes a field can have."""

    step: tf.Tensor  # [] int32, steps that these points have taken
    spent: tf.Tensor  # [] int32, evaluations that each picture has had: the steps, and those of the starts that lost
    point: tf.Tensor  # [n, d]
    loss: tf.Tensor  # [n] f at the point before, the last that was evaluated; inf before the first
    optimizer: Any  # the state of the optimizer
    best_point: tf.Tensor  # [n, d]
    best_loss: tf.Tensor  # [n]
    mark: tf.Tensor  # [n] best loss `patience` steps ago
    active: tf.Tensor  # [n] bool, False once an image has converged
    taken: tf.Tensor  # [n] int32, evaluations that each image took; as `spent`, up to where it converged


class Parameters(NamedTuple):
    """The numbers of `SolveOptions` as tensors, so that changing one compiles nothing anew."""

    steps: tf.Tensor  # in all, for the ramp
    learning_rate: tf.Tensor
    weights: Weights
    tolerance: tf.Tensor
    patience: tf.Tensor
    metric: tf.Tensor | None  # [d, d] of L-BFGS; None: the identity
    limits: tf.Tensor | None = None  # [n] int32, steps of each image where they differ; None: as many as the loop takes


def make_parameters(options: SolveOptions, metric: tf.Tensor | None = None) -> Parameters:
    weights = (options.code_weight, options.pixel_weight, options.weight, options.decoder_weight)
    return Parameters(
        tf.constant(options.steps),
        tf.constant(options.learning_rate, tf.float32),
        Weights(*(tf.constant(weight, tf.float32) for weight in weights)),
        tf.constant(options.tolerance, tf.float32),
        tf.constant(options.patience),
        metric,
    )


@dataclass(frozen=True)
class Descent:
    """What a step is made of.

    Attributes:
        objective: f, (point `[n, d]`, target, weights) -> `[n]`.
        project: point -> the nearest one that is allowed, as `Prior.project`.
        ramp: (step, steps) -> factor of the rate.
    """

    objective: Callable[..., tf.Tensor]
    project: Callable[[tf.Tensor], tf.Tensor]
    optimizer: Optimizer
    ramp: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]

    def begin(self, point: tf.Tensor) -> State:
        """Before the first step, from `[n, d]`."""
        n, zero = tf.shape(point)[:1], tf.constant(0)
        worst = tf.fill(n, tf.constant(float("inf"), tf.float32))
        return State(
            step=zero,
            spent=zero,
            point=point,
            loss=worst,
            optimizer=self.optimizer.init(point),
            best_point=point,
            best_loss=worst,
            mark=worst,
            active=tf.fill(n, True),
            taken=tf.zeros(n, tf.int32),
        )

    def step(self, state: State, target: Target, parameters: Parameters) -> State:
        """Evaluate f and its gradient, keep the point if it is the best so far, take a step."""
        loss, gradient = self._evaluate(state.point, target, parameters.weights)
        state = keep_best(state, loss)
        rate = parameters.learning_rate * self.ramp(state.step, parameters.steps)
        moved, optimizer = self.optimizer.update(
            state.point, loss, gradient, state.optimizer, state.step, rate, parameters.metric
        )
        active = _still_active(state, parameters)
        at_mark = state.step % parameters.patience == 0
        return state._replace(
            step=state.step + 1,
            spent=state.spent + 1,
            point=tf.where(active[:, None], self.project(moved), state.point),
            optimizer=optimizer,
            mark=tf.where(at_mark, state.best_loss, state.mark),
            active=active,
            taken=state.taken + tf.cast(active, tf.int32),
        )

    def advance(self, state: State, target: Target, parameters: Parameters, steps: tf.Tensor) -> tuple[State, tf.Tensor]:
        """So many steps, or until every image has converged; also f at each point that was evaluated `[steps, n]`."""
        record = tf.TensorArray(tf.float32, size=0, dynamic_size=True, element_shape=state.point.shape[:1])
        first = state.step

        def unfinished(state, record):
            return (state.step < first + steps) & tf.reduce_any(state.active)

        def body(state, record):
            after = self.step(state, target, parameters)
            return after, record.write(state.step - first, after.loss)

        state, record = tf.while_loop(unfinished, body, (state, record))
        return state, record.stack()

    def _evaluate(self, point: tf.Tensor, target: Target, weights: Weights) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            loss = self.objective(point, target, weights)
        # What a network that is a graph does not tell of its batch is that of the points.
        return tf.ensure_shape(loss, point.shape[:1]), tf.ensure_shape(tape.gradient(loss, point), point.shape)


def keep_best(state: State, loss: tf.Tensor) -> State:
    """With f at its point, which an image that has converged keeps."""
    loss = tf.where(state.active, loss, state.loss)
    better = loss < state.best_loss
    best = tf.where(better[:, None], state.point, state.best_point)
    return state._replace(loss=loss, best_point=best, best_loss=tf.minimum(loss, state.best_loss))


def _still_active(state: State, parameters: Parameters) -> tf.Tensor:
    """False from the step on where the best objective fell by less than `tolerance` of itself since the mark, or where the
    point of an image's last step has been evaluated."""
    at_mark = (state.step > 0) & (state.step % parameters.patience == 0)
    stalled = state.mark - state.best_loss <= parameters.tolerance * state.best_loss  # equal where the best is 0
    active = state.active & ~(at_mark & stalled & (parameters.tolerance > 0))
    return active if parameters.limits is None else active & (state.step < parameters.limits)
