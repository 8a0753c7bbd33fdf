"""The HTTP side: a page, its tasks as JSON, and pictures posted to a task. Nothing here computes."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from ..config import SolveOptions, settings
from ..config.service import ServiceOptions
from ..messages import reason_of
from . import about
from .engine import Engine, Kind, Reply
from .intake import Refusal, Sent, observed, of_json
from .queue import BatchQueue, Busy

PAGE = Path(__file__).resolve().parents[1] / "assets" / "serve.html"
BODY_SECONDS = 60  # in which a body has to arrive: a slot is not held by who sends nothing
REST = 4  # times the largest body: what of a refused one is read on, since many clients send all before they read
REST_SECONDS = 5
GONE = 499  # nobody reads it
QUERY = ("seed", "fidelity")
PAGE_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
}
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def make_app(engine: Engine, queue: BatchQueue, options: ServiceOptions, tell: Callable[[str], None] = print) -> Starlette:
    """The ASGI application.

    Args:
        engine: which tasks there are; it is not called.
        queue: of that engine, started by the caller.
        tell: called with a line for whoever runs the service, when a solve fails.
    """
    service = _Service(engine, queue, options, tell)
    handlers: dict[Any, Any] = {  # each takes the exception that it is for
        Refusal: _refused,
        Busy: _busy,
        ClientDisconnect: _gone,
        HTTPException: _no_such,
        Exception: _failed,
    }
    return Starlette(
        routes=[
            Route("/", service.page),
            Route("/healthz", service.health),
            Route("/v1/tasks", service.tasks),
            Route("/v1/solve/{task}", service.solve, methods=["POST"]),
        ],
        exception_handlers=handlers,
    )


class _Service:
    def __init__(self, engine: Engine, queue: BatchQueue, options: ServiceOptions, tell: Callable[[str], None]):
        self.engine, self.queue, self.options, self.tell = engine, queue, options, tell
        self.reader = ThreadPoolExecutor(1, "gekeras-read")  # one picture at a time is decoded, which bounds the memory

    async def page(self, _request: Request) -> Response:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"), headers=HEADERS | PAGE_HEADERS)

    async def health(self, _request: Request) -> Response:
        """200 once every task's networks are loaded and compiled, and as long as new pictures are accepted."""
        status = "stopping" if self.queue.stopping else "ok" if self.queue.ready else "loading"
        return JSONResponse({"status": status}, 200 if status == "ok" else 503, HEADERS)

    async def tasks(self, _request: Request) -> Response:
        return JSONResponse(about.described(self.engine.preset, self.engine.tasks, self.options), headers=HEADERS)

    async def solve(self, request: Request) -> Response:
        """A restored PNG for a picture. A refusal is decided upon as early as it can be."""
        try:
            task = self._task(request.path_params["task"])
            kind = Kind(task.name, **_asked(request))
            is_json = _is_json(request)
            _check_length(request, self.options.max_bytes)
            with self.queue.slot():
                body = await _body(request, self.options.max_bytes)
                item = await self._read(body, is_json, task)
                reply = await self._answer(request, self.queue.put(kind._replace(factor=item.task.factor), item))
        except (Refusal, Busy):
            await _read_on(request, REST * self.options.max_bytes)
            raise
        return Response(reply.png, media_type="image/png", headers=HEADERS | _numbers(reply))

    def _task(self, name: str):
        if name not in self.engine.tasks:
            raise Refusal(422, f"unknown task {name[:80]!r}; there are {', '.join(self.engine.tasks)}")
        return self.engine.tasks[name]

    async def _read(self, body: bytes, is_json: bool, task):
        """The observation of a body, read in another thread."""

        def read():
            sent = of_json(body) if is_json else Sent(body)
            return observed(sent, task, self.engine.shape, self.options.max_pixels)

        return await asyncio.get_running_loop().run_in_executor(self.reader, read)

    async def _answer(self, request: Request, future: Future) -> Reply:
        """A job's reply; the job is withdrawn if the client leaves before its turn. Raises ClientDisconnect."""
        waiting = asyncio.wrap_future(future)
        gone = asyncio.ensure_future(_left(request))
        try:
            await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise ClientDisconnect
            return waiting.result()
        except asyncio.CancelledError:  # of the job by `BatchQueue.stop`, or of this request by a server that ends at once
            raise Busy("the service has stopped") from None
        except (ClientDisconnect, Busy):
            raise
        except Exception as error:
            self.tell(f"a solve failed: {reason_of(error)}")
            raise Refusal(500, f"the solve failed: {reason_of(error)}") from error
        finally:
            gone.cancel()
            waiting.cancel()


