"""`gekeras serve`: replies are what a solve of the same picture alone gives, whoever else asks; refusals are one line."""

import asyncio
import base64
import importlib.util
import io
import json
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import GenerativeEncoder, images
from gekeras.cli import cli
from gekeras.config.service import ServiceOptions
from gekeras.formats.pixels import MAX_PIXELS
from gekeras.networks import presets
from gekeras.service import address, app, intake
from gekeras.service.engine import SIZES, Engine, Kind
from gekeras.service.queue import BatchQueue, Busy

ROOT = Path(__file__).resolve().parents[1]
LOW = SIDE // 4
PNG = {"content-type": "image/png"}
OPTIONS = ServiceOptions(max_bytes=20_000, max_pixels=4000, wait_ms=0, queue=16)
TASKS = ["superres", "reconstruct", "inpaint"]


def png(array, kind="PNG", **more):
    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **more)
    return file.getvalue()


def picture(k=0, side=SIDE):
    """Smooth colors."""
    coarse = np.random.default_rng(k).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC))


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


class Recorded(Engine):
    """An engine that remembers its batches, and waits where it is told to."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.worked, self.going = [], threading.Event()
        self.going.set()

    def work(self, kind, items):
        self.worked.append((kind, len(items)))
        self.going.wait(60)
        return super().work(kind, items)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, every_task):
    """Presets, of which `tiny` asks for solves that do not multiply what a batch rounds otherwise."""
    preset = shutil.copytree(every_task / "tiny", tmp_path_factory.mktemp("models") / "tiny")
    info = json.loads((preset / "preset.json").read_text())
    info["solve"] = {"optimizer": "adam", "learning_rate": 0.02, "steps": 8, "starts": 1, "finalists": 1, "probes": 0}
    (preset / "preset.json").write_text(json.dumps(info))
    return preset.parent


@pytest.fixture(scope="module")
def engine(folder):
    """Loaded once: its compiled solves are what takes long."""
    told = []
    engine = Recorded(presets.load("tiny", folder), TASKS, tell=told.append)
    while engine.prepare():
        assert not told
    assert told == ["ready: superres, reconstruct, inpaint"]
    return engine


@pytest.fixture
def service(engine):
    """`service(requests, **options)`: the replies of a function of a client, which is run against a service of its own."""

    def run(talk, options=OPTIONS, **batching):
        told = []
        queue = BatchQueue(engine, capacity=options.queue, **batching)
        queue.start()
        application = app.make_app(engine, queue, options, told.append)

        async def session():
            transport = httpx.ASGITransport(application)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await talk(client, queue)

        try:
            return asyncio.run(session())
        finally:
            engine.going.set()
            queue.stop()
            queue.join()
            assert queue.failure is None and not told

    engine.worked.clear()
    return run


@pytest.fixture
def post(service):
    """The reply to one request."""

    def send(task, content, headers=PNG, options=OPTIONS, **query):
        async def talk(client, _queue):
            return await client.post(f"/v1/solve/{task}", content=content, headers=headers, params=query)

        return service(talk, options)

    return send


@pytest.fixture(scope="module")
def solver(folder):
    """`solver(task)`: the model as a caller of the library has it."""
    models = {}

    def load(task, **parameters):
        key = task, str(parameters)
        if key not in models:
            models[key] = GenerativeEncoder.from_preset("tiny", task, folder, parameters=parameters)
        return models[key]

    return load


def alone(model, array, known=None, fidelity="fast", **changes):
    """What the library restores of one 8-bit picture, in 8 bits."""
    mask = None if known is None else known[None]
    found = model.solve(images.from_uint8(array)[None], model.options(fidelity, **changes), known=mask)
    return images.to_uint8(found.image[0]), float(found.loss[0]), int(found.steps[0])


def close(found, expected):
    """In a batch the sums are taken in another order: a level of 255 for rounding."""
    return found.shape == expected.shape and np.abs(found.astype(int) - expected).max() <= 1


def as_json(image, mask=None):
    files = {"image": image, "mask": mask}
    return json.dumps({name: base64.b64encode(file).decode() for name, file in files.items() if file is not None}).encode()


JSON = {"content-type": "application/json"}


# ------------------------------------------------------------------------------------------------------- replies


def test_a_reply_is_the_picture_solved_alone(post, solver):
    small = picture(side=LOW)
    reply = post("superres", png(small), seed=5)
    expected, loss, steps = alone(solver("superres"), small, seed=5)
    assert reply.status_code == 200 and reply.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decoded(reply.content), expected)
    numbers = {name: float(reply.headers[f"x-gekeras-{name}"]) for name in ("loss", "steps", "seconds", "batch")}
    assert numbers == {"loss": pytest.approx(loss, rel=1e-4), "steps": steps, "seconds": numbers["seconds"], "batch": 1}
    assert numbers["seconds"] > 0 and "x-gekeras-note" not in reply.headers
    again = post("superres", as_json(png(small)), JSON, seed=5)
    assert again.content == reply.content


def test_eight_at_once_are_one_batch_and_each_has_its_own(service, engine, solver):
    pictures = [picture(k) for k in range(8)]

    async def talk(client, _queue):
        sent = [client.post("/v1/solve/reconstruct", content=png(each), headers=PNG) for each in pictures]
        return await asyncio.gather(*sent)

    replies = service(talk, wait=60, enough=8)
    expected = [alone(solver("reconstruct"), each)[0] for each in pictures]
    assert engine.worked == [(Kind("reconstruct"), 8)]
    for k, reply in enumerate(replies):
        found = decoded(reply.content)
        assert [close(found, other) for other in expected] == [j == k for j in range(8)]


def test_what_differs_in_task_size_or_seed_is_solved_apart(service, engine, solver):
    kinds = [("superres", LOW, {}), ("superres", LOW + 1, {}), ("superres", LOW, {"seed": "1"}), ("reconstruct", SIDE, {})]

    async def talk(client, _queue):
        sent = [
            client.post(f"/v1/solve/{task}", content=png(picture(k, side)), headers=PNG, params=query)
            for k, (task, side, query) in enumerate(kinds * 2)
        ]
        return await asyncio.gather(*sent)

    replies = service(talk, wait=60, enough=2)
    assert len({kind for kind, _ in engine.worked}) == len(kinds) and {count for _, count in engine.worked} == {2}
    for k, ((task, side, query), reply) in enumerate(zip(kinds * 2, replies)):
        model = solver(task, size=side) if task == "superres" else solver(task)
        assert close(decoded(reply.content), alone(model, picture(k, side), seed=int(query.get("seed", 0)))[0]), k


def test_small_pictures_of_many_sizes_keep_few_networks_compiled(engine):
    for side in range(2, 2 + SIZES + 2):
        task = engine.tasks["superres"].of_size(side, SIDE)
        if side != LOW:
            engine._model(Kind("superres", task.factor), task)
    assert len(engine._of_size) == SIZES


def test_the_fidelity_is_passed_on(post, engine, solver):
    reply = post("superres", png(picture(side=LOW)), fidelity="best")
    expected, _, steps = alone(solver("superres"), picture(side=LOW), fidelity="best")
    assert (int(reply.headers["x-gekeras-steps"]), engine.worked[0][0].fidelity) == (steps, "best")
    np.testing.assert_array_equal(decoded(reply.content), expected)


def test_a_mask_is_white_where_a_pixel_is_missing(post, solver):
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:9, 5:12] = 255
    reply = post("inpaint", as_json(png(picture()), png(mask)), JSON)
    known = (mask == 0)[..., None].astype(np.float32)
    np.testing.assert_array_equal(decoded(reply.content), alone(solver("inpaint"), picture(), known)[0])
    assert reply.status_code == 200


def test_pictures_are_read_as_those_of_files(post, solver):
    """Transparency over white, upright, gray kept gray, and a note on what was cut."""
    clear = np.dstack([picture(), np.full((SIDE, SIDE), 255, np.uint8)])
    clear[:4, :4, 3] = 0
    over_white = picture().copy()
    over_white[:4, :4] = 255
    reply = post("reconstruct", png(clear))
    np.testing.assert_array_equal(decoded(reply.content), alone(solver("reconstruct"), over_white)[0])
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    turned = post("reconstruct", png(picture(), exif=exif))
    np.testing.assert_array_equal(decoded(turned.content), alone(solver("reconstruct"), picture()[::-1, ::-1])[0])
    gray = post("reconstruct", png(picture()[..., 0]))
    assert decoded(gray.content).shape == (SIDE, SIDE)
    wide = post("reconstruct", png(np.hstack([picture()] * 2)))
    assert wide.headers["x-gekeras-note"] == "image: 32x16 cropped square to 16x16"


# ------------------------------------------------------------------------------------------------------ refusals


def bomb(width, height):
    """A PNG of few bytes that says it has many pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


