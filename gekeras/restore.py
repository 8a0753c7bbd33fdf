"""From picture files to restored files: what `gekeras solve` does between its options and its last line.

A record with the options and scores lies beside every result; nothing is written before everything is computed.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import images, metrics, plots
from ._version import __version__
from .config import SolveOptions, to_dict
from .generative_encoder import GenerativeEncoder
from .operators import Identity, Task, bicubic
from .solve import Solution


@dataclass(frozen=True)
class Observation:
    """One input made ready: the measurement, the clean picture if it is known, and what was done to the file."""

    path: Path
    measurement: np.ndarray  # [h, w, c]
    truth: np.ndarray | None  # [resolution, resolution, c]
    note: str


def observe(path: Path, task: Task, resolution: int, channels: int, *, simulate: bool, seed: int) -> Observation:
    """Read a picture as a task's measurement, or with `simulate` as the truth that is then degraded.

    A picture of exactly the measurement's size is taken as it is; a larger one is cropped to its centre square and reduced.

    Raises:
        ValueError: unreadable (an `images.ImageError`), or smaller than what is needed.
    """
    picture = images.read(path, channels)
    side = resolution if simulate else resolution // task.factor
    height, width, _ = picture.shape
    if min(height, width) < side:
        raise images.ImageError(path, f"{width}x{height} is too small: {task.name} needs at least {side}x{side} here")
    fitted = images.fit(picture, side)
    note = (
        ""
        if (height, width) == (side, side)
        else f"{path.name}: {width}x{height} cropped square and reduced to {side}x{side}"
    )
    if simulate:
        degraded = np.asarray(task.degrade(fitted[None], np.array([seed, 0], np.int32)))[0]
        return Observation(path, degraded, fitted, note)
    return Observation(path, fitted, fitted if isinstance(task.degrade, Identity) else None, note)


def output_paths(inputs: list[Path], output: Path | None) -> list[Path]:
    """Where each result goes: `NAME.restored.png` beside its input, the file given for one input, or a folder for any.

    Raises:
        ValueError: a file for several inputs, two inputs with one result, a result over an input, an unwritable place.
    """
    folder = output if output is not None and (output.is_dir() or not output.suffix) else None
    if output is not None and folder is None and len(inputs) > 1:
        raise ValueError(f"{output} is a file, but there are {len(inputs)} inputs; give a folder")
    names = [f"{p.stem}.restored.png" for p in inputs]
    if folder:
        paths = [folder / name for name in names]
    else:
        paths = [output] if output else [p.with_name(name) for p, name in zip(inputs, names)]
    if len(set(paths)) < len(paths):
        raise ValueError("two inputs of one name would have the same output; solve them one at a time")
    if folder and not folder.is_dir():
        images.check_writable(folder / "x" if folder.exists() else folder)  # made when there is something to put into it
        return paths
    for path in paths:
        _check_place(path, inputs)
    return paths


def _check_place(path: Path, inputs: list[Path]) -> None:
    if path.suffix.lower() not in images.SUFFIXES:
        raise images.ImageError(path, f"unknown suffix: use one of {', '.join(images.SUFFIXES)}")
    if _among(path, inputs):
        raise ValueError(f"{path} is an input; name another output")
    for written in (path, path.with_suffix(".json")):
        images.check_writable(written)


def check_panel(panel: Path | None, inputs: list[Path], paths: list[Path]) -> None:
    """Raises ValueError if the panel would replace an input or a result."""
    if panel and (_among(panel, inputs) or _among(panel, paths)):
        raise ValueError(f"{panel} is {'an input' if _among(panel, inputs) else 'a result'}; name another panel")


def _among(path: Path, others: list[Path]) -> bool:
    return path.resolve() in [other.resolve() for other in others]


def scores(item: Observation, image: np.ndarray, task: Task) -> dict[str, Any]:
    """MSE on [-1, 1], PSNR and SSIM on [0, 1] of the result, and of the bicubic enlargement where there is one."""
    if item.truth is None:
        return {}
    found = {"metrics": metrics.scores(image, item.truth)}
    if task.factor > 1:
        found["bicubic"] = metrics.scores(enlarge(item, task), item.truth)
    return found


def enlarge(item: Observation, task: Task) -> np.ndarray:
    return np.clip(bicubic(item.measurement[None], task.factor).numpy()[0], -1, 1)


def records(
    items: list[Observation], model: GenerativeEncoder, options: SolveOptions, solution: Solution, preset: str
) -> list[dict[str, Any]]:
    """The JSON record of each result."""
    import tensorflow as tf

    versions = {
        "gekeras": __version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    return [
        {
            "input": str(item.path),
            "preset": preset,
            "task": model.task.name,
            "note": item.note,
            "options": to_dict(options),
            "seed": options.seed,
            "versions": versions,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
            "loss": float(solution.loss[i]),
            "steps": int(solution.steps[i]),
            "seconds": solution.seconds,
            "batch": len(items),
            **scores(item, np.clip(solution.image[i], -1, 1), model.task),
        }
        for i, item in enumerate(items)
    ]


def write(paths: list[Path], solution: Solution, found: list[dict[str, Any]]) -> None:
    """Each picture, then its record under the same stem; whole files or none."""
    for path, image, record in zip(paths, solution.image, found):
        path.parent.mkdir(exist_ok=True)  # a folder that the command names is made when there is something to put into it
        images.write(path, image)
        images.write_text(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")


def write_panel(path: Path, items: list[Observation], task: Task, solution: Solution, found: list[dict[str, Any]]) -> None:
    """One row a picture: observation, bicubic (where the task enlarges), result, truth when known."""
    titles = ["observation", *(["bicubic"] if task.factor > 1 else []), "generative encoder"]
    known = all(item.truth is not None for item in items)
    rows, captions = [], []
    for item, image, record in zip(items, solution.image, found):
        rows.append([item.measurement, *([enlarge(item, task)] if task.factor > 1 else []), np.clip(image, -1, 1)])
        height, width, _ = item.measurement.shape
        captions.append([f"{width} x {height}"] + ([caption(record.get("bicubic"))] if task.factor > 1 else []))
        captions[-1].append(caption(record.get("metrics")))
        if known:
            rows[-1].append(item.truth)
            captions[-1].append(None)
    plots.panel(path, rows, titles + (["truth"] if known else []), captions)


def caption(found: dict[str, float] | None) -> str | None:
    return f"PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}" if found else None


def summary(path: Path, record: dict[str, Any]) -> str:
    """`out.png: loss 1.23 after 100 steps, 8.1 s, MSE 0.0461, PSNR 19.4 dB, SSIM 0.62 (bicubic 0.0333, 20.8 dB, 0.65)`."""
    text = f"{path}: loss {record['loss']:.3f} after {record['steps']} steps, {record['seconds']:.1f} s"
    for name, form in (
        ("metrics", ", MSE {mse:.4f}, PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"),
        ("bicubic", " (bicubic: {mse:.4f}, {psnr:.2f} dB, {ssim:.3f})"),
    ):
        text += form.format(**record[name]) if name in record else ""
    return text
