"""How many faces `--align face` finds, upright and tilted, how well it frames them, and what it takes for one.

    python benchmarks/face_search.py --faces faces-test-000.tar --others churches-test-000.tar

Crops of faces, each of its own size and tilt, are pasted into pictures without faces: a find is right where its box has half
of its area in common with the true one. Boxes that are none, and every box in the pictures alone, are wrong finds. The
thresholds of `gekeras/pictures/faces.py` are chosen with training pictures here.
"""

from __future__ import annotations

import click
import numpy as np
from pictures import last

from gekeras.pictures import faces

SIDE = 384  # of the pictures
TURNS = {"upright, to 10 degrees": (0, 10), "10 to 25 degrees": (10, 25), "25 to 45 degrees": (25, 45)}


def placed(picture: np.ndarray, face: np.ndarray, turns: tuple[int, int], rng) -> tuple[np.ndarray, faces.Box]:
    """The picture with a face somewhere in it, a fifth to a half as large, and its box."""
    side = rng.uniform(0.2, 0.5) * SIDE
    top, left = rng.uniform(0.2 * side, SIDE - 1.2 * side, size=2)
    box = faces.Box(top, left, side, rng.choice([-1, 1]) * rng.uniform(*turns))
    return faces.paste(picture, face, box), box


def apart(box: faces.Box, true: faces.Box) -> list[float]:
    """Distance of the centers and of the sides in units of the side, and of the angles in degrees."""
    return [
        np.hypot(*np.subtract(box.center, true.center)) / true.side,
        abs(box.side / true.side - 1),
        abs(box.angle - true.angle),
    ]


def common(box: faces.Box, true: faces.Box) -> float:
    """Intersection over union."""
    here, there = (b.holds(SIDE, SIDE) for b in (box, true))
    return float((here & there).sum() / (here | there).sum())


@click.command()
@click.option("--faces", "crops", required=True, type=click.Path(exists=True), help="Aligned crops, a folder or shard.")
@click.option("--others", required=True, type=click.Path(exists=True), help="Pictures without faces.")
@click.option("--count", default=60, show_default=True, help="Pictures of each kind.")
def main(crops, others, count):
    rng = np.random.default_rng(0)
    people, places = last(crops, count, 128, 3), last(others, count, SIDE, 3)
    click.echo(f"The last {count} of each; pictures of {SIDE}x{SIDE}, faces of a fifth to a half.\n")
    click.echo(
        "| pictures | found | wrong | center off (sides) | side off | angle off (degrees) |\n|---|---|---|---|---|---|"
    )
    for name, turns in TURNS.items():
        right, wrong = [], 0
        for place, face in zip(places, people):
            picture, true = placed(place, face, turns, rng)
            for box in faces.find(picture):
                if common(box, true) >= 0.5:
                    right.append(apart(box, true))
                else:
                    wrong += 1
        off = np.median(right, axis=0)
        click.echo(f"| {name} | {len(right) / count:.0%} | {wrong} | {off[0]:.3f} | {off[1]:.3f} | {off[2]:.1f} |")
    wrong = sum(len(faces.find(place)) for place in places)
    click.echo(f"| no face | | {wrong} | | | |")


if __name__ == "__main__":
    main()
