"""Options that would change nothing are refused: whoever gives one believes that it did something."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import images
from ..config import PictureOptions, SolveOptions
from ..networks import ModelOptions
from ..pictures import sizes
from .paths import Outputs


def check_call(
    networks: ModelOptions,
    outputs: Outputs,
    fidelity: str,
    changes: Mapping[str, Any],
    *,
    preview: bool,
    samples: int | None,
) -> None:
    """What the arguments of a call tell by themselves, before TensorFlow is imported.

    Raises:
        ValueError: several solves, an animation, or an option, a generator or a forward map of the solve for a preview; an
            animation or finalists of several solves.
    """
    if preview and samples:
        raise ValueError("uncertainty compares several solves, and preview solves nothing: give one of them")
    if preview and outputs.animate:
        raise ValueError("animate shows a solve, and preview solves nothing: give one of them")
    if preview:
        check_preview(fidelity, changes)
        _check_preview_networks(networks)
    if samples and outputs.animate:
        raise ValueError("uncertainty compares several solves, and animate shows one solve: give one of them")
    if samples and changes.get("finalists"):
        raise ValueError("uncertainty compares all its solves, and finalists compete in one: give one of them")


def check_sizes(inputs: list[Path], networks: ModelOptions, pictures: PictureOptions) -> None:
    """Raise ImageError for a picture that superres would not enlarge, where a preset tells the size of the model's.

    By the header alone, before TensorFlow is imported; what only the networks tell is refused when they are loaded.
    """
    preset = networks.generators_preset() if networks.task == "superres" else None
    if preset is None:
        return
    parameters = {**preset.tasks.get(networks.task, {}), **networks.parameters}
    enlarges = "operator" not in parameters and (parameters.get("factor") != 1 or "size" in parameters)
    if enlarges and pictures.as_it_is:
        for path in inputs:
            sizes.check_smaller(path, images.size(path), preset.resolution)


def check_preview(fidelity: str, changes: Mapping[str, Any]) -> None:
    """Raise ValueError for an option of the solve. The seed is the degradation's, too."""
    for name in given(fidelity, changes):
        if name != "seed":
            raise ValueError(f"{name} is for a solve, and preview solves nothing: give one of them")


def _check_preview_networks(networks: ModelOptions) -> None:
    """Raise ValueError for a forward map, or for a generator beside the preset's encoder, whose pictures are known."""
    idle = {"forward": networks.forward, "generator": networks.custom.encoder is None and networks.custom.generator}
    for name, value in idle.items():
        if value is not None and value is not False:
            raise ValueError(f"{name} is for a solve, and preview is the autoencoder's own picture: give one of them")


def given(fidelity: str, changes: Mapping[str, Any]) -> list[str]:
    """Names of the options of the solve that a caller gave; what is off or the default asks for nothing."""
    named = [name for name, value in changes.items() if value is not None and value is not False]
    return named if fidelity == "fast" else ["fidelity", *named]


def check_parameters(task, networks: ModelOptions, pictures: PictureOptions, options: SolveOptions | None) -> None:
    """Raise ValueError for parameters of the degradation where nothing is degraded and nothing compares with A.

    Args:
        task: the model's `operators.Task`, with these parameters.
        options: of the solve; None for a preview.
    """
    given = sorted(set(networks.parameters) - {"operator"})
    if "size" in given and task.sizable and pictures.as_it_is:
        raise ValueError("size of superres would change nothing: a picture has its own, unless you simulate, reduce or tile")
    drawn = pictures.simulate and not (task.masked and (pictures.mask or pictures.box))
    compared = options is not None and (options.pixel_weight or options.consistent) and task.measures_degraded
    if given and not (drawn or compared or task.factor > 1 or networks.forward == "degrade"):
        has = "have what is missing from the mask or box" if task.masked else "are degraded only if you simulate"
        raise ValueError(f"{', '.join(given)} of {task.name} would change nothing: the pictures {has}")
