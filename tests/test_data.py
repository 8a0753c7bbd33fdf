"""The training stream: every picture once an epoch, the same from a folder, shards or memory, and from any point on."""

import io
import itertools
import shutil
import tarfile

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gekeras import data, images
from gekeras.config import VolumeOptions


@pytest.fixture
def mixed(tmp_path, rng):
    """Pictures of several formats and sizes, one in a subfolder, beside a text file."""
    folder = tmp_path / "mixed"
    (folder / "more").mkdir(parents=True)
    for name, size in {"a.png": (16, 16), "b.JPG": (40, 24), "c.bmp": (16, 33), "more/d.webp": (20, 20)}.items():
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def shards_of(folder, target, count=2):
    """The folder's pictures dealt out to `count` tar files, in order."""
    target.mkdir()
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    per = -(-len(files) // count)
    for k in range(count):
        with tarfile.open(target / f"part-{k}.tar", "w") as tar:
            for path in files[k * per : (k + 1) * per]:
                tar.add(path, path.relative_to(folder).as_posix())
    return target


def stream(source, batches, batch_size=4, **options):
    taken = data.batches(source, batch_size, **options).take(batches)
    return np.concatenate(list(taken.as_numpy_iterator()))


def numbered(count, side=2):
    """Pictures that are their own number, their left half one level darker."""
    array = np.repeat(np.arange(1, count + 1, dtype=np.uint8), side * side * 3).reshape(count, side, side, 3)
    array[:, :, : side // 2] -= 1
    return array


def test_folder_and_shards_hold_the_same_pictures(mixed, tmp_path):
    loose, packed = data.entries(mixed), data.entries(shards_of(mixed, tmp_path / "shards"))
    assert [e.name for e in packed] == [e.name for e in loose] == ["a.png", "b.JPG", "c.bmp", "more/d.webp"]
    np.testing.assert_array_equal(data.load_all(loose, 8), data.load_all(packed, 8))


def test_several_paths_in_their_order(mixed, tmp_path):
    single = mixed / "c.bmp"
    shards = shards_of(mixed, tmp_path / "shards")
    found = data.entries(single, shards / "part-0.tar", str(mixed / "more"))
    assert [e.name for e in found] == ["c.bmp", "a.png", "b.JPG", "c.bmp", "d.webp"]


def test_load_is_the_center_square_reduced(mixed):
    for entry in data.entries(mixed):
        if entry.name == "b.JPG":
            continue
        picture = data.load(entry, 4)
        assert picture.shape == (4, 4, 3) and picture.dtype == np.uint8
        expected = images.to_uint8(images.fit(images.read(entry.path, 3), 4)).astype(int)
        assert np.abs(picture - expected).max() <= 1  # rounded once here, and after the reduction there


def test_gray(mixed):
    entry = data.entries(mixed)[0]
    gray = data.load(entry, 16, channels=1)
    assert gray.shape == (16, 16, 1)
    np.testing.assert_array_equal(gray[..., 0], Image.open(entry.path).convert("L"))


def test_every_epoch_is_a_permutation():
    positions = data.positions(10, 5, seed=3)
    epochs = [np.concatenate([next(positions)[0], next(positions)[0]]) for _ in range(3)]
    for order in epochs:
        assert sorted(order) == list(range(10))
    assert not (epochs[0] == epochs[1]).all() and not (epochs[1] == epochs[2]).all()


def test_batches_that_do_not_divide_an_epoch():
    positions = data.positions(7, 5, seed=3)
    order = np.concatenate([next(positions)[0] for _ in range(7)])  # five epochs
    for epoch in order.reshape(5, 7):
        assert sorted(epoch) == list(range(7))


@pytest.mark.parametrize("start", [0, 4, 7, 12, 25])
def test_a_stream_that_starts_later_is_the_tail_of_the_stream(start):
    source = data.Source(numbered(10))
    whole = stream(source, 15, batch_size=4, seed=1)
    np.testing.assert_array_equal(stream(source, 5, batch_size=4, seed=1, start=start), whole[start : start + 20])


def test_the_seed_decides_the_order():
    source = data.Source(numbered(10))
    one, same, other = (stream(source, 5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert not (one == other).all()


def test_mirroring_flips_half_of_the_pictures_left_to_right():
    source = data.Source(numbered(200))
    plain, mirrored = (stream(source, 50, seed=1, mirror=mirror) for mirror in (False, True))
    np.testing.assert_array_equal(np.sort(np.rint((plain[:, 0, 1, 0] + 1) * 127.5)), np.arange(1, 201))
    flipped = (mirrored[:, 0, 0, 0] > mirrored[:, 0, 1, 0]).astype(bool)
    np.testing.assert_array_equal(mirrored[flipped], plain[flipped][:, :, ::-1])
    np.testing.assert_array_equal(mirrored[~flipped], plain[~flipped])
    assert 70 <= flipped.sum() <= 130  # 100 +- 4 standard deviations
    second = data.epoch_order(200, 1, 1)[1]
    assert not (second == data.epoch_order(200, 1, 0)[1]).all()  # another half in the next epoch


def test_without_turns_the_order_is_what_it_was():
    """Turns are drawn after permutation and mirroring, which therefore stay those of runs from before there were turns."""
    for epoch in range(3):
        rng = np.random.default_rng([7, epoch])
        order, mirrored, _ = data.epoch_order(50, 7, epoch)
        np.testing.assert_array_equal(order, rng.permutation(50))
        np.testing.assert_array_equal(mirrored, rng.random(50) < 0.5)
    array = np.arange(5 * 12, dtype=np.uint8).reshape(5, 2, 2, 3)
    rng = np.random.default_rng([1, 0])
    expected = [array[i, :, ::-1] if flip else array[i] for i, flip in zip(rng.permutation(5), rng.random(5) < 0.5)]
    found = np.rint((stream(data.Source(array), 1, batch_size=5, seed=1) + 1) * 127.5)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("mirror", [False, True])
def test_turning_is_a_quarter_turn_of_each_picture(rng, mirror):
    source = data.Source(rng.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8))
    plain, turned = (stream(source, 20, seed=1, mirror=mirror, turn=turn) for turn in (False, True))
    turns = np.concatenate([data.epoch_order(40, 1, epoch)[2] for epoch in range(2)])
    for before, after, k in zip(plain, turned, turns):
        np.testing.assert_array_equal(after, np.rot90(before, k))


def test_turns_are_even_and_drawn_anew_each_epoch():
    first, second = (data.epoch_order(4000, 1, epoch)[2] for epoch in range(2))
    counts = np.bincount(first, minlength=4)
    assert len(counts) == 4 and np.abs(counts - 1000).max() < 110  # 4 standard deviations of sqrt(4000 3/16)
    assert 0.2 < (first == second).mean() < 0.3
    mirrored = data.epoch_order(4000, 1, 0)[1]
    assert np.abs(np.bincount(first[mirrored], minlength=4) - mirrored.sum() / 4).max() < 80  # whatever the mirroring


@pytest.mark.parametrize("start", [4, 7, 25])
def test_a_turned_stream_goes_on_from_anywhere(rng, start):
    source = data.Source(rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8))
    whole = stream(source, 15, seed=1, turn=True)
    np.testing.assert_array_equal(stream(source, 5, seed=1, start=start, turn=True), whole[start : start + 20])


def test_range_and_type_of_batches():
    array = np.zeros((2, 4, 4, 3), np.uint8)
    array[1] = 255
    batch = next(iter(data.batches(data.Source(array), 2)))
    assert batch.dtype == tf.float32 and batch.shape == (2, 4, 4, 3)
    assert sorted(batch.numpy()[:, 0, 0, 0]) == [-1, 1]


def test_memory_equals_streamed(mixed):
    items = data.entries(mixed)
    streamed, held = (data.Source(items, 8, memory=memory) for memory in (False, True))
    np.testing.assert_array_equal(stream(streamed, 4, seed=2), stream(held, 4, seed=2))
    assert len(streamed) == len(held) == 4
    assert [held.name(i) for i in range(4)] == [e.name for e in items]
    assert data.Source(numbered(3)).name(2) == "2"


def test_a_broken_picture_is_named(mixed):
    (mixed / "b.JPG").write_bytes((mixed / "b.JPG").read_bytes()[:300])
    items = data.entries(mixed)
    with pytest.raises(ValueError, match=r"cannot decode b\.JPG"):
        data.load(items[1], 8)
    with pytest.raises(ValueError, match=r"cannot decode b\.JPG"):
        data.Source(items, 8, memory=True)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"cannot decode b\.JPG"):
        stream(data.Source(items, 8), 1)
    with pytest.raises(ValueError, match=r"cannot decode b\.JPG"):
        list(itertools.islice(data.stream(data.Source(items, 8), 1), len(items)))


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(ValueError, match=r"cannot decode a\.png"):
        data.load(data.entries(tmp_path)[0], 8)


def test_nothing_to_read_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"no images .* in .*"):
        data.entries(tmp_path)
    with pytest.raises(ValueError, match=r"no such file or folder: .*missing"):
        data.entries(tmp_path / "missing")
    (tmp_path / "bad.tar").write_bytes(b"x" * 1024)
    with pytest.raises(ValueError, match=r"bad\.tar is not a readable tar file"):
        data.entries(tmp_path)


