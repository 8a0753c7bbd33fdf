"""Codes survive their file as far as their bits allow; every file that is no code file is refused in one line."""

import io
import json
import os
import pickle
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from gekeras import files
from gekeras.restore import codes

RNG = np.random.default_rng(0)
CODE = RNG.normal(0, 2, (3, 64)).astype(np.float32)
CODEFILE = codes.CodeFile(CODE, ["a.png", "b\n.png", "ü \udcff.jpg"], "faces", "reconstruct", "0123456789abcdef" * 4, 64)
EXACT = {"preset": "faces", "encoder": "0123456789abcdef" * 4, "size": 64}


def entries_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def header_of(entries, **changes):
    """The entries with another header; a change to None leaves the field out."""
    header = {**json.loads(entries["header"].tobytes()), **changes}
    text = json.dumps({name: value for name, value in header.items() if value is not None})
    return {**entries, "header": np.frombuffer(text.encode(), np.uint8)}


def without(entries, *names):
    return {name: array for name, array in entries.items() if name not in names}


# ------------------------------------------------------------------------------------------------------- numbers


def test_thirty_two_bits_are_exact():
    packed = codes.quantize(CODE, 32)
    assert packed.code.dtype == np.float32 and packed.minimum is None and packed.step is None
    assert (codes.dequantize(packed) == CODE).all()


def test_sixteen_bits_are_rounded_to_eleven_digits():
    packed = codes.quantize(CODE, 16)
    assert packed.code.dtype == np.float16
    np.testing.assert_allclose(codes.dequantize(packed), CODE, rtol=2.0**-11, atol=1e-7)


@pytest.mark.parametrize("scale, offset", [(1, 0), (1e-6, 0), (1e-3, 1000), (1e30, 0), (1e-43, 0), (300, -7)])
def test_eight_bits_are_within_half_a_step(scale, offset):
    code = (CODE * np.float32(scale) + np.float32(offset)).astype(np.float32)
    packed = codes.quantize(code, 8)
    assert packed.code.dtype == np.uint8 and packed.minimum.dtype == packed.step.dtype == np.float32
    assert packed.minimum.shape == packed.step.shape == (3,)
    back = codes.dequantize(packed)
    error = np.abs(back.astype(np.float64) - code)
    assert back.dtype == np.float32
    assert (error <= packed.step[:, None] / 2 + np.spacing(np.abs(code)) / 2).all()
    assert (packed.code.min(axis=1) == 0).all()


def test_each_code_has_its_own_step():
    assert (codes.quantize(CODE, 8).code[1:2] == codes.quantize(CODE[1:2], 8).code).all()


@pytest.mark.parametrize("bits", codes.BITS)
@pytest.mark.parametrize("value", [0.0, -3.25, 1.5])
def test_constant_codes_are_exact(bits, value):
    code = np.full((2, 5), value, np.float32)
    assert (codes.dequantize(codes.quantize(code, bits)) == code).all()


def test_quantize_refuses():
    with pytest.raises(ValueError, match="bits must be one of 32, 16, 8; received 4"):
        codes.quantize(CODE, 4)
    for shape in ((64,), (1, 8, 8), (0, 64), (3, 0)):
        with pytest.raises(ValueError, match=r"shape \[n, k\]"):
            codes.quantize(np.zeros(shape, np.float32), 32)
    for value in (np.nan, np.inf):
        with pytest.raises(ValueError, match="NaN or infinite"):
            codes.quantize(np.full((1, 2), value), 32)
    with pytest.raises(ValueError, match="reaches 7e\\+04, too large for 16 bits"):
        codes.quantize(np.array([[0, -70000]]), 16)
    assert codes.dequantize(codes.quantize(np.array([[65504.0]]), 16)) == 65504


def test_bits():
    assert [codes.bits_per_picture(1000, bits) for bits in codes.BITS] == [32000, 16000, 8064]
    assert codes.bits_per_pixel(64, 32, 64) == 0.5
    assert codes.bits_per_pixel(512, 8, 128) == (512 * 8 + 64) / 128**2
    for call in (
        lambda: codes.bits_per_picture(0, 8),
        lambda: codes.bits_per_picture(8, 7),
        lambda: codes.bits_per_pixel(8, 8, 0),
    ):
        with pytest.raises(ValueError):
            call()


# --------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("bits", codes.BITS)
def test_round_trip(tmp_path, bits):
    codes.save(tmp_path / "a.npz", replace(CODEFILE, bits=bits))
    back = codes.load(str(tmp_path / "a.npz"))
    assert back.code.dtype == np.float32
    assert (back.code == codes.dequantize(codes.quantize(CODE, bits))).all()
    assert back.bits == bits
    for name in ("names", "preset", "task", "encoder", "resolution"):
        assert getattr(back, name) == getattr(CODEFILE, name)
    codes.check(back, tmp_path / "a.npz", **EXACT)
    assert os.listdir(tmp_path) == ["a.npz"]


