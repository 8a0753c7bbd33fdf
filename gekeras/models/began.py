"""Generator and discriminator of the boundary equilibrium GAN.

Berthelot, Schumm, Metz, "BEGAN: Boundary Equilibrium Generative Adversarial Networks", arXiv 1703.10717, 2017, section 3.5
and Figure 1, in the sizes of its public implementation. The discriminator is an autoencoder whose decoder has the
generator's shape. There is no normalization and no dropout, and the latent is taken as it is.
"""

import keras

from . import precision
from .layers import Upsample
from .network import Network

MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024


def scales(resolution: int) -> list[int]:
    """8, 16, ... up to `resolution`, which must be a power of two; raises ValueError otherwise."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION or resolution & (resolution - 1):
        raise ValueError(
            f"resolution must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}; received {resolution}"
        )
    return [2**k for k in range(3, resolution.bit_length())]


@keras.utils.register_keras_serializable(package="gekeras")
class BEGANGenerator(Network):
    """G: latent `[n, latent_size]` ~ U[-1, 1] -> image `[n, resolution, resolution, channels]`, about [-1, 1], linear.

    Args:
        resolution: side of the image, a power of two from 8 to 1024.
        channels: 1 or 3.
        latent_size: length of z.
        width: n, the channels at every scale.
        skip: concatenate h0, the 8x8 tensor that the latent is projected to, to the result of every doubling (the paper's
            skip connections, which the generative encoder's authors used).
    """

    def __init__(self, resolution=64, channels=3, latent_size=64, width=128, skip=False, name="generator", **kwargs):
        latent = keras.Input((latent_size,), name="latent")
        image = _decode(latent, resolution, channels, width, skip)
        config = dict(resolution=resolution, channels=channels, latent_size=latent_size, width=width, skip=skip)
        super().__init__(latent, image, config, name=name, **kwargs)

    @property
    def cuts(self):
        """After each scale but the last, by its side; none where skip connections lead around them."""
        return {} if self.config["skip"] else {str(res): f"conv_{res}_1" for res in scales(self.config["resolution"])[:-1]}


@keras.utils.register_keras_serializable(package="gekeras")
class BEGANDiscriminator(Network):
    """D: image `[n, resolution, resolution, channels]` -> its reconstruction, of the same shape, linear, float32.

    The encoder has n channels, 2n, 3n, ... from the largest scale to 8x8; its result is the layer `code`.

    Args: as `BEGANGenerator`, `latent_size` being the length of the code.
    """

    def __init__(self, resolution=64, channels=3, latent_size=64, width=128, skip=False, name="discriminator", **kwargs):
        image = keras.Input((resolution, resolution, channels), name="image")
        code = _encode(image, resolution, latent_size, width)
        reconstruction = _decode(code, resolution, channels, width, skip, prefix="decoder_")
        config = dict(resolution=resolution, channels=channels, latent_size=latent_size, width=width, skip=skip)
        super().__init__(image, reconstruction, config, name=name, **kwargs)


def _encode(x, resolution, latent_size, width):
    """3x3 conv -> a scale: two 3x3 convs, of one n more than the scale before; between scales one of stride 2 -> dense."""
    x = _conv(x, width, f"encoder_conv_{resolution}_in")
    for i, res in enumerate(reversed(scales(resolution))):
        filters = width * (i + 1)
        x = _conv(x, filters, f"encoder_conv_{res}_0")
        x = _conv(x, filters, f"encoder_conv_{res}_1")
        if res > MIN_RESOLUTION:
            x = _conv(x, filters, f"encoder_down_{res // 2}", strides=2)
    x = keras.layers.Flatten(name="encoder_flatten_8")(x)
    return keras.layers.Dense(latent_size, name="code")(x)


def _decode(x, resolution, channels, width, skip, prefix=""):
    """Dense to 8x8xn -> a scale: two 3x3 convs; between scales nearest-neighbor doubling -> 3x3 conv to the channels."""
    x = keras.layers.Dense(64 * width, name=f"{prefix}dense_8")(x)
    x = h0 = keras.layers.Reshape((8, 8, width), name=f"{prefix}reshape_8")(x)
    for res in scales(resolution):
        if res > MIN_RESOLUTION:
            x = Upsample(name=f"{prefix}up_{res}")(x)
            if skip:
                h0 = Upsample(name=f"{prefix}up_h0_{res}")(h0)
                x = keras.layers.Concatenate(name=f"{prefix}skip_{res}")([x, h0])
        x = _conv(x, width, f"{prefix}conv_{res}_0")
        x = _conv(x, width, f"{prefix}conv_{res}_1")
    return keras.layers.Conv2D(
        channels, 3, padding="same", dtype=precision.of_output(), name=f"{prefix}to_rgb_{resolution}"
    )(x)


def _conv(x, filters, name, strides=1):
    return keras.layers.Conv2D(filters, 3, strides, padding="same", activation="elu", name=name)(x)
