"""What a file from elsewhere could do, and does not: docs/security.md, sentence by sentence."""

import io
import json
import lzma
import re
import shutil
import struct
import tarfile
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from gekeras import CustomNetworks, images, importing
from gekeras.config import VolumeOptions
from gekeras.data import files as data_files
from gekeras.data import volumes
from gekeras.formats import pixels, tiff
from gekeras.importing import numpy_dump
from gekeras.networks import keras_files, modules, presets


def refused(function, *arguments, error=ValueError):
    """The one line of what is refused."""
    with pytest.raises(error) as caught:
        function(*arguments)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


# ------------------------------------------------------------------------------------------------------------- presets


def test_a_part_is_loaded_only_as_it_is_recorded(tiny, tmp_path):
    """A file that is changed, missing or put beside the others is found before TensorFlow sees any of them."""
    asset, weights = "generator/1/assets/more.txt", "generator/1/variables/variables.data-00000-of-00001"

    def add(folder):
        (folder / asset).parent.mkdir(exist_ok=True)
        (folder / asset).write_text("x")

    changes = {
        f"{weights} (changed)": lambda folder: (folder / weights).write_bytes((folder / weights).read_bytes()[::-1]),
        f"{weights} (missing)": lambda folder: (folder / weights).unlink(),
        f"{asset} (not recorded)": add,
        "generator/2/saved_model.pb (not recorded)": lambda folder: shutil.copytree(
            folder / "generator" / "1", folder / "generator" / "2"
        ),
    }
    for number, (says, change) in enumerate(changes.items()):
        folder = shutil.copytree(tiny.folder, tmp_path / str(number))
        change(folder)
        line = refused(presets.read(folder).part, "generator", error=presets.PresetError)
        assert "is not what preset.json records, and was not loaded: " in line and says in line
        presets.read(folder).part("encoder-superres")  # which is as it was
    unrecorded = presets.Preset(tiny.folder, {**tiny.info, "checksums": {}})
    assert "(not recorded)" in refused(unrecorded.part, "generator", error=presets.PresetError)


