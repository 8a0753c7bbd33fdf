"""The command `gekeras presets`: what is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..networks import presets
from .options import models_option


@click.command("presets")
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