WHITE, BLACK = (np.full((SIDE, SIDE), level, np.uint8) for level in (255, 0))
DOT = BLACK.copy()
DOT[3, 3] = 255
GIF = io.BytesIO()
Image.new("L", (16, 16)).save(GIF, "GIF", save_all=True, append_images=[Image.new("L", (16, 16), 9)])
REFUSED = {
    "too many bytes": ("reconstruct", b"x" * 20_001, PNG, {}, 413, "the body has 20,001 bytes: at most 20,000"),
    "a bomb": ("reconstruct", bomb(30_000, 30_000), PNG, {}, 413, "at most 64,000,000 pixels are accepted"),
    "over this limit": ("reconstruct", bomb(64, 64), PNG, {}, 413, "64x64 pixels is too large: at most 4,000 pixels"),
    "a mask over it": ("inpaint", as_json(png(picture()), bomb(64, 64)), JSON, {}, 413, "mask: 64x64 pixels is too large"),
    "no picture": ("reconstruct", b"root:x:0:0", PNG, {}, 415, "image: not an image in a format that can be read"),
    "cut off": ("reconstruct", png(picture())[:300], PNG, {}, 415, "image: damaged or truncated image"),
    "nothing": ("reconstruct", b"", PNG, {}, 415, "the body is empty"),
    "a form": ("reconstruct", b"a=b", {"content-type": "multipart/form-data; boundary=x"}, {}, 415, "multipart/form-data"),
    "no type": ("reconstruct", png(picture()), {}, {}, 415, "Content-Type must be image/"),
    "an animation": ("reconstruct", GIF.getvalue(), PNG, {}, 422, "image: "),
    "too small": ("reconstruct", png(picture(side=8)), PNG, {}, 422, "8x8 is too small: reconstruct needs at least 16x16"),
    "too large": ("superres", png(picture()), PNG, {}, 422, "image: 16x16 is too large for superres"),
    "another task": (
        "paint",
        png(picture()),
        PNG,
        {},
        422,
        "unknown task 'paint'; there are superres, reconstruct, inpaint",
    ),
    "not served": ("denoise", png(picture()), PNG, {}, 422, "unknown task 'denoise'"),
    "no mask": ("inpaint", png(picture()), PNG, {}, 422, "inpaint needs to know what is missing"),
    "a mask for nothing": ("superres", as_json(png(picture(side=4)), png(DOT[:4, :4])), JSON, {}, 422, "superres has none"),
    "another size": (
        "inpaint",
        as_json(png(picture()), png(DOT[:9])),
        JSON,
        {},
        422,
        "mask: the mask is 16x9, image is 16x16",
    ),
    "nothing missing": ("inpaint", as_json(png(picture()), png(BLACK)), JSON, {}, 422, "mask: the mask has no white pixel"),
    "all missing": ("inpaint", as_json(png(picture()), png(WHITE)), JSON, {}, 422, "mask: the mask is all white"),
    "no JSON": ("reconstruct", b"{", JSON, {}, 422, "this is no JSON"),
    "a deep one": ("reconstruct", b"[" * 15_000, JSON, {}, 422, "this is no JSON"),
    "a list": ("reconstruct", b"[]", JSON, {}, 422, 'the JSON must be {"image": ..., "mask": ...}'),
    "no base64": ("reconstruct", b'{"image": "not base64!"}', JSON, {}, 422, "image must be a file in base64"),
    "another key": ("reconstruct", b'{"image": "", "box": 1}', JSON, {}, 422, "received box, too"),
    "another option": ("reconstruct", b"x", PNG, {"steps": "3"}, 422, "unknown parameter 'steps'; there are seed, fidelity"),
    "the paper's": ("reconstruct", b"x", PNG, {"fidelity": "paper"}, 422, "fidelity must be one of fast, best"),
    "a bad seed": ("reconstruct", b"x", PNG, {"seed": "-1"}, 422, "seed must be from 0 to 2147483647; received '-1'"),
    "two seeds": ("reconstruct", b"x", PNG, {"seed": ["1", "2"]}, 422, "seed is given more than once"),
}


