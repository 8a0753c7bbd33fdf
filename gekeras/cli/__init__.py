"""The command line: `gekeras solve | encode | decode | eval | train | import | export | presets | demo`.

TensorFlow is imported inside the commands, so that `--help` is immediate. Exit codes: 0; 2 with one line on stderr for a
user's mistake; 1 for anything else.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from .. import config
from .._version import __version__
from ..networks import presets
from .codes import decode, encode
from .demo import demo
from .import_generator import import_command
from .options import (
    FILE,
    custom_options,
    custom_options_of,
    forward_option,
    models_option,
    parameter_option,
    preset_options,
    progress_bar,
    solve_options,
    task_option,
    volume_options,
    volume_options_of,
)
from .solve import solve
from .train import export, train
from .train_began import train_began
from .train_gan import train_gan

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs its plug-in registration as errors


class OneLineErrors(click.Group):
    """Turns what the library refuses (ValueError) and what click refuses into one line on stderr and exit code 2."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if str(error):  # it has something to say, before which click would put the empty line of a bare Ctrl-C
                raise click.Abort() from error
            raise

    def main(self, *args, standalone_mode: bool = True, **extra):
        if not standalone_mode:
            return super().main(*args, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(*args, standalone_mode=False, **extra) or 0)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(2)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except ValueError as error:
            _fail(str(error), 2)
        except OSError as error:  # a folder that cannot be made, a disk that is full or read-only
            if error.filename is None:
                raise
            _fail(f"{error.filename}: {(error.strerror or type(error).__name__).lower()}", 2)
        except (click.Abort, KeyboardInterrupt) as error:  # click turns the second into the first
            _fail(str(error.__cause__ or "") or "stopped", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"gekeras: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneLineErrors)
@click.version_option(__version__, prog_name="gekeras")
def cli():
    """Restore images with one pretrained generator and an encoder a task (Ong and Yang's generative encoder).

    \b
    Examples:
      gekeras demo
      gekeras solve --task superres small.png
      gekeras solve --task superres --simulate portrait.jpg --panel panel.png
    """


def main() -> None:
    cli(prog_name="gekeras")


@cli.command("eval")
@task_option
@click.option(
    "--data", "pictures", type=FILE, required=True, metavar="DIR|TAR", help="Clean pictures to degrade and restore."
)
@click.option("--count", type=click.IntRange(min=1), help="Use the first so many pictures.")
@click.option("--method", "names", multiple=True, help="GE, ConvAE, invertGAN, ...; all that suit the task by default.")
@click.option(
    "--bits", type=click.Choice(["32", "16", "8"]), multiple=True, help="reconstruct: also from codes of so many bits."
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    metavar="N",
    help="Pictures degraded and restored together; by default 16, restored in smaller parts where the memory asks for it.",
)
@click.option("-o", "--output", type=FILE, required=True, metavar="STEM", help="Writes STEM.jsonl, STEM.csv and STEM.md.")
@click.option("--record", is_flag=True, help="Store the summary in the preset's preset.json.")
@volume_options
@parameter_option
@forward_option
@preset_options
@custom_options
@solve_options
def evaluate(
    task, pictures, count, names, bits, batch, output, record, parameters, forward, preset, models, fidelity, **changes
):
    """Score GE and its baselines on a folder of pictures. A stopped evaluation goes on where it was.

    \b
    Example:
      gekeras eval --task superres --data photos/ --count 200 -o scores/superres
    """
    custom = custom_options_of(changes)
    loaded = None if custom.complete else presets.load(preset, models)
    if custom.encoder is None:
        loaded.task_parameters(task)
    if bits and task != "reconstruct":
        raise ValueError(f"--bits is for reconstruct, whose code is the compressed picture; the task is {task}")
    if record and (parameters or forward or custom.given()):
        raise ValueError(
            "--record keeps the scores of the preset's own task and parts; leave out --set, --forward and networks"
        )

    from .. import data, files
    from ..evaluation import evaluate as evaluation
    from ..generative_encoder import GenerativeEncoder

    cut = volume_options_of(changes)
    items = data.entries(pictures, options=cut)[:count]
    output.parent.mkdir(parents=True, exist_ok=True)
    lines, csv, markdown = (output.with_name(f"{output.name}.{kind}") for kind in ("jsonl", "csv", "md"))
    files.check_writable(lines)
    model = GenerativeEncoder.from_preset(loaded, task, parameters=parameters, forward=forward, custom=custom)
    options = model.options(fidelity, **changes)
    model.check(options)
    source = data.Source(items, *model.shape[1:])
    about = {"preset": loaded.name if loaded else None, "data": str(pictures.resolve())}
    about |= {"checksums": loaded.checksums_of(task)} if loaded else {}
    about |= {"forward": forward} if forward else {}
    about |= {"cut": config.to_dict(cut)} if cut != config.VolumeOptions() else {}
    about |= {"networks": custom.record()} if custom.given() else {}
    with progress_bar("scoring") as tick:
        rows = evaluation.evaluate(
            model,
            source,
            options,
            lines,
            names=names,
            batch_size=batch or 16,
            at_once=batch,
            preset=None if custom.generator else loaded,
            bits=tuple(map(int, bits)),
            about=about,
            progress=tick,
        )
    table = evaluation.summary(rows)
    files.write_text(csv, evaluation.to_csv(table))
    files.write_text(markdown, evaluation.to_markdown(table))
    if record:
        loaded.record_scores(task, table, f"{pictures.name}, first {len(items)} pictures", config.to_dict(options))
    click.echo(evaluation.to_markdown(table), nl=False)


@cli.command("presets")
@models_option
def list_presets(models: Path | None):
    """List what is installed, with its tasks and measured scores."""
    found = presets.available(models)
    if not found:
        raise ValueError(f"no presets in {', '.join(map(str, presets.places(models)))}")
    for name, folder in found.items():
        click.echo(_describe(name, presets.load(str(folder)).info))


def _describe(name: str, info: dict[str, Any]) -> str:
    """The preset's line, then one a task: MSE of each method, best first."""
    size = f"{info['resolution']}x{info['resolution']}x{info['channels']}"
    lines = [f"{name}: {size}, {info.get('description', '')}".rstrip(", ")]
    for task in info["tasks"]:
        methods = info.get("scores", {}).get(task, {}).get("methods", {})
        found = sorted((scores["mse"], method) for method, scores in methods.items())
        count = f" (N {max(scores['n'] for scores in methods.values())})" if methods else "no scores yet"
        lines.append(f"  {task}: {'MSE ' if found else ''}{', '.join(f'{m} {mse:.4f}' for mse, m in found)}{count}")
    return "\n".join(lines)


for command in (solve, demo, encode, decode, train, export, import_command):
    cli.add_command(command)
train.add_command(train_gan)
train.add_command(train_began)
