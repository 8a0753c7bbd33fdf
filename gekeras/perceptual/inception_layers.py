"""Which layers FID's network has, and so which arrays its file: Inception v3 (Szegedy et al. 2016), pools as of 2015."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class Conv(NamedTuple):
    """A convolution, its batch normalization and a ReLU; one of stride 2 has no padding."""

    height: int
    width: int
    channels: int
    stride: int = 1
    padding: str = "SAME"


# A list is one thing after another, a tuple side by side, joined; in the order in which files have the convolutions.
AVERAGE, MAX, HALVE = "average", "max", "halve"  # pools of 3x3: of stride 1, of which padding counts nothing; of stride 2


def _a(pooled: int) -> tuple:
    towers = [Conv(1, 1, 48), Conv(5, 5, 64)], [Conv(1, 1, 64), Conv(3, 3, 96), Conv(3, 3, 96)]
    return (Conv(1, 1, 64), *towers, [AVERAGE, Conv(1, 1, pooled)])


def _c(width: int) -> tuple:
    across, down = Conv(1, 7, width), Conv(7, 1, width)
    tower = [Conv(1, 1, width), down, across, down, Conv(1, 7, 192)]
    return Conv(1, 1, 192), [Conv(1, 1, width), across, Conv(7, 1, 192)], tower, [AVERAGE, Conv(1, 1, 192)]


def _e(pool: str) -> tuple:
    fork = (Conv(1, 3, 384), Conv(3, 1, 384))
    return Conv(1, 1, 320), [Conv(1, 1, 384), fork], [Conv(1, 1, 448), Conv(3, 3, 384), fork], [pool, Conv(1, 1, 192)]


LAYERS = [
    *(Conv(3, 3, 32, 2, "VALID"), Conv(3, 3, 32, 1, "VALID"), Conv(3, 3, 64), HALVE),
    *(Conv(1, 1, 80), Conv(3, 3, 192, 1, "VALID"), HALVE),
    *(_a(32), _a(64), _a(64)),
    (Conv(3, 3, 384, 2, "VALID"), [Conv(1, 1, 64), Conv(3, 3, 96), Conv(3, 3, 96, 2, "VALID")], HALVE),
    *(_c(128), _c(160), _c(160), _c(192)),
    (
        [Conv(1, 1, 192), Conv(3, 3, 320, 2, "VALID")],
        [Conv(1, 1, 192), Conv(1, 7, 192), Conv(7, 1, 192), Conv(3, 3, 192, 2, "VALID")],
        HALVE,
    ),
    *(_e(AVERAGE), _e(MAX)),
]


def shapes(layers: Any = None, channels: int = 3) -> Iterator[tuple[int, ...]]:
    """The shapes of the arrays that a file has: weight `[out, in, height, width]`, beta, mean, variance of each."""
    for layer, before in convolutions(LAYERS if layers is None else layers, channels)[0]:
        yield (layer.channels, before, layer.height, layer.width)
        yield from [(layer.channels,)] * 3


def convolutions(layer: Any, channels: int) -> tuple[list[tuple[Conv, int]], int]:
    """(Every convolution with the channels before it, in order; the channels behind the last.)"""
    if isinstance(layer, Conv):
        return [(layer, channels)], layer.channels
    if isinstance(layer, str):
        return [], channels
    found, widths = [], []
    for each in layer:
        inner, width = convolutions(each, channels)
        found += inner
        widths.append(width)
        channels = width if isinstance(layer, list) else channels
    return found, channels if isinstance(layer, list) else sum(widths)
