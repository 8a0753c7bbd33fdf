"""The way to a server by REST: JSON over HTTP/1.1, with the standard library alone."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import time
from typing import Any

from ..messages import plain
from .calls import BROKEN, DENIED, ENCODED, LARGEST, LATE, MISSING, OTHER, REFUSED, UNAVAILABLE, Access, CallError, words_of

KINDS = {400: REFUSED, 401: DENIED, 403: DENIED, 404: MISSING, 408: LATE, 503: UNAVAILABLE, 504: LATE}
PIECE = 2**16  # bytes


class REST:
    """Each call has a connection of its own. Raises ValueError as `Access.certificates`."""

    name = "REST"

    def __init__(self, access: Access):
        self.address, self.key, self.context = access.address, access.key, None
        if access.tls:
            trusted = access.certificates()
            self.context = ssl.create_default_context(cadata=trusted.decode("ascii", "ignore") if trusted else None)

    def predict(self, model: str, inputs: dict[str, list], seconds: float) -> dict[str, list]:
        sent = {name: _encoded(values) if name.endswith("_bytes") else values for name, values in inputs.items()}
        answer = self._asked("POST", f"/v1/models/{model}:predict", seconds, {"signature_name": ENCODED, "inputs": sent})
        outputs: Any = answer.get("outputs")
        try:
            return {name: _decoded(values) if name.endswith("_bytes") else list(values) for name, values in outputs.items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CallError(OTHER, "an answer without outputs as TensorFlow Serving gives them") from error

    def serves(self, model: str, seconds: float) -> bool:
        try:
            versions = self._asked("GET", f"/v1/models/{model}", seconds).get("model_version_status")
        except CallError as error:
            if error.kind == MISSING:
                return False
            raise
        states = [version.get("state") for version in versions or () if isinstance(version, dict)]
        return "AVAILABLE" in states

    def close(self) -> None:
        pass

    def _asked(self, method: str, path: str, seconds: float, body: Any = None) -> dict[str, Any]:
        """The JSON object of an answer."""
        try:
            status, data = self._exchanged(method, path, time.monotonic() + seconds, body)
        except (socket.timeout, TimeoutError) as error:  # two classes until Python 3.10
            raise CallError(LATE, "no answer") from error
        except ConnectionRefusedError as error:
            raise CallError(UNAVAILABLE, "connection refused") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or plain(str(error))
            if type(error) is http.client.BadStatusLine:  # its text is what came
                reason = "an answer that is no HTTP"
            raise CallError(BROKEN, f"{type(error).__name__}: {reason}") from error
        try:
            found = json.loads(data)
        except ValueError:
            found = None
        if status == 200 and isinstance(found, dict):
            return found
        said = found.get("error") if isinstance(found, dict) else None
        text = words_of(said) if isinstance(said, str) else f"HTTP status {status}, and no JSON object that says why"
        kind = KINDS.get(status, OTHER)
        if not isinstance(said, str) and kind in (REFUSED, MISSING):  # somebody else's
            kind = OTHER
        raise CallError(kind, f"{status}: {text}" if kind == OTHER and said else text)

    def _exchanged(self, method: str, path: str, end: float, body: Any) -> tuple[int, bytes]:
        """(status, body) of an answer that is whole by then."""
        left = max(end - time.monotonic(), 0.001)
        connection: http.client.HTTPConnection
        if self.context:
            connection = http.client.HTTPSConnection(*self.address, timeout=left, context=self.context)
        else:
            connection = http.client.HTTPConnection(*self.address, timeout=left)
        headers = {"Content-Type": "application/json", **({"x-api-key": self.key} if self.key else {})}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            stream = connection.sock
            _wait(stream, end)
            with connection.getresponse() as answer:  # which has the socket, once the server said that it closes it
                return answer.status, _read(answer, stream, end)
        finally:
            connection.close()


def _read(answer: http.client.HTTPResponse, stream: socket.socket, end: float) -> bytes:
    data = bytearray()
    while not answer.isclosed():
        _wait(stream, end)
        if not (piece := answer.read1(PIECE)):
            break
        data += piece
        if len(data) > LARGEST:
            raise http.client.HTTPException(f"an answer of more than {LARGEST:,} bytes")
    if answer.length:
        raise http.client.IncompleteRead(bytes(data), answer.length)
    return bytes(data)


def _wait(stream: socket.socket, end: float) -> None:
    """Let it wait until then and not, as sockets do, as long for each piece."""
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    stream.settimeout(left)


def _encoded(values: list[bytes]) -> list[dict[str, str]]:
    return [{"b64": base64.b64encode(value).decode("ascii")} for value in values]


def _decoded(values: list[dict[str, str]]) -> list[bytes]:
    return [base64.b64decode(value["b64"], validate=True) for value in values]
