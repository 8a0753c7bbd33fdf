"""A picture larger than a model: cut into overlapping tiles, and the tiles blended again.

Every pixel is a weighted mean of the tiles that cover it. The weights rise smoothly from a tile's rim, so no seam shows
where two tiles disagree, and are positive everywhere, so tiles that agree give back the picture.
"""

from __future__ import annotations

import numpy as np

_FLOOR = 1e-3  # weight of a rim pixel at the least: small beside 1, far above float32's rounding


def starts(length: int, tile: int, overlap: int) -> list[int]:
    """Origins of the fewest tiles that cover `length` pixels, evenly placed: the first 0, the last `length - tile`.

    Neighbors share at least `overlap` pixels.

    Raises:
      ValueError: `length` under `tile`, `tile` under 1, or `overlap` outside 0..tile - 1.
    """
    if tile < 1 or length < tile:
        raise ValueError(f"a length of {length} does not hold a tile of {tile}")
    if not 0 <= overlap < tile:
        raise ValueError(f"overlap must be in 0..{tile - 1} for tiles of {tile}, received {overlap}")
    last, step = length - tile, tile - overlap
    gaps = -(-last // step)  # rounded up
    return [k * last // gaps for k in range(gaps + 1)] if gaps else [0]


def split(image: np.ndarray, tile: int, overlap: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """The tiles `[n, tile, tile, c]` of `[h, w, c]`, row by row, and the (top, left) of each. Raises: as `starts`.

    Example:
        >>> tiles, places = split(np.zeros((8, 12, 3)), tile=8, overlap=4)
        >>> tiles.shape, places
        ((2, 8, 8, 3), [(0, 0), (0, 4)])
    """
    image = np.asarray(image)
    if image.ndim != 3:
        raise ValueError(f"an image has shape [h, w, c], received {list(image.shape)}")
    down, across = (starts(length, tile, overlap) for length in image.shape[:2])
    places = [(top, left) for top in down for left in across]
    return np.stack([image[top : top + tile, left : left + tile] for top, left in places]), places


def blend(tiles: np.ndarray, places: list[tuple[int, int]], shape: tuple[int, int], factor: int = 1) -> np.ndarray:
    """One float32 picture `[height * factor, width * factor, c]` of the tiles; the inverse of `split` up to rounding.

    Args:
      tiles: `[n, t, t, c]`, `factor` times as large as they were cut.
      places: (top, left) of each in the picture that was cut, as `split` gives them.
      shape: (height, width) of that picture.

    Raises:
      ValueError: tiles and places that do not fit each other or the shape, or that leave a pixel uncovered.
    """
    tiles = np.asarray(tiles)
    if tiles.ndim != 4 or tiles.shape[1] != tiles.shape[2] or len(tiles) != len(places) or not len(tiles):
        raise ValueError(f"expected {len(places)} tiles as [n, t, t, c], received {list(tiles.shape)}")
    side = tiles.shape[1]
    if factor < 1 or side % factor:
        raise ValueError(f"factor must divide the tiles' side {side}, received {factor}")
    height, width = (factor * n for n in shape)
    corners = factor * np.asarray(places)
    if corners.min() < 0 or (corners + side > (height, width)).any():
        raise ValueError(f"tiles of {side // factor} at {places[0]}..{places[-1]} leave the {shape[0]}x{shape[1]} picture")
    ramps = [_ramps(corners[:, axis], side) for axis in (0, 1)]
    total, weight = np.zeros((height, width, tiles.shape[3])), np.zeros((height, width, 1))
    for tile, (top, left) in zip(tiles, corners):
        window = np.multiply.outer(ramps[0][top], ramps[1][left])[..., None]
        area = np.s_[top : top + side, left : left + side]
        total[area] += window * tile
        weight[area] += window
    if not weight.all():
        raise ValueError(f"the tiles do not cover the {shape[0]}x{shape[1]} picture")
    return (total / weight).astype(np.float32)


def _ramps(origins: np.ndarray, side: int) -> dict[int, np.ndarray]:
    """Origin -> weights `[side]`: 1 where the tile is alone, falling smoothly to the rim over what neighbors share.

    The fall is as wide as what a tile shares with its next neighbor, so the weights of two neighbors sum to 1.
    """
    places = np.unique(origins)
    shares = side - np.diff(places)
    ramps = {}
    for k, origin in enumerate(places):
        before = shares[k - 1] if k else 0  # the picture's own rim: nothing to blend with
        after = shares[k] if k < len(shares) else 0
        ramps[int(origin)] = np.minimum(_rise(side, before), _rise(side, after)[::-1])
    return ramps


def _rise(side: int, width: int) -> np.ndarray:
    """`[side]`: a raised cosine from near 0 to 1 over the first `width` pixels, then 1."""
    t = np.clip((np.arange(side) + 0.5) / max(width, 0.5), 0, 1)
    return np.maximum((1 - np.cos(np.pi * t)) / 2, _FLOOR)
