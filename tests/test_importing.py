"""Imported generators draw what their own arithmetic says, computed here a second time; nothing of a file is executed.

No PyTorch and no TensorFlow 1 is needed: the files are written here as those write them.
"""

import contextlib
import inspect
import io
import json
import pickle
import shutil
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import SIDE

from gekeras import importing
from gekeras.cli import cli
from gekeras.importing import torch_archive
from gekeras.networks import presets

FORMATS = ("archive", "stream")
FILE_TYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "<i8",
    "ByteStorage": "|u1",
}


# --------------------------------------------------------------------------------- what torch writes, without torch


class Storage:
    """Numbers that several tensors may view; `count` is what the file claims, where that is not their number."""

    def __init__(self, numbers, kind="FloatStorage", count=None):
        self.numbers, self.kind, self.count = np.ravel(numbers), kind, count

    def data(self, order="<"):
        if self.kind == "BFloat16Storage":
            return (self.numbers.astype(np.float32).view(np.uint32) >> 16).astype(f"{order}u2").tobytes()
        return self.numbers.astype(FILE_TYPES[self.kind].replace("<", order)).tobytes()


class Tensor:
    """A tensor as torch pickles it: a storage, an offset, a size and strides."""

    def __init__(self, array=None, kind="FloatStorage", storage=None, offset=0, size=None, stride=None):
        self.storage = storage or Storage(array, kind)
        self.size = np.shape(array) if size is None else size
        self.offset = offset
        self.stride = tuple(s // 8 for s in np.zeros(self.size, np.int64).strides) if stride is None else stride

    def __reduce__(self):
        arguments = (self.storage, self.offset, self.size, self.stride, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, arguments


class Parameter:
    def __init__(self, tensor):
        self.tensor = tensor

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_parameter, (self.tensor, True, OrderedDict())


class Call:
    """What a malicious file holds: a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def function_of(module, name):
    def function(*_arguments):
        raise NotImplementedError

    function.__module__, function.__qualname__, function.__name__ = module, name, name
    return function


def modules_of_torch():
    """Modules by name that hold just what a checkpoint names."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils", "models", "models.utils")}
    modules["models.utils.config"] = types.ModuleType("models.utils.config")
    for name in FILE_TYPES:
        setattr(modules["torch"], name, type(name, (), {"__module__": "torch"}))
    for name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
        setattr(modules["torch._utils"], name, function_of("torch._utils", name))
    modules["models.utils.config"].BaseConfig = Settings
    return modules


class Settings:
    """The zoo's config."""

    def __init__(self, **values):
        vars(self).update(values)


Settings.__module__, Settings.__qualname__ = "models.utils.config", "BaseConfig"


class Pickler(pickle.Pickler):
    def __init__(self, file, protocol, keys, more):
        super().__init__(file, protocol)
        self.keys, self.more = keys, more

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        key = self.keys.setdefault(id(thing), (str(len(self.keys)), thing))[0]
        count = thing.numbers.size if thing.count is None else thing.count
        return ("storage", getattr(sys.modules["torch"], thing.kind), key, "cpu", count, *self.more)


def dumped(value, protocol=2, more=()):
    """The pickle and its storages by key."""
    file, keys = io.BytesIO(), {}
    with mock.patch.dict(sys.modules, modules_of_torch()):
        Pickler(file, protocol, keys, more).dump(value)
    return file.getvalue(), dict(keys.values())


def write_archive(path, data, storages, order="<", compression=zipfile.ZIP_STORED, leave_out=()):
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("weights/data.pkl", data)
        file.writestr("weights/byteorder", {"<": "little", ">": "big"}[order])
        for key, storage in storages.items():
            if key not in leave_out:
                file.writestr(f"weights/data/{key}", storage.data(order))
        file.writestr("weights/version", "3\n")
    return path


def write_stream(path, data, storages, protocol=2, counts=None, heads=None):
    heads = heads or (torch_archive.MAGIC, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}})
    with path.open("wb") as file:
        for head in heads:
            file.write(head if isinstance(head, bytes) else pickle.dumps(head, protocol))
        file.write(data)
        file.write(pickle.dumps(sorted(storages), protocol))
        for key in sorted(storages):
            file.write(struct.pack("<q", (counts or {}).get(key, storages[key].numbers.size)) + storages[key].data())
    return path


def save(path, value, form="archive", protocol=2):
    if form == "archive":
        return write_archive(path, *dumped(value, protocol))
    return write_stream(path, *dumped(value, protocol, more=(None,)), protocol=protocol)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.pth"


# ---------------------------------------------------------------------------------------------------- the archive


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("form", FORMATS)
def test_a_checkpoint_comes_back(path, rng, form, protocol):
    numbers, whole = rng.normal(size=(3, 4)).astype(np.float32), np.arange(24.0)
    shared = Storage(whole)
    state = OrderedDict(a=Tensor(numbers), p=Parameter(Tensor(numbers[0])), n=Tensor(np.arange(5), "LongStorage"))
    state._metadata = OrderedDict({"": {"version": 1}})
    value = {
        "state": state,
        "views": [
            Tensor(storage=shared, offset=5, size=(2, 3), stride=(3, 1)),
            Tensor(storage=shared, offset=1, size=(3, 2), stride=(1, 7)),
            Tensor(storage=shared, offset=23, size=(), stride=()),
            Tensor(storage=shared, offset=0, size=(0, 4), stride=(4, 1)),
        ],
        "config": Settings(alpha=0.0, depthOtherScales=[4, 2], attribKeysOrder=None, lossCriterion="WGANGP"),
        "step": (1, -7, 2**40, True, "text", 0.5, None),
    }
    found = torch_archive.load(save(path, value, form, protocol))
    np.testing.assert_array_equal(found["state"]["a"], numbers)
    np.testing.assert_array_equal(found["state"]["p"], numbers[0])
    np.testing.assert_array_equal(found["state"]["n"], np.arange(5))
    assert found["state"]["a"].dtype == np.float32 and found["state"]["n"].dtype == np.int64
    assert found["step"] == value["step"] and vars(found["config"]) == vars(value["config"])
    plain, mixed, scalar, empty = found["views"]
    np.testing.assert_array_equal(plain, whole[5:11].reshape(2, 3))
    np.testing.assert_array_equal(mixed, [[1 + i + 7 * j for j in range(2)] for i in range(3)])
    assert scalar == 23 and scalar.shape == () and empty.shape == (0, 4)


