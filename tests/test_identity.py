"""Identity: faces brought to where recognizers look, cosines, ONNX files with weights among their inputs, refusals."""

import json
import sys
import types

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from gekeras import evaluation
from gekeras.cli import cli
from gekeras.evaluation import scoring, tables
from gekeras.evaluation.measures import Measures, Meters
from gekeras.files import FileError
from gekeras.perceptual import Identity, identity, onnx

RNG = np.random.default_rng(0)
FACES = RNG.uniform(-1, 1, (3, 16, 16, 3)).astype(np.float32)


# -------------------------------------------------------------------------------------------------------- alignment


@pytest.mark.parametrize("side", [64, 128, 256])
def test_eyes_come_where_recognizers_look(side):
    """A bright spot at each eye of CelebA's crop has its center of mass at SFace's eyes, to a fifth of a pixel."""
    grid = (np.arange(side) + 0.5) / side
    for (x, y), seen in zip(identity.EYES, identity.EYES_SEEN):
        spot = np.exp(-((grid[:, None] - y) ** 2 + (grid - x) ** 2) / (2 * 0.03**2))
        face = identity.aligned(spot[None, :, :, None].astype(np.float32))[0]
        assert face.shape == (112, 112, 3)
        rows, columns = np.mgrid[:112, :112] + 0.5
        found = [(face[..., 0] * where).sum() / face[..., 0].sum() for where in (columns, rows)]
        np.testing.assert_allclose(found, seen, atol=0.2)


def test_alignment_is_a_shift_and_a_scale():
    """A slope stays a slope, upright, and what lies beyond the crop has the color of its rim."""
    slope = np.linspace(-1, 1, 64, dtype=np.float32)
    face = identity.aligned(np.broadcast_to(slope[None, :, None, None], (1, 64, 64, 3)))[0, :, :, 0]
    np.testing.assert_allclose(face, face[:, :1].repeat(112, 1), atol=1e-6)
    step = 2 / 63 * 64 / identity.similarity()[0]
    np.testing.assert_allclose(np.diff(face[10:100, 0]), step, rtol=1e-3)
    assert face[0, 0] == -1


# -------------------------------------------------------------------------------------------------------- embeddings


def recognizer(embed=lambda x: x.reshape(len(x), -1)):
    return identity.Recognizer("a.onnx", "0" * 64, embed)


def test_cosines():
    found = Identity(recognizer())
    np.testing.assert_allclose(found(FACES, FACES), 1)
    np.testing.assert_allclose(found(FACES, -FACES), -1)
    a, b = (identity.aligned(x).reshape(3, -1).astype(np.float64) for x in (FACES, FACES[::-1]))
    expected = (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1))
    np.testing.assert_allclose(found(FACES, FACES[::-1]), expected, rtol=1e-5)
    np.testing.assert_array_equal(found(0 * FACES, FACES), 0)  # nothing is nobody
    gray = FACES[..., :1]
    np.testing.assert_allclose(found(gray, FACES), found(gray.repeat(3, -1), FACES))
    for shape in ((3, 16, 12, 3), (3, 16, 16, 2), (16, 16, 3)):
        with pytest.raises(ValueError, match="faces"):
            found(np.zeros(shape), np.zeros(shape))
    with pytest.raises(ValueError, match="NaN"):
        Identity(recognizer(lambda x: np.full((len(x), 2), np.nan)))(FACES, FACES)


class Network(tf.Module):
    def __init__(self, side, rank=2):
        super().__init__()
        spec = tf.TensorSpec((None, side, side, 3), tf.float32)
        self.__class__ = type("Network", (Network,), {"__call__": tf.function(self.function(rank), input_signature=[spec])})

    @staticmethod
    def function(rank):
        return lambda self, x: tf.reduce_mean(x, axis=(1, 2) if rank == 2 else 1)


def test_a_saved_model(tmp_path):
    for name, network in {"good": Network(112), "small": Network(8), "flat": Network(112, rank=3)}.items():
        tf.saved_model.save(network, str(tmp_path / name))
    found = Identity.from_file(tmp_path / "good")(FACES, FACES[::-1])
    a, b = (identity.aligned(x).mean((1, 2)).astype(np.float64) for x in (FACES, FACES[::-1]))
    np.testing.assert_allclose(found, (a * b).sum(1) / np.sqrt((a**2).sum(1) * (b**2).sum(1)), rtol=1e-4)
    with pytest.raises(ValueError, match=r"small does not take faces \[n, 112, 112, 3\]"):
        Identity.from_file(tmp_path / "small")
    with pytest.raises(ValueError, match=r"flat gives \[1, 112, 3\] for 1 faces, not \[n, d\]"):
        Identity.from_file(tmp_path / "flat")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no SavedModel"):
        identity.read(tmp_path / "empty")


# ------------------------------------------------------------------------------------------------------------- ONNX


