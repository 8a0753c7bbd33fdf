"""The progressive schedule as a function of one number, images shown so far; resuming needs nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..config import LEARNING_RATE, MINIBATCH, AEGANOptions, BEGANOptions, GANOptions


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
    """Images at the end of the schedule."""
    return sum(stage.fade + stage.stable for stage in options.stages)


def batch_size_at(resolution: int, options: GANOptions) -> int:
    """Images a step: the resolution's own, else the option's, else the original's."""
    return dict(options.batch_sizes).get(resolution) or options.batch_size or MINIBATCH[resolution]


def learning_rate_at(resolution: int, options: GANOptions) -> float:
    """Adam's rate: the resolution's own, else the option's, else the original's."""
    return dict(options.learning_rates).get(resolution) or options.learning_rate or LEARNING_RATE.get(resolution, 0.001)


def at(images: int, options: GANOptions) -> Point:
    """The point of the schedule after `images` images; past the end, the last stage.

    Args:
        images: real images shown so far.
        options: its `stages` are the schedule.

    Raises:
        ValueError: there are no stages.

    Example:
        >>> from gekeras.config import GANOptions, Stage
        >>> options = GANOptions(8, stages=(Stage(4, 0, 800), Stage(8, 400, 400)), batch_size=8)
        >>> at(900, options)  # a quarter into the fade of 8 px
        Point(resolution=8, alpha=0.25, phase=2, batch_size=8, step=12)
        >>> at(1200, options).alpha
        1.0
    """
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


def average_decay(step: int, options: GANOptions | BEGANOptions | AEGANOptions) -> float:
    """Decay of the generator's moving average: (1 + step) / (10 + step) until that reaches `average_decay`.

    The layers that a resolution adds start from noise. Without this ramp the average keeps that noise for
    1 / (1 - average_decay) steps and more, which colors its pictures when stages are short; the original, with its 600,000
    images a stage, has no such ramp and no need of one.

    Example:
        >>> from gekeras.config import GANOptions
        >>> [round(average_decay(step, GANOptions(average_decay=0.999)), 3) for step in (0, 10, 10_000)]
        [0.1, 0.55, 0.999]
    """
    return min(options.average_decay, (1 + step) / (10 + step))


def half_cosine(done: float, first: float, last: float) -> float:
    """From `first` at 0 to `last` at 1 and after, along half a cosine.

    Example:
        >>> [round(half_cosine(done, 0.01, 0.001), 5) for done in (0.0, 0.5, 1.0, 2.0)]
        [0.01, 0.0055, 0.001, 0.001]
    """
    return last + 0.5 * (1 + math.cos(math.pi * min(done, 1.0))) * (first - last)
