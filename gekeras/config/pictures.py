"""How a picture file becomes the pieces that are solved."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from .rules import as_paths, documented, require, setting

Box = tuple[int, int, int, int]


@documented
@dataclass(frozen=True)
class PictureOptions:
    """What is asked of every picture of a call.

    Raises:
        ValueError: mask and box, align and tile, simulate and reference, or reduce and one of align, tile and simulate
            together, skip_faceless without align, or levels that are none.

    Example:
        >>> PictureOptions(box=(20, 24, 24, 24)).simulate
        False
        >>> PictureOptions(align=True, tile=True)
        Traceback (most recent call last):
        ValueError: align takes faces out of a photograph and tile cuts it up: give one of them
    """

    simulate: bool = setting(
        False, "Take the input as the truth: degrade it, restore it, report MSE, PSNR, SSIM of the result."
    )
    mask: Path | None = setting(  # noqa: RUF009
        None,
        "inpaint: a picture of the same size, white where pixels are missing, black (or transparent) where they are known. "
        "Of two values, as 0 and 1, the one that is not black is missing.",
    )
    box: Box | None = setting(None, "inpaint: the missing rectangle, in pixels of the input.")  # noqa: RUF009
    align: bool = setting(False, "Find the faces of a photograph, restore each, put them back.")
    tile: bool = setting(False, "Cut a picture that is larger than the model into overlapping tiles.")
    reference: Path | None = setting(  # noqa: RUF009
        None,
        "The true picture, of the size of the result (or of what is cut to it in the same way): report MSE, PSNR, SSIM "
        "against it.",
    )
    levels: tuple[float, ...] = setting(
        (), "Values of the file that become black and white, as 0,4095 for 12 bits that lie in 16.", items=float
    )
    skip_faceless: bool = setting(
        False, "With align: leave out photographs in which no face is found, instead of refusing all."
    )
    reduce: bool = setting(
        False,
        "superres: crop a large picture square and reduce it to the size that the encoder was trained with, instead of "
        "refusing it.",
    )

    def __post_init__(self):
        as_paths(self, "mask", "reference")
        if self.mask is not None and self.box is not None:
            raise ValueError("give a mask or a box, not both")
        if self.align and self.tile:
            raise ValueError("align takes faces out of a photograph and tile cuts it up: give one of them")
        if self.simulate and self.reference is not None:
            raise ValueError("simulate takes the input itself as the truth: leave out the reference, or simulate")
        if self.skip_faceless and not self.align:
            raise ValueError("skip_faceless leaves out photographs in which align finds no face: give align, too")
        whole = [name for name in ("simulate", "align", "tile") if getattr(self, name)]
        if self.reduce and whole:
            raise ValueError(f"reduce makes a small picture of the input, and {whole[0]} needs all of it: give one of them")
        rising = len(self.levels) == 2 and -math.inf < self.levels[0] < self.levels[1] < math.inf
        require(not self.levels or rising, "levels must be two numbers that rise, those of black and white", self.levels)

    @property
    def as_it_is(self) -> bool:
        """Whether superres takes the input itself as the small picture, of whatever size, and makes none of it first."""
        return not (self.simulate or self.align or self.tile or self.reduce)

    @property
    def companions(self) -> dict[str, Path]:
        """Name -> path of the pictures that are read beside the inputs."""
        return {name: path for name, path in (("mask", self.mask), ("reference", self.reference)) if path is not None}
