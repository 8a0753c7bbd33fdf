"""Where results go, and what is wrong with that place: told before TensorFlow is imported, and before anything is solved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .. import files, images, plots
from ..config import PictureOptions, as_paths


@dataclass(frozen=True)
class Outputs:
    """What a call writes.

    Attributes:
        output: a file for one input, a folder for any; None: `NAME.restored.png` beside each input.
        panel: also a figure with observation, result and truth side by side (.png, .pdf, .svg).
        animate: also how the first result came about (.gif).

    Example:
        >>> Outputs("restored", panel="panel.png").panel.suffix
        '.png'
    """

    output: Path | None = None
    panel: Path | None = None
    animate: Path | None = None

    def __post_init__(self):
        as_paths(self, "output", "panel", "animate")


@dataclass(frozen=True)
class Places:
    """Where each input's results go, all of them found to be writable; the record lies beside the picture, as .json."""

    pictures: list[Path]
    deviations: list[Path]  # of several solves of each input; empty for one
    panel: Path | None = None
    animate: Path | None = None


def plan(inputs: list[Path], options: PictureOptions, outputs: Outputs, several: bool = False) -> Places:
    """Check all that is read and all that will be written.

    Args:
        options: name the mask and the reference, which belong to one input.
        several: whether each input is solved several times, and has a picture of their deviation.

    Raises:
        ValueError: an input that is no picture, by its header; a mask, box or reference for several inputs; or a place as
            `output_paths` refuses it, or where an input or another result is.
    """
    for name in ("reference", "mask", "box"):
        if getattr(options, name) is not None and len(inputs) > 1:
            raise ValueError(f"{name} belongs to one picture; {len(inputs)} are given")
    sources = [*inputs, *options.companions.values()]
    for path in sources:
        images.size(path)
    pictures = output_paths(inputs, outputs.output)
    deviations = [_deviation_path(path) for path in pictures] if several else []
    results = [*pictures, *deviations]
    for path in pictures:
        if _among(path, inputs):
            raise ValueError(f"{path} is an input; name another output")
    for path in results:
        _check_free(path, sources)
    for path in filter(None, (outputs.panel, outputs.animate)):
        _check_free(path, sources, results)
    if outputs.panel:
        plots.check_path(outputs.panel)
    if outputs.animate:
        plots.check_animation_path(outputs.animate)
    made = outputs.output is not None and not outputs.output.exists()  # a folder, when there is something to put into it
    for path in [*results, *(path.with_suffix(".json") for path in pictures)]:
        files.check_writable(outputs.output if made and path.parent == outputs.output else path)
    return Places(pictures, deviations, outputs.panel, outputs.animate)


def output_paths(inputs: list[Path], output: Path | None) -> list[Path]:
    """Where each picture goes: `NAME.restored.png` beside its input, the file given for one input, or a folder for any.

    Raises:
        ValueError: a file for several inputs, two inputs with one result, or a file whose suffix is no picture's.
    """
    folder = output if output is not None and (output.is_dir() or not output.suffix) else None
    if output is not None and folder is None and len(inputs) > 1:
        raise ValueError(f"{output} is a file, but there are {len(inputs)} inputs; give a folder")
    if output is not None and folder is None and output.suffix.lower() not in images.SUFFIXES:
        raise images.ImageError(output, f"unknown suffix: use one of {', '.join(images.SUFFIXES)}")
    names = [f"{path.stem}.restored.png" for path in inputs]
    if folder:
        paths = [folder / name for name in names]
    else:
        paths = [output] if output else [path.with_name(name) for path, name in zip(inputs, names)]
    if len(set(paths)) < len(paths):
        raise ValueError("two inputs of one name would have the same output; solve them one at a time")
    return paths


def _deviation_path(path: Path) -> Path:
    """`NAME.uncertainty.png` for `NAME.restored.png` or for `NAME.jpg`."""
    return path.with_name(f"{path.stem.removesuffix('.restored')}.uncertainty.png")


def _check_free(path: Path, sources: list[Path], results: list[Path] = ()) -> None:
    """Raises ValueError if writing there would replace an input or a result."""
    if _among(path, sources) or _among(path, results):
        raise ValueError(f"{path} is {'an input' if _among(path, sources) else 'a result'}; name another file")


def _among(path: Path, others: list[Path]) -> bool:
    return path.resolve() in [other.resolve() for other in others]
