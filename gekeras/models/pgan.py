"""Generator and discriminator of the progressive GAN.

Karras, Aila, Laine, Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018;
Table 2 and section 4. A network of every resolution holds the layers of the smaller ones under the same names, so growing
is building the larger network and copying weights by name (`copy_weights`).
"""

import keras

from .layers import (
    GROUP_SIZE,
    Bias,
    Downsample,
    EqualizedConv2D,
    EqualizedDense,
    FadeIn,
    LeakyReLU,
    MinibatchStdDev,
    PixelNorm,
    Upsample,
)
from .network import Network

MIN_RESOLUTION, MAX_RESOLUTION = 4, 1024
CUTS = (8, 16)  # sides: the features below hold too little of a picture, those above are all but its pixels


def resolutions(resolution: int) -> list[int]:
    """4, 8, ... up to `resolution`, which must be a power of two; raises ValueError otherwise."""
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION or resolution & (resolution - 1):
        raise ValueError(
            f"resolution must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}; received {resolution}"
        )
    return [2**k for k in range(2, resolution.bit_length())]


def width(resolution: int, fmap_base: int, fmap_max: int) -> int:
    """Channels at a resolution 2^(s+1): min(fmap_base / 2^s, fmap_max). Raises ValueError where that is none."""
    if fmap_max < 1 or fmap_base * 2 < resolution:
        raise ValueError(f"fmap_base {fmap_base} and fmap_max {fmap_max} leave no channel at resolution {resolution}")
    return min(fmap_base * 2 // resolution, fmap_max)


@keras.utils.register_keras_serializable(package="gekeras")
class Generator(Network):
    """G: latent `[n, latent_size]` ~ N(0, I) -> image `[n, resolution, resolution, channels]`, about [-1, 1], linear.

    Args:
        resolution: side of the image, a power of two from 4 to 1024.
        channels: 1 or 3.
        latent_size: length of z. The network normalizes z, so G(c z) = G(z) for c > 0.
        fmap_base, fmap_max: channel rule, see `width`.
        bilinear_from: side of the first block that doubles its features bilinearly; 0 for none, as the original. Nearest
            neighbors repeat a coarse picture's spectrum up to the finest frequencies, where it shows as a woven pattern.
        fade: with True every resolution has its toRGB and a `FadeIn` whose `alpha` blends it with the resolution below
            (the network that is trained); with False only the last toRGB is built (the network that is used).
    """

    def __init__(
        self,
        resolution=128,
        channels=3,
        latent_size=512,
        fmap_base=8192,
        fmap_max=512,
        bilinear_from=0,
        fade=False,
        name="generator",
        **kwargs,
    ):
        latent = keras.Input((latent_size,), name="latent")
        x = PixelNorm(name="normalize_latent")(latent)
        image = None
        for res in resolutions(resolution):
            filters = width(res, fmap_base, fmap_max)
            resample = "bilinear" if 0 < bilinear_from <= res else "nearest"
            x = _first_block(x, filters) if res == 4 else _up_block(x, res, filters, resample)
            if fade or res == resolution:
                rgb = EqualizedConv2D(channels, 1, gain=1.0, dtype="float32", name=f"to_rgb_{res}")(x)
                image = (
                    rgb
                    if image is None
                    else FadeIn(dtype="float32", name=f"fade_{res}")(
                        [Upsample(dtype="float32", name=f"up_rgb_{res}")(image), rgb]
                    )
                )
        config = dict(
            resolution=resolution,
            channels=channels,
            latent_size=latent_size,
            fmap_base=fmap_base,
            fmap_max=fmap_max,
            bilinear_from=bilinear_from,
            fade=fade,
        )
        super().__init__(latent, image, config, name=name, **kwargs)

    @property
    def cuts(self):
        """After the blocks of `CUTS`, by their side: `{"8": "conv_8_1_norm", "16": ...}`; none while the network fades."""
        return {} if self.config["fade"] else cuts_of(self.config["resolution"])


def cuts_of(resolution: int) -> dict[str, str]:
    """Side -> layer that a generator of this resolution can be cut at."""
    return {str(res): f"conv_{res}_{min(res // 8, 1)}_norm" for res in CUTS if res < resolution}


def _first_block(x, filters):
    """4x4: dense -> reshape -> bias -> lrelu -> pixel norm -> 3x3 conv -> lrelu -> pixel norm."""
    x = EqualizedDense(filters * 16, gain=2**0.5 / 4, use_bias=False, name="dense_4")(x)
    x = keras.layers.Reshape((4, 4, filters), name="reshape_4")(x)
    x = _activate(Bias(name="bias_4")(x), "dense_4")
    return _conv(x, filters, "conv_4_0")


def _up_block(x, res, filters, resample):
    return _conv(_conv(x, filters, f"conv_{res}_0", resample), filters, f"conv_{res}_1")


def _conv(x, filters, name, resample=None):
    return _activate(EqualizedConv2D(filters, resample=resample, name=name)(x), name)


def _activate(x, name):
    """Both in float32, with no rounding between them."""
    return PixelNorm(autocast=False, name=f"{name}_norm")(LeakyReLU(dtype="float32", name=f"{name}_lrelu")(x))


@keras.utils.register_keras_serializable(package="gekeras")
class Discriminator(Network):
    """D: image `[n, resolution, resolution, channels]` -> score `[n, 1]`, linear, float32.

    Args: as `Generator`; `group_size` of the minibatch standard deviation.
    """

    def __init__(
        self,
        resolution=128,
        channels=3,
        fmap_base=8192,
        fmap_max=512,
        group_size=GROUP_SIZE,
        fade=False,
        name="discriminator",
        **kwargs,
    ):
        sizes = resolutions(resolution)[:0:-1]
        image = reduced = keras.Input((resolution, resolution, channels), name="image")
        x = _from_rgb(image, resolution, width(resolution, fmap_base, fmap_max))
        for res in sizes:
            below = width(res // 2, fmap_base, fmap_max)
            x = _down_block(x, res, width(res, fmap_base, fmap_max), below)
            if fade:
                reduced = Downsample(dtype="float32", name=f"down_rgb_{res}")(reduced)
                x = FadeIn(name=f"fade_{res}")([_from_rgb(reduced, res // 2, below), x])
        x = MinibatchStdDev(group_size, name="minibatch_stddev")(x)
        x = LeakyReLU(name="conv_4_0_lrelu")(EqualizedConv2D(fmap := width(4, fmap_base, fmap_max), name="conv_4_0")(x))
        x = keras.layers.Flatten(name="flatten")(x)
        x = LeakyReLU(name="dense_4_lrelu")(EqualizedDense(fmap, name="dense_4")(x))
        score = EqualizedDense(1, gain=1.0, dtype="float32", name="score")(x)
        config = dict(
            resolution=resolution,
            channels=channels,
            fmap_base=fmap_base,
            fmap_max=fmap_max,
            group_size=group_size,
            fade=fade,
        )
        super().__init__(image, score, config, name=name, **kwargs)


def _from_rgb(image, res, filters):
    return LeakyReLU(name=f"from_rgb_{res}_lrelu")(EqualizedConv2D(filters, 1, name=f"from_rgb_{res}")(image))


def _down_block(x, res, filters, below):
    x = LeakyReLU(name=f"conv_{res}_0_lrelu")(EqualizedConv2D(filters, name=f"conv_{res}_0")(x))
    return LeakyReLU(name=f"conv_{res}_1_lrelu")(EqualizedConv2D(below, resample="down", name=f"conv_{res}_1")(x))


def set_alpha(network, alpha) -> None:
    """Set the blend of the network's highest resolution; alpha in [0, 1]."""
    network.get_layer(f"fade_{network.config['resolution']}").alpha.assign(alpha)


def copy_weights(source, target) -> None:
    """Copy the weights of every layer that both networks have under one name (growing, averaging, dropping the fade)."""
    weights = {layer.name: layer.get_weights() for layer in source.layers}
    for layer in target.layers:
        if weights.get(layer.name):
            layer.set_weights(weights[layer.name])
