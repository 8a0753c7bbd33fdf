"""`gekeras.evaluation.report`: evaluations of several tasks and presets, and one page that shows them."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import data, files, images
from ..config import VolumeOptions
from ..files import FileError, PathLike
from ..networks import ModelOptions
from . import page, pipeline, sets, tables
from .measures import check_place

PAGE = "index.html"
FIRST, EXTREMES = 3, 2  # pictures of the first panel, and of the best and the worst


def report(
    pictures: PathLike,
    models: Sequence[str | ModelOptions],
    folder: PathLike,
    *,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    **options: Any,
) -> dict[str, list[dict[str, Any]]]:
    """Evaluate every model as `evaluate` does and write one page, `index.html`. A stopped report goes on where it was.

    Args:
        pictures: clean pictures, as `evaluate` takes them.
        models: tasks of the default preset, as "superres", or which networks and task.
        folder: of the page, and of `<preset>-<task>.jsonl`, `.csv`, `.md` and `.restored`; made if it is not there.
        tell: called with lines for the user, as presets that the pictures do not suit.
        progress: called with (rows done, rows in all of this model, what it is and what remains as text).
        options: of `evaluate`: count, methods (of each model those that suit its task), bits (of reconstruct), batch, cut,
            fidelity, changes, lpips, sets, inception, identity, identity_threshold, record.

    Returns:
        `<preset>-<task>` -> its table.

    Raises:
        ValueError: as `evaluate`; the same preset and task twice; a page that is not ours; pictures that suit no preset; a
            method that suits no model, or a model that none suits.

    Example:
        >>> import gekeras
        >>> gekeras.evaluation.report("photos/", ["superres", "denoise"], "report", count=8)  # doctest: +SKIP
    """
    folder, pictures = Path(folder), Path(pictures)
    runs = _named([(ModelOptions(model) if isinstance(model, str) else model).loaded() for model in models])
    _check_places(folder, runs)
    items = data.entries(pictures, options=options.get("cut", VolumeOptions()))[: options.get("count")]
    runs, left_out = _suited(runs, items)
    for line in left_out:
        tell(line)
    found, began, given = {}, time.monotonic(), _of_each(runs, options)
    for number, (name, model) in enumerate(runs.items()):
        clock, its = _clock(name, number, len(runs), began, progress), given[name]
        found[name] = pipeline.evaluate(pictures, model, folder / name, keep=True, tell=tell, progress=clock, **its)
    sections = [_section(folder, name, items, pictures.name, found[name]) for name in runs]
    files.write_text(folder / PAGE, page.render(sections, left_out))
    return found


def _named(models: list[ModelOptions]) -> dict[str, ModelOptions]:
    """`<preset>-<task>` -> model. Raises ValueError for none, and for two of one name."""
    runs: dict[str, ModelOptions] = {}
    for model in models:
        preset = model.load_preset()
        name = re.sub(r"[^\w.-]", "_", f"{preset.name if preset else 'own'}-{model.task}")
        if name in runs:
            raise ValueError(f"{name} is named twice, and a report has one of each; name each task and preset once")
        runs[name] = model
    if not runs:
        raise ValueError("a report is of one model at least")
    return runs


def _check_places(folder: Path, runs: dict[str, ModelOptions]) -> None:
    """Raise ValueError for what could not be written, or is of something else, in any of the evaluations."""
    for name in runs:
        check_place(tables.places(folder / name)[0])
    place = folder / PAGE
    files.check_writable(place, made=True)
    if place.exists() and not place.read_bytes().startswith(page.MARK.encode()):
        raise FileError(place, "is not of an evaluation and would be replaced; move it, or name another folder")


def _suited(runs: dict[str, ModelOptions], items: list) -> tuple[dict[str, ModelOptions], list[str]]:
    """The models that the pictures suit, and a line for each preset that they do not; with one preset all.

    Raises ValueError if none is left.
    """
    known = {preset.name: preset for model in runs.values() if (preset := model.load_preset())}
    if len(known) < 2:
        return runs, []
    seen = [entry.picture() for entry in items[:: -(-len(items) // 8)]]
    color = any(np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=-1).any() for picture in seen)
    least, reasons = min(min(picture.size) for picture in seen), {}
    for name, preset in known.items():
        if color != (preset.channels == 3):
            kinds = ("color", "gray") if color else ("gray", "color")
            reasons[name] = f"{name}: the pictures are {kinds[0]}, the preset is of {kinds[1]} ones"
        elif least < preset.resolution:
            reasons[name] = f"{name}: pictures have sides of {least} pixels, the preset needs {preset.resolution}"
    kept = {name: model for name, model in runs.items() if (p := model.load_preset()) is None or p.name not in reasons}
    if not kept:
        raise ValueError(f"the pictures suit no preset: {'; '.join(reasons.values())}")
    return kept, list(reasons.values())


def _of_each(runs: dict[str, ModelOptions], options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The options of each run: of the named methods those that suit it, and bits where a code is what is restored.

    Raises ValueError, before the first run begins, for a method that suits none, and for a run that none suits.
    """
    bits, named = options.get("bits", ()), options.get("methods", ())
    coded = any(model.task == "reconstruct" for model in runs.values())  # else `evaluate` refuses them
    given = {
        run: {**options, "bits": bits if model.task == "reconstruct" or not coded else ()} for run, model in runs.items()
    }
    if not named:
        return given

    from ..generative_encoder import GenerativeEncoder  # TensorFlow, which takes seconds
    from . import methods

    offered = {}
    for run, model in runs.items():
        network = GenerativeEncoder.from_options(model)
        solve = network.options(options.get("fidelity", "fast"), **(options.get("changes") or {}))
        table = methods.groups(network, solve, model.generators_preset(), given[run]["bits"])
        offered[run] = methods.names_in(table)
    methods.check_names(named, list(dict.fromkeys(name for names in offered.values() for name in names)))
    for run, names in offered.items():
        given[run]["methods"] = tuple(name for name in named if name in names)
        if not given[run]["methods"]:
            raise ValueError(f"{run} has no {' or '.join(named)}; it has {', '.join(names)}")
    return given


