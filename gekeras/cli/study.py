"""The group of commands `gekeras study`: a detector of a feature, and whether invertGAN and GE keep the feature."""

from __future__ import annotations

import dataclasses

import click

from .. import config
from ..networks import CustomNetworks, ModelOptions
from .options import (
    CUSTOM,
    FILE,
    OUTPUT,
    Grouped,
    combined,
    custom_options,
    fidelity_option,
    numbers,
    option_of,
    options_of,
    parameter_option,
    preset_options,
    progress_bar,
    teller,
)

SOLVING = ("steps", "start", "starts", "finalists", "probes", "optimizer", "ramp", "weight", "prior", "tolerance")
LAYERS = ("layers", "layer_steps", "layer_rate", "layer_weight")
STUDY = ("count", "without", "threshold", "panels", "region", "seed")
LEARNING = ("size", "width", "images", "validation", "spare", "learning_rate", "mirror", "seed")
GROUPS = {
    "Everyday": ("pictures", "labels", "feature", "detector", "task", "output", "fidelity", "preset", "models"),
    "Pictures": (*STUDY, "parameters"),
    "Networks of one's own": (*CUSTOM, "detector_range"),
    "Solver": (*SOLVING, *LAYERS),
}

labeled_options = combined(
    click.option(
        "--data",
        "pictures",
        type=FILE,
        multiple=True,
        required=True,
        metavar="DIR|TAR",
        help="Pictures; repeatable, as --data a.tar --data b.tar.",
    ),
    click.option(
        "--labels",
        type=FILE,
        required=True,
        metavar="CSV",
        help="Which of them has which feature: a column image, and one for each feature, 1 or 0 (or -1).",
    ),
    click.option("--feature", required=True, metavar="NAME", help="A column of the labels, as Eyeglasses."),
)


@click.group()
def study():
    """Study which features of pictures the generator and the encoder represent."""


@study.command("train-detector")
@labeled_options
@click.option("-o", "--output", type=FILE, required=True, metavar="DIR", help="Folder of the detector.")
@options_of(config.DetectorOptions, *LEARNING)
@option_of(config.DetectorOptions, "batch_size", "--batch")
@click.option("--gray", is_flag=True, help="Of gray pictures, for a preset of gray ones.")
def train_detector(pictures, labels, feature, output, gray, **values):
    """Train a detector of a feature, and tell how well it does on pictures that were held out.

    \b
    Example:
      gekeras study train-detector --data faces.tar --labels attributes.csv --feature Eyeglasses -o glasses
    """
    from .. import study

    options = config.DetectorOptions(**values)
    with progress_bar("learning") as tick:
        record = study.train_detector(
            pictures, labels, feature, output, options, channels=1 if gray else 3, tell=teller(), progress=tick
        )
    its, of = record["held_out"], record["pictures"]
    click.echo(
        f"{output}: learned from {of['trained_on']} pictures, {of['with_feature']} with {feature}; "
        f"{of['spared']} are spared\n"
        f"{its['n']} held out, {its['yes']} with it: accuracy {its['accuracy']:.3f}, "
        f"balanced {its['balanced_accuracy']:.3f}, sensitivity {its['sensitivity']:.3f}, "
        f"specificity {its['specificity']:.3f}, AUC {its['auc']:.4f}"
    )


@study.command("run", cls=Grouped, groups=GROUPS)
@labeled_options
@click.option(
    "--detector", required=True, metavar="PATH", help="Of train-detector; or a Keras file or SavedModel with --trust."
)
@click.option("--task", default="reconstruct", show_default=True, metavar="TASK", help="One of the preset's; the paper's.")
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    required=True,
    metavar="STEM",
    help="Writes STEM.jsonl, STEM.csv, STEM.md, panels STEM.a.png, ..., and pictures into STEM.pictures.",
)
@options_of(config.StudyOptions, *STUDY)
@parameter_option
@preset_options
@custom_options
@click.option(
    "--detector-range", callback=numbers(float), metavar="LOW,HIGH", help="Of the pictures it takes; -1,1 by default."
)
@fidelity_option
@options_of(config.SolveOptions, *SOLVING, *LAYERS, preset=True)
def run(
    pictures, labels, feature, detector, task, output, parameters, preset, models, detector_range, trust, fidelity, **values
):
    """Ask a detector whether invertGAN and GE keep a feature. A stopped study goes on where it was.

    \b
    Example:
      gekeras study run --data faces.tar --labels attributes.csv --feature Eyeglasses --detector glasses \\
        --region eyes --layers 16 -o study/glasses
    """
    custom = CustomNetworks(**{field.name: values.pop(field.name) or None for field in dataclasses.fields(CustomNetworks)})
    custom.check_trusted(trust)

    from .. import study

    if trust and not custom.given() and study.recorded(detector):
        raise click.UsageError(
            f"--trust is for files without a record; {detector} has one, which its files are compared with"
        )
    options = config.StudyOptions(**{name: values.pop(name) for name in STUDY})
    with progress_bar("studying") as tick:
        report = study.run(
            pictures,
            labels,
            feature,
            detector,
            output,
            ModelOptions(task, preset, models, parameters, None, custom),
            options,
            fidelity=fidelity,
            changes=values,
            detector_range=detector_range or None,
            trust=trust,
            tell=teller(),
            progress=tick,
        )
    click.echo(study.to_markdown(report, report["detector"]), nl=False)
