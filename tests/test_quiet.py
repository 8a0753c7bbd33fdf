"""What TensorFlow logs while it is imported is left out, and nothing else: here with a stand-in that writes the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOGGED = """WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795699619.447967   23050 port.cc:153] oneDNN custom operations are on.
E0000 00:00:1795699645.764966   23056 cuda_platform.cc:52] failed call to cuInit
"""
KEPT = """Invalid thing
F0000 00:00:1795699645.764966   23056 cpu_feature_guard.cc:64] compiled to use AVX instructions
"""


def imported(folder, ending, level="3"):
    """Exit code and stderr of a process that imports `tensorflow`, which writes these lines and then does `ending`."""
    (folder / "tensorflow.py").write_text(f"import os\nos.write(2, {LOGGED + KEPT!r}.encode())\n{ending}\n")
    program = "from gekeras.cli import quiet; quiet.install(); import tensorflow, os; os.write(2, b'I0000 after\\n')"
    environment = {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}", "TF_CPP_MIN_LOG_LEVEL": level}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


@pytest.mark.parametrize("level, logged", [("3", ""), ("0", LOGGED)])
def test_log_lines_of_the_import_are_left_out_unless_asked_for(tmp_path, level, logged):
    assert imported(tmp_path, "", level) == (0, f"{logged}{KEPT}I0000 after\n")


def test_an_import_that_fails_or_ends_the_process_is_still_told(tmp_path):
    code, errors = imported(tmp_path, "raise ImportError('no such library')")
    assert code == 1 and errors.startswith(KEPT + "Traceback") and errors.endswith("ImportError: no such library\n")
    code, errors = imported(tmp_path, "os.abort()")
    assert code < 0 and errors == KEPT
