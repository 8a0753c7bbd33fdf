"""What every format is turned into: the arguments of a `Generator` and the weights of its layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Weights = dict[str, list[np.ndarray]]  # layer -> its arrays


@dataclass(frozen=True)
class ImportedGenerator:
    """A generator trained elsewhere, as weights of `gekeras.models.pgan.Generator`.

    Attributes:
        config: arguments of `Generator`.
        weights: layer name -> its arrays. `dense_4` may have a bias of its own, one number for each of its outputs in the
            order (4, 4, channels); there is no `bias_4` then.
        tanh: whether the images go through tanh.
        source: what `preset.json` says of where they come from.
    """

    config: dict[str, Any]
    weights: Weights
    tanh: bool
    source: dict[str, Any]


def quoted(value: Any) -> str:
    """A value of a file for a message, short: the text of a nested one could be longer than the file by any factor."""
    return f"{value!r:.80}" if isinstance(value, (str, int, float, type(None))) else type(value).__name__


def take(arrays: Mapping[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """An array as float32. Raises ValueError if it is missing, of another shape, or not of finite numbers."""
    if name not in arrays:
        raise ValueError(f"it lacks {name}")
    array = arrays[name]
    if np.shape(array) != shape:
        raise ValueError(f"{name} has shape {np.shape(array)}, not {shape}")
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{name} ({array.dtype}) is not made of finite floating point numbers")
    return array.astype(np.float32)


def shape_of(arrays: Mapping[str, np.ndarray], name: str, dimensions: int) -> tuple[int, ...]:
    """Shape of an array. Raises ValueError if it is missing or has another number of dimensions, or none of length."""
    shape = np.shape(arrays[name]) if name in arrays else ()
    if len(shape) != dimensions or 0 in shape:
        raise ValueError(f"{name} has shape {shape}, not {dimensions} dimensions" if name in arrays else f"it lacks {name}")
    return shape


def config_of(widths: list[int], channels: int, latent_size: int) -> dict[str, Any]:
    """Arguments of the `Generator` whose blocks at 4, 8, 16, ... pixels have these widths: w(r) = min(2 base / r, max).

    Raises ValueError if there is none.
    """
    sizes = [4 * 2**k for k in range(len(widths))]
    base, most = max(w * r // 2 for w, r in zip(widths, sizes)), widths[0]
    if [min(2 * base // r, most) for r in sizes] != widths:
        raise ValueError(f"its blocks have {', '.join(map(str, widths))} channels, not min(2 base / r, max) for any two")
    if channels not in (1, 3):
        raise ValueError(f"its images have {channels} channels, not 1 or 3")
    shape = dict(resolution=sizes[-1], channels=channels, latent_size=latent_size)
    return dict(**shape, fmap_base=base, fmap_max=most, fade=False)
