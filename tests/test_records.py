"""TFRecord shards, written by TensorFlow itself, hold the pictures a folder holds; damage is found and named."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from gekeras import data
from gekeras.config import VolumeOptions
from gekeras.data import records

SIDE = 8


@pytest.fixture
def folder(tmp_path, rng):
    """Seven color pictures, p0.png to p6.png."""
    target = tmp_path / "folder"
    target.mkdir()
    for k in range(7):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(target / f"p{k}.png")
    return target


def of_bytes(*values):
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))


def of_numbers(*values):
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def example(**features):
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def encoded(name):
    """Examples with the file's bytes under `name`, beside what such shards have besides."""
    return lambda raw: example(**{name: of_bytes(raw), "image/class/label": of_numbers(3), "filename": of_bytes(b"a.png")})


def planes(raw):
    """The progressive GAN's layout: raw uint8, channels first."""
    pixels = np.asarray(Image.open(io.BytesIO(raw))).transpose(2, 0, 1)
    return example(shape=of_numbers(*pixels.shape), data=of_bytes(pixels.tobytes()))


LAYOUTS = {**{name: encoded(name) for name in records.ENCODED}, "data and shape": planes}


def write(path, examples):
    with tf.io.TFRecordWriter(str(path)) as file:
        for one in examples:
            file.write(one)
    return path


def shards_of(folder, target, layout, count=1):
    target.mkdir()
    raws = [path.read_bytes() for path in sorted(folder.iterdir())]
    per = -(-len(raws) // count)
    for k in range(count):
        write(target / f"part-{k}.tfrecord", map(LAYOUTS[layout], raws[k * per : (k + 1) * per]))
    return target


def stream(source, **options):
    return np.concatenate(list(data.batches(source, 5, **options).take(4).as_numpy_iterator()))


# -------------------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 3])
def test_shards_hold_what_the_folder_holds(folder, tmp_path, layout, count):
    loose, packed = data.entries(folder), data.entries(shards_of(folder, tmp_path / "shards", layout, count))
    per = -(-7 // count)
    assert [entry.name for entry in packed] == [f"part-{k // per}.tfrecord[{k % per}]" for k in range(7)]
    np.testing.assert_array_equal(data.load_all(packed, SIDE), data.load_all(loose, SIDE))
    np.testing.assert_array_equal(data.load_all(packed, 4, channels=1), data.load_all(loose, 4, channels=1))


@pytest.mark.parametrize("layout", ["image/encoded", "data and shape"])
def test_the_stream_is_the_folder_s(folder, tmp_path, layout):
    packed = shards_of(folder, tmp_path / "shards", layout, 2)
    loose, shards = (data.Source(data.entries(path), SIDE) for path in (folder, packed))
    for options in ({"seed": 1}, {"seed": 2, "start": 9, "turn": True}):
        np.testing.assert_array_equal(stream(shards, **options), stream(loose, **options))


def test_jpeg(rng, tmp_path):
    raw = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (12, 20, 3), dtype=np.uint8)).save(raw, "JPEG")
    (tmp_path / "a.jpg").write_bytes(raw.getvalue())
    write(tmp_path / "a.tfrecords", [encoded("image/encoded")(raw.getvalue())])
    loose, packed = (data.entries(tmp_path / name)[0] for name in ("a.jpg", "a.tfrecords"))
    np.testing.assert_array_equal(data.load(packed, 6), data.load(loose, 6))


def test_grey_planes(rng, tmp_path):
    pixels = rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    path = write(tmp_path / "a.tfrecord", [example(shape=of_numbers(1, SIDE, SIDE), data=of_bytes(pixels.tobytes()))])
    picture = data.entries(path)[0].picture()
    assert picture.mode == "L"
    np.testing.assert_array_equal(picture, pixels)


def test_of_the_same_pictures_at_several_sizes_the_largest(folder, tmp_path):
    """The progressive GAN's folders have the data set at 4, 8, 16, ... px, in `name-r02.tfrecords` and so on."""
    target = tmp_path / "shards"
    target.mkdir()
    for name, side in (("faces-r02", 4), ("faces-r10", 16), ("faces-r09", 12), ("rooms-r03", 8), ("more", 8)):
        pixels = np.zeros((3, side, side), np.uint8)
        one = example(shape=of_numbers(*pixels.shape), data=of_bytes(pixels.tobytes()))
        write(target / f"{name}.tfrecords", [one, one])
    found = data.entries(target)
    assert [entry.name for entry in found[::2]] == [f"{n}.tfrecords[0]" for n in ("faces-r10", "more", "rooms-r03")]
    assert [entry.picture().width for entry in found[::2]] == [16, 8, 8]
    assert len(data.entries(target / "faces-r02.tfrecords")) == 2  # named, it is read


# ----------------------------------------------------------------------------------------------------------- checksums


def unmasked(masked):
    rotated = masked - 0xA282EAD8 & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


