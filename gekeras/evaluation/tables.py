"""The files of an evaluation: STEM.jsonl, to which scores are added, and what is made of it, STEM.csv and STEM.md."""

from __future__ import annotations

import csv
import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..files import FileError, PathLike
from . import journal

METRICS = {
    "mse": ("MSE", ".4f"),
    "psnr": ("PSNR (dB)", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "lpips": ("LPIPS", ".3f"),
    "identity": ("identity (cosine)", ".3f"),
}  # of each picture
SHARE = "same_person"  # of the pictures whose identity is at least `THRESHOLD_USED`
THRESHOLD_USED = "identity_threshold"
SETS = {
    "fid": ("FID", ".1f"),
    "kid": ("KID x1000", ".1f"),
    "precision": ("precision", ".3f"),
    "recall": ("recall", ".3f"),
    "swd": ("SWD x1000", ".1f"),
}  # of all pictures of a method at once
ERROR = "kid_error"  # KID's standard error
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
    return paths[0], paths[1], paths[2]


def _is_ours(path: Path) -> bool:
    """By its first line."""
    line = journal.first_line(path)
    if path.suffix != ".jsonl":
        return line.startswith("method,n," if path.suffix == ".csv" else _TITLES)
    return set(journal.header_of(line)) >= HEADER


def write(csv_path: Path, markdown_path: Path, table: list[dict[str, Any]]) -> None:
    """Both tables, or none."""
    with files.together():
        files.write_text(csv_path, to_csv(table))
        files.write_text(markdown_path, to_markdown(table))


def metrics_of(rows: list[dict[str, Any]]) -> list[str]:
    """The scores that rows have, in the order in which tables list them; an evaluation's rows all have the same."""
    return [metric for metric in METRICS if rows and metric in rows[0]]


def summary(rows: list[dict[str, Any]], threshold: float | None = None) -> list[dict[str, Any]]:
    """One row a method: n, and mean and standard deviation of each score over the images.

    Args:
        threshold: of identity: adds the share of the pictures that have at least that, and the threshold itself.
    """
    table = []
    for name in dict.fromkeys(row["method"] for row in rows):
        chosen = [row for row in rows if row["method"] == name]
        line: dict[str, Any] = {"method": name, "n": len(chosen)}
        for metric in metrics_of(rows):
            values = np.array([row[metric] for row in chosen])
            line |= {metric: float(values.mean()), f"{metric}_std": float(values.std())}
            if metric == "identity" and threshold is not None:
                line |= {SHARE: float((values >= threshold).mean()), THRESHOLD_USED: threshold}
        table.append(line)
    return table


def to_csv(table: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(table[0]))
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def to_markdown(table: list[dict[str, Any]]) -> str:
    """The titles and lines of `cells` as a table of Markdown."""
    titles, rows = cells(table)
    lines = [titles, *rows]
    text = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([text[0], "|---" * len(titles) + "|", *text[1:]]) + "\n"


def cells(table: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Titles and lines: method, N, MSE, PSNR, SSIM and what else was measured.

    Mean +- standard deviation over images; distances between sets say in their titles of how many pictures, and KID is +-
    its standard error.
    """
    columns: dict[str, Callable[[dict[str, Any]], str]] = {}
    for metric in metrics_of(table):
        title, form = METRICS[metric]
        columns[title] = functools.partial(_of_metric, metric, form)
    if table and SHARE in table[0]:
        title = f"same person (cosine from {table[0][THRESHOLD_USED]:g} on)"
        columns[title] = lambda row: f"{100 * row[SHARE]:.0f} %"
    for name, (title, form) in SETS.items():
        if table and name in table[0]:
            count = " to ".join(map(str, dict.fromkeys((min(row["n"] for row in table), max(row["n"] for row in table)))))
            columns[f"{title} (N {count})"] = functools.partial(_of_set, name, form)
    return ["method", "N", *columns], [
        [row["method"], str(row["n"]), *(cell(row) for cell in columns.values())] for row in table
    ]


def _of_metric(name: str, form: str, row: dict[str, Any]) -> str:
    return f"{row[name]:{form}} ± {row[name + '_std']:{form}}"


def _of_set(name: str, form: str, row: dict[str, Any]) -> str:
    return f"{row[name]:{form}}" + (f" ± {row[ERROR]:{form}}" if name == "kid" else "")
