"""A small convolutional network that tells whether a picture shows a feature, trained on labeled pictures.

Blocks of a 3x3 convolution, ReLU and a 2x2 max pooling, then one dense layer: with 64 px and width 16 some 100,000 weights
and minutes on two cores. A feature may be rare: half of every batch shows it. Pictures are shown mirrored half of the time
and moved by up to a sixteenth of their side, so that a few hundred with the feature are enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from .. import data, files, images
from ..config import DetectorOptions, to_dict
from ..networks.presets import checksum
from ..training.export import save_part
from ..training.optimizers import adam, apply
from . import statistics
from .detector import PICTURES, RECORD

_SMALLEST = 4  # side of the last features
_DROPPED = 0.3  # of the last features, while it learns
_AT_ONCE = 256
Tick = Callable[[int, int, str], None]


class Parts(NamedTuple):
    """Numbers of the pictures to learn from, of those held out, and of those spared for the study."""

    training: np.ndarray
    held_out: np.ndarray
    spared: np.ndarray


def split(labels: np.ndarray, options: DetectorOptions) -> Parts:
    """Pictures `[n]` with their labels, drawn into three parts without a common one.

    Spared is a share of those with the feature alone; the held-out ones are drawn from all the others.

    Raises:
        ValueError: too few pictures with the feature, or without, for each part to have some.
    """
    rng = np.random.default_rng([options.seed, 0])
    with_it = rng.permutation(np.flatnonzero(labels))
    spared = with_it[: int(options.spare * len(with_it))]
    rest = rng.permutation(np.setdiff1d(np.arange(len(labels)), spared))
    held, training = rest[: options.validation], rest[options.validation :]
    for part, name in ((held, "held out"), (training, "left to learn from")):
        yes = int(labels[part].sum())
        if not 0 < yes < len(part):
            raise ValueError(
                f"{len(labels)} pictures, {len(with_it)} of them with the feature, are too few: of the {len(part)} that are "
                f"{name} {yes} have it; take a smaller --validation or --spare, or more pictures"
            )
    return Parts(training, held, spared)


def make_network(size: int, channels: int, width: int, seed: int) -> keras.Model:
    """The network, picture `[n, size, size, channels]` in [-1, 1] -> probability `[n, 1]`."""
    image = x = keras.Input((size, size, channels), name="image")
    side, block = size, 0
    while side // 2 >= _SMALLEST:
        draw = keras.initializers.HeNormal(seed=seed + block)
        filters = width * min(2**block, 8)
        x = keras.layers.Conv2D(
            filters, 3, padding="same", activation="relu", kernel_initializer=draw, name=f"conv_{block}"
        )(x)
        x = keras.layers.MaxPooling2D(2, name=f"pool_{block}")(x)
        side, block = side // 2, block + 1
    x = keras.layers.Flatten(name="flatten")(x)
    draw = keras.initializers.GlorotUniform(seed=seed + block)
    answer = keras.layers.Dense(1, activation="sigmoid", kernel_initializer=draw, name="answer")(x)
    return keras.Model(image, answer, name="detector")


def draws(labels: np.ndarray, options: DetectorOptions) -> Iterator[np.ndarray]:
    """Of each step the numbers of its pictures: half with the feature, half without, each kind in a random order, over and
    over."""
    rng = np.random.default_rng([options.seed, 1])
    half = options.batch_size // 2
    kinds = [(np.flatnonzero(labels), half), (np.flatnonzero(~labels), options.batch_size - half)]
    waiting = [np.zeros(0, int), np.zeros(0, int)]
    for _ in range(-(-options.images // options.batch_size)):
        batch = []
        for k, (members, count) in enumerate(kinds):
            while len(waiting[k]) < count:
                waiting[k] = np.concatenate([waiting[k], rng.permutation(members)])
            batch.append(waiting[k][:count])
            waiting[k] = waiting[k][count:]
        yield np.concatenate(batch)


def moved(pictures: np.ndarray, rng: np.random.Generator, mirror: bool) -> np.ndarray:
    """Each of `[n, h, w, c]` mirrored half of the time and moved by up to a sixteenth of its side, its border repeated."""
    most = pictures.shape[1] // 16
    padded = np.pad(pictures, ((0, 0), (most, most), (most, most), (0, 0)), mode="edge")
    shifts, flips = rng.integers(0, 2 * most + 1, (len(pictures), 2)), rng.random(len(pictures)) < 0.5
    height, width = pictures.shape[1:3]
    shown = [p[y : y + height, x : x + width] for p, (y, x) in zip(padded, shifts)]
    return np.stack([p[:, ::-1] if flip and mirror else p for p, flip in zip(shown, flips)])


def fit(network: keras.Model, pictures: np.ndarray, labels: np.ndarray, options: DetectorOptions, progress: Tick) -> None:
    """Train a network on pictures, uint8 `[n, h, w, c]`, and their labels `[n]`."""
    variables, rng = network.trainable_variables, np.random.default_rng([options.seed, 2])
    optimizer = adam(variables, options.learning_rate)
    features = keras.Model(network.inputs, network.get_layer("flatten").output)
    last = network.get_layer("answer")

    @tf.function
    def step(shown, wanted, kept):
        with tf.GradientTape() as tape:
            answer = last(features(tf.cast(shown, tf.float32) / 127.5 - 1, training=True) * kept)
            loss = tf.reduce_mean(keras.losses.binary_crossentropy(wanted, answer))
        apply(optimizer, tape.gradient(loss, variables), variables)
        return loss

    steps, began = list(draws(labels, options)), time.monotonic()
    width = features.output_shape[-1]
    for number, batch in enumerate(steps):
        optimizer.learning_rate.assign(options.learning_rate * (1 + np.cos(np.pi * number / len(steps))) / 2)
        kept = (rng.random((len(batch), width)) >= _DROPPED).astype(np.float32) / (1 - _DROPPED)
        wanted = tf.constant(labels[batch, None].astype(np.float32))
        loss = step(tf.constant(moved(pictures[batch], rng, options.mirror)), wanted, tf.constant(kept))
        if number % 20 == 0 or number == len(steps) - 1:
            left = (len(steps) - number - 1) * (time.monotonic() - began) / (number + 1)
            shown = min((number + 1) * options.batch_size, options.images)
            progress(shown, options.images, f", loss {float(loss):.3f}, about {left / 60:.1f} min left")


def answers(network: Callable, pictures: np.ndarray) -> np.ndarray:
    """The probabilities `[n]` of pictures, uint8 `[n, h, w, c]`."""
    parts = np.split(pictures, range(_AT_ONCE, len(pictures), _AT_ONCE))
    return np.concatenate([np.asarray(network(tf.constant(images.from_uint8(part)))).reshape(-1) for part in parts])


def train(
    items: list[Any],
    labels: np.ndarray,
    feature: str,
    channels: int,
    folder: Path,
    options: DetectorOptions,
    progress: Tick = lambda done, total, text: None,
) -> dict[str, Any]:
    """Train a detector of a feature and write it to a folder, all of it or nothing; its record.

    Args:
        items: of `data.entries`.
        labels: whether each has the feature, `[n]` booleans.
        channels: of the pictures, 1 or 3.

    Raises:
        ValueError: as `split`, or a picture that cannot be decoded.
    """
    parts = split(labels, options)
    wanted = np.unique(np.concatenate(list(draws(labels[parts.training], options))))  # what is never shown is not decoded
    training, held_out = parts.training[wanted], parts.held_out
    held = data.load_all([items[k] for k in held_out], options.size, channels)
    shown = data.load_all([items[k] for k in training], options.size, channels)
    network = make_network(options.size, channels, options.width, options.seed)
    fit(network, shown, labels[training], options, progress)
    scores = statistics.detection(labels[held_out], answers(lambda x: network(x, training=False), held))
    record = {
        "feature": feature,
        "options": to_dict(options),
        "channels": channels,
        "parameters": network.count_params(),
        "pictures": {"trained_on": len(training), "with_feature": int(labels[training].sum()), "spared": len(parts.spared)},
        "held_out": scores,
    }
    with files.rewriting(folder, ignore=lambda where, names: set(names)) as made:
        save_part(network, made, "image", "probability")
        names = "".join(f"{items[k].name}\n" for k in sorted(training))
        files.write_bytes(made / PICTURES, names.encode("utf-8", "surrogateescape"))  # of any file system
        there = sorted(path for path in made.rglob("*") if path.is_file())
        checksums = {path.relative_to(made).as_posix(): checksum(path) for path in there}
        files.write_json(made / RECORD, {**record, "checksums": checksums})
    return record