def field(number, content):
    """A field of Protocol Buffers: bytes with their length, or a number."""
    if isinstance(content, int):
        return onnx._to_varint(number << 3) + onnx._to_varint(content)
    return onnx._to_varint(number << 3 | 2) + onnx._to_varint(len(content)) + content


def value(name, shape):
    """A ValueInfoProto of float32."""
    sides = b"".join(field(1, field(1, side) if side else field(2, b"n")) for side in shape)
    return field(1, name) + field(2, field(1, field(1, 1) + field(2, sides)))


def model(shape=(0, 3, 112, 112), extra=b""):
    """An ONNX model, x -> mean over rows and columns as [n, c], with an unused input and a weight listed as one."""
    squeeze = field(1, b"mean") + field(1, b"axes") + field(2, b"y") + field(4, b"Squeeze")
    mean = field(1, b"x") + field(2, b"mean") + field(4, b"GlobalAveragePool")
    axes = field(1, 2) + field(2, 7) + field(8, b"axes") + field(9, np.array([2, 3], "<i8").tobytes())
    inputs = b"".join(field(11, each) for each in (value(b"x", shape), value(b"axes", (2,)), value(b"unused", (300,))))
    graph = field(1, mean) + field(1, squeeze) + field(2, b"g") + field(5, axes) + inputs + extra
    graph += field(12, value(b"y", (shape[0], 3)))
    return field(1, 8) + field(7, graph) + field(8, field(1, b"") + field(2, 13))


def inputs_of(data):
    graph = next(each.content for each in onnx.fields(data) if each.number == onnx.GRAPH)
    return [onnx._texts(each.content, 1)[0] for each in onnx.fields(graph) if each.number == onnx.INPUT]


def test_inputs_that_are_none_are_taken_out():
    """And nothing else: the rest of the file is the same, byte for byte; numbers of any length."""
    data = model()
    assert inputs_of(data) == [b"x", b"axes", b"unused"]
    cleared = onnx.with_needed_inputs(data)
    assert inputs_of(cleared) == [b"x"]
    graphs = [next(each.content for each in onnx.fields(x) if each.number == onnx.GRAPH) for x in (data, cleared)]
    kept = [each.whole for each in onnx.fields(graphs[0]) if each.number != onnx.INPUT]
    assert [each.whole for each in onnx.fields(graphs[1]) if each.number != onnx.INPUT] == kept
    assert onnx.with_needed_inputs(cleared) == cleared
    for number in (0, 127, 128, 300, 2**31, 2**63):
        assert onnx._varint(onnx._to_varint(number), 0)[0] == number
    for nothing, says in (
        (b"", "no graph"),
        (data[:-3], "middle"),
        (b"\xff" * 20, "Protocol"),
        (b"\x0f", "Protocol"),
        (b"\x80", "middle"),
        (b"hello, world", "."),
    ):
        with pytest.raises(ValueError, match=says):
            onnx.with_needed_inputs(nothing)


def test_damaged_models_are_refused():
    """Changed, or refused: nothing else, and no longer than the file is."""
    rng, seed = np.random.default_rng(3), model()
    for _ in range(500):
        data = bytearray(seed)
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        try:
            assert len(onnx.with_needed_inputs(bytes(data))) <= len(data)
        except ValueError:
            pass


class Session:
    """onnxruntime's, of one input and output."""

    shape, outputs = [1, 3, 112, 112], 1

    def __init__(self, data, options, providers):
        if data[:2] != model()[:2]:
            raise RuntimeError("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF")
        self.seen = None

    def get_inputs(self):
        return [types.SimpleNamespace(name="x", shape=self.shape, type="tensor(float)")]

    def get_outputs(self):
        return [None] * self.outputs

    def run(self, names, feed):
        (levels,) = feed.values()
        assert levels.shape == (1, 3, 112, 112) and levels.dtype == np.float32
        return [levels.mean((2, 3))]


@pytest.fixture
def runtime(monkeypatch):
    """The package onnxruntime, which the tests do not need."""
    fake = types.SimpleNamespace(SessionOptions=types.SimpleNamespace, InferenceSession=type("S", (Session,), {}))
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    return fake.InferenceSession


def test_an_onnx_file_sees_levels_of_red_green_and_blue(runtime, tmp_path):
    (tmp_path / "a.onnx").write_bytes(model())
    found = identity.read(tmp_path / "a.onnx")
    colors = np.ones((2, 112, 112, 3)) * np.array([[[[-1, 0, 1]]], [[[1, 1, -1]]]])
    np.testing.assert_allclose(found.embed(colors), [[0, 127.5, 255], [255, 255, 0]])
    assert len(found.sha256) == 64