def _clock(name: str, number: int, runs: int, began: float, progress: Callable[[int, int, str], None]):
    """Progress of one run, with what remains of all: those to come are taken to be as long as those so far."""

    def tick(done: int, total: int, text: str) -> None:
        share = number + done / total
        left = (time.monotonic() - began) * (runs - share) / share
        progress(done, total, f", {name} ({number + 1} of {runs}), all in about {left / 60:.1f} min")

    return tick


def _section(folder: Path, name: str, items: list, data_name: str, table: list[dict[str, Any]]) -> page.Section:
    """What the page says of an evaluation, from its files alone."""
    path, methods = folder / f"{name}.jsonl", [row["method"] for row in table]
    header, *rows = (json.loads(line) for line in path.read_text("utf-8").splitlines())
    with sets.place_of(path).open("rb") as file:
        head = json.loads(file.readline())
    height, _, channels = head["restored"]
    kept, source = sets.Kept(path, head["restored"], head["activations"] > 0), data.Source(items, height, channels)
    places = {(row["image"], row["method"]): place for place, row in enumerate(rows)}
    names = [source.name(k) for k in range(len(source))]
    scores = {
        tables.METRICS[metric][0]: {m: [rows[places[image, m]][metric] for image in names] for m in methods}
        for metric in tables.metrics_of(table)
    }
    seen = " input is the observation." if "input" in methods else ""
    about = f"{len(names)} pictures of {data_name}, {json.dumps(header['parameters'])}.{seen}"
    columns = sorted(methods, key=lambda method: method != "input")  # what was seen comes first, the truth last
    its = {image: {method: rows[places[image, method]] for method in methods} for image in names}
    by = "lpips" if "lpips" in table[0] else "mse"

    def shown(number: int) -> page.Row:
        image = names[number]
        restored = list(kept.records([places[image, method] for method in columns])["picture"])
        return _row(image, [its[image][method][by] for method in columns], by, restored, source.take(np.array([number]))[0])

    chosen = _chosen([its[image] for image in names], "GE" if "GE" in methods else methods[0], by)
    panels = {title: [shown(number) for number in numbers] for title, numbers in chosen.items()}
    links = [f"{name}.{kind}" for kind in ("csv", "md", "jsonl")]
    return page.Section(name, about, *tables.cells(table), scores, [*columns, "truth"], panels, links)


def _row(image: str, values: list[float], by: str, restored: list[np.ndarray], truth: np.ndarray) -> page.Row:
    """A picture by every method, with its scores and error maps, and the truth."""
    title, form = tables.METRICS[by]
    errors = [np.abs(images.from_uint8(picture) - images.from_uint8(truth)).mean(-1) for picture in restored]
    return page.Row(image, [*(f"{title} {value:{form}}" for value in values), ""], [*restored, truth], [*errors, None])


def _chosen(scores: list[dict[str, dict[str, Any]]], judge: str, by: str) -> dict[str, list[int]]:
    """Heading -> numbers of pictures: the first, the best and the worst of a method; no picture is both of these."""
    order = sorted(range(len(scores)), key=lambda number: scores[number][judge][by])
    chosen = {"The first pictures": list(range(min(FIRST, len(scores))))}
    if few := min(EXTREMES, len(scores) // 2):
        title = tables.METRICS[by][0]
        chosen |= {f"Best of {judge} by {title}": order[:few], f"Worst of {judge} by {title}": order[: -few - 1 : -1]}
    return chosen
