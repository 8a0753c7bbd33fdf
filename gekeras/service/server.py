"""The service as a process: the server, its signals, and the end."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable

import uvicorn

from ..config.service import ServiceOptions
from ..networks.presets import Preset
from ..restore.memory import MOST
from .app import make_app
from .engine import Engine
from .queue import BatchQueue

LAST_SECONDS = 30  # in which the last answers have to be taken


def serve(
    listener: socket.socket,
    preset: Preset,
    tasks: list[str],
    options: ServiceOptions,
    batch: int | None = None,
    tell: Callable[[str], None] = print,
) -> None:
    """Serve until SIGTERM or SIGINT; what has been accepted by then is still answered.

    Args:
        listener: see `address.bind`.
        tasks: names of the preset's tasks that are served.
        batch: pictures at once; None: what the memory holds.
        tell: called with lines for whoever runs the service.

    Raises:
        ValueError: networks that cannot be loaded.
        KeyboardInterrupt: a second signal came before all was answered.
    """
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of what `Engine.prepare` compiles, task after task
    engine = Engine(preset, tasks, batch, tell)
    queue = BatchQueue(engine, capacity=options.queue, wait=options.wait_ms / 1000, enough=batch or MOST)
    app = make_app(engine, queue, options, tell)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=LAST_SECONDS,
    )
    server = _Server(config, queue, tell)
    queue.start()
    threading.Thread(target=server.end_after, args=(queue.join,), daemon=True).start()
    try:
        server.run(sockets=[listener])
    finally:
        queue.stop(abandon=server.force_exit)
        queue.join()
    if queue.failure is not None:
        raise queue.failure
    if server.force_exit:
        raise KeyboardInterrupt("stopped before all was answered")


class _Server(uvicorn.Server):
    """Goes on for as long as a queue has something to answer; new requests are refused with 503 meanwhile."""

    def __init__(self, config: uvicorn.Config, queue: BatchQueue, tell: Callable[[str], None]):
        super().__init__(config)
        self.queue, self.tell, self.asked = queue, tell, False

    def handle_exit(self, sig, frame) -> None:
        """Of a signal, in the middle of anything, so that locks are for another thread. Not remembered as uvicorn does:
        it would raise the signal again at the end."""
        if self.asked:
            self.should_exit = self.force_exit = True
            return
        self.asked = True
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        self.tell("stopping: what was accepted is still answered")
        self.queue.stop()

    def end_after(self, wait: Callable[[], None]) -> None:
        """The queue's thread ends when nobody waits for an answer any longer, or when it fails."""
        wait()
        self.should_exit = True
