"""Picture files restored by a server, and written as `restore.files` writes them: what `gekeras solve --server` does."""

from __future__ import annotations

import io
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .. import files, images
from .._version import __version__
from ..config import PictureOptions, to_dict
from ..pictures import holes
from ..restore import paths
from ..restore.pipeline import Result
from .client import MASKED, Client, Reply, ServerError


def restore(
    inputs: Sequence[Path],
    task: str,
    client: Client,
    *,
    pictures: PictureOptions = PictureOptions(),  # noqa: B008 (frozen)
    output: files.PathLike | None = None,
    seed: int = 0,
    steps: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Restore picture files by a server.

    Args:
        inputs: picture files of the size that the model takes, read as `images.read` does.
        pictures: a mask or a box; nothing else.
        output: as `restore.Outputs` has it.
        seed, steps: as `Client.solve` has them.
        tell: called with lines for the user.

    Raises:
        ValueError: an input or a place as `restore.paths.plan` refuses it, a hole as `holes.find`, or as `Client.solve`.
        ServerError: as `Client.solve`, once the pictures that came back are written.
    """
    places = paths.plan(list(inputs), pictures, paths.Outputs(output))
    steps = client.preset_steps(task) if steps is None else steps
    sent = [sendable(path, tell) for path in inputs]
    masks = _masks(inputs, task, pictures, tell)
    names, start = [path.name if len(inputs) < 2 else str(path) for path in inputs], time.monotonic()
    fault = None
    try:
        replies: Sequence[Reply | None] = client.solve(task, sent, masks=masks, seed=seed, steps=steps, names=names)
    except ServerError as error:
        replies, fault = error.replies, error
    came = sum(reply is not None for reply in replies)
    seconds = (time.monotonic() - start) / max(came, 1)
    asked = _asked(client, task, pictures, seed, steps)
    results = [
        _result(path, source, reply, {**asked, "seconds": seconds})
        for path, source, reply in zip(places.pictures, inputs, replies)
        if reply is not None
    ]
    for result, reply in zip(results, filter(None, replies)):
        _write(result, reply)
    if fault:
        rest = f" ({came} of {len(inputs)} pictures were restored and written)" if came else ""
        raise ServerError(f"{fault}{rest}", replies) from fault
    return results


def sendable(path: Path, tell: Callable[[str], None] = lambda text: None) -> bytes:
    """A picture file as a PNG of what `images.read` makes of it: upright, in sRGB, over white; gray keeps its 16 bits.

    Raises:
        images.ImageError: as `images.read`.
    """
    unit = (images.read(path).astype(np.float64) + 1) / 2
    levels = np.rint(unit * 255).astype(np.uint8)
    if np.abs(unit - levels / 255).max() > 1e-6:
        if unit.shape[-1] == 1:
            levels = np.rint(unit * 65535).astype(np.uint16)
        else:
            tell(f"{path.name}: its colors are sent with 8 bits each")
    return _png(levels)


def _masks(inputs: Sequence[Path], task: str, pictures: PictureOptions, tell: Callable[[str], None]) -> list[bytes] | None:
    """Of the inputs, which are one where there is a mask or a box."""
    named = pictures.mask is not None or pictures.box is not None
    hole = holes.find(inputs[0], images.size(inputs[0]), pictures) if named else None
    if hole is None:
        if task in MASKED:
            raise ValueError(f"{task} needs to know what is missing: give a mask or a box")
        return None
    if hole.note:
        tell(hole.note)
    return [_png(np.asarray(255 * (1 - hole.known)).astype(np.uint8))]


def _png(levels: np.ndarray) -> bytes:
    """Of `[h, w, 1 or 3]`."""
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, "PNG")
    return file.getvalue()


def _asked(client: Client, task: str, pictures: PictureOptions, seed: int, steps: int) -> dict[str, Any]:
    """What the records of a call's pictures have in common."""
    return {
        "server": str(client.address),
        "protocol": client.way.name,
        "model": client.model(task),
        "preset": client.preset,
        "task": task,
        "pictures": {name: value for name, value in to_dict(pictures).items() if name in ("mask", "box")},
        "method": "GE",
        "options_given": {"steps": steps},
        "seed": seed,
        "versions": {"gekeras": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }


def _result(path: Path, source: Path, reply: Reply, asked: dict[str, Any]) -> Result:
    try:
        picture = images.eight_bits("the server's answer", io.BytesIO(reply.image_bytes))
    except images.ImageError as error:
        raise ServerError(f"{asked['server']}: {error}; nothing is written") from error
    levels = np.asarray(picture)
    height, width = images.size(source)
    record = {"input": str(source), "size": [width, height], **asked, "loss": reply.loss, "steps": reply.steps}
    return Result(path, images.from_uint8(levels if levels.ndim == 3 else levels[..., None]), record)


def _write(result: Result, reply: Reply) -> None:
    """The picture, by a PNG's own bytes, and its record, or none of them."""
    path = result.path
    with files.together(path.parent):
        files.write_json(paths.record_path(path), result.record)
        if path.suffix.lower() == ".png":
            files.write_bytes(path, reply.image_bytes)
        else:
            images.write(path, result.image)
