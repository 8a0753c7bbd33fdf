"""The paper's convolutional autoencoder (Table 1): encoder E of six blocks and its mirror image DC.

A block of E is a 3x3 convolution, ReLU and a 2x2 max pooling; widths are f, 2f, ... 32f; a dense layer gives the code.
"""

import keras

from . import precision
from .layers import Upsample
from .network import Network

BLOCKS = 6


def widths(width: int, blocks: int) -> list[int]:
    """f, 2f, 4f, ..."""
    return [width * 2**k for k in range(blocks)]


def _bottom(resolution: int, blocks: int) -> int:
    """Side of the last feature map. Raises ValueError if the blocks cannot halve the side so often."""
    if resolution < 2**blocks or resolution % 2**blocks:
        raise ValueError(
            f"{blocks} blocks halve the side as often: it must be a multiple of {2**blocks} (64, 128, 256 for six); "
            f"received {resolution}"
        )
    return resolution // 2**blocks


@keras.utils.register_keras_serializable(package="gekeras")
class Encoder(Network):
    """E: image `[n, resolution, resolution, channels]` in [-1, 1] -> code `[n, code_size]`, linear, float32.

    Args:
        resolution: 64, 128 or 256 (the last feature map is 1x1, 2x2 or 4x4); any multiple of 2^blocks works, and
            anything else raises ValueError.
        channels: 1 or 3.
        width: f, the first block's channels; 32 in the paper.
        code_size: h, 256 in the paper.
        blocks: six in the paper; fewer only for networks under 64 px.
    """

    def __init__(self, resolution=128, channels=3, width=32, code_size=256, blocks=BLOCKS, name="encoder", **kwargs):
        side = _bottom(resolution, blocks)
        image = x = keras.Input((resolution, resolution, channels), name="image")
        for k, filters in enumerate(widths(width, blocks)):
            size = resolution // 2**k
            x = keras.layers.Conv2D(
                filters, 3, padding="same", activation="relu", kernel_initializer="he_normal", name=f"conv_{size}"
            )(x)
            x = keras.layers.MaxPooling2D(2, name=f"pool_{size}")(x)
        x = keras.layers.Reshape((side * side * x.shape[-1],), name="flatten")(x)
        code = keras.layers.Dense(code_size, dtype=precision.of_output(), name="code")(x)
        config = dict(resolution=resolution, channels=channels, width=width, code_size=code_size, blocks=blocks)
        super().__init__(image, code, config, name=name, **kwargs)


@keras.utils.register_keras_serializable(package="gekeras")
class Decoder(Network):
    """DC: code `[n, code_size]` -> image in [-1, 1] (tanh): E's layers reversed, nearest upsampling for the poolings.

    Args: as `Encoder`.
    """

    def __init__(self, resolution=128, channels=3, width=32, code_size=256, blocks=BLOCKS, name="decoder", **kwargs):
        side, filters = _bottom(resolution, blocks), widths(width, blocks)
        code = keras.Input((code_size,), name="code")
        x = keras.layers.Dense(side * side * filters[-1], activation="relu", kernel_initializer="he_normal", name="dense")(
            code
        )
        x = keras.layers.Reshape((side, side, filters[-1]), name="unflatten")(x)
        for k in reversed(range(1, blocks)):
            size = resolution // 2**k
            x = Upsample(name=f"up_{size}")(x)
            x = keras.layers.Conv2DTranspose(
                filters[k - 1],
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"conv_{size}",
            )(x)
        x = Upsample(name=f"up_{resolution}")(x)
        image = keras.layers.Conv2DTranspose(
            channels, 3, padding="same", activation="tanh", dtype=precision.of_output(), name=f"conv_{resolution}"
        )(x)
        config = dict(resolution=resolution, channels=channels, width=width, code_size=code_size, blocks=blocks)
        super().__init__(code, image, config, name=name, **kwargs)
