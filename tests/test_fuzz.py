"""Damaged files: each is read, or refused by its reader's own error, one line that names it; in time, nothing is written.

Valid files are changed by a seeded generator: bits, fields of headers, blocks that are cut out, doubled or put in; where
checksums or compression would hide a change, also what lies inside of them. A case is known by its reader and its number.
"""

import io
import itertools
import json
import lzma
import os
import pickle
import re
import struct
import tarfile
import time
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms
from test_importing import original_variables, zoo_checkpoint, zoo_state
from test_importing import save as save_checkpoint
from test_perceptual import arrays as lpips_arrays
from test_perceptual import nested

from gekeras import images, importing
from gekeras.config import VolumeOptions
from gekeras.data import files as data_files
from gekeras.data import records, volumes
from gekeras.networks import presets
from gekeras.perceptual import weights
from gekeras.pictures import holes
from gekeras.restore import codes
from gekeras.training import checkpoints

FEW, MANY = 500, 10_000
# What one case may take of a processor and of memory; the largest picture that is accepted has 64 million pixels.
SECONDS, BYTES = 10, 1.5 * 2**30
WHOLE = (0, 1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)
VALUES = (None, True, -1, 0, 1, 2**70, 1e999, -0.5, "", "x", "../../x", "a\0b", "x" * 300, [], [1], {}, {"a": {"b": None}})


# ------------------------------------------------------------------------------------------------------ what is changed


def bits(rng, data):
    for place in rng.integers(len(data), size=rng.integers(1, 9)):
        data[place] ^= 1 << int(rng.integers(8))


def field(rng, data):
    """A number of a header, in either byte order."""
    size, order = int(rng.choice([1, 2, 4, 8])), rng.choice(["little", "big"])
    place = int(rng.integers(min(len(data), 400)))
    data[place : place + size] = (int(rng.choice(WHOLE)) % 256**size).to_bytes(size, str(order))


def cut(rng, data):
    del data[int(rng.integers(len(data))) :]


def remove(rng, data):
    begin = int(rng.integers(len(data)))
    del data[begin : begin + int(rng.integers(1, 65))]


def double(rng, data):
    begin = int(rng.integers(len(data)))
    block = data[begin : begin + int(rng.integers(1, 200))]
    data[begin:begin] = block * int(rng.integers(1, 4))


def put_in(rng, data):
    begin = int(rng.integers(len(data) + 1))
    data[begin:begin] = rng.choice([b"\0", b"\xff", rng.bytes(1)]) * int(rng.integers(1, 65))


def changed(rng, data: bytes) -> bytes:
    """One to three changes of some bytes."""
    data = bytearray(data)
    for change in rng.choice([bits, field, field, cut, remove, double, put_in], size=rng.integers(1, 4)):
        if data:
            change(rng, data)
    return bytes(data)


def changed_value(rng, value):
    """A JSON value, one of whose parts is another, or gone."""
    places = list(_places(value))
    holder, key = places[int(rng.integers(len(places)))]
    if isinstance(holder, dict) and rng.random() < 0.2:
        del holder[key]
    else:
        holder[key] = VALUES[int(rng.integers(len(VALUES)))]
    return value


