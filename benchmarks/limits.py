"""What limits GE on a task: the solve, the encoder, or the generator.

Each row removes one limit: more steps; then a code as if nothing had happened to the picture; then no code at all, G(z)
against the clean picture's own pixels. What remains in the last row is the generator's (and the search's) alone.

    python benchmarks/limits.py --task denoise --data pictures/ --count 16
"""

from __future__ import annotations

import dataclasses

import click
import numpy as np
from pictures import last, observe

from gekeras import GenerativeEncoder, Solver, metrics
from gekeras.config import UNAIDED
from gekeras.evaluation.methods import pixels_only
from gekeras.networks import presets
from gekeras.operators import make_task
from gekeras.solve import Target


def rows(model: GenerativeEncoder, truth: np.ndarray, steps: int):
    """name -> pictures `[n, h, w, c]`."""
    y, known = observe(model, truth)
    fast = model.options()
    long = dataclasses.replace(fast, steps=steps)
    yield "ConvAE, DC(E(observation))", model.decode(model.encode(y, known))
    yield f"GE, {fast.steps} steps", model.solve(y, fast, known=known).image
    yield f"GE, {steps} steps", model.solve(y, long, known=known).image
    clean = GenerativeEncoder(
        model.generator, model.encoder, model.latent_size, make_task("reconstruct"), model.decoder, latent=model.latent
    )
    drawn = dataclasses.replace(long, start="random", starts=UNAIDED["fast"].starts)  # a starter reads its own task's codes
    yield f"the clean picture's code, S the identity, {steps} steps", clean.solve(truth, drawn).image
    pixels = pixels_only(drawn)
    solver = Solver(model.generator, prior=fast.prior, ramp=fast.ramp, optimizer=fast.optimizer, latent=model.latent)
    target = Target(measurement=truth)
    yield f"G against the clean pixels, {steps} steps", solver.solve(target, model.latent_size, pixels).image


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", "tasks", multiple=True, default=("superres",), show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=16, show_default=True, help="The last so many pictures are used.")
@click.option("--steps", default=600, show_default=True, help="Of the long solves.")
def main(preset, tasks, folder, count, steps):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels)
    click.echo(f"preset {loaded.name}, N {len(truth)}\n\n| task | what | MSE | SSIM |\n|---|---|---|---|")
    for task in tasks:
        for name, pictures in rows(GenerativeEncoder.from_preset(loaded, task), truth, steps):
            scores = metrics.scores(np.clip(pictures, -1, 1), truth)
            click.echo(f"| {task} | {name} | {scores['mse'].mean():.4f} | {scores['ssim'].mean():.3f} |")


if __name__ == "__main__":
    main()
