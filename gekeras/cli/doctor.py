"""The command `gekeras doctor`: what is installed, and whether pictures can be restored with it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from .options import FILE


@click.command()
@click.option("--models", type=FILE, metavar="DIR", help="Folder of presets to look in first.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_context
def doctor(context, models: Path | None, as_json: bool):
    """Versions, devices, presets and their checksums: whether pictures can be restored here, and what mends it if not.

    The exit code is 0 if they can, else 1.

    \b
    Examples:
      gekeras doctor
      gekeras doctor --json
    """
    from ..networks.doctor import examine

    found = examine(models)
    click.echo(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))
    context.exit(1 if found["problems"] else 0)


def _lines(found: dict[str, Any]) -> list[str]:
    line = "classic line: TensorFlow 2.15" if found["line"] == "classic" else "current line: TensorFlow 2.16 and newer"
    versions = ", ".join(f"{name} {version or 'missing'}" for name, version in found["versions"].items())
    cpus, gpus = found["devices"]["cpus"], found["devices"]["gpus"]
    lines = [
        f"gekeras {found['gekeras']}, Python {found['python']} ({found['executable']}; {line})",
        versions,
        f"devices: {cpus} CPU core{'s' * (cpus != 1)}; {', '.join(gpus) or 'no GPU'}",
        "presets are looked for in",
        *(f"  {place['folder']}{'' if place['there'] else ' (not there)'}" for place in found["presets"]["looked_in"]),
        *(_preset(preset) for preset in found["presets"]["found"]),
        "optional",
        *(f"  {name}: {_extra(extra)}" for name, extra in found["extras"].items()),
        *(f"note: {note}" for note in found["notes"]),
    ]
    for problem in found["problems"]:
        lines += [f"problem: {problem['what']}", f"  mend it: {problem['mend']}"]
    return [*lines, f"{len(found['problems'])} to mend" if found["problems"] else "all is well: pictures can be restored"]


def _preset(preset: dict[str, Any]) -> str:
    if preset["fault"]:
        return f"preset {preset['name']}: damaged, see below"
    tasks = ", ".join(preset["tasks"]) or "no tasks yet"
    return f"preset {preset['name']} ({tasks}): all {preset['files']} files are as recorded, in {preset['folder']}"


def _extra(extra: dict[str, Any]) -> str:
    packages = ", ".join(f"{name} {version or 'missing'}" for name, version in extra["packages"].items())
    if extra["ready"]:
        return packages
    return f"{packages}; {extra['mend'] or 'needs Python 3.9 to 3.11'}"
