"""What commands share: options made from the fields of options dataclasses, how values are read, and the progress bar."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from .. import config
from ..networks import CustomNetworks, presets

TASKS = ("reconstruct", "denoise", "inpaint", "deblur", "superres")  # operators.TASKS, without its TensorFlow


class _File(click.Path):
    """Refuses what was meant to be something else: nothing, as of a variable that is not set, or the next option."""

    def convert(self, value, param, ctx):
        text = os.fspath(value)
        if not text:
            self.fail("a path is needed; received an empty text", param, ctx)
        if text == "-":
            self.fail("nothing is read from stdin or written to stdout; write ./- for a file of that name", param, ctx)
        if text.startswith("-") and isinstance(param, click.Option) and not os.path.lexists(text):
            self.fail(f"{text!r} looks like an option; write ./{text} for a file of that name", param, ctx)
        return super().convert(value, param, ctx)


FILE = _File(path_type=Path)
OUTPUT = _File(path_type=str)  # as it was typed: a slash at its end says that it is a folder


def combined(*decorators):
    """One decorator of several, in the order in which `--help` lists them."""

    def decorate(command):
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


# ----------------------------------------------------------------------------------- options of a dataclass's fields


def option_of(cls: type, name: str, *flags: str, preset: bool = False, **changes: Any) -> Callable:
    """The option of a field: its help, type, bounds, choices and default are the field's.

    Args:
        flags: by default `--name`; with `--no-name` for a switch that is on.
        preset: whether the command's default is None, because the fidelity or the preset decides.
        changes: over what the field says, as `click.option` takes them.
    """
    default = next(f.default for f in dataclasses.fields(cls) if f.name == name)
    flag, its = f"--{name.replace('_', '-')}", config.settings(cls)[name]
    arguments: dict[str, Any] = {"help": its.help, "default": None if preset else default}
    if isinstance(default, bool):
        flag = f"{flag}/--no-{flag[2:]}" if default or preset else flag
        arguments |= {"is_flag": True, "show_default": default and not preset}
    elif isinstance(default, tuple):
        arguments |= {"default": None, "callback": numbers(its.items)}
    else:
        arguments |= {"type": _type_of(its, type(default)), "show_default": not preset and default not in ("", 0)}
        if isinstance(default, float) and 0 < default < 1e-3 and not preset:
            arguments["show_default"] = f"{default:f}".rstrip("0")  # 0.00008, not 8e-05
    return click.option(*(flags or (flag,)), name, **{**arguments, **changes})


def options_of(cls: type, *names: str, preset: bool = False) -> Callable:
    """`option_of` of several fields."""
    return combined(*(option_of(cls, name, preset=preset) for name in names))


class _Choice(click.Choice):
    """Of values that need not be text."""

    def __init__(self, choices: tuple):
        super().__init__([str(choice) for choice in choices])
        self.values = {str(choice): choice for choice in choices}

    def convert(self, value, param, ctx):
        return self.values[super().convert(str(value), param, ctx)]


def _type_of(its: config.Setting, kind: type) -> click.ParamType:
    if its.choices:
        return _Choice(its.choices)
    if (its.minimum, its.above, its.maximum, its.below) == (None, None, None, None):
        return click.types.convert_type(kind)
    least = its.minimum if its.above is None else its.above
    most = its.maximum if its.below is None else its.below
    span: Any = click.IntRange if kind is int else click.FloatRange  # whose bounds are of that kind
    return span(least, most, min_open=its.above is not None, max_open=its.below is not None)


def numbers(kind: type):
    """`"64,64,64"` -> a tuple of that kind."""

    def read(_context, _parameter, value: str | None) -> tuple:
        try:
            return tuple(kind(part) for part in value.split(",")) if value else ()
        except ValueError:
            raise click.BadParameter(f"{value!r} is not a list of numbers, as 1,2,3") from None

    return read


def read_parameters(_context, _parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """`("sigma=0.3", "kernel=bicubic")` -> `{"sigma": 0.3, "kernel": "bicubic"}`."""
    parameters = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, as sigma=0.3")
        try:
            parameters[name] = json.loads(text)
        except ValueError:
            parameters[name] = text
    return parameters


# ---------------------------------------------------------------------------------------- what several commands have


class _Task(click.ParamType):
    """Any name: a task may be one's own."""

    name = "task"

    def get_missing_message(self, param, ctx=None):
        return f"It is one of {', '.join(TASKS)}, or a task of one's own."


