"""LPIPS is what NumPy computes of its definition, and its file is read without executing anything of it."""

import hashlib
import io
import os
import pickle
import re
import zipfile

import numpy as np
import pytest

from gekeras.files import FileError
from gekeras.perceptual import LPIPS, read, weights

WIDTHS = (2, 3, 4, 3, 2)
RNG = np.random.default_rng(0)
X, TRUTH = RNG.uniform(-1, 1, (2, 3, 33, 39, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    """An AlexNet with so few channels that a test takes milliseconds."""
    monkeypatch.setattr(weights, "WIDTHS", WIDTHS)


def arrays(**changes):
    """Random ones of every name; a change to None leaves one out."""
    rng = np.random.default_rng(1)
    made = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in weights.shapes().items()}
    made |= {name: np.abs(array) for name, array in made.items() if name.startswith("NetLinLayer")}
    return {name: array for name, array in {**made, **changes}.items() if array is not None}


def nested(flat):
    """As flax has them: `{"AlexNet_0": {"Conv_0": {"kernel": ..`."""
    tree = {}
    for name, array in flat.items():
        *folders, last = name.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = array
    return tree


def save(path, flat, form="npz"):
    if form == "npz":
        with path.open("wb") as file:
            np.savez(file, **flat)
    else:
        path.write_bytes(pickle.dumps(nested(flat), form))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


@pytest.fixture
def lpips(path):
    return LPIPS.from_file(save(path, arrays()))


def refused(path, says):
    with pytest.raises(FileError, match=says) as error:
        read(path)
    line = str(error.value)
    assert line.startswith(f"{path}: ") and "\n" not in line
    return line


# ------------------------------------------------------------------------------------------------------ distances


def by_definition(x, truth, w):
    """LPIPS in float64, of one pair of color pictures."""
    total, pair = 0, [(p - np.array([-0.030, -0.088, -0.188])) / [0.458, 0.448, 0.450] for p in (x, truth)]
    for k, (stride, padding) in enumerate([(4, 2), (1, 2), (1, 1), (1, 1), (1, 1)]):
        kernel, bias = w[f"AlexNet_0/Conv_{k}/kernel"], w[f"AlexNet_0/Conv_{k}/bias"]
        if k in (1, 2):
            pair = [windows(p, 3, 2).max((3, 4)) for p in pair]
        pair = [np.pad(p, [(padding, padding), (padding, padding), (0, 0)]) for p in pair]
        pair = [np.maximum(np.einsum("ijcab,abco->ijo", windows(p, len(kernel), stride), kernel) + bias, 0) for p in pair]
        one, other = (p / (np.sqrt((p**2).sum(-1, keepdims=True)) + 1e-10) for p in pair)
        total += ((one - other) ** 2 @ w[f"NetLinLayer_{k}/Conv_0/kernel"][0, 0]).mean()
    return total


def windows(p, side, stride):
    return np.lib.stride_tricks.sliding_window_view(p, (side, side), (0, 1))[::stride, ::stride]


def test_the_definition(lpips):
    expected = [by_definition(x, truth, arrays()) for x, truth in zip(X.astype(float), TRUTH.astype(float))]
    assert min(expected) > 0.01
    np.testing.assert_allclose(lpips(X, TRUTH), expected, rtol=1e-4)
    gray, other = X[..., :1], TRUTH[..., :1]
    expected = by_definition(gray[0].repeat(3, -1).astype(float), other[0].repeat(3, -1).astype(float), arrays())
    assert lpips(gray, other)[0] == pytest.approx(expected, rel=1e-4)


def test_a_distance(lpips):
    """0 for equal pictures, the same both ways, a batch is its pictures, and what is outside of the range is clipped."""
    distances = lpips(X, TRUTH)
    assert distances.shape == (3,) and distances.dtype == np.float64
    assert distances.tolist() == [lpips(x, truth) for x, truth in zip(X, TRUTH)] == lpips(TRUTH, X).tolist()
    assert isinstance(lpips(X[0], TRUTH[0]), float) and lpips(X[:0], TRUTH[:0]).shape == (0,)
    assert lpips(X, X).tolist() == [0, 0, 0]
    assert lpips(5 * X, TRUTH).tolist() == lpips(np.clip(5 * X, -1, 1), TRUTH).tolist()
    small = lpips(X[:, :31, :31], TRUTH[:, :31, :31])
    assert np.isfinite(small).all() and (small > 0).all()


def test_pictures_that_are_refused(lpips):
    for shape, says in {
        (30, 64, 3): r"at least 31 pixels; received \[30, 64, 3\]",
        (64, 30, 1): "at least 31 pixels",
        (64, 64, 2): r"1 or 3 channels; received \[64, 64, 2\]",
        (64, 64): r"\[h, w, c\] or \[n, h, w, c\], received \[64, 64\]",
    }.items():
        with pytest.raises(ValueError, match=says):
            lpips(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match=r"shapes differ: \[33, 39, 3\] and reference \[33, 39, 1\]"):
        lpips(X[0], TRUTH[0, ..., :1])


# ---------------------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("form", ["npz", 3, 4])
def test_both_forms_of_the_file(path, form):
    """In any precision, byte order and order of the axes in memory."""
    name = "AlexNet_0/Conv_1/kernel"
    other = {name: np.asfortranarray(arrays()[name].astype(">f8")), "AlexNet_0/Conv_2/bias": np.float16([1, 2, 3, 4])}
    found = read(save(path, arrays(**other), form))
    for k, (kernel, bias) in enumerate(found.convolutions):
        np.testing.assert_array_equal(kernel, arrays()[f"AlexNet_0/Conv_{k}/kernel"])
        np.testing.assert_array_equal(bias, [1, 2, 3, 4] if k == 2 else arrays()[f"AlexNet_0/Conv_{k}/bias"])
        np.testing.assert_array_equal(found.heads[k], arrays()[f"NetLinLayer_{k}/Conv_0/kernel"].ravel())
        assert kernel.dtype == bias.dtype == found.heads[k].dtype == np.float32
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("module", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_the_pickle_of_either_numpy(path, module):
    """Before 2 and since: they name one function by its module, and protocol 3 has names without their length."""
    save(path, arrays(), 3)
    data = re.sub(rb"numpy\._?core\.multiarray", module, path.read_bytes())
    assert module in data
    path.write_bytes(data)
    np.testing.assert_array_equal(read(path).heads[0], arrays()["NetLinLayer_0/Conv_0/kernel"].ravel())


BIAS, HEAD = "AlexNet_0/Conv_0/bias", "NetLinLayer_4/Conv_0/kernel"


@pytest.mark.parametrize("form", ["npz", 3])
@pytest.mark.parametrize(
    "changes, says",
    [
        ({BIAS: None}, f"it lacks {BIAS}"),
        ({HEAD: None}, f"it lacks {HEAD}"),
        ({BIAS: np.zeros((1, 2), "f4")}, rf"{BIAS} has shape \[1, 2\], not \[2\]"),
        ({HEAD: np.zeros((2,), "f4")}, rf"{HEAD} has shape \[2\], not \[1, 1, 2, 1\]"),
        ({BIAS: np.zeros(2, int)}, r"'i8', not of f2, f4, f8|\(int64\) is not made of finite"),
        ({BIAS: np.array([1, np.nan], "f4")}, f"{BIAS} .* finite"),
        ({HEAD: -np.ones((1, 1, 2, 1), "f4")}, f"{HEAD} has negative numbers"),
        ({"VGG16_0/Conv_0/kernel": np.zeros(2, "f4")}, "it holds 'VGG16_0/Conv_0/kernel', which is no part of them"),
        ({"AlexNet_0/Conv_5/bias": np.zeros(2, "f4")}, "it holds 'AlexNet_0/Conv_5/bias'"),
        ({BIAS: np.array([{}, None])}, "Object arrays cannot be loaded|'O8', not of f2, f4, f8|operation"),
    ],
)
def test_other_arrays_are_refused(path, form, changes, says):
    refused(save(path, arrays(**changes), form), says)


def test_other_files_are_refused(path, tmp_path, monkeypatch):
    refused(path, "No such file")
    refused(tmp_path, "Is a directory")
    for content, says in {
        b"": "neither an .npz nor a pickle",
        b"hello": "neither an .npz nor a pickle",
        b"PK\x03\x04": "not a zip file",
        pickle.dumps([1], 3): "EMPTY_LIST",
        pickle.dumps("a", 3): "it holds 'str', not an array",
        pickle.dumps({"a": {}}, 3): "it holds 'dict' as 'a', not an array",
        pickle.dumps({1: "a"}, 3): "it holds 'dict', not an array",
        pickle.dumps(nested(arrays()), 3) + b"more": "it goes on behind its arrays",
        pickle.dumps(nested(arrays()), 5): "BYTEARRAY8|PICKLE|_frombuffer",
        b"\x80\x03K\x01r\xff\xff\xff\x7f.": "too large",
        b"\x80\x03}q\x00X\x01\x00\x00\x00ah\x00s.": "it holds 'dict' as 'a/a/a'",  # a dict that holds itself
        b"\x80\x03cnumpy\ndtype\nX\x02\x00\x00\x00f4\x85R.": "it holds '_DType', not an array",
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n)R.": "it holds '_Array', not an array",
        b"\x80\x03cnumpy.core.multiarray\n_reconstruct\n}X\x01\x00\x00\x00aK\x01sb.": ".",  # a mark on the stand-in
    }.items():
        path.write_bytes(content)
        refused(path, says)
    whole = pickle.dumps(nested(arrays()), 3)
    for cut in range(1, len(whole), 97):
        path.write_bytes(whole[:cut])
        refused(path, ".")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{BIAS}.npy", bytes(10**5))
    monkeypatch.setattr(weights, "LARGEST", 10**4)
    refused(path, "its arrays have more than 10,000 bytes")
    path.write_bytes(b"PK\x03\x04" + bytes(10**4))
    refused(path, "it has more than 10,000 bytes")


@pytest.mark.parametrize(
    "shape, data, says",
    [
        ((3,), bytes(8), r"shape \[3\] has 2 numbers"),
        ((-1,), bytes(8), r"has the shape \(-1,\)"),
        ((True, 2), bytes(8), "has the shape"),
        ((2.0,), bytes(8), "BINFLOAT"),
        ((1,) * 9, bytes(4), "has the shape"),
        ((2,), "text", "not made of a shape, a type and bytes"),
        ((2,), bytes(7), "."),
    ],
)
def test_arrays_that_make_no_sense(path, shape, data, says):
    class Odd:
        def __reduce__(self):
            function, arguments, _ = np.zeros(2, "f4").__reduce__()
            return function, arguments, (1, shape, np.dtype("f4"), False, data)

    path.write_bytes(pickle.dumps({"AlexNet_0": {"Conv_0": {"bias": Odd()}}}, 3))
    refused(path, says)


class Call:
    """What a malicious file holds: a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 3, 4, 5])
@pytest.mark.parametrize("place", ["an array", "beside", "a key", "the shape"])
def test_code_is_refused_and_not_executed(path, tmp_path, protocol, place):
    marker = tmp_path / "marker"
    for function, *arguments in [(os.system, f"touch {marker}"), (eval, f"open({str(marker)!r}, 'w')"), (np.fromfile, "a")]:
        call = Call(function, *arguments)
        tree = nested(arrays())
        if place == "an array":
            tree["AlexNet_0"]["Conv_0"]["bias"] = call
        elif place == "the shape":
            tree["AlexNet_0"]["Conv_0"]["bias"] = Call(np.zeros(1).__reduce__()[0], np.ndarray, call, b"b")
        else:
            tree[call if place == "a key" else "more"] = 1 if place == "a key" else call
        path.write_bytes(pickle.dumps(tree, protocol))
        refused(path, "refused|neither an .npz nor a pickle")
        assert not marker.exists()
    pickle.loads(pickle.dumps(Call(eval, f"open({str(marker)!r}, 'w').close()")))
    assert marker.exists()  # it would have been


@pytest.mark.parametrize(
    "program, says",
    [
        (b"(S'true'\nios\nsystem\n.", "operation STRING"),
        (b"(cos\nsystem\nX\x04\x00\x00\x00trueo.", "operation OBJ"),
        (b"cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "os.system"),
        (b"cos\nsystem\n)\x81.", "operation NEWOBJ"),
        (b"\x82\x01.", "operation EXT1"),
        (b"K\x01Q.", "operation BINPERSID"),
        (b"\x8c\x05numpy\x8c\x0cndarray.dump\x93.", "numpy.ndarray.dump"),
        (b"\x8c\x05numpy\x8c\x07__doc__\x93.", "numpy.__doc__"),
        (b"cnumpy\nload\n.", "numpy.load"),
        (b"cnumpy\nndarray\n)R.", "not callable"),
        (b"X\xff\xff\xff\x7fabc.", "."),
        (b"h\x05.", "."),
        (b".", "."),
    ],
)
def test_odd_programs(path, program, says):
    path.write_bytes(b"\x80\x04" + program)
    refused(path, says)


def test_an_npz_runs_nothing(path):
    """Neither a pickled member nor one that is no array at all."""
    data = io.BytesIO()
    np.save(data, np.array([Call(os.getpid)]), allow_pickle=True)
    for name, content, says in [(f"{BIAS}.npy", data.getvalue(), "Object arrays"), (BIAS, b"text", f"{BIAS} has shape")]:
        with zipfile.ZipFile(save(path, arrays(**{BIAS: None})), "a") as archive:
            archive.writestr(name, content)
        refused(path, says)
