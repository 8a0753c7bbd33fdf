"""With what a run was started: `environment.json`, one record a start."""

from __future__ import annotations

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from .. import files
from .._version import __version__


def record_start(folder: Path) -> None:
    """Append a record of this start to `environment.json`."""
    path = folder / "environment.json"
    try:
        before = json.loads(path.read_text())
    except (OSError, ValueError):
        before = []
    files.write_json(path, [*before, environment()])


def environment() -> dict[str, Any]:
    """When, with which versions and on what this process runs."""
    return {
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "gekeras": __version__,
        "revision": revision(),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "replicas": tf.distribute.get_strategy().num_replicas_in_sync,
        "command": " ".join(["gekeras", *sys.argv[1:]]),
    }


def revision() -> str:
    """The checkout's git revision, with `+` where it has changes; "" outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    try:
        commit, changes = (
            subprocess.run(["git", "-C", str(root), *command], capture_output=True, text=True, timeout=20, check=True).stdout
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.strip() + ("+" if changes.strip() else "")
