"""The command `gekeras export`: trained runs as a preset, or a preset as models for TensorFlow Serving."""

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
@click.option(
    "--serving",
    type=FILE,
    metavar="DIR",
    help="Write the preset, a name or a folder, as models for TensorFlow Serving into DIR.",
)
@click.option(
    "--task", "tasks", multiple=True, metavar="TASK", help="With --serving: a task of it; repeatable, all by default."
)
def export(folder, gan_run, runs, starter_runs, aegan_run, about, layers, serving, tasks):
    """Write trained runs as a preset of SavedModels; parts that are not named stay as they are.

    \b
    Examples:
      gekeras export saved_models/my-faces --gan runs/gan --autoencoder runs/superres
      gekeras export faces-64 --serving serving --task superres
    """
    given = [gan_run, *runs, *starter_runs, aegan_run, about, layers]
    if tasks and not serving:
        raise click.UsageError("--task is for --serving; an autoencoder's run names its own task")
    if serving:
        if any(given):
            raise click.UsageError("--serving is for a preset that is there: give it alone, or with --task")
        return _serve(folder, serving, tasks)

    presets.check_target(folder)
    if about:
        record.read_about(about)
    for option, names in (("--autoencoder", runs), ("--starter", starter_runs)):
        _check_once(option, names)

    if layers:
        if any([gan_run, *runs, *starter_runs, aegan_run, about]):
            raise click.UsageError("--layers is for a generator that is there: give it alone; a new one has its layers")
        presets.read(folder)

        from ..training import layered

        click.echo(folder / layered.add_layers(folder))
        return

    from ..training import export as exporting

    written = exporting.export(folder, gan_run, runs, about, aegan_run, starter_runs)
    click.echo("\n".join(f"{folder / name}" for name in written))


def _serve(name, folder, tasks) -> None:
    """All that can be refused is, before TensorFlow is imported."""
    from ..serving import layout

    _check_once("--task", tasks)
    preset = presets.load(name)
    tasks = list(tasks) or list(preset.tasks)
    layout.check(preset, folder, tasks)

    from ..serving import export as exporting

    for path in exporting.export(preset, folder, tasks, lambda line: click.echo(f"gekeras: {line}", err=True)):
        click.echo(path)


def _check_once(option, names) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise click.UsageError(f"{option} {twice[0]} is given twice")
