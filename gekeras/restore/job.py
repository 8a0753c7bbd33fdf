"""One call's work, once its files and places have been checked: networks, pieces, solves, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..config import PictureOptions, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..networks import ModelOptions
from ..pictures.observations import Observation, Request, observe_all, places_of, stack_pieces
from ..solve import Solution
from . import batches, effects, memory, paths, records, results, uncertainty
from .paths import Places
from .records import Restored, Uncertainty


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
) -> list[tuple[Path, Restored, dict[str, Any]]]:
    """Load, read, solve, write. Args and Raises: as `pipeline.files`.

    Returns:
        Of each input that was not left out: where its picture is, what was restored, and its record.
    """
    model = GenerativeEncoder.from_options(networks)
    options = model.options(fidelity, **changes)
    if not preview:
        model.check(options)
    seed, options = options.seed, None if preview else replace(options, finalists=1) if samples else options
    effects.check_parameters(model.task, networks, pictures, options)
    items = observe_all(inputs, Request(model.task, *model.shape[1:], pictures, seed), tell)
    places = _places_of_those_left(places, inputs, items)
    _check_sizes(places, items, model, pictures)
    asked = records.asked(model, networks, pictures, fidelity, changes, options, seed)
    y, known = stack_pieces(items)
    count = (samples or 1) * len(y)
    chosen = batches.choose_batch(model, y, known, options, batch)
    start = "" if preview else model.note(fidelity, **changes)
    for line in filter(None, (start, *_notes(items, options, count, chosen))):
        tell(line)
    frames: list[np.ndarray] = []
    watch = _frame_keeper(model, items[0], frames) if places.animate else None
    solution, deviation = _solve(model, y, known, options, samples, chosen.size, progress, watch)
    restored = assemble(items, solution, deviation, samples)
    written = results.write(places, items, model, asked, restored, chosen, frames)
    return [(path, *each) for path, each in zip(places.pictures, written)]


def _places_of_those_left(places: Places, inputs: list[Path], items: list[Observation]) -> Places:
    """The places without those of inputs that were left out."""
    left = {item.path for item in items}

    def of(every):
        return [path for path, source in zip(every, inputs) if source in left]

    return replace(places, pictures=of(places.pictures), deviations=of(places.deviations))


def _check_sizes(places: Places, items: list[Observation], model: GenerativeEncoder, pictures: PictureOptions) -> None:
    """Raise ValueError for results that their files could not hold, before they are solved for."""
    for path, item in zip(places.pictures, items):
        grow = 1 if pictures.simulate else model.task.factor
        whole = pictures.align or pictures.tile
        paths.check_side(path, *([grow * side for side in item.size] if whole else model.shape[:2]))


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
    there nothing was restored. Each has its share of the seconds, by its pieces."""
    restored = []
    for item, place in places_of(items):
        pictures = item.join(np.clip(solution.image[place], -1, 1))
        unsure = None
        if deviation is not None:
            joined = item.join(deviation[place][..., None])
            gray = uncertainty.gray(joined)
            unsure = Uncertainty(gray, item.place(gray, -1), uncertainty.describe(joined, samples))
        loss, steps = float(solution.loss[place].mean()), int(solution.steps[place].max())
        seconds = solution.seconds * len(item.measurements) / len(solution.loss)
        restored.append(Restored(pictures, item.place(pictures), loss, steps, seconds, unsure))
    return restored
