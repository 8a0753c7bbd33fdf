"""The pieces of all inputs solved together, as many at once as the memory holds, and put together again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..pictures.observations import Observation
from ..solve import Solution
from . import memory


@dataclass(frozen=True)
class Uncertainty:
    """What several solves of one input disagree about, as grey pictures in [-1, 1], and in numbers for its record."""

    pictures: np.ndarray  # [r, H, W, 1]
    image: np.ndarray  # [H', W', 1]
    record: dict[str, Any]


@dataclass(frozen=True)
class Restored:
    """One input restored: r pictures to score, the picture to write, and numbers over its pieces."""

    pictures: np.ndarray  # [r, H, W, c]
    image: np.ndarray  # [H', W', c]
    loss: float
    steps: int
    seconds: float
    uncertainty: Uncertainty | None = None


def batch_of(
    model: GenerativeEncoder, items: list[Observation], options: SolveOptions | None, asked: int | None = None
) -> memory.Batch:
    """How many pieces are solved, or for a preview (no options) decoded, at once; `asked` is the user's own number."""
    y, known = stack(items[:1])
    if options is None:
        return memory.for_decoding(model, y[:1], asked)
    return memory.for_solve(model, options, model.target(y[:1], options, None if known is None else known[:1]), asked)


def solve(
    model: GenerativeEncoder,
    items: list[Observation],
    options: SolveOptions,
    batch: memory.Batch,
    progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> list[Restored]:
    """Solve the pieces of all inputs together and put each input's together again. Args: as `solve_batches`."""
    return gather(items, solve_batches(model, *stack(items), options, batch.size, progress=progress, watch=watch))


def solve_batches(
    model: GenerativeEncoder,
    y: np.ndarray,
    known: np.ndarray | None,
    options: SolveOptions,
    batch: int = memory.MOST,
    *,
    initial: np.ndarray | None = None,
    progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> Solution:
    """Solve any number of measurements, `batch` at a time; the solution has no history.

    Args:
        y, known, initial: as `GenerativeEncoder.solve`, the mask `[n, h, w, 1]`.
        progress: called with (steps done, steps in all, mean objective).
        watch: called with (steps done, latents `[k, d]`) of the first batch, before the first step and on the way.
    """
    chunk, rounds, found = max(1, options.steps // 50), memory.slices(len(y), batch), []
    for i, part in enumerate(rounds):

        def callback(step, loss, latent, i=i):
            progress(i * options.steps + step, len(rounds) * options.steps, float(loss.mean()))
            if watch and i == 0:
                watch(step, latent)

        mask, start = (None if array is None else array[part] for array in (known, initial))
        found.append(model.solve(y[part], options, known=mask, initial=start, callback=callback, chunk=chunk))
    return merge(found)


def preview(model: GenerativeEncoder, items: list[Observation], batch: memory.Batch) -> list[Restored]:
    """DC(E(x_dagger)), the autoencoder's own picture, without solving; `batch.size` pieces at a time."""
    begin = time.perf_counter()
    y, known = stack(items)
    rounds = memory.slices(len(y), batch.size)
    image = np.concatenate([model.decode(model.encode(y[p], None if known is None else known[p])) for p in rounds])
    nothing = np.zeros(len(image))
    return gather(items, Solution(nothing, image, nothing, nothing, nothing, time.perf_counter() - begin))


def stack(items: list[Observation]) -> tuple[np.ndarray, np.ndarray | None]:
    """The measurements and masks of all pieces."""
    known = None if items[0].known is None else np.concatenate([item.known for item in items])
    return np.concatenate([item.measurements for item in items]), known


def merge(parts: list[Solution]) -> Solution:
    """The solutions of several batches as one, without their histories."""
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in ("latent", "image", "loss", "steps")]
    return Solution(*arrays, np.zeros((0, len(arrays[0]))), sum(part.seconds for part in parts))


def parts_of(items: list[Observation]) -> Iterator[tuple[Observation, slice]]:
    """Each input with the place of its pieces among those of all."""
    ends = np.cumsum([len(item.measurements) for item in items])
    return ((item, slice(end - len(item.measurements), end)) for item, end in zip(items, ends))


def gather(items: list[Observation], solution: Solution) -> list[Restored]:
    """Each input's pieces from the batch, joined and placed."""
    found = []
    for item, part in parts_of(items):
        pictures = item.join(np.clip(solution.image[part], -1, 1))
        loss, steps = float(solution.loss[part].mean()), int(solution.steps[part].max())
        found.append(Restored(pictures, item.place(pictures), loss, steps, solution.seconds))
    return found
