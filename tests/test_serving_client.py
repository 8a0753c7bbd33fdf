"""The client of served solvers, against servers on this machine that run the exported solvers as TensorFlow Serving does."""

import base64
import contextlib
import io
import json
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import images, operators
from gekeras.cli import cli
from gekeras.networks import presets
from gekeras.serving import Client, ServerError, client, export, layout, remote, signatures
from gekeras.training import export as training

grpc = pytest.importorskip("grpc")
pytest.importorskip("tensorflow_serving")
from tensorflow_serving.apis import (  # noqa: E402
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

TASKS = ("superres", "inpaint")
QUICK = {"starts": 1, "finalists": 1, "steps": 2}
BOTH = pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])
INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
STATUS = {
    INVALID: 400,
    MISSING: 404,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.INTERNAL: 500,
}


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code, self.text = code, text


class Models:
    """What both servers answer with.

    Attributes:
        served: name -> function of the inputs.
        faults: codes that the next calls fail with.
        calls: (the pictures, the key) of each call.
        delay: seconds that each takes.
    """

    def __init__(self, served):
        self.served, self.faults, self.calls, self.delay = served, [], [], 0

    def run(self, name, inputs, key):
        self.calls.append((list(inputs["image_bytes"]), key))
        if self.faults:
            raise Failure(self.faults.pop(0), "scripted")
        time.sleep(self.delay)
        if name not in self.served:
            raise Failure(MISSING, f"Servable not found for request: Latest({name})")
        try:
            return self.served[name](inputs)
        except tf.errors.InvalidArgumentError as error:
            raise Failure(INVALID, error.message) from error


def echo(inputs):
    """Each picture as it came, its length as the loss; refuses what holds "bad"."""
    pictures = inputs["image_bytes"]
    if any(b"bad" in picture for picture in pictures):
        raise Failure(INVALID, "assertion failed: [image_bytes must be good; received 3] \n\t [[{{node Assert/Assert}}]]")
    return {"image_bytes": pictures, "loss": [float(len(p)) for p in pictures], "steps": inputs["steps"]}


def run_saved(folder):
    """The function of a SavedModel's signature `encoded`."""
    loaded = tf.saved_model.load(str(folder))
    signature = loaded.signatures["encoded"]

    def run(inputs):
        kinds = {name: tf.string if name.endswith("_bytes") else tf.int32 for name in inputs}
        outputs = signature(**{name: tf.constant(value, kinds[name]) for name, value in inputs.items()})
        return {name: value.numpy().tolist() for name, value in outputs.items()}

    run.loaded = loaded
    return run


class Predictions(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, models):
        self.models = models

    def Predict(self, request, context):
        assert request.model_spec.signature_name == signatures.ENCODED
        inputs = {name: tf.make_ndarray(value).tolist() for name, value in request.inputs.items()}
        try:
            outputs = self.models.run(request.model_spec.name, inputs, dict(context.invocation_metadata()).get("x-api-key"))
        except Failure as error:
            context.abort(error.code, error.text)
        answer = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            kind = {"image_bytes": tf.string, "loss": tf.float32, "steps": tf.int32}[name]
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value, kind))
        return answer


class States(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, models):
        self.models = models

    def GetModelStatus(self, request, context):
        if request.model_spec.name not in self.models.served:
            context.abort(MISSING, "no versions")
        answer = get_model_status_pb2.GetModelStatusResponse()
        answer.model_version_status.add(version=1, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE)
        return answer


