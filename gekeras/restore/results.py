"""What is written of a restoration: the picture, the record beside it, a panel, and a line for the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import files, images, metrics, plots
from ..operators import Identity
from ..pictures.observations import Observation, enlarge
from . import memory
from .paths import Places, record_path
from .records import Restored, records


def write(
    places: Places,
    items: list[Observation],
    asked: dict[str, Any],
    restored: list[Restored],
    batches: list[memory.Batch],
    frames: list[np.ndarray],
) -> list[tuple[Restored, dict[str, Any]]]:
    """Each input's record, picture, and deviation if there is one, all of them or none; then what else was asked for.

    Args:
        asked: what the records repeat, see `records.asked`.
        batches: that each input was solved in.
        frames: the first input's picture on the way, for an animation.

    Returns:
        What was restored of each input, and its record.
    """
    notes = [
        record | scores(item, each.pictures)
        for record, item, each in zip(records(items, asked, restored, batches), items, restored)
    ]
    for k, (path, each) in enumerate(zip(places.pictures, restored)):
        with files.together(path.parent):  # a folder that the call names is made when there is something to put into it
            files.write_json(record_path(path), notes[k])
            images.write(path, each.image)
            if each.uncertainty:
                images.write(places.deviations[k], each.uncertainty.image)
    if places.panel:
        write_panel(places.panel, items, restored, notes)
    if places.animate:
        plots.animation(places.animate, [*frames, restored[0].image])
    return list(zip(restored, notes))


def scores(item: Observation, pictures: np.ndarray) -> dict[str, Any]:
    """MSE on [-1, 1], PSNR and SSIM on [0, 1] of the result, and of what a user has without a model: the bicubic
    enlargement where the task enlarges, the observation itself where it was degraded."""
    if item.truth is None:
        return {}
    scored = {"metrics": _mean_scores(pictures, item.truth)}
    if plain := without_model(item):
        scored[plain[0]] = _mean_scores(plain[1], item.truth)
    return scored


def without_model(item: Observation) -> tuple[str, np.ndarray] | None:
    """(its name, the pictures `[r, H, W, c]`) of what a user has without a model, if it differs from the truth."""
    task = item.task
    if task.factor > 1:
        return "bicubic", enlarge(item.shown, task.factor)
    shown = item.shown if item.shown.ndim == 4 else np.asarray(task.lift(item.shown))
    return None if isinstance(task.degrade, Identity) else ("observation", np.clip(shown, -1, 1))


def _mean_scores(pictures: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in metrics.scores(pictures, truth).items()}


def write_panel(path: Path, items: list[Observation], found: list[Restored], notes: list[dict[str, Any]]) -> None:
    """One row a picture: observation, bicubic (where the task enlarges), result, deviation if there is one, truth when
    known."""
    enlarges = items[0].task.factor > 1  # and so do all
    known = all(item.truth is not None for item in items)
    name = "generative encoder" if notes[0]["method"] == "GE" else "decoder alone"
    several = ["deviation"] if found[0].uncertainty else []
    titles = ["observation", *(["bicubic"] if enlarges else []), name, *several, *(["truth"] if known else [])]
    rows, captions = [], []
    for item, restored, record in zip(items, found, notes):
        plain = without_model(item)
        for r, picture in enumerate(restored.pictures):
            shown = item.shown[r] if enlarges or not plain else plain[1][r]
            height, width, _ = shown.shape
            seen = f"{width} x {height}" if enlarges else caption(record.get("observation"))
            row = [(shown, seen), (picture, caption(record.get("metrics")))]
            if enlarges and plain:
                row.insert(1, (plain[1][r], caption(record.get("bicubic"))))
            if restored.uncertainty:
                row.append((restored.uncertainty.pictures[r], f"white: {record['uncertainty']['white']} or more"))
            if known and item.truth is not None:
                row.append((item.truth[r], None))
            rows.append([image for image, _ in row])
            captions.append([text for _, text in row])
    plots.panel(path, rows, titles, captions)


def caption(found: dict[str, float] | None) -> str | None:
    return f"PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}" if found else None
