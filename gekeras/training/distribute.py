"""Training on several devices of one machine (`mirrored`) or in several processes (`multiworker`), with the result of one.

The batch of the options is the whole batch. Of R replicas, replica p shows its pictures p, p + R, p + 2 R, ...: a stride,
because `MinibatchStdDev` puts picture i into group i mod (n / group), so that a replica's groups are groups of the whole
batch. What is drawn (latents, mixes, noise) is drawn for the whole batch on every replica and strided alike, and a loss is
divided by R, because Keras' optimizers sum gradients over replicas. docs/scaling.md says how runs are started and what
happens when a worker is lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

NAMES = ("auto", "none", "mirrored", "multiworker")
PATIENCE = 3600.0  # seconds a worker waits for the others to start, as long as TensorFlow itself

# What TensorFlow 2.15 raises in the other workers when one is killed, freezes, or starts afresh.
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


class WorkerLost(ConnectionError):
    """Another worker is gone: this process cannot go on, a fresh one can, from the last checkpoint; see `restart`."""


# ------------------------------------------------------------------------------------------------- the strategies


def strategy_for(name: str = "auto", devices: list[str] | None = None, patience: float = PATIENCE) -> tf.distribute.Strategy:
    """The strategy of a name, made before TensorFlow does anything else (several workers need that).

    Args:
        name: `"none"`; `"mirrored"`, a replica on each of `devices`, by default on each GPU; `"multiworker"`, the processes
            that TF_CONFIG names; `"auto"`: several workers where TF_CONFIG names them, mirrored on several GPUs, else none.
        patience: seconds to wait for the other workers to start, after which the process ends.

    Raises:
        ValueError: no such name, or TF_CONFIG is wrong or missing.
        WorkerLost: another worker went while the workers were meeting.
    """
    if name not in NAMES:
        raise ValueError(f"distribute must be one of {', '.join(NAMES)}; received {name!r}")
    if name in ("auto", "multiworker"):
        addresses, index = cluster()
        if len(addresses) > 1:
            return _meet(addresses, index, patience)
        if name == "multiworker":
            raise ValueError("multiworker needs TF_CONFIG with a cluster of two workers or more")
    if name == "mirrored" or (name == "auto" and len(tf.config.list_physical_devices("GPU")) > 1):
        return tf.distribute.MirroredStrategy(devices)
    return tf.distribute.get_strategy()


def cluster() -> tuple[list[str], int]:
    """The addresses that TF_CONFIG names, the chief's first, and this process's place among them; ([], 0) without it.

    Raises ValueError if TF_CONFIG is something else.
    """
    try:
        settings = json.loads(os.environ.get("TF_CONFIG") or "{}")
        jobs, task = settings.get("cluster", {}), settings.get("task", {})
        chiefs, workers = list(jobs.get("chief", [])), list(jobs.get("worker", []))
        place = {"chief": 0, "worker": len(chiefs)}.get(task.get("type", "worker"), -1) + int(task.get("index", 0))
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(f"TF_CONFIG must be JSON with a cluster and a task: {error}") from error
    addresses = [*chiefs, *workers]
    if addresses and not 0 <= place < len(addresses):
        raise ValueError(f"TF_CONFIG: the task {task} is none of the cluster's {len(addresses)} chief and workers")
    return addresses, place


def _meet(addresses: list[str], index: int, patience: float) -> tf.distribute.Strategy:
    try:
        with _watched("the workers " + ", ".join(a for i, a in enumerate(addresses) if i != index), patience):
            # No `timeout_seconds`: TensorFlow 2.15 keeps a sleeping thread of that length for every exchange.
            return tf.distribute.MultiWorkerMirroredStrategy()
    except LOST as error:
        raise WorkerLost("another worker was lost while the workers were meeting") from error
    except tf.errors.UnknownError as error:  # the port is taken
        raise ValueError(f"worker {index} cannot listen on {addresses[index]}: {error}") from error


@contextlib.contextmanager
def _watched(others: str, patience: float) -> Iterator[None]:
    """While TensorFlow waits, it holds the interpreter: another process keeps the time, and SIGINT ends this one at once."""
    watch = str(Path(__file__).with_name("watch.py"))
    command = [sys.executable, "-I", watch, str(os.getpid()), str(patience), others]
    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGINT, signal.SIG_DFL) if main else None
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        try:
            yield
        finally:
            if main:
                signal.signal(signal.SIGINT, before)


def _say(text: str) -> None:
    print(f"gekeras: {text}", file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------- the workers


@dataclass(frozen=True)
class Role:
    """One of `count` processes that train together. The first, the chief, alone writes.

    Attributes:
        agree: a whole number -> its sum over all workers, each of which has to ask. Of a flag: on how many it is set.
    """

    index: int = 0
    count: int = 1
    agree: Callable[[int], int] = int

    @property
    def chief(self) -> bool:
        return self.index == 0

    @property
    def shard(self) -> tuple[int, int]:
        """For `data.stream`: the rows of a batch that this worker reads."""
        return self.index, self.count

    def settle(self, error: Exception | None) -> None:
        """Raise on every worker where one has an error: its own there, a ValueError elsewhere."""
        if self.agree(error is not None):
            raise error or ValueError("another worker stopped; its own message says why")


ALONE = Role()


def place_of(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """(index of this process, processes); (0, 1) unless there are several workers."""
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    addresses, index = cluster() if several else ([], 0)
    return (index, len(addresses)) if len(addresses) > 1 else (0, 1)


@contextlib.contextmanager
def scope(strategy: tf.distribute.Strategy | None) -> Iterator[Role]:
    """Networks made inside are the strategy's (None: TensorFlow's own, one device); what is lost is told as `WorkerLost`."""
    strategy = strategy or tf.distribute.get_strategy()
    index, count = place_of(strategy)
    with strategy.scope():
        try:
            yield Role(index, count, _agreement(strategy, count)) if count > 1 else ALONE
        except LOST as error:
            if count == 1:
                raise
            raise WorkerLost("another worker was lost") from error


def _agreement(strategy: tf.distribute.Strategy, workers: int) -> Callable[[int], int]:
    @tf.function
    def summed(value):
        return strategy.reduce("SUM", strategy.run(tf.identity, (value,)), axis=None)

    local = strategy.num_replicas_in_sync // workers
    return lambda value: round(float(summed(tf.constant(float(value), tf.float64)))) // local


@contextlib.contextmanager
def restarting() -> Iterator[None]:
    """Where another worker is lost inside: say so and `restart`."""
    try:
        yield
    except WorkerLost as error:
        _say(f"{error}; this one starts again from the last checkpoint and waits for the others")
        restart()


def restart(pause: float = 2.0) -> None:
    """Become a fresh process of the same command, after so many seconds; does not return.

    TensorFlow 2.15 cannot leave a broken cluster and join another, so nothing less will do.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    time.sleep(pause)  # the other survivors notice, too, before they are asked to meet again
    os.execv(sys.executable, getattr(sys, "orig_argv", None) or [sys.executable, *sys.argv])


