"""Options that would change nothing are refused: whoever gives one believes that it did something."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import PictureOptions, SolveOptions
from ..networks import ModelOptions
from .paths import Outputs


def check_call(outputs: Outputs, changes: Mapping[str, Any], *, preview: bool, samples: int | None) -> None:
    """What the arguments of a call tell by themselves, before TensorFlow is imported.

    Raises:
        ValueError: several solves, an animation or an option of the solve for a preview; an animation or finalists of
            several solves.
    """
    if preview and samples:
        raise ValueError("uncertainty compares several solves, and preview solves nothing: give one of them")
    if preview and outputs.animate:
        raise ValueError("animate shows a solve, and preview solves nothing: give one of them")
    if preview:
        check_preview(changes)
    if samples and outputs.animate:
        raise ValueError("uncertainty compares several solves, and animate shows one solve: give one of them")
    if samples and changes.get("finalists"):
        raise ValueError("uncertainty compares all its solves, and finalists compete in one: give one of them")


def check_preview(changes: Mapping[str, Any]) -> None:
    """Raise ValueError for an option of the solve. The seed is the degradation's, too."""
    for name, value in changes.items():
        if value not in (None, False) and name != "seed":
            raise ValueError(f"{name} is for a solve, and preview solves nothing: give one of them")


def check_parameters(task, networks: ModelOptions, pictures: PictureOptions, options: SolveOptions | None) -> None:
    """Raise ValueError for parameters of the degradation where nothing is degraded and nothing compares with A.

    Args:
        task: the model's `operators.Task`, with these parameters.
        options: of the solve; None for a preview.
    """
    given = sorted(set(networks.parameters) - {"operator"})
    drawn = pictures.simulate and not (task.masked and (pictures.mask or pictures.box))
    compared = options is not None and (options.pixel_weight or options.consistent) and task.measure is task.degrade
    if given and not (drawn or compared or task.factor > 1 or networks.forward == "degrade"):
        has = "have what is missing from the mask or box" if task.masked else "are degraded only if you simulate"
        raise ValueError(f"{', '.join(given)} of {task.name} would change nothing: the pictures {has}")
