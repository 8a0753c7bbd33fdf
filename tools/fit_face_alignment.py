"""Fit `gekeras/pictures/alignment.py`: the maps from a rough box to the one that training crops have, and the score.

    python tools/fit_face_alignment.py faces-train-000.tar --others churches-train-000.tar \\
        -o gekeras/assets/face-alignment.npz

Crops are aligned: their own box is the whole picture. Each is given a rough box as the detector has them, and each map is
a ridge regression from the gradients there to the step that leads home. What is not a face is taken where the detector has a
few windows in pictures without faces, aligned as if it were one.
"""

from __future__ import annotations

import click
import numpy as np

from gekeras import data, files, images
from gekeras.pictures import faces
from gekeras.pictures.alignment import INNER, Alignment, Box, gradients, points

STAGES, RIDGE = 3, 0.03
SPREAD = np.array([0.04, 0.04, 0.09, 0.0])  # of the detector's boxes: down, right, log side; the angle is even
TURN = 25.0  # degrees: the photograph is searched in steps of 30, and the detector misses by half of that and more


def grays(source: str, side: int, count: int) -> np.ndarray:
    """`[n, side, side]` in [-1, 1], evenly spaced pictures of a folder or shard."""
    there = data.Source(data.entries(source), side)
    indices = np.linspace(0, len(there) - 1, min(count, len(there))).round().astype(int)
    return np.stack([images.luma(images.from_uint8(there.take([index])[0]))[..., 0] for index in indices]).astype(np.float64)


def rough(rng: np.random.Generator, side: int) -> Box:
    """A box around a crop's own, inside of which nothing lies beyond the crop."""
    while True:
        step = rng.normal(size=4) * SPREAD
        step[3] = rng.uniform(-TURN, TURN)
        box = Box(0, 0, float(side)).moved(step)
        if -2 <= (where := points(box, 2, INNER * 2)).min() and where.max() <= side + 1:
            return box


def homeward(box: Box, side: int) -> np.ndarray:
    """The step of `Box.moved` that leads from a box to the crop's own."""
    down, right = np.subtract(side / 2, box.center)
    sine, cosine = np.sin(np.radians(box.angle)), np.cos(np.radians(box.angle))
    along = np.array([cosine * down - sine * right, sine * down + cosine * right]) / box.side
    return np.array([*along, np.log(side / box.side), -box.angle])


def ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """argmin ||x w - y||^2 + RIDGE n ||w||^2 / k."""
    gram = x.T @ x
    return np.linalg.solve(gram + RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), x.T @ y)


def fit_steps(pictures: np.ndarray, boxes: list[Box]) -> tuple[np.ndarray, list[Box]]:
    side, steps = pictures.shape[1], []
    for stage in range(STAGES):
        seen = np.stack([gradients(picture, box) for picture, box in zip(pictures, boxes)])
        steps.append(ridge(seen, np.stack([homeward(box, side) for box in boxes])))
        boxes = [box.moved(step) for box, step in zip(boxes, seen @ steps[-1])]
        left = np.abs([homeward(box, side) for box in boxes])
        click.echo(f"stage {stage + 1}: left, in sides, log side and degrees: {np.median(left, axis=0).round(3)}")
    return np.stack(steps), boxes


def mistaken(picture: np.ndarray) -> list[Box]:
    """Where the detector has at least a window that is no face's, one box for each place."""
    hits = faces._hits(picture)
    groups = faces._groups(hits, faces._weights(hits[:, 2])) if len(hits) else []
    return [faces.crop_of(Box(*hits[members].mean(axis=0))) for members in groups]


@click.command()
@click.argument("crops", type=click.Path(exists=True))
@click.option("--others", multiple=True, type=click.Path(exists=True), help="Pictures without faces; several times.")
@click.option("--pictures", default=8000, show_default=True, help="Crops, evenly spaced.")
@click.option("-o", "--output", required=True, type=click.Path())
def main(crops, others, pictures, output):
    rng = np.random.default_rng(0)
    known = grays(crops, 128, pictures)
    steps, boxes = fit_steps(known, [rough(rng, 128) for _ in known])
    aligned = Alignment(steps, np.zeros(steps.shape[1]))
    wrong = []
    for other in others:
        for picture in grays(other, 256, 600):
            wrong += [gradients(picture, aligned.align(picture, box)[0]) for box in mistaken(picture)]
    right = np.stack([gradients(picture, box) for picture, box in zip(known, boxes)])
    seen, label = np.concatenate([right, np.stack(wrong)]), np.repeat([1.0, -1.0], [len(right), len(wrong)])
    weight = np.sqrt(np.where(label > 0, 1 / len(right), 1 / len(wrong)) * len(seen) / 2)[:, None]
    face = ridge(seen * weight, label * weight[:, 0])
    scores = seen @ face
    click.echo(
        f"{len(right)} faces, {len(wrong)} others; scores: {np.percentile(scores[label > 0], [1, 5, 50]).round(2)} of faces,"
    )
    click.echo(f"{np.percentile(scores[label < 0], [50, 95, 99]).round(2)} of others (percentiles 1, 5, 50 and 50, 95, 99)")
    with files.replacing(output) as made:
        np.savez_compressed(made, steps=steps.astype(np.float32), face=face.astype(np.float32))


if __name__ == "__main__":
    main()