def test_refusals_are_one_line(service, engine, tmp_path, monkeypatch):
    """With the status, without a path of the server, and without a solve or a file that stays."""
    monkeypatch.setattr(intake.tempfile, "tempdir", str(tmp_path))

    async def talk(client, _queue):
        sent = [
            client.post(f"/v1/solve/{each[0]}", content=each[1], headers=each[2], params=each[3])
            for each in REFUSED.values()
        ]
        return await asyncio.gather(*sent)

    replies = service(talk, replace(OPTIONS, queue=len(REFUSED)))
    for (name, (*_, status, words)), reply in zip(REFUSED.items(), replies):
        error = reply.json()["error"]
        assert (reply.status_code, words in error, "\n" in error) == (status, True, False), (name, error)
        assert str(tmp_path) not in error and "at 0x" not in error
    assert not engine.worked and not list(tmp_path.iterdir())


def test_a_body_without_a_length_is_counted_as_it_comes(post):
    async def chunks():
        for _ in range(1000):
            yield b"x" * 1000

    reply = post("reconstruct", chunks())
    assert (reply.status_code, reply.json()["error"]) == (413, "the body is too large: at most 20,000 bytes are accepted")


def test_a_body_that_does_not_come_is_given_up(post, monkeypatch):
    monkeypatch.setattr(app, "BODY_SECONDS", 0.05)
    monkeypatch.setattr(app, "REST_SECONDS", 0.05)

    async def nothing():
        yield b"x"
        await asyncio.sleep(1)

    reply = post("reconstruct", nothing())
    assert reply.status_code == 408 and "did not arrive" in reply.json()["error"]


