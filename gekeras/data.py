"""Training images: a folder or tar shards of pictures in, endless batches in [-1, 1] out.

The order is a function of (seed, position) alone, so a resumed run sees what the uninterrupted one would have seen.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Entry:
    """One encoded picture: `length` bytes at `offset` of `path` (length -1: the whole file)."""

    name: str
    path: Path
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.length)


def entries(*paths: str | Path) -> list[Entry]:
    """Pictures in folders (searched recursively), tar shards and single files, sorted by name within each path.

    A folder that holds `.tar` files is read as shards. Raises ValueError where there is nothing.
    """
    found = [entry for path in paths for entry in _entries(Path(path))]
    if not found:
        raise ValueError(f"no images ({', '.join(SUFFIXES)}) or .tar shards in {', '.join(map(str, paths))}")
    return found


def _entries(path: Path) -> list[Entry]:
    if not path.exists():
        raise ValueError(f"no such file or folder: {path}")
    if path.is_dir():
        shards = sorted(path.glob("*.tar"))
        files = [p for p in sorted(path.rglob("*")) if p.suffix.lower() in SUFFIXES]
        return [e for shard in shards for e in _entries(shard)] or [Entry(p.relative_to(path).as_posix(), p) for p in files]
    if path.suffix != ".tar":
        return [Entry(path.name, path)]
    try:
        with tarfile.open(path, "r:") as tar:
            members = [m for m in tar if m.isfile() and m.name.lower().endswith(SUFFIXES)]
    except tarfile.TarError as error:
        raise ValueError(f"{path} is not a readable tar file: {error}") from error
    return [Entry(m.name, path, m.offset_data, m.size) for m in members]


def load(entry: Entry, side: int, channels: int = 3) -> np.ndarray:
    """Decode one picture to uint8 `[side, side, channels]`: centre square, then box average (bicubic if not a divisor).

    Raises ValueError naming the picture if it cannot be decoded.
    """
    try:
        picture = Image.open(io.BytesIO(entry.read())).convert("RGB" if channels == 3 else "L")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot decode {entry.name} in {entry.path}: {error}") from error
    edge = min(picture.size)
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    method = Image.Resampling.BICUBIC if edge % side else Image.Resampling.BOX
    return np.asarray(picture.resize((side, side), method, box=box)).reshape(side, side, channels)


def load_all(items: list[Entry], side: int, channels: int = 3, workers: int = 2) -> np.ndarray:
    """All pictures as one uint8 array `[n, side, side, channels]`; the memory is n side^2 channels bytes."""
    with ThreadPoolExecutor(workers) as pool:  # Pillow decodes outside Python's lock
        return np.stack(list(pool.map(lambda entry: load(entry, side, channels), items)))


def epoch_order(n: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Permutation of range(n) and n mirror flags for one pass over the data."""
    rng = np.random.default_rng([seed, epoch])
    return rng.permutation(n), rng.random(n) < 0.5


def positions(n: int, batch_size: int, seed: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless (indices `[batch_size]`, mirror flags `[batch_size]`) from position `start` of the stream of epochs."""
    position, epoch, order = start, -1, None
    while True:
        rows = []
        for p in range(position, position + batch_size):
            if p // n != epoch:
                epoch = p // n
                order = epoch_order(n, seed, epoch)
            rows.append((order[0][p % n], order[1][p % n]))
        position += batch_size
        yield np.array([r[0] for r in rows]), np.array([r[1] for r in rows])


class Source:
    """Pictures at one size, decoded when asked for or held in memory as uint8.

    Args:
        items: from `entries`, or a uint8 array `[n, side, side, channels]`.
        side, channels: size of the pictures handed out; ignored for an array.
        memory: decode everything once and keep it.
    """

    def __init__(self, items: list[Entry] | np.ndarray, side: int = 0, channels: int = 3, memory: bool = False):
        self.items, self.side, self.channels = items, side, channels
        self.names = [] if isinstance(items, np.ndarray) else [entry.name for entry in items]
        if memory and not isinstance(items, np.ndarray):
            self.items = load_all(items, side, channels)

    def __len__(self) -> int:
        return len(self.items)

    def name(self, index: int) -> str:
        """The picture's file name, or its number in an array."""
        return self.names[index] if self.names else str(index)

    def take(self, indices: np.ndarray) -> np.ndarray:
        """uint8 `[len(indices), side, side, channels]`."""
        if isinstance(self.items, np.ndarray):
            return self.items[indices]
        return np.stack([load(self.items[i], self.side, self.channels) for i in indices])


def batches(source: Source, batch_size: int, *, seed: int = 0, start: int = 0, mirror: bool = True):
    """Endless `tf.data.Dataset` of float32 `[batch_size, side, side, channels]` in [-1, 1].

    Args:
        start: images already seen; the stream goes on from there.
        mirror: flip each picture left to right with probability 1/2.
    """
    import tensorflow as tf

    def read(indices, flips):
        images = source.take(indices)
        return np.where(flips[:, None, None, None], images[:, :, ::-1], images) if mirror else images

    def decode(indices, flips):
        images = tf.numpy_function(read, (indices, flips), tf.uint8, stateful=False)
        shape = (
            source.items.shape[1:] if isinstance(source.items, np.ndarray) else (source.side, source.side, source.channels)
        )
        images.set_shape((batch_size, *shape))
        return tf.cast(images, tf.float32) / 127.5 - 1.0

    signature = (tf.TensorSpec([batch_size], tf.int64), tf.TensorSpec([batch_size], tf.bool))
    stream = tf.data.Dataset.from_generator(
        lambda: positions(len(source), batch_size, seed, start), output_signature=signature
    )
    return stream.map(decode, num_parallel_calls=2).prefetch(4)


def stream(source: Source, batch_size: int, *, seed: int = 0, start: int = 0, mirror: bool = True) -> Iterator:
    """The tensors of `batches`, one by one. Raises ValueError naming the picture that cannot be decoded."""
    import tensorflow as tf

    try:
        yield from batches(source, batch_size, seed=seed, start=start, mirror=mirror)
    except tf.errors.InvalidArgumentError as error:  # what TensorFlow makes of an exception in `read`
        reasons = [line for line in str(error).splitlines() if line.startswith("ValueError: ")]
        raise ValueError(reasons[0].removeprefix("ValueError: ") if reasons else str(error)) from error