@contextlib.contextmanager
def grpc_server(models, certificate=None, port=0):
    """Yields the address."""
    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Predictions(models), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(States(models), server)
    if certificate:
        pair = [Path(path).read_bytes() for path in certificate]
        port = server.add_secure_port(f"127.0.0.1:{port}", grpc.ssl_server_credentials([tuple(pair)]))
    else:
        port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(OSError):  # one whose deadline is over has gone
            self.wfile.write(data)

    def do_GET(self):
        there = self.path.removeprefix("/v1/models/") in self.server.models.served
        answer = {"model_version_status": [{"version": "1", "state": "AVAILABLE"}]} if there else {"error": "not found"}
        self.send(200 if there else 404, answer)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["signature_name"] == signatures.ENCODED
        inputs = body["inputs"]
        for name in inputs:
            if name.endswith("_bytes"):
                inputs[name] = [base64.b64decode(value["b64"]) for value in inputs[name]]
        name = self.path.removeprefix("/v1/models/").removesuffix(":predict")
        try:
            outputs = self.server.models.run(name, inputs, self.headers["x-api-key"])
        except Failure as error:
            self.send(STATUS[error.code], {"error": error.text})
            return
        pictures = [{"b64": base64.b64encode(value).decode()} for value in outputs["image_bytes"]]
        self.send(200, {"outputs": {**outputs, "image_bytes": pictures}})


@contextlib.contextmanager
def rest_server(models, certificate=None, port=0):
    """Yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.models, server.daemon_threads = models, True
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*reversed(certificate))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def preset(every_task, tmp_path_factory):
    folder = shutil.copytree(every_task / "tiny", tmp_path_factory.mktemp("served") / "tiny")
    info = json.loads((folder / "preset.json").read_text())
    training.write_record(folder, info | {"objectives": dict.fromkeys(TASKS, QUICK)})
    return presets.read(folder)


@pytest.fixture(scope="module")
def solvers(preset, tmp_path_factory):
    """name -> function of the exported solver."""
    folder, found = tmp_path_factory.mktemp("serving"), {}
    for task in TASKS:
        name = layout.solver_name(preset, task)
        (folder / name).mkdir()
        export.save_solver(preset, task, folder / name / "1", name)
        found[name] = run_saved(folder / name / "1")
    return found


@pytest.fixture(scope="module")
def addresses():
    """(models, rest -> address) of both servers."""
    models = Models({})
    with grpc_server(models) as first, rest_server(models) as second:
        yield models, {False: first, True: second}


@pytest.fixture
def serving(addresses, monkeypatch):
    """The same, as new, with a model that sends back what it gets."""
    models, places = addresses
    models.served = {"echo-solver-superres": echo, "echo-solver-denoise": echo}
    models.faults, models.calls, models.delay = [], [], 0
    monkeypatch.setattr(client, "WAIT", 0.01)
    return models, places


def refused(call, *arguments, **options):
    """(the message, the replies) of a ServerError."""
    with pytest.raises(ServerError) as caught:
        call(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value), caught.value.replies


@BOTH
def test_order_is_kept_over_batches_and_the_key_arrives(serving, rest):
    models, places = serving
    pictures = [bytes([k]) * (k + 1) for k in range(7)]
    with Client(places[rest], preset="echo", rest=rest, batch=3, key="s3cret") as served:
        replies = served.solve("superres", pictures, steps=4)
        assert served.solve("superres", [], steps=4) == []
    assert [reply.image_bytes for reply in replies] == pictures
    assert [(reply.loss, reply.steps) for reply in replies] == [(k + 1.0, 4) for k in range(7)]
    assert models.calls == [(pictures[:3], "s3cret"), (pictures[3:6], "s3cret"), (pictures[6:], "s3cret")]


@BOTH
def test_tries_again_what_is_unavailable_and_nothing_else(serving, rest):
    models, places = serving
    served = Client(places[rest], preset="echo", rest=rest, retries=2)
    models.faults = [grpc.StatusCode.UNAVAILABLE] * 2
    assert served.solve("superres", [b"a"], steps=1)[0].image_bytes == b"a" and len(models.calls) == 3
    models.faults = [grpc.StatusCode.UNAVAILABLE] * 3
    text, _ = refused(served.solve, "superres", [b"a"], steps=1)
    assert "is not available (scripted; 3 tries)" in text and models.faults == []
    models.calls.clear()
    models.faults = [grpc.StatusCode.INTERNAL] * 2
    text, _ = refused(served.solve, "superres", [b"a"], steps=1)
    assert "scripted" in text and "gave no result by" in text and len(models.calls) == 1
    models.faults = [grpc.StatusCode.UNAUTHENTICATED]
    assert "give its key" in refused(served.solve, "superres", [b"a"], steps=1)[0]
    served.close()


@BOTH
def test_a_server_that_is_not_there_yet_is_waited_for(serving, monkeypatch, rest):
    """Where nothing listens the connection is refused, and tried again."""
    models, _ = serving
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with Client(address, preset="echo", rest=rest, retries=1, deadline=5) as served:
        text, _ = refused(served.solve, "superres", [b"a"], steps=1)
    assert address in text and "2 tries" in text and "8500" in text and "8501" in text
    monkeypatch.setattr(client, "WAIT", 0.1)
    with contextlib.ExitStack() as stack, Client(address, preset="echo", rest=rest, retries=7) as served:
        start = (rest_server if rest else grpc_server)(models, port=port)
        later = threading.Timer(0.15, stack.enter_context, [start])
        later.start()
        try:
            assert served.solve("superres", [b"a"], steps=1)[0].image_bytes == b"a"
        finally:
            later.join()


@BOTH
def test_a_deadline_is_kept(serving, rest):
    models, places = serving
    models.delay, start = 1, time.monotonic()
    with Client(places[rest], preset="echo", rest=rest, deadline=0.2) as served:
        text, _ = refused(served.solve, "superres", [b"a"], steps=1)
    assert "did not answer within 0.2 s" in text and time.monotonic() - start < 0.9 and len(models.calls) == 1


def test_a_deadline_is_for_all_of_an_answer_and_not_for_each_piece(serving):
    """A server that sends a byte now and then."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip():
            stream, _ = listener.accept()
            with stream, contextlib.suppress(OSError):
                stream.recv(2**16)
                stream.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\n")
                for _ in range(30):
                    stream.sendall(b" ")
                    time.sleep(0.1)

        threading.Thread(target=drip, daemon=True).start()
        start = time.monotonic()
        served = Client(f"127.0.0.1:{listener.getsockname()[1]}", rest=True, deadline=0.3)
        assert "did not answer within 0.3 s" in refused(served.solve, "superres", [b"a"], steps=1)[0]
        assert time.monotonic() - start < 1