def _places(value):
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def in_zip(rng, data: bytes) -> bytes:
    """An archive whose checksums are right, one of its members changed."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    which, buffer = int(rng.integers(len(members))), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as archive:
        for k, (name, content) in enumerate(members):
            archive.writestr(name, changed(rng, content) if k == which else content)
    return buffer.getvalue()


def in_xz(rng, data: bytes) -> bytes:
    return lzma.compress(changed(rng, lzma.decompress(data)), preset=0)


def in_png(rng, data: bytes) -> bytes:
    """A PNG with one of its chunks changed, and the right checksum for it."""
    chunks, offset = [], 8
    while offset < len(data):
        (length,) = struct.unpack_from(">I", data, offset)
        chunks.append((data[offset + 4 : offset + 8], data[offset + 8 : offset + 8 + length]))
        offset += 12 + length
    which = int(rng.integers(len(chunks)))
    kind, body = chunks[which]
    deflated = kind == b"IDAT" and rng.random() < 0.5
    body = changed(rng, zlib.decompress(body) if deflated else body or b"\0")
    chunks[which] = kind, zlib.compress(body) if deflated else body
    crc = (struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return data[:8] + b"".join(struct.pack(">I", len(b)) + k + b + c for (k, b), c in zip(chunks, crc))


def in_records(rng, data: bytes) -> bytes:
    """A TFRecord with its example changed, and the right checksums for it."""
    (length,) = struct.unpack_from("<Q", data)
    return framed(changed(rng, data[12 : 12 + length])) + data[16 + length :]


def in_json(rng, data: bytes) -> bytes:
    return json.dumps(changed_value(rng, json.loads(data))).encode()


def in_code(rng, data: bytes) -> bytes:
    """A code file with another header."""
    with np.load(io.BytesIO(data)) as file:
        entries = dict(file)
    entries["header"] = np.frombuffer(in_json(rng, entries["header"].tobytes()), np.uint8)
    return saved(np.savez, **entries)


# ----------------------------------------------------------------------------------------------------------- valid files


def saved(write, *arguments, **named) -> bytes:
    buffer = io.BytesIO()
    write(buffer, *arguments, **named)
    return buffer.getvalue()


def framed(example: bytes) -> bytes:
    head, crc = struct.pack("<Q", len(example)), records.masked_crc32c
    return head + struct.pack("<I", crc(head)) + example + struct.pack("<I", crc(example))


def pictures() -> dict[str, bytes]:
    """Every format, depth and kind of color that is read."""
    rng = np.random.default_rng(0)
    color = Image.fromarray(rng.integers(0, 256, (21, 26, 3), np.uint8))
    deep, profile = rng.integers(0, 65536, (21, 26), np.uint16), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    exif = Image.Exif()
    exif[0x0112] = 6

    def of(image, name, **options):
        return saved(image.save, name, **options)

    made = {f"{name}.{name[:3].lower()}": of(color, name) for name in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "PPM", "TIFF")}
    made |= {
        "gray.png": of(color.convert("L"), "PNG", icc_profile=profile.tobytes()),
        "alpha.png": of(color.convert("RGBA"), "PNG", exif=exif),
        "palette.png": of(color.quantize(16), "PNG", transparency=3),
        "deep.png": of(Image.fromarray(deep), "PNG"),
        "turned.jpg": of(color, "JPEG", exif=exif, icc_profile=profile.tobytes()),
        "cmyk.jpg": of(color.convert("CMYK"), "JPEG"),
        "alpha.webp": of(color.convert("RGBA"), "WEBP", lossless=True, exif=exif),
        "gray.pgm": of(color.convert("L"), "PPM"),
        "plain.pgm": b"P2\n3 2\n9\n1 2 3\n4 5 6\n",
        "floats.pfm": b"Pf\n3 2\n-1.0\n" + np.full(6, 0.5, "<f4").tobytes(),
        "lzw.tif": of(color.convert("RGBA"), "TIFF", compression="tiff_lzw", icc_profile=profile.tobytes()),
        "fax.tif": of(color.convert("1"), "TIFF", compression="group4"),
        "jpeg.tif": of(color, "TIFF", compression="jpeg"),
        "deep.tif": saved(tifffile.imwrite, deep, compression="zlib", predictor=True),
        "tiled.tif": saved(tifffile.imwrite, deep.repeat(2, 0), tile=(16, 16), byteorder=">"),
        "planes.tif": saved(tifffile.imwrite, np.stack([deep] * 3), photometric="rgb", planarconfig="separate"),
        "floats.tif": saved(tifffile.imwrite, (deep / 65535).astype(np.float32), photometric="miniswhite"),
        "big.tif": saved(tifffile.imwrite, deep, bigtiff=True, rowsperstrip=4),
    }
    jpeg2000 = io.BytesIO()
    try:
        color.save(jpeg2000, "JPEG2000")
    except OSError:  # a Pillow without it
        return made
    return {**made, "picture.jp2": jpeg2000.getvalue()}


def masks() -> dict[str, bytes]:
    drawn = np.zeros((21, 26), np.uint8)
    drawn[4:9, 5:12] = 255
    layers = np.dstack([drawn, drawn, drawn, np.full_like(drawn, 255)])
    return {
        "mask.png": saved(Image.fromarray(drawn).save, "PNG"),
        "alpha.png": saved(Image.fromarray(layers).save, "PNG"),
        "bits.png": saved(Image.fromarray(drawn).convert("1").save, "PNG"),
        "mask.tif": saved(tifffile.imwrite, layers, photometric="rgb", extrasamples=("unassalpha",)),
    }


def stacks() -> dict[str, bytes]:
    volume = np.random.default_rng(0).integers(0, 256, (5, 6, 7), np.uint8)
    made = {f"{name}.npy": saved(np.save, volume.astype(name)) for name in ("u1", "<u2", ">f4", "?")}
    made |= {f"{name}.xz": lzma.compress(data) for name, data in made.items()}
    made |= {f"{name}.tif": saved(tifffile.imwrite, volume, photometric="minisblack", **options) for name, options in {
        "shaped": {}, "imagej": {"imagej": True}, "ome": {"ome": True}, "bigtiff": {"bigtiff": True},
        "pages": {"metadata": None}, "deflated": {"compression": "zlib", "metadata": None},
        "deep": {"volumetric": True, "tile": (16, 16, 16)},
    }.items()}  # fmt: skip
    return made


def shards() -> dict[str, bytes]:
    """Pictures in a tar, of each of its dialects."""
    every, made = pictures(), {}
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
            for name in ("PNG.png", "JPEG.jpe", "deep.tif"):
                info = tarfile.TarInfo(("" if form == tarfile.USTAR_FORMAT else "folder-é/" * 20) + name)
                info.size = len(every[name])
                tar.addfile(info, io.BytesIO(every[name]))
        made[f"{form}.tar"] = buffer.getvalue()
    return made


def examples() -> dict[str, bytes]:
    import tensorflow as tf

    def example(**values):
        features = {name: tf.train.Feature(**value) for name, value in values.items()}
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    encoded = example(image={"bytes_list": tf.train.BytesList(value=[pictures()["PNG.png"]])})
    shape = {"int64_list": tf.train.Int64List(value=[3, 8, 8])}
    raw = example(data={"bytes_list": tf.train.BytesList(value=[bytes(192)])}, shape=shape)
    return {"encoded.tfrecords": framed(encoded) + framed(raw), "raw.tfrecord": framed(raw) + framed(encoded)}


def code_files() -> dict[str, bytes]:
    code = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    kept = {b: codes.CodeFile(code, ["a.png", "b.png"], "tiny", "reconstruct", "00ff", 16, b) for b in codes.BITS}
    return {f"{b}.npz": codes._content("code.npz", file) for b, file in kept.items()}


def records_of_presets() -> dict[str, bytes]:
    info = {
        **{"resolution": 16, "channels": 3, "latent_size": 8, "code_size": 16, "range": [-1, 1], "latent": "normal"},
        "tasks": {"superres": {"factor": 4, "kernel": "box"}, "reconstruct": {}},
        "checksums": {"generator/1/saved_model.pb": "0" * 64, "encoder-superres/1/saved_model.pb": ""},
        "solve": {"steps": 50, "optimizer": "lbfgs", "layers": "8"},
        "objectives": {"superres": {"pixel_weight": 0.5, "decoder_weight": 0.1}},
        "starters": {"superres": {"options": {"decoder_weight": 0.003}}},
        "scores": {"superres": {"data": "faces", "methods": {"GE": {"n": 2, "mse": 0.5}}}},
        "description": "faces", "data": "d", "terms": "t",
    }  # fmt: skip
    return {"preset.json": json.dumps(info).encode()}


def generators(folder: Path) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    state, made = zoo_state(rng, (4, 4)), {}
    for form, protocol in itertools.product(("archive", "stream"), (2, 4)):
        path = save_checkpoint(folder / "weights", zoo_checkpoint(state), form, protocol)
        made[f"{form}-{protocol}.pth"] = path.read_bytes()
    variables = {f"Gs/{name}": value for name, value in original_variables(rng, (4, 4)).items()}
    return {**made, "original.npz": saved(np.savez, **variables), "deflated.npz": saved(np.savez_compressed, **variables)}


def distances() -> dict[str, bytes]:
    flat = lpips_arrays()
    return {"npz": saved(np.savez_compressed, **flat), **{str(p): pickle.dumps(nested(flat), p) for p in (3, 4)}}


def states(folder: Path) -> dict[str, bytes]:
    checkpoints.save(folder / "state.npz", {"a": np.ones(3, np.float32)}, {"images": 16, "options": {}})
    return {"checkpoint-000000016.npz": (folder / "state.npz").read_bytes()}


# ------------------------------------------------------------------------------------------------------------- readers


def read_picture(path):
    images.size(path)
    images.small_range(path, images.read(path))


def read_volume(path):
    """As data: whether it is one or a picture, its squares, and the first and last of these."""
    listed = data_files.entries(path, options=VolumeOptions(crop=4) if volumes.is_volume(path) else None)
    for item in listed[:1] + listed[-1:]:
        data_files.load(item, 4, 1)


def read_data(path):
    for item in data_files.entries(path)[:4]:
        data_files.load(item, 4, 3)


def read_preset(path):
    """And what is asked of a record that was accepted."""
    preset = presets.read(path.parent)
    preset.missing(), preset.damaged(), [preset.checksums_of(task) for task in preset.tasks]
    with pytest.raises(presets.PresetError):
        preset.part("generator")


@dataclass(frozen=True)
class Kind:
    """A reader, its valid files by name, what it refuses with, and how its files are changed beside `changed`."""

    read: object
    seeds: object
    error: type
    inside: object = None


KINDS = {
    "picture": Kind(read_picture, lambda _: pictures(), images.ImageError, in_png),
    "mask": Kind(holes.read_mask, lambda _: masks(), images.ImageError, in_png),
    "volume": Kind(read_volume, lambda _: stacks(), ValueError, in_xz),
    "tar": Kind(read_data, lambda _: shards(), ValueError),
    "records": Kind(read_data, lambda _: examples(), ValueError, in_records),
    "code": Kind(codes.load, lambda _: code_files(), codes.CodeError, in_code),
    "preset": Kind(read_preset, lambda _: records_of_presets(), presets.PresetError, in_json),
    "generator": Kind(importing.read, generators, ValueError, in_zip),
    "lpips": Kind(weights.read, lambda _: distances(), weights.FileError, in_zip),
    "checkpoint": Kind(checkpoints.load, states, ValueError, in_zip),
}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    """Kind -> its valid files, made once."""
    made = {}

    def of(kind):
        if kind not in made:
            made[kind] = KINDS[kind].seeds(tmp_path_factory.mktemp(kind))
        return made[kind]

    return of


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(weights, "WIDTHS", (2, 3, 4, 3, 2))


def peak() -> int:
    """Bytes that this process has had in memory at most since `forget`; 0 where the system does not tell."""
    try:
        return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    except (OSError, TypeError):
        return 0


def forget() -> int:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return peak()
    return peak()


def damaged(kind: Kind, files: dict[str, bytes], rng) -> tuple[str, bytes]:
    """A valid file's name and bytes that are not its own."""
    name = str(rng.choice(list(files)))
    data, change = files[name], kind.inside or changed
    begins = {in_png: b"\x89PNG", in_xz: b"\xfd7zXZ", in_zip: b"PK"}.get(change, b"")
    inside = data.startswith(begins) and rng.random() < 0.5
    return name, (change if inside else changed)(rng, data)


