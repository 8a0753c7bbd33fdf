"""Any number of pieces solved, or decoded, as many at once as the memory holds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from ..config import Z_ALONE, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..solve import Solution
from . import memory

Progress = Callable[[int, int, float], None]  # called with (steps done, steps in all, mean objective)


def no_progress(done: int, total: int, loss: float) -> None:
    """Of whoever does not ask."""


def choose_batch(
    model: GenerativeEncoder, y: np.ndarray, known: np.ndarray | None, options: SolveOptions | None, asked: int | None = None
) -> memory.Batch:
    """How many pieces are solved, or for a preview (no options) decoded, at once; `asked` is the user's own number."""
    if options is None:
        return memory.for_decoding(model, y[:1], asked)
    return memory.for_solve(model, options, model.target(y[:1], options, None if known is None else known[:1]), asked)


def solve_batches(
    model: GenerativeEncoder,
    y: np.ndarray,
    known: np.ndarray | None,
    options: SolveOptions,
    batch: int = memory.MOST,
    *,
    initial: np.ndarray | None = None,
    progress: Progress = no_progress,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> Solution:
    """Solve any number of measurements, `batch` at a time; the solution has no history.

    Args:
        y, known, initial: as `GenerativeEncoder.solve`, the mask `[n, h, w, 1]`.
        progress: called with (steps done, steps in all, mean objective).
        watch: called with (steps done, what `GenerativeEncoder.draw` draws) of the first batch, before the first step and on
            the way.
    """
    total = evaluations(options)
    chunk, rounds, solutions = max(1, total // 50), memory.slices(len(y), batch), []
    for i, rows in enumerate(rounds):

        def callback(step, loss, latent, i=i):
            progress(i * total + step, len(rounds) * total, float(loss.mean()))
            if watch and i == 0:
                watch(step, latent)

        mask, start = (None if array is None else array[rows] for array in (known, initial))
        solution = model.solve(y[rows], options, known=mask, initial=start, callback=callback, chunk=chunk, at_once=batch)
        solutions.append(solution)
    return merge_solutions(solutions)


def evaluations(options: SolveOptions) -> int:
    """Of one solve, those of a layer included."""
    return options.steps + (0 if options.layers == Z_ALONE else options.layer_steps)


def decode_batches(model: GenerativeEncoder, y: np.ndarray, known: np.ndarray | None, batch: int = memory.MOST) -> Solution:
    """DC(E(x_dagger)), the autoencoder's own pictures, as the solution of no solve; `batch` at a time."""
    begin = time.perf_counter()
    rounds = memory.slices(len(y), batch)
    image = np.concatenate([model.decode(model.encode(y[rows], None if known is None else known[rows])) for rows in rounds])
    nothing = np.zeros(len(image))
    return Solution(nothing, image, nothing, nothing, nothing, time.perf_counter() - begin)


def merge_solutions(solutions: list[Solution]) -> Solution:
    """The solutions of several batches as one, without their histories."""
    names = ["latent", "image", "loss", "steps"] + ["features"] * (solutions[0].features is not None)
    arrays = {name: np.concatenate([getattr(solution, name) for solution in solutions]) for name in names}
    nothing = np.zeros((0, len(arrays["loss"])))
    return Solution(**arrays, history=nothing, seconds=sum(solution.seconds for solution in solutions))
