"""Codes go out with what they cost, and pictures come back where they belong."""

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SIDE
from PIL import Image

from gekeras import images, restore
from gekeras.restore import codes, compress, memory
from gekeras.restore.compression import Encoded
from gekeras.restore.paths import decoded_paths

CODES = codes.CodeFile(np.zeros((2, 16), np.float32), ["a.png", "b.jpg"], "tiny", "reconstruct", "0a" * 32, SIDE, 8)


def test_what_is_said_of_a_file(tmp_path):
    file = tmp_path / "a.npz"
    file.write_bytes(bytes(1500))
    text = Encoded(file, CODES, 0.01234).summary()
    assert text.startswith(
        f"{file}: 2 codes of 16 numbers at 8 bits: 0.750 bits per pixel of 16x16, 1,500 bytes"
    )  # (128 + 64) / 256
    assert text.endswith("the decoder's picture has MSE 0.0123")
    one = replace(CODES, code=CODES.code[:1], names=["a"], bits=32)
    assert "a.npz: 1 code of 16" in Encoded(file, one, 0.0).summary()


def decoded(output, *names):
    return [path.relative_to(Path(output).parent).as_posix() for path in decoded_paths(list(names), output)]


def test_where_decoded_pictures_go(tmp_path):
    (tmp_path / "there.d").mkdir()
    for folder in ("new", "there.d", "new.d/"):
        where = f"{tmp_path}/{folder}"
        assert decoded(where, "a.png", "b.jpg") == [f"{folder.rstrip('/')}/{k}.decoded.png" for k in "ab"]
    assert decoded_paths(["a.png"], tmp_path / "x.tif") == [tmp_path / "x.tif"]
    assert [path.name for path in tmp_path.rglob("*")] == ["there.d"]


@pytest.mark.parametrize(
    "name",
    [
        "../../evil.png",
        "/etc/passwd",
        "..",
        "",
        ".",
        "a/../../b",
        "C:\\evil.png",
        "\n",
        "a\0b",
        "\ud800",
        "\x1b[2J",
        "é" * 900,
    ],
)
def test_a_stored_name_stays_in_the_folder(tmp_path, name):
    """And is one that can be written and printed, for each of several pictures of it."""
    paths = decoded_paths([name, "z.png", name, name], tmp_path / "folder")
    assert len(set(paths)) == 4
    (tmp_path / "folder").mkdir()
    for path in paths:
        assert path.parent == tmp_path / "folder" and path.name.endswith(".decoded.png") and path.name.isprintable()
        path.touch()
    assert len(list((tmp_path / "folder").iterdir())) == 4 == len(list(tmp_path.rglob("*"))) - 1


def test_pictures_of_one_name_are_numbered(tmp_path):
    """Also those that some file system takes for one, and never over another's name."""
    found = decoded(tmp_path, "a.png", "x/a.jpg", "a-2.png", "A.png", "b.png", "a.png")
    stems = ["a", "a-2", "a-2-2", "A-3", "b", "a-4"]
    assert found == [f"{tmp_path.name}/{stem}.decoded.png" for stem in stems]


@pytest.mark.parametrize(
    "output, names, says",
    [
        ("a.png", ["a.png", "b.png"], "a.png is a file, but there are 2 codes; give a folder"),
        ("a.xyz", ["a.png"], "unknown suffix"),
        ("missing/a.png", ["a.png"], "missing does not exist"),
        ("missing/folder", ["a.png"], "missing does not exist"),
        ("n" * 300 + ".png", ["a.png"], "a name has at most"),
        ("file/", ["a.png"], "file is not a folder"),
    ],
)
def test_places_that_are_refused(tmp_path, output, names, says):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=says):
        decoded_paths(names, f"{tmp_path}/{output}")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def paths(tmp_path, rng):
    found = [tmp_path / f"{k}.png" for k in range(3)]
    for path in found:
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
    return found