@pytest.mark.parametrize("kind", ["DoubleStorage", "HalfStorage", "BFloat16Storage", "ByteStorage"])
@pytest.mark.parametrize("form", FORMATS)
def test_types_of_numbers(path, form, kind):
    numbers = np.array([0, 1, 3, 100, 255] if kind == "ByteStorage" else [0, -1.5, 0.15625, 3.0e4, 2.0**-14])
    found = torch_archive.load(save(path, [Tensor(numbers, kind)], form))[0]
    expected = {"DoubleStorage": "f8", "HalfStorage": "f2", "BFloat16Storage": "f4", "ByteStorage": "u1"}[kind]
    assert found.dtype == expected
    np.testing.assert_allclose(found, numbers, rtol=2**-8 if kind == "BFloat16Storage" else 1e-3)


@pytest.mark.parametrize("kind", ["FloatStorage", "HalfStorage", "BFloat16Storage", "LongStorage"])
def test_the_other_byte_order(path, kind):
    numbers = np.array([1, -2, 300])
    found = torch_archive.load(write_archive(path, *dumped([Tensor(numbers, kind)]), order=">"))[0]
    np.testing.assert_array_equal(found, numbers)


def test_nothing_of_one_file_is_left_for_the_next(path):
    """What a file does to the classes and functions that it is handed ends with it."""
    for name in (b"models.utils.config\nBaseConfig", b"torch._utils\n_rebuild_tensor_v2", b"collections\nOrderedDict"):
        for state in (b"}X\x04\x00\x00\x00markK\x01s", b"N}X\x04\x00\x00\x00markK\x01s\x86"):  # attributes; slots
            with contextlib.suppress(ValueError):
                torch_archive.load(write_archive(path, b"\x80\x02c" + name + b"\n" + state + b"b.", {}))
    found = torch_archive.load(save(path, [Tensor(np.ones(2)), Settings(), OrderedDict()]))
    assert not hasattr(found[1], "mark") and not hasattr(found[2], "mark") and found[0].shape == (2,)
    assert not hasattr(torch_archive._rebuild_tensor, "mark")


# ------------------------------------------------------------------------------------------------ malicious files


def refused(path, says="."):
    """The one line of what is refused."""
    with pytest.raises(ValueError, match=says) as caught:
        torch_archive.load(path)
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)
    return str(caught.value)


def attacks(marker):
    import builtins
    import copyreg
    import os

    return {
        "system": (Call(os.system, f"touch {marker}"), rf"{os.system.__module__}\.system"),
        "eval": (Call(eval, f"open({str(marker)!r}, 'w')"), r"__builtin__\.eval"),
        "exec": (Call(exec, f"open({str(marker)!r}, 'w')"), r"__builtin__\.exec"),
        "getattr": (Call(getattr, {}, "clear"), r"__builtin__\.getattr"),
        "open": (Call(builtins.open, str(marker), "w"), r"io\.open"),
        "copyreg": (Call(copyreg._reconstructor, OrderedDict, object, None), r"copy_reg\._reconstructor"),
        "numpy": (np.float64(1), r"numpy.*scalar"),
        "a class": (Fraction(1, 2), r"fractions\.Fraction"),
    }


@pytest.mark.parametrize("where", ["value", "key", "persistent id", "config"])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("attack", attacks(""))
def test_code_is_refused_and_not_executed(path, tmp_path, attack, form, where):
    marker = tmp_path / "marker"
    payload, named = attacks(marker)[attack]
    storage = Storage([1.0])
    if where == "persistent id":
        storage.count = payload
        value = Tensor(storage=storage, size=(1,), stride=(1,))
    else:
        value = {"key": {(1, payload): 1}, "config": {"config": Settings(alpha=payload)}}.get(where, [payload])
    line = refused(save(path, value, form), named)
    assert "refused" in line and not marker.exists()