def _models(_context, _parameter, value: Path | None) -> Path | None:
    """Refused here, by the option's name, even where the preset is named by its folder."""
    if value is None:
        return None
    try:
        presets.places(value)
    except presets.PresetError as error:
        if not str(error).startswith("models: "):  # the variable's
            raise
        raise click.BadParameter(str(error).removeprefix("models: ")) from error
    return value


def _preset(context, parameter, value: str) -> str:
    """Beside --models the default is a preset of that folder, or none."""
    models, source = context.params.get("models"), context.get_parameter_source(parameter.name)
    if models is not None and source is ParameterSource.DEFAULT:
        names = [folder.name for folder in presets.folders_in(models)]
        if value not in names:
            raise click.UsageError(f"{models} has no {value}, the default; name one with --preset: {', '.join(names)}")
    return value


models_option = click.option(
    "--models",
    type=FILE,
    is_eager=True,  # before --preset
    callback=_models,
    metavar="DIR",
    help="Folder of presets to look in first; then $GEKERAS_MODELS and the package.",
)
_TASK: dict[str, Any] = {
    "type": _Task(),
    "required": True,
    "metavar": "TASK",
    "help": "reconstruct, denoise, inpaint, deblur, superres, or a task of one's own.",
}
task_option = click.option("--task", **_TASK)
tasks_option = click.option("--task", "tasks", multiple=True, **_TASK)
parameter_option = click.option(
    "--set",
    "parameters",
    multiple=True,
    callback=read_parameters,
    metavar="NAME=VALUE",
    help="A parameter of the degradation, as sigma=0.3; repeatable. The preset decides by default.",
)
forward_option = click.option(
    "--forward", metavar="NAME", help="S instead of the task's: identity, degrade, or module:object."
)
_PRESET: dict[str, Any] = {"show_default": True, "help": "Pretrained parts, by name or folder."}
preset_options = combined(click.option("--preset", default=presets.DEFAULT, callback=_preset, **_PRESET), models_option)
presets_options = combined(
    click.option(
        "--preset",
        "presets",
        multiple=True,
        default=(presets.DEFAULT,),
        callback=lambda context, its, values: tuple(_preset(context, its, value) for value in values),
        **_PRESET,
    ),
    models_option,
)
batch_option = click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Pictures at once; as many as the memory holds by default."
)

VOLUME = ("axes", "crop", "stride", "shape", "dtype", "levels")
volume_options = combined(
    option_of(config.VolumeOptions, "axes"),
    option_of(config.VolumeOptions, "crop"),
    option_of(config.VolumeOptions, "stride"),
    option_of(config.VolumeOptions, "shape", metavar="Z,Y,X"),
    option_of(config.VolumeOptions, "dtype"),
    option_of(config.VolumeOptions, "levels", metavar="LOW,HIGH"),
)


def volume_options_of(values: dict[str, Any]) -> config.VolumeOptions:
    """Take the values of `volume_options` out of a command's arguments."""
    found = {name: values.pop(name) for name in VOLUME}
    return config.VolumeOptions(**{**found, "axes": found["axes"] or config.VolumeOptions().axes})


custom_options = combined(
    click.option(
        "--generator", metavar="PATH", help="A generator of one's own: .keras, .h5, SavedModel, TF-Hub folder or address."
    ),
    click.option("--encoder", metavar="PATH", help="An encoder of one's own; with both no preset is needed."),
    click.option("--decoder", metavar="PATH", help="Its decoder, for the ConvAE baseline and --preview."),
    click.option("--latent-size", type=click.IntRange(min=1), help="Of --generator, where it does not tell it."),
    click.option(
        "--latent", type=click.Choice(config.LATENTS), help="What the input of --generator is drawn from; normal by default."
    ),
    click.option("--generator-range", callback=numbers(float), metavar="LOW,HIGH", help="Of its pictures; -1,1 by default."),
    click.option(
        "--encoder-range", callback=numbers(float), metavar="LOW,HIGH", help="Of --encoder and --decoder; -1,1 by default."
    ),
    click.option("--trust", is_flag=True, help="These files may do what programs can: read and write files here."),
)


