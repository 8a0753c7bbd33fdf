"""`gekeras.restore.encode` and `decode`: from pictures to a code file, and back. The work itself is `compress`'s."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import images
from ..files import PathLike
from ..networks import presets
from . import codes


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
) -> Encoded:
    """Compress picture files: the code m = E(x) of each, in one file. What `gekeras encode` does.

    Args:
        inputs: picture files, cropped square and reduced to the preset's size.
        output: `.npz` file.
        preset, models: as `networks.ModelOptions`.
        bits: 32, 16 or 8 for each number.
        align: the largest face of each photograph instead of its center square.

    Raises:
        ValueError: an unknown preset, an unreadable or too small picture, no face, or a place that cannot be written.
    """
    loaded = presets.load(str(preset), models)
    loaded.task_parameters("reconstruct")
    inputs = [Path(path) for path in inputs]
    for path in inputs:
        images.size(path)
    codes.check_output(output)

    from . import compress  # TensorFlow, which takes seconds

    file, error = compress.encode(inputs, loaded, bits, align=align)
    codes.save(output, file)
    return Encoded(Path(output), file, error)


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
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Pictures from a code file: what `gekeras decode` does. The receiver needs the preset and the file, nothing else.

    Args:
        output: a file for one code, a folder for several.
        preset, models: as `networks.ModelOptions`.
        fidelity, changes, batch: as `restore.files`.
        preview: the autoencoder's own picture, without solving.
        progress: called with (steps done, steps in all).

    Returns:
        The files written, in the order of the codes.

    Raises:
        ValueError: an unknown preset, a file that is no code file or one of another preset or encoder, options that need the
            picture itself, or a place that cannot be written.
    """
    loaded = presets.load(str(preset), models)
    code = Path(code)
    file = codes.load(code)
    loaded.task_parameters(file.task)

    from . import compress  # TensorFlow, which takes seconds

    paths = compress.output_paths(file, Path(output))
    pictures = compress.decode(file, code, loaded, fidelity, changes or {}, preview=preview, batch=batch, progress=progress)
    compress.write(paths, pictures)
    return paths
