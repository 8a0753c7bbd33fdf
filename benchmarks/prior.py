"""The prior and its weight lambda: GE's error on noisy pictures for each, over four decades, at several levels of noise.

    python benchmarks/prior.py --data faces-train-002.tar --count 32

Denoising is the task where a prior could help most: the more noise, the less the code says. The encoder is the preset's at
every level. Choose on pictures that no score is reported for.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import click
import numpy as np
from pictures import last, observe

from gekeras import GenerativeEncoder, metrics
from gekeras.networks import presets

PRIORS = ("l2", "norm", "sphere")  # the last has no weight
WEIGHTS = (0.0001, 0.001, 0.01, 0.1)
LEVELS = (0.01, 0.1, 0.5)


def rows(model: GenerativeEncoder, truth: np.ndarray, fidelity: str):
    """(prior, lambda or None, MSE of each picture) for the measurements of one level."""
    y = observe(model, truth)[0]
    for prior, weight in itertools.product(PRIORS, WEIGHTS):
        if prior != "sphere" or weight == WEIGHTS[0]:
            image = model.solve(y, model.options(fidelity, prior=prior, weight=weight)).image
            yield prior, None if prior == "sphere" else weight, metrics.mse(np.clip(image, -1, 1), truth)


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=32, show_default=True, help="The last so many pictures are used.")
@click.option("--fidelity", default="fast", show_default=True)
def main(preset, folder, count, fidelity):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels)
    click.echo(f"Preset {loaded.name}, N {len(truth)} of {Path(folder).name}, {fidelity}. MSE: mean / median.\n")
    click.echo("| sigma | prior | lambda | MSE |\n|---|---|---|---|")
    for sigma in LEVELS:
        model = GenerativeEncoder.from_preset(loaded, "denoise", parameters={"sigma": sigma})
        for prior, weight, errors in rows(model, truth, fidelity):
            shown = "" if weight is None else f"{weight:g}"
            click.echo(f"| {sigma:g} | {prior} | {shown} | {np.mean(errors):.4f} / {np.median(errors):.4f} |")


if __name__ == "__main__":
    main()