def test_other_places(service):
    async def talk(client, queue):
        queue.stop()
        stopping = await client.get("/healthz")
        asked = [client.get("/v1"), client.get("/v1/solve/superres"), client.post("/"), client.get("/v1/tasks")]
        return stopping, await asyncio.gather(*asked)

    stopping, (missing, get, post, tasks) = service(talk)
    assert (stopping.status_code, stopping.json()) == (503, {"status": "stopping"})
    assert missing.status_code == 404 and "there is no /v1 here" in missing.json()["error"]
    assert get.status_code == 405 and get.headers["allow"] == "POST" and "GET is not for" in get.json()["error"]
    assert post.status_code == 405
    told = tasks.json()
    assert [task["name"] for task in told["tasks"]] == TASKS and told["limits"] == {"bytes": 20_000, "pixels": 4000}
    assert [task["mask"] for task in told["tasks"]] == [False, False, True]
    assert [task["below"] for task in told["tasks"]] == [SIDE, None, None]


# ------------------------------------------------------------------------------------------------------- the queue


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


def test_a_full_queue_and_a_stop_refuse_what_is_new_and_finish_the_rest(service, engine, solver):
    async def talk(client, queue):
        def send(k):
            return asyncio.ensure_future(client.post("/v1/solve/reconstruct", content=png(picture(k)), headers=PNG))

        engine.going.clear()
        held = [send(0)]
        await until(lambda: engine.worked)
        held.append(send(1))
        await until(lambda: queue._jobs)
        full = await send(2)
        queue.stop()
        late = await send(3)
        engine.going.set()
        return await asyncio.gather(*held), full, late

    held, full, late = service(talk, replace(OPTIONS, queue=2))
    assert [reply.status_code for reply in held] == [200, 200]
    for k, reply in enumerate(held):
        assert close(decoded(reply.content), alone(solver("reconstruct"), picture(k))[0])
    assert (full.status_code, late.status_code) == (503, 503) and full.headers["retry-after"]
    assert "the queue is full: 2 requests" in full.json()["error"] and "stopping" in late.json()["error"]


def test_who_leaves_is_not_solved_for_and_holds_nobody_up(service, engine):
    async def talk(client, queue):
        engine.going.clear()
        first = asyncio.ensure_future(client.post("/v1/solve/reconstruct", content=png(picture(0)), headers=PNG))
        await until(lambda: engine.worked)
        body, sent = png(picture(1)), []
        messages = [{"type": "http.request", "body": body, "more_body": False}, {"type": "http.disconnect"}]

        async def receive():
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/solve/reconstruct", "query_string": b""}
        scope |= {"headers": [(b"content-type", b"image/png")], "root_path": "", "http_version": "1.1"}
        await client._transport.app(scope, receive, send)
        engine.going.set()
        return await first, sent[0]["status"], queue._taken

    reply, status, taken = service(talk)
    assert (reply.status_code, status, taken) == (200, app.GONE, 0)
    assert engine.worked == [(Kind("reconstruct"), 1)]


