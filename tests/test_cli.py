"""The command line: results land where they should, and a mistake costs one line on stderr, exit code 2 and nothing else."""

import inspect
import io
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from conftest import BORROWED, SIDE, TASKS
from PIL import Image

from gekeras import __version__, images, metrics
from gekeras.cli import cli
from gekeras.cli.options import progress_bar
from gekeras.networks import presets
from gekeras.operators import bicubic, make_task
from gekeras.restore import codes

pytestmark = pytest.mark.usefixtures("compiled_once")

QUICK = ["--steps", "3", "--starts", "2"]


WITH_MODELS = ("solve", "eval", "presets", "demo", "encode", "decode")


@pytest.fixture
def run(every_task):
    """`run(*arguments)` -> click's result; commands that use a preset get the tiny one."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click before 8.2

    def invoke(command, *arguments):
        given = [str(a) for a in arguments]
        needed = command in WITH_MODELS and not {"--generator", "--encoder"} <= {*given}
        if needed and "--models" not in given:
            given += ["--models", str(every_task)]
        if needed and command != "presets" and "--preset" not in given:
            given += ["--preset", "tiny"]
        return CliRunner(**apart).invoke(cli, [*command.split(), *given], prog_name="gekeras")

    return invoke


@pytest.fixture
def preset(every_task):
    return presets.load("tiny", every_task)


@pytest.fixture
def succeed(run):
    def invoke(*arguments):
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        return result

    return invoke


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def refuse(run, tmp_path):
    """Run a command that has to be refused; returns its one line on stderr."""

    def invoke(*arguments):
        before = contents(tmp_path)
        result = run(*arguments)
        assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
        assert len(result.stderr.splitlines()) == 1 and result.stderr.startswith("gekeras: "), result.stderr
        assert result.stdout == ""
        assert contents(tmp_path) == before
        return result.stderr

    return invoke


def picture(path, height, width, seed=0, mode="RGB"):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def small(tmp_path):
    """A measurement of exactly the size the tiny preset restores from: 4x4."""
    return picture(tmp_path / "small.png", 4, 4)


@pytest.fixture
def portrait(tmp_path):
    return picture(tmp_path / "portrait.png", SIDE, SIDE, seed=1)


def solve(*arguments):
    return ("solve", "--task", "superres", *(() if "--preview" in arguments else QUICK), *arguments)


# ------------------------------------------------------------------------------------------------------- solve


def test_superres_of_an_observation(succeed, small, tmp_path):
    result = succeed(*solve(small))
    restored = images.read(tmp_path / "small.restored.png")
    assert restored.shape == (SIDE, SIDE, 3)
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'small.restored.png'}: loss ") and " after 3 steps, " in line and "PSNR" not in line
    record = json.loads((tmp_path / "small.restored.json").read_text())
    assert (record["task"], record["preset"], record["method"]) == ("superres", "tiny", "GE")
    assert record["parameters"] == {"factor": 4, "kernel": "box"} and record["pieces"] == 1
    assert (record["seed"], record["steps"], record["batch"]) == (0, 3, 1)
    assert record["input"] == str(small) and record["note"] == "" and record["loss"] > 0 and record["seconds"] > 0
    assert record["options"]["steps"] == 3 and record["options"]["starts"] == 2 and record["options"]["optimizer"] == "lbfgs"
    assert set(record["versions"]) == {"gekeras", "tensorflow", "numpy", "python"}
    assert record["device"] == "CPU" and not {"metrics", "bicubic", "observation"} & set(record)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.png", "small.restored.json", "small.restored.png"]


def test_the_result_is_the_library_s(succeed, small, tmp_path, preset):
    from gekeras import GenerativeEncoder

    succeed(*solve(small, "--seed", 5, "--weight", 0.5, "--prior", "norm"))
    model = GenerativeEncoder.from_preset(preset, "superres")
    options = model.options("fast", steps=3, starts=2, seed=5, weight=0.5, prior="norm")
    solution = model.solve(images.read(small, 3)[None], options)
    written = images.read(tmp_path / "small.restored.png")
    np.testing.assert_allclose(written, np.clip(solution.image[0], -1, 1), atol=2.01 / 255)
    record = json.loads((tmp_path / "small.restored.json").read_text())
    assert record["loss"] == pytest.approx(solution.loss[0], rel=1e-4)


def test_a_larger_picture_is_reduced_if_that_is_asked_for_and_that_is_said(succeed, refuse, tmp_path):
    wide = picture(tmp_path / "wide.png", 20, 30)
    assert "wide.png: 30x20 is too large for superres, which makes 16x16 of smaller pictures: " in refuse(*solve(wide))
    result = succeed(*solve(wide, "--reduce"))
    note = "wide.png: 30x20 cropped square and reduced to 4x4"
    assert result.stderr.splitlines() == [note]
    assert json.loads((tmp_path / "wide.restored.json").read_text())["note"] == note
    reduced = tmp_path / "reduced.tif"
    images.write(reduced, images.fit(images.read(wide), 4))
    succeed(*solve(reduced))
    one, other = (images.read(tmp_path / f"{name}.restored.png") for name in ("wide", "reduced"))
    assert np.abs(one - other).max() < 0.2  # but for the rounding to 8 bits in between


@pytest.mark.parametrize("mode", [[], ["--preview"]], ids=str)
def test_pictures_of_several_sizes(succeed, tmp_path, mode):
    """Each is solved as the small picture that it is, as it would be alone; results are in the order of the inputs."""
    sizes = {"a": (4, 4), "b": (7, 5), "c": (4, 4), "d": (5, 5)}
    paths = [picture(tmp_path / f"{name}.png", *size, seed=k) for k, (name, size) in enumerate(sizes.items())]
    result = succeed(*solve(*paths, *mode, "-o", tmp_path / "out", "--panel", tmp_path / "panel.png"))
    written = [line.partition(": ")[0] for line in result.stdout.splitlines()[:4]]
    assert written == [str(tmp_path / "out" / f"{name}.restored.png") for name in sizes]
    assert result.stderr.splitlines() == [
        "b.png: 5x7 cropped square to 5x5, which the encoder sees as 4x4",
        "d.png: 5x5, which the encoder sees as 4x4",
    ]
    records = [record_of(path) for path in written]
    own = {"factor": 4, "kernel": "box"}
    assert [record["parameters"] for record in records] == [own, own | {"size": 5}] * 2
    assert [record["size"] for record in records] == [[4, 4], [5, 7], [4, 4], [5, 5]]
    assert {(record["batch"], record["job"]["solves"]) for record in records} == {(2, 4)}
    assert sum(record["seconds"] for record in records) == pytest.approx(records[0]["job"]["seconds"])
    succeed(*solve(paths[3], *mode, "-o", tmp_path / "alone.png"))
    one, other = (images.read(path) for path in (tmp_path / "alone.png", written[3]))
    assert np.abs(one - other).max() <= 2.01 / 255 and one.shape == (SIDE, SIDE, 3)


def test_a_result_agrees_with_a_measurement_of_any_size(succeed, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(np.random.default_rng(0).integers(64, 192, (5, 5, 3), dtype=np.uint8)).save(path)
    succeed(*solve(path, "--consistent", "--set", "kernel=bicubic"))
    again = make_task("superres", SIDE, size=5, kernel="bicubic").degrade(images.read(tmp_path / "a.restored.png")[None])
    assert np.abs(again[0] - images.read(path)).max() < 2 / 255


def test_simulating_another_size(succeed, portrait, tmp_path):
    line = succeed(*solve(portrait, "--preview", "--simulate", "--set", "size=5")).stdout
    record, truth = record_of(tmp_path / "portrait.restored.png"), images.read(portrait)[None]
    assert record["parameters"] == {"factor": 4, "kernel": "box", "size": 5} and "(bicubic: " in line
    task = make_task("superres", SIDE, size=5)
    plain = np.clip(bicubic(task.degrade(truth), task.factor).numpy(), -1, 1)
    assert record["bicubic"] == pytest.approx(metrics.scores(plain[0], truth[0]), rel=1e-3)


def test_simulate_scores_the_result_and_bicubic(succeed, portrait, tmp_path):
    line = succeed(*solve(portrait, "--simulate")).stdout
    record = json.loads((tmp_path / "portrait.restored.json").read_text())
    truth, restored = images.read(portrait), images.read(tmp_path / "portrait.restored.png")
    found = metrics.scores(restored, truth)
    assert record["metrics"]["mse"] == pytest.approx(found["mse"], rel=0.02)
    assert record["metrics"]["psnr"] == pytest.approx(found["psnr"], abs=0.1)
    assert record["metrics"]["ssim"] == pytest.approx(found["ssim"], abs=0.02)
    measurement = images.box_reduce(truth, 4)
    expected = metrics.scores(np.clip(bicubic(measurement[None], 4).numpy()[0], -1, 1), truth)
    assert record["bicubic"] == pytest.approx(expected, rel=1e-3)
    assert f"PSNR {record['metrics']['psnr']:.2f} dB" in line and f"(bicubic: {expected['mse']:.4f}" in line


def test_simulate_is_solving_the_degraded_picture(succeed, portrait, tmp_path):
    succeed(*solve(portrait, "--simulate"))
    record = json.loads((tmp_path / "portrait.restored.json").read_text())
    observation = tmp_path / "observation.tif"
    unit = images.to_unit(images.box_reduce(images.read(portrait), 4)).astype(np.float32)
    import tifffile

    tifffile.imwrite(observation, unit, photometric="rgb")
    succeed(*solve(observation))
    same = json.loads((tmp_path / "observation.restored.json").read_text())
    assert same["loss"] == pytest.approx(record["loss"], rel=1e-3)


def test_reconstruct_knows_its_truth(succeed, portrait, tmp_path):
    succeed("solve", "--task", "reconstruct", *QUICK, portrait)
    record = json.loads((tmp_path / "portrait.restored.json").read_text())
    assert record["metrics"]["mse"] > 0 and not {"bicubic", "observation"} & set(record)


def test_where_results_go(succeed, small, tmp_path):
    (tmp_path / "existing.d").mkdir()
    for output, written in {
        "named.jpg": "named.jpg",
        "existing.d": "existing.d/small.restored.png",
        "new": "new/small.restored.png",
        "new.d/": "new.d/small.restored.png",
    }.items():
        line = succeed(*solve(small, "-o", f"{tmp_path}/{output}")).stdout
        assert line.startswith(f"{tmp_path / written}: ")
        assert images.size(tmp_path / written) == (SIDE, SIDE)
        assert (tmp_path / written).with_suffix(".json").is_file()


def test_several_pictures_are_one_batch(succeed, small, tmp_path):
    other = picture(tmp_path / "other.png", 4, 4, seed=9)
    lines = succeed(*solve(small, other, "-o", tmp_path / "both")).stdout.splitlines()
    assert len(lines) == 2
    succeed(*solve(other, "-o", tmp_path / "alone"))
    for name in ("small", "other"):
        assert json.loads((tmp_path / "both" / f"{name}.restored.json").read_text())["batch"] == 2
    together, alone = (images.read(tmp_path / where / "other.restored.png") for where in ("both", "alone"))
    assert np.abs(together - alone).max() <= 2.01 / 255


@pytest.mark.parametrize("preview", [[], ["--preview"]])
def test_more_pictures_than_the_memory_holds(succeed, refuse, monkeypatch, tmp_path, preview):
    """They are solved in smaller batches, that is said once, and the pictures are the same."""
    from gekeras.restore import memory

    paths = [picture(tmp_path / f"{k}.png", 4, 4, seed=k) for k in range(3)]
    for number in (0, -1, "x"):
        assert "--batch" in refuse(*solve(*paths, *preview, "--batch", number))
    together = succeed(*solve(*paths, *preview, "-o", tmp_path / "together"))
    assert together.stderr == ""
    asked = succeed(*solve(*paths, *preview, "-o", tmp_path / "asked", "--batch", 2))
    assert asked.stderr == f"{'decoding' if preview else 'solving'} 2 at a time\n"
    monkeypatch.setattr(memory, "available", lambda: 1)
    small = succeed(*solve(*paths, *preview, "-o", tmp_path / "small"))
    assert len(small.stderr.splitlines()) == 1 and " 1 at a time: about 0 MB a picture, 0.0 GB free" in small.stderr
    assert succeed(*solve(*paths, *preview, "-o", tmp_path / "small", "--quiet")).stderr == ""
    for where, size in (("together", 3), ("asked", 2), ("small", 1)):
        records = [json.loads((tmp_path / where / f"{k}.restored.json").read_text()) for k in range(3)]
        assert {(record["job"]["solves"], record["batch"]) for record in records} == {(3, size)}
        assert (records[0]["memory"] is None) == (where == "asked")
        for k in range(3):
            one, other = (images.read(tmp_path / folder / f"{k}.restored.png") for folder in (where, "together"))
            assert np.abs(one - other).max() <= 2.01 / 255
    assert records[0]["memory"]["picture"] > 0 and records[0]["memory"]["free"] == 1


def test_json_alone_on_stdout(succeed, small, tmp_path):
    wide = picture(tmp_path / "wide.png", 4, 7)
    result = succeed(*solve(small, "--json", "--panel", tmp_path / "panel.png"))
    assert json.loads(result.stdout) == json.loads((tmp_path / "small.restored.json").read_text())
    both = json.loads(succeed(*solve(small, wide, "--json")).stdout)
    assert [record["input"] for record in both] == [str(small), str(wide)]


def test_quiet(succeed, tmp_path):
    wide = picture(tmp_path / "wide.png", 4, 7)
    result = succeed(*solve(wide, "--quiet", "--panel", tmp_path / "panel.png"))
    assert result.stdout == result.stderr == ""
    assert images.size(tmp_path / "wide.restored.png") == (SIDE, SIDE)
    assert json.loads(succeed(*solve(wide, "--quiet", "--json")).stdout)["task"] == "superres"


def test_panel(succeed, small, portrait, tmp_path):
    """A column each for observation, bicubic and result, and one for the truth where it is known."""
    succeed(*solve(small, "--panel", tmp_path / "three.png"))
    succeed(*solve(portrait, "--simulate", "--panel", tmp_path / "four.png"))
    (height, three), (_, four) = (images.size(tmp_path / f"{name}.png") for name in ("three", "four"))
    assert four / three == pytest.approx(4 / 3, rel=0.05) and height > 300


def test_the_same_seed_gives_the_same_file(succeed, small, tmp_path):
    for name, seed in {"a": 1, "b": 1, "c": 2}.items():
        succeed(*solve(small, "--seed", seed, "-o", tmp_path / f"{name}.png"))
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c


def test_the_paper_s_fidelity(succeed, small, tmp_path):
    succeed("solve", "--task", "superres", small, "--fidelity", "paper", "--steps", 1)
    options = json.loads((tmp_path / "small.restored.json").read_text())["options"]
    assert (options["steps"], options["starts"], options["ramp"], options["weight"]) == (1, 1, "none", 0.001)


def test_an_older_result_is_replaced(succeed, refuse, small, tmp_path):
    """Known by its record; what has none is replaced only if it was named itself."""
    result = tmp_path / "small.restored.png"
    result.write_bytes(b"mine")
    assert "small.restored.png: would be replaced, and may be no result" in refuse(*solve(small))
    succeed(*solve(small, "-o", result))
    result.write_bytes(b"old")
    succeed(*solve(small))
    assert images.size(result) == (SIDE, SIDE)


# ----------------------------------------------------------------------------------------------------- every task


def record_of(path):
    return json.loads(Path(path).with_suffix(".json").read_text())


def model_of(preset, task):
    from gekeras import GenerativeEncoder

    return GenerativeEncoder.from_preset(preset, task)


@pytest.mark.parametrize("task", [*TASKS, *BORROWED])
def test_simulating_every_task(succeed, portrait, tmp_path, task):
    line = succeed("solve", "--task", task, *QUICK, portrait, "--simulate", "--panel", tmp_path / "panel.png").stdout
    record, truth = record_of(tmp_path / "portrait.restored.png"), images.read(portrait)
    assert (record["task"], record["method"], record["pieces"], record["batch"]) == (task, "GE", 1, 1)
    description = make_task(task, SIDE)
    assert record["parameters"] == description.parameters
    found = metrics.scores(images.read(tmp_path / "portrait.restored.png"), truth)
    assert record["metrics"]["mse"] == pytest.approx(found["mse"], rel=0.02)
    plain = {"reconstruct": set(), "superres": {"bicubic"}}.get(task, {"observation"})
    assert {"bicubic", "observation"} & set(record) == plain
    assert line.count("MSE") == 1 and all(f"({name}: " in line for name in plain)
    if plain == {"observation"}:
        observed, _ = description.sample(truth[None], np.array([0, 0], np.int32))
        assert record["observation"] == pytest.approx(metrics.scores(observed.numpy()[0], truth), rel=1e-3)
    assert (tmp_path / "panel.png").is_file()


def white(path, height, width, box=None):
    """A black mask with a white box (x, y, width, height), or an all-white one."""
    pixels = np.full((height, width), 0 if box else 255, np.uint8)
    if box:
        x, y, w, h = box
        pixels[y : y + h, x : x + w] = 255
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize("side", [SIDE, 2 * SIDE, 41], ids=["as it is", "block means", "resampled"])
def test_what_lies_under_the_mask_does_not_matter(succeed, tmp_path, side):
    """A mask and the box it draws are the same; noise or black beneath them makes no difference to a single bit."""
    box = (side // 3, side // 4, side // 5, side // 2)
    first, second = picture(tmp_path / "first.png", side, side), tmp_path / "second.png"
    pixels = np.array(Image.open(first))
    pixels[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = 0
    Image.fromarray(pixels).save(second)
    mask = white(tmp_path / "mask.png", side, side, box)
    results = []
    for path, hole in ((first, ("--box", ",".join(map(str, box)))), (second, ("--mask", mask)), (first, ("--mask", mask))):
        succeed("solve", "--task", "inpaint", *QUICK, path, *hole, "-o", tmp_path / "result.png")
        results.append((tmp_path / "result.png").read_bytes())
    assert results[0] == results[1] == results[2]
    succeed(
        "solve", "--task", "inpaint", *QUICK, first, "--box", f"0,0,{side // 4},{side // 4}", "-o", tmp_path / "result.png"
    )
    assert (tmp_path / "result.png").read_bytes() != results[0]


def test_a_reference_is_the_truth(succeed, portrait, tmp_path):
    reference = picture(tmp_path / "reference.png", 2 * SIDE, 2 * SIDE, seed=4)
    succeed("solve", "--task", "deblur", *QUICK, portrait, "--reference", reference, "--panel", tmp_path / "panel.png")
    record, truth = record_of(tmp_path / "portrait.restored.png"), images.box_reduce(images.read(reference), 2)
    found = metrics.scores(images.read(tmp_path / "portrait.restored.png"), truth)
    assert record["metrics"]["mse"] == pytest.approx(found["mse"], rel=0.02)
    assert record["observation"] == pytest.approx(metrics.scores(images.read(portrait), truth), rel=1e-3)


def test_preview_is_the_autoencoder_s_picture(succeed, small, tmp_path, preset):
    line = succeed(*solve(small, "--preview", "--panel", tmp_path / "panel.png")).stdout
    model = model_of(preset, "superres")
    expected = np.clip(model.decode(model.encode(images.read(small)[None]))[0], -1, 1)
    np.testing.assert_allclose(images.read(tmp_path / "small.restored.png"), expected, atol=1.01 / 255)
    record = record_of(tmp_path / "small.restored.png")
    assert (record["method"], record["options"], record["loss"], record["steps"]) == ("ConvAE", None, None, 0)
    assert record["seed"] == 0  # of a simulation's degradation
    assert "decoder alone" in line


@pytest.mark.parametrize("arguments, size", [([], (256, 256)), (["--tile"], (200, 240))])
def test_animate(succeed, tmp_path, arguments, size):
    path = picture(tmp_path / "a.png", 24, 20)
    succeed("solve", "--task", "reconstruct", *QUICK, path, *arguments, "--animate", tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as film:
        assert film.format == "GIF" and film.size == size
        assert 2 <= film.n_frames <= 5  # the start, each of 3 steps, the result; equal neighbors are one frame


def test_a_consistent_picture_reduces_to_the_input(succeed, tmp_path):
    gray = np.random.default_rng(0).integers(112, 144, (4, 4, 3), dtype=np.uint8)  # far from the ends, where pixels are cut
    Image.fromarray(gray).save(tmp_path / "gray.png")
    errors = {}
    for choice in ("--consistent", "--no-consistent"):
        succeed(*solve(tmp_path / "gray.png", choice, "-o", tmp_path / "result.png"))
        assert record_of(tmp_path / "result.png")["options"]["consistent"] == (choice == "--consistent")
        reduced = images.box_reduce(images.read(tmp_path / "result.png"), 4)
        errors[choice] = np.abs(reduced - images.from_uint8(gray)).max()
    assert errors["--consistent"] <= 1.01 / 255 < 10 / 255 < errors["--no-consistent"]


def test_a_consistent_picture_keeps_the_known_pixels(succeed, portrait, tmp_path):
    box = (4, 5, 6, 7)
    succeed("solve", "--task", "inpaint", *QUICK, portrait, "--box", "4,5,6,7", "--consistent")
    before, after = (np.array(Image.open(path)) for path in (portrait, tmp_path / "portrait.restored.png"))
    known = np.array(Image.open(white(tmp_path / "mask.png", SIDE, SIDE, box))) == 0
    assert (before[known] == after[known]).all() and (before[~known] != after[~known]).any()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A module `given` in the current folder, with a function of images and a number."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "given.py").write_text("def same(images):\n    return images\n\n\nnumber = 3\n")
    yield
    sys.modules.pop("given", None)


def test_another_forward_map(succeed, small, tmp_path, module):
    """For superres `degrade` is the map it has anyway; a function that does nothing is the identity."""
    losses = {}
    for forward in ((), ("--forward", "degrade"), ("--forward", "identity"), ("--forward", "given:same")):
        succeed(*solve(small, *forward))
        losses[forward[-1] if forward else "own"] = record_of(tmp_path / "small.restored.png")["loss"]
    assert losses["degrade"] == pytest.approx(losses["own"], rel=1e-4)
    assert losses["given:same"] == pytest.approx(losses["identity"], rel=1e-4)
    assert losses["identity"] != pytest.approx(losses["own"], rel=1e-2)


def test_another_degradation(succeed, portrait, tmp_path):
    common = ("solve", "--task", "denoise", *QUICK, portrait, "--simulate")
    succeed(*common, "--set", "sigma=0.3")
    record, truth = record_of(tmp_path / "portrait.restored.png"), images.read(portrait)
    assert record["parameters"] == {"sigma": 0.3}
    observed = make_task("denoise", SIDE, sigma=0.3).degrade(truth[None], np.array([0, 0], np.int32)).numpy()[0]
    assert record["observation"] == pytest.approx(metrics.scores(observed, truth), rel=1e-3)
    succeed(*common)
    own = record_of(tmp_path / "portrait.restored.png")
    assert own["parameters"] == {"sigma": 0.5} and own["observation"]["mse"] > record["observation"]["mse"]


# -------------------------------------------------------------------------------------------- networks of one's own


@pytest.fixture(scope="module")
def networks(tmp_path_factory, every_task):
    """A folder with the tiny preset's networks under names of their own, and others: `small.keras` makes 8x8 pictures."""
    import keras

    folder = tmp_path_factory.mktemp("networks")
    for part in ("generator", "encoder-superres", "decoder-superres"):
        shutil.copytree(every_task / "tiny" / part / "1", folder / part)
    z, image, code = keras.Input((7,)), keras.Input((SIDE, SIDE, 3)), keras.Input((5,))
    for name, side in (("drawn", SIDE), ("small", 8)):
        pixels = keras.layers.Dense(side * side * 3, activation="sigmoid")(z)
        keras.Model(z, keras.layers.Reshape((side, side, 3))(pixels)).save(folder / f"{name}.keras")
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(5, 3)(image))
    keras.Model(image, mean).save(folder / "mean.keras")
    drawn = keras.layers.Dense(SIDE * SIDE * 3)(code)
    keras.Model(code, keras.layers.Reshape((SIDE, SIDE, 3))(drawn)).save(folder / "redrawn.keras")
    (folder / "text.keras").write_text("hello")
    return folder


