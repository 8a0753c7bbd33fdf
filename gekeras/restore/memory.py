"""How many pictures are solved at once: as many as the memory holds. The one place for that rule.

What one picture needs is read off the compiled solver step. Its graph, with the functions that it calls, is walked in the
order in which it runs; a tensor lives from the operation that makes it to the last one that reads it. The most that lives at
one time, for a batch of one, is what a picture costs; docs/measurements/memory.md compares that with what was measured.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from ..config import Z_ALONE, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..solve import Target

MOST = 64  # pictures at once: beyond it a picture gets no cheaper
SHARE = 0.5  # of the free memory: the rest is for the kernels' scratch, fragmentation and everybody else
UNKNOWN = 4 * 2**30  # bytes, where the system does not tell what is free
CGROUPS = (  # limit and use of a container, in version 2 and 1
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
CALLED = ("f", "body", "then_branch")  # attributes of an operation that name the function it calls
SAME = {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "EnsureShape", "StopGradient"}  # share their buffer


class Need(NamedTuple):
    """Bytes that a computation holds at one time, beside its variables."""

    picture: int  # for each picture
    fixed: int  # whatever the batch, as scaled weights


class Batch(NamedTuple):
    """A number of pictures, and why."""

    size: int
    need: Need | None = None  # None: not asked, or not known
    free: int = 0  # bytes, of which `need` was thought

    def record(self) -> dict[str, int] | None:
        """For a result's JSON record."""
        return None if self.need is None else {"picture": self.need.picture, "fixed": self.need.fixed, "free": self.free}

    def note(self) -> str:
        """`12 at a time: about 481 MB a picture, 11.6 GB free`."""
        why = f": about {self.need.picture / 1e6:.0f} MB a picture, {self.free / 1e9:.1f} GB free" if self.need else ""
        return f"{self.size} at a time{why}"


def for_solve(model: GenerativeEncoder, options: SolveOptions, target: Target, asked: int | None = None) -> Batch:
    """The batch of a job of solves; its size is also their `at_once`.

    The loop is compiled on the way as the solves will use it, so that this costs a tenth of a second.

    Args:
        target: of one or more of the job's pictures.
        asked: the user's own number, which is taken as it is.
    """
    if asked:
        return Batch(asked)
    loops = [model.solver(options).compiled(target, model.latent_size, options)]
    if options.layers != Z_ALONE:
        loops.append(model.layer_stage(options).compiled(target, options))
    needs = [need_of(loop) for loop in loops]
    return of_need(None if None in needs else Need(*map(max, zip(*needs))))


def for_decoding(model: GenerativeEncoder, observation, asked: int | None = None) -> Batch:
    """The batch of DC(E(x_dagger)); `observation` is one or more measurements, as in `GenerativeEncoder.solve`."""
    if asked or model.decoder is None:
        return Batch(asked or MOST)
    function = tf.function(lambda y: model.decoder(model.encoder(model.task.lift(y))))
    try:
        return of_need(need_of(function.get_concrete_function(tf.TensorSpec([None, *np.shape(observation)[1:]]))))
    except (TypeError, ValueError):  # a network that wants to know the number of pictures
        return Batch(MOST)