# ------------------------------------------------------------- inside `strategy.run`: a replica's part of the batch


def require_divisible(batch_size: int, group: int = 1) -> None:
    """Raises ValueError if a batch cannot be split over the replicas in whole groups of that many pictures."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1 and batch_size % (replicas * group):
        groups = f" in whole groups of {group}, that is, must be a multiple of {replicas * group}" if group > 1 else ""
        raise ValueError(f"a batch of {batch_size} pictures must split over {replicas} replicas{groups}")


def replicas() -> int:
    return tf.distribute.get_replica_context().num_replicas_in_sync


def _place(strategy: tf.distribute.Strategy, identity: tf.Tensor | int):
    """The replica's place p among R: worker w of W reads the rows w, w + W, ..., of which its replica l takes every L-th."""
    workers = place_of(strategy)[1]
    local = strategy.num_replicas_in_sync // workers
    return identity // local + workers * (identity % local)


def replica_rows(x: tf.Tensor) -> tf.Tensor:
    """This replica's rows p, p + R, ... of what is the whole batch's `[n, ...]` -> `[n / R, ...]`."""
    context = tf.distribute.get_replica_context()
    place = _place(context.strategy, context.replica_id_in_sync_group) if replicas() > 1 else 0
    return _stride(x, place, replicas())


def local_rows(x: tf.Tensor) -> tf.Tensor:
    """This replica's rows of what this worker has read, `[n / workers, ...]` -> `[n / R, ...]`."""
    context = tf.distribute.get_replica_context()
    local = replicas() // place_of(context.strategy)[1]
    return _stride(x, context.replica_id_in_sync_group % local, local)


def whole_batch(x: tf.Tensor) -> tf.Tensor:
    """Inverse of `replica_rows`, the other replicas' rows being zero: `[n / R, ...]` -> `[n, ...]`."""
    if replicas() == 1:
        return x
    context = tf.distribute.get_replica_context()
    place = _place(context.strategy, context.replica_id_in_sync_group)
    mine = tf.reshape(tf.one_hot(place, replicas(), dtype=x.dtype), (1, -1, *[1] * (len(x.shape) - 1)))
    return tf.reshape(x[:, None] * mine, (-1, *x.shape[1:]))


def _stride(x: tf.Tensor, place: tf.Tensor | int, count: int) -> tf.Tensor:
    return x if count == 1 else tf.reshape(x, (-1, count, *x.shape[1:]))[:, place]


def share_of_mean(loss: tf.Tensor) -> tf.Tensor:
    """A mean over this replica's pictures as its part of the mean over the whole batch."""
    return loss if replicas() == 1 else loss / replicas()


def move_average(strategy: tf.distribute.Strategy, average, network, decay: tf.Tensor) -> None:
    """a <- w + decay (a - w) of two equal networks, on every device from its own copies; called outside `strategy.run`."""
    for mean, weight in zip(average.trainable_variables, network.trainable_variables):
        strategy.extended.update(
            inner_variable(mean), lambda a, w, d: a.assign(w + d * (a - w)), args=(inner_variable(weight), decay)
        )


def inner_variable(variable) -> tf.Variable:
    """TensorFlow's own variable, which strategies and SavedModels ask for, inside one of Keras 3."""
    return variable if isinstance(variable, tf.Variable) else variable.value
