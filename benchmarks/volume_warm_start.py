"""What a start from the neighboring slice's latent saves: evaluations for z until the objective is what a slice's own start
has at the end, and how far neighboring slices are apart.

    python benchmarks/volume_warm_start.py VOLUME --preset rock-128 --task superres --count 32 --group 2 4 8
"""

import argparse
from pathlib import Path

import numpy as np

from gekeras import GenerativeEncoder
from gekeras.config import SliceOptions, VolumeOptions
from gekeras.volumes import blocks, planes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("volume", type=Path)
    parser.add_argument("--preset", default="rock-128")
    parser.add_argument("--task", default="superres")
    parser.add_argument("--count", type=int, default=32, help="slices along z, from the first on")
    parser.add_argument("--group", type=int, nargs="+", default=[2, 4, 8], help="slices that one of them starts")
    parser.add_argument("--steps", type=int, default=14)
    given = parser.parse_args()
    model = GenerativeEncoder.from_preset(given.preset, given.task)
    options = model.options(steps=given.steps, layers="none", consistent=False)
    own = SliceOptions(simulate=given.task != "reconstruct", crop=model.shape[0])
    slices = blocks.Slices(model, planes.read(given.volume, VolumeOptions()).window(0, own), own, options.seed)
    indices = range(given.count)
    y, known, _, _ = slices.tiles(indices)
    cold = model.solve(y, options, known=known)
    truth = np.stack([slices.volume.plane(0, index)[..., None] for index in indices])
    print(f"{given.task}, {given.count} slices, {given.steps} evaluations, each its own start: {about(cold.image, truth)}")
    print("loss of each:", *np.round(cold.loss, 1))
    for group in given.group:
        order = blocks.leaders(indices, group)
        pairs = [(follower, leader) for leader, others in order.items() for follower in others]
        rows, leaders = np.transpose(pairs)
        mask = None if known is None else known[rows]
        warm = model.solve(y[rows], options, known=mask, initial=cold.latent[leaders])
        image = cold.image.copy()
        image[rows] = warm.image
        own, start = (np.minimum.accumulate(found).mean(axis=1) for found in (cold.history[:, rows], warm.history))
        reached = np.flatnonzero(start <= own[-1])
        print(f"groups of {group}: {len(rows)} followers, loss {start[0]:.2f} at the start and {start[-1]:.2f} at the end")
        print(f"  from their own starts: {own[0]:.2f} and {own[-1]:.2f}, which the others reach after "
              f"{reached[0] if len(reached) else 'more than ' + str(given.steps)} evaluations")  # fmt: skip
        print(f"  losses lower than from their own start: {np.sum(warm.loss < cold.loss[rows])} of {len(rows)}")
        print(f"  all slices: {about(image, truth)}")


def about(image, truth):
    """`MSE 0.04, mean step between slices 0.11, the truth's 0.05`."""
    steps = (np.abs(np.diff(pictures, axis=0)).mean() for pictures in (np.clip(image, -1, 1), truth))
    mse = np.mean((np.clip(image, -1, 1) - truth) ** 2)
    return "MSE {:.4f}, mean step between slices {:.4f}, the truth's {:.4f}".format(mse, *steps)


if __name__ == "__main__":
    main()