@pytest.mark.parametrize(
    "message, checksum",  # RFC 3720, appendix B.4, and the usual check value
    [
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"123456789", 0xE3069283),
        (b"a", 0xC1D04330),
        (b"", 0),
    ],
)
def test_known_checksums(message, checksum):
    assert unmasked(records.masked_crc32c(message)) == checksum


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 8, 100, 4095, 4096, 4097, 4099, 4100, 8192, 20_000])
def test_checksums_are_those_tensorflow_writes(rng, tmp_path, size):
    message = rng.bytes(size)
    raw = write(tmp_path / "a.tfrecord", [message]).read_bytes()
    assert int.from_bytes(raw[8:12], "little") == records.masked_crc32c(raw[:8])
    assert int.from_bytes(raw[-4:], "little") == records.masked_crc32c(message)
    assert records.listing(tmp_path / "a.tfrecord")[0].length == size


# -------------------------------------------------------------------------------------------------------------- damage


@pytest.fixture
def shard(folder, tmp_path):
    return shards_of(folder, tmp_path / "shards", "image/encoded") / "part-0.tfrecord"


def damage(path, offset):
    raw = bytearray(path.read_bytes())
    raw[offset] ^= 0x10
    path.write_bytes(raw)


@pytest.mark.parametrize("byte", [-12, -8, -3, -1])  # of the third record's length and of its checksum
def test_a_damaged_header_is_named(shard, byte):
    begin = data.entries(shard)[2].offset
    damage(shard, begin + byte)
    with pytest.raises(ValueError, match=rf"part-0\.tfrecord is no whole .*: record 2 at byte {begin - 12} is damaged"):
        data.entries(shard)


@pytest.mark.parametrize("lost", [1, 4, 5, 100])
def test_a_shard_that_was_cut_short_is_refused(shard, lost):
    shard.write_bytes(shard.read_bytes()[:-lost])
    with pytest.raises(ValueError, match=r"record 6 at byte \d+ is damaged"):
        data.entries(shard)


def test_what_is_no_tfrecord_is_refused(tmp_path):
    (tmp_path / "a.tfrecord").write_bytes(b"hello" * 100)
    with pytest.raises(ValueError, match=r"a\.tfrecord is no whole TFRecord file: record 0 at byte 0 is damaged"):
        data.entries(tmp_path)
    (tmp_path / "a.tfrecord").write_bytes(b"")
    with pytest.raises(ValueError, match="no images"):
        data.entries(tmp_path)


def test_a_damaged_picture_is_named(shard):
    """Whatever bit is changed, also where the picture would still decode."""
    items = data.entries(shard)
    third = items[2]
    whole = shard.read_bytes()
    for offset in (0, 1, third.length // 2, third.length - 1, third.length, third.length + 3):
        damage(shard, third.offset + offset)
        with pytest.raises(ValueError, match=r"^cannot decode part-0\.tfrecord\[2\] in .*: .* do not have their checksum$"):
            data.load(third, SIDE)
        data.load(items[1], SIDE)
        data.load(items[3], SIDE)
        shard.write_bytes(whole)
    data.load(third, SIDE)


@pytest.mark.parametrize(
    "record, says",
    [
        (example(label=of_numbers(1), text=of_bytes(b"x")), "the example has no picture; it has label, text"),
        (example(), "the example has no picture; it has nothing"),
        (example(image=of_numbers(1)), "the example has no picture; it has image"),
        (example(image=of_bytes(b"no picture")), "not an image in a format that can be read"),
        (b"\xff\xff\xff", "no tf.train.Example: "),
        (example(shape=of_numbers(3, 8, 8), data=of_bytes()), "the example has no picture; it has data, shape"),
        (example(shape=of_numbers(3, 8, 8), data=of_bytes(bytes(191))), "191 raw bytes do not have the shape [3, 8, 8]"),
        (example(shape=of_numbers(2, 8, 8), data=of_bytes(bytes(128))), "do not have the shape [2, 8, 8]"),
        (example(shape=of_numbers(64), data=of_bytes(bytes(64))), "do not have the shape [64]"),
        (example(shape=of_numbers(3, -4, -1), data=of_bytes(bytes(12))), "do not have the shape [3, -4, -1]"),
        (example(shape=of_numbers(3, 2**62, 4), data=of_bytes(b"")), "0 raw bytes do not have the shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "record",  # whose bytes differ between processes
)
def test_records_without_a_picture(tmp_path, record, says):
    items = data.entries(write(tmp_path / "a.tfrecord", [record]))
    with pytest.raises(ValueError, match=r"^cannot decode a\.tfrecord\[0\] in ") as refused:
        data.load(items[0], SIDE)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_levels_are_not_for_records(shard):
    with pytest.raises(ValueError, match=r"levels are for volumes and gray picture files; .*part-0\.tfrecord"):
        data.entries(shard, options=VolumeOptions(levels=(0, 9)))
