"""The size of a voxel in a file, read and written: resolution tags, ImageJ's and OME's metadata. All in micrometers.

References: TIFF 6.0, tags 282, 283 and 296; ImageJ's hyperstacks (spacing, unit); OME-XML, PhysicalSizeX.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..formats import tiff

SUFFIXES = (".tif", ".tiff")
_UNITS = {"nm": 1e-3, "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "mm": 1e3, "cm": 1e4, "m": 1e6}
_UNITS |= {"inch": 25400.0, "pm": 1e-6}
_OF_TAG = {2: 25400.0, 3: 1e4}  # ResolutionUnit: inch, centimeter
_CLASSIC = 2**32 - 2**24  # bytes of a TIFF that counts in 32 bits, its tags left room

Voxel = tuple[float, float, float]


def read(path: Path) -> Voxel | None:
    """The size `(z, y, x)` that a TIFF tells in a unit of length; None for other files, and where it tells less.

    A stack that tells x and y in a unit, and no distance of its slices, does not tell z: nothing is guessed.
    """
    if path.suffix.lower() not in SUFFIXES:
        return None
    with contextlib.suppress(Exception), tiff.opened(path) as file:  # damaged metadata says nothing
        size = _of_ome(file) if file.is_ome else _of_tags(file)
        if size and all(np.isfinite(side) and side > 0 for side in size):
            return size
    return None


def _of_tags(file: Any) -> Voxel | None:
    page, described = tiff.full_pages(file)[0], dict(file.imagej_metadata or {})
    if not described and file.shaped_metadata:
        described = file.shaped_metadata[0]
    unit = _UNITS.get(_plain(described.get("unit", "")), _OF_TAG.get(int(tiff.tag(page, 296, 2))))
    across, down, apart = tiff.tag(page, 282, None), tiff.tag(page, 283, None), described.get("spacing")
    if unit is None or not across or not down or apart is None:
        return None
    sides = float(apart), down[1] / down[0], across[1] / across[0]
    z, y, x = (float(f"{unit * side:.7g}") for side in sides)  # a rational of 32 bits has some seven digits
    return z, y, x


def _plain(unit: str) -> str:
    """`\\u00B5m`, as ImageJ writes it, the micro sign and the Greek letter are a u."""
    return str(unit).strip().replace("\\u00B5", "u").replace("\u00b5", "u").replace("\u03bc", "u").lower()


def _of_ome(file: Any) -> Voxel | None:
    text = file.ome_metadata or ""
    found: list[float] = []
    for axis in "ZYX":
        size = re.search(rf'PhysicalSize{axis}="([^"]+)"', text)
        unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', text)
        factor = _UNITS.get(_plain(unit.group(1))) if unit else 1.0  # OME's default is the micrometer
        if not size or factor is None:
            return None
        found.append(float(size.group(1)) * factor)
    z, y, x = found
    return z, y, x


def given(sizes: Sequence[float]) -> Voxel | None:
    """`--voxel` as three numbers."""
    if not sizes:
        return None
    z, y, x = [*sizes] * 3 if len(sizes) == 1 else sizes
    return z, y, x


def write(file: BinaryIO, volume: np.ndarray, voxel: Voxel | None) -> None:
    """A volume `[z, y, x]` of uint8, uint16 or float32 as a TIFF stack that ImageJ opens; BigTIFF beyond 4 GB."""
    import tifffile

    large = volume.nbytes > _CLASSIC
    metadata: dict[str, Any] = {"axes": "ZYX"}
    arguments: dict[str, Any] = {}
    if voxel:
        metadata |= {"spacing": voxel[0], "unit": "um"}
        arguments = {"resolution": (1 / voxel[2], 1 / voxel[1]), "resolutionunit": "NONE"}
    with tifffile.TiffWriter(file, imagej=not large, bigtiff=large) as writer:
        planes = (np.ascontiguousarray(plane) for plane in volume)
        arguments |= {} if large else {"contiguous": True}
        kind: dict[str, Any] = {"shape": volume.shape, "dtype": volume.dtype, "photometric": "minisblack"}
        writer.write(planes, **kind, metadata=metadata, **arguments)
