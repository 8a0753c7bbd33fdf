"""Some neighboring slices at once, by every method: degraded, cut into tiles, restored, blended again.

With a warm start the middle slice of each group of neighbors is solved first, those of all groups of a block together, and
then the others from its latent, again together: batches stay large.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import images
from ..config import SliceOptions, SolveOptions
from ..evaluation import methods
from ..evaluation.scoring import degrade
from ..generative_encoder import GenerativeEncoder
from ..networks.presets import Preset
from ..operators.consistency import consistent
from ..pictures import tiles
from ..restore import batches, memory
from ..solve import Solution
from .planes import Volume

GE = ("GE", "GE consistent")


@dataclass(frozen=True, eq=False)
class Slices:
    """The slices of a volume as a task measures them.

    Attributes:
        volume: what is restored or, if `simulate`, degraded first.
        known: `[z, y, x]`, False where voxels are missing; None where nothing is, or where holes are drawn.
    """

    model: GenerativeEncoder
    volume: Volume
    options: SliceOptions
    seed: int
    known: np.ndarray | None = None
    whole_shape: tuple[int, ...] = ()  # of the file, of which the volume may be a part

    @property
    def factor(self) -> int:
        """By which a slice is enlarged; `job` refuses a fraction."""
        return int(self.model.task.factor)

    @property
    def side(self) -> int:
        """Of a tile of a measurement."""
        return self.model.image_shape[0] // self.factor

    def measure(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        """A slice's measurement `[1, h, w, 1]` and its mask; noise and holes are the slice's own, whatever its block."""
        plane = self.volume.plane(self.options.number, index)[None, ..., None]
        if self.known is not None:
            known = np.moveaxis(self.known, self.options.number, 0)[index][None, ..., None].astype(np.float32)
            plane = images.from_uint8(images.to_uint8(plane)) if self.options.simulate else plane
            return plane * known, known
        return degrade(self.model.task, plane, (self.seed, index)) if self.options.simulate else (plane, None)

    def tiles(self, indices: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None, list[tuple[int, int]], tuple[int, int]]:
        """The tiles `[n * t, s, s, c]` of slices, their masks, where each of the t lies, and (height, width) of a slice.

        Raises ValueError where nothing is known of a tile.
        """
        measured = [self.measure(index) for index in indices]
        cut = [tiles.split(y[0], self.side, self.side // 4) for y, _ in measured]
        pieces, known = np.concatenate([part for part, _ in cut]), None
        if masks := [mask for _, mask in measured if mask is not None]:
            known = np.concatenate([tiles.split(mask[0], self.side, self.side // 4)[0] for mask in masks])
            empty = np.flatnonzero(~known.any(axis=(1, 2, 3)))
            if len(empty):
                axis, where = self.options.axis, indices[empty[0] // len(cut[0][1])]
                raise ValueError(
                    f"a tile of {self.side}x{self.side} of slice {axis}={where} lies in the hole: nothing is known that "
                    "would fill it; make smaller holes, or crop the slices to one tile"
                )
        pieces = np.repeat(pieces, self.model.image_shape[2], axis=-1)
        _, height, width, _ = measured[0][0].shape
        return pieces, known, cut[0][1], (height, width)


def restore(
    slices: Slices,
    indices: Sequence[int],
    table: dict[str, Callable],
    options: SolveOptions,
    at_once: int,
    tick: Callable[[str], None] = lambda name: None,
) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """Planes `[n, H, W]` in [-1, 1] of neighboring slices by method, and of each slice the loss and steps of GE.

    Args:
        table: as `of_names` gives it.
        options: of GE's solve.
        at_once: tiles that the memory holds.
        tick: called with each method that is done.
    """
    y, known, places, size = slices.tiles(indices)
    found: dict[str, np.ndarray] = {}
    notes: list[dict[str, float]] = [{} for _ in indices]
    for name, run in table.items():
        if name in found:
            continue
        if name in GE:
            solution = solve(slices, indices, y, known, options, at_once)
            made = {"GE": solution.image}
            if "GE consistent" in table:
                made["GE consistent"] = consistent(slices.model.task, solution.image, y, known)
            each = [array.reshape(len(indices), -1) for array in (solution.loss, solution.steps)]
            notes = [{"loss": float(loss.mean()), "steps": int(steps.max())} for loss, steps in zip(*each)]
        else:
            made = _in_parts(run, y, known, at_once)
        for made_name, pieces in made.items():
            if made_name in table:
                found[made_name] = _joined(pieces, places, size, slices.factor)
        tick(name)
    return found, notes


def _joined(pieces: np.ndarray, places, size: tuple[int, int], factor: int) -> np.ndarray:
    gray, count = images.luma(np.clip(pieces, -1, 1)), len(places)
    planes = [tiles.blend(gray[k : k + count], places, size, factor) for k in range(0, len(gray), count)]
    return np.stack(planes)[..., 0]


def _in_parts(run, y, known, at_once: int) -> dict[str, np.ndarray]:
    parts = memory.slices(len(y), at_once)
    made = [run(y[part], None if known is None else known[part], at_once) for part in parts]
    return {name: np.concatenate([each[name] for each in made]) for name in made[0]}


def of_names(
    model: GenerativeEncoder, options: SolveOptions, preset: Preset | None, names: Sequence[str]
) -> dict[str, Callable]:
    """The methods of these names as functions of (y, mask, how many at once), as `evaluation.methods` has them.

    Raises ValueError for an unknown one, listing the known ones.
    """
    known = {name: run for group, run in methods.groups(model, options, preset).items() for name in group}
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"unknown method {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: known[name] for name in names}


# ------------------------------------------------------------------------------------------------- warm starts


def leaders(indices: Sequence[int], group: int) -> dict[int, list[int]]:
    """Position of the slice that is solved first -> positions of the others of its group, in a block of neighboring slices.

    Example:
        >>> leaders(range(4, 10), 4)
        {2: [0, 1, 3], 5: [4]}
    """
    groups: dict[int, list[int]] = {}
    for position, index in enumerate(indices):
        groups.setdefault(index // group, []).append(position)
    middles = {members[len(members) // 2]: members for members in groups.values()}
    return {middle: [p for p in members if p != middle] for middle, members in middles.items()}


def solve(
    slices: Slices, indices: Sequence[int], y: np.ndarray, known: np.ndarray | None, options: SolveOptions, at_once: int
) -> Solution:
    """GE's solve of all tiles of a block, each as the start or, with a warm start, from its neighbor's latent."""
    model, options, warm = slices.model, replace(options, consistent=False), slices.options.warm_start

    def some(rows, options, initial=None):
        mask = None if known is None else known[rows]
        return batches.solve_batches(model, y[rows], mask, options, at_once, initial=initial)

    if not warm:
        return some(np.arange(len(y)), options)
    order = leaders(indices, warm)
    first = _rows(list(order), len(y) // len(indices))
    solved = some(first, options)
    pairs = [(position, k) for k, others in enumerate(order.values()) for position in others]
    if not pairs:
        return solved
    then = _rows([position for position, _ in pairs], len(y) // len(indices))
    starts = solved.latent[_rows([k for _, k in pairs], len(y) // len(indices))]
    quicker = replace(options, steps=slices.options.warm_steps or options.steps)
    both = batches.merge_solutions([solved, some(then, quicker, starts)])
    return _sorted(both, np.argsort(np.concatenate([first, then])))


def _rows(positions: list[int], each: int) -> np.ndarray:
    """Rows of the tiles of slices at these positions."""
    return (np.array(positions)[:, None] * each + np.arange(each)).ravel()


def _sorted(solution: Solution, order: np.ndarray) -> Solution:
    names = ("latent", "image", "loss", "steps")
    return solution._replace(**{name: getattr(solution, name)[order] for name in names})