@pytest.mark.parametrize(
    "options", [("generator",), ("encoder",), ("generator", "encoder"), ("generator", "encoder", "decoder")]
)
def test_the_preset_s_networks_by_their_paths(succeed, small, tmp_path, networks, options):
    succeed(*solve(small, "-o", tmp_path / "own.png"))
    names = {"generator": "generator", "encoder": "encoder-superres", "decoder": "decoder-superres"}
    paths = ["--trust", *(word for name in options for word in (f"--{name}", networks / names[name]))]
    succeed(*solve(small, *paths, "-o", tmp_path / "paths.png"))
    own, record = record_of(tmp_path / "own.png"), record_of(tmp_path / "paths.png")
    assert record["loss"] == pytest.approx(own["loss"], rel=1e-3)
    assert np.abs(images.read(tmp_path / "own.png") - images.read(tmp_path / "paths.png")).max() <= 2.01 / 255
    assert "networks" not in own and record["preset"] == (None if {"generator", "encoder"} <= {*options} else "tiny")
    assert set(record["versions"]) == {"gekeras", "tensorflow", "numpy", "python"}
    assert {name: part["name"] for name, part in record["networks"].items()} == {name: names[name] for name in options}
    assert all(len(part["sha256"]) == 64 and part["range"] == [-1, 1] for part in record["networks"].values())
    assert all(part["path"] == str(networks / part["name"]) for part in record["networks"].values())


