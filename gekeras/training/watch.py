"""A second process beside a worker that waits for the others to start, which says so and ends the worker in the end.

While TensorFlow 2.15 waits it holds the interpreter, so that no thread of the worker itself could do that.
"""

from __future__ import annotations

import os
import select
import signal
import sys

NOTICE = 5.0  # seconds after which it is worth a line


def main(process: str, patience: str, others: str) -> None:
    """Kill `process` unless standard input is closed within `patience` seconds: by it, or by its end."""
    seconds, first = float(patience), min(NOTICE, float(patience))
    if _closed(first):
        return
    _say(f"waiting for {others}")
    if not _closed(seconds - first):
        _say(f"{others} did not start within {seconds / 60:.3g} minutes: giving up")
        os.kill(int(process), signal.SIGKILL)  # nothing less reaches it


def _closed(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _say(text: str) -> None:
    print(f"gekeras: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
