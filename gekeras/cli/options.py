"""What several commands share: their options, how values are read, and the progress bar."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click

from .. import config
from ..networks import presets
from ..networks.custom import CustomNetworks

FILE = click.Path(path_type=Path)


def options(*decorators):
    """One decorator of several, in the order in which `--help` lists them."""

    def decorate(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def read_parameters(_context, _parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`("sigma=0.3", "kernel=bicubic")` -> `{"sigma": 0.3, "kernel": "bicubic"}`."""
    found = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, as sigma=0.3")
        try:
            found[name] = json.loads(text)
        except ValueError:
            found[name] = text
    return found


def _numbers(kind: type):
    """`"64,64,64"` -> a tuple of that kind."""

    def read(_context, _parameter, value: str | None) -> tuple:
        try:
            return tuple(kind(part) for part in value.split(",")) if value else ()
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a list of numbers, as 1,2,3") from None

    return read


models_option = click.option("--models", type=FILE, metavar="DIR", help="Folder of presets to look in first.")
task_option = click.option(
    "--task", required=True, metavar="TASK", help="reconstruct, denoise, inpaint, deblur, superres, or a task of one's own."
)
parameter_option = click.option(
    "--set",
    "parameters",
    multiple=True,
    callback=read_parameters,
    metavar="NAME=VALUE",
    help="A parameter of the degradation, as sigma=0.3; repeatable. The preset decides by default.",
)
volume_options = options(
    click.option("--axes", callback=_numbers(int), help="Volumes: axes to slice along, 0,1,2 by default; 0 for stacks."),
    click.option("--crop", type=click.IntRange(min=0), default=0, help="Volumes: side of the squares cut from a slice."),
    click.option(
        "--stride", type=click.IntRange(min=0), default=0, help="Volumes: from a square to the next; one by default."
    ),
    click.option("--shape", callback=_numbers(int), metavar="Z,Y,X", help="Volumes: shape of a raw file."),
    click.option("--dtype", default="uint8", show_default=True, help="Volumes: of a raw file, as uint8 or <u2."),
    click.option("--levels", callback=_numbers(float), metavar="LOW,HIGH", help="Volumes: values of black and white."),
)


def volume_options_of(values: dict[str, Any]) -> config.VolumeOptions:
    """Take the values of `volume_options` out of a command's arguments."""
    found = {name: values.pop(name) for name in ("axes", "crop", "stride", "shape", "dtype", "levels")}
    return config.VolumeOptions(**{**found, "axes": found["axes"] or (0, 1, 2)})


forward_option = click.option(
    "--forward", metavar="NAME", help="S instead of the task's: identity, degrade, or module:object."
)
preset_options = options(
    click.option("--preset", default=presets.DEFAULT, show_default=True, help="Pretrained parts, by name or folder."),
    models_option,
)
custom_options = options(
    click.option(
        "--generator", metavar="PATH", help="A generator of one's own: .keras, .h5, SavedModel, TF-Hub folder or address."
    ),
    click.option("--encoder", metavar="PATH", help="An encoder of one's own; with both no preset is needed."),
    click.option("--decoder", metavar="PATH", help="Its decoder, for the ConvAE baseline and --preview."),
    click.option("--latent-size", type=click.IntRange(min=1), help="Of --generator, where it does not tell it."),
    click.option(
        "--latent", type=click.Choice(config.LATENTS), help="What the input of --generator is drawn from; normal by default."
    ),
    click.option(
        "--generator-range", callback=_numbers(float), metavar="LOW,HIGH", help="Of its pictures; -1,1 by default."
    ),
    click.option(
        "--encoder-range", callback=_numbers(float), metavar="LOW,HIGH", help="Of --encoder and --decoder; -1,1 by default."
    ),
)


def custom_options_of(values: dict[str, Any]) -> CustomNetworks:
    """Take the values of `custom_options` out of a command's arguments. Raises ValueError as `CustomNetworks`."""
    return CustomNetworks(**{field.name: values.pop(field.name) or None for field in dataclasses.fields(CustomNetworks)})


solve_options = options(
    click.option(
        "--fidelity",
        type=click.Choice(list(config.FIDELITIES)),
        default="fast",
        show_default=True,
        help="Set of options: the paper's own, a quick one, or one that is better and still quicker.",
    ),
    click.option(
        "--steps", type=click.IntRange(min=0), help="Gradient steps; 0 gives the start itself. The fidelity decides."
    ),
    click.option("--start", type=click.Choice(config.STARTS), help="Where to begin: as the starter says, or at random."),
    click.option("--starts", type=click.IntRange(min=1), help="Random starts to screen."),
    click.option("--finalists", type=click.IntRange(min=1), help="Best of them that take the first steps, on trial."),
    click.option("--probes", type=click.IntRange(min=0), help="Draws that the curvature for lbfgs is measured with."),
    click.option("--optimizer", type=click.Choice(config.OPTIMIZERS), help="adam, the paper's, or lbfgs."),
    click.option("--ramp", type=click.Choice(config.RAMPS), help="cosine: Adam's rate falls to zero over the steps."),
    click.option("--weight", type=click.FloatRange(min=0), help="lambda, the weight of the prior."),
    click.option("--prior", type=click.Choice(config.PRIORS), help="Prior on the latent vector."),
    click.option("--code-weight", type=click.FloatRange(min=0), help="alpha, of ||E(S(G(z))) - m||^2; 1 in the paper."),
    click.option("--pixel-weight", type=click.FloatRange(min=0), help="beta, of ||A G(z) - y||^2; 0 in the paper."),
    click.option("--precision", type=click.Choice(config.PRECISIONS), help="Of all steps but the last quarter."),
    click.option("--decoder-weight", type=click.FloatRange(min=0), help="gamma, of ||G(z) - DC(m)||^2; 0 in the paper."),
    click.option(
        "--consistent/--no-consistent",
        default=None,
        help="Correct the result so that degrading it gives the input; off in the paper.",
    ),
    click.option(
        "--tolerance", type=click.FloatRange(min=0), help="Stop when the objective falls by less than this fraction."
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0, max=2**31 - 1),
        default=0,
        show_default=True,
        help="Of the random starts: same seed, same result.",
    ),
)
batch_option = click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Pictures at once; as many as the memory holds by default."
)


@contextlib.contextmanager
def progress_bar(label: str, quiet: bool = False):
    """Yields `tick(done, total, text)`, which moves a progress bar on stderr, or does nothing where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, text="": None
        return
    with contextlib.ExitStack() as stack:
        bars = []  # drawn at the first tick, below what is printed before it

        def tick(done: int, total: int, text: str = "") -> None:
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True)))
            (bar,) = bars
            bar.length, bar.label = total, label + text
            bar.update(done - bar.pos)

        yield tick
