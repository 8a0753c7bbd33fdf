"""The networks of a preset's tasks, and their solves: all that the service's one thread does with TensorFlow."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from PIL import Image

from .. import images
from ..generative_encoder import GenerativeEncoder
from ..networks.presets import Preset
from ..operators import Task, describe_task
from ..pictures.observations import Observation, stack_pieces
from ..restore import batches, memory
from ..restore.job import assemble

SIZES = 4  # of small pictures, beside the encoder's own, whose compiled solves are kept
WARM = (1, 2)  # pictures: what is compiled for one is compiled anew for any number when two come


class Kind(NamedTuple):
    """What may be solved together."""

    task: str
    factor: int | Fraction = 1  # side of the result over that of the measurement
    fidelity: str = "fast"
    seed: int = 0


@dataclass(frozen=True)
class Reply:
    """A restored picture as a PNG, and numbers."""

    png: bytes
    loss: float
    steps: int
    seconds: float  # of the picture: its share of the batch's
    batch: int  # pictures that were solved together
    note: str


class Engine:
    """Solves for the tasks of a preset.

    Args:
        preset: a loaded preset.
        tasks: names of its tasks.
        batch: pictures at once; None: what the memory holds.
        tell: called with a line when all tasks are ready.

    Attributes:
        shape: (h, w, c) of the results.
        tasks: name -> task, known before its networks are loaded.

    Raises:
        ValueError: a task that the preset has not.
    """

    def __init__(self, preset: Preset, tasks: list[str], batch: int | None = None, tell: Callable[[str], None] = print):
        self.preset, self.batch, self.tell = preset, batch, tell
        self.shape = (preset.resolution, preset.resolution, preset.channels)
        self.tasks: dict[str, Task] = {name: describe_task(name, self.shape, preset.task_parameters(name)) for name in tasks}
        self._models: dict[str, GenerativeEncoder] = {}
        self._of_size: OrderedDict[tuple[str, int | Fraction], GenerativeEncoder] = OrderedDict()
        self._needs: dict[tuple[str, int | Fraction], memory.Batch] = {}
        self._cold = list(tasks)

    def prepare(self) -> bool:
        """Load and compile the next task; False once all are."""
        if self._cold:
            name = self._cold[0]
            task = self.tasks[name]
            for count in WARM:
                blank = np.zeros((count, *self.shape), np.float32)
                y, known = task.sample(blank, np.array([0, 0], np.int32))
                mask = None if known is None else np.asarray(known)
                self._solve(Kind(name, task.factor), task, np.asarray(y), mask)
            self._cold.pop(0)
            if not self._cold:
                self.tell(f"ready: {', '.join(self.tasks)}")
        return bool(self._cold)

    def most(self, kind: Kind) -> int:
        """As many as the memory holds now, by `restore.memory`; 1 before the first solve has told what one needs."""
        if self.batch:
            return self.batch
        known = self._needs.get(kind[:2]) or self._needs.get((kind.task, self.tasks[kind.task].factor))
        return memory.of_need(known.need).size if known else 1

    def work(self, kind: Kind, items: list[Observation]) -> list[Reply]:
        """Each picture restored, as it would be alone."""
        y, known = stack_pieces(items)
        solution = self._solve(kind, items[0].task, y, known)
        return [
            Reply(_png(found.image), found.loss, found.steps, found.seconds, len(items), item.note)
            for item, found in zip(items, assemble(items, solution, None, None))
        ]

    def _solve(self, kind: Kind, task: Task, y: np.ndarray, known: np.ndarray | None):
        model = self._model(kind, task)
        options = model.options(kind.fidelity, seed=kind.seed)
        place = kind[:2]
        if place not in self._needs:
            self._needs[place] = batches.choose_batch(model, y, known, options, self.batch)
        return batches.solve_batches(model, y, known, options, max(len(y), self.most(kind)))

    def _model(self, kind: Kind, task: Task) -> GenerativeEncoder:
        """Loaded when it is first asked for; of small pictures of other sizes those that came last are kept."""
        if kind.task not in self._models:
            self._models[kind.task] = GenerativeEncoder.from_preset(self.preset, kind.task)
        model, place = self._models[kind.task], kind[:2]
        if kind.factor == model.task.factor:
            return model
        if place not in self._of_size:
            self._of_size[place] = model.with_task(task)
        self._of_size.move_to_end(place)
        while len(self._of_size) > SIZES:
            oldest, _ = self._of_size.popitem(last=False)
            self._needs.pop(oldest, None)
        return self._of_size[place]


def _png(image: np.ndarray) -> bytes:
    """`[h, w, 1 or 3]` in [-1, 1] as 8 bits."""
    levels, buffer = images.to_uint8(image), io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(buffer, "PNG")
    return buffer.getvalue()
