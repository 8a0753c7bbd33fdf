"""Color profiles: what is not sRGB becomes sRGB, and what is sRGB, whatever it calls itself, keeps its values.

A profile is known by what it does to colors, not by its description. Pictures of 8 bits go through LittleCMS (`ImageCms`);
deeper ones, for which Pillow has no color transform, through the profile's own curves and primaries (ICC.1:2022, sections
8.3, 10.6 and 10.18), and where it has neither, through LittleCMS at 8 bits. A PNG can also state a gamma and primaries.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageCms

_GAMMA = 0.45455  # 1 / 2.2: what a PNG states that is as good as sRGB
_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # x, y of sRGB's white, red, green, blue
_SRGB_TO_D50 = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] -> sRGB (IEC 61966-2-1), clipped."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


# ----------------------------------------------------------------------------------------------------- 8 bits


def to_srgb(image: Image.Image, icc: bytes | None) -> Image.Image:
    """An L, RGB or CMYK image as sRGB, L or RGB. A damaged profile, or one for other pixels, is ignored."""
    if image.mode != "CMYK" and (not icc or is_srgb(icc, image.mode)):
        return image
    converted = _converted(image, icc) if icc else None
    return converted or (image.convert("RGB") if image.mode == "CMYK" else image)


@functools.lru_cache(maxsize=64)
def is_srgb(icc: bytes, mode: str) -> bool:
    """Whether a profile leaves L or RGB values where they are, to a level of 255; true for one that cannot be used."""
    steps = np.arange(0, 256, 17, dtype=np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 64, 3)
    image = Image.fromarray(colors if mode == "RGB" else np.arange(256, dtype=np.uint8)[None])
    converted = _converted(image, icc)
    return converted is None or np.abs(np.asarray(converted, np.int16) - np.asarray(image, np.int16)).max() <= 1


def _converted(image: Image.Image, icc: bytes) -> Image.Image | None:
    if image.mode == "L" and (model := _model(icc, "L")):  # LittleCMS is off by up to ten of 255 levels here, in the dark
        ramp = model(np.arange(256).reshape(256, 1, 1) / 255)
        return image.point(np.rint(255 * ramp).astype(int).ravel().tolist())
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        found = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # a damaged profile, or one for another color space: the pixels are still good
        return None
    return found.convert("L") if found is not None and image.mode == "L" else found


# ------------------------------------------------------------------------------------------------------ deeper


def deep_to_srgb(unit: np.ndarray, icc: bytes | None) -> np.ndarray:
    """`[h, w, c]` in [0, 1], c = 1 or 3, as sRGB, to more than 8 bits where the profile has curves."""
    mode = "L" if unit.shape[-1] == 1 else "RGB"
    if not icc or is_srgb(icc, mode):
        return unit
    if model := _model(icc, mode):
        return model(unit).astype(np.float32)
    levels = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    converted = to_srgb(Image.fromarray(levels[..., 0] if mode == "L" else levels), icc)
    return np.atleast_3d(np.asarray(converted)) / np.float32(255)


def _model(icc: bytes, mode: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """Values `[h, w, c]` in [0, 1] -> sRGB by a profile's curves and primaries.

    None for a profile without them, with tables, which go before them, or with curves that do not lead from 0 to 1: what
    black and white are then is LittleCMS's to say.
    """
    try:
        tags = _tags(icc)
        if icc[16:20] != {"L": b"GRAY", "RGB": b"RGB "}[mode] or icc[20:24] != b"XYZ " or b"A2B0" in tags:
            return None
        curves = [_curve(tags[name]) for name in ([b"kTRC"] if mode == "L" else [b"rTRC", b"gTRC", b"bTRC"])]
        if any(np.abs(curve(np.array([0.0, 1.0])) - [0, 1]).max() > 1e-3 for curve in curves):
            return None
        matrix = np.eye(1)
        if mode == "RGB":
            columns = [struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
            matrix = np.linalg.inv(_to_d50(_PRIMARIES)) @ (np.array(columns).T / 65536)
    except (struct.error, IndexError, ValueError, KeyError):  # damaged
        return None
    return lambda unit: encoded(np.stack([f(unit[..., k]) for k, f in enumerate(curves)], axis=-1) @ matrix.T)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", icc, 128)
    entries = [struct.unpack_from(">4sII", icc, 132 + 12 * k) for k in range(min(count, 200))]
    return {name: icc[offset : offset + size] for name, offset, size in entries}


def _curve(data: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """A `curv` or `para` element as a function from [0, 1] to linear light."""
    if data[:4] == b"curv":
        (count,) = struct.unpack_from(">I", data, 8)
        table = np.frombuffer(data, ">u2", count, 12)
        if count == 1:
            return functools.partial(_parametric, [table[0] / 256])
        values = table / 65535 if count else np.array([0.0, 1.0])
        return lambda unit: np.interp(unit, np.linspace(0, 1, len(values)), values)
    if data[:4] != b"para":
        raise ValueError("no curve")
    (function,) = struct.unpack_from(">H", data, 8)
    numbers = struct.unpack_from(f">{(1, 3, 4, 5, 7)[function]}i", data, 12)
    return functools.partial(_parametric, [n / 65536 for n in numbers])


def _parametric(numbers: list[float], unit: np.ndarray) -> np.ndarray:
    """(a x + b)^g + e where x >= d, c x + f below; the five functions of a `para` element by how many numbers they have."""
    g, a, b, *rest = numbers if len(numbers) > 1 else (numbers[0], 1, 0)
    zero = -b / a if a else 0
    c, d, e, f = [(0, zero, 0, 0), (0, zero, *rest, *rest), (*rest, 0, 0), (), rest][len(rest)]
    return np.where(unit >= d, np.maximum(a * unit + b, 0) ** g + e, c * unit + f)


# --------------------------------------------------------------------------------------------------------- PNG


def stated_by_png(info: Mapping[Any, Any]) -> bool:
    """Whether a PNG's gAMA or cHRM says that its colors are not sRGB; an sRGB chunk or a profile goes before them."""
    if "srgb" in info or "icc_profile" in info or not info.get("gamma"):
        return False
    primaries = info.get("chromaticity", _PRIMARIES)
    return abs(info["gamma"] / _GAMMA - 1) > 0.05 or np.abs(np.subtract(primaries, _PRIMARIES)).max() > 0.01


def from_png(unit: np.ndarray, info: Mapping[Any, Any]) -> np.ndarray:
    """`[h, w, c]` in [0, 1] of such a PNG as sRGB (PNG specification, sections 11.3.2.1 and 11.3.2.2)."""
    linear = unit ** (1 / info["gamma"])
    if unit.shape[-1] == 3 and "chromaticity" in info:
        linear = linear @ (np.linalg.inv(_to_d50(_PRIMARIES)) @ _to_d50(info["chromaticity"])).T
    return encoded(linear).astype(np.float32)


def _to_d50(primaries: tuple[float, ...]) -> np.ndarray:
    """Matrix from linear RGB of these primaries to XYZ, their white adapted to D50's."""
    x, y = np.array(primaries).reshape(4, 2).T
    xyz = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    white, columns = xyz[:, 0], xyz[:, 1:]
    d50 = np.array([0.96422, 1, 0.82521])
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ d50) / (_BRADFORD @ white)) @ _BRADFORD
    return adapt @ (columns * np.linalg.solve(columns, white))
