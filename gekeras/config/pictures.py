"""How a picture file becomes the pieces that are solved."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .rules import as_paths

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class PictureOptions:
    """What is asked of every picture of a call.

    Attributes:
        simulate: take the picture as the truth and degrade it.
        mask, box: where pixels are missing: a picture of the same size (white is missing), or (x, y, width, height) in
            pixels of the input.
        align: find the faces, restore each, and put them back.
        tile: cut a picture that is larger than the model into overlapping tiles.
        reference: the true picture, of the size of the result (or of what is cut to it in the same way), to score against.

    Raises:
        ValueError: mask and box, or align and tile, together.

    Example:
        >>> PictureOptions(box=(20, 24, 24, 24)).simulate
        False
        >>> PictureOptions(align=True, tile=True)
        Traceback (most recent call last):
        ValueError: align takes faces out of a photograph and tile cuts it up: give one of them
    """

    simulate: bool = False
    mask: Path | None = None
    box: Box | None = None
    align: bool = False
    tile: bool = False
    reference: Path | None = None

    def __post_init__(self):
        as_paths(self, "mask", "reference")
        if self.mask is not None and self.box is not None:
            raise ValueError("give a mask or a box, not both")
        if self.align and self.tile:
            raise ValueError("align takes faces out of a photograph and tile cuts it up: give one of them")

    @property
    def companions(self) -> dict[str, Path]:
        """Name -> path of the pictures that are read beside the inputs."""
        return {name: path for name, path in (("mask", self.mask), ("reference", self.reference)) if path is not None}