def test_a_preset_that_nothing_is_taken_of_is_refused(refuse, small, pictures, networks, every_task):
    own = ("--trust", "--generator", networks / "generator", "--encoder", networks / "encoder-superres")
    assert "--preset would change nothing beside --generator" in refuse(*solve(small, *own, "--preset", "no such preset"))
    both = refuse("eval", "--task", "superres", "--data", pictures, "-o", "s", *own, "--preset", "a", "--models", every_task)
    assert "--preset and --models would change nothing" in both


def test_other_networks_from_end_to_end(succeed, portrait, tmp_path, networks):
    """A generator in [0, 1] of uniform latents and an encoder, both Keras files, on a task that neither knows."""
    parts = (
        "--trust",
        "--generator",
        networks / "drawn.keras",
        "--encoder",
        networks / "mean.keras",
        "--decoder",
        networks / "redrawn.keras",
    )
    how = (
        "--generator-range",
        "0,1",
        "--encoder-range",
        "-1,1",
        "--latent",
        "uniform",
        "--latent-size",
        7,
        "--prior",
        "box",
    )
    line = succeed("solve", "--task", "deblur", *QUICK, portrait, "--simulate", *parts, *how).stdout
    record = record_of(tmp_path / "portrait.restored.png")
    assert "PSNR" in line and record["options"]["prior"] == "box" and record["parameters"]["sigma"] == SIDE / 32
    generator = record["networks"]["generator"]
    assert (generator["name"], generator["range"], generator["latent"]) == ("drawn.keras", [0, 1], "uniform")
    succeed("solve", "--task", "deblur", portrait, "--preview", *parts, *how[:-2], "-o", tmp_path / "preview.png")
    assert record_of(tmp_path / "preview.png")["method"] == "ConvAE"


