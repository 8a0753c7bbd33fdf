"""How far a generator's pictures are from real ones: the sliced Wasserstein distance of Karras et al. (2018).

tensorflow-gan's: distances between 7x7 patches at each level of a Laplacian pyramid (times 1000, as published). "real" is
the distance between two halves of the real pictures, which is what a perfect generator would get.

    python benchmarks/generator_distance.py --data pictures/ --preset faces-64
"""

from __future__ import annotations

import click
import numpy as np
import tensorflow as tf

from gekeras import data, images
from gekeras.networks import presets
from gekeras.solve import starts


def generated(generator, latent_size: int, count: int, distribution: str = "normal", chunk: int = 64) -> np.ndarray:
    """`count` pictures, latents of seed 0, rounded to 8 bits as the real ones are."""
    latent = starts.draw(0, count, latent_size, distribution)
    parts = [generator(latent[i : i + chunk]).numpy() for i in range(0, count, chunk)]
    return images.from_uint8(images.to_uint8(np.concatenate(parts)))


def dithered(pictures: np.ndarray, seed: int) -> np.ndarray:
    """Within the rounding to 8 bits: a patch of one color has no variance, by which the distance divides."""
    return pictures + np.random.default_rng(seed).uniform(-1 / 255, 1 / 255, pictures.shape).astype(np.float32)


def distances(a: np.ndarray, b: np.ndarray) -> list[tuple[int, float]]:
    """(resolution, distance x 1000) for each level, largest first."""
    from tensorflow_gan.python.eval import sliced_wasserstein_distance

    tf.random.set_seed(0)
    levels = sliced_wasserstein_distance(
        tf.constant(dithered(a, 0)),
        tf.constant(dithered(b, 1)),
        resolution_min=16,
        random_sampling_count=4,
        random_projection_dim=128,
    )
    return [(a.shape[1] >> level, 1000 * float(fake)) for level, (_, fake) in enumerate(levels)]


@click.command()
@click.option("--preset", "names", multiple=True, default=(presets.DEFAULT,), show_default=True)
@click.option("--data", "folder", required=True, help="Pictures that the generator was not trained on.")
@click.option("--count", default=1000, show_default=True, help="Generated pictures, and as many real ones.")
def main(names, folder, count):
    for name in names:
        loaded = presets.load(name)
        items = data.entries(folder)[: 2 * count]
        real = images.from_uint8(data.Source(items, loaded.resolution, loaded.channels).take(np.arange(len(items))))
        fake = generated(loaded.part("generator"), loaded.latent_size, count, loaded.latent)
        rows = {"generated": distances(real[:count], fake), "real": distances(real[:count], real[count:])}
        for pictures, measured in rows.items():
            levels = ", ".join(f"{side} px {value:.2f}" for side, value in measured)
            click.echo(f"{name}, {pictures}, N {count}: {levels}, mean {np.mean([value for _, value in measured]):.2f}")


if __name__ == "__main__":
    main()
