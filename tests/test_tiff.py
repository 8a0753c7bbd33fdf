"""TIFFs of every kind hold the numbers that were written, whoever decodes them; what is not one picture is refused."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from gekeras import images

HEIGHT, WIDTH = 21, 18
LZW = 5


@pytest.fixture
def colors(rng):
    """Five samples `[h, w, 5]` in [0, 1]."""
    return rng.random((HEIGHT, WIDTH, 5))


def stored(unit, dtype):
    """Values of a type -> (array, what they mean in [0, 1])."""
    full = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    values = (unit * full).astype(dtype)
    return values, values.astype(np.float64) / full


def unit(path):
    return (images.read(path).astype(np.float64) + 1) / 2


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32", "float64"])
@pytest.mark.parametrize("kind", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"bigtiff": True}, {"tile": (16, 16)}])
def test_samples_are_what_was_written(tmp_path, colors, dtype, kind):
    path, (values, truth) = tmp_path / "a.tif", stored(colors, dtype)
    kind = {"rowsperstrip": 5, **kind} if "tile" not in kind else kind
    alpha = truth[..., 3:4]
    cases = {
        "black": (values[..., 0], {"photometric": "minisblack"}, truth[..., :1]),
        "white": (values[..., 0], {"photometric": "miniswhite"}, 1 - truth[..., :1]),
        "rgb": (values[..., :3], {"photometric": "rgb", "planarconfig": "contig"}, truth[..., :3]),
        "planes": (values[..., :3], {"photometric": "rgb", "planarconfig": "separate"}, truth[..., :3]),
        "alpha": (
            values[..., :4],
            {"photometric": "rgb", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
            truth[..., :3] * alpha + 1 - alpha,
        ),
        "planes and alpha": (
            values[..., :4],
            {"photometric": "rgb", "planarconfig": "separate", "extrasamples": ["unassalpha"]},
            truth[..., :3] * alpha + 1 - alpha,
        ),
        "gray and alpha": (
            values[..., 2:4],
            {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]},
            truth[..., 2:3] * alpha + 1 - alpha,
        ),
        "unspecified": (
            values[..., :4],
            {"photometric": "rgb", "planarconfig": "contig", "extrasamples": ["unspecified"]},
            truth[..., :3],
        ),
    }
    for name, (array, tags, expected) in cases.items():
        array = np.moveaxis(array, -1, 0) if tags.get("planarconfig") == "separate" else array
        tifffile.imwrite(path, array, metadata=None, **tags, **kind)
        np.testing.assert_allclose(unit(path), expected, atol=1e-6, err_msg=name)
        assert images.size(path) == (HEIGHT, WIDTH)


def test_premultiplied_alpha(tmp_path, colors):
    for dtype in ("uint8", "uint16"):
        values, truth = stored(colors[..., :4], dtype)
        values[..., :3] = values[..., :3] * truth[..., 3:]
        premultiplied = values[..., :3] / np.iinfo(dtype).max
        tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["assocalpha"])
        np.testing.assert_allclose(unit(tmp_path / "a.tif"), premultiplied + 1 - truth[..., 3:], atol=1.01 / 255)
        for compression in (None, "zlib"):  # in planes apart, and with a sample more: Pillow reads neither
            planes = np.moveaxis(values[..., [0, 1, 2, 3, 0]], -1, 0)
            tags = {"planarconfig": "separate", "extrasamples": ["assocalpha", "unspecified"], "compression": compression}
            tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", **tags)
            np.testing.assert_allclose(unit(tmp_path / "a.tif"), premultiplied + 1 - truth[..., 3:], atol=1.01 / 255)


def packed(values, bits):
    """Rows of integers of so many bits, the most significant first, each row filled up to a byte."""
    rows = (values.reshape(len(values), -1)[..., None] >> np.arange(bits - 1, -1, -1) & 1).astype(np.uint8)
    return np.packbits(rows.reshape(len(values), -1), axis=1)


def lzw(rows):
    """A strip compressed by libtiff."""
    buffer = io.BytesIO()
    Image.fromarray(rows).save(buffer, "TIFF", compression="tiff_lzw", tiffinfo={278: len(rows)})
    buffer.seek(0)
    with tifffile.TiffFile(buffer) as file:
        (offset,), (count,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
        return buffer.getvalue()[offset : offset + count]


def write(path, strips, bits, photometric, samples=1, **tags):
    """A TIFF of these strips, its tags given by their numbers as `t259`."""
    found = ImageFileDirectory_v2()
    for code, value in {256: WIDTH, 257: HEIGHT, 259: 1, 262: photometric, 277: samples, 278: HEIGHT}.items():
        found[code] = value
    found[258] = (bits,) * samples if samples > 1 else bits
    for name, value in tags.items():
        found[int(name[1:])] = value
    found[273] = tuple(sum(map(len, strips[:k])) for k in range(len(strips)))
    found[279] = tuple(map(len, strips))
    buffer = io.BytesIO()
    found.save(buffer)
    path.write_bytes(buffer.getvalue() + b"".join(strips))


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6, 10, 12, 14])
def test_packed_integers(tmp_path, rng, bits):
    path, full = tmp_path / "a.tif", 2**bits - 1
    gray, color = (rng.integers(0, full + 1, (HEIGHT, WIDTH, c)) for c in (1, 3))
    reverse = np.packbits(np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)[:, ::-1], axis=1)[:, 0]
    for rows, photometric, samples, expected in (
        (packed(gray, bits), 1, 1, gray / full),
        (packed(gray, bits), 0, 1, 1 - gray / full),
        (packed(color, bits), 2, 3, color / full),
    ):
        for strip, tags in ((rows.tobytes(), {}), (lzw(rows), {"t259": LZW}), (reverse[rows].tobytes(), {"t266": 2})):
            write(path, [strip], bits, photometric, samples, **tags)
            np.testing.assert_allclose(unit(path), expected, atol=1 / 500, err_msg=f"{photometric} {tags}")
    if bits in (2, 4):
        table = rng.integers(0, 256, (3, 2**bits))
        write(path, [packed(gray, bits).tobytes()], bits, 3, t320=tuple((table * 257).ravel().tolist()))
        np.testing.assert_allclose(unit(path) * 255, table[:, gray[..., 0]].transpose(1, 2, 0), atol=1e-3)


def test_lzw_and_predictors(tmp_path, colors):
    """What tifffile alone cannot decode."""
    path = tmp_path / "a.tif"
    values, truth = stored(colors[..., :3], "<u2")
    rows = lambda array: np.ascontiguousarray(array).view(np.uint8).reshape(HEIGHT, -1)  # noqa: E731
    difference = np.diff(values, axis=1, prepend=np.zeros_like(values[:, :1]))
    for array, tags in ((values, {}), (difference, {"t317": 2})):
        write(path, [lzw(rows(array))], 16, 2, 3, t259=LZW, **tags)
        np.testing.assert_allclose(unit(path), truth, atol=1e-6)
        write(path, [lzw(rows(array[..., k])) for k in range(3)], 16, 2, 3, t259=LZW, t284=2, **tags)
        np.testing.assert_allclose(unit(path), truth, atol=1e-6)
        write(path, [lzw(rows(array[..., 0]))], 16, 0, t259=LZW, **tags)
        np.testing.assert_allclose(unit(path), 1 - truth[..., :1], atol=1e-6)
    floats = colors[..., :3].astype(">f4")
    planes = rows(floats).reshape(HEIGHT, -1, 4).swapaxes(1, 2).reshape(HEIGHT, -1, 3)
    write(path, [lzw(rows(np.diff(planes, axis=1, prepend=planes[:, :1] * 0)))], 32, 2, 3, t259=LZW, t317=3, t339=(3, 3, 3))
    np.testing.assert_allclose(unit(path), floats, atol=1e-6)


def test_inks_and_labels_of_colors(tmp_path, colors):
    for dtype in ("uint8", "uint16"):
        values, truth = stored(colors[..., :4], dtype)
        expected = (1 - truth[..., :3]) * (1 - truth[..., 3:])
        for planar, array in (("contig", values), ("separate", np.moveaxis(values, -1, 0))):
            tifffile.imwrite(tmp_path / "a.tif", array, photometric="separated", planarconfig=planar)
            np.testing.assert_allclose(unit(tmp_path / "a.tif"), expected, atol=2 / 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_pictures_are_turned_as_others(tmp_path, colors, orientation):
    values, _ = stored(colors[..., :3], np.uint8)
    Image.fromarray(values).save(tmp_path / "a.tif", tiffinfo={274: orientation})
    tifffile.imwrite(tmp_path / "b.tif", values.astype(np.uint16) * 257, extratags=[(274, 3, 1, orientation, True)])
    np.testing.assert_allclose(images.read(tmp_path / "b.tif"), images.read(tmp_path / "a.tif"), atol=1e-6)
    assert images.size(tmp_path / "b.tif") == images.size(tmp_path / "a.tif") == images.read(tmp_path / "a.tif").shape[:2]


# ------------------------------------------------------------------------------------------------------ one picture


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_reduced_pages_are_not_pictures_of_their_own(tmp_path, colors, dtype):
    values, truth = stored(colors[..., 0], dtype)
    for name, first, inner in (("behind", False, 0), ("before", True, 0), ("inside", False, 1)):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            if first:
                file.write(values[::3, ::3].copy(), subfiletype=1, metadata=None)
            file.write(values, subifds=inner or None, metadata=None)
            if not first:
                file.write(values[::3, ::3].copy(), subfiletype=1, metadata=None)
        np.testing.assert_allclose(unit(tmp_path / f"{name}.tif")[..., 0], truth, atol=1e-6)
        assert images.size(tmp_path / f"{name}.tif") == (HEIGHT, WIDTH)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_file_that_holds_several_pictures_is_refused(tmp_path, colors, dtype):
    values = np.moveaxis(stored(colors, dtype)[0], -1, 0)
    kinds = {
        "imagej": (values, {"imagej": True, "metadata": {"axes": "ZYX"}}),
        "one directory": (values, {"truncate": True}),
        "pages": (values, {"photometric": "minisblack"}),
        "ome": (values, {"ome": True, "metadata": {"axes": "ZYX"}}),
        "depth": (values, {"volumetric": True, "tile": (16, 16, 16), "metadata": None}),
        "planes": (values, {"photometric": "minisblack", "planarconfig": "separate", "metadata": None}),
        "samples": (
            values[:2].transpose(1, 2, 0),
            {"photometric": "minisblack", "planarconfig": "contig", "metadata": None},
        ),
    }
    for name, (array, kind) in kinds.items():
        tifffile.imwrite(tmp_path / "a.tif", np.ascontiguousarray(array), **kind)
        for call in (images.read, images.size):
            with pytest.raises(images.ImageError, match="several"):
                call(tmp_path / "a.tif")
                pytest.fail(name)
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:  # smaller, but not said to be the same picture
        file.write(values[0], metadata=None)
        file.write(values[1, ::2].copy(), metadata=None)
    with pytest.raises(images.ImageError, match="several pages"):
        images.read(tmp_path / "a.tif")


def test_a_single_slice_of_imagej_or_ome_is_a_picture(tmp_path, colors):
    values, truth = stored(colors[..., 0], np.uint16)
    for kind in ({"imagej": True}, {"ome": True}, {}):
        tifffile.imwrite(tmp_path / "a.tif", values, **kind)
        np.testing.assert_allclose(unit(tmp_path / "a.tif")[..., 0], truth, atol=1e-6)


def test_what_cannot_be_read_is_named(tmp_path, colors):
    values, _ = stored(colors[..., 0], np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="palette", colormap=np.zeros((3, 65536), np.uint16))
    with pytest.raises(images.ImageError, match="a TIFF that cannot be read: 18x21 of 16-bit unsigned palette"):
        images.read(tmp_path / "a.tif")
    write(tmp_path / "b.tif", [b"x" * 900], 16, 1, t259=34712)
    with pytest.raises(images.ImageError, match="16-bit unsigned minisblack, JPEG2000; save it uncompressed"):
        images.read(tmp_path / "b.tif")
    tifffile.imwrite(tmp_path / "c.tif", values, compression="zlib", rowsperstrip=5)
    whole = (tmp_path / "c.tif").read_bytes()
    for stop in range(len(whole) - 900, len(whole) - 1, 60):
        (tmp_path / "c.tif").write_bytes(whole[:stop])
        with pytest.raises(images.ImageError, match=r"missing|damaged|cut short"):
            images.read(tmp_path / "c.tif")
