"""What is not sRGB becomes it, by the formula of its curve and primaries; what is, whatever its name, keeps its values."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms, PngImagePlugin

from gekeras import images
from gekeras.formats import profiles

D50 = (0.9642, 1, 0.8249)
SRGB = np.array([[0.436075, 0.385065, 0.143080], [0.222504, 0.716879, 0.060617], [0.013932, 0.097105, 0.714173]])  # on D50
ADOBE = np.array([[0.6097, 0.2053, 0.1492], [0.3111, 0.6257, 0.0632], [0.0195, 0.0609, 0.7446]])
ADOBE_XY = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)


def fixed(*numbers):
    return struct.pack(f">{len(numbers)}i", *(round(65536 * n) for n in numbers))


def power(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * gamma))


def table(function, count=2048):
    values = np.round(65535 * function(np.linspace(0, 1, count))).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", count) + values.tobytes()


def parametric(function, *numbers):
    return b"para\0\0\0\0" + struct.pack(">HH", function, 0) + fixed(*numbers)


LINEAR = b"curv\0\0\0\0\0\0\0\0"
SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def profile(curve, primaries=SRGB, gray=False, name="sRGB IEC61966-2.1"):
    """An ICC profile (ICC.1:2022, 7.2 and 9); its name says sRGB whatever it is."""
    text = name.encode("utf-16-be")
    label = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(text), 28) + text
    tags = {b"desc": label, b"cprt": label, b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50)}
    tags |= {b"kTRC": curve} if gray else {name + b"TRC": curve for name in (b"r", b"g", b"b")}
    tags |= {} if gray else {n + b"XYZ": b"XYZ \0\0\0\0" + fixed(*primaries[:, k]) for k, n in enumerate((b"r", b"g", b"b"))}
    entries, body = b"", b""
    for name, data in tags.items():
        entries += name + struct.pack(">II", 132 + 12 * len(tags) + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kinds = (b"mntr", b"GRAY" if gray else b"RGB ", b"XYZ ")
    head = struct.pack(">II I4s4s4s12x4s", 132 + len(entries) + len(body), 0, 0x04300000, *kinds, b"acsp")
    return (head.ljust(68, b"\0") + fixed(*D50)).ljust(128, b"\0") + struct.pack(">I", len(tags)) + entries + body


def encoded(linear):
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0, 1) ** (1 / 2.4) - 0.055)


def unit(path):
    return (images.read(path).astype(np.float64) + 1) / 2


@pytest.fixture
def deep(rng):
    return rng.integers(0, 65536, (9, 12, 3), dtype=np.uint16)


@pytest.mark.parametrize(
    "curve, linear",
    [
        (LINEAR, lambda x: x),
        (power(1.75), lambda x: x**1.75),
        (table(lambda x: x**3), lambda x: x**3),
        (parametric(0, 2.6), lambda x: x**2.6),
        (
            parametric(3, 3, 1 / 1.16, 0.16 / 1.16, 1 / 9.033, 0.08),
            lambda x: np.where(x < 0.08, x / 9.033, ((x + 0.16) / 1.16) ** 3),
        ),
    ],
    ids=["linear", "power", "table", "parametric power", "parametric"],
)
@pytest.mark.parametrize("kind", ["png", "tif"])
def test_curves_at_every_depth(tmp_path, deep, curve, linear, kind):
    """Whatever the profile is called; to 16 bits where the file has them."""
    eight, path = (deep >> 8).astype(np.uint8), tmp_path / f"a.{kind}"
    for array, full, gray, error in (
        (eight, 255, False, 1 / 255),
        (eight[..., :1], 255, True, 0.51 / 255),
        (deep[..., :1], 65535, True, 2e-4),
        (deep, 65535, False, 1e-3),
    ):
        icc = profile(curve, gray=gray)
        if kind == "tif":
            tifffile.imwrite(path, array.squeeze(), photometric="minisblack" if gray else "rgb", iccprofile=icc)
        elif array is not deep:  # Pillow neither writes nor fully reads a PNG of 16 bits in color
            Image.fromarray(array.squeeze()).save(path, icc_profile=icc)
        else:
            continue
        np.testing.assert_allclose(unit(path), encoded(linear(array / full)), atol=error, err_msg=f"{full} {gray}")


def test_primaries_are_those_of_littlecms(tmp_path, deep):
    icc, levels = profile(power(2.2), ADOBE), (deep >> 8).astype(np.uint8)
    managed = ImageCms.profileToProfile(
        Image.fromarray(levels), ImageCms.ImageCmsProfile(io.BytesIO(icc)), ImageCms.createProfile("sRGB")
    )
    Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=icc)
    tifffile.imwrite(tmp_path / "a.tif", levels.astype(np.uint16) * 257, photometric="rgb", iccprofile=icc)
    png = PngImagePlugin.PngInfo()
    png.add(b"gAMA", struct.pack(">I", 45455))
    png.add(b"cHRM", struct.pack(">8I", *(round(1e5 * n) for n in ADOBE_XY)))
    Image.fromarray(levels).save(tmp_path / "b.png", pnginfo=png)
    for name in ("a.png", "a.tif", "b.png"):
        np.testing.assert_allclose(unit(tmp_path / name) * 255, managed, atol=1.01, err_msg=name)
    assert np.abs(np.int16(managed) - levels).max() > 20


def test_what_is_srgb_keeps_its_values(tmp_path, deep):
    levels = (deep >> 8).astype(np.uint8)
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for icc in (built_in, profile(SRGB_CURVE, name="c2"), b"damaged", profile(LINEAR, gray=True), built_in[:200]):
        Image.fromarray(levels).save(tmp_path / "a.png", icc_profile=icc)
        tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", iccprofile=icc)
        np.testing.assert_allclose(unit(tmp_path / "a.png"), levels / 255, atol=1e-6)
        np.testing.assert_allclose(unit(tmp_path / "a.tif"), deep / 65535, atol=1e-6)
    assert not profiles.is_srgb(profile(LINEAR), "RGB") and not profiles.is_srgb(profile(SRGB_CURVE, ADOBE), "RGB")


@pytest.mark.parametrize("gamma, means", [(1.0, 1.0), (1 / 1.8, 1.8), (0.45455, None), (0.45, None)])
def test_the_gamma_of_a_png(tmp_path, deep, gamma, means):
    levels = (deep >> 8).astype(np.uint8)
    for array, full in ((levels, 255), (deep[..., 0], 65535)):
        for chunks in ((), (b"sRGB",)):
            png = PngImagePlugin.PngInfo()
            png.add(b"gAMA", struct.pack(">I", round(1e5 * gamma)))
            for name in chunks:
                png.add(name, b"\0")
            Image.fromarray(array).save(tmp_path / "a.png", pnginfo=png)
            truth = np.atleast_3d(array) / full
            expected = truth if means is None or chunks else encoded(truth**means)
            np.testing.assert_allclose(unit(tmp_path / "a.png"), expected, atol=1e-5)