def test_pictures_of_one_name_in_two_folders_keep_apart(mixed):
    shutil.copy(mixed / "a.png", mixed / "more" / "a.png")
    names = [e.name for e in data.entries(mixed)]
    assert len(set(names)) == len(names) == 5


def test_pictures_are_those_of_read(tmp_path, rng):
    """16 bits are reduced, not clipped; transparency lies over white; a camera's orientation is followed."""
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    clear = rng.integers(0, 256, (8, 8, 4), dtype=np.uint8)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    Image.fromarray(ramp).save(tmp_path / "deep.tif")
    Image.fromarray(clear, "RGBA").save(tmp_path / "clear.png")
    turned = Image.fromarray(np.ascontiguousarray(clear[..., :3]))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    for entry in data.entries(tmp_path):
        for channels in (1, 3):
            expected = images.to_uint8(images.read(entry.path, channels)).astype(int)
            found = data.load(entry, 8, channels).astype(int)
            assert np.abs(found - expected).max() <= 1, (entry.name, channels)


def test_whatever_solve_reads_is_listed(tmp_path, rng):
    picture = Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8))
    for name in ("a.gif", "b.jpe", "c.pgm", "d.jp2", "e.PNM", "f.jfif"):
        kind = {"jpe": "JPEG", "jfif": "JPEG", "pgm": "PPM", "pnm": "PPM", "jp2": "JPEG2000"}.get(name[2:].lower(), "GIF")
        picture.save(tmp_path / name, format=kind)
    items = data.entries(tmp_path)
    assert [entry.name for entry in items] == ["a.gif", "b.jpe", "c.pgm", "d.jp2", "e.PNM", "f.jfif"]
    np.testing.assert_array_equal(data.load(items[2], 8, 1)[..., 0], picture)


