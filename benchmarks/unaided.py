"""Where no starter helps: how many starts should take the first steps, and what the curvature of draws is worth.

    python benchmarks/unaided.py --task superres --data faces-train-002.tar --count 64 --steps 100 --steps 500

The preset's networks as if they were one's own: no starter, nor its averaged curvature, and the codes' objective alone; then
CSGM's, ||A G(z) - y||^2 + lambda ||z||^2. Choose on pictures that no score is reported for.
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import click
import numpy as np
from pictures import last, observe

from gekeras import GenerativeEncoder, metrics
from gekeras.config import UNAIDED
from gekeras.evaluation.methods import pixels_only
from gekeras.networks import presets

CHUNK = 64


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", default="superres", show_default=True, help="One without a mask.")
@click.option("--data", "folder", required=True)
@click.option("--count", default=64, show_default=True, help="The last so many pictures are used.")
@click.option("--steps", "budgets", type=int, multiple=True, default=(100,), show_default=True)
@click.option("--finalists", "numbers", type=int, multiple=True, default=(1, 4, 8, 16), show_default=True)
@click.option("--probes", "draws", type=int, multiple=True, default=(0, 128), show_default=True)
@click.option("--objective", "kinds", type=click.Choice(["codes", "pixels"]), multiple=True, default=("codes", "pixels"))
@click.option("--seed", default=0, show_default=True)
def main(preset, task, folder, count, budgets, numbers, draws, kinds, seed):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels)
    model = GenerativeEncoder.from_preset(loaded, task)
    model.starter = None
    y = observe(model, truth)[0]
    click.echo(f"Preset {loaded.name}, {task}, N {len(truth)} of {Path(folder).name}, seed {seed}.\n")
    click.echo(
        "| objective | steps | probes | finalists | its median | its mean | MSE, median | MSE, mean |\n" + "|---" * 8 + "|"
    )
    for name, budget, probes, finalists in itertools.product(kinds, budgets, draws, numbers):
        ours = dataclasses.replace(UNAIDED["fast"], steps=budget, finalists=finalists, probes=probes, seed=seed)
        options = ours if name == "codes" else pixels_only(ours)
        solutions = [model.solve(y[i : i + CHUNK], options) for i in range(0, len(y), CHUNK)]
        loss = np.concatenate([solution.loss for solution in solutions])
        error = metrics.mse(np.clip(np.concatenate([solution.image for solution in solutions]), -1, 1), truth)
        click.echo(
            f"| {name} | {budget} | {probes} | {finalists} | {np.median(loss):.3f} | {loss.mean():.3f}"
            f" | {np.median(error):.4f} | {error.mean():.4f} |"
        )


if __name__ == "__main__":
    main()
