"""`gekeras.restore.encode` and `decode`: from pictures to a code file, and back. The work itself is `compress`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import images
from ..config import PictureOptions
from ..files import PathLike
from ..networks import presets
from . import codes, effects, paths


@dataclass(frozen=True, eq=False)
class Encoded:
    """A code file that was written.

    Attributes:
        path: of the file.
        file: what it holds.
        error: MSE between the decoder's pictures from the codes as stored and the pictures, on [-1, 1].
    """

    path: Path
    file: codes.CodeFile
    error: float

    def summary(self) -> str:
        """`code.npz: 1 code of 256 numbers at 8 bits: 0.52 bits per pixel ...`."""
        n, k = self.file.code.shape
        bits, side = self.file.bits, self.file.resolution
        return (
            f"{self.path}: {n} code{'s' if n > 1 else ''} of {k} numbers at {bits} bits: "
            f"{codes.bits_per_pixel(k, bits, side):.3f} bits per pixel of {side}x{side}, "
            f"{self.path.stat().st_size:,} bytes with names and header; the decoder's picture has MSE {self.error:.4f}"
        )


def encode(
    inputs: Sequence[PathLike],
    output: PathLike,
    *,
    preset: PathLike = presets.DEFAULT,
    models: PathLike | None = None,
    bits: int = 32,
    align: bool = False,
    skip_faceless: bool = False,
    levels: tuple[float, ...] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> Encoded:
    """Compress picture files: the code m = E(x) of each, in one file. What `gekeras encode` does.

    Args:
        inputs: picture files, cropped square and reduced to the preset's size.
        output: `.npz` file; one that is there is replaced.
        preset, models: as `networks.ModelOptions`.
        bits: 32, 16 or 8 for each number.
        align: the largest face of each photograph instead of its center square.
        skip_faceless: leave out photographs in which no face is found, instead of refusing all.
        levels: of gray pictures, the values that become black and white, as `images.read` has them.
        tell: called with lines for the user: what was left out, what was done to a file.

    Raises:
        ValueError: an unknown preset, an unreadable or too small picture, no face, a place that cannot be written, or what
            could not be read again: too many pictures for a file.
    """
    if isinstance(inputs, str) or not inputs:
        raise ValueError(f"inputs must be one picture file or more, in a list; received {inputs!r}")
    options = PictureOptions(align=align, skip_faceless=skip_faceless, levels=levels)
    loaded = presets.load(str(preset), models)
    loaded.task_parameters("reconstruct")
    inputs = [Path(path) for path in inputs]
    for path in inputs:
        images.size(path)
    paths.check_apart([Path(output)], inputs)
    codes.check_save(output, _empty(inputs, loaded, bits))

    from . import compress  # TensorFlow, which takes seconds

    file, error = compress.encode(inputs, loaded, bits, options, tell)
    codes.save(output, file)
    return Encoded(Path(output), file, error)


def _empty(inputs: list[Path], preset: presets.Preset, bits: int) -> codes.CodeFile:
    """A code file of these pictures in all but the numbers."""
    code = np.zeros((len(inputs), preset.info.get("code_size", 1)), np.float32)
    names, encoder = [path.name for path in inputs], preset.part_checksum("encoder-reconstruct")
    return codes.CodeFile(code, names, preset.name, "reconstruct", encoder, preset.resolution, bits)


def decode(
    code: PathLike,
    output: PathLike,
    *,
    preset: PathLike = presets.DEFAULT,
    models: PathLike | None = None,
    fidelity: str = "fast",
    changes: Mapping[str, Any] | None = None,
    preview: bool = False,
    batch: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Pictures from a code file: what `gekeras decode` does. The receiver needs the preset and the file, nothing else.

    Args:
        output: a file for one code; or a folder for any, see `paths.decoded_paths`. Files that are there are replaced.
        preset, models: as `networks.ModelOptions`.
        fidelity, changes, batch, tell: as `restore.files`.
        preview: the autoencoder's own picture, without solving.
        progress: called with (steps done, steps in all).

    Returns:
        The files written, in the order of the codes.

    Raises:
        ValueError: an unknown preset, a file that is no code file or one of another preset or encoder, options that need the
            picture itself, or a place that cannot be written.
    """
    if preview:
        effects.check_preview(fidelity, changes or {})
    loaded = presets.load(str(preset), models)
    code = Path(code)
    file = codes.load(code)
    loaded.task_parameters(file.task)
    written = paths.decoded_paths(file.names, output)
    paths.check_apart(written, [code])

    from . import compress  # TensorFlow, which takes seconds

    pictures = compress.decode(
        file, code, loaded, fidelity, changes or {}, preview=preview, batch=batch, tell=tell, progress=progress
    )
    compress.write(written, pictures)
    return written
