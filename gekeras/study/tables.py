"""The files of a study: STEM.jsonl, to which answers are added, what is made of them, STEM.csv and STEM.md, and pictures."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .. import files
from ..evaluation import journal
from ..files import FileError, PathLike
from . import statistics
from .statistics import TruthTable

ORIGINAL, INVERT_GAN, GE, LAYERED = "original", "invertGAN", "GE", "GE layers"
OUTCOMES = {"a": "gained", "b": "neither", "loss": "lost", "kept": "both"}  # of one picture; the panels' names
MARK = "study"  # of the first of the JSON lines
_TITLE, _FIRST = "# Study of ", "feature,method,against,"
MEANS = {
    "a": "scenario a: G can draw it and does so too seldom, and E brings it out",
    "b": "scenario b: with E and without, more pictures lack the feature than have it, and E makes no difference that shows",
    "loss": "a loss: E underrepresents the feature, and takes it from pictures in which G alone has it",
    "none": "none of the scenarios: E makes no difference that shows, and most pictures have the feature all the same",
}


class Places(NamedTuple):
    """Where a study writes."""

    lines: Path
    csv: Path
    markdown: Path
    pictures: Path
    panels: dict[str, Path]


def places(stem: PathLike) -> Places:
    """STEM.jsonl, STEM.csv, STEM.md, the folder STEM.pictures, and STEM.a.png, STEM.b.png, ...

    Raises:
        ValueError: a folder's name, a place that cannot be written, or a file there that is not of a study.
    """
    text = os.fspath(stem)
    if text.endswith(("/", os.sep)) or Path(stem).name in ("", ".."):
        raise ValueError(f"{text!r} is a folder; the output is the stem of a study's files, as study/glasses")
    panels = {outcome: Path(f"{text}.{outcome}.png") for outcome in OUTCOMES}
    lines, scores, markdown, pictures = (Path(f"{text}.{kind}") for kind in ("jsonl", "csv", "md", "pictures"))
    found = Places(lines, scores, markdown, pictures, panels)
    for path in (*found[:3], *panels.values()):
        files.check_writable(path, made=True)
    for path in found[:3]:
        if path.exists() and not _is_ours(path):
            raise FileError(path, "is not of a study and would be replaced; move it, or name another output")
    if not found.lines.exists():
        foreign = (found.pictures, *panels.values())
        if there := [path for path in foreign if path.exists() and not (path.is_dir() and not any(path.iterdir()))]:
            raise FileError(there[0], f"is there, and {found.lines.name} is not; move it, or name another output")
    files.check_folder(found.pictures)
    return found


def picture_path(folder: Path, number: int, name: str, method: str) -> Path:
    """`STEM.pictures/invertGAN/0003-196121.png`: the number tells pictures of one name in several folders apart."""
    return folder / method.replace(" ", "-") / f"{number:04}-{Path(name).stem}.png"


def _is_ours(path: Path) -> bool:
    """By its first line."""
    line = journal.first_line(path)
    if path.suffix != ".jsonl":
        return line.startswith(_FIRST if path.suffix == ".csv" else _TITLE)
    return MARK in journal.header_of(line)


def summary(
    rows: list[dict[str, Any]], feature: str, methods: Sequence[str], threshold: float, without: bool = False
) -> dict[str, Any]:
    """What the answers of a study come to.

    A picture is invalid, and counted nowhere else, if the detector does not see the feature in the original (`unseen`), or
    if the solve of any method has failed.

    Args:
        rows: `{"image", "method", "score"}`, all methods and `ORIGINAL` for each image; score None: a failed solve.
        methods: those to compare, `INVERT_GAN` first.
        without: whether the pictures are those without the feature; invalid then is where the detector sees it in the
            original, and no scenario is told.

    Returns:
        `feature`, `without`, `threshold`, `n`, `valid`, `unseen`, `failed`; `shares`: a line a method with how many `yes`,
            its share and interval; `comparisons`: a line for each method against the first, with the truth table,
            `gained_share` (of those without the feature by the first), `lost_share` (of those with it) and their intervals,
            `p` of McNemar's test, and `scenario`, "" of what is not GE.
    """
    scores: dict[str, dict[str, float | None]] = {}
    for row in rows:
        scores.setdefault(row["image"], {})[row["method"]] = row["score"]
    failed = [image for image, its in scores.items() if any(its[method] is None for method in methods)]
    whole = {image: {m: score for m, score in its.items() if score is not None} for image, its in scores.items()}
    unseen = [image for image, its in whole.items() if image not in failed and (its[ORIGINAL] < threshold) != without]
    valid = [its for image, its in whole.items() if image not in {*failed, *unseen}]
    answers = {method: [its[method] >= threshold for its in valid] for method in methods}
    counts = {"n": len(scores), "valid": len(valid), "unseen": len(unseen), "failed": len(failed)}
    shares = [
        {"method": method, "yes": sum(found), **_share("", sum(found), len(valid))} for method, found in answers.items()
    ]
    compared = [
        _compared(statistics.truth_table(answers[methods[0]], answers[method]), method, methods[0], not without)
        for method in methods[1:]
    ]
    return {
        "feature": feature,
        "without": without,
        "threshold": threshold,
        **counts,
        "shares": shares,
        "comparisons": compared,
    }


def _compared(table: TruthTable, method: str, against: str, told: bool) -> dict[str, Any]:
    return {
        "method": method,
        "against": against,
        **table._asdict(),
        **_share("gained_", table.gained, table.absent),
        **_share("lost_", table.lost, table.present),
        "p": statistics.mcnemar(table.gained, table.lost),
        "scenario": statistics.scenario(table)
        if told and method == GE
        else "",  # with a layer it sees the pixels, not E alone
    }


def _share(name: str, part: int, whole: int) -> dict[str, float | None]:
    low, high = statistics.wilson(part, whole)
    return {f"{name}share": part / whole if whole else None, f"{name}low": low, f"{name}high": high}


def outcome_of(reference: float, method: float, threshold: float) -> str:
    """Which of `OUTCOMES` one picture is of, by its two answers."""
    return {(False, True): "a", (False, False): "b", (True, False): "loss", (True, True): "kept"}[
        reference >= threshold, method >= threshold
    ]


def write(where: Places, report: dict[str, Any], about: dict[str, Any]) -> None:
    """Both tables, or none."""
    with files.together():
        files.write_text(where.csv, to_csv(report))
        files.write_text(where.markdown, to_markdown(report, about))


def to_csv(report: dict[str, Any]) -> str:
    """A line a comparison."""
    counts = {name: report[name] for name in ("without", "n", "valid", "unseen", "failed", "threshold")}
    lines = [
        {"feature": report["feature"], "method": line["method"], "against": line["against"], **counts, **line}
        for line in report["comparisons"]
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def to_markdown(report: dict[str, Any], about: dict[str, Any]) -> str:
    """What `summary` returned as a page: what it means, the truth tables, and how good the detector is.

    Args:
        about: of the detector, `detector.json` or what `modules.describe` says of another one.
    """
    lines = [f"{_TITLE}{report['feature']}", "", _counts(report), ""]
    for line in report["comparisons"]:
        lines += [_statement(line), "", *_table(line, report["valid"]), ""]
    lines += ["| method | yes | share | 95 % |", "|---|---|---|---|"]
    for line in report["shares"]:
        lines.append(f"| {line['method']} | {line['yes']} | {_percent(line['share'])} | {_interval(line)} |")
    return "\n".join([*lines, "", _about(about)]) + "\n"


def _counts(report: dict[str, Any]) -> str:
    invalid = report["n"] - report["valid"]
    kind, sees = ("without", "sees") if report["without"] else ("with", "does not see")
    return (
        f"{report['n']} pictures {kind} {report['feature']}, {report['valid']} of them valid and {invalid} invalid: in "
        f"{report['unseen']} the detector {sees} it in the original, and {report['failed']} solves failed. Yes is "
        f"{report['threshold']:g} or more."
    )


def _statement(line: dict[str, Any]) -> str:
    absent, present = line["neither"] + line["gained"], line["lost"] + line["both"]
    means = f"{MEANS[line['scenario']]}. " if line["scenario"] else ""
    return (
        f"{line['method']} against {line['against']}: {means}{line['gained']} of {absent} pictures "
        f"without the feature by {line['against']} have it by {line['method']} ({_percent(line['gained_share'])}, 95 %: "
        f"{_interval(line, 'gained_')}), {line['neither']} have it by neither; {line['lost']} of {present} lose it "
        f"({_percent(line['lost_share'])}, 95 %: {_interval(line, 'lost_')}). McNemar's test, exact: p = {line['p']:.2g}."
    )


def _table(line: dict[str, Any], count: int) -> list[str]:
    def cell(name: str) -> str:
        return f"{line[name]} ({_percent(line[name] / count if count else None)})"

    method, against = line["method"], line["against"]
    return [
        f"| | {against} no | {against} yes |",
        "|---|---|---|",
        f"| {method} no | {cell('neither')} | {cell('lost')} |",
        f"| {method} yes | {cell('gained')} | {cell('both')} |",
    ]


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.1f} %"


def _interval(line: dict[str, Any], name: str = "") -> str:
    return f"{100 * line[f'{name}low']:.1f} to {100 * line[f'{name}high']:.1f} %"


def _about(detector: dict[str, Any]) -> str:
    if "held_out" not in detector:
        return f"Detector {detector['name']}: no accuracy on held-out pictures is recorded beside it."
    its = detector["held_out"]
    return (
        f"Detector {detector['name']}, on {its['n']} held-out pictures, {its['yes']} with the feature: accuracy "
        f"{its['accuracy']:.3f}, balanced accuracy {its['balanced_accuracy']:.3f}, sensitivity {its['sensitivity']:.3f}, "
        f"specificity {its['specificity']:.3f}, AUC {its['auc']:.4f}."
    )