def check(name: str, number: int, files: dict[str, bytes], folder: Path) -> bool:
    """One case: whether the file was read. Fails unless it was, or was refused as it should be."""
    kind, rng = KINDS[name], np.random.default_rng([number, *name.encode()])
    label, data = damaged(kind, files, rng)
    path = folder / label
    path.write_bytes(data)
    before, begun, case = forget(), time.process_time(), f"{name} {number}, {label}"
    try:
        kind.read(path)
        read = True
    except kind.error as error:
        line = str(error)
        assert str(path) in line and len(line.splitlines()) == 1 and len(line) < 2000, f"{case}: {line!r}"
        read = False
    except BaseException as error:
        raise AssertionError(f"{case}: {type(error).__name__}: {error}") from error
    finally:
        for cached in (volumes.read, volumes.levels, volumes.white_is_zero):  # which hold files open
            cached.cache_clear()
    assert time.process_time() - begun < SECONDS, case
    assert peak() - before < BYTES, f"{case}: {(peak() - before) / 2**20:.0f} MB"
    assert os.listdir(folder) == [label] and path.read_bytes() == data, case
    path.unlink()
    return read


def run(kind, numbers, seeds, folder):
    """Cases, of which some must be read and some refused: else they would show nothing."""
    files = seeds(kind)
    for name, data in files.items():  # unchanged: the reader is the one of these files
        (folder / name).write_bytes(data)
        KINDS[kind].read(folder / name)
        (folder / name).unlink()
    outcomes = [check(kind, number, files, folder) for number in numbers]
    assert 0 < sum(outcomes) < len(outcomes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_damaged_files(kind, seeds, tmp_path):
    run(kind, range(-(-FEW // len(KINDS))), seeds, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_many_damaged_files(kind, seeds, tmp_path):
    run(kind, range(1000, 1000 + -(-MANY // len(KINDS))), seeds, tmp_path)
