"""A training run: its folder, what it writes there, and how it is stopped without losing anything.

A folder holds `options.json` (the resolved options), `arguments.json` (what the command was given), `environment.json` (one
record a start), `log.txt`, checkpoints, sample sheets and `tensorboard/`. Checkpoints are written under another name and
renamed, so a run that is killed at any moment goes on from its last one.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import tensorflow as tf

from .. import files, images
from ..config import Limits
from . import divergence
from .distribute import ALONE, Role
from .environment import record_start
from .progress import Progress


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop (SIGINT, SIGTERM), has saved its state and can go on; the message is one line."""


USUAL = Limits()


class Run:
    """A context manager around a training loop:

        with Run(folder, options, total) as run:
            while run.goes_on(seen):
                losses = step(run.take(stream))
                seen += n
                run.step(seen, n, {}, **losses)
                if run.save_due():
                    run.save(write, seen)
            run.finish(write, seen)

    Args:
        folder: made if it is not there; a second run in it at the same time is refused.
        options: JSON of the resolved options, kept as `options.json`.
        total: images at the end of the run.
        limits: time limit, time between checkpoints, messages, and the command's arguments.
        role: which of several workers this process is. All of them call the same methods in the same order; the chief
            alone writes, and when to stop and to save they decide together.

    Raises:
        ValueError: another process trains in the folder.
        Interrupted: on leaving, where a signal had asked for it. The first SIGINT or SIGTERM ends the loop after its
            step, a second one ends the process as usual.
        divergence.Diverged: a loss is not finite.
    """

    def __init__(
        self,
        folder: Path,
        options: str,
        total: int,
        *,
        limits: Limits = USUAL,
        role: Role = ALONE,
    ):
        self.folder, self.total, self.limits, self.role = folder, total, limits, role
        self._lock: IO | None = None
        role.settle(self._open(options) if role.chief else None)
        quiet = limits.quiet or not role.chief
        self.progress = Progress(folder, total, minutes=limits.minutes, quiet=quiet, writes=role.chief)
        self.signal: int | None = None
        self.diversities: list[float] = []
        self.lines_at_chance, self.told_chance = 0, False
        self.saved = time.monotonic()
        self._handlers: dict[int, Any] = {}
        self._losses: dict[str, tf.Tensor] = {}

    def _open(self, options: str) -> Exception | None:
        """Take the folder and write what is known at the start; returns what went wrong."""
        folder = self.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in ("options.json", "arguments.json"):
                if (folder / name).exists() and not (folder / ".lock").exists():
                    raise ValueError(f"{folder / name} is there, and {folder} is no run's folder: name another one")
            self._lock = files.locked(folder / ".lock")
            if self._lock is None:
                raise ValueError(f"another process is training in {folder}")
            files.remove_partial(folder)  # of a run that was killed while it wrote
            files.write_text(folder / "options.json", options)
            if self.limits.arguments is not None:
                files.write_json(folder / "arguments.json", self.limits.arguments)
            record_start(folder)
        except (OSError, ValueError) as error:
            return error
        return None

    def __enter__(self) -> Run:
        if threading.current_thread() is threading.main_thread():  # signals cannot be caught elsewhere
            self._handlers = {number: signal.signal(number, self._stop) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def _stop(self, number: int, _frame) -> None:
        self.signal = number
        self._restore_handlers()
        self.say(f"{signal.Signals(number).name}: stopping after this step, with a checkpoint; once more to stop at once")

    def _restore_handlers(self) -> None:
        while self._handlers:
            signal.signal(*self._handlers.popitem())

    def __exit__(self, kind, error, _traceback) -> None:
        self._restore_handlers()
        self.progress.close()
        if self._lock:
            self._lock.close()
        if kind is None and self.signal is not None:
            name = signal.Signals(self.signal).name
            raise Interrupted(f"stopped by {name} with a checkpoint in {self.folder}; the same command goes on from it")
        if isinstance(error, ValueError):
            self.say(str(error), quiet=True)

    # ------------------------------------------------------------------------------------------------ the loop

    def require_same_start(self, seen: int) -> None:
        """Raises ValueError, on every worker, if they have not read the same checkpoint."""
        same = self.role.agree(seen) == self.role.count * seen
        self.role.settle(None if same else ValueError(f"{self.folder} holds other checkpoints on other workers: share it"))

    def goes_on(self, seen: int) -> bool:
        """Whether there is more to do and nobody asked to stop."""
        stop = self.signal is not None or self.progress.out_of_time()
        return seen < self.total and not self.role.agree(stop)

    def take(self, stream: Iterator):
        """The next batch; the time this takes is the input's share of the step."""
        begin = time.monotonic()
        batch = next(stream)
        self.progress.waited += time.monotonic() - begin
        return batch

    def step(self, seen: int, count: int, state: dict[str, float], **losses: tf.Tensor) -> None:
        """Account for a step that showed `count` images."""
        self._losses = losses
        values = self.progress.step(seen, count, state, **losses)
        if values and self.role.count == 1:  # several workers have to find it at the same time: when they save
            divergence.require_finite(values, seen)
        if values:
            self.lines_at_chance = self.lines_at_chance + 1 if divergence.at_chance(values) else 0
            if self.lines_at_chance >= divergence.CHANCE_LINES and not self.told_chance:
                self.told_chance = True
                self.say(divergence.AT_CHANCE)

    def sheet(self, seen: int, sheet: np.ndarray) -> None:
        """Keep a sample sheet `[h, w, c]` in [-1, 1] as a picture and for TensorBoard."""
        try:
            images.write(self.folder / f"samples-{seen:09d}.png", sheet)
        except (OSError, files.FileError) as error:
            reason = _reason(error.__cause__ if isinstance(error.__cause__, OSError) else error)
            self.say(f"the sample sheet of {seen:,} images could not be written: {reason}")
        self.progress.picture(seen, sheet)

    def diversity(self, seen: int, value: float) -> None:
        """Log a measured diversity of the samples. Raises divergence.Diverged if the last two are near nothing."""
        self.diversities.append(value)
        self.progress.scalars(seen, {"diversity": value})
        divergence.require_diverse(self.diversities, seen)

    def save_due(self) -> bool:
        due = self.signal is None and time.monotonic() - self.saved >= self.limits.save_every
        return self.role.agree(due and self.role.chief) > 0

    def save(self, write: Callable[[], None], seen: int) -> bool:
        """Call `write`, unless a loss is not finite (it refuses weights that are not).

        A full disk is reported and the run goes on; returns whether it was written.
        """
        self.saved = time.monotonic()
        divergence.require_finite({name: float(value) for name, value in self._losses.items()}, seen)
        error = _error_of(write) if self.role.chief else None
        if self.role.agree(isinstance(error, OSError)):
            if error:
                self.say(f"the checkpoint of {seen:,} images could not be written: {_reason(error)}; the one before is kept")
            return False
        self.role.settle(error)
        return True

    def finish(self, write: Callable[[], None], seen: int) -> None:
        """The last save. Raises ValueError where it fails: the state since the last checkpoint is lost then."""
        if not self.save(write, seen):
            raise ValueError(
                f"{self.folder}: the last checkpoint could not be written; make room and start the command again"
            )

    def say(self, text: str, quiet: bool | None = None) -> None:
        """A line for the log and, unless quiet, for stderr."""
        self.progress.log(text)
        if not (self.limits.quiet if quiet is None else quiet):
            print(text, file=sys.stderr, flush=True)


def _error_of(write: Callable[[], None]) -> Exception | None:
    try:
        write()
    except (OSError, divergence.Diverged) as error:
        return error
    return None


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
