"""The command line: `gekeras solve | eval | train gan | train autoencoder | export | presets | demo`.

TensorFlow is imported inside the commands, so that `--help` is immediate. Exit codes: 0; 2 with one line on stderr for a
user's mistake; 1 for anything else.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import click

from . import config, presets
from ._version import __version__
from .cli_train import FILE, TASK_NAMES, export, train

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow logs its plug-in registration as errors


class OneLineErrors(click.Group):
    """Turns what the library refuses (ValueError) and what click refuses into one line on stderr and exit code 2."""

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
        except (FileExistsError, NotADirectoryError, PermissionError) as error:  # a folder that cannot be made
            _fail(f"{error.filename}: {(error.strerror or type(error).__name__).lower()}", 2)
        except (click.Abort, KeyboardInterrupt):
            _fail("stopped", 1)


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


def models_option(command):
    return click.option("--models", type=FILE, metavar="DIR", help="Folder of presets to look in first.")(command)


def preset_options(command):
    command = models_option(command)
    return click.option("--preset", default=presets.DEFAULT, show_default=True, help="Pretrained parts, by name or folder.")(
        command
    )


def solve_options(command):
    for option in reversed(
        (
            click.option(
                "--fidelity",
                type=click.Choice(list(config.FIDELITIES)),
                default="fast",
                show_default=True,
                help="Set of options: the paper's own, or a quicker one.",
            ),
            click.option("--steps", type=click.IntRange(min=0), help="Gradient steps; the fidelity decides by default."),
            click.option("--starts", type=click.IntRange(min=1), help="Random starts to screen."),
            click.option("--weight", type=click.FloatRange(min=0), help="lambda, the weight of the prior."),
            click.option("--prior", type=click.Choice(config.PRIORS), help="Prior on the latent vector."),
            click.option(
                "--tolerance",
                type=click.FloatRange(min=0),
                help="Stop when the objective falls by less than this fraction.",
            ),
            click.option(
                "--seed",
                type=click.IntRange(min=0, max=2**31 - 1),
                default=0,
                show_default=True,
                help="Of the random starts: same seed, same result.",
            ),
        )
    ):
        command = option(command)
    return command


@cli.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option("--task", type=click.Choice(TASK_NAMES), required=True)
@preset_options
@solve_options
@click.option(
    "--simulate", is_flag=True, help="Take the input as the truth: degrade it, restore it, report MSE, PSNR, SSIM."
)
@click.option("-o", "--output", type=FILE, metavar="FILE|DIR", help="Default: NAME.restored.png beside the input.")
@click.option("--panel", type=FILE, metavar="FILE", help="Also draw observation, result and truth side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors (and the record with --json).")
def solve(inputs, task, preset, models, simulate, output, panel, as_json, quiet, fidelity, **changes):
    """Restore pictures. Several are solved as one batch.

    \b
    Examples:
      gekeras solve --task superres small.png
      gekeras solve --task superres --simulate portrait.jpg --panel panel.png
      gekeras solve --task reconstruct a.png b.png -o restored/ --fidelity paper
    """
    paths = _restore(list(inputs), task, preset, models, simulate, output, panel, as_json, quiet, fidelity, changes)
    if panel and not quiet:
        click.echo(f"{panel}: panel of {len(paths)}", err=as_json)


def _restore(inputs, task, preset, models, simulate, output, panel, as_json, quiet, fidelity, changes) -> list[Path]:
    from . import images, plots

    loaded = presets.load(preset, models)
    loaded.task_parameters(task)
    for path in inputs:
        images.size(path)  # refuse what cannot be read before TensorFlow takes its seconds
    if panel:
        plots.check_path(panel)

    import json

    import numpy as np

    from . import restore
    from .generative_encoder import GenerativeEncoder

    paths = restore.output_paths(inputs, output)
    restore.check_panel(panel, inputs, paths)
    model = GenerativeEncoder.from_preset(loaded, task)
    options = model.options(fidelity, **changes)
    items = [
        restore.observe(p, model.task, loaded.resolution, loaded.channels, simulate=simulate, seed=options.seed)
        for p in inputs
    ]
    for item in items:
        if item.note and not quiet:
            click.echo(item.note, err=True)
    with _progress("solving", quiet) as tick:

        def callback(step: int, losses: np.ndarray) -> None:
            tick(step, options.steps, f", objective {losses.mean():.3f}")

        measurements, chunk = np.stack([item.measurement for item in items]), max(1, options.steps // 50)
        solution = model.solve(measurements, options, callback=callback, chunk=chunk)
    found = restore.records(items, model, options, solution, loaded.name)
    restore.write(paths, solution, found)
    if panel:
        restore.write_panel(panel, items, model.task, solution, found)
    if as_json:
        click.echo(json.dumps(found[0] if len(found) == 1 else found, indent=2))
    elif not quiet:
        click.echo("\n".join(restore.summary(path, record) for path, record in zip(paths, found)))
    return paths


@contextlib.contextmanager
def _progress(label: str, quiet: bool = False):
    """Yields `tick(done, total, text)`, which moves a progress bar on stderr, or does nothing where that is no terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda done, total, text="": None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr, show_pos=True) as bar:

        def tick(done: int, total: int, text: str = "") -> None:
            bar.length, bar.label = total, label + text
            bar.update(done - bar.pos)

        yield tick


