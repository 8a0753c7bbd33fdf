"""What a solve compares, side by side: codes as they are, scaled, whitened or decoded, and with G(z) against DC(m) or y.

    python benchmarks/distances.py --task superres --task inpaint --data faces-train-002.tar --count 32

All begin where the preset's starter says and have its metric, with the same number of steps. Choose on pictures that no
score is reported for. The variances of the codes are those of the first pictures.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import tensorflow as tf
from pictures import last, observe

from gekeras import GenerativeEncoder, data, images, metrics
from gekeras.cli.options import volume_options, volume_options_of
from gekeras.networks import presets
from gekeras.solve import Solver, Target
from gekeras.training.starter import whitening

GAMMAS = (0.001, 0.003, 0.01)
BETAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
FLOOR = 0.1  # of the whitening, over the mean variance


class Pictures(NamedTuple):
    """What is solved: the truth `[n, h, w, c]`, measurements, masks where the task has them, and codes."""

    truth: np.ndarray
    y: np.ndarray
    known: np.ndarray | None
    code: np.ndarray


def pictures_of(model: GenerativeEncoder, truth: np.ndarray) -> Pictures:
    y, known = observe(model, truth)
    return Pictures(truth, y, known, model.encode(y, known))


def maps(model: GenerativeEncoder, codes: np.ndarray) -> dict[str, Callable]:
    """Distances between functions of the codes, each divided so that a code's mean variance stays what it was."""
    deviation = codes.std(axis=0)
    scaled = np.diag(np.sqrt(np.square(deviation).mean()) / np.maximum(deviation, 1e-6)).astype(np.float32)
    white = whitening(codes, FLOOR)[0] * np.sqrt(codes.var(axis=0).mean())
    return {
        "codes over their deviation": lambda m: tf.matmul(m, scaled),
        "codes, whitened": lambda m: tf.matmul(m, white.astype(np.float32)),
        "decoded codes": lambda m: tf.reshape(tf.cast(model.decoder(m), tf.float32), (tf.shape(m)[0], -1)),
    }


def solves(
    model: GenerativeEncoder, pictures: Pictures, codes: np.ndarray, steps: int, gammas, betas
) -> dict[str, Callable]:
    """Of every distance the function that solves with it, `() -> [n, h, w, c]`."""
    options = dataclasses.replace(model.options("fast", decoder_weight=0.0, pixel_weight=0.0), steps=steps)
    start = model.solve(pictures.y, dataclasses.replace(options, steps=0), known=pictures.known).latent
    known = None if pictures.known is None else tf.constant(pictures.known)

    def between(function):
        solver = Solver(
            model.generator,
            lambda x: function(model.encoder(x)),
            model.task.forward,
            prior=options.prior,
            optimizer=options.optimizer,
            starter=model.starter,
            latent=model.latent,
        )
        target = Target(function(tf.constant(pictures.code)), known=known)
        return solver.solve(target, model.latent_size, options, initial=start).image

    def weighed(**weights):
        return model.solve(pictures.y, dataclasses.replace(options, **weights), known=pictures.known).image

    table = {"the start": partial(model.generate, start), "codes": weighed}
    table |= {name: partial(between, function) for name, function in maps(model, codes).items()}
    table |= {f"codes, gamma {gamma:g}": partial(weighed, decoder_weight=gamma) for gamma in gammas}
    table["gamma alone"] = partial(weighed, decoder_weight=1.0, code_weight=0.0)
    gamma = model.options().decoder_weight
    for beta in betas if model.task.measure else ():
        table[f"codes, gamma {gamma:g}, beta {beta:g}"] = partial(weighed, decoder_weight=gamma, pixel_weight=beta)
    return table


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", "tasks", multiple=True, help="Default: all.")
@click.option("--data", "folder", required=True)
@click.option("--count", default=32, show_default=True, help="The last so many pictures are solved.")
@click.option("--steps", default=14, show_default=True)
@click.option("--gamma", "gammas", type=float, multiple=True, default=GAMMAS, show_default=True)
@click.option("--beta", "betas", type=float, multiple=True, default=BETAS, show_default=True)
@click.option("--only", default="", help="Distances with this in their names.")
@volume_options
def main(preset, tasks, folder, count, steps, gammas, betas, only, **values):
    loaded = presets.load(preset)
    cut = volume_options_of(values)
    truth = last(folder, count, loaded.resolution, loaded.channels, cut)
    source = data.Source(data.entries(folder, options=cut), loaded.resolution, loaded.channels)
    others = images.from_uint8(source.take(np.arange(min(1024, len(source) - len(truth)))))
    click.echo(f"Preset {loaded.name}, N {len(truth)} of {Path(folder).name}, {steps} steps from the starter.\n")
    click.echo(
        "| task | distance | objective of the codes, median | MSE, median | MSE, mean | SSIM |\n|---|---|---|---|---|---|"
    )
    for task in tasks or loaded.tasks:
        model = GenerativeEncoder.from_preset(loaded, task)
        codes = np.concatenate([pictures_of(model, others[i : i + 64]).code for i in range(0, len(others), 64)])
        pictures = pictures_of(model, truth)
        for name, solve in solves(model, pictures, codes, steps, gammas, betas).items():
            if only not in name:
                continue
            image = solve()
            seen = model.task.forward(image if pictures.known is None else image * pictures.known)
            objective = np.square(np.asarray(model.encoder(seen)) - pictures.code).sum(axis=1)
            scores = metrics.scores(np.clip(image, -1, 1), pictures.truth)
            cells = f"{np.median(objective):.3f} | {np.median(scores['mse']):.4f} | {np.mean(scores['mse']):.4f}"
            click.echo(f"| {task} | {name} | {cells} | {np.mean(scores['ssim']):.3f} |")


if __name__ == "__main__":
    main()