def of_need(need: Need | None) -> Batch:
    """The rule: as many pictures as fit into `SHARE` of the free memory, from 1 to `MOST`; `MOST` where no need is known."""
    if need is None:
        return Batch(MOST)
    free = available()
    room = SHARE * free - need.fixed
    return Batch(int(np.clip(room // max(need.picture, 1), 1, MOST)), need, free)


def slices(count: int, batch: int) -> list[slice]:
    """0 to `count` in slices of at most `batch`."""
    return [slice(begin, min(begin + batch, count)) for begin in range(0, count, batch)]


# ------------------------------------------------------------------------------------------------ what there is


def available() -> int:
    """Bytes of free memory: of the first GPU if there is one, else of the machine or of the container."""
    if gpus := tf.config.list_physical_devices("GPU"):
        if (free := _free_on_device(gpus[0].name.replace("/physical_device:", ""))) is not None:
            return free
        return UNKNOWN
    known = [bytes_ for bytes_ in (_free_in_machine(), *_free_in_container()) if bytes_ is not None]
    return max(0, min(known)) if known else UNKNOWN


def _free_in_machine() -> int | None:
    """What Linux says is available; elsewhere half of what there is."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # not on Windows
        return None


def _free_in_container() -> Iterator[int]:
    for limit, used in CGROUPS:
        try:
            yield int(Path(limit).read_text()) - int(Path(used).read_text())
        except (OSError, ValueError):  # no such file, or "max"
            continue


def _free_on_device(name: str) -> int | None:
    """What TensorFlow may take of a GPU, and has not taken; `name` as "GPU:0"."""
    from tensorflow.python.client import device_lib  # the one place that tells the limit

    try:
        limits = {device.name: device.memory_limit for device in device_lib.list_local_devices()}
        return limits[f"/device:{name}"] - tf.config.experimental.get_memory_info(name)["current"]
    except (KeyError, RuntimeError, ValueError):
        return None


# ----------------------------------------------------------------------------------------------- what is needed


class Flat(NamedTuple):
    """A graph without functions: its operations as (read, made), tensors being numbers, and the bytes of each tensor."""

    operations: list[tuple[list[int], list[int]]]
    sizes: list[Need]

    def make(self, tensor, read: list[int]) -> int:
        self.sizes.append(_size(tensor, [self.sizes[k] for k in read]))
        return len(self.sizes) - 1


def need_of(concrete: Any) -> Need | None:
    """What a compiled function holds at most at one time, its batch being left open; None if there is none, or where its
    graph is not to be read.

    The two are counted apart, and the largest of each need not be at the same time: their sum is an upper bound.
    """
    if concrete is None:
        return None
    flat = Flat([], [])
    try:
        given = [flat.make(tensor, []) for tensor in concrete.graph.inputs]
        flat.operations.append(([], given))
        results = _flatten(concrete.graph, given, flat)
    except (AttributeError, KeyError, ValueError):  # the way from a call to its graph is TensorFlow's own, and may change
        return None
    operations = _reached(flat.operations, results)
    last = {k: when for when, (read, _) in enumerate(operations) for k in read}
    last.update(dict.fromkeys(results, len(operations)))
    return Need(*(_peak(operations, last, [size[side] for size in flat.sizes]) for side in (0, 1)))


def _flatten(graph, given: list[int], flat: Flat) -> list[int]:
    """The operations of a graph, and of those that it calls in their places; the numbers of its results."""
    known = dict(zip((tensor.name for tensor in graph.inputs), given))
    for operation in graph.get_operations():
        if operation.type == "Placeholder" and operation.outputs[0].name in known:
            continue
        read = [known[tensor.name] for tensor in operation.inputs]
        if (inner := _called(graph, operation)) is not None:  # the last inputs: a branch is not given its condition
            made = _flatten(inner, read[len(read) - len(inner.inputs) :], flat)
        elif operation.type in SAME:
            made = read
        else:
            made = [flat.make(tensor, read) for tensor in operation.outputs]
            flat.operations.append((read, made))
        known.update(zip((tensor.name for tensor in operation.outputs), made))
    return [known[tensor.name] for tensor in graph.outputs]


def _called(graph, operation):
    """The graph of the function that an operation calls: of a loop its body, of a condition its first branch."""
    attributes = operation.node_def.attr
    names = [attributes[name].func.name for name in CALLED if name in attributes and attributes[name].func.name]
    return graph._get_function(names[0]).graph if names else None


def _size(tensor, read: list[Need]) -> Need:
    """Bytes of a tensor, of each picture if a side is the batch; where more is unknown, of the largest it is made of."""
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return Need(0, 0)
    sides = None if tensor.shape.rank is None else tensor.shape.as_list()
    if sides is None or sides.count(None) > 1:
        return max(read, default=Need(0, 0))
    count = math.prod(side for side in sides if side is not None) * tensor.dtype.size
    return Need(count, 0) if None in sides else Need(0, count)


def _reached(operations: list, results: list[int]) -> list:
    """Those that the results depend on, in their order: the rest is never run."""
    wanted, kept = set(results), []
    for read, made in reversed(operations):
        if wanted.intersection(made):
            kept.append((read, made))
            wanted.update(read)
    return kept[::-1]


def _peak(operations: list, last: dict[int, int], sizes: list[int]) -> int:
    """The most that is held at one time; a tensor that nothing reads is gone at once."""
    held = most = 0
    gone: Counter = Counter()
    for when, (_, made) in enumerate(operations):
        for k in made:
            held += sizes[k]
            gone[last.get(k, when)] += sizes[k]
        most = max(most, held)
        held -= gone[when]
    return most