def test_eval_with_networks_of_one_s_own(succeed, refuse, pictures, tmp_path, networks):
    common = [
        "eval",
        "--task",
        "reconstruct",
        "--data",
        pictures,
        "--count",
        2,
        *QUICK,
        "--trust",
        "--encoder",
        networks / "mean.keras",
    ]
    table = succeed(*common, "-o", tmp_path / "a", "--bits", 8).stdout
    methods = [line.split(" | ")[0].strip("| ") for line in table.splitlines()[2:]]
    assert methods == ["GE", "invertGAN", "GE 8 bit"]
    header = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert header["preset"] == "tiny" and header["networks"]["encoder"]["name"] == "mean.keras"
    decoded = succeed(*common, "-o", tmp_path / "b", "--decoder", networks / "redrawn.keras").stdout
    assert "| ConvAE | 2 | " in decoded
    assert "other options" in refuse(*common, "-o", tmp_path / "b", "--bits", 8)
    assert "a record keeps the scores of the preset's own task and networks" in refuse(
        *common, "-o", tmp_path / "c", "--record"
    )
    drawn = ("--generator", networks / "drawn.keras", "--generator-range", "0,1")
    succeed(*common, *drawn, "-o", tmp_path / "d", "--method", "GE")
    assert json.loads((tmp_path / "d.jsonl").read_text().splitlines()[0])["preset"] is None


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("--generator {}/missing", "missing: no such file or folder"),
        ("--encoder {}", "is no SavedModel: it holds no saved_model.pb"),
        ("--trust --encoder {}/text.keras", "text.keras is not a readable Keras model: "),
        (
            "--trust --encoder {}/small.keras",
            "the encoder small.keras takes [n, 7], the generator of preset tiny gives 16x16x3",
        ),
        (
            "--trust --generator {}/small.keras",
            "the encoder of preset tiny takes 16x16x3, the generator small.keras gives 8x8x3",
        ),
        (
            "--trust --generator {}/drawn.keras --latent-size 8",
            "latent_size is 8, but the generator drawn.keras takes 7 numbers",
        ),
        (
            "--trust --encoder {}/mean.keras --decoder {}/decoder-superres",
            "the decoder decoder-superres takes [n, 16], the encoder",
        ),
        ("--trust --encoder {}/mean.keras --preview", "no decoder"),
        ("--trust --encoder {}/mean.keras --task paint", "unknown task 'paint'"),
        ("--generator-range 0,1", "generator_range belongs to a generator of one's own"),
        ("--encoder-range 0,1", "encoder_range belongs to an encoder of one's own"),
        ("--latent uniform", "latent belongs to a generator of one's own"),
        ("--generator {}/drawn.keras", "drawn.keras: a network in a file is a program, which can read and write files"),
        ("--trust", "--trust is for networks of one's own"),
        ("--latent-size 3", "latent_size belongs to a generator of one's own"),
        ("--generator {}/drawn.keras --latent even", "'even' is not one of"),
        ("--generator {}/drawn.keras --generator-range 1,0", "generator_range must be two numbers, the lower one first"),
        ("--generator {}/drawn.keras --generator-range wide", "'wide' is not a list of numbers"),
    ],
)
def test_networks_that_are_refused(refuse, small, networks, arguments, says):
    assert says in refuse(*solve(small, *arguments.format(networks, networks).split()))


def test_a_preset_of_uniform_latents_needs_nothing_else(succeed, every_task, small, pictures, tmp_path):
    models = tmp_path / "models"
    shutil.copytree(every_task / "tiny", models / "began")
    info = json.loads((models / "began" / "preset.json").read_text())
    (models / "began" / "preset.json").write_text(json.dumps({**info, "latent": "uniform"}))
    named = ("--models", models, "--preset", "began")
    losses = []
    for preset in ((), named):
        succeed(*solve(small, *preset, "--steps", 0, "--starts", 1))
        losses.append(record_of(tmp_path / "small.restored.png")["loss"])
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)
    succeed("eval", "--task", "superres", "--data", pictures, "--count", 1, *QUICK, "-o", tmp_path / "scores", *named)


# ------------------------------------------------------------------------------------------------ whole photographs


@pytest.mark.parametrize(
    "task, size, arguments, result",
    [
        ("reconstruct", (24, 20), [], (24, 20)),
        ("deblur", (SIDE, SIDE), [], (SIDE, SIDE)),
        ("inpaint", (24, 20), ["--box", "2,2,14,18"], (24, 20)),
        ("superres", (7, 6), [], (28, 24)),
        ("superres", (30, 22), ["--simulate"], (28, 20)),  # whole blocks of 4
    ],
)
def test_tiles_keep_the_size(succeed, tmp_path, task, size, arguments, result):
    path = picture(tmp_path / "a.png", *size)
    succeed("solve", "--task", task, *QUICK, path, "--tile", *arguments)
    assert images.size(tmp_path / "a.restored.png") == result


def test_tiles_of_several_pictures_are_one_batch(succeed, tmp_path):
    paths = [picture(tmp_path / "a.png", 24, 20), picture(tmp_path / "b.png", SIDE, 30, seed=2)]
    common = ("solve", "--task", "inpaint", *QUICK, "--simulate", "--tile")
    succeed(*common, *paths, "-o", tmp_path / "both")
    for path, pieces in zip(paths, (4, 3)):
        succeed(*common, path, "-o", tmp_path / "alone")
        together, alone = (tmp_path / where / f"{path.stem}.restored.png" for where in ("both", "alone"))
        assert [(record_of(p)["pieces"], record_of(p)["batch"]) for p in (together, alone)] == [
            (pieces, 7),
            (pieces, pieces),
        ]
        assert np.abs(images.read(together) - images.read(alone)).max() <= 2.01 / 255