class Numbers:
    """An engine of whole numbers: doubles them, but cannot do 13."""

    def __init__(self, most=3, fails=False):
        self.limit, self.fails, self.batches, self.order, self.gate = most, fails, [], [], threading.Event()

    def prepare(self):
        if self.fails:
            raise ValueError("the networks are damaged")
        self.order.append("prepare")
        return self.order.count("prepare") < 3

    def most(self, kind):
        return self.limit

    def work(self, kind, items):
        self.gate.wait(10)
        self.order.append("work")
        self.batches.append((kind, items))
        if 13 in items:
            raise ValueError("13")
        return [2 * item for item in items]


def test_batches_are_of_one_kind_in_order_and_as_many_as_the_engine_takes():
    engine = Numbers()
    queue = BatchQueue(engine, capacity=99)
    futures = [queue.put(kind, k) for k, kind in enumerate("abaaacab")]
    gone = queue.put("a", 99)
    gone.cancel()
    engine.gate.set()
    queue.start()
    queue.stop()
    queue.join()
    assert [future.result(0) for future in futures] == [2 * k for k in range(8)]
    assert engine.batches == [("a", [0, 2, 3]), ("b", [1, 7]), ("a", [4, 6]), ("c", [5])]
    with pytest.raises(Busy, match="stopping"), queue.slot():
        pass


def test_one_that_fails_takes_no_others_with_it():
    engine = Numbers(9)
    queue = BatchQueue(engine, capacity=9)
    futures = [queue.put("a", k) for k in (1, 13, 2)]
    engine.gate.set()
    queue.start()
    assert futures[0].result(5) == 2 and futures[2].result(5) == 4
    with pytest.raises(ValueError, match=r"^13$"):
        futures[1].result(5)
    queue.stop()
    queue.join()
    assert queue.failure is None


def test_jobs_come_before_preparations_and_a_failed_one_ends_the_queue():
    engine = Numbers()
    engine.gate.set()
    queue = BatchQueue(engine, capacity=9)
    first = queue.put("a", 1)
    queue.start()
    assert first.result(5) == 2 and engine.order[0] == "work"
    while not queue.ready:
        time.sleep(0.001)
    assert engine.order == ["work", *["prepare"] * 3]
    queue.stop()
    queue.join()
    queue = BatchQueue(Numbers(fails=True), capacity=9)
    queue.start()
    queue.join()
    assert str(queue.failure) == "the networks are damaged"
    with pytest.raises(ValueError, match="damaged"):
        queue.put("a", 1).result(5)


def test_a_solve_that_fails_is_told_and_is_no_end(service, engine, monkeypatch):
    told = []
    work = engine.work
    monkeypatch.setattr(engine, "work", lambda kind, items: (_ for _ in ()).throw(MemoryError("no room\nat all")))

    async def talk(client, queue):
        client._transport.app = app.make_app(engine, queue, OPTIONS, told.append)
        failed = await client.post("/v1/solve/reconstruct", content=png(picture()), headers=PNG)
        monkeypatch.setattr(engine, "work", work)
        return failed, await client.post("/v1/solve/reconstruct", content=png(picture()), headers=PNG)

    failed, fine = service(talk)
    assert (failed.status_code, fine.status_code) == (500, 200)
    assert failed.json() == {"error": "the solve failed: no room at all"} and told == ["a solve failed: no room at all"]


def test_a_batch_is_what_the_memory_holds(engine, monkeypatch):
    from gekeras.restore import memory

    kind = Kind("reconstruct")
    need = engine._needs[kind[:2]].need
    monkeypatch.setattr(memory, "available", lambda: int((need.fixed + 5.5 * need.picture) / memory.SHARE))
    assert engine.most(kind) == 5
    assert engine.most(kind._replace(factor=3)) == 5  # as that of the usual size, until it has come
    monkeypatch.setattr(engine, "_needs", {})
    assert engine.most(kind) == 1


# -------------------------------------------------------------------------------------------------------- the page


def test_the_page_needs_nothing_from_outside(service):
    async def talk(client, _queue):
        return await client.get("/")

    reply = service(talk)
    text = reply.text
    assert (
        reply.headers["content-type"].startswith("text/html")
        and "default-src 'none'" in reply.headers["content-security-policy"]
    )
    assert not re.findall(r"(?:https?:)?//[\w.-]+\.\w+|@import|<link[^>]+stylesheet|\bsrc=", text)
    identifiers = re.findall(r'\bid="([\w-]+)"', text)
    assert len(set(identifiers)) == len(identifiers)
    assert set(re.findall(r'\$\("(\w+)"\)', text)) <= set(identifiers)
    assert set(re.findall(r'<label for="(\w+)"', text)) <= set(identifiers)
    assert "no evidence" in text and "guess" in text


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


