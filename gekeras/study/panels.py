"""Panels of a study: the first pictures of each outcome, every method side by side (Figures 10, 11 and 13 of the paper)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import images, plots
from ..config import StudyOptions
from . import tables
from .regions import Region, color, marked
from .tables import GE, INVERT_GAN, ORIGINAL, Places


def draw(
    where: Places,
    rows: Sequence[dict[str, Any]],
    names: Sequence[str],
    methods: Sequence[str],
    region: Region | None,
    options: StudyOptions,
) -> None:
    """Write a panel for each outcome of GE against invertGAN that there is, of its first pictures.

    A column a method; of each picture a row of whole ones, with what the detector says, and one of enlarged regions.

    Args:
        rows: answers, as `tables.summary` takes them.
        names: of the pictures, in the order in which they were solved.

    Raises:
        FileError: as `plots.panel`.
    """
    scores: dict[str, dict[str, Any]] = {}
    for row in rows:
        scores.setdefault(row["image"], {})[row["method"]] = row["score"]
    for outcome, numbers in _outcomes([scores[name] for name in names], options).items():
        if chosen := numbers[: options.panels]:
            shown: list[list] = []
            captions: list[list[str | None]] = []
            for number in chosen:
                its = scores[names[number]]
                lines = _rows(where, number, names[number], (ORIGINAL, *methods), region)
                shown += lines
                captions += [[_caption(its[method], options.threshold) for method in (ORIGINAL, *methods)]]
                captions += [[None] * len(its)] * (len(lines) - 1)
            plots.panel(where.panels[outcome], shown, (ORIGINAL, *methods), captions)


def _outcomes(scores: Sequence[dict[str, Any]], options: StudyOptions) -> dict[str, list[int]]:
    """Outcome -> numbers of its pictures; of no one those that are invalid."""
    found: dict[str, list[int]] = {outcome: [] for outcome in tables.OUTCOMES}
    for number, its in enumerate(scores):
        if None not in its.values() and (its[ORIGINAL] >= options.threshold) != options.without:
            found[tables.outcome_of(its[INVERT_GAN], its[GE], options.threshold)].append(number)
    return found


def _rows(where: Places, number: int, name: str, methods: Sequence[str], region: Region | None) -> list[list]:
    """A picture by every method: whole, and where there is a region, that."""
    pictures = [images.read(tables.picture_path(where.pictures, number, name, method)) for method in methods]
    whole = [marked(picture, region) for picture in pictures]
    return [whole, [color(region.of(picture)) for picture in pictures]] if region else [whole]


def _caption(score: float, threshold: float) -> str:
    return f"{'yes' if score >= threshold else 'no'} ({score:.2f})"
