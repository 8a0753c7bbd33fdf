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
from . import codes, effects, latents, paths


@dataclass(frozen=True, eq=False)
class Encoded:
    """A code file that was written.

    Attributes:
        path: of the file.
        file: what it holds.
        error: MSE between the pictures and the decoder's from the codes as stored, or the generator's from the latents as
            stored, on [-1, 1].
    """

    path: Path
    file: codes.CodeFile | latents.LatentFile
    error: float

    def summary(self) -> str:
        """`code.npz: 1 code of 256 numbers at 8 bits: 0.52 bits per pixel ...`."""
        n, k = self.file.code.shape
        side, plural = self.file.resolution, "s" if n > 1 else ""
        if isinstance(self.file, latents.LatentFile):
            what, density, whose = f"latent{plural} of {k} bytes", 8 * k / side**2, "generator"
        else:
            bits = self.file.bits
            what, whose = f"code{plural} of {k} numbers at {bits} bits", "decoder"
            density = codes.bits_per_pixel(k, bits, side)
        return (
            f"{self.path}: {n} {what}: {density:.3f} bits per pixel of {side}x{side}, "
            f"{self.path.stat().st_size:,} bytes with names and header; the {whose}'s picture has MSE {self.error:.4f}"
        )


def encode(
    inputs: Sequence[PathLike],
    output: PathLike,
    *,
    preset: PathLike = presets.DEFAULT,
    models: PathLike | None = None,
    bits: int | None = None,
    size: int | None = None,
    align: bool = False,
    skip_faceless: bool = False,
    levels: tuple[float, ...] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> Encoded:
    """Compress picture files: the code m = E(x) of each, or its latent, in one file. What `gekeras encode` does.

    Args:
        inputs: picture files, cropped square and reduced to the preset's size.
        output: `.npz` file; one that is there is replaced.
        preset, models: as `networks.ModelOptions`.
        bits: 32, 16 or 8 for each number of the code; 32 by default.
        size: bytes a picture; its latent z in so many is searched, by the picture itself, instead of taking its code.
        align: the largest face of each photograph instead of its center square.
        skip_faceless: leave out photographs in which no face is found, instead of refusing all.
        levels: of gray pictures, the values that become black and white, as `images.read` has them.
        tell: called with lines for the user: what was left out, what was done to a file.

    Raises:
        ValueError: an unknown preset, an unreadable or too small picture, no face, a place that cannot be written, or what
            could not be read again: too many pictures for a file; bits and size together, a preset without a starter, or
            a picture whose latent did not come into so few bytes.
    """
    if isinstance(inputs, str) or not inputs:
        raise ValueError(f"inputs must be one picture file or more, in a list; received {inputs!r}")
    options = PictureOptions(align=align, skip_faceless=skip_faceless, levels=levels)
    loaded = presets.load(str(preset), models)
    loaded.task_parameters("reconstruct")
    sources = [Path(path) for path in inputs]
    for path in sources:
        images.size(path)
    paths.check_apart([Path(output)], sources)
    if size is not None:
        return _encode_latents(sources, output, loaded, bits, size, options, tell)
    bits = 32 if bits is None else bits
    codes.check_save(output, _empty(sources, loaded, bits))

    from . import compress  # TensorFlow, which takes seconds

    file, error = compress.encode(sources, loaded, bits, options, tell)
    codes.save(output, file)
    return Encoded(Path(output), file, error)


def _encode_latents(inputs, output, preset, bits, size, options, tell) -> Encoded:
    latents.check_size(size)
    if bits is not None:
        raise ValueError(
            "bits are of a code's numbers, and a latent has the bytes that it is given: give one of bits and bytes"
        )
    if not preset.has("starter-reconstruct"):
        raise ValueError(f"preset {preset.name} has no starter for reconstruct, whose metric latents are rounded by")
    if preset.latent != "normal":
        raise ValueError(f"preset {preset.name} has {preset.latent} latents; those of so many bytes are normal ones")
    row, names = np.zeros((len(inputs), size), np.uint8), [path.name for path in inputs]
    latents.check_save(output, latents.LatentFile(row, names, preset.name, "reconstruct", "0", "0", preset.resolution))

    from . import compress  # TensorFlow, which takes seconds

    file, error = compress.encode_latents(inputs, preset, size, options, tell)
    latents.save(output, file)
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
            picture itself or change nothing, or a place that cannot be written.
    """
    if preview:
        effects.check_preview(fidelity, changes or {})
    loaded = presets.load(str(preset), models)
    code = Path(code)
    file = latents.load(code)
    loaded.task_parameters(file.task)
    if isinstance(file, latents.LatentFile):
        latents.check_effect(code, fidelity, changes or {}, preview)
    written = paths.decoded_paths(file.names, output)
    paths.check_apart(written, [code])

    from . import compress  # TensorFlow, which takes seconds

    if isinstance(file, latents.LatentFile):
        pictures = compress.decode_latents(file, code, loaded, batch)
    else:
        pictures = compress.decode(
            file, code, loaded, fidelity, changes or {}, preview=preview, batch=batch, tell=tell, progress=progress
        )
    compress.write(written, pictures)
    return written