@BOTH
def test_a_wrong_picture_is_named_and_the_others_come_back(serving, rest):
    models, places = serving
    pictures, names = [b"a", b"b", b"bad", b"d", b"e", b"bad!"], ["a.png", "b", "c.png", "d", "e", "f.png"]
    served = Client(places[rest], preset="echo", rest=rest, batch=4)
    text, replies = refused(served.solve, "superres", pictures, steps=1, names=names)
    assert text == f"{places[rest]} refused c.png, f.png (image_bytes must be good; received 3)"
    assert [reply and reply.image_bytes for reply in replies] == [b"a", b"b", None, b"d", b"e", None]
    assert [len(sent) for sent, _ in models.calls] == [4, 1, 1, 1, 1, 2, 1, 1]
    models.calls.clear()
    assert "picture 1 (image" in refused(served.solve, "superres", [b"bad"], steps=1)[0] and len(models.calls) == 1
    served.close()


@BOTH
def test_what_was_restored_before_a_fault_is_not_lost(serving, rest):
    models, places = serving
    served = Client(places[rest], preset="echo", rest=rest, batch=1, retries=0)
    run = models.run
    models.faults = []

    def second_fails(name, inputs, key):
        models.faults = [grpc.StatusCode.UNAVAILABLE] if len(models.calls) == 1 else []
        return run(name, inputs, key)

    models.run = second_fails
    try:
        text, replies = refused(served.solve, "superres", [b"a", b"b", b"c"], steps=1)
    finally:
        del models.run
        served.close()
    assert "1 try" in text and [reply and reply.image_bytes for reply in replies] == [b"a", None, None]


