"""Whether a picture can be what a task says that it is."""

from __future__ import annotations

import numpy as np

from ..operators import Operator, Task, make_task
from ..operators.consistency import ROUNDING, unexplained

# In roundings to 8 bits. Of 16 faces blurred by the model's 2 pixels all came nearer to the truth, of those blurred by 1.8,
# too (up to 2.7); of JPEGs of 85 (3 to 4) every second, and of blurs of 1.5 and less (4 and more) all ended further away.
MOST = 2.7
FIT = 1.7  # the most that a blur which is undone as it was made has
EDGE = 10  # a tenth of the side is left out: a picture cut out of a larger one is blurred across its border
SMALLER = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)  # of a blur's sigma


def doubt(name: str, task: Task, y: np.ndarray) -> str:
    """What to say of measurements `[k, h, w, c]` that no picture blurred as the task says could have; "" otherwise.

    Undoing a blur enlarges what a finer detail, a JPEG or another blur put there, and makes a pattern of it.
    """
    if not task.measure or not task.measure.ridge:
        return ""
    found = _misfit(task.measure, y)
    if found <= MOST:
        return ""
    blur = ", ".join(f"{key}={value}" for key, value in task.parameters.items())
    return (
        f"{name}: no picture blurred by {blur or task.name} looks like this (it is off by {found:.0f} times what "
        f"rounding to 8 bits makes), and its fine detail or JPEG blocks will become a pattern; {_way(task, y)}"
    )


def _misfit(measure: Operator, y: np.ndarray) -> float:
    """The largest root mean square of what no picture explains, in roundings."""
    edge = y.shape[1] // EDGE
    inside = unexplained(measure, y)[:, edge : y.shape[1] - edge, edge : y.shape[2] - edge]
    return float(np.sqrt(np.mean(np.square(inside), axis=(1, 2, 3))).max() / ROUNDING)


def _way(task: Task, y: np.ndarray) -> str:
    """Which smaller blur could have made them."""
    if task.name != "deblur" or "sigma" not in task.parameters:
        return "name the blur that it has"
    sigma = task.parameters["sigma"]
    for share in SMALLER:
        smaller = make_task("deblur", y.shape[1], sigma=round(share * sigma, 2))
        if _misfit(smaller.degrade, y) <= FIT:
            return f"--set sigma={smaller.parameters['sigma']:g} would fit"
    return "it is as sharp as its size allows, so that there is no blur to undo"
