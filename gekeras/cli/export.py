"""The command `gekeras export`: trained runs as a preset."""

from __future__ import annotations

import click

from ..networks import presets, record
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
    type=FILE,
    metavar="JSON",
    help="Description, data and terms to keep in the preset's record.",
)
@click.option("--layers", is_flag=True, help="Write the generator that is there anew, with its layers, from its weights.")
def export(folder, gan_run, runs, starter_runs, aegan_run, about, layers):
    """Write trained runs as a preset of SavedModels; parts that are not named stay as they are.

    \b
    Example:
      gekeras export saved_models/my-faces --gan runs/gan --autoencoder runs/superres
    """
    presets.check_target(folder)
    if about:
        record.read_about(about)
    for option, given in (("--autoencoder", runs), ("--starter", starter_runs)):
        if twice := [run for run in given if given.count(run) > 1]:
            raise click.UsageError(f"{option} {twice[0]} is given twice")

    if layers:
        if gan_run or runs or starter_runs or aegan_run or about:
            raise click.UsageError("--layers is for a generator that is there: give it alone; a new one has its layers")
        presets.read(folder)

        from ..training import layered

        click.echo(folder / layered.add_layers(folder))
        return

    from ..training import export as exporting

    written = exporting.export(folder, gan_run, runs, about, aegan_run, starter_runs)
    click.echo("\n".join(f"{folder / name}" for name in written))
