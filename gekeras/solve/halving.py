"""Successive halving among a picture's starts (Jamieson and Talwalkar 2016): all take a few steps, the better quarter
goes on for more, until one is left.

How near a random start is says little about where its descent ends; a few steps say more. What the losers cost is taken from
the picture's own steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from . import compaction
from .objective import Target

FIRST = 3  # steps of each in the first round; each later round has twice as many
KEPT = 4  # of so many one goes on
SHARE = 0.5  # of all steps, that the rounds may cost


class Plan(NamedTuple):
    """What every round costs, and what that leaves."""

    rounds: tuple[tuple[int, int], ...]  # starts, steps of each
    own: int  # steps of the winner, in the rounds and after them


def make_plan(count: int, steps: int) -> Plan:
    """The rounds of `count` starts that `steps` evaluations can afford.

    >>> make_plan(8, 100)
    Plan(rounds=((8, 3), (2, 6)), own=73)
    """
    rounds, each, left, own = [], FIRST, SHARE * steps, steps
    while count > 1 and count * each <= left:
        rounds.append((count, each))
        left -= count * each
        own -= (count - 1) * each
        count, each = max(1, count // KEPT), 2 * each
    return Plan(tuple(rounds), own)


def compete(run: Callable, state: Any, target: Target, plan: Plan, at_once: int) -> tuple[Any, np.ndarray]:
    """The rounds; without any the first of each picture's starts wins.

    Args:
        run: (state, target, steps) -> (state, objective at each iterate): the compiled loop.
        state: of `n k` problems, the k starts of a picture in a row.
        target: of the n pictures.
        plan: of `make_plan(k, ...)`.
        at_once: problems at once, which bounds the memory.

    Returns:
        The state of the n winners, charged with what the others took, and the best objective among a picture's starts, each
        step as often as there were starts: `[evaluations spent, n]`.
    """
    n, history = target.count, [np.zeros((0, target.count), np.float32)]
    count = state.point.shape[0] // n
    for _, steps in plan.rounds:
        spent, taken = state.spent + count * steps, (count - 1) * steps
        state, losses = _run_all(run, state, target, count, steps, at_once)
        history.append(np.repeat(losses.reshape(steps, n, count).min(axis=2), count, axis=0))
        order = np.argsort(state.best_loss.numpy().reshape(n, count), axis=1, kind="stable")
        kept = order[:, : max(1, count // KEPT)]
        state = compaction.gather(state, (count * np.arange(n)[:, None] + kept).ravel())
        state = state._replace(spent=spent, taken=state.taken + taken)
        count = kept.shape[1]
    return compaction.gather(state, count * np.arange(n)), np.concatenate(history)


def _run_all(run, state, target: Target, count: int, steps: int, at_once: int) -> tuple[Any, np.ndarray]:
    """So many steps of `count` problems a picture, in groups; where all of a group have converged, their objectives
    repeat."""
    states, losses, total = [], [], state.point.shape[0]
    for i in range(0, total, at_once):
        rows = np.arange(i, min(i + at_once, total))
        group = compaction.gather(state, rows)
        seen = group.loss[None]
        if bool(tf.reduce_any(group.active)):
            group, seen = run(group, target.take(rows // count), steps)
        states.append(group)
        losses.append(np.pad(seen, ((0, steps - len(seen)), (0, 0)), mode="edge"))
    return compaction.joined(states), np.concatenate(losses, axis=1)
