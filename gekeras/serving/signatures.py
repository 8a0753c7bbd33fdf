"""The two signatures of a solver: `serving_default`, arrays in and out, and `encoded`, files in and out."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from . import codec
from .calls import ENCODED as ENCODED
from .solver import ServedSolver

DEFAULT = "serving_default"


def saved(solve: ServedSolver) -> tuple[tf.Module, dict[str, Any]]:
    """(what is saved, its signatures as `tf.saved_model.save` takes them): the networks' weights, and no other state.

    `encoded` is left out for a task whose measurement is no picture.
    """
    named = {DEFAULT: arrays(solve)}
    if len(solve.shape) == 3 and solve.shape[-1] in (1, 3):
        named[ENCODED] = files(solve, named[DEFAULT])
    functions = {name: function.get_concrete_function() for name, function in named.items()}
    module = tf.Module(name="solver")
    module.weights = list({id(v): v for function in functions.values() for v in function.graph.variables}.values())
    return module, functions


def arrays(solve: ServedSolver):
    """observation, (mask), seed, steps -> image, latent, loss, steps."""
    rows = [tf.TensorSpec([None], tf.int32, name) for name in ("seed", "steps")]
    pictures = [tf.TensorSpec([None, *solve.shape], tf.float32, "observation")]
    if solve.task.masked:
        pictures.append(tf.TensorSpec([None, *solve.model.image_shape[:2], 1], tf.float32, "mask"))

    def served(observation, *others):
        mask, seed, steps = (None, *others)[-3:]
        found = solve(*solve.checked(observation, mask, seed, steps))
        return {"image": found.image, "latent": found.latent, "loss": found.loss, "steps": found.steps}

    return tf.function(served, input_signature=[*pictures, *rows], autograph=False)


def files(solve: ServedSolver, restore):
    """Around `arrays`: image_bytes, (mask_bytes), seed, steps -> image_bytes, loss, steps."""
    rows = [tf.TensorSpec([None], tf.int32, name) for name in ("seed", "steps")]
    names = ["image_bytes", *(["mask_bytes"] if solve.task.masked else [])]

    def served(image_bytes, *others):
        mask_bytes, seed, steps = (None, *others)[-3:]
        pictures = _each(lambda data: codec.decode(data, "image_bytes", solve.shape), image_bytes, _picture(solve.shape))
        given = [pictures.image, seed, steps]
        if mask_bytes is not None:
            shape = solve.model.image_shape
            known = tf.TensorSpec([*shape[:2], 1], tf.float32)
            given.insert(1, _each(lambda data: codec.decode_mask(data, "mask_bytes", shape), mask_bytes, known))
        found = restore(*given)
        parts = (found["image"], pictures.gray, pictures.single)
        encoded = _each(lambda part: codec.encode(*part), parts, tf.TensorSpec([], tf.string))
        return {"image_bytes": encoded, "loss": found["loss"], "steps": found["steps"]}

    inside = [*(tf.TensorSpec([None], tf.string, name) for name in names), *rows]
    return tf.function(served, input_signature=inside, autograph=False)


def _picture(shape: tuple[int, int, int]) -> codec.Picture:
    return codec.Picture(tf.TensorSpec(shape, tf.float32), *[tf.TensorSpec([], tf.bool)] * 2)


def _each(function, rows, kind):
    """The function of each row by itself."""
    return tf.map_fn(function, rows, fn_output_signature=kind)
