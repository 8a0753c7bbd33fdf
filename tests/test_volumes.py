"""Volumes as pictures: every slice is NumPy's, squares lie where a formula says, and levels are what is documented."""

import io
import json
import lzma

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import data
from gekeras.cli import cli
from gekeras.config import VolumeOptions
from gekeras.data import volumes

SHAPE = (5, 12, 14)


@pytest.fixture
def volume(rng):
    return rng.integers(0, 256, SHAPE, dtype=np.uint8)


def save(path, array):
    np.save(path, array)
    return path


def pack(path, array):
    raw = io.BytesIO()
    np.save(raw, array)
    path.write_bytes(lzma.compress(raw.getvalue()))
    return path


def pixels(entry):
    picture = entry.picture()
    assert picture.mode == "L"
    return np.asarray(picture)


def is_mapped(array):
    while array is not None and not isinstance(array, np.memmap):
        array = array.base
    return array is not None


def only(path, **options):
    """The first of the squares, which are the whole slices along axis 0 of volumes with square slices."""
    return pixels(data.entries(path, options=VolumeOptions(axes=(0,), **options))[0])


# ------------------------------------------------------------------------------------------------------ what is read


def test_npy_is_mapped_and_xz_is_equal(volume, tmp_path):
    plain, packed = save(tmp_path / "v.npy", volume), pack(tmp_path / "v.npy.xz", volume)
    read = [volumes.read(path, VolumeOptions()) for path in (plain, packed)]
    assert is_mapped(read[0]) and not is_mapped(read[1])
    for array in read:
        np.testing.assert_array_equal(array, volume)


@pytest.mark.parametrize("dtype", ["uint8", "<u2", ">u2", "<f4"])
def test_raw(volume, tmp_path, dtype):
    values = (volume * 3.0).astype(dtype) if dtype != "uint8" else volume
    values.tofile(tmp_path / "v.raw")
    options = VolumeOptions(shape=SHAPE, dtype=dtype)
    read = volumes.read(tmp_path / "v.raw", options)
    assert is_mapped(read) and read.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read, values)
    first = data.entries(tmp_path / "v.raw", options=options)[0]
    np.testing.assert_array_equal(pixels(first), volumes_square(values, dtype)[0, :, 1:13])


def volumes_square(values, dtype):
    """8-bit gray of a whole volume, by the documented levels."""
    low, high = (0, 255) if dtype == "uint8" else (float(values.min()), float(values.max()))
    return np.round(255 * (values.astype(np.float64) - low) / (high - low)).astype(np.uint8)


def test_raw_of_another_size_is_refused(volume, tmp_path):
    volume.tofile(tmp_path / "v.raw")
    for options, says in (
        (VolumeOptions(), "a raw file needs its shape"),
        (VolumeOptions(shape=(5, 12, 13)), "it has 840 bytes, not the 780 of [5, 12, 13] uint8"),
        (VolumeOptions(shape=SHAPE, dtype="<u2"), "it has 840 bytes, not the 1680 of [5, 12, 14] <u2"),
        (VolumeOptions(shape=SHAPE, dtype="gray"), "gray"),
    ):
        with pytest.raises(ValueError, match=r"v\.raw cannot be read as a volume: ") as refused:
            data.entries(tmp_path / "v.raw", options=options)
        assert says in str(refused.value)


@pytest.mark.parametrize("kind", [{}, {"imagej": True}, {"truncate": True}, {"byteorder": ">"}])
def test_tiff_stack_in_one_piece_is_mapped(volume, tmp_path, kind):
    values = volume.astype(np.uint16)
    tifffile.imwrite(tmp_path / "v.tif", values, **kind)
    assert volumes.is_volume(tmp_path / "v.tif")
    read = volumes.read(tmp_path / "v.tif", VolumeOptions())
    assert is_mapped(read)
    np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_other_tiff_stacks(volume, tmp_path, compression, dtype):
    pages = [Image.fromarray(page.astype(dtype)) for page in volume]
    pages[0].save(tmp_path / "v.tiff", save_all=True, append_images=pages[1:], compression=compression)
    read = volumes.read(tmp_path / "v.tiff", VolumeOptions())
    assert read.dtype == dtype
    np.testing.assert_array_equal(read, volume)


