"""How a restored volume compares with the true one, read plane by plane: only counting pores needs a volume in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..config import SliceOptions
from ..config.slices import AXES
from . import measures
from .planes import Volume

BINS = 256
_COUNTING = 18  # bytes a voxel that labels and their counts take


def threshold(volume: Volume, given: float | None) -> float:
    """On [-1, 1], up to which a voxel is pore: the given gray value, or Otsu's of 256 levels.

    Raises ValueError for a volume of one gray value.
    """
    if given is not None:
        return float(volume.unit(given))
    counts, edges = np.zeros(BINS, np.int64), np.linspace(-1 - 1 / (BINS - 1), 1 + 1 / (BINS - 1), BINS + 1)
    for plane in volume.planes(0):
        counts += np.histogram(plane, edges)[0]
    return measures.otsu(counts, (edges[1:] + edges[:-1]) / 2)


def of_truth(truth: Volume, level: float, options: SliceOptions) -> dict[str, Any]:
    """`porosity`, `s2` by axis, and `jump`: what a result's are compared with. Args: as `of`."""
    found = correlations(truth, level)
    return {"porosity": found["z"][0], "s2": found, "jump": jump(truth, options.number)}


def of(
    true: dict[str, Any], truth: Volume, found: Volume, level: float, options: SliceOptions, memory: int | None = None
) -> dict[str, Any]:
    """MSE on [-1, 1], PSNR, porosity, S2, pores, and jumps between slices, of a volume beside the true one.

    Args:
        true: `of_truth` of the truth.
        level: on [-1, 1], up to which a voxel is pore.
        memory: bytes in which pores of whole volumes may be counted; None: any.

    Returns:
        `mse`, `psnr`; `porosity`; `s2` by axis; `s2_error`, the mean of |S2 - S2 of the truth| over axes and distances;
        `pores` of the volumes, or None where they do not fit; `cuts`, the same of all planes across each of the other two
        axes; `jump`, the mean |difference| of neighboring slices along the axis that was solved, and `jump_ratio`, over the
        truth's.
    """
    mse = float(np.mean([np.mean((a - b) ** 2.0) for a, b in zip(truth.planes(0), found.planes(0))]))
    reached, step = correlations(found, level), jump(found, options.number)
    errors = [np.abs(np.subtract(true["s2"][axis], reached[axis])) for axis in AXES]
    small = measures.smallest_in_plane(options.smallest_pore)
    pores = None
    if memory is None or truth.values.size * _COUNTING <= memory:
        whole, other = (np.stack([plane <= level for plane in volume.planes(0)]) for volume in (truth, found))
        pores = measures.match(whole, other, options.smallest_pore)._asdict()
    return {
        "mse": mse,
        "psnr": float(10 * np.log10(4 / mse)) if mse else None,
        "porosity": reached["z"][0],
        "s2": reached,
        "s2_error": float(np.mean(np.concatenate(errors))),
        "pores": pores,
        "cuts": {axis: cuts(truth, found, level, AXES.index(axis), small)._asdict() for axis in options.across},
        "jump": step,
        "jump_ratio": step / true["jump"] if true["jump"] else None,
    }


def correlations(volume: Volume, level: float) -> dict[str, list[float]]:
    """S2 along each axis, as `measures.two_point` has it of a volume in memory."""
    found = {}
    for axis, name in enumerate(AXES):
        both, of = np.zeros(volume.values.shape[axis]), np.zeros(volume.values.shape[axis])
        for plane in volume.planes(0 if axis else 1):  # planes that hold the axis: in z, y, x it is the first or the last
            along = 0 if axis < 2 else 1
            counted = measures.pairs(np.moveaxis(plane <= level, along, -1))
            both, of = both + counted[0], of + counted[1]
        found[name] = (both / of)[: len(both) // 2 + 1].tolist()
    return found


def cuts(truth: Volume, found: Volume, level: float, axis: int, smallest: int) -> measures.Pores:
    """Pores of all planes across an axis, each plane by itself."""
    total = measures.NO_PORES
    for a, b in zip(truth.planes(axis), found.planes(axis)):
        total = total.plus(measures.match(a <= level, b <= level, smallest))
    return total


def jump(volume: Volume, axis: int) -> float:
    """Mean |difference| of neighboring slices on [-1, 1]; 0 of a single slice."""
    return float(np.mean([float(np.mean(np.abs(b - a), dtype=np.float64)) for a, b in _neighbors(volume, axis)] or [0.0]))


def _neighbors(volume: Volume, axis: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    before = None
    for plane in volume.planes(axis):
        if before is not None:
            yield before, plane
        before = plane


TITLES = "| method | MSE | PSNR (dB) | porosity | S2 error | pores added, removed | in cuts added, removed | jump / true |"


def to_markdown(true: dict[str, Any], table: dict[str, dict[str, Any]]) -> str:
    """A row a method, the truth's porosity and pores in the first."""
    lines = [TITLES, "|---" * (TITLES.count("|") - 1) + "|"]
    one = next(iter(table.values()))
    pores = one["pores"]["truth"] if one["pores"] else "not counted"
    of_cuts = sum(of["truth"] for of in one["cuts"].values())
    lines.append(f"| truth |  |  | {true['porosity']:.4f} |  | {pores} pores | {of_cuts} in cuts | 1 |")
    for name, row in table.items():
        whole = f"{row['pores']['added']}, {row['pores']['removed']}" if row["pores"] else "not counted"
        in_cuts = ", ".join(str(sum(of[kind] for of in row["cuts"].values())) for kind in ("added", "removed"))
        psnr = "" if row["psnr"] is None else f"{row['psnr']:.2f}"
        ratio = "" if row["jump_ratio"] is None else f"{row['jump_ratio']:.2f}"
        numbers = f"{row['mse']:.4f} | {psnr} | {row['porosity']:.4f} | {row['s2_error']:.4f}"
        lines.append(f"| {name} | {numbers} | {whole} | {in_cuts} | {ratio} |")
    return "\n".join(lines) + "\n"
