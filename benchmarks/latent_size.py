"""How large the latent has to be: reconstructions by one generator that is searched in ever smaller latents (Table 3).

    python benchmarks/latent_size.py --preset rock-128 --data versa_test_crops256.npy.xz --axes 0 --crop 128 --count 32

The paper trains a pGAN for each size. Here G(sqrt(d / k) Q z) is searched, z of k numbers, Q `[d, k]` random, its columns
orthonormal: the latents of one trained generator that lie in a subspace, as long as all are. It shows what the search lacks,
not what a generator that was trained so could draw. The autoencoder is the same throughout, as in the paper.
"""

from __future__ import annotations

import math
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from pictures import last

from gekeras import GenerativeEncoder, metrics
from gekeras.cli.options import volume_options, volume_options_of
from gekeras.config import UNAIDED
from gekeras.evaluation.methods import pixels_only
from gekeras.networks import presets

CHUNK = 32


def narrowed(generator, whole: int, size: int, seed: int = 0):
    """z `[n, size]` -> G(sqrt(whole / size) Q z): as long as latents of the whole size are."""
    drawn = np.random.default_rng(seed).normal(size=(whole, size))
    columns = tf.constant(math.sqrt(whole / size) * np.linalg.qr(drawn)[0].T, tf.float32)
    return lambda z: generator(tf.matmul(z, columns))


def row(name: str, pictures: np.ndarray, truth: np.ndarray) -> str:
    found = metrics.scores(np.clip(pictures, -1, 1), truth)
    return (
        f"| {name} | {len(truth)} | "
        + " | ".join(
            f"{found[key].mean():{form}} ± {found[key].std():{form}}" for key, form in (("mse", ".4f"), ("psnr", ".2f"))
        )
        + " |"
    )


@click.command()
@click.option("--preset", default="rock-128", show_default=True)
@click.option("--data", "folder", required=True)
@click.option("--count", default=32, show_default=True, help="The last so many pictures are used.")
@click.option("--size", "sizes", multiple=True, type=int, default=(256, 128, 64, 32), show_default=True)
@click.option("--steps", default=UNAIDED["fast"].steps, show_default=True)
@volume_options
def main(preset, folder, count, sizes, steps, **values):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels, volume_options_of(values))
    model = GenerativeEncoder.from_preset(loaded, "reconstruct")
    click.echo(f"Preset {loaded.name}, reconstruct, N {len(truth)} of {Path(folder).name}, {steps} evaluations, seed 0.\n")
    click.echo("| method (latent) | N | MSE | PSNR (dB) |\n|---|---|---|---|")
    click.echo(row("ConvAE", model.decode(model.encode(truth)), truth))
    codes = UNAIDED["fast"]
    options = {"invertGAN": pixels_only(codes), "GE": codes}
    for size in sizes:
        generator = narrowed(model.generator, model.latent_size, size)
        narrow = GenerativeEncoder(generator, model.encoder, size)
        for name, given in options.items():
            chosen = narrow.options(**{**vars(given), "steps": steps})
            parts = [narrow.solve(truth[i : i + CHUNK], chosen).image for i in range(0, len(truth), CHUNK)]
            click.echo(row(f"{name} ({size})", np.concatenate(parts), truth))


if __name__ == "__main__":
    main()
