"""Files of pictures <-> arrays inside a graph, as `images` and `pictures.holes` have them, for what TensorFlow decodes.

That is PNG and JPEG. Orientation and color profiles, which TensorFlow's decoders pass over, are not applied.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from ..images import LUMA
from .checks import require

PNG = b"\x89PNG\r\n\x1a\n"
GRAYS = (0, 4)  # a PNG's color types without color
ROUNDING = 1.01 * 2 / 255  # a level of 8 bits on [-1, 1], as in `pictures.gray`
COLORED, CLEAR = 32 / 255, 1 / 8  # as in `pictures.holes`


class Layers(NamedTuple):
    """A decoded file: color `[h, w, 3]` and opacity `[h, w, 1]` in [0, 1], and whether the file has one channel."""

    color: tf.Tensor
    opacity: tf.Tensor
    single: tf.Tensor


class Picture(NamedTuple):
    """What a solve gets: `[h, w, c]` in [-1, 1]; whether it is gray, and whether its file has one channel."""

    image: tf.Tensor
    gray: tf.Tensor
    single: tf.Tensor


def decode(data: tf.Tensor, name: str, shape: tuple[int, int, int]) -> Picture:
    """The picture of a file, as `images.read` has it: over white, of 16 bits in full. InvalidArgumentError otherwise."""
    layers = _layers(data, name, *shape[:2])
    color = layers.color * layers.opacity + (1 - layers.opacity)
    image = color * 2 - 1
    gray = tf.reduce_all(tf.abs(image - image[..., :1]) <= ROUNDING)
    image = image if shape[2] == 3 else luma(image)
    return Picture(image, gray, layers.single)


def decode_mask(data: tf.Tensor, name: str, shape: tuple[int, int, int]) -> tf.Tensor:
    """`[h, w, 1]`, 1 where a pixel is known, of a file that is white where it is missing, as `pictures.holes.read_mask`."""
    layers = _layers(data, name, *shape[:2])
    values = tf.where(layers.opacity >= 128 / 255, layers.color, 0.0)
    black = tf.reduce_all(values == 0, axis=-1, keepdims=True)
    least = tf.reduce_min(tf.where(black, 2.0, values), axis=[0, 1])
    two = tf.reduce_any(black) & tf.reduce_all(least == tf.reduce_max(values, axis=[0, 1]))
    mean = tf.reduce_mean(values, axis=-1, keepdims=True)
    missing = tf.where(two, ~black, mean >= 0.5)
    spread = tf.reduce_max(values, axis=-1) - tf.reduce_min(values, axis=-1)
    between = tf.reduce_mean(tf.cast(tf.abs(mean - 0.5) < 0.5 - CLEAR, tf.float32))
    draw = "draw what is missing in white on black"
    checks = [
        require(two | tf.reduce_all(spread <= COLORED), f"{name} has colors: {draw}"),
        require(two | (between <= 0.5), f"{name} is gray over more than half of it: {draw}"),
        require(tf.reduce_any(missing), f"{name} has no white pixel: nothing is missing"),
        require(~tf.reduce_all(missing), f"{name} is all white: white is missing, and nothing is left"),
    ]
    with tf.control_dependencies(checks):
        return tf.cast(~missing, tf.float32)


def encode(image: tf.Tensor, gray: tf.Tensor, single: tf.Tensor) -> tf.Tensor:
    """`[h, w, c]` in [-1, 1] as a PNG of 8 bits, rounded as `images.write` does; gray, if the file was, as it had it."""
    image = tf.where(gray, tf.broadcast_to(luma(image), tf.shape(image)), image)
    unit = tf.clip_by_value((image + 1) / 2, 0, 1)
    with tf.control_dependencies([require(tf.reduce_all(tf.math.is_finite(image)), "the result is not finite")]):
        levels = tf.cast(tf.round(unit * 255), tf.uint8)
    if image.shape[-1] == 1:
        return tf.io.encode_png(levels)
    return tf.cond(single, lambda: tf.io.encode_png(levels[..., :1]), lambda: tf.io.encode_png(levels))


def luma(image: tf.Tensor) -> tf.Tensor:
    """`[..., 3]` -> `[..., 1]`, as `images.luma`; exact where there is no color."""
    first = image[..., :1]
    if image.shape[-1] == 1:
        return image
    plain = tf.reduce_all(image == first, axis=-1, keepdims=True)
    return tf.where(plain, first, tf.reduce_sum(image * LUMA, axis=-1, keepdims=True))


def _layers(data: tf.Tensor, name: str, height: int, width: int) -> Layers:
    """Decoded, once its header says that it is of that size: nothing larger is unpacked."""
    wanted = f"{name} must be a PNG or JPEG of {width}x{height} pixels"
    png = (tf.strings.length(data) >= 33) & (tf.strings.substr(data, 0, 8) == PNG)
    known = require(
        png | tf.io.is_jpeg(data), wanted + ", whole; received {} bytes of something else", tf.strings.length(data)
    )
    with tf.control_dependencies([known]):
        data = tf.identity(data)
    # The name of a node stands in the message when its decoder refuses a damaged file.
    node = f"{name}_must_be_a_whole_PNG_or_JPEG_of_{width}x{height}_pixels"
    size, kind = tf.cond(png, lambda: _png_header(data), lambda: _jpeg_header(data, node))
    fits = require(tf.reduce_all(size == [height, width]), wanted + "; received one of {}x{}", size[1], size[0])
    with tf.control_dependencies([fits]):
        data = tf.identity(data)

    def of_png():
        pixels = tf.cast(tf.io.decode_png(data, channels=4, dtype=tf.uint16, name=node), tf.int32)
        depth = tf.cast(tf.io.decode_raw(tf.strings.substr(data, 24, 1), tf.uint8)[0], tf.int32)
        # TensorFlow fills an opacity that a file of less than 8 bits lacks with the most that its bits can hold.
        filled = (depth < 8) & tf.reduce_all(pixels[..., 3] == 257 * (tf.bitwise.left_shift(1, depth) - 1))
        pixels = tf.where(filled & tf.constant([False, False, False, True]), 65535, pixels)
        return tf.cast(pixels, tf.float32) / 65535

    def of_jpeg():  # the default DCT of TensorFlow is not Pillow's
        pixels = tf.io.decode_jpeg(data, channels=3, dct_method="INTEGER_ACCURATE", name=node)
        color = tf.cast(pixels, tf.float32) / 255
        return tf.concat([color, tf.ones_like(color[..., :1])], axis=-1)

    pixels = tf.ensure_shape(tf.cond(png, of_png, of_jpeg), (height, width, 4))
    return Layers(pixels[..., :3], pixels[..., 3:], kind)


def _png_header(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """((height, width), whether it has one channel)."""
    sides = tf.io.decode_raw(tf.strings.substr(data, 16, 8), tf.int32, little_endian=False)
    kind = tf.io.decode_raw(tf.strings.substr(data, 25, 1), tf.uint8)[0]
    return sides[::-1], tf.reduce_any(kind == tf.constant(GRAYS, tf.uint8))


def _jpeg_header(data: tf.Tensor, node: str) -> tuple[tf.Tensor, tf.Tensor]:
    shape = tf.image.extract_jpeg_shape(data, name=node)
    return shape[:2], shape[2] == 1
