"""How a volume is restored slice by slice."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from .rules import as_paths, check, documented, require, setting

AXES = ("z", "y", "x")


@documented
@dataclass(frozen=True)
class SliceOptions:
    """How a volume is restored slice by slice, see `gekeras.volumes.restore`.

    Raises:
        ValueError: a value that its attribute does not allow, warm_steps without warm_start, or a threshold without a truth.

    Example:
        >>> SliceOptions(axis="y", warm_start=4).across
        ('z', 'x')
        >>> SliceOptions(warm_start=1)
        Traceback (most recent call last):
        ValueError: warm_start must be 0, or 2 or more slices that one of them starts; received 1
    """

    axis: str = setting("z", "Axis along which the volume is sliced.", choices=AXES)
    simulate: bool = setting(
        False, "Take the volume as the truth: degrade every slice, restore it, and compare what comes out with the truth."
    )
    mask: Path | None = setting(  # noqa: RUF009
        None, "inpaint: a volume of the same shape, not 0 where voxels are missing; without it --simulate makes holes."
    )
    crop: int = setting(
        0,
        "Restore only the middle square of each slice, so many voxels a side; 0: all of it, tiled if need be.",
        minimum=0,
    )
    warm_start: int = setting(
        0,
        "Solve the middle one of every so many neighboring slices first; the others start from its latent. 0: each slice "
        "starts by itself.",
        minimum=0,
    )
    warm_steps: int = setting(
        0, "Evaluations for z of the slices that start from a neighbor's latent; 0: as many as the others have.", minimum=0
    )
    threshold: float | None = setting(
        None, "Gray value up to which a voxel is pore; by default Otsu's threshold of the true volume."
    )
    smallest_pore: int = setting(
        27, "Smallest pore that is counted, in voxels; in a cut its two thirds' power, 9 pixels of 27 voxels.", minimum=1
    )
    voxel: tuple[float, ...] = setting(
        (), "Size of a voxel in micrometers, one number or those of z,y,x; by default what a TIFF says.", items=float
    )

    def __post_init__(self):
        as_paths(self, "mask")
        check(self)
        most = self.warm_start != 1
        require(most, "warm_start must be 0, or 2 or more slices that one of them starts", self.warm_start)
        if self.warm_steps and not self.warm_start:
            raise ValueError("warm_steps is for slices that start from a neighbor: give warm_start, too")
        sizes = len(self.voxel) in (0, 1, 3) and all(0 < size < math.inf for size in self.voxel)
        require(sizes, "voxel must be one size above 0, or three of z, y, x", self.voxel)

    @property
    def number(self) -> int:
        """0, 1 or 2: of the axis."""
        return AXES.index(self.axis)

    @property
    def across(self) -> tuple[str, str]:
        """The other two axes: a volume that is cut along them shows whether neighboring slices agree."""
        first, second = (axis for axis in AXES if axis != self.axis)
        return first, second
