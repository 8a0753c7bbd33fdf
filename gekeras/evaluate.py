"""Scores of GE and its baselines on a folder of pictures: JSON lines, then CSV and Markdown tables.

One JSON line an image, appended batch by batch and read again on the next call, so that an evaluation that was stopped
goes on where it was. ConvAE is DC(E(x_dagger)); invertGAN is equation (4), argmin_z ||G(z) - x_dagger||^2 + lambda ||z||^2,
solved with GE's own options and starts (section 4.5).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from . import images, metrics
from .config import SolveOptions, to_dict
from .data import Source
from .generative_encoder import GenerativeEncoder
from .operators import Identity, bicubic
from .solve import Solver
from .solve.objective import identity

METRICS = ("mse", "psnr", "ssim")
Method = Callable[[np.ndarray], np.ndarray]


def methods(model: GenerativeEncoder, options: SolveOptions) -> dict[str, Method]:
    """Name -> function from measurements `[n, h, w, c]` to restored images, for every method that suits the task."""
    invert = Solver(model.generator, identity, prior=options.prior, ramp=options.ramp)

    def invert_gan(measurement):
        lifted = model.task.lift(tf.constant(measurement))
        return invert.solve(lifted, model.latent_size, options).image

    table = {
        "GE": lambda y: model.solve(y, options).image,
        "ConvAE": lambda y: model.decode(model.encode(y)),
        "invertGAN": invert_gan,
    }
    if model.task.factor > 1:
        table["bicubic"] = lambda y: bicubic(y, model.task.factor).numpy()
    if not isinstance(model.task.degrade, Identity):
        table["input"] = lambda y: np.asarray(model.task.lift(y))
    return table


def evaluate(
    model: GenerativeEncoder,
    source: Source,
    options: SolveOptions,
    path: Path,
    *,
    names: tuple[str, ...] = (),
    batch_size: int = 16,
    about: dict[str, Any] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[dict[str, Any]]:
    """Score every image of `source` with every method.

    Args:
        path: JSON lines `{"image", "method", "mse", "psnr", "ssim"}` behind a first line with the options; lines that
            are there already are kept and not computed again.
        names: methods to run; all by default.
        about: what else the scores depend on (preset, data); kept in the first line and compared with it.
        progress: called with (rows done, rows in all) after each batch.

    Raises:
        ValueError: unknown method, or `path` belongs to other options.
    """
    table = methods(model, options)
    if unknown := set(names) - set(table):
        raise ValueError(f"unknown method {', '.join(sorted(unknown))}; there are {', '.join(table)}")
    names = tuple(names) or tuple(table)
    rows = _resume(path, {**(about or {}), "task": model.task.name, "options": to_dict(options)})
    known = {(row["image"], row["method"]) for row in rows}
    for begin in range(0, len(source), batch_size):
        index = np.arange(begin, min(begin + batch_size, len(source)))
        todo = [name for name in names if any((source.name(i), name) not in known for i in index)]
        if not todo:
            continue
        truth = images.from_uint8(source.take(index))
        measurement = model.task.degrade(tf.constant(truth), tf.constant([options.seed, begin])).numpy()
        for name in todo:
            scores = metrics.scores(np.clip(table[name](measurement), -1, 1), truth)
            fresh = [
                {"image": source.name(i), "method": name, **{m: float(scores[m][k]) for m in METRICS}}
                for k, i in enumerate(index)
                if (source.name(i), name) not in known
            ]
            with path.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in fresh)
            rows += fresh
            progress(len(rows), len(source) * len(names))
    pictures = {source.name(i) for i in range(len(source))}
    return [row for row in rows if row["image"] in pictures and row["method"] in names]


def _resume(path: Path, header: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of an earlier call; a last line cut short by a crash is dropped, from the file too."""
    if not path.exists():
        path.write_text(json.dumps(header) + "\n")
        return []
    whole = [line for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
    if not whole or json.loads(whole[0]) != header:
        raise ValueError(f"{path} holds an evaluation with other options; remove it or name another output")
    images.write_text(path, "".join(whole))
    return [json.loads(line) for line in whole[1:]]


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a method: n, and mean and standard deviation of each score over the images."""
    table = []
    for name in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == name]
        line: dict[str, Any] = {"method": name, "n": len(chosen)}
        for metric in METRICS:
            values = np.array([row[metric] for row in chosen])
            line |= {metric: float(values.mean()), f"{metric}_std": float(values.std())}
        table.append(line)
    return table


def to_csv(table: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_markdown(table: list[dict[str, Any]]) -> str:
    """`method | N | MSE | PSNR | SSIM`, mean +- standard deviation over images."""
    lines = ["| method | N | MSE | PSNR (dB) | SSIM |", "|---|---|---|---|---|"]
    for row in table:
        cells = [f"{row[m]:{f}} ± {row[m + '_std']:{f}}" for m, f in (("mse", ".4f"), ("psnr", ".2f"), ("ssim", ".3f"))]
        lines.append(f"| {row['method']} | {row['n']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
