"""The commands that restore pictures: `gekeras solve | demo | encode | decode`."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from . import presets
from .cli_options import (
    FILE,
    batch_option,
    forward_option,
    own_options,
    own_options_of,
    parameter_option,
    preset_options,
    progress_bar,
    solve_options,
    task_option,
)
from .parts import Own


def _box(_context, _parameter, value: str | None):
    """`"x,y,w,h"` -> four whole numbers."""
    if value is None:
        return None
    parts = value.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r"\s*-?\d+\s*", part) for part in parts):
        raise click.BadParameter(f"{value!r} is not x,y,w,h in whole pixels, as 16,20,24,24")
    return tuple(map(int, parts))


@dataclass(frozen=True)
class Outputs:
    """What a call writes and prints beside the pictures themselves."""

    output: Path | None = None
    panel: Path | None = None
    animate: Path | None = None
    as_json: bool = False
    quiet: bool = False


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@task_option
@preset_options
@own_options
@solve_options
@batch_option
@click.option(
    "--simulate", is_flag=True, help="Take the input as the truth: degrade it, restore it, report MSE, PSNR, SSIM."
)
@parameter_option
@forward_option
@click.option(
    "--mask", type=FILE, metavar="FILE", help="inpaint: a picture of the same size, white where pixels are missing."
)
@click.option("--box", callback=_box, metavar="X,Y,W,H", help="inpaint: the missing rectangle, in pixels of the input.")
@click.option("--align", type=click.Choice(["face"]), help="Find the faces of a photograph, restore each, put them back.")
@click.option("--tile", is_flag=True, help="Cut a picture that is larger than the model into overlapping tiles.")
@click.option("--reference", type=FILE, metavar="FILE", help="The true picture: report MSE, PSNR, SSIM against it.")
@click.option("--preview", is_flag=True, help="The autoencoder's own picture, at once, without solving.")
@click.option(
    "--uncertainty",
    "samples",
    type=click.IntRange(min=2),
    metavar="K",
    help="Solve K times, keep the best, and write where the results differ: NAME.uncertainty.png.",
)
@click.option("-o", "--output", type=FILE, metavar="FILE|DIR", help="Default: NAME.restored.png beside the input.")
@click.option("--panel", type=FILE, metavar="FILE", help="Also draw observation, result and truth side by side.")
@click.option("--animate", type=FILE, metavar="FILE.gif", help="Also write how the first result came about.")
@click.option("--json", "as_json", is_flag=True, help="Print the record on stdout.")
@click.option("--quiet", is_flag=True, help="Print nothing but errors (and the record with --json).")
def solve(inputs, task, preset, models, parameters, forward, reference, preview, samples, fidelity, batch, **values):
    """Restore pictures. Several are solved together, as many at once as the memory holds.

    \b
    Examples:
      gekeras solve --task superres small.png
      gekeras solve --task denoise --simulate portrait.jpg --panel panel.png
      gekeras solve --task inpaint portrait.png --box 20,24,24,24
      gekeras solve --task deblur holiday.jpg --align face
      gekeras solve --task reconstruct a.png b.png -o restored/ --fidelity paper
      gekeras solve --task superres small.png --uncertainty 8
      gekeras solve --task denoise noisy.png --generator progan-128 --generator-range 0,1 --encoder denoise.keras
    """
    own = own_options_of(values)
    asked = {name: values.pop(name) for name in ("simulate", "mask", "box", "tile")}
    asked["align"] = values.pop("align") == "face"
    outputs = Outputs(**{name: values.pop(name) for name in ("output", "panel", "animate", "as_json", "quiet")})
    restore_files(
        list(inputs),
        task,
        None if own.complete else presets.load(preset, models),
        asked,
        outputs,
        own=own,
        parameters=parameters,
        forward=forward,
        reference=reference,
        preview=preview,
        samples=samples,
        fidelity=fidelity,
        batch=batch,
        changes=values,
    )


def restore_files(
    inputs: list[Path],
    task: str,
    preset: presets.Preset | None,
    asked: dict[str, Any],
    outputs: Outputs,
    *,
    own: Own = Own(),  # noqa: B008
    parameters: dict[str, Any] | None = None,
    forward: str | None = None,
    reference: Path | None = None,
    preview: bool = False,
    samples: int | None = None,
    fidelity: str = "fast",
    batch: int | None = None,
    changes: dict[str, Any],
) -> None:
    """Check everything, solve, then write everything.

    Args:
        preset: where what `own` does not have comes from; None if it is complete.
        asked: fields of `observations.Request` beside task and sizes.
        batch: pieces at once; None: what the memory holds.
        samples: solves of each input for its uncertainty; None: one, and nothing is said of it.
        changes: fields of `SolveOptions`; None leaves a field to the fidelity and the preset.
    """
    if own.encoder is None:
        preset.task_parameters(task)
    if samples and (preview or outputs.animate):
        other = "--preview solves nothing" if preview else "--animate shows one solve"
        raise ValueError(f"--uncertainty compares several solves, and {other}: give one of them")
    _check_files(inputs, outputs, asked, reference)

    from . import observations, restore
    from .generative_encoder import GenerativeEncoder

    paths = restore.output_paths(inputs, outputs.output)
    sources = [*inputs, *filter(None, (asked.get("mask"), reference))]
    deviations = restore.uncertainty_paths(paths) if samples else []
    for extra in (outputs.panel, outputs.animate):
        restore.check_extra(extra, sources, [*paths, *deviations])
    for path in [*paths, *deviations]:
        restore.check_extra(path, sources, [])
    model = GenerativeEncoder.from_preset(preset, task, parameters=parameters, forward=forward, own=own)
    options = model.options(fidelity, **changes)
    model.check(options)
    request = observations.Request(model.task, *model.shape[1:], seed=options.seed, **asked)
    items = [observations.observe(path, request, reference) for path in inputs]
    for item in items:
        if item.note and not outputs.quiet:
            click.echo(item.note, err=True)
    frames = []
    batch = restore.batch_of(model, items, None if preview else options, batch)
    if (samples or 1) * sum(len(item.measurements) for item in items) > batch.size and not outputs.quiet:
        click.echo(f"{'decoding' if preview else 'solving'} {batch.note()}", err=True)
    if preview:
        found = restore.preview(model, items, batch)
    else:
        watch = _frames_of(model, items[0], frames) if outputs.animate else None
        found = _solve(model, items, options, batch, samples, watch, outputs.quiet)
    notes = restore.records(items, model, None if preview else options, found, preset.name if preset else None, batch)
    restore.write(paths, found, notes)
    _write_extras(outputs, items, model.task, found, notes, frames)
    if outputs.as_json:
        click.echo(json.dumps(notes[0] if len(notes) == 1 else notes, indent=2))
    elif not outputs.quiet:
        click.echo("\n".join(restore.summary(path, record) for path, record in zip(paths, notes)))
    if outputs.panel and not outputs.quiet:
        click.echo(f"{outputs.panel}: panel of {len(items)}", err=outputs.as_json)


def _solve(model, items, options, batch, samples: int | None, watch, quiet: bool):
    """Every input restored, under a progress bar: by one solve, or by the best of several."""
    from . import restore, uncertainty

    with progress_bar("solving", quiet) as tick:

        def progress(done, total, loss):
            tick(done, total, f", objective {loss:.3f}")

        if samples:
            return uncertainty.restore_items(model, items, options, samples, batch, progress)
        return restore.solve(model, items, options, batch, progress, watch)


def _check_files(inputs, outputs: Outputs, asked, reference) -> None:
    """Refuse what can be refused before TensorFlow takes its seconds."""
    from . import images, plots

    for path in [*inputs, *filter(None, (asked.get("mask"), reference))]:
        images.size(path)
    for name, given in (("reference", reference), ("mask", asked.get("mask")), ("box", asked.get("box"))):
        if given is not None and len(inputs) > 1:
            raise ValueError(f"--{name} belongs to one picture; {len(inputs)} are given")
    if outputs.panel:
        plots.check_path(outputs.panel)
    if outputs.animate:
        plots.check_animation_path(outputs.animate)


def _frames_of(model, item, frames: list):
    """A `watch` of `restore.solve` that keeps the first input's picture at each call."""
    import numpy as np

    def watch(_step, latent):
        pieces = np.clip(model.generate(latent[: len(item.measurements)]), -1, 1)
        if len(pieces) == len(item.measurements):  # an input of more pieces than a batch has no whole frame
            frames.append(item.place(item.join(pieces)))

    return watch