@pytest.fixture
def photo(tmp_path):
    """The astronaut, 256x256, and the square of her face."""
    import skimage.data

    from gekeras.pictures import faces

    path = tmp_path / "photo.png"
    images.write(path, images.fit(images.from_uint8(skimage.data.astronaut()), 256))
    (box,) = faces.find(images.read(path))
    return path, box


def test_only_the_face_changes(succeed, tmp_path, photo):
    path, box = photo
    result = succeed("solve", "--task", "deblur", *QUICK, path, "--align", "face")
    before, after = (np.array(Image.open(p)) for p in (path, tmp_path / "photo.restored.png"))
    inside = box.holds(256, 256)
    changed = (before != after).any(axis=-1)
    assert not changed[~inside].any() and changed[inside].mean() > 0.8
    record = record_of(tmp_path / "photo.restored.png")
    assert record["pieces"] == 1 and "metrics" not in record
    assert record["note"].startswith("photo.png: 1 face, ") and result.stderr == f"{record['note']}\n"


def test_faces_are_scored_and_enlarged(succeed, tmp_path, photo):
    path, _ = photo
    succeed("solve", "--task", "superres", "--preview", path, "--align", "face")
    assert images.size(tmp_path / "photo.restored.png") == (1024, 1024)
    panel = ("--panel", tmp_path / "panel.png")
    succeed("solve", "--task", "superres", "--preview", path, "--align", "face", "--simulate", *panel)
    assert images.size(tmp_path / "photo.restored.png") == (256, 256)
    assert {"metrics", "bicubic"} <= set(record_of(tmp_path / "photo.restored.png"))


# --------------------------------------------------------------------------------------------------- compression


@pytest.mark.parametrize("bits", [32, 16, 8])
def test_pictures_as_codes(succeed, portrait, tmp_path, preset, bits):
    other, model = picture(tmp_path / "other.png", 2 * SIDE, 40, seed=9), model_of(preset, "reconstruct")
    line = succeed("encode", portrait, other, "-o", tmp_path / "code.npz", "--bits", bits).stdout
    assert line.startswith(f"{tmp_path / 'code.npz'}: 2 codes of 16 numbers at {bits} bits: ")
    stored = codes.load(tmp_path / "code.npz")
    assert (stored.names, stored.preset, stored.bits) == (["portrait.png", "other.png"], "tiny", bits)
    exact = model.encode(np.stack([images.fit(images.read(path), SIDE) for path in (portrait, other)]))
    room = {32: 1e-5, 16: np.abs(exact).max() / 2048, 8: np.ptp(exact, axis=1).max() / 510}[bits] + 1e-5
    assert np.abs(stored.code - exact).max() <= room
    succeed("decode", tmp_path / "code.npz", "-o", tmp_path / "folder", "--preview")
    decoded = [images.read(tmp_path / "folder" / f"{name}.decoded.png") for name in ("portrait", "other")]
    np.testing.assert_allclose(decoded, np.clip(model.decode(stored.code), -1, 1), atol=1.01 / 255)


def test_decoding_is_solving_for_the_code(succeed, portrait, tmp_path):
    succeed("solve", "--task", "reconstruct", *QUICK, portrait)
    assert succeed("encode", portrait, "-o", tmp_path / "code.npz", "--quiet").stdout == ""
    line = succeed("decode", tmp_path / "code.npz", "-o", tmp_path / "decoded.jpg", *QUICK).stdout
    assert line == f"{tmp_path / 'decoded.jpg'}\n"
    succeed("decode", tmp_path / "code.npz", "-o", tmp_path / "decoded.png", *QUICK)
    np.testing.assert_allclose(
        images.read(tmp_path / "decoded.png"), images.read(tmp_path / "portrait.restored.png"), atol=2.01 / 255
    )


def test_the_code_of_a_face(succeed, tmp_path, photo, preset):
    from gekeras.pictures import faces

    path, box = photo
    succeed("encode", path, "--align", "face", "-o", tmp_path / "code.npz")
    expected = model_of(preset, "reconstruct").encode(faces.crop(images.read(path), box, SIDE)[None])
    np.testing.assert_allclose(codes.load(tmp_path / "code.npz").code, expected, atol=1e-5)


# --------------------------------------------------------------------------------------- pictures of every kind


@pytest.mark.parametrize("kind", ["L", "RGBA", "LA", "P", "1", "CMYK", "16 bits"])
def test_kinds_of_pictures_that_work(succeed, tmp_path, kind):
    path = tmp_path / ("a.jpg" if kind == "CMYK" else "a.png")
    if kind == "16 bits":
        Image.fromarray(np.random.default_rng(0).integers(0, 65536, (4, 4), dtype=np.uint16)).save(path)
    else:
        picture(path, 4, 4, mode=kind)
    succeed(*solve(path))
    gray = kind in ("L", "LA", "1", "16 bits")  # and so is the result
    assert images.read(tmp_path / "a.restored.png").shape == (SIDE, SIDE, 1 if gray else 3)


# -------------------------------------------------------------------------------------------------- refusals


def bomb(path):
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def truncated(path):
    picture(path, 14, 14)
    path.write_bytes(path.read_bytes()[:300])


def animated(path):
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def not_a_number(path):
    Image.fromarray(np.full((8, 8), np.nan, np.float32)).save(path)