@pytest.mark.parametrize("place", range(4), ids=["magic", "protocol", "system", "keys"])
def test_every_pickle_of_the_stream_is_guarded(path, tmp_path, place):
    payload = pickle.dumps(Call(eval, f"open({str(tmp_path / 'marker')!r}, 'w')"), 2)
    data, storages = dumped([Tensor(np.ones(3))], more=(None,))
    heads = [pickle.dumps(head, 2) for head in (torch_archive.MAGIC, 1001, {})]
    if place == 3:
        path.write_bytes(b"".join(heads) + data + payload)
    else:
        heads[place] = payload
        write_stream(path, data, storages, heads=heads)
        path.write_bytes(path.read_bytes() if place else pickle.dumps(torch_archive.MAGIC, 2)[:2] + heads[0][2:] + heads[0])
    with pytest.raises(ValueError):
        importing.read(path)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize(
    "program, says",
    [
        (b"(S'true'\nios\nsystem\n.", "operation (STRING|INST)"),
        (b"(cos\nsystem\nX\x04\x00\x00\x00trueo.", "operation OBJ"),
        (b"\x82\x01.", "operation EXT1"),
        (b"\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.", r"collections\.OrderedDict\.fromkeys"),
        (b"\x8c\x0bcollections\x8c\x07__doc__\x93.", r"collections\.__doc__"),
        (b"c__builtin__\neval\n.", r"__builtin__\.eval"),
        (b"ctorch\nload\n.", r"torch\.load"),
        (b"cmodels.utils.config\nupdateConfig\n.", r"models\.utils\.config\.updateConfig"),
        (b"ctorch\\n\nload\n.", "torch"),
        (b"\x96\x00\x00\x00\x00\x00\x00\x00\x7f.", "BYTEARRAY8|expected|bytes"),
        (b"K\x01r\xff\xff\xff\x7f.", "too large for a file of weights"),
        (b"K\x01Pabc\n.", "operation (PERSID)"),
        (b"K\x01Q.", "persistent object"),
        (b"\x8c\x06moduleK\x01\x86Q.", "persistent object"),
        (b"\x95\xff\xff\xff\xff\xff\xff\xff\x7fK\x01.", "."),
        (b"X\xff\xff\xff\x7fabc.", "."),
        (b"h\x05.", "."),
        (b".", "."),
        (b"K\x01", "."),
        (b"", "."),
        (b"ccollections\nOrderedDict\nK\x01\x85R.", "not made of a list"),
        (b"ctorch\nSize\nX\x01\x00\x00\x00a\x85R.", "not made of a tuple"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n)R.", "."),
        (b"ctorch\nFloatStorage\n)R.", "."),
    ],
)
def test_odd_programs(path, program, says):
    refused(write_archive(path, b"\x80\x02" + program, {}), says)