def test_a_record_without_checksums_is_none(tmp_path):
    info = {"resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}}
    (tmp_path / "preset.json").write_text(json.dumps(info))
    assert refused(presets.read, tmp_path, error=presets.PresetError).endswith("preset.json: it lacks checksums")


def test_names_in_a_record_that_no_file_can_have(tmp_path):
    info = {"resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}}
    names = ["x" * 300, "a\0b", "/" + "y/" * 3000]
    (tmp_path / "preset.json").write_text(json.dumps({**info, "checksums": dict.fromkeys(names, "00")}))
    assert presets.read(tmp_path).damaged() == dict.fromkeys(names, "missing")


# --------------------------------------------------------------------------------------------- networks of one's own


def test_a_network_in_a_file_is_a_program(tmp_path):
    """Which a command asks about; who names it in Python runs code already."""
    path = tmp_path / "network.keras"
    path.touch()
    given = CustomNetworks(encoder=path, generator="https://tfhub.dev/google/progan-128/1")
    line = refused(given.check_trusted, False)
    assert str(path) in line and "https://tfhub.dev" in line and "--trust" in line and "read and write files" in line
    given.check_trusted(True)
    CustomNetworks(encoder=lambda image: image).check_trusted(False)
    CustomNetworks().check_trusted(False)


@pytest.fixture
def lambda_model(tmp_path):
    """A network with a layer of Python code, which makes a file when it runs, and that file."""
    marker = tmp_path / "marker"
    code = f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"
    given = keras.Input((4,))
    model = keras.Model(given, keras.layers.Lambda(eval(code), output_shape=(4,))(given))
    marker.unlink(missing_ok=True)
    return model, marker


@pytest.mark.parametrize("suffix", modules.KERAS_FILES)
def test_code_in_a_keras_file_is_not_run(lambda_model, tmp_path, suffix):
    model, marker = lambda_model
    model.save(tmp_path / f"network{suffix}")
    marker.unlink(missing_ok=True)
    line = refused(modules.load_module, tmp_path / f"network{suffix}")
    assert line.startswith(str(tmp_path)) and "has a Lambda layer, which is Python code" in line and not marker.exists()


def test_code_in_a_file_of_two_kinds_is_not_run(lambda_model, tmp_path):
    """An .h5 with a harmless zip archive behind it is both; Keras reads the first."""
    model, marker = lambda_model
    model.save(tmp_path / "network.h5")
    with zipfile.ZipFile(tmp_path / "network.h5", "a") as archive:
        archive.writestr("config.json", "{}")
    marker.unlink(missing_ok=True)
    assert zipfile.is_zipfile(tmp_path / "network.h5")
    assert "has a Lambda layer" in refused(modules.load_module, tmp_path / "network.h5") and not marker.exists()


def test_a_damaged_keras_file_is_left_to_keras(tmp_path):
    for content in (b"", b"PK\3\4", b"\x89HDF\r\n\x1a\n", b"hello"):
        (tmp_path / "network.keras").write_bytes(content)
        keras_files.check_code(tmp_path / "network.keras")


# ------------------------------------------------------------------------------------------------------- large claims


def test_an_xz_bomb(tmp_path, monkeypatch):
    """What unpacks to more than its header tells, or the header to more than the memory, is not unpacked."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2, 4, 4)})
    path = tmp_path / "volume.npy.xz"
    path.write_bytes(lzma.compress(header.getvalue() + bytes(32)))
    assert volumes.read(path, VolumeOptions()).shape == (2, 4, 4)
    more = tmp_path / "more.npy.xz"
    more.write_bytes(lzma.compress(header.getvalue() + bytes(2**20)))
    assert "it goes on behind the 160 bytes" in refused(volumes.read, more, VolumeOptions())
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(claim, {"descr": "<f8", "fortran_order": False, "shape": (2**15, 2**15, 2**15)})
    huge = tmp_path / "huge.npy.xz"
    huge.write_bytes(lzma.compress(claim.getvalue() + bytes(64)))
    assert "more than the memory here" in refused(volumes.read, huge, VolumeOptions())


def test_a_tiff_that_claims_more_than_it_holds(tmp_path):
    path = tmp_path / "deep.tif"
    tifffile.imwrite(path, np.ones((16, 16, 16), np.uint8), volumetric=True, tile=(16, 16, 16), photometric="minisblack")
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place, order = file.pages[0].tags["ImageLength"].valueoffset, file.byteorder
    data[place : place + 2] = struct.pack(f"{order}H", 65000)
    path.write_bytes(data)
    assert "parts of the picture are missing" in refused(volumes.read, path, VolumeOptions())


def test_pictures_larger_than_any(tmp_path, monkeypatch):
    """By their headers: before anything is decoded, as a picture of a user or as data."""
    monkeypatch.setattr(pixels, "MAX_PIXELS", 100)
    monkeypatch.setattr(pixels, "SUSPECT", 100)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)  # half of what Pillow refuses
    deep, plain = tmp_path / "deep.tif", tmp_path / "plain.png"
    tifffile.imwrite(deep, np.zeros((16, 16), np.uint16))
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(plain)
    for path in (deep, plain):
        assert "too large" in refused(images.read, path)
        (entry,) = data_files.entries(path)
        assert "too large" in refused(data_files.load, entry, 4)


def test_a_deflated_dump_that_unpacks_to_more_than_any_network(tmp_path, monkeypatch):
    monkeypatch.setattr(numpy_dump, "LARGEST", 2**20)
    np.savez_compressed(tmp_path / "dump.npz", **{"Gs/4x4/Dense/weight": np.zeros(2**19, np.float32)})
    assert "its arrays have 2,097,280 bytes, more than" in refused(importing.read, tmp_path / "dump.npz")


# ---------------------------------------------------------------------------------------------------- other places


def test_names_in_a_tar_are_names_alone(tmp_path, monkeypatch):
    """Nothing is unpacked, and a link is not followed."""
    monkeypatch.chdir(tmp_path)
    secret, buffer = tmp_path / "secret.png", io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(buffer, "PNG")
    secret.write_bytes(buffer.getvalue())
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name in ("../../escaped.png", "/absolute.png"):
            info = tarfile.TarInfo(name)
            info.size = len(buffer.getvalue())
            tar.addfile(info, io.BytesIO(buffer.getvalue()))
        for kind, target in ((tarfile.SYMTYPE, str(secret)), (tarfile.LNKTYPE, "/etc/passwd")):
            info = tarfile.TarInfo("link.png")
            info.type, info.linkname = kind, target
            tar.addfile(info)
    entries = data_files.entries(tmp_path / "shard.tar")
    assert [entry.name for entry in entries] == ["../../escaped.png", "/absolute.png"]
    assert all(data_files.load(entry, 4).shape == (4, 4, 3) for entry in entries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.png", "shard.tar"]


def test_a_tiff_s_description_does_not_open_other_files(tmp_path):
    """An OME-TIFF may name files that hold its further planes."""
    planes, own = np.arange(2 * 16 * 16, dtype=np.uint8).reshape(2, 16, 16), tmp_path / "own.ome.tif"
    for name in ("other.ome.tif", "own.ome.tif"):
        tifffile.imwrite(tmp_path / name, planes, photometric="minisblack")
    with tifffile.TiffFile(own) as file:
        text = file.ome_metadata
    named = "".join(
        f'<TiffData IFD="{k % 2}" FirstC="0" FirstZ="{k}" FirstT="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{name}</UUID></TiffData>'
        for k, name in enumerate(["own.ome.tif"] * 2 + ["other.ome.tif"] * 2)
    )
    text = re.sub(r"<TiffData.*(?=</Pixels>)", named, text, flags=re.DOTALL)
    text = re.sub(r'SizeZ="\d+"', 'SizeZ="4"', re.sub(r'Size([CT])="\d+"', r'Size\1="1"', text))
    text = re.sub(r'UUID="urn:uuid:[^"]*"', 'UUID="urn:uuid:own.ome.tif"', text, count=1)
    tifffile.imwrite(own, planes, photometric="minisblack", description=text, metadata=None)
    with tifffile.TiffFile(own) as file:  # what it would otherwise be
        assert file.series[0].shape == (4, 16, 16)
    with tiff.opened(own) as file:
        assert file.series[0].shape == (2, 16, 16)
    np.testing.assert_array_equal(volumes.read(own, VolumeOptions()), planes)


def test_a_saved_model_can_write_files(tmp_path):
    """What --trust is about: the truth of the sentence, should TensorFlow ever change it."""
    marker = str(tmp_path / "marker")

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
        def __call__(self, z):
            tf.io.write_file(marker, "written")
            return z

    tf.saved_model.save(Writer(), str(tmp_path / "network"))
    modules.load_module(tmp_path / "network")(np.zeros((1, 4), np.float32))
    assert (tmp_path / "marker").read_text() == "written"
