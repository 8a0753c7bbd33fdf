"""Arrays in, figures out: the only place that knows matplotlib.

Figures are built on `Figure` and the Agg canvas, never on `pyplot`, so nothing here needs a display or leaves a figure
open, and a caller's own plots are left alone.
"""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Optional

import numpy as np

from . import files, images
from .files import PathLike

DPI = 150
# 2.56 inches at 150 dpi is 384 pixels, a whole multiple of 16, 32, 64 and 128: every pixel of such an image is drawn as
# large as its neighbors.
CELL = 2.56
GAP = 0.14
LINE = 0.21  # inches a line of text takes

_FORMATS = (".png", ".pdf", ".svg")
_INK, _FAINT = "0.15", "0.8"


def grid(batch: np.ndarray, columns: int, gap: int = 2) -> np.ndarray:
    """Tile images `[n, h, w, c]` in [-1, 1] row by row into one image, white between them and in empty places.

    Returns:
      `[rows (h + gap) - gap, columns (w + gap) - gap, c]` of the dtype of `batch`.

    Raises:
      ValueError: `batch` is not `[n, h, w, c]` with n >= 1, or `columns` is below 1.
    """
    batch = np.asarray(batch)
    if batch.ndim != 4 or 0 in batch.shape:
        raise ValueError(f"expected images [n, h, w, c], received {list(batch.shape)}")
    if columns < 1:
        raise ValueError(f"columns must be at least 1, received {columns}")
    count, height, width, channels = batch.shape
    rows = -(-count // columns)
    sheet = np.ones((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), batch.dtype)
    for index, image in enumerate(batch):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def panel(
    path: PathLike,
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str],
    captions: Optional[Sequence[Sequence[Optional[str]]]] = None,
) -> None:
    """Write a figure of one row a picture and one column an entry, e.g. observation, result, truth.

    Args:
      path: a .png, .pdf or .svg file.
      rows: for each picture its images `[h, w, c]` in [-1, 1], c in {1, 3}; their sizes may differ, all are drawn in
        cells of one width, their pixels left sharp.
      titles: one for each column.
      captions: if given, as `rows`: the small text under each image ("PSNR 23.1 dB"), or None.

    Raises:
      ValueError: rows, titles and captions do not match, or an entry is no image.
      FileError: the file cannot be written, or its suffix is another.
    """
    _check_panel(rows, titles, captions)
    _check_suffix(path)
    lines = max((text.count("\n") + 1 for row in captions or () for text in row if text), default=0)
    head = LINE * 1.25 * max(title.count("\n") + 1 for title in titles) + 0.06
    # A row of wide images, as of enlarged parts, is as high as they are.
    tall = [CELL * min(1.0, max(image.shape[0] / image.shape[1] for image in row)) for row in rows]
    below = GAP + (LINE * lines + 0.04 if lines else 0)
    width = 2 * GAP + len(titles) * (CELL + GAP) - GAP
    height = GAP + head + sum(tall) + len(rows) * below
    figure, top = _figure(width, height), height - GAP - head
    for r, (row, side) in enumerate(zip(rows, tall)):
        for c, image in enumerate(row):
            left = GAP + c * (CELL + GAP)
            _show(figure.add_axes([left / width, (top - side) / height, CELL / width, side / height]), image)
            if captions and captions[r][c]:
                place = ((left + CELL / 2) / width, (top - side - 0.05) / height)
                figure.text(*place, captions[r][c], ha="center", va="top", size=9.5, color=_INK)
        top -= side + below
    for c, title in enumerate(titles):
        place = ((GAP + c * (CELL + GAP) + CELL / 2) / width, (height - GAP - head + 0.07) / height)
        figure.text(*place, title, ha="center", va="bottom", size=12, color=_INK)
    _save(figure, path)