def test_equal_codes_make_equal_files(tmp_path):
    for name in ("a.npz", "b.npz"):
        codes.save(tmp_path / name, replace(CODEFILE, names=tuple(CODEFILE.names)))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize("bits", codes.BITS)
def test_the_file_is_little_more_than_its_numbers(tmp_path, bits):
    code = RNG.normal(size=(100, 1024)).astype(np.float32)
    codes.save(tmp_path / "a.npz", replace(CODEFILE, code=code, names=[f"{i:06}.jpg" for i in range(100)], bits=bits))
    payload = 100 * codes.bits_per_picture(1024, bits) / 8
    assert payload < (tmp_path / "a.npz").stat().st_size < payload + 100 * 14 + 1500


def test_save_refuses_and_writes_nothing(tmp_path):
    bad = {
        "names for": {"names": ["a"]},
        "NaN": {"code": CODE * np.nan},
        "shape": {"code": CODE[0]},
        "checksum in hex": {"encoder": "xyz"},
        "resolution": {"resolution": 0},
        "bits must be": {"bits": 12},
        "preset must be text": {"preset": None},
        "list of texts": {"names": [1, 2, 3]},
        "too large for 16 bits": {"code": CODE * 1e6, "bits": 16},
    }
    for says, changes in bad.items():
        with pytest.raises(ValueError, match=says) as caught:
            codes.save(tmp_path / "a.npz", replace(CODEFILE, **changes))
        assert "\n" not in str(caught.value)
    for name in ("a", "a.png", "a.npz.txt"):
        with pytest.raises(ValueError, match=r"written as \.npz"):
            codes.save(tmp_path / name, CODEFILE)
    with pytest.raises(files.FileError, match="does not exist"):
        codes.save(tmp_path / "nowhere" / "a.npz", CODEFILE)
    assert os.listdir(tmp_path) == []


def test_what_could_not_be_read_again_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(codes, "LIMIT", 500)
    with pytest.raises(ValueError, match="at most 500 can be read again"):
        codes.save(tmp_path / "a.npz", CODEFILE)
    assert os.listdir(tmp_path) == []