@BOTH
def test_a_model_that_is_not_there(serving, rest):
    _, places = serving
    with Client(places[rest], preset="echo", rest=rest) as served:
        text, _ = refused(served.solve, "deblur", [b"a"], steps=1)
    assert "has no model echo-solver-deblur" in text and "of echo it solves denoise, superres" in text
    with Client(places[rest], preset="other", rest=rest) as served:
        assert "solves nothing of other" in refused(served.solve, "deblur", [b"a"], steps=1)[0]


@BOTH
def test_answers_that_are_none(serving, rest):
    models, places = serving
    models.served["echo-solver-superres"] = lambda inputs: {"image_bytes": inputs["image_bytes"], "loss": [1.0]}
    with Client(places[rest], preset="echo", rest=rest) as served:
        assert "an answer without image_bytes, loss, steps" in refused(served.solve, "superres", [b"a"], steps=1)[0]
        models.served["echo-solver-superres"] = lambda inputs: echo({k: v[:1] for k, v in inputs.items()})
        assert "of 1 pictures to a request of 2" in refused(served.solve, "superres", [b"a", b"b"], steps=1)[0]


def test_the_other_port_is_told(serving):
    _, places = serving
    with Client(places[True], preset="echo", retries=0) as served:
        assert "gRPC's port is 8500" in refused(served.solve, "superres", [b"a"], steps=1)[0]
    served = Client(places[False], preset="echo", rest=True)
    assert "an answer that is no HTTP): is" in refused(served.solve, "superres", [b"a"], steps=1)[0]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """(key file, certificate file) for 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("the command openssl is not here")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, *names, "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    return key, cert


@BOTH
def test_tls_trusts_whom_it_is_told_to(certificate, monkeypatch, rest):
    monkeypatch.setattr(client, "WAIT", 0.01)
    models = Models({"echo-solver-superres": echo})
    with (rest_server if rest else grpc_server)(models, certificate) as address:
        with Client(address, preset="echo", rest=rest, tls=certificate[1], key="k") as served:
            assert served.solve("superres", [b"a"], steps=1)[0].image_bytes == b"a"
        assert models.calls == [([b"a"], "k")]
        with Client(address, preset="echo", rest=rest, tls=True, retries=0) as served:
            refused(served.solve, "superres", [b"a"], steps=1)
        with Client(address, preset="echo", rest=rest, retries=0, deadline=5) as served:
            refused(served.solve, "superres", [b"a"], steps=1)
    assert len(models.calls) == 1


def test_arguments_that_are_none(tmp_path, monkeypatch):
    for address in ("localhost", "http://localhost:8501", "localhost:0", "localhost:70000", "", "a b:1", "::1:8500"):
        with pytest.raises(ValueError, match="must be HOST:PORT"):
            Client(address, rest=True)
    assert str(Client("[::1]:8501", rest=True).address) == "[::1]:8501"
    (tmp_path / "none.pem").write_text("no certificate")
    wrong = {
        "holds no certificates": {"tls": tmp_path / "none.pem"},
        "no such file": {"tls": tmp_path / "absent.pem"},
        "one word": {"key": "two\nlines"},
        "deadline": {"deadline": 0},
        "batch": {"batch": 0},
        "preset": {"preset": "a/b"},
    }
    for text, options in wrong.items():
        with pytest.raises(ValueError, match=text):
            Client("localhost:1", rest=True, **options)
    served = Client("localhost:1", rest=True, preset="nowhere")
    wrong = {
        "give steps": {},
        "masks are for inpaint": {"masks": [b""], "steps": 1},
        "seed must be": {"seed": -1, "steps": 1},
        "steps must be": {"steps": 1.5},
    }
    for text, options in wrong.items():
        with pytest.raises(ValueError, match=text):
            served.solve("superres", [b"a"], **options)
    for pictures in (b"a", ["a.png"]):
        with pytest.raises(ValueError, match="must be a list of the bytes"):
            served.solve("superres", pictures, steps=1)
    with pytest.raises(ValueError, match="which needs them"):
        served.solve("inpaint", [b"a"], steps=1)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'gekeras\[serving\]'"):
        Client("localhost:1")
    assert client.TASKS == tuple(operators.TASKS)


# ---------------------------------------------------------------------------------------------------- the command


def run(*arguments):
    """(exit code, stdout, stderr) of `gekeras solve`."""
    result = CliRunner().invoke(cli, ["solve", *map(str, arguments)])
    assert result.exit_code in (0, 2), result
    return result.exit_code, result.stdout, result.stderr


def state_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def smooth(path, side, kind="RGB", **options):
    seed = sum(path.name.encode())
    coarse = Image.fromarray(np.random.default_rng(seed).integers(60, 196, (3, 3, 3), dtype=np.uint8))
    coarse.resize((side, side), Image.Resampling.BICUBIC).convert(kind).save(path, **options)
    return path


@BOTH
def test_the_command_gives_what_it_gives_without_a_server(serving, solvers, preset, tmp_path, monkeypatch, rest):
    models, places = serving
    models.served = solvers
    monkeypatch.setenv("GEKERAS_MODELS", str(preset.folder.parent))
    turned = Image.Exif()
    turned[0x0112] = 6
    inputs = [
        smooth(tmp_path / "a.png", SIDE // 4),
        smooth(tmp_path / "b.jpg", SIDE // 4, exif=turned),
        smooth(tmp_path / "c.png", SIDE // 4, "L"),
    ]
    hole = smooth(tmp_path / "hole.png", SIDE)
    common = ["--preset", "tiny", "--seed", 3]
    server = ["--server", places[rest], *(["--rest"] if rest else [])]
    for name, asked in {"superres": inputs, "inpaint": [hole, "--box", "2,3,8,9"]}.items():
        sides = [tmp_path / side / name for side in ("here", "there")]
        for folder, more in zip(sides, ([], [*server, "--batch", 2])):
            folder.parent.mkdir(exist_ok=True)
            code, out, err = run("--task", name, *asked, *common, "-o", f"{folder}/", *more)
            assert code == 0 and (not more or err == ""), err
            assert out.count(" after 2 steps, ") == len(list(folder.glob("*.png")))
        assert {path.name for path in sides[0].iterdir()} == {path.name for path in sides[1].iterdir()}
        for path in sides[0].glob("*.png"):
            here, there = (255 * (images.read(side / path.name) + 1) / 2 for side in sides)
            assert here.shape == there.shape and np.abs(here - there).max() < 1.01, path
            records = [json.loads((side / path.name).with_suffix(".json").read_text()) for side in sides]
            assert records[0]["loss"] == pytest.approx(records[1]["loss"], rel=1e-3)
            for key in ("input", "size", "task", "preset", "seed", "steps", "method"):
                assert records[0][key] == records[1][key], key
        assert records[1]["server"] == places[rest] and records[1]["model"] == f"tiny-solver-{name}"
        code, _, _ = run("--task", name, *asked, *common, "-o", f"{sides[1]}/", *server)  # over its own results
        assert code == 0


def test_the_command_writes_what_came_back_and_names_the_rest(serving, solvers, preset, tmp_path, monkeypatch):
    models, places = serving
    models.served = solvers
    monkeypatch.setenv("GEKERAS_MODELS", str(preset.folder.parent))
    inputs = [smooth(tmp_path / "a.png", 4), smooth(tmp_path / "wrong.png", 6), smooth(tmp_path / "c.png", 4)]
    common = ["--task", "superres", "--preset", "tiny", "--server", places[False]]
    code, out, err = run(*inputs, *common, "-o", f"{tmp_path}/out/")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "wrong.png (image_bytes must be a PNG or JPEG of 4x4 pixels; received one of 6x6)" in err
    assert "(2 of 3 pictures were restored and written)" in err
    assert sorted(state_of(tmp_path / "out")) == [f"{n}.restored.{s}" for n in "ac" for s in ("json", "png")]
    assert run(inputs[0], *common, "-o", tmp_path / "out.jpg")[0] == 0
    assert images.size(tmp_path / "out.jpg") == (SIDE, SIDE)
    (tmp_path / "key").write_text("s3cret\n")
    assert run(inputs[0], *common, "--key-file", tmp_path / "key", "--json", "--steps", 1)[0] == 0
    assert models.calls[-1][1] == "s3cret" and "s3cret" not in (tmp_path / "a.restored.json").read_text()


def test_the_command_refuses_what_a_server_decides(serving, tmp_path):
    models, places = serving
    picture = smooth(tmp_path / "a.png", 4)
    (tmp_path / "empty").write_text(" \n")
    before = state_of(tmp_path)

    def error_of(*arguments, server=("--server", places[True], "--rest")):
        code, out, err = run("--task", "superres", picture, "--preset", "echo", "--steps", 1, *server, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1) and state_of(tmp_path) == before
        return err

    for option in (
        *(("--weight", 0.1), ("--layers", "8"), ("--generator", "g.keras"), ("--trust",), ("--fidelity", "fast")),
        *(("--set", "factor=2"), ("--forward", "identity"), ("--tile",), ("--simulate",), ("--panel", "p.png")),
        *(("--uncertainty", 2), ("--preview",), ("--no-consistent",), ("--models", tmp_path)),
    ):
        assert f"{option[0]}: not with --server" in error_of(*option) or option[0] in ("--models", "--no-consistent")
    for option in (("--rest",), ("--deadline", 3), ("--tls",), ("--ca", "x.pem"), ("--key-file", "k")):
        assert f"{option[0]}: for a server, give --server" in error_of(*option, server=())
    assert "must be HOST:PORT" in error_of(server=("--server", "http://localhost:8501", "--rest"))
    assert "holds no key" in error_of("--key-file", tmp_path / "empty")
    assert "no such file" in error_of("--ca", tmp_path / "absent.pem")
    assert "masks are for inpaint" in error_of("--box", "1,1,2,2")
    assert "give a mask or a box" in error_of("--task", "inpaint")
    assert "has no model echo-solver-deblur" in error_of("--task", "deblur")
    models.served["echo-solver-superres"] = lambda inputs: echo(inputs | {"image_bytes": [b"GIF89a"]})
    assert "the server's answer: not an image" in error_of()


def test_rest_needs_no_tensorflow(serving, tmp_path):
    _, places = serving
    program = """
