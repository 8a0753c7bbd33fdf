"""One call's work: a model, what is solved of every input, and what it takes to solve and write it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import plots
from ..config import PictureOptions, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..networks import ModelOptions
from ..pictures.observations import Observation, Request, observe
from . import batches, memory, results, uncertainty
from .paths import Places


@dataclass(frozen=True)
class Job:
    """What is restored, with what, and how.

    Attributes:
        preset: name of the preset; None where nothing of one is used.
        items: every input, made ready.
        options: of the solves; None for a preview, which solves nothing.
        samples: solves of each piece, for their uncertainty; None: one.
        batch: pieces at once.
    """

    model: GenerativeEncoder
    preset: str | None
    items: list[Observation]
    options: SolveOptions | None
    samples: int | None
    batch: memory.Batch

    @property
    def solves(self) -> int:
        """Of all pieces, samples included."""
        return (self.samples or 1) * sum(len(item.measurements) for item in self.items)

    @property
    def notes(self) -> list[str]:
        """What was done to the files, and the batch where there are several."""
        lines = [item.note for item in self.items if item.note]
        verb = "solving" if self.options else "decoding"
        return [*lines, f"{verb} {self.batch.note()}"] if self.solves > self.batch.size else lines


@dataclass(frozen=True)
class Outcome:
    """The restored inputs, and the first one's pictures on the way if they were asked for."""

    restored: list[batches.Restored]
    frames: list[np.ndarray] = field(default_factory=list)


def prepare(
    inputs: list[Path],
    model: ModelOptions,
    pictures: PictureOptions,
    fidelity: str,
    changes: Mapping[str, Any],
    *,
    preview: bool = False,
    samples: int | None = None,
    batch: int | None = None,
) -> Job:
    """Load the networks, read and cut the pictures, see how many fit the memory. Args, Raises: as `pipeline.files`."""
    network, preset = GenerativeEncoder.from_options(model), model.load_preset()
    options = network.options(fidelity, **changes)
    network.check(options)
    request = Request(network.task, *network.shape[1:], pictures, options.seed)
    items = [observe(path, request) for path in inputs]
    used = None if preview else options
    size = batches.batch_of(network, items, used, batch)
    return Job(network, preset.name if preset else None, items, used, samples, size)


def run(job: Job, progress: Callable[[int, int, float], None], frames: bool = False) -> Outcome:
    """Solve, or for a preview decode, every piece.

    Args:
        frames: keep the first input's picture on the way.
    """
    if job.options is None:
        return Outcome(batches.preview(job.model, job.items, job.batch))
    if job.samples:
        how = (job.model, job.items, job.options, job.samples, job.batch, progress)
        return Outcome(uncertainty.restore_items(*how))
    kept: list[np.ndarray] = []
    watch = _frame_keeper(job.model, job.items[0], kept) if frames else None
    return Outcome(batches.solve(job.model, job.items, job.options, job.batch, progress, watch), kept)


def _frame_keeper(model: GenerativeEncoder, item: Observation, frames: list[np.ndarray]):
    """A `watch` of `batches.solve` that keeps the input's picture at each call."""

    def watch(_step, latent):
        pieces = np.clip(model.generate(latent[: len(item.measurements)]), -1, 1)
        if len(pieces) == len(item.measurements):  # an input of more pieces than a batch has no whole frame
            frames.append(item.place(item.join(pieces)))

    return watch


def write(job: Job, places: Places, outcome: Outcome) -> list[tuple[Path, np.ndarray, dict[str, Any]]]:
    """Pictures, records, and what else was asked for; (path, picture, record) of each input."""
    found = outcome.restored
    records = results.records(job.items, job.model, job.options, found, job.preset, job.batch)
    results.write(places, found, records)
    if places.panel:
        results.write_panel(places.panel, job.items, job.model.task, found, records)
    if places.animate:
        plots.animation(places.animate, [*outcome.frames, found[0].image])
    return [(path, each.image, record) for path, each, record in zip(places.pictures, found, records)]
