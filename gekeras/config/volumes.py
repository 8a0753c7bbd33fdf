"""How a volume becomes pictures."""

from __future__ import annotations

from dataclasses import dataclass

from .rules import check, documented, require, setting


@documented
@dataclass(frozen=True)
class VolumeOptions:
    """How a volume becomes pictures, see `gekeras.data.volumes`.

    Raises:
        ValueError: axes, sizes or levels that are none.

    Example:
        >>> VolumeOptions(axes=(0,), crop=128, stride=64).levels
        ()
    """

    axes: tuple[int, ...] = setting(
        (0, 1, 2), "Volumes: axes to slice along, 0,1,2 by default; 0 for stacks of plain pictures.", items=int
    )
    crop: int = setting(0, "Volumes: side of the squares cut from a slice; 0 takes the largest.", minimum=0)
    stride: int = setting(
        0, "Volumes: from a square to the next; 0 takes the one in the middle, as the paper does.", minimum=0
    )
    shape: tuple[int, ...] = setting((), "Volumes: shape of a raw file, slowest axis first.", items=int)
    dtype: str = setting("uint8", "Volumes: of a raw file, as NumPy names it: <u2 is little-endian 16 bits.")
    levels: tuple[float, ...] = setting(
        (),
        "Volumes and gray pictures: values of black and white; by default 0 and 255 for 8 bits, else a volume's own range.",
        items=float,
    )

    def __post_init__(self):
        check(self)
        right = bool(self.axes) and set(self.axes) <= {0, 1, 2} and len(set(self.axes)) == len(self.axes)
        require(right, "axes must be some of 0, 1, 2, each once", self.axes)
        require(len(self.shape) in (0, 3) and all(n > 0 for n in self.shape), "shape must be three sizes", self.shape)
        rising = not self.levels or (len(self.levels) == 2 and self.levels[0] < self.levels[1])
        require(rising, "levels must rise", self.levels)