def _write_extras(outputs: Outputs, items, task, found, notes, frames) -> None:
    from . import plots, restore

    if outputs.panel:
        restore.write_panel(outputs.panel, items, task, found, notes)
    if outputs.animate:
        plots.animation(outputs.animate, [*frames, found[0].image])


@click.command()
@click.option("--output", type=FILE, default=Path("demo"), show_default=True, metavar="DIR")
@click.option("--task", default="superres", show_default=True)
@preset_options
def demo(output, task, preset, models):
    """Degrade the portrait that comes with the package, restore it, and draw a panel."""
    portrait = Path(__file__).parent / "assets" / "astronaut.png"
    loaded = presets.load(preset, models)
    loaded.task_parameters(task)
    output.mkdir(parents=True, exist_ok=True)
    outputs = Outputs(output, output / "panel.png")
    restore_files([portrait], task, loaded, {"simulate": True}, outputs, changes={"seed": 0})


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="CODE.npz")
@click.option(
    "--bits", type=click.Choice(["32", "16", "8"]), default="32", show_default=True, help="Bits a number of the code."
)
@click.option("--align", type=click.Choice(["face"]), help="Take the largest face of each photograph.")
@preset_options
@click.option("--quiet", is_flag=True)
def encode(inputs, output, bits, align, preset, models, quiet):
    """Compress pictures: the code of each, 256 numbers with the shipped presets, in one file.

    \b
    Example:
      gekeras encode photo.png -o code.npz --bits 8
    """
    from . import codes, images

    loaded = presets.load(preset, models)
    loaded.task_parameters("reconstruct")
    for path in inputs:
        images.size(path)
    codes.check_output(output)

    from . import compress

    file, error = compress.encode(list(inputs), loaded, int(bits), align=align == "face")
    codes.save(output, file)
    if not quiet:
        click.echo(f"{output}: {compress.describe(file, error, output.stat().st_size)}")


@click.command()
@click.argument("code", type=FILE)
@click.option("-o", "--output", type=FILE, required=True, metavar="FILE|DIR", help="A folder for several codes.")
@click.option("--preview", is_flag=True, help="The autoencoder's own picture, at once, without solving.")
@preset_options
@solve_options
@batch_option
@click.option("--quiet", is_flag=True)
def decode(code, output, preview, preset, models, quiet, fidelity, batch, **changes):
    """Pictures from their codes: the receiver needs the preset and the code, nothing else.

    \b
    Example:
      gekeras decode code.npz -o photo.png
    """
    from . import codes

    loaded = presets.load(preset, models)
    file = codes.load(code)
    loaded.task_parameters(file.task)

    from . import compress

    paths = compress.output_paths(file, output)
    with progress_bar("solving", quiet or preview) as tick:
        pictures = compress.decode(
            file,
            code,
            loaded,
            fidelity,
            changes,
            preview=preview,
            batch=batch,
            progress=lambda done, total: tick(done, total),
        )
    compress.write(paths, pictures)
    if not quiet:
        click.echo("\n".join(map(str, paths)))
