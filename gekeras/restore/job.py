"""One call's work, once its files and places have been checked: networks, pieces, solves, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

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
    chosen = model.options(fidelity, **changes)
    if not preview:
        model.check(chosen)
    seed, options = chosen.seed, None if preview else replace(chosen, finalists=1) if samples else chosen
    effects.check_parameters(model.task, networks, pictures, options)
    items = observe_all(inputs, Request(model.task, *model.image_shape[1:], pictures, seed), tell)
    places = _places_of_those_left(places, inputs, items)
    _check_sizes(places, items, model, pictures)
    asked = records.asked(model, networks, pictures, fidelity, changes, options, seed)
    groups = _groups(model, items, options, samples, batch)
    start = "" if preview else model.note(fidelity, **changes)
    for line in filter(None, (start, *_notes(items, options, groups))):
        tell(line)
    frames: list[np.ndarray] = []
    watch = _frame_keeper(model, items[0], options, frames) if places.animate and options else None
    solved: dict[int, tuple[Restored, memory.Batch]] = {}
    for k, group in enumerate(groups):
        solution, deviation = _solve(group, options, samples, _share(progress, k, len(groups)), None if k else watch)
        for row, found in zip(group.rows, assemble(group.items, solution, deviation, samples)):
            solved[row] = found, group.batch._replace(size=min(group.solves, group.batch.size))
    restored, in_batches = zip(*(solved[row] for row in range(len(items))))
    written = results.write(places, items, asked, list(restored), list(in_batches), frames)
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
        paths.check_side(path, *([grow * side for side in item.size] if whole else model.image_shape[:2]))


class _Group(NamedTuple):
    """Inputs whose measurements have one size, and that are solved together."""

    model: GenerativeEncoder
    rows: list[int]  # of these inputs among all
    items: list[Observation]
    y: np.ndarray
    known: np.ndarray | None
    batch: memory.Batch
    solves: int


def _groups(
    model: GenerativeEncoder, items: list[Observation], options: SolveOptions | None, samples: int | None, batch: int | None
) -> list[_Group]:
    """The inputs by the size of their measurements, in the order in which those first appear, and their batches."""
    every: dict[Any, list[int]] = {}
    for row, item in enumerate(items):
        every.setdefault(item.task.factor, []).append(row)
    groups = []
    for rows in every.values():
        members = [items[row] for row in rows]
        own, task = model, members[0].task
        if task.factor != model.task.factor:
            own = model.with_task(task)
        y, known = stack_pieces(members)
        chosen = batches.choose_batch(own, y, known, options, batch)
        groups.append(_Group(own, rows, members, y, known, chosen, (samples or 1) * len(y)))
    return groups


def _notes(items: list[Observation], options: SolveOptions | None, groups: list[_Group]) -> list[str]:
    """What was done to the files, and the batches that do not hold all that could be solved together."""
    what = "solving" if options else "decoding"
    parts = [f"{what} {group.batch.note()}" for group in groups if group.solves > group.batch.size]
    return [*(item.note for item in items if item.note), *dict.fromkeys(parts)]


def _share(progress: batches.Progress, k: int, count: int) -> batches.Progress:
    """The progress of the k-th of so many groups, as that of all."""
    return lambda done, total, loss: progress(k * total + done, count * total, loss)


def _solve(
    group: _Group, options: SolveOptions | None, samples: int | None, progress, watch
) -> tuple[Solution, np.ndarray | None]:
    """Every piece solved, or decoded where there are no options; with samples also their deviation `[n, h, w]`."""
    model, y, known, batch = group.model, group.y, group.known, group.batch.size
    if options is None:
        return batches.decode_batches(model, y, known, batch), None
    if samples is None:
        return batches.solve_batches(model, y, known, options, batch, progress=progress, watch=watch), None
    ensemble = uncertainty.solve_ensemble(model, y, options, known=known, samples=samples, batch=batch, progress=progress)
    return ensemble.solution, ensemble.deviation


def _frame_keeper(model: GenerativeEncoder, item: Observation, options: SolveOptions, frames: list[np.ndarray]):
    """A `watch` of `batches.solve_batches` that keeps the input's picture at each call."""

    def watch(done, point):
        pieces = np.clip(model.draw(point[: len(item.measurements)], done, options), -1, 1)
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
        if deviation is not None and samples is not None:
            joined = item.join(deviation[place][..., None])
            gray = uncertainty.gray(joined)
            unsure = Uncertainty(gray, item.place(gray, -1), uncertainty.describe(joined, samples))
        loss, steps = float(solution.loss[place].mean()), int(solution.steps[place].max())
        seconds = solution.seconds * len(item.measurements) / len(solution.loss)
        restored.append(Restored(pictures, item.place(pictures), loss, steps, seconds, unsure))
    return restored
