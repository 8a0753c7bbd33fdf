"""The command `gekeras solve`: restored files from picture files."""

from __future__ import annotations

import json
import re

import click

from ..config import PictureOptions
from ..networks import ModelOptions
from . import remote
from .options import (
    CUSTOM,
    FILE,
    OUTPUT,
    SOLVER,
    Grouped,
    batch_option,
    custom_options,
    custom_options_of,
    forward_option,
    option_of,
    parameter_option,
    preset_options,
    reports,
    solve_options,
    task_option,
)


def _box(_context, _parameter, value: str | None):
    """`"x,y,w,h"` -> four whole numbers."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"\s*-?\d+\s*", part) for part in parts):
        raise click.BadParameter(f"{value!r} is not x,y,w,h in whole pixels, as 16,20,24,24")
    return tuple(map(int, parts))


GROUPS = {
    "Everyday": (
        "task",
        "output",
        "fidelity",
        "preset",
        "models",
        "simulate",
        "reference",
        "preview",
        "samples",
        "panel",
        "animate",
        "as_json",
        "quiet",
    ),
    "Picture": ("align", "skip_faceless", "tile", "reduce", "mask", "box", "levels", "parameters"),
    "Networks of one's own": (*CUSTOM, "forward"),
    "Solver": (*SOLVER, "seed", "batch"),
    "A server's solver": remote.SERVER,
}


@click.command(cls=Grouped, groups=GROUPS)
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@task_option
@preset_options
@custom_options
@solve_options
@batch_option
@option_of(PictureOptions, "simulate")
@parameter_option
@forward_option
@option_of(PictureOptions, "mask", type=FILE, metavar="FILE")
@option_of(PictureOptions, "box", type=str, callback=_box, metavar="X,Y,W,H")
@option_of(PictureOptions, "align", type=click.Choice(["face"]), is_flag=False, default=None)
@option_of(PictureOptions, "skip_faceless")
@option_of(PictureOptions, "tile")
@option_of(PictureOptions, "reduce")
@option_of(PictureOptions, "levels", metavar="LOW,HIGH")
@option_of(PictureOptions, "reference", type=FILE, metavar="FILE")
@click.option("--preview", is_flag=True, help="The autoencoder's own picture, at once, without solving.")
@click.option(
    "--uncertainty",
    "samples",
    type=click.IntRange(min=2),
    metavar="K",
    help="Solve K times, keep the best, and write where the results differ: NAME.uncertainty.png.",
)
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    metavar="FILE|DIR",
    help="Default: NAME.restored.png beside the input. A folder's name has no suffix, or a slash at its end.",
)
@click.option("--panel", type=FILE, metavar="FILE", help="Also draw observation, result and truth side by side.")
@click.option("--animate", type=FILE, metavar="FILE.gif", help="Also write how the first result came about.")
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors (and the record with --json).")
@remote.server_options
@click.pass_context
def solve(
    context,
    inputs,
    task,
    preset,
    models,
    parameters,
    forward,
    simulate,
    mask,
    box,
    align,
    skip_faceless,
    tile,
    reduce,
    levels,
    reference,
    preview,
    samples,
    output,
    panel,
    animate,
    as_json,
    quiet,
    fidelity,
    batch,
    **values,
):
    """Restore pictures. Several are solved together, as many at once as the memory holds.

    superres takes pictures smaller than the model's as they are, of any size.

    \b
    Examples:
      gekeras solve --task superres small.png
      gekeras solve --task denoise --simulate portrait.jpg --panel panel.png
      gekeras solve --task inpaint portrait.png --box 20,24,24,24
      gekeras solve --task deblur --simulate holiday.jpg --align face
      gekeras solve --task reconstruct a.png b.png -o restored/ --fidelity paper
      gekeras solve --task superres small.png --uncertainty 8
      gekeras solve --task denoise noisy.png --trust --generator progan-128 --generator-range 0,1 \\
          --encoder denoise.keras
      gekeras solve --task superres small.png --server localhost:8500
    """
    if server := remote.server_of(context, values):
        how = {"mask": mask, "box": box, "batch": batch, "seed": values["seed"], "steps": values["steps"]}
        results = remote.restore(server, inputs, task, preset=preset, output=output, quiet=quiet, **how)
        print_results(results, None, as_json=as_json, quiet=quiet)
        return
    model = ModelOptions(task, preset, models, parameters, forward, custom_options_of(values))
    pictures = PictureOptions(simulate, mask, box, align == "face", tile, reference, levels, skip_faceless, reduce)

    from .. import restore

    with reports("solving", quiet) as report:
        results = restore.files(
            inputs,
            model,
            pictures=pictures,
            outputs=restore.Outputs(output, panel, animate),
            fidelity=fidelity,
            changes=values,
            preview=preview,
            samples=samples,
            batch=batch,
            **report,
        )
    print_results(results, panel, as_json=as_json, quiet=quiet)


def print_results(results, panel, *, as_json: bool = False, quiet: bool = False) -> None:
    """A line a picture, or the records as JSON on stdout."""
    records = [result.record for result in results]
    if as_json:
        click.echo(json.dumps(records[0] if len(records) == 1 else records, indent=2))
    elif not quiet:
        click.echo("\n".join(result.summary() for result in results))
    if panel and not quiet:
        click.echo(f"{panel}: panel of {len(results)}", err=as_json)
