"""Codes go out with what they cost, and pictures come back where they belong."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from conftest import SIDE
from PIL import Image

from gekeras import images
from gekeras.restore import codes, compress, memory
from gekeras.restore.compression import Encoded

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


def test_paths(tmp_path):
    (tmp_path / "there.d").mkdir()
    for folder in (tmp_path / "new", tmp_path / "there.d"):
        assert compress.output_paths(CODES, folder) == [folder / "a.decoded.png", folder / "b.decoded.png"]
    one = replace(CODES, code=CODES.code[:1], names=["a.png"])
    assert compress.output_paths(one, tmp_path / "x.tif") == [tmp_path / "x.tif"]
    assert list((tmp_path / "there.d").iterdir()) == [] and not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/passwd", "..", "", ".", "a/../../b", "C:\\evil.png", "\n"])
def test_a_stored_name_stays_in_the_folder(tmp_path, name):
    one = replace(CODES, code=CODES.code[:1], names=[name])
    (path,) = compress.output_paths(one, tmp_path / "folder")
    assert path.parent == tmp_path / "folder" and path.name.endswith(".decoded.png")


@pytest.mark.parametrize(
    "output, names, says",
    [
        ("a.png", ["a.png", "b.png"], "a.png is a file, but there are 2 codes; give a folder"),
        ("folder", ["a.png", "a.jpg"], "two pictures of one name would have the same output"),
        ("folder", ["x/a.png", "a.png"], "two pictures of one name would have the same output"),
        ("a.xyz", ["a.png"], "unknown suffix"),
        ("missing/a.png", ["a.png"], "missing does not exist"),
        ("missing/folder", ["a.png"], "missing does not exist"),
    ],
)
def test_places_that_are_refused(tmp_path, output, names, says):
    with pytest.raises(ValueError, match=says):
        compress.output_paths(replace(CODES, code=CODES.code[: len(names)], names=names), tmp_path / output)
    assert list(tmp_path.iterdir()) == []


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