BAD = {
    "missing.png": (lambda path: None, "no such file"),
    "folder": (Path.mkdir, "is a folder"),
    "text.png": (lambda path: path.write_text("hello"), "not an image"),
    "truncated.png": (truncated, "damaged or truncated"),
    "empty.png": (Path.touch, "is an empty file"),
    "animated.gif": (animated, "animated"),
    "one.png": (lambda path: picture(path, 1, 1), "1x1 pixels is too small"),
    "long.png": (lambda path: picture(path, 3, SIDE), "16x3 is too large for superres, which makes 16x16"),
    "bomb.png": (bomb, "too large"),
    "nan.tif": (not_a_number, "NaN"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures(refuse, tmp_path, small, name):
    make, says = BAD[name]
    make(tmp_path / name)
    for inputs in ([tmp_path / name], [small, tmp_path / name]):
        line = refuse(*solve(*inputs, "-o", tmp_path / "results"))
        assert str(tmp_path / name) in line and says in line


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["--preset", "fases"], "unknown preset 'fases'; found: tiny"),
        (["--task", "paint"], "preset 'tiny' has no task 'paint'; it has superres, reconstruct, denoise, inpaint, deblur"),
        (["--steps", "-1"], "-1 is not in the range x>=0"),
        (["--starts", "0"], "0 is not in the range x>=1"),
        (["--weight", "-0.1"], "-0.1 is not in the range x>=0"),
        (["--weight", "much"], "'much' is not a valid float"),
        (["--prior", "l1"], "'l1' is not one of"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--fidelity", "slow"], "'slow' is not one of"),
        (["--color"], "No such option"),
    ],
)
def test_bad_options(refuse, small, arguments, says):
    assert says in refuse(*solve(small, *arguments))


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["-o", "missing/a.png"], "missing does not exist"),
        (["-o", "missing/deep"], "missing does not exist"),
        (["-o", "a.xyz"], "unknown suffix"),
        (["-o", "file"], "file is not a folder"),
        (["-o", "file/a.png"], "file is not a folder"),
        (["-o", "small.png"], "small.png is an input"),
        (["--panel", "missing/p.png"], "missing does not exist"),
        (["--panel", "p.xyz"], "cannot draw '.xyz'"),
        (["--panel", "small.png"], "small.png is an input"),
        (["-o", "same.png", "--panel", "same.png"], "same.png is a result"),
        (["-o", "mine.png"], "mine.json: is no record of a restoration"),
        (["-o", "file/"], "file is not a folder"),
        (["-o", "-"], "nothing is read from stdin or written to stdout"),
        (["--panel", "-"], "nothing is read from stdin"),
        (["-o", "n" * 300 + ".png"], "a name has at most"),
    ],
)
def test_places_that_cannot_be_written(refuse, small, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file without a suffix")
    (tmp_path / "mine.json").write_text('{"annotations": []}')
    assert says in refuse(*solve(small, *arguments))


def test_results_that_would_meet(refuse, small, tmp_path):
    second = picture(tmp_path / "small.bmp", 4, 4)
    assert "same output" in refuse(*solve(small, second))
    assert "there are 2 inputs" in refuse(*solve(small, second, "-o", tmp_path / "a.png"))
    restored = picture(tmp_path / "small.restored.png", 4, 4)
    assert "is an input" in refuse(*solve(small, restored))


@pytest.fixture
def material(tmp_path, monkeypatch, portrait, small, module):
    """In the current folder: portrait.png 16x16, small.png 4x4, and what the refusals below name."""
    picture(tmp_path / "second.png", SIDE, SIDE, seed=2)
    picture(tmp_path / "wide.png", SIDE, 40, seed=3)
    white(tmp_path / "mask.png", SIDE, SIDE, (2, 2, 4, 4))
    white(tmp_path / "larger.png", 20, 24, (2, 2, 4, 4))
    white(tmp_path / "white.png", SIDE, SIDE)
    (tmp_path / "text.png").write_text("hello")


@pytest.mark.parametrize(
    "task, arguments, says",
    [
        ("inpaint", "portrait.png", "inpaint needs to know what is missing: give a mask or a box, or simulate"),
        ("inpaint", "portrait.png --mask larger.png", "larger.png: the mask is 24x20, portrait.png is 16x16"),
        ("inpaint", "portrait.png --mask white.png", "white.png: the mask is all white"),
        ("inpaint", "portrait.png --mask text.png", "text.png: not an image"),
        ("inpaint", "portrait.png --mask missing.png", "missing.png: no such file"),
        ("inpaint", "portrait.png --mask mask.png --box 0,0,4,4", "give a mask or a box, not both"),
        ("inpaint", "portrait.png second.png --mask mask.png", "mask belongs to one picture; 2 are given"),
        ("inpaint", "portrait.png second.png --box 0,0,4,4", "box belongs to one picture; 2 are given"),
        ("inpaint", "portrait.png --box 10,10,8,4", "the box 10,10,8,4 does not lie in the 16x16 picture"),
        ("inpaint", "portrait.png --box -1,0,4,4", "the box -1,0,4,4 does not lie in"),
        ("inpaint", "portrait.png --box 3,3,0,4", "the box 3,3,0,4 does not lie in"),
        ("inpaint", "portrait.png --box 0,0,16,16", "the box covers the whole picture"),
        ("inpaint", "wide.png --box 10,0,20,16", "nothing is known of the part of the picture that is used"),
        ("inpaint", "wide.png --tile --box 0,0,20,16", "wide.png: a tile of 16x16 lies in the hole"),
        ("inpaint", "portrait.png --box 1,2,3", "'1,2,3' is not x,y,w,h"),
        ("inpaint", "portrait.png --box a,b,c,d", "'a,b,c,d' is not x,y,w,h"),
        ("inpaint", "portrait.png --box 1,2,3,4.5", "'1,2,3,4.5' is not x,y,w,h"),
        ("inpaint", "portrait.png --box --1,2,3,4", "'--1,2,3,4' is not x,y,w,h"),
        ("inpaint", "portrait.png --mask mask.png -o mask.png", "mask.png is an input"),
        ("superres", "small.png --mask mask.png", "a mask or a box is for inpaint; superres has none"),
        ("denoise", "portrait.png --box 0,0,4,4", "a mask or a box is for inpaint; denoise has none"),
        ("deblur", "portrait.png --align face", "portrait.png: no face found"),
        ("deblur", "portrait.png --align eyes", "'eyes' is not"),
        ("deblur", "portrait.png --align face --tile", "align takes faces out of a photograph and tile cuts it up"),
        ("deblur", "small.png --tile", "small.png: 4x4 is too small: deblur needs at least 16x16"),
        ("superres", "portrait.png --animate a.mp4", "a.mp4: an animation is written as .gif"),
        ("superres", "portrait.png --animate missing/a.gif", "missing does not exist"),
        ("denoise", "portrait.png --set radius=3", "task denoise has no radius; it has sigma"),
        ("reconstruct", "portrait.png --set sigma=3", "task reconstruct has no sigma; it has no parameters"),
        ("denoise", "portrait.png --set sigma", "'sigma' is not NAME=VALUE"),
        ("denoise", "portrait.png --set =3", "'=3' is not NAME=VALUE"),
        ("denoise", "portrait.png --set sigma=0", "sigma must be above 0; received 0"),
        ("denoise", "portrait.png --set sigma=much", "sigma must be above 0; received 'much'"),
        ("denoise", "portrait.png --set sigma=[1]", "sigma must be above 0; received [1]"),
        ("deblur", "portrait.png --set sigma=Infinity", "sigma must be above 0; received inf"),
        ("deblur", "portrait.png --set size=4", "size must be odd; received 4"),
        ("inpaint", "portrait.png --simulate --set size=half", "size must be above 0 and below 1; received 'half'"),
        ("superres", "small.png --tile --set size=8", "small.png: 4x4 is too small: superres needs at least 8x8 here"),
        ("superres", "small.png second.png --reduce", "small.png: 4x4 has no more than 4 pixels a side to reduce: leave"),
        ("superres", "second.png --reduce --tile", "reduce makes a small picture of the input, and tile needs all of it"),
        ("denoise", "portrait.png --reduce", "reduce is for superres; denoise has no use for it"),
        ("superres", "small.png --set size=4", "size of superres would change nothing: a picture has its own"),
        ("superres", "second.png --simulate --set size=16", "size must be below the pictures' side, 16; received 16"),
        (
            "superres",
            "wide.png --tile --set size=5",
            "tiles and faces grow by a whole factor: size must divide 16; received 5",
        ),
        ("superres", "small.png --set factor=many", "factor must be a whole number above 0; received 'many'"),
        ("superres", "small.png --set factor=3", "factor must divide the pictures' side, 16; received 3"),
        ("superres", "small.png --set kernel=soft", "kernel must be 'box' or 'bicubic'; received 'soft'"),
        ("reconstruct", "portrait.png --set operator=5", "'5' is no operator"),
        ("denoise", "portrait.png --forward nosuch:thing", "operator 'nosuch:thing' cannot be loaded"),
        ("denoise", "portrait.png --forward given:nothing", "operator 'given:nothing' cannot be loaded"),
        ("denoise", "portrait.png --forward given:number", "'given:number' is no operator"),
        ("denoise", "portrait.png --forward blurr", "'blurr' is no operator"),
        ("denoise", "portrait.png --forward degrade", "the degradation of denoise is random or not linear"),
        ("denoise", "portrait.png --forward Downsample", "forward map Downsample turns [1, 16, 16, 3] into [1, 4, 4, 3]"),
        ("denoise", "portrait.png --consistent", "denoise has no noise-free partial measurement"),
        ("reconstruct", "portrait.png --consistent", "reconstruct has no noise-free partial measurement"),
        (
            "superres",
            "small.png --code-weight 0 --pixel-weight 0",
            "code_weight, pixel_weight and decoder_weight must not all be 0",
        ),
        ("superres", "small.png --starts 4 --finalists 5", "finalists must be 1 or more, and no more than starts"),
        ("superres", "small.png --probes -1", "-1 is not in the range x>=0"),
        ("deblur", "portrait.png --reference small.png", "small.png: a reference needs at least 16x16"),
        ("deblur", "wide.png --tile --reference portrait.png", "portrait.png: a reference for tiles must be 40x16"),
        ("deblur", "portrait.png --reference missing.png", "missing.png: no such file"),
        ("deblur", "portrait.png second.png --reference small.png", "reference belongs to one picture; 2 are given"),
        ("deblur", "portrait.png --reference second.png -o second.png", "second.png is an input"),
        ("deblur", "portrait.png --reference second.png --panel second.png", "second.png is an input"),
    ],
)
def test_what_a_task_refuses(refuse, material, task, arguments, says):
    assert says in refuse("solve", "--task", task, *QUICK, *arguments.split())


def test_codes_that_are_refused(refuse, tmp_path, preset, small):
    checksum = preset.part_checksum("encoder-reconstruct")
    good = codes.CodeFile(np.zeros((1, 16), np.float32), ["a.png"], "tiny", "reconstruct", checksum, SIDE)
    two = np.zeros((2, 16), np.float32)
    files = {
        "good.npz": good,
        "preset.npz": replace(good, preset="other"),
        "task.npz": replace(good, task="paint"),
        "encoder.npz": replace(good, encoder="0123456789abcdef" * 4),
        "short.npz": replace(good, code=np.zeros((1, 8), np.float32)),
        "two.npz": replace(good, code=two, names=["a.png", "b.png"]),
    }
    for name, file in files.items():
        codes.save(tmp_path / name, file)
    with np.load(tmp_path / "good.npz") as archive:
        np.savez(tmp_path / "nan.npz", header=archive["header"], code=np.full((1, 16), np.nan, np.float32))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:-100])
    (tmp_path / "file").touch()
    for code, output, arguments, says in (
        ("preset.npz", "a.png", (), "its code is of preset 'other', expected 'tiny'"),
        ("task.npz", "a.png", (), "preset 'tiny' has no task 'paint'"),
        ("encoder.npz", "a.png", (), "its code is of an encoder with checksum 0123456789ab"),
        ("short.npz", "a.png", (), "its codes have 8 numbers, expected 16"),
        ("nan.npz", "a.png", (), "its code holds NaN or infinite values"),
        ("cut.npz", "a.png", (), "truncated code file"),
        ("small.png", "a.png", (), "not a code file"),
        ("missing.npz", "a.png", (), "no such file"),
        ("two.npz", "a.png", (), "a.png is a file, but there are 2 codes; give a folder"),
        ("good.npz", "a.npz", (), "unknown suffix"),
        ("good.npz", "missing/a.png", (), "missing does not exist"),
        ("good.npz", "file/", (), "file is not a folder"),
        ("good.npz", "file", (), "file is not a folder"),
        ("good.npz", "a.png", ("--pixel-weight", 1), "a code alone has no pixels to compare with"),
        ("good.npz", "a.png", ("--consistent",), "a code alone has no pixels to compare with"),
    ):
        assert says in refuse("decode", tmp_path / code, "-o", f"{tmp_path}/{output}", *arguments), (code, output)


