"""Pictures corrected to agree with their measurement: nothing that was measured is lost in a restoration."""

from __future__ import annotations

import numpy as np

from .base import Compose, correction
from .masks import Mask
from .tasks import Task

ROUNDS = 20  # of cutting and correcting, see `consistent`


def consistent(task: Task, image, y, known=None) -> np.ndarray:
    """x + A^+ (y - A x): the picture nearest to x whose measurement is y.

    Where that leaves [-1, 1], a file would cut it off and lose the measurement: it is cut here and corrected again, until
    cutting loses next to nothing. A damped A^+ is applied once: its rounds would undo the damping.

    Args:
        image: x, `[n, h, w, c]`.
        y: the measurement `[n, ...]`, with zeros where nothing is known.
        known: the mask of a task that has one.
    """
    measure = task.measure if known is None else Compose(Mask(known), task.measure)
    image = image + np.asarray(correction(measure, y - measure(image)))
    for _ in range(0 if measure.ridge else ROUNDS):
        inside = np.clip(image, -1, 1)
        residual = y - np.asarray(measure(inside))
        off = np.abs(residual).reshape(len(residual), -1).max(axis=1) > 1e-3  # an eighth of a level of 8 bits
        if not off.any():
            break
        image = np.where(off[:, None, None, None], inside + np.asarray(correction(measure, residual, 10)), image)
    return image