# ----------------------------------------------------------------------------------------------------- the command


def run(*arguments):
    result = CliRunner().invoke(cli, ["serve", *map(str, arguments)], prog_name="gekeras")
    return result.exit_code, result.output.strip()


def test_the_command_refuses_in_one_line(models, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, text = run("--preset", "tiny", "--models", models, "--port", port)
    assert (code, text) == (
        2,
        f"gekeras: port {port} of 127.0.0.1 is taken: end what listens there, or name another one with --port",
    )
    for arguments, words in {
        ("--host", "no.such.host.invalid"): "'no.such.host.invalid' is no name or address that is known here",
        ("--host", "192.0.2.1"): "host: 192.0.2.1 is no address of this machine",
        ("--host", ""): "host must be a name or an address",
        ("--task", "deblur"): "preset 'tiny' has no task 'deblur'; it has",
        ("--port", "65536"): "65536 is not in the range",
        ("--max-pixels", "3"): "3 is not in the range",
    }.items():
        code, text = run("--preset", "tiny", "--models", models, "--port", 0, *arguments)
        assert code == 2 and words in text and text.count("\n") == 0, text
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "uvicorn" else find(name, *more))
    code, text = run("--preset", "tiny", "--models", models)
    assert (code, text) == (2, "gekeras: uvicorn needed to serve: pip install 'gekeras[serve]'")


def test_a_host_that_others_reach_is_warned_of(models, monkeypatch):
    from gekeras.service import server

    calls = []
    monkeypatch.setattr(server, "serve", lambda listener, *rest: calls.append(rest) or listener.close())
    code, text = run(
        "--preset", "tiny", "--models", models, "--port", 0, "--host", "0.0.0.0", "--task", "superres", "--batch", 3
    )
    lines = text.splitlines()
    assert code == 0 and sum("no authentication" in line for line in lines) == 1
    assert any(re.fullmatch(r"tiny at http://0\.0\.0\.0:\d+/, Ctrl-C stops it", line) for line in lines)
    ((preset, tasks, options, batch, _),) = calls
    assert (preset.name, tasks, options, batch) == ("tiny", ["superres"], ServiceOptions(host="0.0.0.0", port=0), 3)
    code, text = run("--preset", "tiny", "--models", models, "--port", 0)
    assert code == 0 and "authentication" not in text and calls[1][1] == ["superres", "reconstruct"]


def test_addresses():
    with address.bind("127.0.0.1", 0) as listener:
        assert address.url_of(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}/" and address.is_private(listener)
    six = SimpleNamespace(getsockname=lambda: ("fe80::1%eth0", 80, 0, 2))
    assert address.url_of(six) == "http://[fe80::1%eth0]:80/" and not address.is_private(six)
    assert ServiceOptions.__dataclass_fields__["max_pixels"].metadata["setting"].maximum == MAX_PIXELS


@pytest.mark.slow
def test_the_real_command_serves_and_ends_when_it_is_told_to(folder, solver, tmp_path):
    """Also in a browser, where there is one: nothing is wrong on the page's console."""
    command = [sys.executable, "cli.py", "serve", "--preset", "tiny", "--models", str(folder), "--port", "0"]
    command += ["--task", "superres", "--task", "inpaint"]
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True)
    with process:
        try:
            url = re.search(r"http://\S+/", process.stdout.readline())[0]
            with httpx.Client(base_url=url, timeout=120) as client:
                reply = client.post("/v1/solve/superres", content=png(picture(side=LOW)), headers=PNG)
                assert close(decoded(reply.content), alone(solver("superres"), picture(side=LOW))[0])
                large = client.post("/v1/solve/superres", content=b"x" * 30_000_000, headers=PNG)  # answered, not cut off
                assert large.status_code == 413
            if CHROMIUM:
                assert_page_is_fine(url, tmp_path / "browser")
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
    lines = (tmp_path / "errors").read_text().splitlines()
    assert set(lines) <= {"ready: superres, inpaint", "stopping: what was accepted is still answered"}


def assert_page_is_fine(url, profile):
    """As Chromium shows it, its scripts done."""
    options = ["--headless", "--no-sandbox", f"--user-data-dir={profile}", "--enable-logging=stderr"]
    command = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", url]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "Enlarge (superres)" in page.stdout and "CONSOLE" not in page.stderr
