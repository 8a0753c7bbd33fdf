"""What a file says is what the array holds; what is no picture is refused in one line; what is written is whole."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from gekeras import files, images

LEVEL = 1 / 127.5  # one of 255 levels, on [-1, 1]


def levels(image):
    """[-1, 1] -> 0..255 as floats, without rounding."""
    return (image + 1) * 127.5


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, raw, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png16(array, extra=b""):
    """The bytes of a 16-bit PNG of uint16 `[h, w, c]`."""
    height, width, channels = array.shape
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], raw, extra)


@pytest.fixture
def photo():
    return np.random.default_rng(0).integers(0, 256, (12, 9, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


# ------------------------------------------------------------------------------------------------------ ranges


def test_every_level_survives_the_round_trip():
    every = np.arange(256, dtype=np.uint8)
    assert images.from_uint8(every).dtype == np.float32
    assert (images.to_uint8(images.from_uint8(every)) == every).all()
    assert images.from_uint8(every)[[0, 255]].tolist() == [-1, 1]


def test_uint8_is_within_half_a_level():
    x = np.linspace(-1, 1, 10001, dtype=np.float32)
    assert np.abs(images.from_uint8(images.to_uint8(x)) - x).max() <= LEVEL / 2 + 1e-6


def test_ranges_are_clipped():
    x = np.array([-3.0, -1, 0, 1, 3])
    assert images.to_uint8(x).tolist() == [0, 0, 128, 255, 255]
    assert images.to_unit(x).tolist() == [0, 0, 0.5, 1, 1]


# ---------------------------------------------------------------------------------------- files that are pictures


@pytest.mark.parametrize("suffix", ["png", "tif", "tiff", "bmp", "webp"])
@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_formats_give_back_what_was_written(tmp_path, photo, suffix, channels):
    image = images.from_uint8(photo[..., :channels])
    images.write(tmp_path / f"a.{suffix}", image)
    back = images.read(tmp_path / f"a.{suffix}", channels)
    assert back.dtype == np.float32 and back.shape == image.shape
    np.testing.assert_allclose(back, image, atol=1e-6)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_jpeg_is_close(tmp_path, suffix):
    ramp = np.linspace(-1, 1, 32, dtype=np.float32)[:, None, None] * np.array([1, 0.5, -1], np.float32)
    image = np.broadcast_to(ramp, (32, 32, 3))
    images.write(tmp_path / f"a.{suffix}", image)
    assert np.abs(images.read(tmp_path / f"a.{suffix}") - image).max() < 4 * LEVEL


def test_channels_follow_the_file_or_the_caller(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "rgb.png")
    Image.fromarray(photo[..., 0]).save(tmp_path / "gray.png")
    assert images.read(tmp_path / "rgb.png").shape == (12, 9, 3)
    assert images.read(tmp_path / "gray.png").shape == (12, 9, 1)
    gray, repeated = images.read(tmp_path / "gray.png", 1), images.read(tmp_path / "gray.png", 3)
    assert (repeated == gray).all() and repeated.shape == (12, 9, 3)
    luma = photo @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(levels(images.read(tmp_path / "rgb.png", 1))[..., 0], luma, atol=1e-3)
    with pytest.raises(ValueError, match="channels must be 1, 3 or None"):
        images.read(tmp_path / "rgb.png", 4)


def test_alpha_is_laid_over_white(tmp_path):
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 3] = [0, 51, 255]
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    Image.fromarray(pixels[..., 2:]).save(tmp_path / "la.png")
    expected = np.broadcast_to(np.array([255, 204, 0])[None, :, None], (2, 3, 3))
    np.testing.assert_allclose(levels(images.read(tmp_path / "rgba.png")), expected, atol=1e-3)
    np.testing.assert_allclose(levels(images.read(tmp_path / "la.png")), expected[..., :1], atol=1e-3)


def test_palettes_become_colors_and_their_transparency_white(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    image.save(tmp_path / "p.png")
    image.save(tmp_path / "t.png", transparency=0)
    image.save(tmp_path / "b.png", transparency=bytes([255, 0, 255]))
    plain = np.array([[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [10, 20, 30]]])
    np.testing.assert_allclose(levels(images.read(tmp_path / "p.png")), plain, atol=1e-3)
    zero_clear, one_clear = plain.copy(), plain.copy()
    zero_clear[[0, 1], [0, 1]] = 255
    one_clear[0, 1] = 255
    np.testing.assert_allclose(levels(images.read(tmp_path / "t.png")), zero_clear, atol=1e-3)
    np.testing.assert_allclose(levels(images.read(tmp_path / "b.png")), one_clear, atol=1e-3)


@pytest.mark.parametrize("channels, error", [(1, 1e-6), (3, 1 / 255), (4, 1 / 255)])
def test_sixteen_bits_are_full_scale(tmp_path, channels, error):
    deep = np.random.default_rng(1).integers(0, 65536, (5, 6, channels), dtype=np.uint16)
    deep[0, 0], deep[0, 1] = 0, 65535
    if channels == 4:
        deep[..., 3] = 65535
    (tmp_path / "a.png").write_bytes(png16(deep))
    back = images.read(tmp_path / "a.png")
    np.testing.assert_allclose((back + 1) / 2, deep[..., :3] / 65535, atol=error)
    assert back[0, 0, 0] == -1 and back[0, 1, 0] == 1


def test_a_transparent_level_of_sixteen_bits_is_white(tmp_path):
    deep = np.random.default_rng(2).integers(0, 65535, (5, 6, 1), dtype=np.uint16)
    key = chunk(b"tRNS", struct.pack(">H", deep[1, 2, 0]))
    (tmp_path / "k.png").write_bytes(png16(deep, key))
    assert images.read(tmp_path / "k.png")[1, 2, 0] == 1


def test_one_bit(tmp_path):
    Image.fromarray(np.eye(4, dtype=bool)).save(tmp_path / "a.png")
    assert (images.read(tmp_path / "a.png")[..., 0] == 2 * np.eye(4) - 1).all()


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    np.testing.assert_allclose(levels(images.read(tmp_path / "a.jpg")), np.full((8, 8, 3), [255, 0, 0]), atol=3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "tif", "jpg"])
def test_exif_orientation_is_applied(tmp_path, orientation, suffix):
    upright = np.zeros((16, 32), np.uint8)
    upright[:8, :16] = 255  # the top left quarter is white: no two of the eight orientations of it are the same
    undo = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: np.transpose,
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).T,
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    stored.save(tmp_path / f"a.{suffix}", exif=exif)
    np.testing.assert_allclose(levels(images.read(tmp_path / f"a.{suffix}"))[..., 0], upright, atol=3)
    assert images.size(tmp_path / f"a.{suffix}") == (16, 32)


def test_color_profile_is_converted_and_a_damaged_one_ignored(tmp_path):
    flat = Image.new("RGB", (4, 4), (200, 100, 50))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()  # not a profile of RGB pixels
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = swap_red_and_blue(srgb)
    for name, profile in {"none": None, "bad": b"damaged", "lab": lab, "srgb": srgb, "swapped": swapped}.items():
        flat.save(tmp_path / f"{name}.png", icc_profile=profile)
    for name in ("none", "bad", "lab", "srgb"):
        np.testing.assert_allclose(levels(images.read(tmp_path / f"{name}.png"))[0, 0], [200, 100, 50], atol=1e-3)
    np.testing.assert_allclose(levels(images.read(tmp_path / "swapped.png"))[0, 0], [50, 100, 200], atol=2)


def swap_red_and_blue(profile):
    """An sRGB profile whose red and blue primaries have changed places, under another name."""
    return (
        profile.replace(b"rXYZ", b"tXYZ")
        .replace(b"bXYZ", b"rXYZ")
        .replace(b"tXYZ", b"bXYZ")
        .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    )


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3])
def test_float_tiff_is_taken_as_unit(tmp_path, dtype, channels):
    unit = np.random.default_rng(3).random((6, 5, channels)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", unit.squeeze(), photometric="minisblack" if channels == 1 else "rgb")
    np.testing.assert_allclose(images.read(tmp_path / "a.tif"), unit.astype(np.float32) * 2 - 1, atol=1e-6)
    assert images.size(tmp_path / "a.tif") == (6, 5)


def test_the_first_picture_of_a_phones_jpeg(tmp_path):
    first, second = Image.new("RGB", (8, 8), "white"), Image.new("RGB", (8, 8), "black")
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second])
    assert images.read(tmp_path / "a.jpg").min() == 1


@pytest.mark.parametrize(
    "name, says",
    [
        ("._a.png", "is what macOS keeps beside a file"),
        ("two.pgm", "several pages"),
        ("text.pgm", "several pages"),
    ],
)
def test_files_that_are_not_the_one_picture_they_seem(tmp_path, name, says):
    gray = b"P5 4 4 255\n" + bytes(16)
    content = {"._a.png": b"\0\5\x16\7" + bytes(80), "two.pgm": gray + gray, "text.pgm": b"P2 2 2 9\n1 2 3 4\n" * 2}
    (tmp_path / name).write_bytes(content[name])
    for call in (images.read, images.size):
        with pytest.raises(images.ImageError, match=says):
            call(tmp_path / name)
    (tmp_path / "one.pgm").write_bytes(gray + b"\n")
    assert images.size(tmp_path / "one.pgm") == (4, 4)


# ------------------------------------------------------------------------------------- levels of black and white


def test_levels_are_the_files_values(tmp_path):
    deep = np.arange(12, 4092, 17, dtype=np.uint16).reshape(12, 20)
    Image.fromarray(deep).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "a.tif", deep)
    tifffile.imwrite(tmp_path / "white.tif", deep, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "signed.tif", deep.astype(np.int32) - 2000)
    tifffile.imwrite(tmp_path / "float.tif", np.where(deep == 12, np.nan, deep).astype(np.float32))
    (tmp_path / "a.pgm").write_bytes(b"P5 20 12 4095\n" + deep.astype(">u2").tobytes())
    Image.fromarray((deep // 16).astype(np.uint8)).save(tmp_path / "eight.png")
    expected = np.clip((deep - 1000.0) / 2000, 0, 1)[..., None] * 2 - 1
    for name in ("a.png", "a.tif", "float.tif", "a.pgm"):
        np.testing.assert_allclose(images.read(tmp_path / name, levels=(1000, 3000)), expected, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(images.read(tmp_path / "white.tif", levels=(1000, 3000)), -expected, atol=1e-6)
    np.testing.assert_allclose(images.read(tmp_path / "signed.tif", levels=(-1000, 1000)), expected, atol=1e-6)
    eight = np.clip((deep // 16 - 62.5) / 125, 0, 1)[..., None] * 2 - 1
    np.testing.assert_allclose(images.read(tmp_path / "eight.png", 3, (62.5, 187.5)), eight.repeat(3, -1), atol=1e-6)


def test_levels_that_are_refused(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "color.png")
    tifffile.imwrite(tmp_path / "color.tif", photo.astype(np.uint16), photometric="rgb")
    for name in ("color.png", "color.tif"):
        with pytest.raises(images.ImageError, match="is no gray picture"):
            images.read(tmp_path / name, levels=(0, 9))
    for levels in ((1,), (2, 1), (0, 1, 2), (np.nan, 1), (0, np.inf)):
        with pytest.raises(ValueError, match="two numbers that rise"):
            images.read(tmp_path / "color.png", levels=levels)


def test_a_file_that_uses_little_of_its_range_is_told(tmp_path, photo):
    deep = np.arange(12, 4092, 17, dtype=np.uint16).reshape(12, 20)
    Image.fromarray(deep).save(tmp_path / "a.png")
    tifffile.imwrite(tmp_path / "white.tif", deep, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "flat.tif", deep + 30000)
    tifffile.imwrite(tmp_path / "float.tif", deep.astype(np.float32) / 2**16)
    Image.fromarray(np.eye(8, dtype=np.uint8) * 2).save(tmp_path / "labels.png")
    says = {
        "a.png": "a.png: values from 12 to 4,075 of 65,535: give levels=12,4075 if that is its black and white",
        "white.tif": "white.tif: values from 12 to 4,075 of 65,535: give levels=12,4075 if that is its black and white",
        "flat.tif": "flat.tif: values from 30,012 to 34,075 of 65,535: "
        "give levels=30012,34075 if that is its black and white",
        "float.tif": "float.tif: values from 0.000183105 to 0.0621796 of 1: "
        "give levels=0.000183105,0.0621796 if that is its black and white",
        "labels.png": "labels.png: values from 0 to 2 of 255: give levels=0,2 if that is its black and white",
    }
    for name, line in says.items():
        assert images.small_range(tmp_path / name, images.read(tmp_path / name, 3)) == line
    Image.fromarray(photo // 16).save(tmp_path / "dark.png")  # in color: no levels
    Image.fromarray(photo[..., 0] // 16 + 200).save(tmp_path / "pale.png")
    Image.new("L", (8, 8), 2).save(tmp_path / "even.png")
    Image.fromarray(deep * 10).save(tmp_path / "deep.png")
    for name in ("dark.png", "pale.png", "even.png", "deep.png"):
        assert images.small_range(tmp_path / name, images.read(tmp_path / name)) == ""


# ------------------------------------------------------------------------------------- files that are refused


def bad_files(folder):
    """name -> what its refusal says; the files are made in `folder`."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue")]
    says = {"missing.png": "no such file", "folder": "is a folder", "empty.png": "empty"}
    (folder / "folder").mkdir()
    (folder / "empty.png").touch()
    for name in ("cut.png", "cut.jpg", "cut.bmp", "cut.tif", "cut.webp", "cut.gif"):
        noise.save(folder / name)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
        says[name] = "damaged or truncated|not an image"
    for name in ("frames.gif", "frames.webp", "frames.png", "frames.tif"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
        says[name] = "animated or has several pages"
    for name, text in {"text.png": b"hello", "magic.png": b"\x89PNG\r\n\x1a\n", "magic.tif": b"II*\0"}.items():
        (folder / name).write_bytes(text)
        says[name] = "not an image|damaged"
    for width, height in ((1, 1), (1, 9), (9, 1)):
        name = f"{width}x{height}.png"
        Image.new("L", (width, height)).save(folder / name)
        says[name] = f"{width}x{height} pixels is too small"
    for side in (8001, 10000, 20000, 2**31 - 1):
        (folder / f"bomb{side}.png").write_bytes(png(side, side, 8, 2, b"\0"))
        says[f"bomb{side}.png"] = "too large: at most 64,000,000 pixels"
    damaged = bytearray(png16(rng.integers(0, 9, (9, 9, 3), dtype=np.uint16)))
    damaged[damaged.index(b"IDAT") + 5] ^= 255
    (folder / "damaged.png").write_bytes(damaged)
    says["damaged.png"] = "damaged"
    for name, value in {"nan.tif": np.nan, "inf.tif": np.inf, "two.tif": 2.0, "minus.tif": -0.5}.items():
        for prefix, shape in {"gray_": (8, 8), "color_": (8, 8, 3)}.items():
            array = np.full(shape, 0.5, np.float32)
            array[3, 3] = value
            tifffile.imwrite(folder / (prefix + name), array, photometric="rgb" if "color" in prefix else None)
            says[prefix + name] = "NaN or infinite|must lie in"
    tifffile.imwrite(folder / "volume.tif", np.zeros((5, 8, 8), np.float64), photometric="minisblack")
    says["volume.tif"] = "several pages"
    tifffile.imwrite(folder / "int.tif", np.zeros((8, 8), np.int32))
    says["int.tif"] = "integers"
    tifffile.imwrite(folder / "complex.tif", np.zeros((8, 8), np.complex64))
    says["complex.tif"] = "cannot be read"
    noise.save(folder / "script.eps")  # read by another program, when at all
    says["script.eps"] = "not an image"
    return says


def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, capfd):
    for name, says in bad_files(tmp_path).items():
        with pytest.raises(images.ImageError, match=says) as caught:
            images.read(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(str(tmp_path / name)) and "\n" not in message, name
    assert capfd.readouterr().err == ""


def test_size_refuses_what_a_header_can_tell(tmp_path):
    for name, says in bad_files(tmp_path).items():
        if any(word in says for word in ("no such", "folder", "empty", "animated", "too small", "too large", "pages")):
            with pytest.raises(images.ImageError, match=says):
                images.size(tmp_path / name)


def test_every_truncation_is_refused_or_read(tmp_path, photo, capfd):
    """No cut of a file lets another exception out."""
    for suffix in ("png", "jpg", "gif", "bmp", "tif", "webp"):
        Image.fromarray(photo).save(tmp_path / f"whole.{suffix}")
    tifffile.imwrite(tmp_path / "whole.float", images.to_unit(images.from_uint8(photo)), photometric="rgb")
    for whole in sorted(tmp_path.iterdir()):
        data = whole.read_bytes()
        for stop in range(0, len(data), max(1, len(data) // 60)):
            (tmp_path / "cut").write_bytes(data[:stop])
            try:
                assert images.read(tmp_path / "cut").shape[:2] == (12, 9)
            except images.ImageError:
                pass
    assert capfd.readouterr().err == ""


def test_pipe_and_loops_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    os.symlink(tmp_path / "loop.png", tmp_path / "loop.png")
    for path in (
        tmp_path / "pipe.png",
        tmp_path / "loop.png",
        "nul\0.png",
        "a" * 5000,
        tmp_path / "pipe.png" / "a.png",
    ):
        with pytest.raises(images.ImageError):
            images.read(path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permission bits do not stop root")
def test_permission_denied(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(images.ImageError, match="permission denied"):
        images.read(tmp_path / "a.png")


def test_permission_denied_is_reported(tmp_path, photo, monkeypatch):
    Image.fromarray(photo).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(images.ImageError, match=r"a\.png: permission denied"):
        images.read(tmp_path / "a.png")
    monkeypatch.setattr(Image, "open", lambda *_, **__: (_ for _ in ()).throw(PermissionError("a decoder's own")))
    with pytest.raises(images.ImageError, match=r"a\.png: permissionerror"):  # there is no text of the system's
        images.read(tmp_path / "a.png")


# ----------------------------------------------------------------------------------------------------- writing


def test_write_refuses(tmp_path):
    good = np.zeros((4, 4, 3), np.float32)
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    for path, says in {
        "a.xyz": "cannot write '.xyz'",
        "a": "cannot write 'no suffix'",
        "missing/a.png": "does not exist",
        "file/a.png": "not a folder",
        "folder.png": "is a folder",
    }.items():
        with pytest.raises(files.FileError, match=says):
            images.write(tmp_path / path, good)
    for image in (good[0], good[..., :2], np.full_like(good, np.nan), good[:0]):
        with pytest.raises(images.ImageError):
            images.write(tmp_path / "a.png", image)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder.png"]


# ---------------------------------------------------------------------------------------------------- geometry


def test_crop_square_is_centered():
    image = np.arange(5 * 8).reshape(5, 8, 1)
    assert (images.crop_square(image) == image[:, 1:6]).all()
    assert (images.crop_square(image.swapaxes(0, 1)) == image.swapaxes(0, 1)[1:6]).all()


def test_box_reduce_is_the_mean_of_blocks():
    image = np.random.default_rng(4).uniform(-1, 1, (6, 9, 3)).astype(np.float32)
    small = images.box_reduce(image, 3)
    assert small.shape == (2, 3, 3) and small.dtype == np.float32
    np.testing.assert_allclose(small[1, 2], image[3:, 6:].mean((0, 1)), rtol=1e-5)
    with pytest.raises(ValueError, match="factor must divide 6x9"):
        images.box_reduce(image, 2)


def test_resize_keeps_constants_and_ramps_and_does_not_alias():
    np.testing.assert_allclose(images.resize(np.full((7, 5, 3), 0.3, np.float32), 12), 0.3, atol=1e-6)
    ramp = np.broadcast_to(np.linspace(-0.9, 0.9, 64, dtype=np.float32)[:, None, None], (64, 64, 1))
    step = ramp[1, 0, 0] - ramp[0, 0, 0]
    centers = -0.9 + step * ((np.arange(24) + 0.5) * 64 / 24 - 0.5)
    np.testing.assert_allclose(images.resize(ramp, 24)[2:-2, 5, 0], centers[2:-2], atol=1e-3)
    board = (np.indices((60, 60)).sum(0) % 2 * 2 - 1)[..., None].astype(np.float32)
    assert np.abs(images.resize(board, 22)).max() < 0.1  # one pixel checks are gray from afar
    assert np.abs(images.resize(board, 90)).max() <= 1  # the cubic overshoots
    with pytest.raises(ValueError, match="side"):
        images.resize(board, 0)


def test_fit():
    image = np.random.default_rng(5).uniform(-1, 1, (8, 12, 3)).astype(np.float32)
    square = images.crop_square(image)
    assert (images.fit(image, 8) == square).all()
    assert (images.fit(image, 4) == images.box_reduce(square, 2)).all()
    assert (images.fit(image, 5) == images.resize(square, 5)).all()
    assert images.fit(image, 16).shape == (16, 16, 3)
    for bad in (image[0], image[:0]):
        with pytest.raises(ValueError, match="shape"):
            images.fit(bad, 8)
    with pytest.raises(ValueError, match="side"):
        images.fit(image, 0)
