"""`gekeras.restore.files` does in Python what the command does, and refuses before TensorFlow is imported."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import gekeras
from gekeras import images
from gekeras.cli import cli
from gekeras.config import PictureOptions
from gekeras.networks import ModelOptions
from gekeras.restore import Outputs, files

FEW = {"steps": 3, "starts": 2}


@pytest.fixture
def model(models):
    """Of the tiny preset, for a task."""
    return lambda task="superres", **given: ModelOptions(task, "tiny", models, **given)


@pytest.fixture
def folder(tmp_path, pictures, monkeypatch):
    for name in ("p00.png", "p01.png"):
        shutil.copy(pictures / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_it_is_the_command(folder, model, models):
    result = files(["p00.png"], model(), changes=FEW, pictures=PictureOptions(simulate=True), outputs=Outputs("a.png"))[0]
    arguments = ["solve", "--task", "superres", "--preset", "tiny", "--models", str(models), "--simulate", "p00.png"]
    called = CliRunner().invoke(cli, [*arguments, "--steps", "3", "--starts", "2", "-o", "b.png"])
    assert called.exit_code == 0, called.output
    np.testing.assert_array_equal(images.read("a.png"), images.read("b.png"))
    written, same = (json.loads((folder / name).read_text()) for name in ("a.json", "b.json"))
    timed = ("seconds", "memory")
    assert {k: v for k, v in written.items() if k not in timed} == {k: v for k, v in same.items() if k not in timed}
    assert result.record == written and called.output.split(" s, ")[1].strip() == result.summary().split(" s, ")[1]


def test_results_are_in_the_order_of_the_inputs(folder, model):
    """And each is what is written, up to the rounding of a file."""
    results = files(["p01.png", folder / "p00.png"], model("reconstruct"), changes=FEW, outputs=Outputs("out"))
    assert [result.path.name for result in results] == ["p01.restored.png", "p00.restored.png"]
    for result in results:
        np.testing.assert_allclose(images.read(result.path), np.clip(result.image, -1, 1), atol=1.01 / 255)


def test_what_it_tells(folder, model):
    lines, ticks = [], []
    options = {"changes": FEW, "pictures": PictureOptions(simulate=True), "batch": 1}
    files(["p00.png", "p01.png"], model(), tell=lines.append, progress=lambda *tick: ticks.append(tick[:2]), **options)
    assert lines == ["solving 1 at a time"] and ticks[-1] == (6, 6)


@pytest.mark.parametrize(
    "given, says",
    [
        ({"pictures": PictureOptions(box=(0, 0, 4, 4))}, "box belongs to one picture; 2 are given"),
        ({"samples": 3, "preview": True}, "preview solves nothing"),
        ({"outputs": Outputs("a.png")}, "a.png is a file, but there are 2 inputs"),
        ({"outputs": Outputs(panel="p00.png")}, "p00.png is an input"),
        ({"outputs": Outputs(panel="p00.restored.png")}, "p00.restored.png is a result"),
        ({"outputs": Outputs("no/such/folder")}, "does not exist"),
        ({"fidelity": "perfect"}, "unknown fidelity 'perfect'"),
        ({"inputs": []}, "one picture file or more, in a list; received \\[\\]"),
        ({"inputs": "p00.png"}, "in a list; received 'p00.png'"),
        ({"inputs": ["."]}, r"\.: is a folder"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(folder, model, given, says):
    with pytest.raises(ValueError, match=says):
        files(given.pop("inputs", ["p00.png", "p01.png"]), model(), **given)
    assert sorted(path.name for path in folder.iterdir()) == ["p00.png", "p01.png"]


def test_files_and_places_are_refused_before_tensorflow(folder):
    program = """
import sys, gekeras
for inputs, output in (["no.png"], None), (["p00.png"], "p00.xyz"), (["p00.png", "p01.png"], "a.png"):
    try:
        gekeras.restore.files(inputs, "superres", outputs=gekeras.restore.Outputs(output))
    except ValueError:
        continue
    raise SystemExit("not refused")
sys.exit("tensorflow" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=folder, env={"PYTHONPATH": _root()})


def _root():
    return str(Path(gekeras.__file__).parents[1])