def test_files_that_are_no_recognizers(runtime, tmp_path, monkeypatch):
    path = tmp_path / "a.onnx"

    def refused(says, kind=FileError):
        with pytest.raises(kind, match=says) as error:
            identity.read(path)
        assert "\n" not in str(error.value)

    refused(r"a\.onnx: cannot be read: No such file")
    path.write_bytes(b"hello, this is a letter")
    refused(r"a\.onnx: cannot be read as a face recognizer in ONNX: it")
    path.write_bytes(field(7, b""))
    refused("INVALID_PROTOBUF")
    path.write_bytes(model())
    for shape in ([1, 3, 640, 640], [1, 112, 112, 3], [4, 3, 112, 112], [1, 3]):
        runtime.shape = shape
        refused(r"it takes tensor\(float\) \[.*\], not float \[1 or n, 3, 112, 112\]")
    runtime.outputs, runtime.shape = 2, ["n", 3, 112, 112]
    refused("1 inputs and 2 outputs")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    refused(r"pip install 'gekeras\[identity\]'", ValueError)


def test_real_onnxruntime(tmp_path):
    """Where it is installed: such a model runs, and is refused for other pictures."""
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(model())
    face = RNG.uniform(-1, 1, (2, 112, 112, 3)).astype("f4")
    found = identity.read(tmp_path / "a.onnx").embed(face)
    np.testing.assert_allclose(found, (face.mean((1, 2)) + 1) * 127.5, rtol=1e-4)
    (tmp_path / "b.onnx").write_bytes(model((0, 3, 64, 64)))
    (tmp_path / "c.onnx").write_bytes(field(1, 8) + field(7, b""))
    for name in ("b", "c"):
        with pytest.raises(FileError, match="cannot be read as a face recognizer in ONNX"):
            identity.read(tmp_path / f"{name}.onnx")


# ------------------------------------------------------------------------------------------------------- evaluations


def test_scores_and_shares():
    """Each line has its cosine, the table their mean and how many reach the threshold."""
    meters = Meters(identity=Identity(recognizer()))
    shown = {"GE": -FACES, "input": 0.9 * FACES}
    wanted = {(picture, name) for picture in "abc" for name in shown}
    rows = scoring._rows(shown, meters.reference(FACES), list("abc"), wanted, meters)
    assert [row["identity"] for row in rows] == pytest.approx([-1] * 3 + [1] * 3)
    assert meters.circumstances() == {"identity": "0" * 64}
    rows[3]["identity"] = 0.2
    table = tables.summary(rows, Measures(identity="a").threshold)
    assert table[1]["same_person"] == pytest.approx(2 / 3) and table[0]["same_person"] == 0
    assert table[0]["identity_threshold"] == 0.363
    head, _, ge, plain = tables.to_markdown(table).splitlines()
    assert head.endswith("| SSIM | identity (cosine) | same person (cosine from 0.363 on) |")
    assert ge.endswith("| -1.000 ± 0.000 | 0 % |") and plain.endswith("| 0.733 ± 0.377 | 67 % |")
    assert tables.summary(rows, 0.2)[1]["same_person"] == 1  # from the threshold on
    for path, other in (("without", {}), ("with", {"identity": "1" * 64})):
        with pytest.raises(ValueError, match=f"holds an evaluation {path} identity"):
            evaluation.measures.check_same("a.jsonl", other, meters.circumstances())


def test_options_that_would_do_nothing_or_cannot_be(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="threshold would change nothing"):
        Measures(identity_threshold=0.5)
    with pytest.raises(ValueError, match="from -1 to 1"):
        Measures(identity="a.onnx", identity_threshold=3)
    named = ["eval", "--task", "superres", "--data", str(tmp_path), "-o", str(tmp_path / "a")]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "a.onnx").write_bytes(model())
    for options, says in (
        (["--identity-threshold", "0.4"], "name a recognizer"),
        (["--identity", str(tmp_path / "a.onnx")], "pip install 'gekeras[identity]'"),
        (["--identity", str(tmp_path / "b.onnx")], "b.onnx: cannot be read: No such file"),
        (["--identity", str(tmp_path)], "add --trust"),
    ):
        found = CliRunner().invoke(cli, [*named, *options])
        assert found.exit_code == 2 and says in found.output and "Traceback" not in found.output, found.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def test_an_evaluation_with_identity(models, pictures, tmp_path):
    """Through the command, with a SavedModel that has to be trusted."""
    tf.saved_model.save(Network(112), str(tmp_path / "net"))
    named = ["--task", "superres", "--preset", "tiny", "--models", str(models), "--data", str(pictures), "--count", "2"]
    options = ["--method", "input", "--identity", str(tmp_path / "net"), "--identity-threshold", "-1", "--trust"]
    found = CliRunner().invoke(cli, ["eval", *named, *options, "-o", str(tmp_path / "a")])
    assert found.exit_code == 0 and "same person (cosine from -1 on)" in found.output and "| 100 % |" in found.output
    head, *rows = map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines())
    assert len(head["identity"]) == 64 and all(-1 <= row["identity"] <= 1 for row in rows) and len(rows) == 2
