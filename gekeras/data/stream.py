"""Training images: listed pictures in, endless batches in [-1, 1] out.

The order is a function of (seed, position) alone, so a resumed run sees what the uninterrupted one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .files import load, load_all


def epoch_order(n: int, seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Permutation of range(n), n mirror flags and n quarter turns (0 to 3) for one pass over the data."""
    rng = np.random.default_rng([seed, epoch])
    return rng.permutation(n), rng.random(n) < 0.5, rng.integers(0, 4, n)


def positions(n: int, batch_size: int, seed: int, start: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Endless (indices, mirror flags, quarter turns), `[batch_size]` each, from position `start` of the stream of epochs."""
    position, epoch = start, start // n
    order = epoch_order(n, seed, epoch)
    while True:
        rows = []
        for p in range(position, position + batch_size):
            if p // n != epoch:
                epoch = p // n
                order = epoch_order(n, seed, epoch)
            rows.append([column[p % n] for column in order])
        position += batch_size
        indices, mirrored, turned = (np.array(column) for column in zip(*rows))
        yield indices, mirrored, turned


class Source:
    """Pictures at one size, decoded when asked for or held in memory as uint8.

    Args:
        items: from `entries`, or a uint8 array `[n, side, side, channels]`.
        side, channels: size of the pictures handed out; ignored for an array.
        memory: decode everything once and keep it.
    """

    def __init__(self, items: list | np.ndarray, side: int = 0, channels: int = 3, memory: bool = False):
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


def batches(
    source: Source,
    batch_size: int,
    *,
    seed: int = 0,
    start: int = 0,
    mirror: bool = True,
    turn: bool = False,
    shard: tuple[int, int] = (0, 1),
):
    """Endless `tf.data.Dataset` of float32 `[batch_size / count, side, side, channels]` in [-1, 1].

    Args:
        start: images already seen; the stream goes on from there.
        mirror: flip each picture left to right with probability 1/2.
        turn: turn each picture by 0, 90, 180 or 270 degrees.
        shard: (index, count): of each batch only the rows index, index + count, ... are read. `count` divides `batch_size`.
    """
    import tensorflow as tf

    index, count = shard

    def read(indices, flips, turns):
        images = source.take(indices)
        images = np.where(flips[:, None, None, None], images[:, :, ::-1], images) if mirror else images
        return np.stack([np.rot90(image, k) for image, k in zip(images, turns)]) if turn else images

    def decode(*rows):
        images = tf.numpy_function(read, rows, tf.uint8, stateful=False)
        shape = (
            source.items.shape[1:] if isinstance(source.items, np.ndarray) else (source.side, source.side, source.channels)
        )
        images.set_shape((batch_size // count, *shape))
        return tf.cast(images, tf.float32) / 127.5 - 1.0

    def rows():
        for columns in positions(len(source), batch_size, seed, start):
            yield tuple(column[index::count] for column in columns)

    signature = tuple(tf.TensorSpec([batch_size // count], dtype) for dtype in (tf.int64, tf.bool, tf.int64))
    dataset = tf.data.Dataset.from_generator(rows, output_signature=signature)
    return dataset.map(decode, num_parallel_calls=2).prefetch(4)


def stream(source: Source, batch_size: int, **options) -> Iterator:
    """The tensors of `batches`, one by one. Raises ValueError naming the picture that cannot be decoded."""
    import tensorflow as tf

    try:
        yield from batches(source, batch_size, **options)
    except tf.errors.InvalidArgumentError as error:  # what TensorFlow makes of an exception in `read`
        reasons = [line for line in str(error).splitlines() if line.startswith("ValueError: ")]
        raise ValueError(reasons[0].removeprefix("ValueError: ") if reasons else str(error)) from error