def bad_files(folder):
    """name -> what its refusal says; the files are made in `folder`."""
    for bits in (32, 8):
        codes.save(folder / f"good{bits}.npz", replace(CODEFILE, bits=bits))
    data = (folder / "good32.npz").read_bytes()
    good, small = entries_of(folder / "good32.npz"), entries_of(folder / "good8.npz")
    raw = {"empty": b"", "text": b"hello", "png": b"\x89PNG\r\n\x1a\n", "cut": data[:-10], "half": data[: len(data) // 2]}
    raw["pickle"] = pickle.dumps({"code": CODE})
    buffer = io.BytesIO()
    np.save(buffer, CODE)
    raw["npy"] = buffer.getvalue()
    damaged = bytearray(data)
    damaged[data.index(CODE.tobytes()) + 5] ^= 255
    raw["damaged"] = bytes(damaged)
    says = {"missing": "no such file", "folder": "is a folder", "pipe": "not a regular file", "loop": "symbolic links"}
    says.update(dict.fromkeys(raw, "not a code file"), empty="is an empty file", cut="truncated", half="truncated")
    says["damaged"] = "damaged code file"

    nan, infinite = CODE.copy(), CODE.copy()
    nan[1, 2], infinite[2, 1] = np.nan, np.inf
    arrays = {
        "no_header": ("has no header", without(good, "header")),
        "no_code": ("has no code", without(good, "code")),
        "other": ("has no code and no header", {"x": CODE}),
        "float_header": ("header is not text", {**good, "header": np.zeros(4)}),
        "no_json": ("header is not JSON", {**good, "header": np.frombuffer(b"{", np.uint8)}),
        "no_utf8": ("header is not JSON", {**good, "header": np.frombuffer(b"\xff\xfe\xff", np.uint8)}),
        "list": ("no version", {**good, "header": np.frombuffer(b"[1]", np.uint8)}),
        "deep": ("damaged", {**good, "header": np.frombuffer(b"[" * 100_000, np.uint8)}),
        "version": ("version 2 of code files is not supported", header_of(good, version=2)),
        "no_names": ("lacks names", header_of(good, names=None)),
        "names": ("2 names for 3 codes", header_of(good, names=["a", "b"])),
        "number_names": ("list of texts", header_of(good, names=[1, 2, 3])),
        "preset": ("preset must be text", header_of(good, preset=5)),
        "encoder": ("checksum in hex", header_of(good, encoder="../x")),
        "resolution": ("resolution must be", header_of(good, resolution=64.0)),
        "bits": ("bits must be one of", header_of(good, bits=12)),
        "other_bits": ("its code must be float16", header_of(good, bits=16)),
        "dtype": (r"must be float32 \[n, k\], found float64 \[3, 64\]", {**good, "code": CODE.astype(np.float64)}),
        "big_endian": ("found >f4", {**good, "code": CODE.astype(">f4")}),
        "flat": (r"found float32 \[192\]", {**good, "code": CODE.ravel()}),
        "none": (r"found float32 \[0, 64\]", header_of({**good, "code": CODE[:0]}, names=[])),
        "nan": ("NaN or infinite", {**good, "code": nan}),
        "infinite": ("NaN or infinite", {**good, "code": infinite}),
        "no_step": ("lacks its step", without(small, "step")),
        "no_scale": ("lacks its minimum and its step", without(small, "step", "minimum")),
        "short_step": (r"its step must be float32 \[3\]", {**small, "step": small["step"][:2]}),
        "double_step": ("found float64", {**small, "step": small["step"].astype(np.float64)}),
        "nan_minimum": ("NaN or infinite", {**small, "minimum": small["minimum"] * np.float32(np.nan)}),
        "huge_step": ("NaN or infinite", {**small, "step": np.full(3, 3e38, np.float32)}),
        "object": ("damaged.*[Oo]bject arrays", {**good, "code": np.array([[{}]], object)}),
        "object_header": ("damaged.*[Oo]bject arrays", {**good, "header": np.array([{}], object)}),
    }
    for name, (reason, entries) in arrays.items():
        np.savez(folder / name, **entries)
        (folder / f"{name}.npz").rename(folder / name)
        says[name] = reason
    for name, content in raw.items():
        (folder / name).write_bytes(content)
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    os.symlink(folder / "loop", folder / "loop")
    with zipfile.ZipFile(folder / "raw_entry", "w") as archive:
        archive.writestr("header", b"{}")
        archive.writestr("code", b"no array")
    says["raw_entry"] = "header is not text"
    with zipfile.ZipFile(folder / "huge_shape", "w") as archive:  # claims 2^50 numbers, holds none
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": (2**25, 2**25)})
        for name, content in {"header": good["header"].tobytes(), "code": buffer.getvalue()}.items():
            archive.writestr(f"{name}.npy", content)
    says["huge_shape"] = "damaged"
    with zipfile.ZipFile(folder / "bomb", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("code.npy", "w", force_zip64=True) as file:
            for _ in range(65):
                file.write(bytes(2**20))
    says["bomb"] = "too large: 68,157,440 bytes unpacked; at most 67,108,864"
    with (folder / "large").open("wb") as file:
        file.truncate(codes.LIMIT + 1)
    says["large"] = "too large"
    return says


def test_bad_files_are_refused_in_one_line_that_names_them(tmp_path, capfd):
    for name, reason in bad_files(tmp_path).items():
        with pytest.raises(codes.CodeError, match=reason) as caught:
            codes.load(tmp_path / name)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ") and "\n" not in message, name
    assert capfd.readouterr().err == ""


def test_a_directory_that_lies_about_sizes_unpacks_no_more(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("code.npy", bytes(2**20))
        archive.writestr("header.npy", b"x")
    data = (tmp_path / "a.npz").read_bytes().replace((2**20).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(codes.CodeError):
        codes.load(tmp_path / "a.npz")


def test_every_truncation_is_refused(tmp_path):
    codes.save(tmp_path / "a.npz", replace(CODEFILE, bits=8))
    data = (tmp_path / "a.npz").read_bytes()
    for stop in range(0, len(data), 7):
        (tmp_path / "cut.npz").write_bytes(data[:stop])
        with pytest.raises(codes.CodeError):
            codes.load(tmp_path / "cut.npz")


def test_every_flipped_byte_is_refused_or_read(tmp_path):
    """No damage lets another exception out."""
    codes.save(tmp_path / "a.npz", replace(CODEFILE, bits=8))
    data = (tmp_path / "a.npz").read_bytes()
    for place in range(0, len(data), 3):
        damaged = bytearray(data)
        damaged[place] ^= 0x55
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            assert np.isfinite(codes.load(tmp_path / "damaged.npz").code).all()
        except codes.CodeError as error:
            assert "\n" not in str(error)


def test_deflated_files_are_read(tmp_path):
    """As a user's own `np.savez_compressed` would write them."""
    codes.save(tmp_path / "a.npz", CODEFILE)
    np.savez_compressed(tmp_path / "b.npz", **entries_of(tmp_path / "a.npz"))
    assert (codes.load(tmp_path / "b.npz").code == CODE).all()


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"preset": "cars"}, "of preset 'faces', expected 'cars'"),
        ({"encoder": "f" * 64}, "checksum 0123456789ab, expected ffffffffffff$"),
        ({"encoder": "0123456789ab0"}, "checksum 0123456789abcdef.*, expected 0123456789ab0$"),
        ({"size": 32}, "codes have 64 numbers, expected 32"),
    ],
)
def test_check_names_found_and_expected(changes, says):
    with pytest.raises(codes.CodeError, match=says) as caught:
        codes.check(CODEFILE, "m.npz", **{**EXACT, **changes})
    assert str(caught.value).startswith("m.npz: ") and "\n" not in str(caught.value)
