"""What training commands share: the options of a run, and options from a file (`--config`) or from the run (`--resume`).

The last two become the command's defaults, so that what is typed beside them wins, and every value is checked as if it had
been typed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import config, files
from ..messages import reason_of
from .options import FILE, combined, flags_given, option_of, options_of, volume_options

RECORD = "arguments.json"  # in a run folder: what its command was given
NOT_KEPT = ("resume", "config", "quiet", "dry_run", "help")

FLAGS = {"batch_size": "--batch"}  # the others are named as their fields

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    metavar="FILE",
    help="JSON or YAML file of options, by their names here; options typed beside it win.",
)
resume_option = click.option(
    "--resume",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    help="Go on with the run's own pictures and options; only --run is needed.",
)

distribute_option = click.option(
    "--distribute",
    type=click.Choice(["auto", "none", "mirrored", "multiworker"]),
    default="auto",
    show_default=True,
    help="Split each batch over the GPUs (mirrored) or over the processes that TF_CONFIG names; auto: over what is there.",
)


generator_option = click.option(
    "--generator",
    type=FILE,
    required=True,
    metavar="RUN|PRESET_DIR",
    help="Run folder of the GAN or BEGAN, or a preset with a generator.",
)


def validation_option(count: int):
    return click.option(
        "--validation",
        type=click.IntRange(min=1),
        default=count,
        show_default=True,
        help="Pictures held out for the validation, of PICTURES where there are any.",
    )


class RunCommand(click.Command):
    """A command with `--run`, `--config` and `--resume`; its arguments, for the run to keep, are the context's object."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        typed, _, _ = self.make_parser(ctx).parse_args(args=list(args))
        known = {parameter.name for parameter in self.params}  # all but --help
        typed = {k: v for k, v in typed.items() if k in known and isinstance(v, (str, bool, int, list, tuple)) and v != ()}
        stored = self._stored(typed) if typed.get("resume") else {}
        ctx.default_map = {**stored, **(self._read(Path(typed["config"])) if "config" in typed else {})}
        given = {**ctx.default_map, **{k: v for k, v in typed.items() if k not in NOT_KEPT}}
        ctx.obj = {name: self._plain(name, value) for name, value in given.items()}
        return super().parse_args(ctx, args)

    def _stored(self, typed: dict[str, Any]) -> dict[str, Any]:
        if "folder" not in typed:
            raise click.UsageError("--resume needs --run, the folder of the run to go on with")
        path = Path(typed["folder"]) / RECORD
        if not path.is_file():
            raise click.UsageError(f"{typed['folder']} has no {RECORD}: it is no run of this command, or an old one")
        return self._named(load(path), path)

    def _read(self, path: Path) -> dict[str, Any]:
        return self._named(load(path), path)

    def _named(self, values: dict[str, Any], path: Path) -> dict[str, Any]:
        """Values by parameter name, see `_value`; a name may be an option's (`fmap-base`, `no-mirror`)."""
        on = {_key(option): p for p in self.params for option in (p.name, *p.opts)}
        off = {_key(option): p for p in self.params for option in p.secondary_opts}
        named = {}
        for name, value in values.items():
            key = _key(name)
            parameter = on.get(key) or off.get(key)
            if parameter is None or parameter.name in NOT_KEPT:
                raise click.UsageError(f"{path}: {self.name} has no option {name}")
            if parameter.name in named:
                raise click.UsageError(f"{path} has {parameter.opts[0]} twice")
            if value is None or (key not in on and not isinstance(value, bool)):
                wanted = "true or false" if key not in on else "a value"
                raise click.UsageError(f"{path}: {name} needs {wanted}, and has {json.dumps(value)}")
            named[parameter.name] = _value(parameter, value) if key in on else not value
        return named

    def _plain(self, name: str, value: Any) -> Any:
        """What was typed, as JSON holds it; paths that exist become absolute: a run resumes from anywhere."""
        parameter = next(p for p in self.params if p.name == name)
        if not isinstance(parameter.type, click.Path):
            return value
        paths = [
            str(Path(v).resolve()) if Path(v).exists() else str(v) for v in ([value] if isinstance(value, str) else value)
        ]
        return paths[0] if isinstance(value, str) else paths


def _key(name: str) -> str:
    return name.lstrip("-").replace("-", "_")