@pytest.mark.parametrize("bits", codes.BITS)
def test_the_error_is_that_of_the_code_as_stored(tiny, paths, tmp_path, bits):
    file, error = compress.encode(paths, tiny, bits)
    codes.save(tmp_path / "code.npz", file)
    read = codes.load(tmp_path / "code.npz")
    np.testing.assert_allclose(read.code, file.code, rtol=1e-6, atol=1e-6)  # packed twice: 8 bits are exact up to rounding
    assert read.names == ["0.png", "1.png", "2.png"]
    pictures = compress.decode(read, tmp_path / "code.npz", tiny, "fast", {}, preview=True)
    truth = np.stack([images.read(path) for path in paths])
    assert error == pytest.approx(np.mean((pictures - truth) ** 2), rel=1e-4)


def test_many_codes_are_solved_in_batches(tiny, paths):
    """The batch makes no difference to a picture, and the progress goes from nothing to all."""
    file, _ = compress.encode(paths, tiny, 32)
    changes, told = {"steps": 3, "starts": 2}, []
    whole = compress.decode(file, "code.npz", tiny, "fast", changes)
    parts = compress.decode(file, "code.npz", tiny, "fast", changes, batch=2, progress=lambda *n: told.append(n))
    np.testing.assert_allclose(parts, whole, atol=1e-3)
    assert told[0] == (0, 6) and told[-1] == (6, 6) and told == sorted(told)


def test_encoding_and_previews_are_bounded_too(tiny, paths, monkeypatch):
    """With next to no memory one picture at a time, and the same codes and pictures."""
    (file, error), seen = compress.encode(paths, tiny, 32), []
    whole = compress.decode(file, "code.npz", tiny, "fast", {}, preview=True)
    monkeypatch.setattr(memory, "available", lambda: 1)
    encode = compress.GenerativeEncoder.encode
    monkeypatch.setattr(compress.GenerativeEncoder, "encode", lambda self, y: seen.append(len(y)) or encode(self, y))
    alone, same = compress.encode(paths, tiny, 32)
    assert seen == [1, 1, 1] and same == pytest.approx(error, rel=1e-4)
    np.testing.assert_allclose(alone.code, file.code, atol=1e-4)
    np.testing.assert_allclose(compress.decode(file, "code.npz", tiny, "fast", {}, preview=True), whole, atol=1e-4)


def test_another_encoder_s_code_is_refused_before_any_work(tiny, paths):
    file, _ = compress.encode(paths[:1], tiny, 32)
    assert json.loads((tiny.folder / "preset.json").read_text())["code_size"] == file.code.shape[1]
    for other in (replace(file, encoder="0a" * 32), replace(file, preset="other"), replace(file, code=file.code[:, 1:])):
        with pytest.raises(codes.CodeError, match=r"code.npz: its code"):
            compress.decode(other, "code.npz", tiny, "fast", {}, preview=True)
    with pytest.raises(ValueError, match="a code alone has no pixels"):
        compress.decode(file, "code.npz", tiny, "fast", {"pixel_weight": 1.0})
    assert math.isfinite(compress.decode(file, "code.npz", tiny, "fast", {}, preview=True).sum())


ODD = ["a.png", "x/a.png", "x/\udcff.png", "new\nline.png", "-.png", ".hidden.png", "w" * 240 + ".png"]


def test_whatever_can_be_encoded_is_decoded(tiny, models, paths, tmp_path, monkeypatch):
    """Each picture is that of its own code, under names that differ."""
    monkeypatch.chdir(tmp_path)
    Path("x").mkdir()
    for k, name in enumerate(ODD):
        Path(name).write_bytes(paths[k % 3].read_bytes())
    preset = {"preset": "tiny", "models": models}
    restore.encode(ODD, "code.npz", **preset)
    written = restore.decode("code.npz", "out.d/", preview=True, **preset)
    assert [path.name.removesuffix(".decoded.png") for path in written] == [
        *("a", "a-2", "_", "new_line", "-", ".hidden"),
        "w" * 240,
    ]
    for k, path in enumerate(written):
        np.testing.assert_array_equal(images.read(path), images.read(written[k % 3]))
    assert len({path.read_bytes() for path in written}) == 3
    again = restore.decode("code.npz", Path("out.d"), preview=True, **preset)
    assert again == written and len(list(Path("out.d").iterdir())) == len(ODD)


