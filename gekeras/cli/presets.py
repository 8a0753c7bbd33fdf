"""The command `gekeras presets`: what is installed."""

from __future__ import annotations

from pathlib import Path

import click

from ..networks import presets
from .options import models_option


@click.command("presets")
@models_option
@click.option("--verify", is_flag=True, help="Also compare every file of every part with its recorded checksum.")
def list_presets(models: Path | None, verify: bool):
    """List what is installed, with its tasks and measured scores.

    A preset that is damaged or incomplete is told on stderr; the exit code is 0 if there is a whole one. With --verify it is
    0 only if all of them are as they were written.
    """
    found = presets.available(models)
    if not found:
        raise ValueError(f"no presets in {', '.join(map(str, presets.places(models)))}")
    faults = {name: _show(folder, verify) for name, folder in found.items()}
    lines = [f"{name}: {fault}" for name, fault in faults.items() if fault]
    if lines and (verify or len(lines) == len(found)):
        raise ValueError("; ".join(lines))
    for line in lines:
        click.echo(f"gekeras: {line}", err=True)


def _show(folder: Path, verify: bool) -> str:
    """Print what a preset has; what is wrong with it, "" if nothing is."""
    try:
        preset = presets.read(folder)
    except presets.PresetError as error:
        return str(error)
    click.echo(_describe(preset))
    damaged = preset.damaged() if verify else {}
    if verify and not damaged:
        click.echo(f"  all {len(preset.info['checksums'])} files are as recorded")
    if damaged:
        return f"damaged in {folder}: {', '.join(f'{name} ({what})' for name, what in damaged.items())}"
    missing = preset.missing()
    return f"incomplete, {folder} lacks {', '.join(missing)}" if missing else ""


def _describe(preset: presets.Preset) -> str:
    """The preset's line, then one a task: MSE of each method, best first, and which parts there are not."""
    info, missing = preset.info, preset.missing()
    size = f"{info['resolution']}x{info['resolution']}x{info['channels']}"
    lines = [f"{preset.name}: {size}, {info.get('description', '')}".rstrip(", ")]
    for task in info["tasks"]:
        methods = info.get("scores", {}).get(task, {}).get("methods", {})
        found = sorted((scores["mse"], method) for method, scores in methods.items())
        count = f" (N {max(scores['n'] for scores in methods.values())})" if methods else "no scores yet"
        lacks = [part for part in ("encoder", "decoder", "starter") if f"{part}-{task}" in missing]
        lacks += ["starter"] if not preset.has(f"starter-{task}") and "starter" not in lacks else []
        lacking = f"; no {', no '.join(lacks)}" if lacks else ""
        lines.append(f"  {task}: {'MSE ' if found else ''}{', '.join(f'{m} {mse:.4f}' for mse, m in found)}{count}{lacking}")
    return "\n".join(lines if info["tasks"] else [*lines, "  no tasks yet"])
