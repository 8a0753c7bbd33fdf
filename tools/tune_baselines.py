"""Choose the free parameters of `gekeras.evaluation.baselines` by mean squared error on training pictures.

python tools/tune_baselines.py TRAINING_PICTURES --count 40 --side 64

Prints MSE on [-1, 1] for every point of each grid, and the best one. The two measurements: noise of standard deviation 0.5
on [-1, 1], clipped; and a Gaussian blur of sigma 2 px, kernel 13x13, borders mirrored. The blurred pictures are taken as
computed and as an 8-bit file would hold them, which is what decides how far a blur can be undone.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import click
import numpy as np
from scipy import ndimage

from gekeras import data, images, metrics
from gekeras.evaluation import baselines

SIGMA = 0.5
BLUR_SIGMA, BLUR_SIZE = 2.0, 13
TV = {"weight": (0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)}
NLM = {"cutoff": (0.1, 0.2, 0.3, 0.4, 0.6, 0.8), "patch": (3, 5, 7), "distance": (2, 3, 4, 5, 8)}
WIENER = {"balance": (1e-17, 1e-16, 1e-15, 1e-14, 1e-12, 1e-10, 1e-8, 1e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 1e-3, 1e-2)}
RICHARDSON_LUCY = {"iterations": (10, 30, 100, 300, 500, 1000)}  # 1000 take over a second a picture


def kernel(sigma: float = BLUR_SIGMA, size: int = BLUR_SIZE) -> np.ndarray:
    """Gaussian `[size, size]` with sum 1."""
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    square = np.outer(line, line)
    return square / square.sum()


def blur(pictures: np.ndarray, psf: np.ndarray) -> np.ndarray:
    """`[n, h, w, c]` convolved with `[k, k]`, borders mirrored (d c b | a b c d)."""
    return ndimage.convolve(pictures, psf[None, :, :, None], mode="mirror")


def grid_search(name: str, method, truth: np.ndarray, grid: dict[str, tuple]) -> None:
    """Print the MSE of `method(**point)` for every point of the grid, and the least."""
    click.echo(f"\n{name}")
    results = {}
    for point in itertools.product(*grid.values()):
        results[point] = metrics.mse(method(**dict(zip(grid, point))), truth).mean()
        click.echo("  " + describe(grid, point) + f"  MSE {results[point]:.6f}")
    best = min(results, key=results.get)
    click.echo(f"best: {describe(grid, best)}, MSE {results[best]:.6f}")


def describe(grid: dict[str, tuple], point: tuple) -> str:
    return ", ".join(f"{key} {value:g}" for key, value in zip(grid, point))


@click.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--count", default=40, show_default=True, help="The first so many pictures.")
@click.option("--side", default=64, show_default=True, help="Pixels.")
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
def main(folder: Path, count: int, side: int, seed: int) -> None:
    """Tune the baselines on the pictures of FOLDER, a folder or a tar shard. Use training pictures only."""
    source = data.Source(data.entries(folder)[:count], side, 3)
    truth = images.from_uint8(source.take(np.arange(len(source))))
    noisy = np.clip(truth + SIGMA * np.random.default_rng(seed).standard_normal(truth.shape, np.float32), -1, 1)
    psf = kernel()
    blurred = blur(truth, psf)
    click.echo(f"{len(truth)} pictures of {side}x{side} pixels; noise seed {seed}")
    click.echo(f"MSE of the noisy pictures {metrics.mse(noisy, truth).mean():.6f}")
    grid_search("total_variation", lambda **p: baselines.total_variation(noisy, SIGMA, **p), truth, TV)
    grid_search("non_local_means", lambda **p: baselines.non_local_means(noisy, SIGMA, **p), truth, NLM)
    for kind, seen in {"": blurred, ", rounded to 8 bits": images.from_uint8(images.to_uint8(blurred))}.items():
        click.echo(f"\nMSE of the blurred pictures{kind} {metrics.mse(seen, truth).mean():.6f}")
        grid_search(f"wiener{kind}", lambda seen=seen, **p: baselines.wiener(seen, psf, **p), truth, WIENER)
        grid_search(
            f"richardson_lucy{kind}",
            lambda seen=seen, **p: baselines.richardson_lucy(seen, psf, **p),
            truth,
            RICHARDSON_LUCY,
        )


if __name__ == "__main__":
    main()