def test_pictures_that_are_not_encoded(refuse, tmp_path, small, portrait):
    code = tmp_path / "code.npz"
    for inputs, arguments, says in (
        ([portrait], ("-o", tmp_path / "code.png"), "a code file is written as .npz"),
        ([portrait], ("-o", tmp_path / "missing" / "code.npz"), "missing does not exist"),
        ([portrait], ("-o", f"{code}/"), "ends with a slash"),
        ([portrait], ("-o", code, "--bits", 7), "'7' is not one of"),
        ([portrait], ("-o", code, "--align", "face"), "no face found"),
        ([portrait, small], ("-o", code), "small.png: 4x4 is too small"),
        ([portrait, tmp_path / "missing.png"], ("-o", code), "missing.png: no such file"),
    ):
        assert says in refuse("encode", *inputs, *arguments)


def test_missing_arguments(refuse):
    assert "Missing argument 'INPUTS...'" in refuse("solve", "--task", "superres")
    assert "Missing option '--task'" in refuse("solve", "a.png")
    assert "No such command 'restore'" in refuse("restore")


# ---------------------------------------------------------------------------------------------- eval, presets


def test_eval(succeed, pictures, tmp_path):
    stem = tmp_path / "scores" / "superres-0.5"
    lines, csv, markdown = (stem.with_name(f"superres-0.5.{kind}") for kind in ("jsonl", "csv", "md"))
    arguments = ["eval", "--task", "superres", "--data", pictures, "--count", 3, *QUICK, "-o", stem, "--batch", 2]
    table = succeed(*arguments).stdout
    rows = [json.loads(line) for line in lines.read_text().splitlines()][1:]
    assert len(rows) == 3 * 8 and {row["image"] for row in rows} == {"p00.png", "p01.png", "p02.png"}
    assert markdown.read_text() == table
    mean = np.mean([row["psnr"] for row in rows if row["method"] == "bicubic"])
    assert "| bicubic | 3 | " in table and f"| {mean:.2f} ± " in table
    assert len(csv.read_text().splitlines()) == 9
    before = contents(tmp_path)
    assert succeed(*arguments).stdout == table and contents(tmp_path) == before


def test_eval_of_another_size(succeed, pictures, tmp_path):
    """Bicubic enlargement by a fraction, and what the encoder sees."""
    methods = ("--method", "ConvAE", "--method", "bicubic", "--method", "input")
    common = ["eval", "--task", "superres", "--data", pictures, "--count", 2, "--batch", 2, "--set", "size=5", *methods]
    table = succeed(*common, "-o", tmp_path / "s").stdout
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert rows[0]["parameters"] == {"factor": 4, "kernel": "box", "size": 5} and len(rows) == 7
    task, truth = make_task("superres", SIDE, size=5), images.read(pictures / "p00.png")
    y = images.from_uint8(images.to_uint8(task.degrade(truth[None])))
    for method, made in (("bicubic", bicubic(y, task.factor)), ("input", task.lift(y))):
        (found,) = (row for row in rows[1:] if (row["image"], row["method"]) == ("p00.png", method))
        assert found["mse"] == pytest.approx(np.square(np.clip(made[0], -1, 1) - truth).mean(), rel=1e-4)
    assert "| bicubic | 2 | " in table


def test_eval_refuses(refuse, succeed, pictures, tmp_path):
    succeed("eval", "--task", "superres", "--data", pictures, "--count", 1, "--method", "input", "-o", tmp_path / "a")
    common = ["eval", "--task", "superres", "--data", pictures, "--count", 1, "-o"]
    assert "other options" in refuse(*common, tmp_path / "a", "--steps", 2)
    assert "unknown method GAN" in refuse(*common, tmp_path / "b", "--method", "GAN")
    assert "bits are for reconstruct" in refuse(*common, tmp_path / "b", "--bits", 8)
    for others, says in (
        ("--consistent", "consistent would change nothing: an evaluation has GE both ways"),
        ("--method input --method ConvAE --steps 0", "steps would change nothing: input, ConvAE does not look at it"),
        ("--method bicubic --fidelity best", "fidelity would change nothing"),
        ("--method CSGM --code-weight 2", "code_weight would change nothing"),
        ("--method GAN --steps 2", "unknown method GAN"),
    ):
        assert says in refuse(*common, tmp_path / "b", *others.split())
    for other in (("--set", "kernel=bicubic"), ("--forward", "identity")):
        assert "a record keeps the scores of the preset's own task" in refuse(*common, tmp_path / "b", "--record", *other)
    of = ["eval", *common[3:], tmp_path / "b", "--task"]
    assert "bits would change nothing: name GE 16 bit or ConvAE 16 bit" in refuse(
        *of, "reconstruct", "--bits", 16, "--method", "ConvAE"
    )
    assert "has no task 'paint'" in refuse(*of, "paint")
    assert "no such file or folder" in refuse(*common, tmp_path / "b", "--data", tmp_path / "missing")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'} is not a folder" in refuse(*common, tmp_path / "file" / "b")
    assert "is a folder; the output is the stem of three files" in refuse(*common, f"{tmp_path}/new/")
    (tmp_path / "b.csv").write_text("name,age")
    assert "b.csv: is not of an evaluation" in refuse(*common, tmp_path / "b")


def test_presets(succeed, run, tmp_path):
    lines = succeed("presets").stdout.splitlines()
    expected = ["tiny: 16x16x3", *(f"  {task}: no scores yet; no starter" for task in (*TASKS, *BORROWED))]
    assert lines[lines.index("tiny: 16x16x3") :][: len(expected)] == expected


def test_recorded_scores_are_listed_best_first(succeed, every_task, pictures, tmp_path):
    models = shutil.copytree(every_task, tmp_path / "models")
    methods = ["input", "ConvAE", "bicubic"]
    common = ["--task", "superres", "--data", pictures, "--count", 2, "--models", models, "-o", tmp_path / "scores"]
    succeed("eval", *common, *(word for name in methods for word in ("--method", name)), "--record")
    recorded = json.loads((models / "tiny" / "preset.json").read_text())["scores"]["superres"]["methods"]
    order = sorted(methods, key=lambda name: recorded[name]["mse"])
    listed = ", ".join(f"{name} {recorded[name]['mse']:.4f}" for name in order)
    line = f"  superres: MSE {listed} (N 2); no starter"
    assert line in succeed("presets", "--models", models).stdout.splitlines()


