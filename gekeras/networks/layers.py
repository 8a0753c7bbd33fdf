"""Where a generator can be cut: G(z) = image(features(z)), for a search that goes on in a layer (`solve.layers`).

A preset's generator holds the functions of its cuts beside its call: `features_16`, `image_from_16` and, where the layer has
a constraint, `constrain_16`, all of the same weights. A functional Keras model is cut where all paths go through one layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ..messages import shown
from .modules import UNIT, Module, name_of, rescale

FEATURES, IMAGE, CONSTRAIN = "features_", "image_from_", "constrain_"


class Cut(NamedTuple):
    """The three functions of `solve.Layer`: latent -> features -> picture, and features -> the nearest that there can be."""

    features: Callable
    image: Callable
    constrain: Callable


def names_of(generator: Callable) -> list[str]:
    """The layers that a generator can be searched in, the first ones first; none where it is one piece.

    Of a Keras model those that it names itself, else all between its input and its output: whether one cuts it is found out
    when it is tried.
    """
    source = _source_of(generator)
    if _is_functional(source):
        return list(getattr(source, "cuts", ())) or _inner(source)
    found = [name[len(FEATURES) :] for name in dir(source) if name.startswith(FEATURES)]
    return sorted(found, key=lambda name: (len(name), name)) if hasattr(source, "signatures") else []


def cut_of(generator: Callable, name: str) -> Cut:
    """The generator cut at a layer. Raises ValueError where it has no such layer, or is not cut by it."""
    source, names = _source_of(generator), names_of(generator)
    if not names:
        how = "a preset's gets them by `gekeras export FOLDER --layers`, a Keras model has them as a .keras file"
        raise ValueError(f"{_called(generator)} has no layers to search: layers must be none; {how}")
    if _is_functional(source):
        cut = _cut(generator, source, name, names)
    elif name not in names:
        raise ValueError(_unknown(generator, name, names))
    else:
        features, image = (getattr(source, f"{part}{name}") for part in (FEATURES, IMAGE))
        cut = Cut(features, image, _constraint_of(source, name))
    span = generator.output_range if isinstance(generator, Module) else UNIT
    drawn = cut.image
    return cut if span == UNIT else cut._replace(image=lambda h: rescale(drawn(h), span, UNIT))


def _unknown(generator: Callable, name: str, names: list[str]) -> str:
    return f"{_called(generator)} has no layer {shown(name)}; it has {', '.join(names)}, and none is z alone"


def _called(generator: Callable) -> str:
    """Of what a message speaks; a part of a preset, as it was loaded, has no name."""
    own = isinstance(generator, Module) or not hasattr(generator, "signatures")
    return f"the generator {name_of(generator)}" if own else "the preset's generator"


def _source_of(generator: Callable) -> Any:
    """The Keras model or loaded SavedModel that a `Module` was made of, or the thing itself."""
    return generator.source if isinstance(generator, Module) else generator


def _is_functional(source: Any) -> bool:
    return bool(getattr(source, "inputs", None)) and bool(getattr(source, "layers", None))


def _inner(model: Any) -> list[str]:
    """The names of the layers but the input, which a `Sequential` does not list, and the last."""
    return [layer.name for layer in model.layers if type(layer).__name__ != "InputLayer"][:-1]


def _constraint_of(source: Any, name: str) -> Callable:
    return getattr(source, f"{CONSTRAIN}{name}", lambda h: h)


def _cut(generator: Callable, model: Any, name: str, names: list[str]) -> Cut:
    """A functional Keras model at a layer, called by its name or by what the model's `cuts` call it."""
    import keras
    import tensorflow as tf

    wanted = getattr(model, "cuts", {}).get(name, name)
    if wanted not in _inner(model):
        raise ValueError(_unknown(generator, name, names))
    layer = model.get_layer(wanted)
    try:
        low, high = keras.Model(model.inputs, layer.output), keras.Model(layer.output, model.outputs[0])
    except Exception as error:  # whatever Keras raises where a path leads around the layer
        why = "take one that all paths go through"
        raise ValueError(f"{_called(generator)} is not cut by its layer {wanted}: {why}") from error
    # A pixel normalization's output is one of its own fixed points, and a search of it has to stay there.
    constrain = layer if type(layer).__name__ == "PixelNorm" else lambda h: h
    parts = (lambda z: low(z, training=False), lambda h: high(h, training=False), constrain)
    return Cut(*(lambda x, part=part: tf.cast(part(x), tf.float32) for part in parts))  # as a `Module`
