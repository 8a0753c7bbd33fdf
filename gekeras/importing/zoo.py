"""The GAN zoo's progressive GAN (facebookresearch/pytorch_GAN_zoo, models/networks/progressive_conv_net.py) -> our weights.

The same network as the original's but for the scales. A layer computes s (W x + b), s = sqrt(2 / fan_in): the bias inside,
the gain always sqrt(2). Ours computes g W' x / sqrt(fan_in) + b'. Its first layer adds a bias to each of its 16 x w outputs,
where the original has one a channel. alpha, the blend with the scale below, is ignored: the finished scale is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .weights import ImportedGenerator, Weights, config_of, quoted, shape_of, take

TANH = {"WGANGP": False, "WGANGP2": False, "Logistic": False, "MSE": True, "DCGAN": True}  # by the loss it was trained with
MAX_SCALES = 8  # beyond 4x4: 1024 px
NAMES = re.compile(r"(formatLayer|groupScale0\.0|scaleLayers\.\d+\.[01]|toRGBLayers\.\d+)\.(weight|bias)")
HE = math.sqrt(2)


def convert(checkpoint: Any) -> ImportedGenerator:
    """The averaged generator of a checkpoint `{"config", "netG", "avgG", ...}`, or netG where there is no average.

    Names of layers are taken with and without the `module.` that its wrappers put in them, as the zoo's own loader does.

    Raises:
        ValueError: no such checkpoint, a network of another kind, or one trained with labels.
    """
    names = [name for name in ("avgG", "netG") if isinstance(checkpoint, dict) and isinstance(checkpoint.get(name), dict)]
    if not names:
        raise ValueError("it holds neither avgG nor netG, as checkpoints of the GAN zoo do")
    settings = _settings(checkpoint.get("config"))
    arrays = {key.replace("module.", ""): value for key, value in checkpoint[names[0]].items() if isinstance(key, str)}
    widths, config = _shape(arrays)
    source = dict(format="pytorch_GAN_zoo", network=names[0], scale=len(widths) - 1)
    if names[0] == "netG":
        source["note"] = "the file has no avgG; netG, the last iterate instead of the average, was taken"
    return ImportedGenerator(config, _weights(arrays, widths, config, settings["equalizedlR"]), settings["tanh"], source)


def _settings(config: Any) -> dict[str, Any]:
    """What the network does beyond its weights. Raises ValueError for what ours cannot do."""
    given = config if isinstance(config, dict) else getattr(config, "__dict__", {})
    supported = {"leakyReluLeak": 0.2, "perChannelNormalization": True, "categoryVectorDim": 0}
    for name, needed in supported.items():
        if (value := given.get(name, needed)) != needed:
            raise ValueError(f"its {name} is {quoted(value)}; only {needed} is supported")
    loss = given.get("lossCriterion", "WGANGP")
    if not isinstance(loss, str) or loss not in TANH:
        raise ValueError(f"its lossCriterion is {quoted(loss)}; known are {', '.join(TANH)}")
    return dict(tanh=TANH[loss], equalizedlR=bool(given.get("equalizedlR", True)))


def _shape(arrays: Mapping[str, np.ndarray]) -> tuple[list[int], dict[str, Any]]:
    """Width of each block, and the arguments of `Generator`."""
    if unknown := [name for name, value in arrays.items() if not (NAMES.fullmatch(name) and isinstance(value, np.ndarray))]:
        raise ValueError(f"it has {quoted(unknown[0])}, which the zoo's progressive generator has not")
    scales = [k for k in range(MAX_SCALES + 1) if f"scaleLayers.{k}.0.weight" in arrays]
    if scales != list(range(len(scales))) or len(scales) > MAX_SCALES:
        raise ValueError(f"its scales are {scales}, not 0, 1, ... up to {MAX_SCALES} of them")
    first = ["groupScale0.0.weight", *(f"scaleLayers.{k}.0.weight" for k in scales)]
    widths = [shape_of(arrays, name, 4)[0] for name in first]
    channels = shape_of(arrays, f"toRGBLayers.{len(scales)}.weight", 4)[0]
    return widths, config_of(widths, channels, shape_of(arrays, "formatLayer.weight", 2)[1])


def _weights(arrays: Mapping[str, np.ndarray], widths: list[int], config: dict[str, Any], equalized: bool) -> Weights:
    """W' = s W sqrt(fan_in) / g and b' = s b of every layer, in our layouts; s is 1 without the equalized learning rate."""

    def layer(name: str, shape: tuple[int, ...], gain: float) -> tuple[np.ndarray, np.ndarray]:
        fan_in = math.prod(shape[1:])
        scale = math.sqrt(2 / fan_in) if equalized else 1.0
        weight, bias = take(arrays, f"{name}.weight", shape), take(arrays, f"{name}.bias", shape[:1])
        return weight * np.float32(scale * math.sqrt(fan_in) / gain), bias * np.float32(scale)

    def conv(name: str, shape: tuple[int, ...], gain: float = HE) -> list[np.ndarray]:
        weight, bias = layer(name, shape, gain)
        return [weight.transpose(2, 3, 1, 0), bias]  # OIHW -> HWIO

    def first() -> list[np.ndarray]:
        latent = config["latent_size"]
        weight, bias = layer("formatLayer", (16 * widths[0], latent), HE / 4)
        grids = weight.reshape(widths[0], 4, 4, latent), bias.reshape(widths[0], 4, 4)
        return [grids[0].transpose(3, 1, 2, 0).reshape(latent, -1), grids[1].transpose(1, 2, 0).reshape(-1)]

    layers = {"dense_4": first(), "conv_4_0": conv("groupScale0.0", (widths[0], widths[0], 3, 3))}
    for k, (below, width) in enumerate(zip(widths, widths[1:])):
        layers[f"conv_{8 * 2**k}_0"] = conv(f"scaleLayers.{k}.0", (width, below, 3, 3))
        layers[f"conv_{8 * 2**k}_1"] = conv(f"scaleLayers.{k}.1", (width, width, 3, 3))
    shape = (config["channels"], widths[-1], 1, 1)
    return {**layers, f"to_rgb_{config['resolution']}": conv(f"toRGBLayers.{len(widths) - 1}", shape, gain=1.0)}
