"""The command `gekeras demo`: the package's own portrait, degraded and restored."""

from __future__ import annotations

from pathlib import Path

import click

from .. import files
from ..config import PictureOptions
from ..networks import ModelOptions
from .options import FILE, preset_options, reports
from .solve import print_results

PORTRAIT = Path(__file__).parents[1] / "assets" / "astronaut.png"


@click.command()
@click.option("--output", type=FILE, default=Path("demo"), show_default=True, metavar="DIR")
@click.option("--task", default="superres", show_default=True)
@preset_options
def demo(output, task, preset, models):
    """Degrade the portrait that comes with the package, restore it, and draw a panel."""
    model, panel = ModelOptions(task, preset, models), output / "panel.png"
    model.load_preset()
    files.check_folder(output)

    from .. import restore

    if panel.exists() and not restore.paths.is_record(output / f"{PORTRAIT.stem}.restored.json"):
        raise files.FileError(panel, "is there, and is not the demo's: move it away, or name another folder by --output")
    output.mkdir(parents=True, exist_ok=True)
    outputs = restore.Outputs(output, panel)
    with reports("solving") as report:
        results = restore.files([PORTRAIT], model, pictures=PictureOptions(simulate=True), outputs=outputs, **report)
    print_results(results, panel)
