"""From picture files to restored files: what `gekeras solve` does between its options and its last line.

A record with the options and scores lies beside every result; nothing is written before everything is computed.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import images, memory, metrics, plots
from ._version import __version__
from .config import SolveOptions, to_dict
from .generative_encoder import GenerativeEncoder
from .observations import Observation, enlarge
from .operators import Identity, Task
from .solve import Solution


@dataclass(frozen=True)
class Uncertainty:
    """What several solves of one input disagree about, as grey pictures in [-1, 1], and in numbers for its record."""

    pictures: np.ndarray  # [r, H, W, 1]
    image: np.ndarray  # [H', W', 1]
    record: dict[str, Any]


@dataclass(frozen=True)
class Restored:
    """One input restored: r pictures to score, the picture to write, and numbers over its pieces."""

    pictures: np.ndarray  # [r, H, W, c]
    image: np.ndarray  # [H', W', c]
    loss: float
    steps: int
    seconds: float
    uncertainty: Uncertainty | None = None


def batch_of(
    model: GenerativeEncoder, items: list[Observation], options: SolveOptions | None, asked: int | None = None
) -> memory.Batch:
    """How many pieces are solved, or for a preview (no options) decoded, at once; `asked` is the user's own number."""
    y, known = stack(items[:1])
    if options is None:
        return memory.for_decoding(model, y[:1], asked)
    return memory.for_solve(model, options, model.target(y[:1], options, None if known is None else known[:1]), asked)


