"""Keep the newest checkpoint of a run in a preset's folder, small enough for the repository, so that its training can go on.

python tools/keep_training.py RUN saved_models/PRESET
"""

from __future__ import annotations

from pathlib import Path

import click

from gekeras.training import checkpoints, export

FOLDER = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=FOLDER)
@click.argument("preset", type=FOLDER)
def main(run: Path, preset: Path) -> None:
    path = export.keep_training(*checkpoints.require_latest(run), preset)
    click.echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
