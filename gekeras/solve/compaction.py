"""Pictures that have converged leave the batch: a solve costs the steps its pictures took, not n times the longest of them.

The compiled loop freezes them; between two of its calls, here, what is still on the way is gathered into a smaller batch.
Every picture is one problem, so its own result is what it would be in any company, up to the rounding of a batch of another
size and what a long iteration makes of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from .objective import Target

# The share of a batch that must have left before it shrinks. The loop is traced for any number of pictures at once, so that
# no size compiles anything; but each new one has its kernels chosen anew, which costs about a step of one picture on a CPU
# and more on a GPU. An eighth bounds the sizes of a batch of 64 to about 20, and what is computed in vain to an eighth.
LEAVING = 1 / 8


class Crowd(NamedTuple):
    """`n` pictures, of which `k` are still computed."""

    state: Any  # `descent.State` of the k
    target: Target  # of the k
    rows: np.ndarray  # [k] which of the n they are
    everyone: Any  # `descent.State` of all n when the last ones left, without the optimizer's part


def gathered(state: Any, target: Target) -> Crowd:
    """All n pictures, before any has left."""
    return Crowd(state, target, np.arange(target.count), state._replace(optimizer=()))


def gather(state: Any, rows: np.ndarray) -> Any:
    """The state of some of its pictures. Every field is [], [n], `[n, d]` or `[m, n, d]`, and so is the optimizer's."""

    def taken(field):
        rank = field.shape.rank
        return tf.gather(field, rows, axis=max(rank - 2, 0)) if rank else field

    return tf.nest.map_structure(taken, state)


def joined(states: list[Any]) -> Any:
    """One state of several groups of pictures that are at the same step, or have all converged before it; the inverse of
    `gather`."""

    def put(*fields):
        rank = fields[0].shape.rank
        return tf.concat(fields, axis=max(rank - 2, 0)) if rank else tf.reduce_max(tf.stack(fields))

    return tf.nest.map_structure(put, *states)


def whole(crowd: Crowd) -> Any:
    """The state of all n pictures, those that have left as they left; without the optimizer's part, which has done its
    work."""
    state = crowd.state._replace(optimizer=())
    if len(crowd.rows) == crowd.everyone.point.shape[0]:
        return state

    def put(old, new):
        return tf.tensor_scatter_nd_update(old, crowd.rows[:, None], new) if new.shape.rank else new

    return tf.nest.map_structure(put, crowd.everyone, state)


def shrink(crowd: Crowd) -> Crowd:
    """Without the pictures that have converged, if they are a share that is worth it and some are left."""
    active = crowd.state.active.numpy()
    if not active.any() or np.mean(~active) < LEAVING:
        return crowd
    kept = np.flatnonzero(active)
    return Crowd(gather(crowd.state, kept), crowd.target.take(kept), crowd.rows[kept], whole(crowd))


def advance(run, crowd: Crowd, steps: int, patience: int | None) -> tuple[Crowd, np.ndarray]:
    """So many steps, or until every picture has converged.

    Args:
        run: the compiled loop, (state, target, steps) -> (state, objective at each iterate `[steps, k]`).
        patience: pictures leave after every so many steps, when the loop finds out who has converged; None: they stay.

    Returns:
        The crowd, and the objective at each iterate `[steps, n]`: a picture that has left repeats its last one.
    """
    blocks, left = [], steps
    while left and bool(tf.reduce_any(crowd.state.active)):
        part = min(left, _until_found_out(int(crowd.state.step), patience)) if patience else left
        state, losses = run(crowd.state, crowd.target, part)
        block = np.repeat(crowd.everyone.loss.numpy()[None], losses.shape[0], axis=0)
        block[:, crowd.rows] = losses.numpy()
        blocks.append(block)
        crowd, left = crowd._replace(state=state), left - part
        crowd = shrink(crowd) if patience else crowd
    return crowd, np.concatenate(blocks)


def _until_found_out(step: int, patience: int) -> int:
    """Steps to right behind the next multiple of `patience` but 0, where `descent` finds out who has converged."""
    return patience - (step - 1) % patience if step else patience + 1


def any_number(structure: Any) -> Any:
    """Its tensors' types, with the number of pictures left open; see `gather` for where it stands."""

    def specification(field):
        shape = field.shape.as_list()
        if shape:
            shape[max(len(shape) - 2, 0)] = None
        return tf.TensorSpec(shape, field.dtype)

    return tf.nest.map_structure(specification, structure)


def any_target(target: Target) -> Target:
    """As `any_number`, for a target, whose pictures stand first."""
    return Target(*(None if part is None else tf.TensorSpec([None, *part.shape[1:]], part.dtype) for part in target))
