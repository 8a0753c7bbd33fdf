"""The files of an evaluation: STEM.jsonl, to which scores are added, and what is made of it, STEM.csv and STEM.md."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..files import FileError, PathLike

METRICS = {"mse": ("MSE", ".4f"), "psnr": ("PSNR (dB)", ".2f"), "ssim": ("SSIM", ".3f"), "lpips": ("LPIPS", ".3f")}
HEADER = {"task", "parameters", "options", "batch"}  # what the first line of the JSON lines always says
_TITLES = "| method | N |"


def places(stem: PathLike) -> tuple[Path, Path, Path]:
    """STEM.jsonl, STEM.csv and STEM.md, whose folder may have to be made.

    Raises:
        ValueError: a folder's name, a place that cannot be written, or a file there that is not of an evaluation.
    """
    if os.fspath(stem).endswith(("/", os.sep)) or Path(stem).name in ("", ".."):
        raise ValueError(f"{os.fspath(stem)!r} is a folder; the output is the stem of three files in it, as scores/superres")
    paths = [Path(f"{os.fspath(stem)}.{kind}") for kind in ("jsonl", "csv", "md")]
    for path in paths:
        files.check_writable(path, made=True)
        if path.exists() and not _is_ours(path):
            raise FileError(path, "is not of an evaluation and would be replaced; move it, or name another output")
    return tuple(paths)


def _is_ours(path: Path) -> bool:
    """By its first line."""
    try:
        with path.open("rb") as file:
            line = file.readline(2**20).decode("utf-8", "replace")
    except OSError as error:
        raise FileError(path, f"cannot be read: {error.strerror or error}") from error
    if path.suffix != ".jsonl":
        return line.startswith("method,n," if path.suffix == ".csv" else _TITLES)
    try:
        header = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and set(header) >= HEADER


def write(csv_path: Path, markdown_path: Path, table: list[dict[str, Any]]) -> None:
    """Both tables, or none."""
    with files.together():
        files.write_text(csv_path, to_csv(table))
        files.write_text(markdown_path, to_markdown(table))


def metrics_of(rows: list[dict[str, Any]]) -> list[str]:
    """The scores that rows have, in the order in which tables list them; an evaluation's rows all have the same."""
    return [metric for metric in METRICS if rows and metric in rows[0]]


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a method: n, and mean and standard deviation of each score over the images."""
    table = []
    for name in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == name]
        line: dict[str, Any] = {"method": name, "n": len(chosen)}
        for metric in metrics_of(rows):
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
    """`method | N | MSE | PSNR | SSIM`, and LPIPS where it was measured: mean +- standard deviation over images."""
    formats = {metric: METRICS[metric] for metric in metrics_of(table)}
    titles = " | ".join(title for title, _ in formats.values())
    lines = [f"{_TITLES} {titles} |", "|---" * (2 + len(formats)) + "|"]
    for row in table:
        cells = [f"{row[m]:{f}} ± {row[m + '_std']:{f}}" for m, (_, f) in formats.items()]
        lines.append(f"| {row['method']} | {row['n']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
