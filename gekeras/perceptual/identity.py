"""Whether two pictures show the same person, to a network that recognizes faces: the cosine between what it makes of them.

Recognizers see 112x112 pixels, in which the eyes lie where SFace and ArcFace want them. The generators' faces are aligned
already (CelebA's crop, `pictures.faces`), so that one shift and one scale bring any of them there.

References: Zhong, Deng, Hu, Zhao, Li and Wen, "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition",
2021, as OpenCV Zoo has it; Deng, Guo, Xue and Zafeiriou, "ArcFace", 2019.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..files import FileError, PathLike, read_beginning
from ..messages import reason_of
from ..networks.modules import describe, load_module, locate
from .onnx import with_needed_inputs

SIDE = 112  # pixels that recognizers see
THRESHOLD = 0.363  # cosine from which on SFace takes two faces for one person's, as published (OpenCV's documentation)
LARGEST = 500 * 2**20  # bytes
# (x, y) of the eyes in CelebA's crop, in shares of its side, and in the 112x112 pixels: two points make a similarity. Of
# crops nearby, up to 5 % larger, smaller or shifted, none tells 208 training faces apart better by more than 0.3 % of AUC.
EYES = ((0.348, 0.422), (0.645, 0.422))
EYES_SEEN = ((38.29, 51.70), (73.53, 51.50))
INSTALL = "identity needs the package onnxruntime: pip install 'gekeras[identity]'"


@dataclass(frozen=True, eq=False)
class Recognizer:
    """A recognizer before TensorFlow is there.

    Attributes:
        place: as it was named.
        sha256: of its file or files, which an evaluation remembers.
        embed: `[n, 112, 112, 3]` in [-1, 1] -> `[n, d]`; None for a SavedModel, which is loaded later.
    """

    place: str
    sha256: str
    embed: Callable[[np.ndarray], np.ndarray] | None = None


def read(path: PathLike) -> Recognizer:
    """A recognizer in an ONNX file, `[1 or n, 3, 112, 112]` of levels 0 to 255, RGB, to `[.., d]`, as SFace is; or a
    SavedModel's folder, `[n, 112, 112, 3]` in [-1, 1] to `[n, d]`.

    Raises:
        ValueError: no package onnxruntime; a folder without a SavedModel.
        FileError: a file that cannot be read, is no ONNX, or takes or gives something else; one line.
    """
    if Path(path).is_dir():
        return Recognizer(str(locate(path)), describe(path)["sha256"])
    data = read_beginning(path, LARGEST)
    try:
        import onnxruntime
    except ImportError as error:
        raise ValueError(f"{INSTALL} (here: {reason_of(error)})") from error
    try:
        if len(data) > LARGEST:
            raise ValueError(f"it has more than {LARGEST:,} bytes")
        return Recognizer(str(path), hashlib.sha256(data).hexdigest(), _of_onnx(onnxruntime, with_needed_inputs(data)))
    except Exception as error:  # onnxruntime's own: InvalidProtobuf, InvalidGraph, NotImplemented, ...
        raise FileError(path, f"cannot be read as a face recognizer in ONNX: {reason_of(error)}") from error


def _of_onnx(onnxruntime: Any, model: bytes) -> Callable[[np.ndarray], np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; they are raised, too
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs and {len(outputs)} outputs, not one of each")
    shape = list(inputs[0].shape)
    if shape[1:] != [3, SIDE, SIDE] or (isinstance(shape[0], int) and shape[0] != 1) or inputs[0].type != "tensor(float)":
        raise ValueError(f"it takes {inputs[0].type} {shape}, not float [1 or n, 3, {SIDE}, {SIDE}]")

    def embed(pictures: np.ndarray) -> np.ndarray:
        levels = ((pictures + 1) * 127.5).transpose(0, 3, 1, 2).astype(np.float32)
        return np.concatenate([session.run(None, {inputs[0].name: one[None]})[0].reshape(1, -1) for one in levels])

    return embed


class Identity:
    """A recognizer as a function of two pictures.

    Args:
        recognizer: what `read` makes of a file or folder.

    Raises:
        ValueError: a SavedModel that cannot be loaded or takes or gives something else.

    Example:
        >>> import gekeras
        >>> identity = gekeras.perceptual.Identity.from_file("face_recognition_sface_2021dec.onnx")  # doctest: +SKIP
        >>> cosine = identity(restored, truth)  # doctest: +SKIP
    """

    def __init__(self, recognizer: Recognizer):
        self.sha256 = recognizer.sha256
        self._embed = recognizer.embed or _of_saved_model(recognizer.place)

    @classmethod
    def from_file(cls, path: PathLike) -> Identity:
        """Of a file or folder. Raises ValueError as `read`."""
        return cls(read(path))

    def __call__(self, x: np.ndarray, reference: np.ndarray) -> np.ndarray:
        """Cosines between the embeddings of two batches of faces, `[n]`: 1 for equal ones.

        Args:
            x, reference: `[n, h, h, c]` in [-1, 1], c = 1 or 3, cropped as CelebA's faces are.

        Raises:
            ValueError: other shapes.
        """
        return cosines(self.embed(x), self.embed(reference))

    def embed(self, pictures: np.ndarray) -> np.ndarray:
        """float64 `[n, d]` of length 1. Args, Raises: as above."""
        pictures = np.asarray(pictures, np.float32)
        if pictures.ndim != 4:
            raise ValueError(f"expected faces [n, h, h, c], received {list(pictures.shape)}")
        check(pictures.shape[1:])
        found = np.asarray(self._embed(aligned(np.clip(pictures, -1, 1))), np.float64)
        if not np.isfinite(found).all():
            raise ValueError("the recognizer gives NaN or infinite values")
        return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of rows of length 1."""
    return np.sum(a * b, axis=1)


