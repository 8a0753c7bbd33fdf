"""L-BFGS for many small problems at once, one evaluation a step, with its state in the open.

Nocedal and Wright, "Numerical Optimization", algorithm 7.4 (two loops) with a fixed metric in place of the scaled identity.
`tfp.optimizer.lbfgs_minimize` has neither such a metric nor a bound on the evaluations of each problem: its line search goes
on until the slowest of a batch is content.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

MEMORY = 10  # pairs kept
SUFFICIENT = 1e-4  # Armijo's constant
SHORTER = 0.35  # a step that did not help enough is tried again so much shorter


class LBFGSState(NamedTuple):
    """`n` problems of `d` unknowns, `m` pairs; the newest pair is the last. A row of zeros is no pair."""

    point: tf.Tensor  # [n, d] the last accepted point, +inf loss before the first
    loss: tf.Tensor  # [n]
    gradient: tf.Tensor  # [n, d]
    direction: tf.Tensor  # [n, d]
    slope: tf.Tensor  # [n] <gradient, direction>
    length: tf.Tensor  # [n] of the step on trial, over the direction
    moves: tf.Tensor  # [m, n, d] s
    changes: tf.Tensor  # [m, n, d] y


def lbfgs_init(point: tf.Tensor) -> LBFGSState:
    zero, number = tf.zeros_like(point), tf.zeros_like(point[:, 0])
    pairs = tf.stack([zero] * MEMORY)
    infinite = number + float("inf")
    return LBFGSState(point, infinite, zero, zero, number, number, pairs, pairs)


def lbfgs_update(
    point: tf.Tensor, loss: tf.Tensor, gradient: tf.Tensor, state: LBFGSState, first_move: tf.Tensor, metric=None
) -> tuple[tf.Tensor, LBFGSState]:
    """The next point to evaluate, and the next state.

    A point that falls short of Armijo's condition is forgotten, and a point nearer to the last accepted one comes next.

    Args:
        point, loss, gradient: the point `[n, d]` that was just evaluated, its f `[n]` and f's gradient `[n, d]`.
        first_move: length of the first step, [].
        metric: the inverse Hessian to start from, up to its scale, symmetric positive definite `[d, d]`; None: the identity.
    """
    first = tf.math.is_inf(state.loss)
    accepted = first | (loss <= state.loss + SUFFICIENT * state.length * state.slope)
    move, change = point - state.point, gradient - state.gradient
    curved = _dot(move, change) > 1e-7 * tf.norm(move, axis=1) * tf.norm(change, axis=1)
    kept = (accepted & ~first & curved)[:, None]
    moves, changes = (
        tf.where(kept[None], tf.concat([pairs[1:], tf.where(kept, new, 0.0)[None]], axis=0), pairs)
        for pairs, new in ((state.moves, move), (state.changes, change))
    )
    point, gradient = (
        tf.where(accepted[:, None], new, old) for new, old in ((point, state.point), (gradient, state.gradient))
    )
    newest = _dot(changes[-1], _times(changes[-1], metric))
    fresh = newest > 0  # the scale with which the metric explains the newest pair; without a pair, the first move's length
    ratio = tf.math.divide_no_nan(_dot(moves[-1], changes[-1]), newest)
    steepest = _times(gradient, metric)
    unit = tf.math.divide_no_nan(first_move, tf.norm(steepest, axis=1))
    scale = tf.where(fresh, ratio, unit)
    direction = -_inverse_hessian_times(gradient, moves, changes, scale, metric)
    slope = _dot(gradient, direction)
    downhill = slope < 0  # rounding can spoil it: then the metric alone, which always points downhill
    direction = tf.where(downhill[:, None], direction, -unit[:, None] * steepest)
    slope = tf.where(downhill, slope, _dot(gradient, direction))
    direction = tf.where(accepted[:, None], direction, state.direction)
    slope = tf.where(accepted, slope, state.slope)
    length = tf.where(accepted, 1.0, SHORTER * state.length)
    loss = tf.where(accepted, loss, state.loss)
    after = LBFGSState(point, loss, gradient, direction, slope, length, moves, changes)
    return point + length[:, None] * direction, after


def _inverse_hessian_times(vector, moves, changes, scale, metric) -> tf.Tensor:
    """The two loops: newest pair first, then the metric, then oldest pair first."""
    inverse = tf.math.divide_no_nan(1.0, tf.reduce_sum(moves * changes, axis=2))  # [m, n] 1 / <s, y>, 0 where no pair is
    factors: list[tf.Tensor] = []
    for k in reversed(range(MEMORY)):
        factor = inverse[k] * _dot(moves[k], vector)
        vector -= factor[:, None] * changes[k]
        factors.insert(0, factor)
    vector = scale[:, None] * _times(vector, metric)
    for k, factor in enumerate(factors):
        vector += (factor - inverse[k] * _dot(changes[k], vector))[:, None] * moves[k]
    return vector


def _times(vector: tf.Tensor, metric) -> tf.Tensor:
    return vector if metric is None else tf.matmul(vector, metric)


def _dot(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(a * b, axis=1)
