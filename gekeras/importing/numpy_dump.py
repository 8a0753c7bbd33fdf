"""The original's TensorFlow variables (tkarras/progressive_growing_of_gans, networks.py, G_paper), saved as an `.npz`.

The same network as ours, if it was built with the original's default options. Two layouts differ: the first layer's outputs
are ordered (channels, 4, 4), and the kernel of the fused upscale2d_conv2d, `Conv0_up`, is stored `[k, k, out, in]` for a
transposed convolution, which is the mirror image of the kernel that is applied after doubling.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..messages import reason_of
from .weights import ImportedGenerator, Weights, config_of, shape_of, take

FIRST = "4x4/Dense/weight"
LARGEST = 4 * 2**30  # bytes of all arrays, unpacked; the three networks of 1024 px have 0.3 billion
SIZES = [4 * 2**k for k in range(9)]


def load(path: Path) -> dict[str, np.ndarray]:
    """Variables of the file's generator by their local names, `Gs/` in front and `:0` at the end dropped.

    Raises:
        ValueError: an unreadable file, one without a generator, or with several of which none is called Gs; one line.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:  # given a name, np.load leaks a bad zip
            names = {name.removesuffix(":0"): name for name in file.files}
            prefix = _prefix(names)
            _check_size(file.zip)
            wanted = {name[len(prefix) :]: file[key] for name, key in names.items() if name.startswith(prefix)}
    except Exception as error:  # OSError, BadZipFile, an array of objects, a damaged header, MemoryError, ...
        raise ValueError(f"{path} cannot be read as the original's variables: {reason_of(error)}") from error
    return wanted


def _check_size(archive: zipfile.ZipFile) -> None:
    if (size := sum(member.file_size for member in archive.infolist())) > LARGEST:
        raise ValueError(f"its arrays have {size:,} bytes, more than the {LARGEST:,} that any such network has")


def _prefix(names: Mapping[str, str]) -> str:
    prefixes = [name[: -len(FIRST)] for name in names if name.endswith(FIRST)]
    if not prefixes:
        raise ValueError(f"it lacks {FIRST}")
    if len(prefixes) > 1 and "Gs/" not in prefixes:
        raise ValueError(f"it holds {len(prefixes)} generators, {', '.join(prefixes)}; keep one")
    return "Gs/" if "Gs/" in prefixes else prefixes[0]


def convert(arrays: Mapping[str, np.ndarray]) -> ImportedGenerator:
    """The network at its highest resolution: the last toRGB, lod0, alone. Raises ValueError for anything else."""
    sizes = [r for r in SIZES if r == 4 or f"{r}x{r}/Conv1/weight" in arrays]
    if sizes != SIZES[: len(sizes)]:
        raise ValueError(f"its blocks are at {', '.join(map(str, sizes))} pixels, not at each of 4, 8, 16, ...")
    names = ["4x4/Conv/weight", *(f"{r}x{r}/Conv1/weight" for r in sizes[1:])]
    widths = [shape_of(arrays, name, 4)[3] for name in names]
    latent_size = shape_of(arrays, FIRST, 2)[0]
    config = config_of(widths, shape_of(arrays, "ToRGB_lod0/weight", 4)[3], latent_size)
    source: dict[str, Any] = dict(format="progressive_growing_of_gans", scale=len(sizes) - 1)
    lod = np.ravel(arrays.get("lod", 0.0))
    if lod.size == 1 and lod.dtype.kind == "f" and lod[0] > 0:
        source["note"] = f"the network was still growing, at lod {lod[0]:.2f}"
    return ImportedGenerator(config, _weights(arrays, config, widths), False, source)


def _weights(arrays: Mapping[str, np.ndarray], config: dict[str, Any], widths: list[int]) -> Weights:
    def conv(name: str, inputs: int, outputs: int, side: int = 3) -> list[np.ndarray]:
        return [take(arrays, f"{name}/weight", (side, side, inputs, outputs)), take(arrays, f"{name}/bias", (outputs,))]

    def up(name: str, inputs: int, outputs: int) -> list[np.ndarray]:
        if f"{name}/weight" in arrays:  # built with fused_scale=False
            return conv(name, inputs, outputs)
        kernel = take(arrays, f"{name}_up/weight", (3, 3, outputs, inputs))
        return [kernel[::-1, ::-1].transpose(0, 1, 3, 2), take(arrays, f"{name}_up/bias", (outputs,))]

    latent, width = config["latent_size"], widths[0]
    dense = take(arrays, FIRST, (latent, 16 * width)).reshape(latent, width, 4, 4)
    layers = {"dense_4": [dense.transpose(0, 2, 3, 1).reshape(latent, -1)]}
    layers |= {"bias_4": [take(arrays, "4x4/Dense/bias", (width,))], "conv_4_0": conv("4x4/Conv", width, width)}
    for r, below, width in zip(SIZES[1:], widths, widths[1:]):
        layers |= {f"conv_{r}_0": up(f"{r}x{r}/Conv0", below, width), f"conv_{r}_1": conv(f"{r}x{r}/Conv1", width, width)}
    return {**layers, f"to_rgb_{config['resolution']}": conv("ToRGB_lod0", widths[-1], config["channels"], 1)}