def test_the_side_files_of_macos_are_no_pictures(mixed, tmp_path):
    for path in [p for p in mixed.rglob("*") if p.is_file()]:
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7" + bytes(60))
    loose, packed = data.entries(mixed), data.entries(shards_of(mixed, tmp_path / "shards", 1))
    assert [e.name for e in loose] == [e.name for e in packed] == ["a.png", "b.JPG", "c.bmp", "more/d.webp"]
    with pytest.raises(ValueError, match=r"cannot decode \._a\.png in .*: is what macOS keeps beside a file"):
        data.load(data.entries(mixed / "._a.png")[0], 8)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_several_pictures_in_one_file_are_refused(rng, name, tmp_path):
    frames = [Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)) for _ in range(2)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError) as refused:
        data.load(data.files.Entry(name, tmp_path / name), 8)
    assert str(refused.value).endswith(
        f"cannot decode {name} in {tmp_path / name}: is animated or has several pages; a single picture is needed"
    )


def test_no_message_holds_an_address(tmp_path):
    """Whatever decoders say of what is damaged or no picture."""
    whole = io.BytesIO()
    Image.new("RGB", (8, 8)).save(whole, "TIFF")
    for k, content in enumerate((b"hello", b"\x89PNG\r\n\x1a\n", b"II*\0", b"GIF89a", b"P5 9 9", whole.getvalue()[:60])):
        (tmp_path / f"{k}.png").write_bytes(content)
    for entry in data.entries(tmp_path):
        with pytest.raises(ValueError, match=rf"^cannot decode {entry.name} in ") as refused:
            data.load(entry, 8)
        assert " at 0x" not in str(refused.value) and "\n" not in str(refused.value)