def test_tiffs_that_are_pictures(volume, tmp_path):
    color = np.stack([volume[0], volume[1], volume[2]], axis=-1)
    tifffile.imwrite(tmp_path / "color.tif", color, photometric="rgb")
    tifffile.imwrite(tmp_path / "gray.tif", volume[0])
    page = Image.fromarray(volume[0])
    with tifffile.TiffWriter(tmp_path / "thumbnail.tif") as file:
        file.write(volume[0])
        file.write(np.asarray(page.resize((4, 4))), subfiletype=1)
    found = data.entries(tmp_path)
    assert [entry.name for entry in found] == ["color.tif", "gray.tif", "thumbnail.tif"]
    assert not any(volumes.is_volume(entry.path) for entry in found)
    np.testing.assert_array_equal(found[0].picture(), color)
    for entry in found[1:]:
        np.testing.assert_array_equal(entry.picture(), volume[0])


def test_a_stack_of_color_pages_is_refused(volume, tmp_path):
    tifffile.imwrite(tmp_path / "v.tif", np.stack([volume] * 3, axis=-1), photometric="rgb")
    with pytest.raises(ValueError, match=r"v\.tif is no volume: its shape is \[5, 12, 14, 3\] of uint8"):
        data.entries(tmp_path)


def test_pages_that_are_not_of_one_kind_are_refused(volume, tmp_path):
    others = {
        "size": (volume[4, :6], {}),
        "dtype": (volume[4].astype(np.uint16), {}),
        "color": (np.stack([volume[4]] * 3, axis=-1), {"photometric": "rgb"}),
        "white": (volume[4], {"photometric": "miniswhite"}),
    }
    for name, (page, kind) in others.items():
        for first in (True, False):
            with tifffile.TiffWriter(tmp_path / "v.tif") as file:
                for k, one in enumerate([page, *volume[:4]] if first else [*volume[:4], page]):
                    file.write(one, metadata=None, **(kind if k == (0 if first else 4) else {"photometric": "minisblack"}))
            with pytest.raises(
                ValueError, match=r"v\.tif cannot be read as a volume: its 5 pages are not of one kind: . are "
            ):
                data.entries(tmp_path)
                pytest.fail(name)