import sys
from gekeras.cli import cli
try:
    cli(sys.argv[1:])
except SystemExit as error:
    code = error.code
sys.exit(code or " ".join({"tensorflow", "grpc", "keras"} & set(sys.modules)) or None)
"""
    picture = smooth(tmp_path / "a.png", 4)
    call = ["solve", "--task", "superres", picture, "--server", places[True], "--rest", "--preset", "echo", "--steps", "1"]
    subprocess.run([sys.executable, "-c", program, *map(str, call)], check=True, timeout=60, cwd=tmp_path)
    assert images.size(tmp_path / "a.restored.png") == (4, 4)


def test_a_file_is_sent_as_the_command_reads_it(tmp_path):
    told, said = [], ["deep.tif: its colors are sent with 8 bits each"]
    tifffile.imwrite(tmp_path / "deep.tif", np.full((8, 8, 3), 1000, np.uint16), photometric="rgb")
    assert remote.sendable(tmp_path / "deep.tif", told.append) and told == said
    deep = np.random.default_rng(4).integers(0, 65536, (8, 8), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(remote.sendable(tmp_path / "deep.png")))), deep)
    gray = smooth(tmp_path / "gray.webp", 8, "L", lossless=True)
    color = smooth(tmp_path / "color.png", 8)
    for path in (gray, color):
        sent = Image.open(io.BytesIO(remote.sendable(path, pytest.fail)))
        with Image.open(path) as original:
            np.testing.assert_array_equal(np.asarray(sent.convert("RGB")), np.asarray(original.convert("RGB")))
