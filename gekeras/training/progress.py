"""What a training run tells: one line with images a second, remaining time and losses; TensorBoard scalars."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import tensorflow as tf


class Progress:
    """Counts images and time, prints a line every few seconds, says when to checkpoint and when to stop.

    Args:
        folder: run folder; scalars go to `folder/tensorboard`.
        total: images at the end of the run.
        minutes: time limit of this run, 0 for none.
        every, checkpoint_every: seconds between two lines and two checkpoints.
    """

    def __init__(
        self,
        folder: Path,
        total: int,
        *,
        minutes: float = 0.0,
        quiet: bool = False,
        every: float = 5.0,
        checkpoint_every: float = 120.0,
    ):
        self.total, self.quiet, self.every, self.checkpoint_every = total, quiet, every, checkpoint_every
        self.started = self.printed = self.saved = time.monotonic()
        self.deadline = self.started + 60 * minutes if minutes else float("inf")
        self.recent = 0
        self.writer = tf.summary.create_file_writer(str(folder / "tensorboard"))

    def out_of_time(self) -> bool:
        return time.monotonic() > self.deadline

    def checkpoint_due(self) -> bool:
        if time.monotonic() - self.saved < self.checkpoint_every:
            return False
        self.saved = time.monotonic()
        return True

    def step(self, images: int, count: int, state: dict[str, float], **losses: tf.Tensor) -> None:
        """Account for `count` images; now and then print and log."""
        self.recent += count
        elapsed = time.monotonic() - self.printed
        if elapsed < self.every:
            return
        rate = self.recent / elapsed
        values = {name: float(value) for name, value in losses.items()}
        self.printed, self.recent = time.monotonic(), 0
        with self.writer.as_default(step=images):
            for name, value in {**state, **values, "images_per_second": rate}.items():
                tf.summary.scalar(name, value)
        if not self.quiet:
            print(line(images, self.total, rate, {**state, **values}), file=sys.stderr, flush=True)


def line(images: int, total: int, rate: float, values: dict[str, float]) -> str:
    """`12,800/75,000 images  150.2/s  0:06:54 left  resolution 16  d 1.302  g 0.701`."""
    left = int((total - images) / rate) if rate else 0
    clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    numbers = "  ".join(f"{k} {v:g}" if isinstance(v, int) else f"{k} {v:.4f}" for k, v in values.items())
    return f"{images:,}/{total:,} images  {rate:.1f}/s  {clock}  {numbers}"