async def _left(request: Request) -> None:
    """Returns when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


# ---------------------------------------------------------------------------------------------- what is asked for


def _asked(request: Request) -> dict[str, Any]:
    """Seed and fidelity of the query. Raises Refusal for anything else there."""
    query = request.query_params
    if unknown := [name for name in query if name not in QUERY]:
        raise Refusal(422, f"unknown parameter {unknown[0][:80]!r}; there are {', '.join(QUERY)}")
    if repeated := [name for name in query if len(query.getlist(name)) > 1]:
        raise Refusal(422, f"{repeated[0]} is given more than once")
    fidelity, seed = query.get("fidelity", about.FIDELITIES[0]), query.get("seed", "0")
    if fidelity not in about.FIDELITIES:
        raise Refusal(422, f"fidelity must be one of {', '.join(about.FIDELITIES)}; received {fidelity[:80]!r}")
    its = settings(SolveOptions)["seed"]
    if not (re.fullmatch("[0-9]{1,10}", seed) and its.allows(int(seed))):
        raise Refusal(422, f"seed {its.rule}; received {seed[:80]!r}")
    return {"fidelity": fidelity, "seed": int(seed)}


def _is_json(request: Request) -> bool:
    """Whether the body is JSON, and not a picture itself. Raises Refusal if it is said to be something else."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return True
    if kind.startswith("image/"):
        return False
    found = f"received {kind[:80]}" if kind else "there is none"
    raise Refusal(415, f"Content-Type must be image/..., the body being the file, or application/json; {found}")


def _check_length(request: Request, most: int) -> None:
    """Raise Refusal for a body that is said to be too large. One that does not say so is counted when it comes."""
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length) > most:
        raise Refusal(413, f"the body has {int(length):,} bytes: at most {most:,} are accepted")


async def _body(request: Request, most: int) -> bytes:
    """The body. Raises Refusal if it is too large, empty, or too slow."""

    async def read() -> bytes:
        parts, length = [], 0
        async for part in request.stream():
            length += len(part)
            if length > most:
                raise Refusal(413, f"the body is too large: at most {most:,} bytes are accepted")
            parts.append(part)
        request.state.whole = True
        return b"".join(parts)

    try:
        body = await asyncio.wait_for(read(), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise Refusal(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None
    if not body:
        raise Refusal(415, "the body is empty: send a picture")
    return body


async def _read_on(request: Request, most: int) -> None:
    """Read the rest of a refused body and forget it, up to a limit."""

    async def read() -> None:
        length = 0
        while length <= most:
            message = await request.receive()
            length += len(message.get("body", b""))
            if message["type"] == "http.disconnect" or not message.get("more_body", False):
                return

    if getattr(request.state, "whole", False) or request.headers.get("expect", "").lower() == "100-continue":
        return  # who waits for a word has sent nothing
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(read(), REST_SECONDS)


# ------------------------------------------------------------------------------------------------------- answers


def _numbers(reply: Reply) -> dict[str, str]:
    found = {
        "x-gekeras-loss": f"{reply.loss:.6g}",
        "x-gekeras-steps": str(reply.steps),
        "x-gekeras-seconds": f"{reply.seconds:.3f}",
        "x-gekeras-batch": str(reply.batch),
    }
    return found | ({"x-gekeras-note": reply.note.encode("ascii", "replace").decode()} if reply.note else {})


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": reason}, status, HEADERS | (headers or {}))


async def _refused(_request: Request, error: Refusal) -> Response:
    return _error(error.status, error.reason)


async def _busy(_request: Request, error: Busy) -> Response:
    return _error(503, str(error), {"retry-after": "5"})


async def _gone(_request: Request, _error: ClientDisconnect) -> Response:
    return Response(status_code=GONE)


async def _failed(_request: Request, error: Exception) -> Response:
    """What nobody thought of; its traceback goes to stderr."""
    return _error(500, reason_of(error))


async def _no_such(request: Request, error: HTTPException) -> Response:
    """404 and 405 of the routes."""
    reasons = {
        404: f"there is no {request.url.path[:80]} here; see /v1/tasks",
        405: f"{request.method} is not for {request.url.path[:80]}",
    }
    return _error(error.status_code, reasons.get(error.status_code, error.detail), dict(error.headers or {}))
