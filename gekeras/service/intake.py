"""What a client sent -> what is solved of it, by the readers that `gekeras solve` reads files with; or why not.

Those read files, so that what was sent is one for as long as it is read, in a temporary folder of its own.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .. import images
from ..config import PictureOptions
from ..formats import Refused
from ..operators import Task
from ..pictures.observations import Observation, Request, observe

PARTS = ("image", "mask")


class Refusal(Exception):
    """What is answered in the place of a picture.

    Attributes:
        status: of HTTP.
        reason: one line.
    """

    def __init__(self, status: int, reason: object):
        self.status, self.reason = status, " ".join(str(reason).split())
        super().__init__(self.reason)


@dataclass(frozen=True)
class Sent:
    """The files of a request."""

    image: bytes
    mask: bytes | None = None


def of_json(body: bytes) -> Sent:
    """`{"image": base64, "mask": base64}`, the mask only for a task that has one. Raises Refusal."""
    form = 'the JSON must be {"image": ..., "mask": ...}, each a file in base64'
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(422, f"{form}; this is no JSON ({error})") from error
    if not isinstance(values, dict) or "image" not in values:
        raise Refusal(422, form)
    if unknown := sorted(set(values) - set(PARTS)):
        raise Refusal(422, f"{form}; received {', '.join(unknown)[:80]}, too")
    return Sent(**{name: _decoded(name, value) for name, value in values.items() if value is not None or name == "image"})


def _decoded(name: str, value: object) -> bytes:
    try:
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise Refusal(422, f"{name} must be a file in base64")


def observed(sent: Sent, task: Task, shape: tuple[int, int, int], max_pixels: int) -> Observation:
    """What is solved of a picture, and how it becomes one again.

    Args:
        task, shape: of the model.
        max_pixels: of a picture; told from its header, before it is decoded.

    Raises:
        Refusal: no picture (415), too many pixels (413), or a size, a mask or a lack of one that the task has no use for
            (422).
    """
    if task.masked and sent.mask is None:
        raise Refusal(422, f'{task.name} needs to know what is missing: send JSON with "image" and "mask"')
    with tempfile.TemporaryDirectory(prefix="gekeras-") as folder:
        try:
            paths = {}
            for name in PARTS:
                if (data := getattr(sent, name)) is not None:
                    paths[name] = Path(folder) / name
                    paths[name].write_bytes(data)
                    _check(paths[name], max_pixels)
            request = Request(task, *shape[1:], PictureOptions(mask=paths.get("mask")))
            _check_enlarged(images.size(paths["image"]), request)
            return observe(paths["image"], request)
        except images.ImageError as error:
            raise Refusal(_status_of(error), str(error).replace(f"{folder}{os.sep}", "")) from error
        except ValueError as error:
            raise Refusal(422, error) from error


def _check(path: Path, max_pixels: int) -> None:
    """Raise Refusal for more pixels, and ImageError for what is no picture."""
    height, width = images.size(path)
    if height * width > max_pixels:
        raise Refusal(413, f"{path.name}: {width}x{height} pixels is too large: at most {max_pixels:,} pixels are accepted")


def _check_enlarged(size: tuple[int, int], request: Request) -> None:
    """Raise Refusal for what superres does not enlarge: the ways out that the reader names are the command's."""
    full = request.resolution
    if request.task.sizable and max(size) >= full:
        found = f"{size[1]}x{size[0]} is too large for superres, which makes {full}x{full} of smaller pictures"
        raise Refusal(422, f"image: {found}: send one with sides below {full}")


def _status_of(error: images.ImageError) -> int:
    """By what was met inside the reader: a picture that is refused, or something that no decoder understood."""
    if "pixels are accepted" in error.reason:
        return 413
    return 422 if isinstance(error.__context__, (Refused, type(None))) else 415