OUTSIDE = [
    dict(offset=7, size=(4,), stride=(1,)),
    dict(offset=0, size=(2, 5), stride=(6, 1)),
    dict(offset=0, size=(11,), stride=(0,)),  # more elements than there are, though all in place
    dict(offset=0, size=(10**9, 10**9), stride=(0, 0)),
    dict(offset=-1, size=(2,), stride=(1,)),
    dict(offset=3, size=(2,), stride=(-1,)),
    dict(offset=0, size=(-2,), stride=(1,)),
    dict(offset=0, size=(-2, -2), stride=(1, 1)),
    dict(offset=0, size=(2,), stride=(2**63,)),
    dict(offset=2**70, size=(1,), stride=(1,)),
    dict(offset=0, size=(1,) * 17, stride=(1,) * 17),
    dict(offset=0, size=(2, 2), stride=(1,)),
    dict(offset=True, size=(2,), stride=(1,)),
    dict(offset=0.0, size=(2,), stride=(1,)),
    dict(offset=0, size=("2",), stride=(1,)),
    dict(offset=0, size=[2], stride=(1,)),
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("view", OUTSIDE, ids=str)
def test_tensors_outside_their_storage(path, form, view):
    refused(save(path, [Tensor(storage=Storage(np.zeros(10)), **view)], form), "tensor")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("count", [11, 10**6, 10**15, 2**80, -1, 9, "ten", 10.0])
def test_storages_of_another_size_than_they_say(path, form, count):
    storage = Storage(np.zeros(10), count=count)
    refused(save(path, [Tensor(storage=storage, size=(2,), stride=(1,))], form), "storage")


def test_other_damage_of_storages(path):
    first, second = Tensor(np.ones(4)), Tensor(np.ones(6))
    data, storages = dumped([first, second])
    refused(write_archive(path, data, storages, leave_out=["1"]), "has no 'data/1'")
    refused(write_archive(path, data, storages, compression=zipfile.ZIP_DEFLATED), "is compressed")
    data, storages = dumped([first, second], more=(None,))
    refused(write_stream(path, data, storages, counts={"1": 5}), "has 5 elements of 6")
    refused(write_stream(path, data, {"0": storages["0"]}), "list of storages")
    refused(write_stream(path, data, {**storages, "2": storages["0"]}), "list of storages")
    refused(write_stream(path, *dumped([first], more=(("1", 0, 2),))), "views of others")
    refused(write_stream(path, data, storages, heads=(torch_archive.MAGIC, 1000, {})), "protocol 1000 is not 1001")
    path.write_bytes(b"")
    refused(path)
    refused(path.with_name("missing"), "no such file or directory")


def test_many_storages_are_no_larger_than_the_file(path):
    """A name each for one piece of the archive would multiply it."""
    tensors = [Tensor(storage=Storage(np.zeros(1), count=1000), size=(1000,), stride=(1,)) for _ in range(50)]
    refused(save(path, tensors), "larger than the file")


@pytest.mark.parametrize("form", FORMATS)
def test_truncated_files(path, rng, form):
    whole = save(path, {"a": Tensor(rng.normal(size=(8, 8))), "b": Tensor(np.ones(3))}, form).read_bytes()
    for length in (*range(0, len(whole), 37), len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)


@pytest.mark.parametrize("form", FORMATS)
def test_damaged_files(path, rng, form):
    """Whatever changes, it is read or refused with a ValueError; nothing else comes out."""
    whole = save(path, {"a": Tensor(rng.normal(size=(2, 3))), "b": Settings(x=1)}, form).read_bytes()
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[rng.integers(len(whole))] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            torch_archive.load(path)
        except ValueError as error:
            assert len(str(error).splitlines()) == 1


# ---------------------------------------------------------------------------------- the networks, computed again


def lrelu(x):
    return np.where(x > 0, x, 0.2 * x)


def normalized(x):
    """Over axis 1, of `[n, c]` or `[n, c, h, w]`."""
    return x / np.sqrt((x**2).mean(axis=1, keepdims=True) + 1e-8)


def doubled(x):
    return x.repeat(2, axis=2).repeat(2, axis=3)


def convolved(x, weight):
    """Correlation of `[n, c, h, w]` with `[out, in, k, k]`, zeros around."""
    side = weight.shape[-1]
    padded = np.pad(x, [(0, 0), (0, 0), (side // 2,) * 2, (side // 2,) * 2])
    y = np.zeros((len(x), len(weight), *x.shape[2:]))
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i, j] = np.einsum("nchw,ochw->no", padded[:, :, i : i + side, j : j + side], weight)
    return y


def zoo_state(rng, widths=(6, 6, 4), channels=3, latent=5, named="{}.{}"):
    """A GAN zoo generator's state: random weights, and biases that are not zero."""
    shapes = {"formatLayer": (16 * widths[0], latent), "groupScale0.0": (widths[0], widths[0], 3, 3)}
    for k, (below, width) in enumerate(zip(widths, widths[1:])):
        shapes |= {f"scaleLayers.{k}.0": (width, below, 3, 3), f"scaleLayers.{k}.1": (width, width, 3, 3)}
    shapes |= {f"toRGBLayers.{k}": (channels, width, 1, 1) for k, width in enumerate(widths)}
    state = OrderedDict()
    for name, shape in shapes.items():
        state[named.format(name, "weight")] = rng.normal(size=shape).astype(np.float32)
        state[named.format(name, "bias")] = rng.normal(size=shape[:1]).astype(np.float32)
    return state


def zoo_image(state, z, equalized=True):
    """`[n, h, w, c]`: every layer is (W x + b) sqrt(2 / fan_in), pixel norm after each leaky ReLU."""
    state = {name.replace("module.", ""): np.float64(value) for name, value in state.items()}

    def scaled(name, y):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        y = y + bias.reshape(1, -1, *[1] * (y.ndim - 2))
        return y * np.sqrt(2 / weight[0].size) if equalized else y

    def conv(name, x):
        return normalized(lrelu(scaled(name, convolved(x, state[f"{name}.weight"]))))

    x = lrelu(scaled("formatLayer", normalized(np.float64(z)) @ state["formatLayer.weight"].T))
    x = conv("groupScale0.0", normalized(x.reshape(len(z), -1, 4, 4)))
    last = sum(name.endswith(".0.weight") and name.startswith("scale") for name in state)
    for k in range(last):
        x = conv(f"scaleLayers.{k}.1", conv(f"scaleLayers.{k}.0", doubled(x)))
    return scaled(f"toRGBLayers.{last}", convolved(x, state[f"toRGBLayers.{last}.weight"])).transpose(0, 2, 3, 1)


def zoo_checkpoint(state, network="avgG", **settings):
    settings = {"lossCriterion": "WGANGP", "leakyReluLeak": 0.2, "alpha": 0.0, **settings}
    tensors = OrderedDict((name, Tensor(value)) for name, value in state.items())
    other = OrderedDict((name, Tensor(0 * value)) for name, value in state.items())
    others = {"netG": other, "netD": OrderedDict(w=Tensor(np.ones(3)))} if network == "avgG" else {}
    return {"config": Settings(**settings), **others, network: tensors}


def original_variables(rng, widths=(6, 6, 4), channels=3, latent=5, fused=True):
    """Variables of the original's generator, all of them: also those of the smaller resolutions' toRGB."""
    w = widths[0]
    found = {"4x4/Dense/weight": (latent, 16 * w), "4x4/Dense/bias": (w,), "lod": ()}
    found |= {"4x4/Conv/weight": (3, 3, w, w), "4x4/Conv/bias": (w,)}
    for k, (below, width) in enumerate(zip(widths, widths[1:])):
        scope = f"{8 * 2**k}x{8 * 2**k}"
        up = {"Conv0_up": (3, 3, width, below)} if fused else {"Conv0": (3, 3, below, width)}
        for name, shape in {**up, "Conv1": (3, 3, width, width)}.items():
            found |= {f"{scope}/{name}/weight": shape, f"{scope}/{name}/bias": (width,)}
    for lod, width in enumerate(reversed(widths)):
        found |= {f"ToRGB_lod{lod}/weight": (1, 1, width, channels), f"ToRGB_lod{lod}/bias": (channels,)}
    return {name: rng.normal(size=shape).astype(np.float32) * (name != "lod") for name, shape in found.items()}


def upscaled_and_convolved(x, weight):
    """The original's fused layer: the kernel `[k, k, out, in]` spread over 4x4, a transposed convolution of stride 2."""
    padded = np.pad(weight, [(1, 1), (1, 1), (0, 0), (0, 0)])
    spread = padded[1:, 1:] + padded[:-1, 1:] + padded[1:, :-1] + padded[:-1, :-1]
    n, _, h, w = x.shape
    canvas = np.zeros((n, weight.shape[2], 2 * h + 2, 2 * w + 2))
    for i in range(h):
        for j in range(w):
            canvas[:, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("nc,hwoc->nohw", x[:, :, i, j], spread)
    return canvas[:, :, 1:-1, 1:-1]


def original_image(variables, z):
    """`[n, h, w, c]`: every layer is gain / sqrt(fan_in) W x + b, with the original's gains."""
    variables = {name: np.float64(value) for name, value in variables.items()}

    def conv(name, x, gain=2**0.5):
        weight = variables[f"{name}/weight"]
        if name.endswith("_up"):
            y = upscaled_and_convolved(x, weight * gain / np.sqrt(9 * x.shape[1]))
        else:
            y = convolved(x, weight.transpose(3, 2, 0, 1) * gain / np.sqrt(weight[..., 0].size))
        return y + variables[f"{name}/bias"].reshape(1, -1, 1, 1)

    dense = variables["4x4/Dense/weight"]
    x = (normalized(np.float64(z)) @ (dense * np.sqrt(2) / 4 / np.sqrt(len(dense)))).reshape(len(z), -1, 4, 4)
    x = normalized(lrelu(x + variables["4x4/Dense/bias"].reshape(1, -1, 1, 1)))
    x = normalized(lrelu(conv("4x4/Conv", x)))
    res = 8
    while f"{res}x{res}/Conv1/weight" in variables:
        fused = f"{res}x{res}/Conv0_up/weight" in variables
        x = conv(f"{res}x{res}/Conv0_up", x) if fused else conv(f"{res}x{res}/Conv0", doubled(x))
        x = normalized(lrelu(conv(f"{res}x{res}/Conv1", normalized(lrelu(x)))))
        res *= 2
    return conv("ToRGB_lod0", x, gain=1).transpose(0, 2, 3, 1)


def assert_draws(imported, expected, z):
    found = importing.build(imported)(z).numpy()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)
    assert np.std(expected) > 0.1


def latents(rng, size=5, count=3):
    return rng.normal(size=(count, size)).astype(np.float32)


# ------------------------------------------------------------------------------------------------------- GAN zoo


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("named", ["{}.{}", "{}.module.{}", "module.{}.module.{}"], ids=["bare", "module", "parallel"])
def test_the_zoo_s_generator(path, rng, form, named):
    state, z = zoo_state(rng, named=named), latents(rng)
    imported = importing.read(save(path, zoo_checkpoint(state), form))
    shape = dict(resolution=16, channels=3, latent_size=5, fmap_base=32, fmap_max=6, fade=False)
    assert imported.config == shape and not imported.tanh
    assert imported.source == {"format": "pytorch_GAN_zoo", "network": "avgG", "scale": 2}
    assert_draws(imported, zoo_image(state, z), z)


@pytest.mark.parametrize(
    "widths, channels, latent", [((3,), 3, 2), ((4, 4), 1, 7), ((8, 4), 3, 4), ((5, 5, 5), 1, 3), ((7, 6, 3), 3, 4)]
)
def test_the_zoo_s_sizes(path, rng, widths, channels, latent):
    state, z = zoo_state(rng, widths, channels, latent), latents(rng, latent)
    imported = importing.read(save(path, zoo_checkpoint(state)))
    assert imported.config["resolution"] == 2 ** (1 + len(widths)) and imported.config["channels"] == channels
    assert_draws(imported, zoo_image(state, z), z)


@pytest.mark.parametrize("loss, tanh", [("WGANGP", False), ("Logistic", False), ("MSE", True), ("DCGAN", True)])
def test_the_zoo_s_last_activation(path, rng, loss, tanh):
    state, z = zoo_state(rng, (4, 4)), latents(rng)
    imported = importing.read(save(path, zoo_checkpoint(state, lossCriterion=loss)))
    expected = zoo_image(state, z)
    assert_draws(imported, np.tanh(expected) if tanh else expected, z)


def test_the_zoo_without_the_equalized_learning_rate(path, rng):
    state, z = zoo_state(rng, (4, 4)), latents(rng)
    imported = importing.read(save(path, zoo_checkpoint(state, equalizedlR=False)))
    assert_draws(imported, zoo_image(state, z, equalized=False), z)


def test_the_last_iterate_where_there_is_no_average(path, rng):
    state, z = zoo_state(rng, (4, 4)), latents(rng)
    imported = importing.read(save(path, zoo_checkpoint(state, "netG")))
    assert imported.source["network"] == "netG" and "no avgG" in imported.source["note"]
    assert_draws(imported, zoo_image(state, z), z)


def test_half_precision(path, rng):
    state, z = zoo_state(rng, (4, 4)), latents(rng)
    checkpoint = zoo_checkpoint(state)
    checkpoint["avgG"] = OrderedDict((name, Tensor(value, "HalfStorage")) for name, value in state.items())
    expected = zoo_image({name: value.astype(np.float16) for name, value in state.items()}, z)
    assert_draws(importing.read(save(path, checkpoint)), expected, z)


def test_the_full_size():
    """The widths that the zoo's 128 px checkpoints and the original's 1024 px network have."""
    from gekeras.importing.weights import config_of

    found = config_of([512, 512, 512, 512, 256, 128], 3, 512)
    assert (found["resolution"], found["fmap_base"], found["fmap_max"]) == (128, 8192, 512)
    found = config_of([512, 512, 512, 512, 256, 128, 64, 32, 16], 3, 512)
    assert (found["resolution"], found["fmap_base"], found["fmap_max"]) == (1024, 8192, 512)


def changed(state, **changes):
    """The state with entries replaced, or taken out where the new value is None; `__` stands for a dot."""
    found = OrderedDict(state)
    for name, value in changes.items():
        found[name.replace("__", ".")] = value
    return OrderedDict((name, value) for name, value in found.items() if value is not None)


@pytest.mark.parametrize(
    "changes, says",
    [
        (dict(formatLayer__weight=None), "lacks formatLayer.weight"),
        (dict(formatLayer__bias=None), "lacks formatLayer.bias"),
        (dict(toRGBLayers__1__weight=None), "lacks toRGBLayers.1.weight"),
        (dict(scaleLayers__0__1__weight=None), "lacks scaleLayers.0.1.weight"),
        (dict(groupScale0__0__weight=None), "lacks groupScale0.0.weight"),
        (dict(formatLayer__weight=np.ones((60, 5))), r"formatLayer.weight has shape \(60, 5\), not \(64, 5\)"),
        (dict(formatLayer__weight=np.ones(64)), "formatLayer.weight has shape .*not 2 dimensions"),
        (dict(scaleLayers__0__0__weight=np.ones((4, 3, 3, 3))), "scaleLayers.0.0.weight has shape"),
        (dict(scaleLayers__0__0__weight=np.ones((5, 4, 3, 3))), "blocks have 4, 5 channels"),
        (dict(groupScale0__0__weight=np.ones((0, 4, 3, 3))), "groupScale0.0.weight has shape"),
        (dict(toRGBLayers__1__weight=np.ones((2, 4, 1, 1))), "images have 2 channels, not 1 or 3"),
        (dict(toRGBLayers__1__bias=np.array([1, np.nan, 1])), "toRGBLayers.1.bias .*finite"),
        (dict(styleLayers__0__weight=np.ones(3)), "'styleLayers.0.weight', which the zoo's"),
        (dict(scaleLayers__2__0__weight=np.ones((4, 4, 3, 3))), r"scales are \[0, 2\]"),
    ],
)
def test_other_networks_of_the_zoo_are_refused(path, rng, changes, says):
    state = changed(zoo_state(rng, (4, 4)), **changes)
    with pytest.raises(ValueError, match=says) as caught:
        importing.read(save(path, zoo_checkpoint(state)))
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "settings, says",
    [
        (dict(leakyReluLeak=0.1), "leakyReluLeak is 0.1; only 0.2"),
        (dict(perChannelNormalization=False), "perChannelNormalization is False"),
        (dict(categoryVectorDim=4), "categoryVectorDim is 4; only 0"),
        (dict(lossCriterion="Other"), "lossCriterion is 'Other'; known are WGANGP"),
        (dict(lossCriterion=[1]), "lossCriterion is list"),
    ],
)
def test_settings_that_ours_has_not(path, rng, settings, says):
    with pytest.raises(ValueError, match=says):
        importing.read(save(path, zoo_checkpoint(zoo_state(rng, (4, 4)), **settings)))


def test_files_that_are_something_else(path, tmp_path, rng, gan_run):
    for value in ({"state_dict": {}}, [1, 2], OrderedDict(avgG=3), Settings(a=1)):
        with pytest.raises(ValueError, match="neither avgG nor netG"):
            importing.read(save(path, value))
    layers = OrderedDict({"formatLayer.weight": [[1, 2], [3, 4]], (1, 2): 3})
    with pytest.raises(ValueError, match=r"'formatLayer\.weight', which"):
        importing.read(save(path, {"avgG": layers}))
    for content in (b"", b"hello", pickle.dumps({"G": 1}), b"PK\x03\x04 and no more"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"neither a PyTorch checkpoint|truncated or damaged"):
            importing.read(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("picture.png", b"1")
    with pytest.raises(ValueError, match="neither a PyTorch checkpoint nor"):
        importing.read(path)
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("model.weights.h5", b"1")
    for _ in range(2):  # both of Keras' formats
        with pytest.raises(ValueError, match="is a Keras file, which needs no import: solve with it by --generator"):
            importing.read(path)
        path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(ValueError, match="no such file or directory"):
        importing.read(tmp_path / "missing.pth")
    with pytest.raises(ValueError, match="is a directory"):
        importing.read(tmp_path)
    with pytest.raises(ValueError, match="it lacks 4x4/Dense/weight"):
        importing.read(next(gan_run.glob("checkpoint-*.npz")))


# -------------------------------------------------------------------------------------------------- the original


def dump(path, variables, prefix="", suffix=""):
    with path.open("wb") as file:
        np.savez(file, **{f"{prefix}{name}{suffix}": value for name, value in variables.items()})
    return path


def test_the_fused_layer_as_computed_here_is_tensorflow_s(rng):
    x, weight = rng.normal(size=(2, 3, 4, 4)), rng.normal(size=(3, 3, 5, 3))
    padded = tf.pad(weight, [(1, 1), (1, 1), (0, 0), (0, 0)])
    spread = tf.add_n([padded[1:, 1:], padded[:-1, 1:], padded[1:, :-1], padded[:-1, :-1]])
    expected = tf.nn.conv2d_transpose(x.transpose(0, 2, 3, 1), spread, (2, 8, 8, 5), strides=2, padding="SAME")
    np.testing.assert_allclose(upscaled_and_convolved(x, weight), expected.numpy().transpose(0, 3, 1, 2), atol=1e-9)


@pytest.mark.parametrize("fused", [True, False], ids=["fused", "separate"])
@pytest.mark.parametrize("prefix, suffix", [("", ""), ("Gs/", ":0"), ("scope/Gs/", "")])
def test_the_original_s_generator(path, rng, fused, prefix, suffix):
    variables, z = original_variables(rng, fused=fused), latents(rng)
    imported = importing.read(dump(path, variables, prefix, suffix))
    assert imported.source == {"format": "progressive_growing_of_gans", "scale": 2}
    assert_draws(imported, original_image(variables, z), z)


@pytest.mark.parametrize("widths, channels, latent", [((3,), 3, 2), ((4, 4), 1, 7), ((8, 4), 3, 4)])
def test_the_original_s_sizes(path, rng, widths, channels, latent):
    variables, z = original_variables(rng, widths, channels, latent), latents(rng, latent)
    assert_draws(importing.read(dump(path, variables)), original_image(variables, z), z)


def test_one_generator_of_several(path, rng):
    g, averaged, z = original_variables(rng), original_variables(rng), latents(rng)
    named = {**{f"G/{k}": v for k, v in g.items()}, **{f"D/{k}": v for k, v in g.items() if "Conv1" in k}}
    both = dump(path, {**named, **{f"Gs/{k}": v for k, v in averaged.items()}})
    assert_draws(importing.read(both), original_image(averaged, z), z)
    assert_draws(importing.read(dump(path, named)), original_image(g, z), z)
    with pytest.raises(ValueError, match="2 generators, G/, H/; keep one"):
        importing.read(dump(path, {**named, **{f"H/{k}": v for k, v in g.items()}}))


def test_a_network_that_was_still_growing(path, rng):
    variables = {**original_variables(rng), "lod": np.float32(0.25)}
    assert "lod 0.25" in importing.read(dump(path, variables)).source["note"]


@pytest.mark.parametrize(
    "name, value, says",
    [
        ("4x4/Dense/weight", None, "lacks 4x4/Dense/weight"),
        ("4x4/Dense/bias", None, "lacks 4x4/Dense/bias"),
        ("ToRGB_lod0/weight", None, "lacks ToRGB_lod0/weight"),
        ("8x8/Conv0_up/weight", None, "lacks 8x8/Conv0_up/weight"),
        ("8x8/Conv1/weight", None, "at 4, 16 pixels, not at each"),
        ("8x8/Conv1/weight", np.ones((3, 3, 6, 5)), "blocks have 6, 5, 4 channels"),
        ("8x8/Conv0_up/weight", np.ones((3, 3, 6, 4)), "8x8/Conv0_up/weight has shape"),
        ("4x4/Conv/weight", np.ones((6, 6)), "not 4 dimensions"),
        ("4x4/Conv/bias", np.full(6, np.inf), "finite"),
        ("4x4/Conv/bias", np.arange(6), "finite floating point"),
        ("4x4/Conv/bias", np.array([{}] * 6), "[Oo]bject arrays"),
    ],
)
def test_other_variables_are_refused(path, rng, name, value, says):
    variables = {**original_variables(rng), name: value}
    with pytest.raises(ValueError, match=says) as caught:
        importing.read(dump(path, {k: v for k, v in variables.items() if v is not None}))
    assert str(path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_damaged_dump(path, rng):
    whole = dump(path, original_variables(rng)).read_bytes()
    for length in range(5, len(whole), len(whole) // 20):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError):
            importing.read(path)
    path.write_bytes(whole[:600] + bytes([whole[600] ^ 255]) + whole[601:])
    with pytest.raises(ValueError, match="cannot be read as the original's variables"):
        importing.read(path)


# ---------------------------------------------------------------------------------------------------- the preset


@pytest.fixture
def checkpoint(path, rng):
    return save(path, zoo_checkpoint(zoo_state(rng, (4, 4, 4))))


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("kind", ["zoo", "tanh", "original"])
def test_the_preset_draws_what_the_network_does(path, tmp_path, rng, kind):
    loss = "MSE" if kind == "tanh" else "WGANGP"
    source = dump(path, original_variables(rng))
    if kind != "original":
        source = save(path, zoo_checkpoint(zoo_state(rng), lossCriterion=loss))
    info = importing.import_generator(source, tmp_path / "made" / "mine", {"description": "small", "terms": "none"})
    preset = presets.load(str(tmp_path / "made" / "mine"))
    live = importing.build(importing.read(source))
    for count in (1, 4):
        z = latents(rng, count=count)
        found = preset.part("generator")(z)
        np.testing.assert_allclose(found, live(z), atol=1e-5)
    signature = preset.part("generator").signatures["serving_default"]
    np.testing.assert_allclose(signature(latent=tf.constant(z))["image"], found, atol=1e-6)
    assert preset.verify() == [] and preset.info == info and presets.available(tmp_path / "made")["mine"]
    assert (preset.resolution, preset.channels, preset.latent_size, preset.tasks) == (16, 3, 5, {})
    assert (info["description"], info["terms"], info["range"]) == ("small", "none", [-1, 1])
    assert info["source"]["file"] == path.name and info["source"]["sha256"] == presets.checksum(path)
    assert info["source"]["scale"] == 2 and info["generator"]["parameters"] == live.count_params()
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["mine"]  # nothing is left beside it
    assert {p.name for p in (tmp_path / "made/mine").iterdir()} == {"generator", "samples.png", "preset.json"}


def test_a_generator_is_replaced_by_force_alone(tmp_path, tiny, checkpoint):
    preset = shutil.copytree(tiny.folder, tmp_path / "models" / "tiny")
    info = json.loads((preset / "preset.json").read_text())
    scores = {"superres": {"methods": {}}}
    (preset / "preset.json").write_text(json.dumps({**info, "scores": scores, "description": "faces"}))
    before = contents(preset)
    with pytest.raises(ValueError, match="has a generator already; --force replaces it"):
        importing.import_generator(checkpoint, preset)
    assert contents(preset) == before
    after = importing.import_generator(checkpoint, preset, force=True)
    assert "scores" not in after and after["description"] == "faces" and after["tasks"] == info["tasks"]
    assert after["latent_size"] == 5 and not (preset / "training").exists()
    loaded = presets.load(str(preset))
    assert loaded.verify() == [] and loaded.has("encoder-superres") and loaded.has("decoder-reconstruct")
    assert contents(preset / "encoder-superres") == contents(tiny.folder / "encoder-superres")
    assert [p.name for p in preset.parent.iterdir()] == ["tiny"]


def test_a_folder_that_is_in_the_way(tmp_path, tiny, path, rng):
    small = save(path, zoo_checkpoint(zoo_state(rng, (4, 4))))
    preset = shutil.copytree(tiny.folder, tmp_path / "models" / "tiny")
    before = contents(preset)
    with pytest.raises(ValueError, match="has encoders of another resolution; import into a new folder"):
        importing.import_generator(small, preset, force=True)
    assert contents(preset) == before
    with pytest.raises(ValueError, match="is not a folder"):
        importing.import_generator(small, path)
    with pytest.raises(ValueError, match=r"models holds presets \(tiny, \.\.\.\): name one in it"):
        importing.import_generator(small, preset.parent)
    with pytest.raises(ValueError, match="about says tasks, which the parts themselves say"):
        importing.import_generator(small, tmp_path / "new", {"tasks": {}})
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "README.md").write_text("a card")
    importing.import_generator(small, notes)
    assert (notes / "README.md").read_text() == "a card" and presets.load(str(notes)).resolution == 8


def test_a_failure_leaves_everything_as_it_was(tmp_path, tiny, checkpoint, monkeypatch):
    preset = shutil.copytree(tiny.folder, tmp_path / "models" / "tiny")
    before = contents(preset)

    def fail(_network, folder):
        (folder / "generator").mkdir()
        raise ValueError("no space left")

    monkeypatch.setattr(importing.importer.export, "save_generator", fail)
    for folder in (preset, tmp_path / "models" / "new"):
        with pytest.raises(ValueError, match="no space left"):
            importing.import_generator(checkpoint, folder, force=True)
    assert contents(preset) == before and [p.name for p in preset.parent.iterdir()] == ["tiny"]


# ---------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def run():
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click before 8.2

    def invoke(*arguments):
        return CliRunner(**apart).invoke(cli, [str(a) for a in arguments], prog_name="gekeras")

    return invoke


def test_the_command(run, checkpoint, tmp_path):
    (tmp_path / "about.json").write_text('{"description": "from elsewhere", "terms": "none"}')
    result = run("import", checkpoint, tmp_path / "mine", "--about", tmp_path / "about.json")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{tmp_path / 'mine' / 'generator'}: 16x16x3, 1,139 parameters\n"
    assert presets.load(str(tmp_path / "mine")).info["description"] == "from elsewhere"
    again = run("import", checkpoint, tmp_path / "mine")
    assert again.exit_code == 2 and "--force" in again.stderr
    assert run("import", checkpoint, tmp_path / "mine", "--force").exit_code == 0
    listed = run("presets", "--models", tmp_path)
    assert listed.exit_code == 0 and "mine: 16x16x3, from elsewhere" in listed.stdout


def test_the_command_says_what_it_had_to_take(run, path, rng, tmp_path):
    result = run("import", save(path, zoo_checkpoint(zoo_state(rng, (4, 4)), "netG")), tmp_path / "mine")
    assert result.exit_code == 0 and "netG, the last iterate" in result.stdout and result.stdout.count("\n") == 1


@pytest.mark.parametrize(
    "content, says",
    [
        (None, "no such file or directory"),
        (b"hello", "neither a PyTorch checkpoint nor"),
        (b"PK\x03\x04", "truncated or damaged archive"),
        (pickle.dumps(torch_archive.MAGIC, 2), "cannot be read as a PyTorch checkpoint"),
        (pickle.dumps(torch_archive.MAGIC, 2) + pickle.dumps(Call(eval, "1"), 2), "__builtin__.eval"),
    ],
)
def test_the_command_refuses(run, path, tmp_path, content, says):
    if content is not None:
        path.write_bytes(content)
    result = run("import", path, tmp_path / "mine")
    assert result.exit_code == 2 and result.stdout == ""
    assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("gekeras: ") and says in result.stderr
    assert not (tmp_path / "mine").exists()


def test_the_command_refuses_a_description_that_is_none(run, checkpoint, tmp_path):
    for text, says in (("[1]", "is not a JSON object"), ("{", "Expecting")):
        (tmp_path / "about.json").write_text(text)
        result = run("import", checkpoint, tmp_path / "mine", "--about", tmp_path / "about.json")
        assert result.exit_code == 2 and says in result.stderr and len(result.stderr.splitlines()) == 1


def test_the_help(run):
    result = run("import", "--help")
    assert result.exit_code == 0 and result.stdout.startswith("Usage: gekeras import")
    assert "gekeras import celeba" in result.stdout and "--force" in result.stdout and "--about" in result.stdout


@pytest.mark.slow
def test_encoders_for_an_imported_generator(run, checkpoint, pictures, tmp_path):
    """import, train autoencoder, export, solve: no GAN run anywhere."""
    preset, folder = tmp_path / "models" / "mine", tmp_path / "superres"
    assert run("import", checkpoint, preset).exit_code == 0
    generator = contents(preset / "generator")
    settings = ["--width", 2, "--code-size", 8, "--images", 16, "--batch", 8, "--pool", 8, "--validation", 4, "--quiet"]
    given = ["--task", "superres", "--generator", preset, "--run", folder, *settings]
    result = run("train", "autoencoder", pictures, *given)
    assert result.exit_code == 0, result.stderr
    result = run("export", preset, "--autoencoder", folder)
    assert result.exit_code == 0, result.stderr
    assert contents(preset / "generator") == generator and presets.load(str(preset)).verify() == []
    picture = next(pictures.glob("*.png"))
    quick = ["--steps", 2, "--starts", 2, "--simulate", "-o", tmp_path / "restored.png"]
    result = run("solve", "--task", "superres", picture, "--models", preset.parent, "--preset", "mine", *quick)
    assert result.exit_code == 0, result.stderr
    assert presets.load(str(preset)).resolution == SIDE