def check(shape: tuple[int, ...]) -> None:
    """Raise ValueError for pictures of a shape `(h, w, c)` that are no faces as CelebA's are."""
    if len(shape) != 3 or shape[0] != shape[1] or shape[-1] not in (1, 3) or not shape[0]:
        raise ValueError(f"identity is for square pictures of faces, gray or color; received {list(shape)}")


def aligned(pictures: np.ndarray) -> np.ndarray:
    """Faces `[n, h, h, 1 or 3]` of CelebA's crop -> `[n, 112, 112, 3]`, eyes where recognizers have them.

    What lies outside of the crop takes the color of its rim. Larger pictures are blurred first as reducing them asks for.
    """
    from scipy import ndimage

    scale, left, top = similarity()
    side, grid = pictures.shape[1], np.arange(SIDE) + 0.5
    rows, columns = ((grid - top) / scale * side - 0.5, (grid - left) / scale * side - 0.5)
    step = side / scale
    if step > 1:
        sigma = 0.5 * math.sqrt(step**2 - 1)
        pictures = ndimage.gaussian_filter(pictures, (0, sigma, sigma, 0), mode="nearest")
    rows, columns = np.clip(rows, 0, side - 1), np.clip(columns, 0, side - 1)
    seen = _between(_between(pictures, rows, 1), columns, 2)
    return seen if seen.shape[-1] == 3 else seen.repeat(3, -1)


def _between(pictures: np.ndarray, where: np.ndarray, axis: int) -> np.ndarray:
    """Linear interpolation along an axis."""
    low = np.minimum(where.astype(int), max(pictures.shape[axis] - 2, 0))
    share = (where - low).astype(np.float32).reshape([-1 if k == axis else 1 for k in range(4)])
    high = np.minimum(low + 1, pictures.shape[axis] - 1)
    return pictures.take(low, axis) * (1 - share) + pictures.take(high, axis) * share


def similarity() -> tuple[float, float, float]:
    """(Side, left, top) of the crop in the 112x112 pixels; the eyes are level in both."""
    (a, b), (c, d) = np.array(EYES), np.array(EYES_SEEN)
    scale = float((d[0] - c[0]) / (b[0] - a[0]))
    left, top = (c + d) / 2 - scale * (a + b) / 2
    return scale, float(left), float(top)


def _of_saved_model(place: str) -> Callable[[np.ndarray], np.ndarray]:
    network = load_module(place)

    def embed(pictures: np.ndarray) -> np.ndarray:
        try:
            found = network(pictures).numpy()
        except Exception as error:  # whatever a graph may raise: ValueError, tf.errors.OpError, ...
            raise ValueError(f"{place} does not take faces [n, {SIDE}, {SIDE}, 3]: {reason_of(error, 120)}") from error
        if found.ndim != 2 or len(found) != len(pictures):
            raise ValueError(f"{place} gives {list(found.shape)} for {len(pictures)} faces, not [n, d]")
        return found

    embed(np.zeros((1, SIDE, SIDE, 3), np.float32))  # refused before any work
    return embed