def test_what_was_done_to_a_file_is_told(models, tmp_path):
    """As of a solve; and twelve bits in sixteen give the same code as eight, once their levels are named."""
    gray, told = np.random.default_rng(0).integers(0, 256, (2 * SIDE, SIDE)), []
    preset = {"preset": "tiny", "models": models}
    Image.fromarray(gray.astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray((16 * gray).astype(np.uint16)).save(tmp_path / "b.png")
    restore.encode([tmp_path / "a.png", tmp_path / "b.png"], tmp_path / "a.npz", tell=told.append, **preset)
    assert told[0].startswith("a.png: 16x32 cropped square")
    assert told[1].startswith("b.png: values from 0 to 4,080 of 65,535")
    restore.encode([tmp_path / "b.png"], tmp_path / "b.npz", levels=(0, 4080), **preset)
    of_eight, of_twelve = (codes.load(tmp_path / name).code for name in ("a.npz", "b.npz"))
    np.testing.assert_allclose(of_twelve[0], of_eight[0], atol=1e-5)
    assert np.abs(of_eight[1] - of_eight[0]).max() > 1e-3


def test_bad_places_are_refused_before_any_work(models, paths, tmp_path, monkeypatch):
    """Before TensorFlow is imported, which the module of the work does."""
    monkeypatch.delattr(restore, "compress")
    monkeypatch.setitem(sys.modules, "gekeras.restore.compress", None)
    monkeypatch.chdir(tmp_path)
    codes.save("code.npz", CODES)
    preset = {"preset": "tiny", "models": models}
    before = sorted(tmp_path.rglob("*"))
    for call, says in (
        (lambda: restore.encode(paths, "code.png", **preset), "written as .npz"),
        (lambda: restore.encode(paths, "no/code.npz", **preset), "does not exist"),
        (lambda: restore.encode(paths, "code.npz/", **preset), "ends with a slash"),
        (lambda: restore.encode(paths, "n" * 300 + ".npz", **preset), "a name has at most"),
        (lambda: restore.encode(paths, "code.npz", bits=7, **preset), "bits must be one of"),
        (lambda: restore.encode([], "code.npz", **preset), "one picture file or more"),
        (lambda: restore.decode("code.npz", "a.png", **preset), "is a file, but there are 2 codes"),
        (lambda: restore.decode("code.npz", "no/folder", **preset), "does not exist"),
        (lambda: restore.decode("code.npz", "n" * 300, **preset), "a name has at most"),
        (lambda: restore.decode("code.decoded.png", ".", **preset), "code.decoded.png is an input"),
    ):
        if says.endswith("is an input"):
            codes.save("code.npz", replace(CODES, names=["code.png", "b"]))
            os.replace("code.npz", "code.decoded.png")
            before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match=says):
            call()
        assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.setattr(codes, "LIMIT", 500)
    with pytest.raises(ValueError, match="at most 500 can be read again"):
        restore.encode(paths, "new.npz", **preset)


def test_a_failure_leaves_whole_pictures_and_no_empty_folder(tmp_path, monkeypatch):
    folder, picture = tmp_path / "new", np.zeros((4, 4, 3), np.float32)
    with pytest.raises(ValueError, match="NaN"):
        compress.write([folder / "a.png"], [picture * np.nan])
    assert not folder.exists()
    with pytest.raises(ValueError, match="NaN"):
        compress.write([folder / "a.png", folder / "b.png"], [picture, picture * np.nan])
    assert [path.name for path in folder.iterdir()] == ["a.png"]
