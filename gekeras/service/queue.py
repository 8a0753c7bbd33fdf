"""A bounded queue and the one thread that works it off, in batches of jobs of one kind."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Hashable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol


class Busy(Exception):
    """No slot: the queue is full, or stopping."""


class Engine(Protocol):
    """What does the work; all of it is called in the queue's thread."""

    def prepare(self) -> bool:
        """Do a part of what is to be done before the first job, while none waits; False if nothing is left to do."""

    def most(self, kind: Any) -> int:
        """How many jobs of a kind may be done together now."""

    def work(self, kind: Any, items: list[Any]) -> list[Any]:
        """The results of jobs of one kind, each independent of the others."""


@dataclass(eq=False)
class _Job:
    kind: Hashable
    item: Any
    arrived: float
    future: Future = field(default_factory=Future)


class BatchQueue:
    """Jobs in, futures out.

    Args:
        engine: what does the work. If `prepare` raises, the queue stops, and `failure` has the exception.
        capacity: slots; a job needs one from before its item is read until its result is taken.
        wait: seconds that the first job waits for others of its kind.
        enough: jobs of one kind for which nobody waits any longer.

    Attributes:
        ready: whether `prepare` is done.
        stopping: whether slots are refused because of `stop`.
        failure: what ended the thread, or None.

    Example:
        >>> class Doubler:
        ...     def prepare(self):
        ...         return False
        ...
        ...     def most(self, kind):
        ...         return 8
        ...
        ...     def work(self, kind, items):
        ...         return [2 * item for item in items]
        >>> queue = BatchQueue(Doubler(), capacity=4)
        >>> queue.start()
        >>> with queue.slot():
        ...     queue.put("number", 21).result()
        42
        >>> queue.stop()
        >>> queue.join()
    """

    def __init__(self, engine: Engine, *, capacity: int, wait: float = 0.0, enough: int = 64):
        self.engine, self.capacity, self.wait, self.enough = engine, capacity, wait, enough
        self.ready, self.stopping = False, False
        self.failure: BaseException | None = None
        self._jobs: list[_Job] = []
        self._taken, self._ended = 0, False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="gekeras-solve", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @contextlib.contextmanager
    def slot(self) -> Iterator[None]:
        """A place in the queue. Raises Busy."""
        with self._changed:
            if self.stopping:
                raise Busy("the service is stopping: nothing new is accepted")
            if self._taken >= self.capacity:
                raise Busy(f"the queue is full: {self.capacity} requests are waiting; try again later")
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1
                self._changed.notify_all()

    def put(self, kind: Hashable, item: Any) -> Future:
        """The future of a job's result. One that is canceled before its turn is not worked on."""
        job = _Job(kind, item, time.monotonic())
        with self._changed:
            self._drop_canceled()
            if self._ended:
                job.future.set_exception(self.failure or Busy("the service has stopped"))
            else:
                self._jobs.append(job)
                self._changed.notify_all()
        return job.future

    def stop(self, *, abandon: bool = False) -> None:
        """Refuse slots from now on; the thread ends when what has one is done, or, to abandon it, without what waits."""
        with self._changed:
            self.stopping = True
            if abandon:
                for job in self._jobs:
                    job.future.cancel()
                self._taken = 0
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread, which ends once the queue is stopped and drained."""
        self._thread.join()

    # ------------------------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            while self._await():
                if self._jobs:
                    self._batch()
                else:
                    self.ready = not self.engine.prepare()
        except BaseException as error:
            self.failure = error
        with self._changed:
            self.stopping = self._ended = True
            for job in self._jobs:
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(self.failure or Busy("the service has stopped"))
            self._jobs.clear()

    def _await(self) -> bool:
        """Wait for something to do; False at the end."""
        with self._changed:
            while True:
                self._drop_canceled()
                left = self._seconds_left()
                if left == 0 or not (self._jobs or self.ready or self.stopping):
                    return True
                if self.stopping and not self._jobs and self._taken <= 0:
                    return False
                self._changed.wait(left)

    def _seconds_left(self) -> float | None:
        """Until the first job's turn; None without one."""
        if not self._jobs:
            return None
        first = self._jobs[0]
        if self.stopping or sum(job.kind == first.kind for job in self._jobs) >= self.enough:
            return 0
        return max(0, first.arrived + self.wait - time.monotonic())

    def _drop_canceled(self) -> None:
        self._jobs = [job for job in self._jobs if not job.future.cancelled()]

    def _batch(self) -> None:
        """Work on the first job, and on those of its kind that may go with it."""
        with self._changed:
            first, *others = self._jobs
        together = [first, *(job for job in others if job.kind == first.kind)]
        if len(together) > 1:
            try:
                together = together[: max(1, self.engine.most(first.kind))]
            except Exception:  # `work` will tell
                together = [first]
        with self._changed:
            self._jobs = [job for job in self._jobs if job not in together]
        self._finish(first.kind, [job for job in together if job.future.set_running_or_notify_cancel()])

    def _finish(self, kind: Hashable, jobs: list[_Job]) -> None:
        """Give each job its result. What fails together is tried one by one, so that a job fails by itself alone."""
        if not jobs:
            return
        try:
            results = self.engine.work(kind, [job.item for job in jobs])
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
            for job in jobs if len(jobs) > 1 else []:
                self._finish(kind, [job])
            return
        for job, result in zip(jobs, results):
            job.future.set_result(result)
