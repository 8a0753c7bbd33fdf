"""Pictures that have a feature, each restored by every method and shown to the detector: a JSON line a picture and method.

Lines are appended group by group and read again on the next call, so that a study that was stopped goes on where it was; the
restored pictures lie beside them, rounded to 8 bits, and that is what the detector sees.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import images
from ..config import Z_ALONE, SolveOptions
from ..data import Source
from ..evaluation import journal
from ..evaluation.methods import groups
from ..evaluation.scoring import degrade
from ..generative_encoder import GenerativeEncoder
from ..restore import memory
from .detector import Detector
from .tables import GE, INVERT_GAN, LAYERED, MARK, ORIGINAL, Places, picture_path

BATCH = 16  # pictures between two writings
Tick = Callable[[int, int, str], None]


class Method(NamedTuple):
    """A way to restore, and its options for the record."""

    run: Callable
    options: SolveOptions


def paper_s(options: SolveOptions) -> SolveOptions:
    """The same with equation (3) alone: codes compared, z searched, nothing corrected."""
    return dataclasses.replace(
        options, code_weight=1.0, pixel_weight=0.0, decoder_weight=0.0, layers=Z_ALONE, consistent=False
    )


def methods(network: GenerativeEncoder, options: SolveOptions) -> dict[str, Method]:
    """invertGAN and GE as the paper has them, and GE with the options' layer, where they have one.

    Args:
        options: of the search with a layer; what they say of steps, starts, prior and optimizer is for all three.
    """
    plain = paper_s(options)
    table = {names[0]: run for names, run in groups(network, plain).items()}
    found = {INVERT_GAN: Method(table["invertGAN"], plain), GE: Method(table["GE"], plain)}
    if options.layers != Z_ALONE:
        layered = dataclasses.replace(options, consistent=False)
        found[LAYERED] = Method({names[0]: run for names, run in groups(network, layered).items()}["GE"], layered)
    return found


class Job(NamedTuple):
    """All that the answers of a study depend on.

    Attributes:
        chosen: numbers of the pictures in the source, in the order in which they are solved.
        header: the first of the JSON lines.
    """

    network: GenerativeEncoder
    source: Source
    chosen: np.ndarray
    methods: Mapping[str, Method]
    detector: Detector
    seed: int
    header: dict[str, Any]


def answer(job: Job, where: Places, progress: Tick = lambda done, total, text: None) -> list[dict[str, Any]]:
    """The rows `{"image", "method", "score"}` of a study; those that are there are kept, and not computed again.

    Args:
        where: `where.lines` is added to, `where.pictures` holds the pictures, as `picture_path` names them.
        progress: called with (rows done, rows in all, what remains as text).

    Raises:
        ValueError: the lines are of another study, a picture that cannot be decoded, or a detector's answers that are none.
        FileError: no room.
    """
    names = [job.source.name(int(number)) for number in job.chosen]
    header = {MARK: job.header["feature"], **job.header}
    with journal.resumed(where.lines, header, partial(_check, where.lines), lambda row: _kept(row, where, names)) as rows:
        wanted = {(name, method) for name in names for method in (ORIGINAL, *job.methods)}
        done = {(row["image"], row["method"]) for row in rows}
        clock, at_once = journal.Clock(len(wanted), len(wanted & done)), None
        for part in memory.slices(len(names), BATCH):
            batch = names[part]
            missing = {pair for pair in wanted - done if pair[0] in batch}
            if not missing:
                continue
            truth, y, known = _observed(job, part)
            at_once = at_once or _at_once(job, y[:1], None if known is None else known[:1])
            for method in (ORIGINAL, *job.methods):
                if not any(method == its for _, its in missing):
                    continue
                drawn = truth if method == ORIGINAL else _restored(job.methods[method], y, known, at_once)
                fresh = [row for row in _rows(job, where, part, batch, method, drawn) if (row["image"], method) in missing]
                journal.append(where.lines, fresh)
                rows += fresh
                progress(*clock.tick(len(fresh)))
    return [row for row in rows if (row["image"], row["method"]) in wanted]


def _kept(row: dict[str, Any], where: Places, names: list[str]) -> bool:
    """Whether a row's picture is still there, which the panels are drawn of; a failed solve has none."""
    if row["image"] not in names or row["score"] is None:
        return True
    return picture_path(where.pictures, names.index(row["image"]), row["image"], row["method"]).is_file()


def _observed(job: Job, part: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Pictures, measurements and masks of a batch; what is drawn for a picture does not depend on its batch."""
    truth = images.from_uint8(job.source.take(job.chosen[part]))
    drawn = [degrade(job.network.task, truth[k : k + 1], (job.seed, part.start + k)) for k in range(len(truth))]
    y, known = zip(*drawn)
    return truth, np.concatenate(y), None if known[0] is None else np.concatenate(known)


def _at_once(job: Job, y, known) -> int:
    sizes = []
    for method in job.methods.values():
        sizes.append(memory.for_solve(job.network, method.options, job.network.target(y, method.options, known)).size)
    return min(sizes)


def _restored(method: Method, y, known, at_once: int) -> np.ndarray:
    parts = memory.slices(len(y), at_once)
    found = [method.run(y[part], None if known is None else known[part], at_once) for part in parts]
    return np.concatenate([next(iter(pictures.values())) for pictures in found])


def _rows(job: Job, where: Places, part: slice, batch: list[str], method: str, drawn: np.ndarray) -> list[dict[str, Any]]:
    """What the detector says of a batch of one method, whose pictures are written."""
    whole = np.isfinite(drawn).all(axis=(1, 2, 3))
    seen = images.from_uint8(images.to_uint8(np.where(whole[:, None, None, None], drawn, 0)))
    scores = job.detector(seen)
    for k in np.flatnonzero(whole):
        path = picture_path(where.pictures, part.start + k, batch[k], method)
        path.parent.mkdir(parents=True, exist_ok=True)
        images.write(path, seen[k])
    return [
        {"image": name, "method": method, "score": float(score) if fine else None}
        for name, score, fine in zip(batch, scores, whole)
    ]


def _check(path: Path, there: dict[str, Any], header: dict[str, Any]) -> None:
    """Raise ValueError for lines of another study."""
    if there != header:
        what = ", ".join(key for key in sorted({*there, *header}) if there.get(key) != header.get(key))
        raise ValueError(f"{path} holds a study of other circumstances ({what}); remove it or name another output")
