"""The command `gekeras export`: trained runs as a preset."""

from __future__ import annotations

from pathlib import Path

import click

from .options import FILE


@click.command()
@click.argument("folder", type=FILE, metavar="PRESET_DIR")
@click.option("--gan", "gan_run", type=FILE, metavar="RUN", help="Run folder of the GAN or BEGAN.")
@click.option(
    "--autoencoder", "runs", type=FILE, multiple=True, metavar="RUN", help="Run folder of an autoencoder; repeatable."
)
@click.option("--starter", "starter_runs", type=FILE, multiple=True, metavar="RUN", help="Of a starter; repeatable.")
@click.option("--aegan", "aegan_run", type=FILE, metavar="RUN", help="Run folder of the AEGAN baseline.")
@click.option(
    "--about",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="JSON",
    help="Description, data and terms to keep in the preset's record.",
)
def export(folder, gan_run, runs, starter_runs, aegan_run, about):
    """Write trained runs as a preset of SavedModels; parts that are not named stay as they are.

    \b
    Example:
      gekeras export saved_models/my-faces --gan runs/gan --autoencoder runs/superres
    """
    from ..training import export as exporting

    written = exporting.export(folder, gan_run, runs, about, aegan_run, starter_runs)
    click.echo("\n".join(f"{folder / name}" for name in written))
