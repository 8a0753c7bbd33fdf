"""What a training run tells: one line with images a second, remaining time, losses and memory; TensorBoard; a log."""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf


class Progress:
    """Counts images and time, prints a line every few seconds, and says when the time is over.

    Args:
        folder: run folder; scalars and sheets go to `folder/tensorboard`, lines to `folder/log.txt`.
        total: images at the end of the run.
        minutes: time limit of this run, 0 for none.
        every: seconds between two lines.
        writes: whether there are files at all; of several workers, only the chief has them.

    Attributes:
        waited: seconds since the last line in which the step waited for pictures; the loop adds to it.
        seconds: since the start.
    """

    def __init__(
        self,
        folder: Path,
        total: int,
        *,
        minutes: float = 0.0,
        quiet: bool = False,
        every: float = 5.0,
        writes: bool = True,
    ):
        self.folder, self.total, self.quiet, self.every, self.writes = folder, total, quiet, every, writes
        self.started = self.printed = time.monotonic()
        self.deadline = self.started + 60 * minutes if minutes else float("inf")
        self.recent, self.waited = 0, 0.0
        self.writer = (
            tf.summary.create_file_writer(str(folder / "tensorboard")) if writes else tf.summary.create_noop_writer()
        )

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def out_of_time(self) -> bool:
        return time.monotonic() > self.deadline

    def step(self, images: int, count: int, state: dict[str, float], **losses: tf.Tensor) -> dict[str, float]:
        """Account for `count` images; now and then print and log. Returns the losses it printed, else nothing."""
        self.recent += count
        elapsed = time.monotonic() - self.printed
        if elapsed < self.every:
            return {}
        values = {name: float(value) for name, value in losses.items()}
        rates = {"images_per_second": self.recent / elapsed, "input": self.waited / elapsed, "memory": memory()}
        self.printed, self.recent, self.waited = time.monotonic(), 0, 0.0
        self.scalars(images, {**state, **values, **rates})
        text = line(images, self.total, rates, {**state, **values})
        self.log(text)
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)
        return values

    def scalars(self, images: int, values: dict[str, float]) -> None:
        """Numbers for TensorBoard."""
        try:
            with self.writer.as_default(step=images):
                for name, value in values.items():
                    tf.summary.scalar(name, value)
        except tf.errors.OpError:  # a full disk; a run is worth more than its curves
            pass

    def picture(self, images: int, sheet: np.ndarray) -> None:
        """A sample sheet `[h, w, c]` in [-1, 1] for TensorBoard."""
        try:
            with self.writer.as_default(step=images):
                tf.summary.image("samples", np.clip(sheet[None] / 2 + 0.5, 0, 1))
        except tf.errors.OpError:
            pass

    def log(self, text: str) -> None:
        """A line of `log.txt`, with the time."""
        if not self.writes:
            return
        try:
            with (self.folder / "log.txt").open("a") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}\n")
        except OSError:
            pass

    def close(self) -> None:
        try:
            self.writer.close()
        except tf.errors.OpError:
            pass


def memory() -> float:
    """Memory of this process in GB: on a GPU the peak there, else what is resident."""
    if tf.config.list_logical_devices("GPU"):
        return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 1e9
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e9
    except OSError:  # no /proc: the peak, which macOS counts in bytes
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e9


def line(images: int, total: int, rates: dict[str, float], values: dict[str, float]) -> str:
    """`12,800/75,000 images  150.2/s  0:06:54 left  resolution 16  d 1.302  g 0.701  input 3 %  1.9 GB`."""
    rate = rates["images_per_second"]
    left = int((total - images) / rate) if rate else 0
    clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02} left"
    numbers = "  ".join(f"{k} {v:g}" if isinstance(v, int) else f"{k} {v:.4f}" for k, v in values.items())
    cost = f"input {100 * rates['input']:.0f} %  {rates['memory']:.1f} GB"
    return f"{images:,}/{total:,} images  {rate:.1f}/s  {clock}  {numbers}  {cost}"