def animation(path: PathLike, frames: Sequence[np.ndarray], seconds: float = 4.0, side: int = 256) -> None:
    """Write frames `[h, w, c]` in [-1, 1] as a GIF that loops; the last frame stays for a second.

    Args:
      seconds: from the first frame to the last.
      side: small pictures are enlarged by a whole factor, their pixels left sharp, up to about this side.

    Raises:
      ValueError: no frames, or frames of several shapes.
      FileError: another suffix than .gif, or an unwritable place.
    """
    if not frames or len({np.shape(frame) for frame in frames}) != 1:
        raise ValueError("an animation needs at least one frame, and frames of one shape")
    _check_animation_suffix(path)
    from PIL import Image

    factor = max(1, side // max(np.shape(frames[0])[:2]))
    levels = [np.kron(images.to_uint8(frame), np.ones((factor, factor, 1), np.uint8)) for frame in frames]
    pictures = [Image.fromarray(level[..., 0] if level.shape[-1] == 1 else level) for level in levels]
    durations = [max(20, int(1000 * seconds / len(pictures)))] * (len(pictures) - 1) + [1000]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    files.write_bytes(path, buffer.getvalue())


def check_animation_path(path: PathLike) -> None:
    """Raise FileError before the solve for what could not be written after it."""
    _check_animation_suffix(path)
    files.check_writable(path)


def _check_animation_suffix(path: PathLike) -> None:
    if os.path.splitext(os.fspath(path))[1].lower() != ".gif":
        raise files.FileError(path, "an animation is written as .gif")


def curves(
    path: PathLike,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    log_y: bool = False,
) -> None:
    """Write a line plot of `series`, name -> (x, y), with a legend when there are two or more.

    Raises:
      ValueError: no series, or an x and a y of different lengths.
      FileError: the file cannot be written, or its suffix is not .png, .pdf or .svg.
    """
    if not series:
        raise ValueError("series is empty: expected at least one name -> (x, y)")
    _check_suffix(path)
    figure = _figure(6.4, 4.0)
    axes = figure.add_subplot()
    for name, (x, y) in series.items():
        if len(x) != len(y):
            raise ValueError(f"series {name!r}: x has {len(x)} values and y has {len(y)}")
        axes.plot(x, y, label=name, linewidth=1.6, marker="o" if len(x) < 15 else None, markersize=3.5)
    axes.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log_y else "linear")
    axes.grid(True, which="major", color=_FAINT, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1:
        axes.legend(frameon=False)
    figure.set_layout_engine("tight")
    _save(figure, path)


def _check_panel(rows: Sequence, titles: Sequence, captions: Optional[Sequence]) -> None:
    if not rows or not titles:
        raise ValueError(f"expected at least one row and one title, received {len(rows)} and {len(titles)}")
    for r, row in enumerate(rows):
        if len(row) != len(titles):
            raise ValueError(f"row {r} has {len(row)} images for {len(titles)} titles")
        for image in row:
            if np.ndim(image) != 3 or np.shape(image)[-1] not in (1, 3) or 0 in np.shape(image):
                raise ValueError(f"row {r}: expected [h, w, 1] or [h, w, 3], received {list(np.shape(image))}")
    if captions is not None and [len(row) for row in captions] != [len(row) for row in rows]:
        raise ValueError(f"captions must match rows: {[len(r) for r in captions]} for {[len(r) for r in rows]}")


def check_path(path: PathLike) -> None:
    """Raise FileError before drawing for what could not be written after it: another suffix, or an unwritable place."""
    _check_suffix(path)
    files.check_writable(path)


def _check_suffix(path: PathLike) -> None:
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in _FORMATS:
        raise files.FileError(path, f"cannot draw {suffix or 'no suffix'!r}: use one of {', '.join(_FORMATS)}")


def _figure(width: float, height: float):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _show(axes, image: np.ndarray) -> None:
    levels = images.to_uint8(image)
    levels = np.repeat(levels, 3, axis=-1) if levels.shape[-1] == 1 else levels
    axes.imshow(levels, interpolation="nearest", aspect="equal")
    axes.set_axis_off()


def _save(figure, path: PathLike) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=os.path.splitext(os.fspath(path))[1][1:].lower(), dpi=DPI, facecolor="white")
    files.write_bytes(path, buffer.getvalue())
