"""What it saves that pictures leave the batch when they have converged: with and without it, in turns in one run.

    python benchmarks/compaction.py --preset faces-64 --task superres --data pictures/ --count 64 --tolerance 0.01

An evaluation is one pass forward and backward through G, S and E for one picture; counted are those that were computed, for
pictures that had converged, too. Seconds are of the whole batch with everything compiled and every size seen once. Both ways
compute the same but for the rounding in a batch of another size. The objective is not convex, and the iteration makes more
and more of that, as it does between a picture in a batch and the same one alone: the last column is the largest relative
difference between the two ways' objectives in the first step in which there is any.
"""

from __future__ import annotations

import dataclasses
from contextlib import contextmanager

import click
import numpy as np
import tensorflow as tf
from pictures import last, observe

from gekeras import GenerativeEncoder, Solution, config
from gekeras.networks import presets
from gekeras.solve import compaction


@contextmanager
def leaving(share: float):
    """Let pictures leave once they are this share of a batch; above 1: never."""
    before, compaction.LEAVING = compaction.LEAVING, share
    try:
        yield
    finally:
        compaction.LEAVING = before


class Counter:
    """A solver's compiled loop, and the picture-evaluations it computed."""

    def __init__(self, run):
        self.run, self.evaluations, self.sizes = run, 0, []

    def __call__(self, state, target, parameters, steps):
        after, losses = self.run(state, target, parameters, steps)
        self.sizes.append(losses.shape[1])
        self.evaluations += losses.shape[0] * losses.shape[1]
        return after, losses

    def __getattr__(self, name):
        return getattr(self.run, name)


def line(name: str, solves: list[tuple[Solution, Counter]], reference: Solution) -> str:
    """Work, quality, and how far the objectives are from the reference's at first."""
    solution, counter = solves[-1]
    seconds = [each.seconds for each, _ in solves]
    rows = min(len(solution.history), len(reference.history))
    apart = np.max(np.abs(solution.history[:rows] / reference.history[:rows] - 1), axis=1)
    first = next((float(value) for value in apart if value > 0), 0.0)
    needed = int(solution.steps.sum())
    sizes = ", ".join(map(str, sorted(set(counter.sizes), reverse=True)))
    times = f"{np.median(seconds):.2f} ({min(seconds):.2f} - {max(seconds):.2f})"
    return (
        f"| {name} | {needed} | {counter.evaluations} | {times} | {sizes} | {np.median(solution.loss):.3f} | {first:.0e} |"
    )


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", default="superres", show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used, as one batch.")
@click.option("--fidelity", type=click.Choice(list(config.FIDELITIES)), default="best", show_default=True)
@click.option("--optimizer", type=click.Choice(config.OPTIMIZERS), help="The fidelity's by default.")
@click.option("--steps", type=int, help="At most so many; the fidelity's by default.")
@click.option("--tolerance", type=click.FloatRange(min=0, min_open=True), default=0.01, show_default=True)
@click.option("--patience", default=config.SolveOptions().patience, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(preset, task, folder, count, fidelity, optimizer, steps, tolerance, patience, rounds):
    model = GenerativeEncoder.from_preset(preset, task)
    options = model.options(fidelity, optimizer=optimizer, steps=steps, tolerance=tolerance)
    options = dataclasses.replace(options, patience=patience)
    y, known = observe(model, last(folder, count, *model.shape[1:]))
    solver, solves = model.solver(options), {"all stay": [], "leave": []}
    run = solver.advance
    for k in range(rounds + 1):  # the first one traces, and meets every size
        for name, share in (("all stay", 2.0), ("leave", compaction.LEAVING)):
            solver.advance = Counter(run)
            with leaving(share):
                solution = model.solve(y, options, known=known)
            solves[name] += [(solution, solver.advance)] if k else []
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    click.echo(
        f"preset {preset}, task {task}, N {len(y)}, {options.optimizer}, at most {options.steps} steps, "
        f"tolerance {tolerance} over {patience} steps, {rounds} rounds, {device}, TensorFlow {tf.__version__}\n"
    )
    click.echo(
        "| pictures | steps taken | evaluations computed | seconds (range) | batch sizes | objective | apart at first |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    reference = solves["all stay"][-1][0]
    for name, solutions in solves.items():
        click.echo(line(name, solutions, reference))


if __name__ == "__main__":
    main()