@pytest.mark.parametrize("kind", [{"imagej": True, "metadata": {"axes": "ZYX"}}, {"truncate": True}])
def test_a_stack_behind_one_directory_that_is_cut_short(volume, tmp_path, kind):
    tifffile.imwrite(tmp_path / "v.tif", volume, **kind)
    whole = (tmp_path / "v.tif").read_bytes()
    (tmp_path / "v.tif").write_bytes(whole[: -volume[0].nbytes])
    with pytest.raises(ValueError, match=r"v\.tif cannot be read as a volume: its pages are cut short"):
        data.entries(tmp_path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_white_is_zero(volume, tmp_path, dtype, compression):
    """A negative by its tag is shown as the positive that it means; levels are the file's values all the same."""
    values = volume.astype(dtype)
    tifffile.imwrite(tmp_path / "v.tif", values, photometric="miniswhite", compression=compression)
    np.testing.assert_array_equal(volumes.read(tmp_path / "v.tif", VolumeOptions()), values)
    for levels in ((), (40, 200)):
        positive = only(save(tmp_path / "v.npy", values), levels=levels)
        np.testing.assert_array_equal(only(tmp_path / "v.tif", levels=levels), 255 - positive)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of the TIFF, before its error
@pytest.mark.parametrize("name", ["v.npy", "v.npy.xz", "v.tif", "z.tif"])
def test_damaged_files_cost_one_line(volume, tmp_path, name):
    path = tmp_path / name
    if name == "v.tif":
        tifffile.imwrite(path, volume)
    elif name == "z.tif":
        tifffile.imwrite(path, volume, compression="zlib")
    else:
        (save if name == "v.npy" else pack)(path, volume)
    whole = path.read_bytes()
    last = len(whole) - (200 if name == "v.tif" else 1)  # behind its pixels are the lists of its pages
    for count, begin in enumerate((0, 1, 9, 40, len(whole) // 2, last)):
        cut = tmp_path / str(count) / name
        cut.parent.mkdir()
        cut.write_bytes(whole[:begin])
        with pytest.raises(ValueError) as refused:
            data.load_all(data.entries(cut), 4)
            pytest.fail(f"read {begin} of {len(whole)} bytes")
        assert name in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.uint8), np.zeros((0, 4, 4), np.uint8), np.zeros((2, 4, 4), np.complex64), np.array([{}, None])],
)
def test_arrays_that_are_no_volumes(tmp_path, array):
    np.save(tmp_path / "v.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=r"v\.npy (is no volume: its shape is|cannot be read as a volume: )"):
        data.entries(tmp_path)


@pytest.mark.parametrize("name", ["v.npy", "v.npy.xz"])
def test_other_files_of_that_name(volume, tmp_path, name):
    raw = io.BytesIO()
    np.savez(raw, volume)
    (tmp_path / name).write_bytes(raw.getvalue() if name == "v.npy" else lzma.compress(raw.getvalue()))
    with pytest.raises(ValueError, match=r"v\.npy.* cannot be read as a volume: "):
        data.entries(tmp_path)


# ------------------------------------------------------------------------------------------------------ where it is cut


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_numpy_s(volume, tmp_path, axis):
    entries = data.entries(save(tmp_path / "v.npy", volume), options=VolumeOptions(axes=(axis,)))
    assert len(entries) == SHAPE[axis]
    for index, entry in enumerate(entries):
        plane = np.take(volume, index, axis)
        size = min(plane.shape)
        top, left = ((n - size) // 2 for n in plane.shape)
        np.testing.assert_array_equal(pixels(entry), plane[top : top + size, left : left + size])
        assert entry.name == f"v.npy[{'zyx'[axis]}={index}, {top}, {left}]"


def test_the_order_is_axis_slice_row_column(volume, tmp_path):
    options = VolumeOptions(axes=(2, 0), crop=4, stride=4)
    found = [(c.axis, c.index, c.top, c.left) for c in data.entries(save(tmp_path / "v.npy", volume), options=options)]
    along_2 = [(2, i, 0, left) for i in range(14) for left in (0, 4, 8)]
    assert found == along_2 + [(0, i, top, left) for i in range(5) for top in (0, 4, 8) for left in (1, 5, 9)]


@pytest.mark.parametrize("length", range(1, 30))
def test_offsets_in_closed_form(length):
    for size in range(1, 12):
        if size > length:
            assert volumes.offsets(length, size, 0) == volumes.offsets(length, size, 3) == []
            continue
        assert volumes.offsets(length, size, 0) == [(length - size) // 2]
        for stride in range(1, 9):
            found = volumes.offsets(length, size, stride)
            assert len(found) == 1 + (length - size) // stride and set(np.diff(found)) <= {stride}
            before, after = found[0], length - size - found[-1]
            assert before >= 0 and after - before in (0, 1)  # in the middle


def test_crops_at_a_stride(volume, tmp_path):
    entries = data.entries(save(tmp_path / "v.npy", volume), options=VolumeOptions(axes=(0,), crop=5, stride=3))
    corners = [(top, left) for top in (0, 3, 6) for left in (0, 3, 6, 9)]
    assert len(entries) == 5 * len(corners)
    for entry, (index, (top, left)) in zip(entries, ((i, corner) for i in range(5) for corner in corners)):
        np.testing.assert_array_equal(pixels(entry), volume[index, top : top + 5, left : left + 5])


def test_axes_whose_slices_are_too_small_are_left_out(volume, tmp_path):
    path = save(tmp_path / "v.npy", volume)
    assert {c.axis for c in data.entries(path, options=VolumeOptions(crop=5))} == {0, 1, 2}
    assert {c.axis for c in data.entries(path, options=VolumeOptions(crop=6))} == {0}
    with pytest.raises(ValueError, match=r"v\.npy has shape \[5, 12, 14\]: no slice along axes \[0, 1, 2\] holds 13 px"):
        data.entries(path, options=VolumeOptions(crop=13))
    with pytest.raises(ValueError, match=r"no slice along axes \[1, 2\] holds 6 px"):
        data.entries(path, options=VolumeOptions(axes=(1, 2), crop=6))


# ------------------------------------------------------------------------------------------------------ black and white


def test_8_bits_stay_what_they_are(volume, tmp_path):
    volume[volume > 200] = 100
    np.testing.assert_array_equal(only(save(tmp_path / "v.npy", volume[:, :, :12])), volume[0, :, :12])


@pytest.mark.parametrize("dtype", [np.uint8, bool, np.int8, np.uint16, np.float32])
def test_a_segmented_volume_is_black_and_white(rng, tmp_path, dtype):
    mask = rng.integers(0, 2, (3, 8, 8)).astype(dtype)
    np.testing.assert_array_equal(only(save(tmp_path / "v.npy", mask)), mask[0].astype(np.uint8) * 255)


def test_labels_need_levels(rng, tmp_path):
    path = save(tmp_path / "v.npy", rng.integers(0, 4, (3, 8, 8), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"v\.npy holds the values 0 to 3 alone: labels\? give the gray levels .*, as 0,3"):
        data.entries(path)
    np.testing.assert_array_equal(only(path, levels=(0, 3)), np.load(path)[0] * 85)


@pytest.mark.parametrize("dtype", [">u2", "<i2", "<u4", "<i8", "<f4", "<f8"])
def test_other_types_by_their_own_range(rng, tmp_path, dtype):
    values = rng.integers(2_000_000_000 if dtype in ("<u4", "<i8") else 500, size=(3, 8, 8)).astype(dtype) + 7
    path = save(tmp_path / "v.npy", values)
    assert volumes.levels(path, VolumeOptions()) == (values.min(), values.max())
    for entry, plane in zip(data.entries(path, options=VolumeOptions(axes=(0,))), volumes_square(values, dtype)):
        np.testing.assert_array_equal(pixels(entry), plane)


def test_levels_that_are_given_clip(tmp_path):
    values = np.array([-50, 0, 100, 150, 200, 900, np.inf, -np.inf, np.nan], np.float32).reshape(1, 3, 3)
    gray = only(save(tmp_path / "v.npy", values), levels=(100, 200))
    np.testing.assert_array_equal(gray, [[0, 0, 0], [128, 255, 255], [255, 0, 0]])
    eight = np.arange(59, 68, dtype=np.uint8).reshape(1, 3, 3)
    np.testing.assert_array_equal(
        only(save(tmp_path / "w.npy", eight), levels=(61, 66)), [[0, 0, 0], [51, 102, 153], [204, 255, 255]]
    )


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_need_levels(tmp_path, odd):
    values = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    values[1, 1, 1] = odd  # not in the first plane
    with pytest.raises(ValueError, match=r"v\.npy has values from .*; give the gray levels of black and white"):
        data.entries(save(tmp_path / "v.npy", values))


def test_a_constant_volume_is_refused(tmp_path):
    path = save(tmp_path / "v.npy", np.full((3, 4, 4), 7, np.uint16))
    with pytest.raises(ValueError, match=r"v\.npy has values from 7\.0 to 7\.0; give the gray levels of black and white"):
        data.entries(path)
    np.testing.assert_array_equal(only(path, levels=(0, 14)), np.full((4, 4), 128))


@pytest.mark.parametrize(
    "options, says",
    [
        ({"axes": ()}, "axes must be some of 0, 1, 2"),
        ({"axes": (0, 0)}, "each once"),
        ({"axes": (3,)}, "received (3,)"),
        ({"crop": -1}, "crop must be 0 or more; received -1"),
        ({"stride": -2}, "stride must be 0 or more; received -2"),
        ({"shape": (4, 4)}, "shape must be three sizes"),
        ({"shape": (4, 0, 4)}, "shape must be three sizes"),
        ({"levels": (1.0,)}, "levels must rise"),
        ({"levels": (2.0, 1.0)}, "levels must rise"),
    ],
)
def test_options_that_are_refused(options, says):
    with pytest.raises(ValueError) as refused:
        VolumeOptions(**options)
    assert says in str(refused.value)


# ------------------------------------------------------------------------------------------------------ among pictures


def test_a_folder_of_pictures_and_volumes(volume, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "folder.npy").mkdir()
    Image.fromarray(volume[0]).save(tmp_path / "a.png")
    save(tmp_path / "b" / "v.npy", volume[:2])
    pack(tmp_path / "b" / "w.NPY.XZ", volume[2:])
    save(tmp_path / "v.npy", volume[:1])
    names = [e.name for e in data.entries(tmp_path, options=VolumeOptions(axes=(0,)))]
    cuts = [f"b/v.npy[z={i}, 0, 1]" for i in range(2)] + [f"b/w.NPY.XZ[z={i}, 0, 1]" for i in range(3)]
    assert names == ["a.png", *cuts, "v.npy[z=0, 0, 1]"]


def test_crops_make_a_stream(volume, tmp_path):
    items = data.entries(save(tmp_path / "v.npy", volume), options=VolumeOptions(crop=4))
    source, held = (data.Source(items, 4, channels, memory=channels == 1) for channels in (3, 1))
    gray, color = (next(iter(data.batches(s, 8, seed=1))).numpy() for s in (held, source))
    assert gray.shape == (8, 4, 4, 1) and color.shape == (8, 4, 4, 3)
    np.testing.assert_array_equal(np.repeat(gray, 3, -1), color)


def test_eval_scores_the_squares_of_a_volume(models, rng, tmp_path):
    path = save(tmp_path / "rock.npy", rng.integers(0, 2, (2, SIDE + 9, SIDE + 4), dtype=np.uint8))
    common = ["eval", "--task", "superres", "--preset", "tiny", "--models", models, "--data", path, "--method", "bicubic"]
    common += ["-o", tmp_path / "scores"]

    def run(*arguments):
        return CliRunner().invoke(cli, [str(a) for a in (*common, *arguments)], prog_name="gekeras")

    cut = ("--axes", 0, "--crop", SIDE, "--stride", 4)
    first = run(*cut)
    assert first.exit_code == 0, first.output
    header, *rows = map(json.loads, (tmp_path / "scores.jsonl").read_text().splitlines())
    corners = [(top, left) for top in (0, 4, 8) for left in (0, 4)]
    assert [row["image"] for row in rows] == [f"rock.npy[z={i}, {y}, {x}]" for i in range(2) for y, x in corners]
    assert header["cut"] == {"axes": [0], "crop": SIDE, "stride": 4, "shape": [], "dtype": "uint8", "levels": []}
    assert run(*cut).output == first.output  # nothing is computed again
    assert run("--axes", 0, "--crop", SIDE).exit_code == 2  # other squares, other scores
    assert run("--axes", 0, "--crop", 64).exit_code == 2
    folder = tmp_path / "slices"
    folder.mkdir()
    Image.fromarray(rng.integers(0, 4096, (SIDE, SIDE)).astype(np.uint16)).save(folder / "a.png")
    common[common.index(path)], common[-1] = folder, tmp_path / "slices-scores"
    refused = run("--crop", SIDE)
    assert refused.exit_code == 2 and f"crop cut volumes, but {folder} holds pictures alone" in refused.stderr
    assert "of 65,535: give levels=" in run().stderr
    common[-1] = tmp_path / "levels"
    scored = run("--levels", "0,4095")
    assert scored.exit_code == 0 and "give levels" not in scored.stderr
