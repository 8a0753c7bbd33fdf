"""`gekeras.restore.files` does in Python what the command does, and refuses before TensorFlow is imported."""

import contextlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import gekeras
from gekeras import images
from gekeras.cli import cli
from gekeras.config import PictureOptions, SolveOptions
from gekeras.networks import CustomNetworks, ModelOptions
from gekeras.operators import make_task
from gekeras.pictures import faces, observations
from gekeras.restore import Outputs, effects, files, job
from gekeras.restore.paths import Places

pytestmark = pytest.mark.usefixtures("compiled_once")

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
    timed = ("seconds", "memory", "job")
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
        ({"samples": 3, "outputs": Outputs(animate="a.gif")}, "animate shows one solve"),
        ({"samples": 3, "changes": {"starts": 4, "finalists": 2}}, "finalists compete in one"),
        ({"preview": True, "outputs": Outputs(animate="a.gif")}, "animate shows a solve, and preview solves nothing"),
        ({"preview": True, "changes": {"consistent": True}}, "consistent is for a solve"),
        ({"preview": True, "changes": {"steps": 0}}, "steps is for a solve"),
        ({"preview": True, "fidelity": "best"}, "fidelity is for a solve"),
        ({"outputs": Outputs("a.png")}, "a.png is a file, but there are 2 inputs"),
        ({"outputs": Outputs(panel="p00.png")}, "p00.png is an input"),
        ({"outputs": Outputs(panel="p00.restored.png")}, "p00.restored.png is a result"),
        ({"outputs": Outputs("no/such/folder")}, "does not exist"),
        ({}, "p00.png: 16x16 is too large for superres, which makes 16x16 of smaller pictures: --align face takes"),
        ({"fidelity": "perfect", "pictures": PictureOptions(simulate=True)}, "unknown fidelity 'perfect'"),
        ({"inputs": []}, "one picture file or more, in a list; received \\[\\]"),
        ({"inputs": "p00.png"}, "in a list; received 'p00.png'"),
        ({"inputs": ["."]}, r"\.: is a folder"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(folder, model, given, says):
    with pytest.raises(ValueError, match=says):
        files(given.pop("inputs", ["p00.png", "p01.png"]), model(), **given)
    assert sorted(path.name for path in folder.iterdir()) == ["p00.png", "p01.png"]


def test_networks_that_would_not_be_looked_at(folder, model):
    own = CustomNetworks(generator=lambda z: z, latent_size=8)
    for given, says in (({"custom": own}, "generator is for a solve"), ({"forward": "identity"}, "forward is for a solve")):
        with pytest.raises(ValueError, match=says):
            files(["p00.png"], model(**given), preview=True)


@pytest.mark.parametrize(
    "task, given, pictures, changes, says",
    [
        ("denoise", {"sigma": 0.3}, {}, {}, "sigma of denoise would change nothing: the pictures are degraded only if you"),
        ("denoise", {"sigma": 0.3}, {"simulate": True}, {}, None),
        ("deblur", {"sigma": 1.0}, {}, {"pixel_weight": 0}, "sigma of deblur would change nothing"),
        ("deblur", {"sigma": 1.0, "size": 3}, {}, {"pixel_weight": 0}, "sigma, size of deblur would change nothing"),
        ("deblur", {"sigma": 1.0}, {}, {"pixel_weight": 0.1}, None),
        ("deblur", {"sigma": 1.0}, {}, {"consistent": True}, None),
        (
            "inpaint",
            {"size": 0.2},
            {"box": (1, 1, 3, 3)},
            {},
            "size of inpaint would change nothing: the pictures have what",
        ),
        ("inpaint", {"size": 0.2}, {"box": (1, 1, 3, 3), "simulate": True}, {}, "size of inpaint would change nothing"),
        ("inpaint", {"size": 0.2}, {"simulate": True}, {}, None),
        ("superres", {"kernel": "bicubic"}, {}, {}, None),
        ("superres", {"size": 5}, {}, {"consistent": True}, "size of superres would change nothing: a picture has its own"),
        *(("superres", {"size": 8}, {way: True}, {}, None) for way in ("simulate", "reduce", "tile", "align")),
        ("mine", {"operator": "Noise"}, {}, {}, None),
    ],
)
def test_parameters_that_nothing_looks_at(task, given, pictures, changes, says):
    made = make_task(task, 16, **given)
    check = (made, ModelOptions(task, parameters=given), PictureOptions(**pictures), SolveOptions(**changes))
    with pytest.raises(ValueError, match=says) if says else contextlib.nullcontext():
        effects.check_parameters(*check)


def test_parameters_of_a_blur_that_is_the_forward_map():
    task = make_task("deblur", 16, sigma=1.0)
    for forward, refused in ((None, True), ("degrade", False)):
        networks = ModelOptions("deblur", parameters={"sigma": 1.0}, forward=forward)
        with pytest.raises(ValueError, match="nothing") if refused else contextlib.nullcontext():
            effects.check_parameters(task, networks, PictureOptions(), SolveOptions())
    with pytest.raises(ValueError, match="sigma of deblur would change nothing"):  # of a preview
        effects.check_parameters(task, ModelOptions("deblur", parameters={"sigma": 1.0}), PictureOptions(), None)


def test_photographs_without_a_face_are_left_out(folder, model, monkeypatch):
    """The places of the others are their own, and what is written of them is what is written without it."""
    second = images.read("p01.png")
    found = lambda picture: [faces.Box(2, 2, 12)] if (picture == second).all() else []  # noqa: E731
    monkeypatch.setattr(faces, "find", found)
    asked, lines = {"preview": True, "outputs": Outputs("out")}, []
    with pytest.raises(ValueError, match=r"no face found in p00.png; --skip-faceless leaves it out"):
        files(["p00.png", "p01.png"], model("reconstruct"), pictures=PictureOptions(align=True), **asked)
    assert not (folder / "out").exists()
    pictures = PictureOptions(align=True, skip_faceless=True)
    (result,) = files(["p00.png", "p01.png"], model("reconstruct"), pictures=pictures, tell=lines.append, **asked)
    assert lines[0] == "no face found in p00.png: left out" and result.path == Path("out/p01.restored.png")
    assert result.record["input"] == "p01.png"
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["p01.restored.json", "p01.restored.png"]


def test_the_places_of_those_that_are_left():
    inputs = [Path(name) for name in ("a.png", "b.png", "c.png")]
    items = [observations.Observation(path, *[None] * 7) for path in inputs[1:]]
    places = Places(
        [path.with_suffix(".1") for path in inputs], [path.with_suffix(".2") for path in inputs], animate="a.gif"
    )
    left = Places([Path("b.1"), Path("c.1")], [Path("b.2"), Path("c.2")], animate="a.gif")
    assert job._places_of_those_left(places, inputs, items) == left


def test_a_gray_file_is_restored_in_gray(folder, model):
    """In one channel, as its frames are, and scored so; beside one in color that keeps its colors."""
    Image.open("p00.png").convert("L").save("gray.png")
    outputs = Outputs("out", panel="panel.png", animate="a.gif")
    results = files(["gray.png", "p01.png"], model("reconstruct"), changes={"steps": 0}, outputs=outputs)
    gray, color = (images.read(result.path) for result in results)
    assert gray.shape == (16, 16, 1) and color.shape == (16, 16, 3) and np.ptp(color, axis=-1).max() > 0.05
    assert results[0].record["metrics"]["mse"] == pytest.approx(np.mean((gray - images.read("gray.png")) ** 2), rel=0.02)
    with Image.open("a.gif") as film:
        for k in range(film.n_frames):
            film.seek(k)
            assert np.ptp(np.asarray(film.convert("RGB")).astype(int), axis=-1).max() == 0


def test_sizes_that_only_the_networks_tell(folder, model):
    """Of a generator of one's own, or of a task that is not what its name says."""
    own = CustomNetworks(generator=lambda z: z[:, :1, None, None] * np.ones((1, 32, 32, 3), np.float32), latent_size=2)
    small, large = [Path("p00.png")], [Path("p00.png"), Path("large.png")]
    Image.new("RGB", (9, 16)).save("large.png")
    for networks in (model(custom=own), model("reconstruct"), model(parameters={"factor": 1})):
        effects.check_sizes(small, networks, PictureOptions())
    effects.check_sizes(large, model(parameters={"operator": "Noise"}), PictureOptions())
    for asked in ("simulate", "tile", "align", "reduce"):
        effects.check_sizes(large, model(), PictureOptions(**{asked: True}))
    for networks in (model(), model(parameters={"factor": 1, "size": 5})):
        with pytest.raises(ValueError, match=r"p00.png: 16x16 is too large for superres"):
            effects.check_sizes(large, networks, PictureOptions())


def test_files_and_places_are_refused_before_tensorflow(folder):
    Image.new("RGB", (64, 10)).save("large.png")
    program = """
import sys, gekeras
for inputs, output in (["no.png"], None), (["p00.png"], "p00.xyz"), (["p00.png", "p01.png"], "a.png"), (["large.png"], None):
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
