"""Pictures -> code files -> pictures: what `gekeras encode` and `gekeras decode` do.

Compression is the reconstruction task cut in two: the sender computes m = E(x), the receiver solves equation (3) for it.
Or, in so many bytes, the sender solves for z, and the receiver draws G(z) (`rate`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import files, images, metrics
from ..config import PictureOptions
from ..generative_encoder import GenerativeEncoder
from ..networks import presets
from ..pictures.observations import Request, observe_all
from . import codes, latents, memory, rate

TASK = "reconstruct"


def encode(
    inputs: list[Path],
    preset: presets.Preset,
    bits: int,
    options: PictureOptions = PictureOptions(),  # noqa: B008 (frozen)
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[codes.CodeFile, float]:
    """The codes of pictures, cropped square and reduced to the preset's size, or of each photograph's largest face.

    Args:
        options: whether the faces are looked for, and photographs without one left out.
        tell: called with lines for the user: which those are, and what was done to a file.

    Returns:
        The file's contents, and the MSE between the decoder's pictures from the codes as stored and the pictures.

    Raises:
        ValueError: an unreadable or too small picture, or no face.
    """
    model = GenerativeEncoder.from_preset(preset, TASK)
    pictures, names = _observed(model, inputs, preset, options, tell)
    rounds = memory.slices(len(pictures), memory.for_decoding(model, pictures[:1]).size)
    packed = codes.quantize(np.concatenate([model.encode(pictures[part]) for part in rounds]), bits)
    stored = codes.dequantize(packed)
    drawn = np.concatenate([model.decode(stored[part]) for part in rounds])
    file = codes.CodeFile(
        stored,
        names,
        preset.name,
        TASK,
        preset.part_checksum(f"encoder-{TASK}"),
        preset.resolution,
        bits,
    )
    return file, float(np.mean(metrics.mse(np.clip(drawn, -1, 1), pictures)))


def _observed(model, inputs, preset, options, tell) -> tuple[np.ndarray, list[str]]:
    items = observe_all(inputs, Request(model.task, preset.resolution, preset.channels, options), tell)
    for line in filter(None, (item.note for item in items)):
        tell(line)
    return np.concatenate([item.measurements[:1] for item in items]), [item.path.name for item in items]


def encode_latents(
    inputs: list[Path],
    preset: presets.Preset,
    size: int,
    options: PictureOptions = PictureOptions(),  # noqa: B008 (frozen)
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[latents.LatentFile, float]:
    """As `encode`: the latents of pictures in `size` bytes each, and the MSE of the pictures that they give.

    Raises:
        ValueError: as `encode`, or a picture whose latent did not come into so few bytes.
    """
    model = GenerativeEncoder.from_preset(preset, TASK)
    pictures, names = _observed(model, inputs, preset, options, tell)
    solve = model.options("fast", pixel_weight=1.0)  # one pass through E more than this search has
    at_once = memory.for_solve(model, solve, model.target(pictures[:1], solve)).size
    coder = rate.Coder(model.generator, model.starter.inverse_curvature)
    found = [
        coder.solve(pictures[i], model.starter(model.encode(pictures[i])), size)
        for i in memory.slices(len(pictures), at_once)
    ]
    rows, drawn = (np.concatenate(part) for part in zip(*found))
    file = latents.LatentFile(rows, names, preset.name, TASK, *_parts(preset), preset.resolution)
    return file, float(np.mean(metrics.mse(drawn, pictures)))


def _parts(preset: presets.Preset) -> tuple[str, str]:
    """Checksums of what latents are of."""
    return preset.part_checksum("generator"), preset.part_checksum(f"starter-{TASK}")


def decode_latents(file: latents.LatentFile, path: Path, preset: presets.Preset, batch: int | None = None) -> np.ndarray:
    """Pictures `[n, h, w, c]` in [-1, 1] of latents: the generator's, at once.

    Raises:
        ValueError: latents of another preset, generator or starter, or rows that are damaged.
    """
    generator, starter = _parts(preset)
    latents.check(file, path, preset=preset.name, generator=generator, starter=starter)
    model = GenerativeEncoder.from_preset(preset, TASK)
    coder = rate.Coder(model.generator, model.starter.inverse_curvature)
    at_once = memory.for_decoding(model, np.zeros((1, *model.image_shape)), batch).size
    return codes.guarded(
        path, lambda: np.concatenate([coder.pictures(file.code[i]) for i in memory.slices(len(file.code), at_once)])
    )


def decode(
    file: codes.CodeFile,
    path: Path,
    preset: presets.Preset,
    fidelity: str,
    changes: Mapping[str, Any],
    *,
    preview: bool = False,
    batch: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Pictures `[n, h, w, c]` in [-1, 1] from their codes.

    Args:
        path: where the code was read from, for messages.
        fidelity, changes: as `GenerativeEncoder.options`.
        preview: DC(m) instead of a solve.
        batch: codes at once; None: what the memory holds.
        tell: called with a line where the preset has no starter to begin with.

    Raises:
        ValueError: a code of another preset or encoder, or options that need the picture itself.
    """
    size = preset.info["code_size"]
    codes.check(file, path, preset=preset.name, encoder=preset.part_checksum(f"encoder-{file.task}"), size=size)
    model = GenerativeEncoder.from_preset(preset, file.task)
    if preview:
        rounds = memory.slices(len(file.code), memory.for_decoding(model, np.zeros((1, *model.image_shape)), batch).size)
        return np.clip(np.concatenate([model.decode(file.code[part]) for part in rounds]), -1, 1)
    given = {name: value for name, value in changes.items() if value is not None}
    options = model.options(fidelity, **{"pixel_weight": 0.0, **given})  # a code has no pixels to compare with
    target = model.code_target(file.code[:1], options)
    if line := model.note(fidelity, **{"pixel_weight": 0.0, **given}):
        tell(line)
    at_once = memory.for_solve(model, options, target, batch).size
    rounds = memory.slices(len(file.code), at_once)
    total, chunk = len(rounds) * options.steps, max(1, options.steps // 50)
    pictures: list[np.ndarray] = []
    for part in rounds:
        done = len(pictures) * options.steps

        def callback(step, loss, latent, done=done):
            progress(done + step, total)

        solution = model.solve_code(file.code[part], options, callback=callback, chunk=chunk, at_once=at_once)
        pictures.append(np.clip(solution.image, -1, 1))
    return np.concatenate(pictures)


def write(paths: list[Path], pictures: np.ndarray) -> None:
    """Each picture to its path; a folder is made when there is something to put into it."""
    for path, picture in zip(paths, pictures):
        with files.together(path.parent):
            images.write(path, picture)
