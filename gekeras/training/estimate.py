"""What a run will cost on this machine: a few steps at each resolution, measured, times the schedule."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from .. import data
from ..config import GANOptions
from . import gan, schedule

STEPS, WARM_UP, PATIENCE = 20, 2, 60.0  # measured, not measured, and seconds after which fewer are enough


class Speed(NamedTuple):
    """images a second, and the share of that time spent waiting for pictures."""

    rate: float
    waiting: float


@dataclass(frozen=True)
class Row:
    """A stage of the schedule: its images, its batch, Adam's rate, and what was measured."""

    resolution: int
    fade: int
    stable: int
    batch_size: int
    learning_rate: float
    speed: Speed

    @property
    def seconds(self) -> float:
        return (self.fade + self.stable) / self.speed.rate


def measure(
    step: Callable[[tf.Tensor, int], object],
    stream: Iterator,
    batch_size: int,
    steps: int = STEPS,
    patience: float = PATIENCE,
) -> Speed:
    """Speed of `step(batch, number)`, after `WARM_UP` steps that compile and fill; at most `patience` seconds."""
    for i in range(WARM_UP):
        tf.nest.map_structure(lambda x: x.numpy(), step(next(stream), i))
    begin, waited, done = time.monotonic(), 0.0, 0
    while done < steps and (done == 0 or time.monotonic() - begin < patience):
        asked = time.monotonic()
        batch = next(stream)
        waited += time.monotonic() - asked
        tf.nest.map_structure(lambda x: x.numpy(), step(batch, WARM_UP + done))
        done += 1
    elapsed = time.monotonic() - begin
    return Speed(done * batch_size / elapsed, waited / elapsed)


def of_gan(options: GANOptions, items, memory: bool = False) -> Iterator[Row]:
    """The stages one by one, each measured with fresh networks in its fade; nothing is written.

    Args:
        items: `data.entries(...)`; with `memory` no more than the pictures that the steps show are decoded.
    """
    nets = None
    for stage in options.stages:
        nets = gan.Networks(options, stage.resolution, grown_from=nets)
        nets.blend(0.5)
        size, rate = schedule.batch_size_at(stage.resolution, options), schedule.learning_rate_at(stage.resolution, options)
        yield Row(stage.resolution, stage.fade, stage.stable, size, rate, _speed(nets, items, size, memory))


def _speed(nets: gan.Networks, items, batch_size: int, memory: bool) -> Speed:
    options, step = nets.options, gan.make_step(nets)
    few = items[: batch_size * (STEPS + WARM_UP)] if memory else items
    stream = data.stream(data.Source(few, nets.resolution, options.channels, memory), batch_size, seed=options.seed)
    point = schedule.Point(nets.resolution, 0.5, 0, batch_size, 0)
    return measure(lambda x, i: step(x, *gan.step_inputs(options, point, i * batch_size)), stream, batch_size)


def clock(seconds: float) -> str:
    """`12 s`, `4 min`, `7.5 h`, `3.2 days`."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} s"
