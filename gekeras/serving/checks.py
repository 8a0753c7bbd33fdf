"""What a request must be, told by the graph itself: TensorFlow Serving passes it on as INVALID_ARGUMENT."""

from __future__ import annotations

import tensorflow as tf


def require(condition: tf.Tensor, message: str, *found: tf.Tensor) -> tf.Operation:
    """Raise InvalidArgumentError with one line unless the condition holds; `{}` in the message is what was found."""
    text = tf.strings.format(message, found) if found else tf.constant(message)
    return tf.debugging.Assert(condition, [text])
