"""The command `gekeras volume`: a volume restored slice by slice."""

from __future__ import annotations

import json

import click

from ..config import SliceOptions, VolumeOptions
from ..networks import ModelOptions
from .options import (
    CUSTOM,
    FILE,
    OUTPUT,
    SOLVER,
    Grouped,
    custom_options,
    custom_options_of,
    forward_option,
    option_of,
    parameter_option,
    preset_options,
    progress_bar,
    solve_options,
    task_option,
    teller,
)

OWN = ("axis", "simulate", "mask", "crop", "warm_start", "warm_steps", "threshold", "smallest_pore", "voxel")
FILES = ("shape", "dtype", "levels")
GROUPS = {
    "Everyday": (
        "task",
        "output",
        "axis",
        "simulate",
        "methods",
        "panel",
        "panel_cut",
        "fidelity",
        "preset",
        "models",
        "as_json",
        "quiet",
    ),
    "Volume": (*OWN[2:], *FILES, "parameters"),
    "Networks of one's own": (*CUSTOM, "forward"),
    "Solver": (*SOLVER, "seed", "batch"),
}


def _cut(_context, _parameter, value: str | None):
    """`"y:64"` -> ("y", 64); `"y"` -> ("y", None)."""
    if value is None:
        return None
    axis, colon, index = value.partition(":")
    if axis not in ("z", "y", "x") or (colon and not index.isdecimal()):
        raise click.BadParameter(f"{value!r} is not AXIS:INDEX, as y:64")
    return axis, int(index) if colon else None


@click.command(cls=Grouped, groups=GROUPS)
@click.argument("volume", type=FILE)
@task_option
@click.option(
    "-o", "--output", type=OUTPUT, metavar="FILE", help="A .tif or .npy. Default: NAME.restored.tif beside the input."
)
@option_of(SliceOptions, "axis")
@option_of(SliceOptions, "simulate")
@click.option(
    "--method", "methods", multiple=True, help="GE, ConvAE, invertGAN, ...; as of eval. GE alone by default; repeatable."
)
@click.option("--panel", type=FILE, metavar="FILE", help="Also draw a cut through all volumes.")
@click.option(
    "--cut",
    "panel_cut",
    callback=_cut,
    metavar="AXIS:INDEX",
    help="Where --panel cuts, as y:64; by default across the first axis that is not --axis, in the middle.",
)
@option_of(SliceOptions, "mask", type=FILE, metavar="FILE")
@option_of(SliceOptions, "crop")
@option_of(SliceOptions, "warm_start", metavar="N")
@option_of(SliceOptions, "warm_steps", metavar="N")
@option_of(SliceOptions, "threshold", type=float, metavar="GRAY")
@option_of(SliceOptions, "smallest_pore")
@option_of(SliceOptions, "voxel", metavar="SIZE|Z,Y,X")
@option_of(VolumeOptions, "shape", metavar="Z,Y,X")
@option_of(VolumeOptions, "dtype")
@option_of(VolumeOptions, "levels", metavar="LOW,HIGH")
@parameter_option
@forward_option
@preset_options
@custom_options
@solve_options
@click.option("--batch", type=click.IntRange(min=1), metavar="N", help="Slices at once; 16 by default.")
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors (and the record with --json).")
def volume(
    volume,
    task,
    output,
    methods,
    panel,
    panel_cut,
    parameters,
    forward,
    preset,
    models,
    fidelity,
    batch,
    as_json,
    quiet,
    **values,
):
    """Restore a volume, as of micro-CT, slice by slice. A stopped run goes on where it was.

    \b
    Examples:
      gekeras volume --task denoise rock.tif --preset rock-128
      gekeras volume --task denoise rock.tif --preset rock-128 --simulate --method GE --method invertGAN \\
          --method ConvAE --panel cut.png --cut y:64
      gekeras volume --task inpaint rock.npy --preset rock-128 --mask rings.npy --voxel 2.25 -o filled.tif
    """
    model = ModelOptions(task, preset, models, parameters, forward, custom_options_of(values))
    model.load_preset()
    options = SliceOptions(**{name: values.pop(name) for name in OWN})
    cut = VolumeOptions(**{name: values.pop(name) for name in FILES})

    from .. import volumes

    with progress_bar("restoring", quiet) as tick:
        result = volumes.restore(
            volume,
            model,
            output,
            options=options,
            cut=cut,
            methods=methods,
            fidelity=fidelity,
            changes=values,
            batch=batch,
            panel=panel,
            panel_cut=panel_cut and volumes.Cut(*panel_cut),
            tell=teller(quiet),
            progress=tick,
        )
    if as_json:
        click.echo(json.dumps(result.record, indent=2))
    elif not quiet:
        click.echo(result.summary().rstrip("\n"))
