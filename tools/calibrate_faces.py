"""Measure where the face detector's window lies in crops whose eyes are aligned, for the constants of `pictures/faces.py`.

python tools/calibrate_faces.py faces-train-000.tar --pictures 400
"""

from __future__ import annotations

import click
import numpy as np

from gekeras import data, images
from gekeras.pictures import faces


def spread(values: np.ndarray) -> str:
    """Median and quartiles: a few wrong windows must not move the numbers."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return f"{middle:.3f} (quartiles {low:.3f} {high:.3f})"


@click.command()
@click.argument("pictures_in", metavar="SHARD_OR_FOLDER", type=click.Path(exists=True))
@click.option("--side", default=128, show_default=True, help="Size of the crops.")
@click.option("--pictures", default=400, show_default=True, help="How many, evenly spaced.")
def main(pictures_in: str, side: int, pictures: int) -> None:
    source = data.Source(data.entries(pictures_in), side)
    indices = np.linspace(0, len(source) - 1, min(pictures, len(source))).round().astype(int)
    windows = [faces.windows(images.from_uint8(source.take([index])[0])) for index in indices]
    found = [[box for box in boxes if not box.angle] for boxes in windows]
    top, left, window, _ = np.array([boxes[0] for boxes in found if len(boxes) == 1]).T
    counts = np.bincount([len(boxes) for boxes in found], minlength=3)
    click.echo(f"{len(found)} pictures: {counts[1]} with one face, {counts[0]} with none, {counts[2:].sum()} with more")
    click.echo(f"CROP_SIDE = {spread(side / window)}")
    click.echo(f"CROP_UP = {spread((top + window / 2 - side / 2) / window)}")
    click.echo(f"to the left, 0 by symmetry: {spread((left + window / 2 - side / 2) / window)}")


if __name__ == "__main__":
    main()
