"""`Restore`: pictures in, restored pictures, records and refusals out."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.shared import Shared

from ..config import PictureOptions
from ..files import PathLike
from ..messages import plain, shown
from ..networks.presets import DEFAULT
from .naming import key_of, result_name
from .shelf import NAMESPACE, Shelf, read
from .sources import Pictures
from .worker import Job, Picture, Worker, job_of

REFUSED = "refused"
FINISHED = "finished"
UNREADABLE = (PermissionError, IsADirectoryError, NotADirectoryError)  # of a path; anything else is worth another try
_LOG = logging.getLogger(__name__)


class Outcome(NamedTuple):
    """What `Restore` gives.

    Attributes:
        restored: PCollection of (name, PNG file as bytes, record as a dict), those that were finished before included.
        refused: PCollection of (name, one line that says why).
    """

    restored: Any
    refused: Any


class Restore(beam.PTransform):
    """PCollection of pictures -> `Outcome`; each picture becomes what `gekeras solve` makes of it.

    A picture is the path of a file (str; whatever Beam's filesystems read), or (name, bytes of the file), or, for inpaint,
    (name, bytes, bytes of its mask). Its result is called as it is, without its suffix: `a/b` of the name `a/b.jpg`, `b` of
    the path `/data/a/b.jpg`. Different pictures whose results have one name are refused, all of them.

    Counters of the namespace `gekeras`: restored, skipped (finished before), refused; `counts` adds them up.

    Args:
        task, preset, models, parameters, forward: as `GenerativeEncoder.from_preset`.
        pictures: `PictureOptions`, the same for all: simulate, align, tile, box, levels, reduce.
        fidelity, changes: as `GenerativeEncoder.options`.
        output: folder that gets `NAME.png` and `NAME.json`, or None. A result that is there already, of the same input,
            networks and options, is not made again.
        batch_size: pieces (pictures, faces or tiles) that are solved together; what becomes of one depends on that number
            by rounding, but not on the others. 1: to the last bit what `gekeras solve` makes of each alone.

    Raises:
        ValueError: an unknown preset, task or option, options that would change nothing or belong to a single picture, or
            an output into which nothing can be put, or, when it is applied, that lies in a folder that `Pictures` reads.

    Example:
        >>> with beam.Pipeline() as pipeline:  # doctest: +SKIP
        ...     found = pipeline | Pictures("small/") | Restore("superres", output="restored/")
        ...     found.refused | beam.Map(print)
    """

    def __init__(
        self,
        task: str,
        preset: PathLike = DEFAULT,
        *,
        models: PathLike | None = None,
        parameters: dict[str, Any] | None = None,
        forward: str | None = None,
        pictures: PictureOptions | None = None,
        fidelity: str = "fast",
        output: PathLike | None = None,
        batch_size: int = 8,
        **changes: Any,
    ):
        super().__init__()
        self.shelf = None if output is None else Shelf(output)
        self.job = job_of(task, preset, models, parameters, forward, pictures, fidelity, changes, batch_size)

    def expand(self, pictures):
        self._check_apart(pictures)
        keyed = beam.ParDo(_Name()).with_output_types(tuple[str, Any])
        named = pictures | "Name" >> keyed.with_outputs(REFUSED, main="named")
        # Brings those of one name together, and spreads the pictures over the workers.
        grouped = named.named | "Group" >> beam.GroupByKey()
        read_ = grouped | "Read" >> beam.ParDo(_Read(self.job.call, self.shelf)).with_outputs(REFUSED, FINISHED, main="new")
        size = self.job.batch_size
        solved = (
            read_.new
            | "Batch" >> beam.BatchElements(min_batch_size=size, max_batch_size=size)
            | "Solve" >> beam.ParDo(_Solve(self.job, self.shelf)).with_outputs(REFUSED, main="restored")
        )
        refusals = (named[REFUSED], read_[REFUSED], solved[REFUSED])
        restored = (solved.restored, read_[FINISHED]) | "Restored" >> beam.Flatten()
        return Outcome(restored, refusals | "Refused" >> beam.Flatten())

    def _check_apart(self, pictures) -> None:
        """Raise ValueError for an output below a folder whose pictures are read: a second run would restore its results."""
        source = getattr(getattr(pictures.producer, "parent", None), "transform", None)
        if self.shelf is None or not isinstance(source, Pictures):
            return
        for folder in source.folders:
            if self.shelf.lies_in(folder):
                raise ValueError(f"{self.shelf.output} lies in {folder}, whose pictures are read; name an output beside it")


def counts(result) -> dict[str, int]:
    """How many pictures of a pipeline that was run were restored, skipped, refused, left_out: its counters, over all steps.

    Args:
        result: what `Pipeline.run` gave, once it has finished.
    """
    every = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    found = Counter(dict.fromkeys(("restored", "skipped", REFUSED, "left_out"), 0))
    for counter in every:
        found[counter.key.metric.name] += counter.committed
    return dict(found)


class _Counting(beam.DoFn):
    """Counts what becomes of pictures."""

    def count(self, what: str) -> None:
        Metrics.counter(NAMESPACE, what).inc()

    def refuse(self, name: str, reason: object) -> TaggedOutput:
        self.count(REFUSED)
        reason = plain(str(reason))
        _LOG.warning("refused: %s: %s", name, reason)
        return TaggedOutput(REFUSED, (name, reason))


class _Name(_Counting):
    """An element as it was given -> (key of its result, (name, result, path or None, bytes or None, mask or None))."""

    def process(self, element) -> Iterator[Any]:
        name, path, data, mask = _parts(element)
        try:
            result = result_name(os.path.basename(path) if path else name)
        except ValueError as error:
            yield self.refuse(name, error)
        else:
            yield key_of(result), (name, result, path, data, mask)


def _parts(element) -> tuple[str, str | None, bytes | None, bytes | None]:
    """Name, path, bytes, mask. Raises TypeError for what is no picture in any form."""
    if isinstance(element, (str, os.PathLike)):
        return os.fspath(element), os.fspath(element), None, None
    parts = tuple(element) if isinstance(element, (tuple, list)) else ()
    if len(parts) in (2, 3) and isinstance(parts[0], str) and all(isinstance(part, bytes) for part in parts[1:]):
        return parts[0], None, parts[1], parts[2] if len(parts) == 3 else None
    raise TypeError(f"a picture is a path, (name, bytes) or (name, bytes, mask as bytes); received {shown(element)}")


class _Read(_Counting):
    """Pictures of one result -> what is new, what is finished, what is refused."""

    def __init__(self, call: str, shelf: Shelf | None):
        self.call, self.shelf = call, shelf

    def process(self, element) -> Iterator[Any]:
        every = list(dict.fromkeys(map(tuple, element[1])))  # a source may give the same twice
        if len(every) > 1:
            for name, result, *_ in every:
                others = ", ".join(sorted({other[0] for other in every} - {name})[:3]) or "another picture of that name"
                yield self.refuse(name, f"its result would be called {result}, as that of {others}: name them apart")
            return
        name, result, path, data, mask = every[0]
        try:
            data = read(path) if path else data
            if data is None:
                raise FileNotFoundError("no such file")
            picture = Picture(name, data, mask)
            wanted = {"input": picture.digest(), "call": self.call}
            found = self.shelf and self.shelf.finished(result, wanted)
        except (ValueError, FileNotFoundError) as error:
            yield self.refuse(name, error)
        except UNREADABLE as error:
            yield self.refuse(name, f"cannot be read ({error.strerror or error})")
        else:
            if found:
                self.count("skipped")
                yield TaggedOutput(FINISHED, (name, *found))
            else:
                yield result, picture


class _Solve(_Counting):
    """Batches of (result, picture) -> results, written as they come."""

    worker: Worker  # between `setup` and `teardown`

    def __init__(self, job: Job, shelf: Shelf | None):
        self.job, self.shelf, self.shared = job, shelf, Shared()

    def setup(self):
        self.worker = self.shared.acquire(partial(Worker, self.job), tag=self.job.call)

    def process(self, batch) -> Iterator[Any]:
        for (result, picture), found in zip(batch, self.worker.restore([picture for _, picture in batch])):
            if isinstance(found, str):
                yield self.refuse(picture.name, found)
                continue
            if self.shelf:
                self.shelf.write(result, *found)
            self.count("restored")
            yield (picture.name, *found)

    def teardown(self):
        self.__dict__.pop("worker", None)
