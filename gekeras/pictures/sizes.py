"""The size of a picture that superres takes as it is: its own, below the model's. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

from ..images import ImageError


def check_smaller(path: Path, size: tuple[int, int], resolution: int) -> None:
    """Raise ImageError, with the ways out, for a picture of (height, width) with a side that is not below the model's."""
    if max(size) < resolution:
        return
    raise ImageError(
        path,
        f"{size[1]}x{size[0]} is too large for superres, which makes {resolution}x{resolution} of smaller pictures: "
        "--align face takes the faces of a photograph, --tile all of another picture, --reduce crops it square and reduces "
        "it first, --simulate tries superres out on it",
    )


def check_larger(path: Path, size: tuple[int, int], side: int) -> None:
    """Raise ImageError for a picture of (height, width) that is not reduced where that is asked for."""
    if min(size) <= side:
        raise ImageError(path, f"{size[1]}x{size[0]} has no more than {side} pixels a side to reduce: leave out reduce")


def described(name: str, size: tuple[int, int], side: int, seen: int | None = None) -> str:
    """What `images.fit` makes of a picture of (height, width), and the side that the encoder sees it with where that is
    another one; "" where it is taken as it is."""
    height, width = size
    done = [word for word, so in (("cropped square", height != width), ("reduced", min(size) > side)) if so]
    text = f"{name}: {width}x{height}" + (f" {' and '.join(done)} to {side}x{side}" if done else "")
    if seen not in (None, side):
        return f"{text}, which the encoder sees as {seen}x{seen}"
    return text if done else ""