# ------------------------------------------------------------------------------------------- folders of gray slices


@pytest.fixture
def slices(tmp_path):
    """Three slices of 12 bits, kept in 16, and a file that is none."""
    folder = tmp_path / "slices"
    folder.mkdir()
    for k in range(3):
        Image.fromarray(np.arange(k, 4096, 64, dtype=np.uint16).reshape(8, 8)).save(folder / f"s{k}.png")
    (folder / "readme.txt").write_text("12 bits")
    return folder


def test_levels_are_those_of_gray_pictures_too(slices, tmp_path):
    options = VolumeOptions(levels=(0, 4032))
    ramp = np.rint(np.arange(64) * 255 / 63).reshape(8, 8)
    for path in (slices, slices / "s0.png", shards_of(slices, tmp_path / "shards", 1)):
        np.testing.assert_array_equal(data.load(data.entries(path, options=options)[0], 8, 1)[..., 0], ramp)
    Image.new("RGB", (8, 8)).save(slices / "color.png")
    with pytest.raises(ValueError, match=r"cannot decode color\.png .* is no gray picture"):
        data.load_all(data.entries(slices, options=options), 8)


@pytest.mark.parametrize(
    "options, says",
    [
        ({"crop": 4}, "crop cut volumes, but .* holds pictures alone; leave out crop"),
        ({"axes": (0,), "stride": 4}, "axes and stride cut volumes, .*; leave out axes and stride"),
        ({"shape": (1, 8, 8)}, "shape tell what a raw file holds, but .* holds none; leave out shape"),
        ({"dtype": "<u2"}, "dtype tell what a raw file holds"),
    ],
)
def test_options_that_would_do_nothing_are_refused(slices, options, says):
    with pytest.raises(ValueError, match=says):
        data.entries(slices, options=VolumeOptions(**options))
    np.save(slices / "v.npy", np.full((4, 8, 8), 99, np.uint8))
    if "shape" in options or "dtype" in options:
        with pytest.raises(ValueError, match=says):
            data.entries(slices, options=VolumeOptions(**options))
    else:
        assert len(data.entries(slices, options=VolumeOptions(**options))) > 3


def test_notes_tell_what_is_left_out_and_what_is_dark(slices, tmp_path):
    left = f"{slices}: 1 file was left out (.txt): no pictures by their names"
    items = data.entries(slices)
    dark = "s0.png: values from 0 to 4,032 of 65,535: give levels=0,4032 if that is its black and white"
    assert data.notes(slices, items=items) == [left, dark]
    assert data.notes(slices / "s0.png", items=items[:1]) == [dark]
    assert data.notes(slices, items=data.entries(slices, options=VolumeOptions(levels=(0, 4095)))) == [left]
    shards = shards_of(slices, tmp_path / "shards")
    Image.new("L", (8, 8)).save(shards / "loose.png")
    assert data.notes(shards, items=data.entries(shards)) == [f"{shards}: 1 file was left out (.png): it is read as shards"]