def solve(
    model: GenerativeEncoder,
    items: list[Observation],
    options: SolveOptions,
    batch: memory.Batch,
    progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> list[Restored]:
    """Solve the pieces of all inputs together and put each input's together again. Args: as `batches`."""
    return gather(items, batches(model, *stack(items), options, batch.size, progress=progress, watch=watch))


def batches(
    model: GenerativeEncoder,
    y: np.ndarray,
    known: np.ndarray | None,
    options: SolveOptions,
    batch: int = memory.MOST,
    *,
    initial: np.ndarray | None = None,
    progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> Solution:
    """Solve any number of measurements, `batch` at a time; the solution has no history.

    Args:
        y, known, initial: as `GenerativeEncoder.solve`, the mask `[n, h, w, 1]`.
        progress: called with (steps done, steps in all, mean objective).
        watch: called with (steps done, latents `[k, d]`) of the first batch, before the first step and on the way.
    """
    chunk, rounds, found = max(1, options.steps // 50), memory.parts(len(y), batch), []
    for i, part in enumerate(rounds):

        def callback(step, loss, latent, i=i):
            progress(i * options.steps + step, len(rounds) * options.steps, float(loss.mean()))
            if watch and i == 0:
                watch(step, latent)

        mask, start = (None if array is None else array[part] for array in (known, initial))
        found.append(model.solve(y[part], options, known=mask, initial=start, callback=callback, chunk=chunk))
    return merge(found)


def preview(model: GenerativeEncoder, items: list[Observation], batch: memory.Batch) -> list[Restored]:
    """DC(E(x_dagger)), the autoencoder's own picture, without solving; `batch.size` pieces at a time."""
    begin = time.perf_counter()
    y, known = stack(items)
    rounds = memory.parts(len(y), batch.size)
    image = np.concatenate([model.decode(model.encode(y[p], None if known is None else known[p])) for p in rounds])
    nothing = np.zeros(len(image))
    return gather(items, Solution(nothing, image, nothing, nothing, nothing, time.perf_counter() - begin))


def stack(items: list[Observation]) -> tuple[np.ndarray, np.ndarray | None]:
    """The measurements and masks of all pieces."""
    known = None if items[0].known is None else np.concatenate([item.known for item in items])
    return np.concatenate([item.measurements for item in items]), known


def merge(parts: list[Solution]) -> Solution:
    """The solutions of several batches as one, without their histories."""
    arrays = [np.concatenate([getattr(part, name) for part in parts]) for name in ("latent", "image", "loss", "steps")]
    return Solution(*arrays, np.zeros((0, len(arrays[0]))), sum(part.seconds for part in parts))


def parts_of(items: list[Observation]) -> Iterator[tuple[Observation, slice]]:
    """Each input with the place of its pieces among those of all."""
    ends = np.cumsum([len(item.measurements) for item in items])
    return ((item, slice(end - len(item.measurements), end)) for item, end in zip(items, ends))


def gather(items: list[Observation], solution: Solution) -> list[Restored]:
    """Each input's pieces from the batch, joined and placed."""
    found = []
    for item, part in parts_of(items):
        pictures = item.join(np.clip(solution.image[part], -1, 1))
        loss, steps = float(solution.loss[part].mean()), int(solution.steps[part].max())
        found.append(Restored(pictures, item.place(pictures), loss, steps, solution.seconds))
    return found


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


def uncertainty_paths(paths: list[Path]) -> list[Path]:
    """Where the deviation of each result goes: `NAME.uncertainty.png` for `NAME.restored.png` or for `NAME.jpg`.

    Raises:
        ValueError: an unwritable place.
    """
    found = [path.with_name(f"{path.stem.removesuffix('.restored')}.uncertainty.png") for path in paths]
    for path in found:
        if path.parent.is_dir():  # a folder that is not there yet has been checked with the results
            images.check_writable(path)
    return found


def _check_place(path: Path, inputs: list[Path]) -> None:
    if path.suffix.lower() not in images.SUFFIXES:
        raise images.ImageError(path, f"unknown suffix: use one of {', '.join(images.SUFFIXES)}")
    if _among(path, inputs):
        raise ValueError(f"{path} is an input; name another output")
    for written in (path, path.with_suffix(".json")):
        images.check_writable(written)


def check_extra(path: Path | None, inputs: list[Path], paths: list[Path]) -> None:
    """Raises ValueError if a panel or an animation would replace an input or a result."""
    if path and (_among(path, inputs) or _among(path, paths)):
        raise ValueError(f"{path} is {'an input' if _among(path, inputs) else 'a result'}; name another file")


def _among(path: Path, others: list[Path]) -> bool:
    return path.resolve() in [other.resolve() for other in others]


def scores(item: Observation, pictures: np.ndarray, task: Task) -> dict[str, Any]:
    """MSE on [-1, 1], PSNR and SSIM on [0, 1] of the result, and of what a user has without a model: the bicubic
    enlargement where the task enlarges, the observation itself where it was degraded."""
    if item.truth is None:
        return {}
    found = {"metrics": _mean_scores(pictures, item.truth)}
    if plain := without_model(item, task):
        found[plain[0]] = _mean_scores(plain[1], item.truth)
    return found


def without_model(item: Observation, task: Task) -> tuple[str, np.ndarray] | None:
    """(its name, the pictures `[r, H, W, c]`) of what a user has without a model, if it differs from the truth."""
    if task.factor > 1:
        return "bicubic", enlarge(item.shown, task.factor)
    shown = item.shown if item.shown.ndim == 4 else np.asarray(task.lift(item.shown))
    return None if isinstance(task.degrade, Identity) else ("observation", np.clip(shown, -1, 1))


def _mean_scores(pictures: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in metrics.scores(pictures, truth).items()}


def records(
    items: list[Observation],
    model: GenerativeEncoder,
    options: SolveOptions | None,
    found: list[Restored],
    preset: str | None,
    batch: memory.Batch,
) -> list[dict[str, Any]]:
    """The JSON record of each result; `options` is None for a preview, `preset` where nothing of one was used.

    `seconds` are those of the whole job, of `job` solves, `batch` at a time.
    """
    import tensorflow as tf

    versions = {
        "gekeras": __version__,
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    own = {"parts": model.own.record()} if model.own.parts() else {}
    samples = found[0].uncertainty.record["samples"] if found[0].uncertainty else 1
    job = samples * sum(len(item.measurements) for item in items)
    return [
        {
            "input": str(item.path),
            "preset": preset,
            **own,
            "task": model.task.name,
            "parameters": model.task.parameters,
            "note": item.note,
            "method": "GE" if options else "ConvAE",
            "options": to_dict(options) if options else None,
            "seed": options.seed if options else None,
            "versions": versions,
            "device": "GPU" if tf.config.list_physical_devices("GPU") else "CPU",
            "loss": restored.loss if options else None,
            "steps": restored.steps,
            "pieces": len(item.measurements),
            "seconds": restored.seconds,
            "job": job,
            "batch": min(job, batch.size),
            "memory": batch.record(),
            **({"uncertainty": restored.uncertainty.record} if restored.uncertainty else {}),
            **scores(item, restored.pictures, model.task),
        }
        for item, restored in zip(items, found)
    ]


def write(paths: list[Path], found: list[Restored], notes: list[dict[str, Any]]) -> None:
    """Each picture, its deviation if there is one, then its record under the picture's stem; whole files or none."""
    for path, deviation, restored, record in zip(paths, uncertainty_paths(paths), found, notes):
        path.parent.mkdir(exist_ok=True)  # a folder that the command names is made when there is something to put into it
        images.write(path, restored.image)
        if restored.uncertainty:
            images.write(deviation, restored.uncertainty.image)
        images.write_text(path.with_suffix(".json"), json.dumps(record, indent=2) + "\n")


def write_panel(
    path: Path, items: list[Observation], task: Task, found: list[Restored], notes: list[dict[str, Any]]
) -> None:
    """One row a picture: observation, bicubic (where the task enlarges), result, deviation if there is one, truth when
    known."""
    known = all(item.truth is not None for item in items)
    name = "generative encoder" if notes[0]["method"] == "GE" else "decoder alone"
    several = ["deviation"] if found[0].uncertainty else []
    titles = ["observation", *(["bicubic"] if task.factor > 1 else []), name, *several, *(["truth"] if known else [])]
    rows, captions = [], []
    for item, restored, record in zip(items, found, notes):
        plain = without_model(item, task)
        for r, picture in enumerate(restored.pictures):
            shown = item.shown[r] if task.factor > 1 or not plain else plain[1][r]
            height, width, _ = shown.shape
            seen = f"{width} x {height}" if task.factor > 1 else caption(record.get("observation"))
            row = [(shown, seen), (picture, caption(record.get("metrics")))]
            if task.factor > 1:
                row.insert(1, (plain[1][r], caption(record.get("bicubic"))))
            if restored.uncertainty:
                row.append((restored.uncertainty.pictures[r], f"white: {record['uncertainty']['white']} or more"))
            if known:
                row.append((item.truth[r], None))
            rows.append([image for image, _ in row])
            captions.append([text for _, text in row])
    plots.panel(path, rows, titles, captions)


def caption(found: dict[str, float] | None) -> str | None:
    return f"PSNR {found['psnr']:.2f} dB, SSIM {found['ssim']:.3f}" if found else None


def summary(path: Path, record: dict[str, Any]) -> str:
    """`out.png: loss 1.23 after 100 steps, 8.1 s, MSE 0.0461, PSNR 19.4 dB, SSIM 0.62 (bicubic: 0.0333, 20.8 dB, 0.65)`."""
    how = f"loss {record['loss']:.3f} after {record['steps']} steps" if record["method"] == "GE" else "decoder alone"
    text = f"{path}: {how}, {record['seconds']:.1f} s"
    if found := record.get("uncertainty"):
        text += f", confidence {found['confidence']:.2f} from {found['samples']} samples"
    for name, form in (
        ("metrics", ", MSE {mse:.4f}, PSNR {psnr:.2f} dB, SSIM {ssim:.3f}"),
        ("bicubic", " (bicubic: {mse:.4f}, {psnr:.2f} dB, {ssim:.3f})"),
        ("observation", " (observation: {mse:.4f}, {psnr:.2f} dB, {ssim:.3f})"),
    ):
        text += form.format(**record[name]) if name in record else ""
    return text
