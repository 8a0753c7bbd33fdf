"""Held-out pictures, and the curve of (real images shown, error on them) that a run's record keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from .. import images

Curve = list[tuple[int, float]]


def pictures(source, most: int | None = None) -> np.ndarray:
    """The pictures of a `data.Source`, or its first `most`: `[n, h, w, c]` in [-1, 1]."""
    count = len(source) if most is None else min(most, len(source))
    return images.from_uint8(source.take(np.arange(count)))


def mean_squared_error(restored: Callable[[tf.Tensor, int], tf.Tensor], held_out: np.ndarray, chunk: int = 64) -> float:
    """Mean of (restored(x, i) - x)^2 on [-1, 1], `chunk` pictures at once; i is the place of the first of them."""
    errors = []
    for i in range(0, len(held_out), chunk):
        x = tf.constant(held_out[i : i + chunk])
        errors.append(tf.reduce_mean(tf.square(restored(x, i) - x), axis=(1, 2, 3)).numpy())
    return float(np.concatenate(errors).mean())


def due(before: int, seen: int, every: int) -> bool:
    """Whether a step from `before` to `seen` images has passed a multiple of `every`.

    Example:
        >>> [due(seen, seen + 8, every=20) for seen in (0, 8, 16, 24, 32)]
        [False, False, True, False, True]
    """
    return before // every != seen // every


def add_point(curve: Curve, seen: int, measure: Callable[[], float]) -> None:
    """Measure after `seen` images, unless the curve ends there already.

    Example:
        >>> curve = [(8, 0.5)]
        >>> add_point(curve, 8, lambda: 0.4)
        >>> add_point(curve, 16, lambda: 0.3)
        >>> curve
        [(8, 0.5), (16, 0.3)]
    """
    if not curve or curve[-1][0] != seen:
        curve.append((seen, measure()))


def last(curve: Curve) -> float:
    """The newest error; NaN before there is one, which `divergence.require_finite` knows."""
    return curve[-1][1] if curve else float("nan")


def curve_of(record: dict[str, Any]) -> Curve:
    """The curve of a checkpoint's record: JSON has no tuples."""
    return [tuple(point) for point in record["curve"]]