def test_demo(succeed, tmp_path):
    succeed("demo", "--output", tmp_path / "demo")
    assert images.size(tmp_path / "demo" / "astronaut.restored.png") == (SIDE, SIDE)
    assert (tmp_path / "demo" / "panel.png").is_file()
    record = json.loads((tmp_path / "demo" / "astronaut.restored.json").read_text())
    assert {"metrics", "bicubic"} <= set(record)
    succeed("demo", "--output", tmp_path / "demo", "--task", "deblur")
    record = json.loads((tmp_path / "demo" / "astronaut.restored.json").read_text())
    assert record["task"] == "deblur" and {"metrics", "observation"} <= set(record)


def test_demo_refuses(refuse, portrait):
    assert "has no task 'paint'" in refuse("demo", "--output", portrait.parent / "demo", "--task", "paint")
    assert f"{portrait} is not a folder" in refuse("demo", "--output", portrait)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_is_for_terminals(monkeypatch):
    for stream, quiet, shown in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with progress_bar("solving", quiet) as tick:
            tick(3, 10, ", objective 1.5")
            tick(10, 10)
        assert ("3/10" in stream.getvalue() and "10/10" in stream.getvalue()) == shown
        assert shown or stream.getvalue() == ""


# ------------------------------------------------------------------------------------------------------ training


@pytest.mark.slow
def test_from_pictures_to_a_restored_one(succeed, refuse, pictures, tmp_path, small):
    """train gan, train autoencoder, export, solve: the whole way with the commands alone."""
    runs, preset = tmp_path / "runs", tmp_path / "models" / "mine"
    network = ["--resolution", 8, "--latent-size", 8, "--fmap-base", 64, "--fmap-max", 4, "--loss", "nonsaturating"]
    stages = ["--stage", "4:0:8", "--stage", "8:8:8", "--batch", 8, "--quiet"]
    result = succeed("train gan", pictures, "--run", runs / "gan", *network, *stages)
    assert result.stdout == f"{runs / 'gan'}: 24 images shown\n"
    settings = ["--width", 2, "--code-size", 8, "--images", 16, "--batch", 8, "--pool", 8, "--validation", 4, "--quiet"]
    common = [pictures, "--task", "superres", "--generator", runs / "gan", "--run", runs / "superres"]
    result = succeed("train autoencoder", *common, *settings)
    assert result.stdout.startswith(f"{runs / 'superres'}: 16 images shown, validation MSE 0.")
    result = succeed("export", preset, "--gan", runs / "gan", "--autoencoder", runs / "superres")
    assert result.stdout.splitlines() == [str(preset / p) for p in ("generator", "encoder-superres", "decoder-superres")]
    succeed(*solve(small, "--models", preset.parent, "--preset", "mine"))
    assert images.size(tmp_path / "small.restored.png") == (8, 8)
    line = refuse("solve", "--task", "reconstruct", small, "--models", preset.parent, "--preset", "mine")
    assert "preset 'mine' has no task 'reconstruct'; it has superres" in line


ENCODER = ("--task", "superres", "--run", "r")


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["train gan", "{pictures}"], "Missing option '--run'"),
        (["train gan", "missing", "--run", "r"], "no such file or folder: missing"),
        (["train gan", "{pictures}", "--run", "r", "--resolution", "48"], "power of two from 4 to 1024; received 48"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:1"], "a stage is RESOLUTION:FADE:STABLE"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:a:1"], "a stage is RESOLUTION:FADE:STABLE"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:0:0"], "a stage needs fade >= 0 and stable >= 0"),
        (["train gan", "{pictures}", "--run", "{gan}", "--resolution", "16"], "was trained with latent_size 16, not 512"),
        (["train autoencoder", "{pictures}", *ENCODER, "--generator", "no"], "no checkpoint in no"),
        (["train autoencoder", "{pictures}", *ENCODER, "--generator", "{gan}"], "512 pictures cannot be held out of 24"),
        (["train gan", "{pictures}", "--run", "{pictures}/p00.png/r"], "p00.png is not a folder"),
        (["export", "new"], "name a GAN run, an autoencoder run, or a description"),
        (["export", "new", "--gan", "missing"], "no checkpoint in missing"),
    ],
)
def test_training_refuses(refuse, pictures, gan_run, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    before = contents(gan_run)
    assert says in refuse(*(a.format(pictures=pictures, gan=gan_run) for a in arguments))
    assert contents(gan_run) == before


# --------------------------------------------------------------------------------------------------------- start


TRAIN = ["train", *(f"train {kind}" for kind in ("gan", "began", "autoencoder", "starter", "aegan"))]
COMMANDS = ["", "solve", "eval", "presets", "demo", "encode", "decode", *TRAIN, "export", "import"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(run, command):
    result = run(command, "--help") if command else CliRunner().invoke(cli, ["--help"], prog_name="gekeras")
    assert result.exit_code == 0 and result.stdout.startswith(f"Usage: gekeras {command}".rstrip())
    assert "--help" in result.stdout


def test_examples_in_the_help_use_options_that_exist(run):
    for command in set(COMMANDS) - {"", "import"}:  # the latter's are of other commands, too
        example, _, options = re.split("(Options|Everyday):", run(command, "--help").stdout)
        for word in example.split():
            if word.startswith("--"):
                assert word in options, (command, word)


def test_version(run):
    assert CliRunner().invoke(cli, ["--version"], prog_name="gekeras").stdout == f"gekeras, version {__version__}\n"


def test_mistakes_with_click_8_1(refuse, monkeypatch):
    """The last for Python 3.9: it has no exception for a command without arguments, and prints the help by itself."""
    monkeypatch.delattr(click.exceptions, "NoArgsIsHelpError", raising=False)
    assert "nothing.png: no such file or directory" in refuse("solve", "nothing.png", "--task", "superres")


HEAVY = ("tensorflow", "keras", "tensorflow_addons", "tensorflow_gan", "matplotlib", "scipy", "skimage")


@pytest.mark.parametrize("code", ["import gekeras", "from gekeras.cli import main; main()"])
def test_starts_without_tensorflow(code):
    """In a Python of its own, with `--help` for its argument; what is loaded at the end is told on stderr."""
    told = f"import atexit, sys; atexit.register(lambda: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr))"
    done = subprocess.run([sys.executable, "-c", f"{told}; {code}", "--help"], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
    assert ("Usage: gekeras" in done.stdout) == ("main" in code)


def test_public_names_load_on_first_use():
    import gekeras

    assert set(gekeras.__all__) <= set(dir(gekeras))
    for name in gekeras.__all__:
        assert getattr(gekeras, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'paint'"):
        gekeras.paint  # noqa: B018


@pytest.mark.slow
def test_a_process_of_its_own(every_task, small, tmp_path):
    """What a shell sees: the summary on stdout, and nothing on stderr but our own notes."""
    command = [sys.executable, "-c", "from gekeras.cli import main; main()", *map(str, solve(small))]
    command += ["--models", str(every_task), "--preset", "tiny"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    command += ["--panel", str(tmp_path / "missing" / "p.png")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1


def test_options_of_a_picture(succeed, refuse, material, tmp_path):
    """That they reach the library; what they do is tested there."""
    Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 16).save("deep.png")
    results = {}
    for levels in ((), ("--levels", "0,4095"), ("--levels", "-4095,4095")):
        told = succeed("solve", "--task", "reconstruct", "--preview", "deep.png", *levels).stderr
        assert ("give levels=0,4080" in told) == (levels == ())
        results[levels] = (tmp_path / "deep.restored.png").read_bytes()
    assert len(set(results.values())) == 3
    Path("deep.restored.png").unlink()
    Path("deep.restored.json").unlink()
    for task, arguments, says in (
        ("deblur", "deep.png --levels 5,1", "levels must be two numbers that rise"),
        ("deblur", "portrait.png --levels 0,255", "portrait.png"),
        ("deblur", "portrait.png second.png --align face", "no face found in portrait.png, second.png: nothing is left"),
        ("deblur", "portrait.png --skip-faceless", "skip_faceless leaves out photographs in which align finds no face"),
        ("deblur", "portrait.png --simulate --reference second.png", "simulate takes the input itself as the truth"),
        ("denoise", "portrait.png --set sigma=0.3", "sigma of denoise would change nothing"),
        ("inpaint", "wide.png --box 0,0,8,8", "wide.png: what is missing lies outside of the 16x16 square at 12,0"),
        ("inpaint", "portrait.png --mask second.png", "second.png: the mask has colors"),
    ):
        assert says in refuse("solve", "--task", task, *QUICK, *arguments.split())
