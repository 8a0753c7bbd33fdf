"""What the tasks of a preset do, in the words of the page, and which pictures they take."""

from __future__ import annotations

from typing import Any

from ..config.service import ServiceOptions
from ..networks.presets import Preset
from ..operators import Task

FIDELITIES = ("fast", "best")  # the paper's own takes minutes
DOES = {  # task -> its name for people, and a sentence
    "superres": ("Enlarge", "Makes a picture of {full}x{full} pixels of a smaller one."),
    "denoise": ("Remove noise", "Takes strong noise out of a picture, as that of a photograph in bad light."),
    "deblur": ("Sharpen", "Sharpens a picture that is out of focus."),
    "inpaint": ("Fill in", "Fills in what is missing or covered: paint over it."),
    "reconstruct": ("Reconstruct", "Draws the picture again from its code: what the networks keep of it."),
}


def described(preset: Preset, tasks: dict[str, Task], options: ServiceOptions) -> dict[str, Any]:
    """For `/v1/tasks`: the preset, its tasks, and the limits."""
    return {
        "preset": preset.name,
        "description": preset.info.get("description", ""),
        "size": preset.resolution,
        "channels": preset.channels,
        "fidelities": list(FIDELITIES),
        "limits": {"bytes": options.max_bytes, "pixels": options.max_pixels},
        "tasks": [_of_task(task, preset.resolution) for task in tasks.values()],
    }


def _of_task(task: Task, full: int) -> dict[str, Any]:
    title, does = DOES.get(task.name, (task.name, "A task of this preset's own."))
    return {
        "name": task.name,
        "title": title,
        "does": does.format(full=full),
        "takes": _takes(task, full),
        "mask": task.masked,
        "below": full if task.sizable else None,  # sides of the pictures that it takes, where they have a limit
    }


def _takes(task: Task, full: int) -> str:
    if task.sizable:
        seen = task.seen(full)
        return f"A picture with sides below {full} pixels, as it is; {seen}x{seen} is what its encoder knows best."
    least = full // task.factor
    return f"A picture of at least {least}x{least} pixels; its center square is reduced to {least}x{least}."
