"""The networks of a process, and the solves of its batches: what `gekeras solve` makes of each picture, from bytes to bytes.

A batch always has the same number of pieces: one that is not full is filled up. So what becomes of a picture is the same to
the last bit, whatever is solved beside it, wherever it is solved, and however often.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import images
from ..config import PictureOptions, SolveOptions
from ..files import PathLike
from ..generative_encoder import GenerativeEncoder
from ..messages import plain
from ..networks import ModelOptions
from ..pictures.observations import Observation, Request, observe, stack_pieces
from ..restore import batches, effects, memory, records
from ..restore.job import assemble
from ..restore.results import scores
from .shelf import digest

SIZES = 4  # of small pictures, beside the encoder's own, whose compiled solves are kept
DETERMINING = ("checksums", "task", "parameters", "forward", "pictures", "options")  # of what a record repeats


class Picture(NamedTuple):
    """One picture to restore."""

    name: str
    data: bytes
    mask: bytes | None = None

    def digest(self) -> str:
        return digest(self.data) if self.mask is None else digest(self.data, self.mask)


class Restored(NamedTuple):
    """A picture as a PNG file, and its record."""

    png: bytes
    record: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What is done with every picture.

    Attributes:
        networks: of a preset, by its name or folder.
        pictures: how a picture is cut and degraded.
        fidelity, changes: as of `GenerativeEncoder.options`.
        batch_size: pieces that are solved together.
        call: digest of all that decides about the results; "" where it is not known yet.

    Raises:
        ValueError: an unknown option of the solve, an option of one picture alone, or a batch of none.
    """

    networks: ModelOptions
    pictures: PictureOptions
    fidelity: str
    changes: Mapping[str, Any]
    batch_size: int
    call: str = ""

    def __post_init__(self):
        known = [field.name for field in fields(SolveOptions)]
        if unknown := sorted(set(self.changes) - set(known)):
            raise ValueError(f"a solve has no option {', '.join(unknown)}; it has {', '.join(known)}")
        if type(self.batch_size) is not int or self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more; received {self.batch_size!r}")
        if self.pictures.mask is not None or self.pictures.reference is not None:
            raise ValueError("a mask belongs to one picture, (name, picture, mask), and a reference is for a single one")
        if self.pictures.skip_faceless:
            raise ValueError("skip_faceless would change nothing: a photograph without a face is refused, and others go on")


