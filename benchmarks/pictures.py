"""What the benchmarks measure on: the last pictures of a folder or shard, and what is observed of them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from gekeras import GenerativeEncoder, config, data, images


def last(folder: str, count: int, side: int, channels: int, cut: config.VolumeOptions | None = None) -> np.ndarray:
    """The last pictures of a folder, shard or volume, or all where it has fewer: `[count, side, side, channels]` in [-1, 1].

    Args:
        cut: which squares of a volume are pictures.
    """
    items = data.entries(folder, options=cut)[-count:]
    return images.from_uint8(data.Source(items, side, channels).take(np.arange(len(items))))


def observe(model: GenerativeEncoder, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Measurements, and masks where the task has them, without what is missing."""
    y, known = (None if part is None else np.asarray(part) for part in model.task.sample(tf.constant(truth), (0, 0)))
    return (y if known is None else y * known), known
