"""Scores of GE and its baselines on a folder of pictures, as JSON lines.

One JSON line an image, appended batch by batch and read again on the next call, so that an evaluation that was stopped
goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .. import images
from ..config import SolveOptions, to_dict
from ..data import Source
from ..generative_encoder import GenerativeEncoder
from ..networks.presets import Preset
from ..operators import Task
from ..restore import memory
from . import journal
from .measures import Meters, Reference, check_same
from .methods import Group, check_names, groups, names_in
from .sets import Kept


def score(
    model: GenerativeEncoder,
    source: Source,
    options: SolveOptions,
    path: Path,
    *,
    names: tuple[str, ...] = (),
    batch_size: int = 16,
    at_once: int | None = None,
    preset: Preset | None = None,
    bits: tuple[int, ...] = (),
    meters: Meters = Meters(),  # noqa: B008 (frozen)
    about: dict[str, Any] | None = None,
    ready: Callable[[], None] = lambda: None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
) -> list[dict[str, Any]]:
    """Score every image of `source` with every method.

    Args:
        path: JSON lines `{"image", "method", "mse", "psnr", "ssim"}` behind a first line with the options; lines that
            are there already are kept and not computed again.
        names: methods to run; all by default.
        batch_size: pictures that noise and masks are drawn for together.
        at_once: how many of them are restored together; None: what the memory holds.
        preset, bits: see `methods.groups`.
        meters: what else is measured, in each line; the SHA-256 of its files goes to the first one. With `sets` the restored
            pictures are kept beside `path`.
        about: what else the scores depend on (preset, data); kept in the first line and compared with it.
        ready: called once, when nothing is left that could be refused.
        progress: called with (rows done, rows in all, what remains as text) after each group of methods of each batch.

    Raises:
        ValueError: unknown method, or `path` belongs to other options.
    """
    table = groups(model, options, preset, bits)
    check_names(names, names_in(table))
    names = names or names_in(table)
    header = {
        **(about or {}),
        "task": model.task.name,
        "parameters": model.task.parameters,
        "options": to_dict(options),
        "batch": batch_size,  # noise and masks are drawn batch by batch
        **meters.circumstances(),
    }
    pictures = [source.name(i) for i in range(len(source))]
    with journal.resumed(path, header, partial(_check, path)) as rows:
        if kept := kept_beside(path, source, meters):
            kept.cut(len(rows))
        wanted = {(picture, name) for picture in pictures for name in names}
        scored = wanted & {(row["image"], row["method"]) for row in rows}
        ready()
        clock = journal.Clock(len(wanted), len(scored))
        for begin in range(0, len(source), batch_size):
            batch = pictures[begin : begin + batch_size]
            missing = {(picture, name) for picture in batch for name in names} - scored
            if not missing:
                continue
            truth = images.from_uint8(source.take(np.arange(begin, begin + len(batch))))
            measurement, known = degrade(model.task, truth, (options.seed, begin))
            if at_once is None:
                target = model.target(measurement[:1], options, None if known is None else known[:1])
                at_once = memory.for_solve(model, options, target).size
            reference = meters.reference(truth)
            for group, run in table.items():
                if {name for _, name in missing} & set(group):
                    restored = _in_parts(run, measurement, known, at_once)
                    fresh = _rows(restored, reference, batch, missing, meters)
                    if kept:
                        _keep(kept, restored, batch, fresh, meters)  # before the lines: the next call cuts off the rest
                    journal.append(path, fresh)
                    rows += fresh
                    progress(*clock.tick(len(fresh)))
    return [row for row in rows if (row["image"], row["method"]) in wanted]


def degrade(task: Task, truth: np.ndarray, seed: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """(y, mask) of clean pictures `[n, h, w, c]`, as a file holds them: rounded to 8 bits, and 0 where nothing is known."""
    measurement, known = task.sample(tf.constant(truth), tf.constant(seed))
    measurement = as_file(measurement.numpy())
    if known is None:
        return measurement, None
    return measurement * known.numpy(), known.numpy()  # middle gray, which is 0, lies between two levels of 8 bits


def _rows(
    restored: dict[str, np.ndarray], reference: Reference, batch: list[str], missing: set, meters: Meters
) -> list[dict[str, Any]]:
    """A row for each picture of a batch and each method that is missing."""
    rows = []
    for name, pictures in restored.items():
        scores = meters.scores(np.clip(pictures, -1, 1), reference)
        rows += [
            {"image": picture, "method": name, **{metric: float(values[k]) for metric, values in scores.items()}}
            for k, picture in enumerate(batch)
            if (picture, name) in missing
        ]
    return rows


def kept_beside(path: Path, source: Source, meters: Meters) -> Kept | None:
    """The restored pictures of an evaluation, where they are kept; they have the shape of the clean ones."""
    return (
        Kept(path, source.take(np.arange(1)).shape[1:], meters.inception is not None) if meters.sets or meters.keep else None
    )


def _keep(kept: Kept, restored: dict[str, np.ndarray], batch: list[str], rows: list[dict[str, Any]], meters: Meters) -> None:
    """The pictures of rows, in their order, as a file holds them."""
    place = {picture: k for k, picture in enumerate(batch)}
    pictures = images.to_uint8(np.stack([restored[row["method"]][place[row["image"]]] for row in rows]))
    kept.append(pictures, None if meters.inception is None else meters.inception(images.from_uint8(pictures)))


def _in_parts(run: Group, measurement, known, at_once: int) -> dict[str, np.ndarray]:
    """A group of methods, a few pictures at a time."""
    parts = memory.slices(len(measurement), at_once)
    restored = [run(measurement[part], None if known is None else known[part], at_once) for part in parts]
    return {name: np.concatenate([each[name] for each in restored]) for name in restored[0]}


def as_file(measurement: np.ndarray) -> np.ndarray:
    """A measurement that is a batch of pictures, rounded to 8 bits as an image file holds them.

    Without it a blur could all but be undone by division in the Fourier domain, which nobody's file allows.
    """
    return images.from_uint8(images.to_uint8(measurement)) if measurement.ndim == 4 else measurement


def _check(path: Path, there: dict[str, Any], header: dict[str, Any]) -> None:
    """Raise ValueError for lines of another evaluation."""
    check_same(path, there, header)
    if there != header:
        raise ValueError(f"{path} holds an evaluation with other options; remove it or name another output")


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Every score of a file, those of pictures and methods that were not asked for this time among them."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()[1:]]
