"""The progressive schedule as a function of one number, images shown so far; resuming needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config import LEARNING_RATE, MINIBATCH, GANOptions


@dataclass(frozen=True)
class Point:
    """Where training stands.

    Attributes:
        resolution: of the networks.
        alpha: blend of the highest resolution, in [0, 1].
        phase: counts fades and stable parts.
        batch_size: images a step.
        step: steps since this resolution began.
    """

    resolution: int
    alpha: float
    phase: int
    batch_size: int
    step: int


def total_images(options: GANOptions) -> int:
    return sum(stage.fade + stage.stable for stage in options.stages)


def batch_size_at(resolution: int, options: GANOptions) -> int:
    """Images a step: the resolution's own, else the option's, else the original's."""
    return dict(options.batch_sizes).get(resolution) or options.batch_size or MINIBATCH[resolution]


def learning_rate_at(resolution: int, options: GANOptions) -> float:
    """Adam's rate: the resolution's own, else the option's, else the original's."""
    return dict(options.learning_rates).get(resolution) or options.learning_rate or LEARNING_RATE.get(resolution, 0.001)


def at(images: int, options: GANOptions) -> Point:
    """The point of the schedule after `images` images; past the end, the last stage."""
    begin = 0
    for i, stage in enumerate(options.stages):
        end = begin + stage.fade + stage.stable
        if images < end or i == len(options.stages) - 1:
            seen = images - begin
            alpha = min(seen / stage.fade, 1.0) if stage.fade else 1.0
            batch_size = batch_size_at(stage.resolution, options)
            return Point(stage.resolution, alpha, 2 * i + (seen >= stage.fade), batch_size, seen // batch_size)
        begin = end
    raise ValueError("the schedule has no stages")


def average_decay(step: int, options: GANOptions) -> float:
    """Decay of the generator's moving average: (1 + step) / (10 + step) until that reaches `average_decay`.

    The layers that a resolution adds start from noise. Without this ramp the average keeps that noise for
    1 / (1 - average_decay) steps and more, which colors its pictures when stages are short; the original, with its 600,000
    images a stage, has no such ramp and no need of one.
    """
    return min(options.average_decay, (1 + step) / (10 + step))


def half_cosine(done: float, first: float, last: float) -> float:
    """From `first` at 0 to `last` at 1 and after, along half a cosine."""
    return last + 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) * (first - last)
