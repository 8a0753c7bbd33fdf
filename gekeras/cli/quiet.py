"""TensorFlow is imported without its log lines.

From 2.17 on it heeds TF_CPP_MIN_LOG_LEVEL only once it is loaded, and logs while it is. Until then what it writes goes
through this file as a program: another process, so that the message with which TensorFlow may end this one is still seen.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys

NONE = "3"  # the TF_CPP_MIN_LOG_LEVEL that asks for no log lines
# `I0000 00:00:1795699619.447967   23050 port.cc:153] ...`: of information, a warning or an error; F, which ends it, passes.
LOG_LINE = re.compile(
    rb"[IWE]\d{4} \d\d:\d\d:\d+\.\d+\s+\d+ \S+:\d+\]|WARNING: All log messages before absl::InitializeLog\(\)"
)


def install() -> None:
    """Import TensorFlow inside `without_log_lines` when its time comes, unless log lines are asked for."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == NONE and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds TensorFlow as the finders after it do, once."""

    def find_spec(self, name, _path=None, _target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def quietly(module):
                with without_log_lines():
                    execute(module)

            spec.loader.exec_module = quietly  # type: ignore[method-assign]  # on purpose: of this one loader
        return spec


@contextlib.contextmanager
def without_log_lines():
    """What is written to file descriptor 2 meanwhile arrives without log lines."""
    stderr = os.dup(2)
    try:
        with subprocess.Popen([sys.executable, "-I", "-S", __file__], stdin=subprocess.PIPE) as process:
            os.dup2(process.stdin.fileno(), 2)  # type: ignore[union-attr]  # there is one of a PIPE
            try:
                yield
            finally:
                os.dup2(stderr, 2)  # before the process is waited for: it reads until nobody can write
    finally:
        os.close(stderr)


def main() -> None:
    """Standard input to standard error, without log lines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that writes, which then ends this one
    for line in sys.stdin.buffer:
        if not LOG_LINE.match(line):
            os.write(2, line)


if __name__ == "__main__":
    main()