class Worker:
    """Restores batches; one a process, for all of its threads.

    Args:
        job: what is asked for.

    Attributes:
        job: the same, with its digest.

    Raises:
        ValueError: as `GenerativeEncoder.from_options`, `options` and `check`; options that would change nothing; or a job
            with the digest of other networks than are found here.
    """

    def __init__(self, job: Job):
        networks, pictures = job.networks.loaded(), job.pictures
        self.model = GenerativeEncoder.from_options(networks)
        self.options = self.model.options(job.fidelity, **job.changes)
        self.model.check(self.options)
        effects.check_parameters(self.model.task, networks, pictures, self.options)
        if not self.model.task.masked or pictures.simulate or pictures.box:  # else the masks come with the pictures
            self._request(pictures)
        self.asked = records.asked(
            self.model, networks, pictures, job.fidelity, job.changes, self.options, self.options.seed
        )
        found = {name: self.asked[name] for name in DETERMINING}
        call = digest(json.dumps(found, sort_keys=True, default=repr).encode())
        if job.call not in ("", call):
            folder = self.asked["preset_folder"]
            raise ValueError(
                f"{folder} holds other networks than the preset that this pipeline was made with: copy that here"
            )
        self.job = replace(job, call=call)
        self._of_size: OrderedDict[Any, GenerativeEncoder] = OrderedDict()
        self._one = threading.Lock()  # a solve has all cores, and as much memory as a batch needs

    def restore(self, pictures: list[Picture]) -> list[Restored | str]:
        """Each picture's result, or the line that says why there is none."""
        with self._one, tempfile.TemporaryDirectory(prefix="gekeras-") as folder:
            found: dict[int, Restored | str] = {}
            sizes: dict[Any, dict[int, Observation]] = {}
            for k, picture in enumerate(pictures):
                item = self._read(picture, Path(folder))
                if isinstance(item, Observation):
                    sizes.setdefault(item.task.factor, {})[k] = item
                else:
                    found[k] = item
            for items in sizes.values():
                found.update(zip(items, self._solve(list(items.values()), [pictures[k] for k in items], Path(folder))))
            return [found[k] for k in range(len(pictures))]

    def _request(self, pictures: PictureOptions) -> Request:
        return Request(self.model.task, *self.model.image_shape[1:], pictures, self.options.seed)

    def _read(self, picture: Picture, scratch: Path) -> Observation | str:
        """By the readers of `gekeras solve`, which read files."""
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            path, mask = Path(folder) / os.path.basename(picture.name), Path(folder) / "mask" / "mask"
            path.write_bytes(picture.data)
            options = self.job.pictures
            try:
                if picture.mask is not None:
                    mask.parent.mkdir()
                    mask.write_bytes(picture.mask)
                    options = replace(options, mask=mask)
                elif self.model.task.masked and not (options.simulate or options.box):
                    return f"{self.model.task.name} needs to know what is missing: send (name, picture, mask)"
                return observe(path, self._request(options))
            except ValueError as error:
                text = str(error).replace(f"{mask.parent}{os.sep}", "").replace(f"{folder}{os.sep}", "")
                return plain(text.removeprefix(f"{path.name}: "))

    def _solve(self, items: list[Observation], pictures: list[Picture], scratch: Path) -> list[Restored | str]:
        """Results of pictures whose measurements have one size."""
        y, known = filled(*stack_pieces(items), self.job.batch_size)
        solution = batches.solve_batches(self._model(items[0]), y, known, self.options, self.job.batch_size)
        found = assemble(items, solution, None, None)
        notes = records.records(items, self.asked, found, [memory.Batch(self.job.batch_size)] * len(items))
        results: list[Restored | str] = []
        for item, picture, each, note in zip(items, pictures, found, notes):
            path = scratch / "restored.png"
            try:
                images.write(path, each.image)
            except images.ImageError as error:  # NaN
                results.append(error.reason)
                continue
            png = path.read_bytes()
            sums = {"input": picture.digest(), "call": self.job.call, "picture": digest(png)}
            results.append(Restored(png, {**note, **scores(item, each.pictures), "input": picture.name, "sha256": sums}))
        return results

    def _model(self, item: Observation) -> GenerativeEncoder:
        """For measurements of that size; of others than the encoder's own those that came last are kept."""
        factor = item.task.factor
        if factor == self.model.task.factor:
            return self.model
        if factor not in self._of_size:
            self._of_size[factor] = self.model.with_task(item.task)
        self._of_size.move_to_end(factor)
        if len(self._of_size) > SIZES:
            self._of_size.popitem(last=False)
        return self._of_size[factor]


def filled(y: np.ndarray, known: np.ndarray | None, batch: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Measurements and masks `[n, ...]`, the last repeated up to a multiple of the batch.

    Example:
        >>> filled(np.zeros((5, 2, 2, 1)), None, 4)[0].shape
        (8, 2, 2, 1)
    """
    rows = np.minimum(np.arange(-(-len(y) // batch) * batch), len(y) - 1)
    return y[rows], None if known is None else known[rows]


def job_of(
    task: str,
    preset: PathLike,
    models: PathLike | None,
    parameters: Mapping[str, Any] | None,
    forward: str | None,
    pictures: PictureOptions | None,
    fidelity: str,
    changes: Mapping[str, Any],
    batch_size: int,
) -> Job:
    """The job of these arguments, checked with the networks themselves. Raises ValueError as `Job` and `Worker`."""
    preset, models = os.fspath(preset), None if models is None else os.path.abspath(models)
    if os.path.dirname(preset):  # a folder, not a name: workers may have another current folder
        preset = os.path.abspath(preset)
    networks = ModelOptions(task, preset, models, dict(parameters or {}), forward)
    return Worker(Job(networks, pictures or PictureOptions(), fidelity, dict(changes), batch_size)).job
