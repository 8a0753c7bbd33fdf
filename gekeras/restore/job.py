"""One call's work, once its files and places have been checked: networks, pieces, solves, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PictureOptions, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..networks import ModelOptions
from ..pictures.observations import Observation, Request, observe, places_of, stack_pieces
from ..solve import Solution
from . import batches, memory, results, uncertainty
from .paths import Places
from .results import Restored


def restore(
    inputs: list[Path],
    places: Places,
    networks: ModelOptions,
    pictures: PictureOptions,
    fidelity: str,
    changes: Mapping[str, Any],
    *,
    preview: bool = False,
    samples: int | None = None,
    batch: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: batches.Progress = batches.no_progress,
) -> list[tuple[Restored, dict[str, Any]]]:
    """Load, read, solve, write. Args and Raises: as `pipeline.files`.

    Returns:
        What was restored of each input, and its record.
    """
    model = GenerativeEncoder.from_options(networks)
    options = model.options(fidelity, **changes)
    model.check(options)
    items = [observe(path, Request(model.task, *model.shape[1:], pictures, options.seed)) for path in inputs]
    options = None if preview else options
    y, known = stack_pieces(items)
    chosen = batches.choose_batch(model, y, known, options, batch)
    for line in _notes(items, options, (samples or 1) * len(y), chosen):
        tell(line)
    frames: list[np.ndarray] = []
    watch = _frame_keeper(model, items[0], frames) if places.animate else None
    solution, deviation = _solve(model, y, known, options, samples, chosen.size, progress, watch)
    restored = assemble(items, solution, deviation, samples)
    return results.write(places, items, model, networks, options, restored, chosen, frames)


def _notes(items: list[Observation], options: SolveOptions | None, solves: int, batch: memory.Batch) -> list[str]:
    """What was done to the files, and the batch where there are several."""
    lines = [item.note for item in items if item.note]
    return [*lines, f"{'solving' if options else 'decoding'} {batch.note()}"] if solves > batch.size else lines


def _solve(
    model: GenerativeEncoder, y, known, options: SolveOptions | None, samples: int | None, batch: int, progress, watch
) -> tuple[Solution, np.ndarray | None]:
    """Every piece solved, or decoded where there are no options; with samples also their deviation `[n, h, w]`."""
    if options is None:
        return batches.decode_batches(model, y, known, batch), None
    if samples is None:
        return batches.solve_batches(model, y, known, options, batch, progress=progress, watch=watch), None
    ensemble = uncertainty.solve_ensemble(model, y, options, known=known, samples=samples, batch=batch, progress=progress)
    return ensemble.solution, ensemble.deviation


def _frame_keeper(model: GenerativeEncoder, item: Observation, frames: list[np.ndarray]):
    """A `watch` of `batches.solve_batches` that keeps the input's picture at each call."""

    def watch(_step, latent):
        pieces = np.clip(model.generate(latent[: len(item.measurements)]), -1, 1)
        if len(pieces) == len(item.measurements):  # an input of more pieces than a batch has no whole frame
            frames.append(item.place(item.join(pieces)))

    return watch


def assemble(
    items: list[Observation], solution: Solution, deviation: np.ndarray | None, samples: int | None
) -> list[Restored]:
    """Each input's pieces, joined and placed; so are their deviations, which are black around the faces of a photograph:
    there nothing was restored."""
    restored = []
    for item, place in places_of(items):
        pictures = item.join(np.clip(solution.image[place], -1, 1))
        unsure = None
        if deviation is not None:
            joined = item.join(deviation[place][..., None])
            gray = uncertainty.gray(joined)
            unsure = results.Uncertainty(gray, item.place(gray, -1), uncertainty.describe(joined, samples))
        loss, steps = float(solution.loss[place].mean()), int(solution.steps[place].max())
        restored.append(Restored(pictures, item.place(pictures), loss, steps, solution.seconds, unsure))
    return restored