def _value(parameter: click.Parameter, value: Any) -> Any:
    """As click takes it: a list where values repeat, a dict as `NAME=VALUE`, repeated, a list of numbers as text."""
    if isinstance(value, dict):
        return [f"{k}={json.dumps(v)}" for k, v in value.items()]
    repeats = parameter.multiple if isinstance(parameter, click.Option) else parameter.nargs == -1
    if isinstance(value, list):
        return value if repeats else ",".join(map(str, value))
    return [value] if repeats else value


def refuse_idle(names: Sequence[str], reason: str) -> None:
    """Raise UsageError for options of these names that were given, typed or by a file, and would do nothing."""
    if given := flags_given(*names):
        raise click.UsageError(f"{reason}; leave out {', '.join(given)}")


def pictures_argument(command, required: bool = True):
    """PICTURES: typed, or those of the file or of the run."""

    def read(ctx: click.Context, parameter: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
        value = value or tuple(map(Path, ctx.lookup_default(parameter.name) or ()))
        if required and not value:
            raise click.MissingParameter(ctx=ctx, param=parameter)
        return value

    return click.argument("pictures", nargs=-1, type=click.Path(path_type=Path), callback=read)(command)


def load(path: Path) -> dict[str, Any]:
    """Options of a JSON or YAML file. Raises ValueError if it cannot be read or holds something else."""
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text, object_pairs_hook=_once) if path.suffix == ".json" else _yaml(text)
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or reason_of(error)}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} holds no options: it must be names and values")
    return values


def _once(pairs: Sequence[tuple[Any, Any]]) -> dict[Any, Any]:
    """A dict of pairs. Raises ValueError for a name that is there twice: which one is meant?"""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return dict(pairs)


def _yaml(text: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML 1.1 takes 64:32 for a number of base 60; here it is a resolution and its value."""

        def resolve(self, kind, value, implicit):
            plain = kind is yaml.ScalarNode and implicit[0] and ":" in value
            return self.DEFAULT_SCALAR_TAG if plain else super().resolve(kind, value, implicit)

        def construct_mapping(self, node, deep=False):
            _once([(key.value, None) for key, _ in node.value if isinstance(key, yaml.ScalarNode)])
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _writable(_ctx, _parameter, folder: Path) -> Path:
    files.check_folder(folder)
    return folder


def train_options(cls: type, *names: str, turn: bool = True):
    """The options that every training command has, and those of its options dataclass.

    Args:
        cls: the dataclass.
        names: fields of it that are options like any others.
        turn: whether its pictures can be shown turned.
    """
    views = ("mirror", "turn") if turn else ("mirror",)
    return combined(
        click.option(
            "--run",
            "folder",
            type=FILE,
            callback=_writable,
            required=True,
            help="Run folder; a run that was stopped goes on from its last checkpoint.",
        ),
        resume_option,
        config_option,
        click.option("--minutes", type=click.FloatRange(min=0), default=0.0, help="Stop, with a checkpoint, after so long."),
        click.option("--memory", is_flag=True, help="Decode all pictures once and hold them in memory."),
        option_of(cls, "mixed_precision", "--bfloat16"),
        option_of(cls, "seed"),
        click.option(
            "--save-every",
            type=click.FloatRange(min=0, min_open=True),
            default=120.0,
            show_default=True,
            metavar="SECONDS",
            help="Between two checkpoints.",
        ),
        click.option(
            "--deterministic", is_flag=True, help="The same weights from every run, killed and resumed or not; slower."
        ),
        click.option("--quiet", is_flag=True, help="No progress lines."),
        options_of(cls, *views),
        volume_options,
        *(option_of(cls, name, *((FLAGS[name],) if name in FLAGS else ())) for name in names),
    )


def limits_of(arguments: dict[str, Any], values: dict[str, Any]) -> config.Limits:
    """Take the limits of this sitting out of a command's arguments."""
    minutes, quiet, save_every = (values.pop(name) for name in ("minutes", "quiet", "save_every"))
    return config.Limits(minutes, quiet, save_every, arguments)


def be_deterministic(wanted: bool) -> None:
    """Everything random is a function of the seed anyway; this makes TensorFlow's sums take one order, too."""
    if wanted:
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


@contextlib.contextmanager
def strategy_of(name: str):
    """The strategy of `--distribute`, made before TensorFlow does anything else; see `training.distribute`."""
    from ..training import distribute

    with distribute.restarting():
        yield distribute.strategy_for(name)
