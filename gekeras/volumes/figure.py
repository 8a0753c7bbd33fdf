"""Figure 12's picture: the restored volumes cut along another axis than the one that was solved along, beside the truth."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import plots
from ..config.slices import AXES
from . import measures
from .blocks import Slices
from .planes import Volume

ADDED, REMOVED = (1.0, -0.6, -0.6), (-0.6, -0.2, 1.0)  # red and blue


def write(path, cut: Any, slices: Slices, volumes: dict[str, Volume], truth: Volume | None, level: float | None) -> None:
    """A column for the truth, the measurement and each method; below, if the truth is known, which pores differ.

    Args:
        cut: `pipeline.Cut`, in voxels of the input.
        level: as `scores.threshold` gives it, of the truth.
    """
    axis = AXES.index(cut.axis)
    first = next(iter(volumes.values()))
    index = check(cut, slices) * (first.values.shape[axis] // slices.volume.values.shape[axis])
    shown = {"input": volumes["input"]} if "input" in volumes else {}
    shown |= {name: volume for name, volume in volumes.items() if name != "input"}
    cuts = {name: volume.plane(axis, index) for name, volume in shown.items()}
    if truth is None:
        plots.panel(path, [[plane[..., None] for plane in cuts.values()]], list(cuts))
        return
    true = truth.plane(axis, index)
    small = measures.smallest_in_plane(slices.options.smallest_pore)
    columns = {f"truth, {cut.axis}={cut.index}": (true, None), **{k: (v, _mse(v, true)) for k, v in cuts.items()}}
    marked = [_marked(true <= level, plane <= level, small) for plane, _ in columns.values()]
    rows = [[plane[..., None] for plane, _ in columns.values()], [picture for picture, _ in marked]]
    captions: list[list[str | None]] = [[text for _, text in columns.values()], ["pores", *(text for _, text in marked[1:])]]
    plots.panel(path, rows, list(columns), captions)


def check(cut: Any, slices: Slices) -> int:
    """The index of a plane of the input in the part that is restored. Raises ValueError for one beside that part."""
    axis = AXES.index(cut.axis)
    whole, window = slices.whole_shape[axis], slices.volume.values.shape[axis]
    begin = (whole - window) // 2 if slices.options.crop else 0
    if not begin <= cut.index < begin + window:
        part = f"{cut.axis} from {begin} to {begin + window - 1}"
        raise ValueError(f"a cut at {cut.axis}:{cut.index} lies beside what is restored, {part}")
    return cut.index - begin


def _mse(plane: np.ndarray, true: np.ndarray) -> str:
    return f"MSE {np.mean((plane - true) ** 2):.4f}"


def _marked(true: np.ndarray, found: np.ndarray, smallest: int) -> tuple[np.ndarray, str]:
    """Pores gray on white, added ones red, removed ones blue, `[h, w, 3]`; and how many there are."""
    picture = np.ones((*true.shape, 3), np.float32)
    picture[found] = -0.5
    picture[measures.unmatched_voxels(found, true, smallest)] = ADDED
    picture[measures.unmatched_voxels(true, found, smallest)] = REMOVED
    counted = measures.match(true, found, smallest)
    return picture, f"pores added: {counted.added}, removed: {counted.removed}"