def custom_options_of(values: dict[str, Any]) -> CustomNetworks:
    """Take the values of `custom_options` out of a command's arguments.

    Raises ValueError as `CustomNetworks`, for networks that are not trusted, for trust in none, and for a preset of which
    nothing would be taken.
    """
    trust = values.pop("trust")
    custom = CustomNetworks(**{field.name: values.pop(field.name) or None for field in dataclasses.fields(CustomNetworks)})
    if trust and not custom.given():
        raise click.UsageError("--trust is for networks of one's own: give --generator, --encoder or --decoder, too")
    custom.check_trusted(trust)
    if custom.complete and (needless := flags_given("preset", "presets", "models")):
        raise click.UsageError(
            f"{' and '.join(needless)} would change nothing beside --generator and --encoder: leave it out"
        )
    return custom


def flags_given(*names: str) -> list[str]:
    """Flags of the command's options, by the names of their arguments, that were typed or given by a file."""
    context, sources = click.get_current_context(), (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
    flags = {parameter.name: parameter.opts[0] for parameter in context.command.params}
    return [flags[name] for name in names if context.get_parameter_source(name) in sources]


SOLVER = (
    *("steps", "start", "starts", "finalists", "probes", "optimizer", "ramp", "weight", "prior"),
    *("code_weight", "pixel_weight", "decoder_weight"),
    *("layers", "layer_steps", "layer_rate", "layer_weight", "consistent", "tolerance"),
)
CUSTOM = ("generator", "encoder", "decoder", "latent_size", "latent", "generator_range", "encoder_range", "trust")
fidelity_option = click.option(
    "--fidelity",
    type=click.Choice(list(config.FIDELITIES)),
    default="fast",
    show_default=True,
    help="Set of options: the paper's own, a quick one, or one that is better and still quicker.",
)
solve_options = combined(
    fidelity_option,
    options_of(config.SolveOptions, *SOLVER, preset=True),
    option_of(config.SolveOptions, "seed", show_default=True),
)


class Grouped(click.Command):
    """A command whose `--help` lists its options under headings.

    Args:
        groups: heading -> names of parameters, in the order in which they are listed.
    """

    def __init__(self, *args, groups: dict[str, tuple[str, ...]], **extra):
        super().__init__(*args, **extra)
        self.groups = groups

    def format_options(self, ctx, formatter):
        parameters = {parameter.name: parameter for parameter in self.get_params(ctx)}
        for heading, names in self.groups.items():
            with formatter.section(heading):
                formatter.write_dl([parameters.pop(name).get_help_record(ctx) for name in names])
        with formatter.section("Other"):
            formatter.write_dl([record for p in parameters.values() if (record := p.get_help_record(ctx))])


@contextlib.contextmanager
def progress_bar(label: str, quiet: bool = False):
    """Yields `tick(done, total, text)`, which moves a progress bar on stderr, or does nothing where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, text="": None
        return
    with contextlib.ExitStack() as stack:
        bars: list[Any] = []  # drawn at the first tick, below what is printed before it

        def tick(done: int, total: int, text: str = "") -> None:
            if not bars:
                bars.append(stack.enter_context(click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True)))
            (bar,) = bars
            bar.length, bar.label = total, label + text
            bar.update(done - bar.pos)

        yield tick


def teller(quiet: bool = False) -> Callable[[str], None]:
    """What lines for the user are called with: they go to stderr, or nowhere."""
    return (lambda text: None) if quiet else (lambda text: click.echo(text, err=True))


@contextlib.contextmanager
def reports(label: str, quiet: bool = False):
    """Yields `tell` and `progress` for a library call: lines on stderr, and a progress bar below them."""
    with progress_bar(label, quiet) as tick:
        yield {
            "tell": teller(quiet),
            "progress": lambda done, total, loss: tick(done, total, f", objective {loss:.3f}"),
        }
