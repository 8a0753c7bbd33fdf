"""Signs that a run is lost, so that it stops with advice instead of wasting a night.

Three are watched: a loss that is not finite, a generator whose pictures are all alike (mode collapse, measured by the
variance between its samples), and a discriminator that tells nothing apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

COLLAPSED = 0.02  # of the real pictures' variance; the networks trained here have 0.5 to 1.1
CHANCE = {"d": 2 * math.log(2), "g": math.log(2)}  # non-saturating losses of a discriminator that says 0 to everything

CHANCE_LINES = 12  # printed lines in a row, a minute, that are no coincidence
AT_CHANCE = (
    "the discriminator tells nothing apart (its losses are those of chance), so the generator learns nothing: unless that "
    "passes soon, start again with another --learning-rate (a third, or three times as much) or --loss wgan-gp"
)


class Diverged(ValueError):
    """The run cannot recover; the message is one line, with what to do."""


def require_finite(losses: Mapping[str, float], seen: int) -> None:
    """Raises Diverged if a loss is NaN or infinite; `validation` is NaN until it is first measured."""
    bad = [name for name, value in losses.items() if not math.isfinite(value) and name != "validation"]
    if bad:
        raise _lost(f"{bad[0]} is {losses[bad[0]]}", seen)


def require_finite_arrays(arrays: Mapping[str, np.ndarray], seen: int) -> None:
    """Raises Diverged if a weight is NaN or infinite: a step's losses are those before its update, and may look well."""
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise _lost(f"{name} is not finite", seen)


def _lost(what: str, seen: int) -> Diverged:
    return Diverged(
        f"training diverged: {what} after {seen:,} images; the last checkpoint is from before: go on from it with a lower "
        "--learning-rate (half), without --bfloat16, or with another --seed"
    )


def diversity(samples: np.ndarray, real: np.ndarray) -> float:
    """The variance between generated pictures over that between real ones: mean over pixels and channels, `[n, h, w, c]`.

    1 for a perfect generator, 0 for one that makes a single picture. Real pictures that are all alike give infinity.
    """
    variance = float(np.var(np.asarray(real, np.float64), axis=0).mean())
    return float(np.var(np.asarray(samples, np.float64), axis=0).mean()) / variance if variance else math.inf


def require_diverse(values: list[float], seen: int) -> None:
    """Raises Diverged if the last two measured diversities are below `COLLAPSED`."""
    if len(values) >= 2 and max(values[-2:]) < COLLAPSED:
        raise Diverged(
            f"the generator collapsed: after {seen:,} images its samples vary {100 * values[-1]:.1f} % as much as real "
            "pictures; start again with a lower --learning-rate, a larger --batch, or --loss wgan-gp"
        )


def at_chance(losses: Mapping[str, float], tolerance: float = 2e-3) -> bool:
    """Whether non-saturating losses sit at 2 ln 2 and ln 2: then D tells nothing apart, whatever the samples look like."""
    return all(abs(losses.get(name, math.inf) - value) < tolerance for name, value in CHANCE.items())