@cli.command()
@click.option("--output", type=FILE, default=Path("demo"), show_default=True, metavar="DIR")
@preset_options
def demo(output, preset, models):
    """Restore the portrait that comes with the package from a quarter of the preset's side."""
    portrait = Path(__file__).parent / "assets" / "astronaut.png"
    output.mkdir(parents=True, exist_ok=True)
    panel = output / "panel.png"
    _restore([portrait], "superres", preset, models, True, output, panel, False, False, "fast", {"seed": 0})
    click.echo(f"{panel}: observation, bicubic, result and truth side by side")


@cli.command("eval")
@click.option("--task", type=click.Choice(TASK_NAMES), required=True)
@click.option(
    "--data", "pictures", type=FILE, required=True, metavar="DIR|TAR", help="Clean pictures to degrade and restore."
)
@click.option("--count", type=click.IntRange(min=1), help="Use the first so many pictures.")
@click.option("--method", "names", multiple=True, help="GE, ConvAE, invertGAN, bicubic, input; all by default.")
@click.option("--batch", type=click.IntRange(min=1), default=16, show_default=True)
@click.option("-o", "--output", type=FILE, required=True, metavar="STEM", help="Writes STEM.jsonl, STEM.csv and STEM.md.")
@click.option("--record", is_flag=True, help="Store the summary in the preset's preset.json.")
@preset_options
@solve_options
def evaluate(task, pictures, count, names, batch, output, record, preset, models, fidelity, **changes):
    """Score GE and its baselines on a folder of pictures. A stopped evaluation goes on where it was.

    \b
    Example:
      gekeras eval --task superres --data photos/ --count 200 -o scores/superres
    """
    loaded = presets.load(preset, models)
    loaded.task_parameters(task)

    from . import data, images
    from . import evaluate as evaluation
    from .generative_encoder import GenerativeEncoder

    items = data.entries(pictures)[:count]
    output.parent.mkdir(parents=True, exist_ok=True)
    images.check_writable(output.with_suffix(".jsonl"))
    model = GenerativeEncoder.from_preset(loaded, task)
    options = model.options(fidelity, **changes)
    source = data.Source(items, loaded.resolution, loaded.channels)
    about = {"preset": loaded.name, "data": pictures.name}
    with _progress("scoring") as tick:
        rows = evaluation.evaluate(
            model, source, options, output.with_suffix(".jsonl"), names=names, batch_size=batch, about=about, progress=tick
        )
    table = evaluation.summary(rows)
    images.write_text(output.with_suffix(".csv"), evaluation.to_csv(table))
    images.write_text(output.with_suffix(".md"), evaluation.to_markdown(table))
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
    lines = [
        f"{name}: {info['resolution']}x{info['resolution']}x{info['channels']}, {info.get('description', '')}".rstrip(", ")
    ]
    for task in info["tasks"]:
        scores = info.get("scores", {}).get(task, {}).get("methods", {}).get("GE")
        lines.append(
            f"  {task}"
            + (
                f": MSE {scores['mse']:.4f}, PSNR {scores['psnr']:.2f} dB, SSIM {scores['ssim']:.3f}, N {scores['n']}"
                if scores
                else ""
            )
        )
    return "\n".join(lines)


cli.add_command(train)
cli.add_command(export)
