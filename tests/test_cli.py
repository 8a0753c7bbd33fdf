"""The command line: results land where they should, and a mistake costs one line on stderr, exit code 2 and nothing else."""

import inspect
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SIDE, TASKS
from PIL import Image

from gekeras import __version__, images, metrics
from gekeras.cli import _progress, cli
from gekeras.operators import bicubic

QUICK = ["--steps", "3", "--starts", "2"]


@pytest.fixture
def run(models):
    """`run(*arguments)` -> click's result; `solve`, `eval` and `presets` get the folder of the tiny preset."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click before 8.2

    def invoke(command, *arguments):
        given = [str(a) for a in arguments]
        if command in ("solve", "eval", "presets", "demo") and "--models" not in given:
            given += ["--models", str(models)]
        if command in ("solve", "eval", "demo") and "--preset" not in given:
            given += ["--preset", "tiny"]
        return CliRunner(**apart).invoke(cli, [*command.split(), *given], prog_name="gekeras")

    return invoke


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
    return ("solve", "--task", "superres", *QUICK, *arguments)


# ------------------------------------------------------------------------------------------------------- solve


def test_superres_of_an_observation(succeed, small, tmp_path):
    result = succeed(*solve(small))
    restored = images.read(tmp_path / "small.restored.png")
    assert restored.shape == (SIDE, SIDE, 3)
    assert result.stderr == ""
    (line,) = result.stdout.splitlines()
    assert line.startswith(f"{tmp_path / 'small.restored.png'}: loss ") and " after 3 steps, " in line and "PSNR" not in line
    record = json.loads((tmp_path / "small.restored.json").read_text())
    assert (record["task"], record["preset"]) == ("superres", "tiny")
    assert (record["seed"], record["steps"], record["batch"]) == (0, 3, 1)
    assert record["input"] == str(small) and record["note"] == "" and record["loss"] > 0 and record["seconds"] > 0
    assert record["options"]["steps"] == 3 and record["options"]["starts"] == 2 and record["options"]["ramp"] == "cosine"
    assert set(record["versions"]) == {"gekeras", "tensorflow", "numpy", "python"}
    assert record["device"] == "CPU" and not {"metrics", "bicubic"} & set(record)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["small.png", "small.restored.json", "small.restored.png"]


def test_the_result_is_the_library_s(succeed, small, tmp_path, tiny):
    from gekeras import GenerativeEncoder

    succeed(*solve(small, "--seed", 5, "--weight", 0.5, "--prior", "norm"))
    model = GenerativeEncoder.from_preset(tiny, "superres")
    options = model.options("fast", steps=3, starts=2, seed=5, weight=0.5, prior="norm")
    solution = model.solve(images.read(small, 3)[None], options)
    written = images.read(tmp_path / "small.restored.png")
    np.testing.assert_allclose(written, np.clip(solution.image[0], -1, 1), atol=2.01 / 255)
    record = json.loads((tmp_path / "small.restored.json").read_text())
    assert record["loss"] == pytest.approx(solution.loss[0], rel=1e-4)


def test_a_larger_picture_is_reduced_and_that_is_said(succeed, tmp_path):
    wide = picture(tmp_path / "wide.png", 20, 30)
    result = succeed(*solve(wide))
    note = "wide.png: 30x20 cropped square and reduced to 4x4"
    assert result.stderr.splitlines() == [note]
    assert json.loads((tmp_path / "wide.restored.json").read_text())["note"] == note
    reduced = tmp_path / "reduced.tif"
    images.write(reduced, images.fit(images.read(wide), 4))
    succeed(*solve(reduced))
    one, other = (images.read(tmp_path / f"{name}.restored.png") for name in ("wide", "reduced"))
    assert np.abs(one - other).max() < 0.2  # but for the rounding to 8 bits in between


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
    assert record["metrics"]["mse"] > 0 and "bicubic" not in record


def test_where_results_go(succeed, small, tmp_path):
    (tmp_path / "existing.d").mkdir()
    for output, written in {
        "named.jpg": "named.jpg",
        "existing.d": "existing.d/small.restored.png",
        "new": "new/small.restored.png",
    }.items():
        line = succeed(*solve(small, "-o", tmp_path / output)).stdout
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


def test_json_alone_on_stdout(succeed, small, tmp_path):
    wide = picture(tmp_path / "wide.png", 20, 30)
    result = succeed(*solve(small, "--json", "--panel", tmp_path / "panel.png"))
    assert json.loads(result.stdout) == json.loads((tmp_path / "small.restored.json").read_text())
    both = json.loads(succeed(*solve(small, wide, "--json")).stdout)
    assert [record["input"] for record in both] == [str(small), str(wide)]


def test_quiet(succeed, tmp_path):
    wide = picture(tmp_path / "wide.png", 20, 30)
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


def test_an_older_result_is_replaced(succeed, small, tmp_path):
    (tmp_path / "small.restored.png").write_bytes(b"old")
    succeed(*solve(small))
    assert images.size(tmp_path / "small.restored.png") == (SIDE, SIDE)


# --------------------------------------------------------------------------------------- pictures of every kind


@pytest.mark.parametrize("kind", ["L", "RGBA", "LA", "P", "1", "CMYK", "16 bits"])
def test_kinds_of_pictures_that_work(succeed, tmp_path, kind):
    path = tmp_path / ("a.jpg" if kind == "CMYK" else "a.png")
    if kind == "16 bits":
        Image.fromarray(np.random.default_rng(0).integers(0, 65536, (4, 4), dtype=np.uint16)).save(path)
    else:
        picture(path, 4, 4, mode=kind)
    succeed(*solve(path))
    assert images.read(tmp_path / "a.restored.png").shape == (SIDE, SIDE, 3)


# -------------------------------------------------------------------------------------------------- refusals


def bomb(path):
    header = struct.pack(">IIBBBBB", 20000, 20000, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0")), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def truncated(path):
    picture(path, 64, 64)
    path.write_bytes(path.read_bytes()[:600])


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
    "tiny.png": (lambda path: picture(path, 3, 9), "too small: superres needs at least 4x4"),
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
        (["--task", "paint"], "'paint' is not one of"),
        (["--steps", "-1"], "-1 is not in the range x>=0"),
        (["--starts", "0"], "0 is not in the range x>=1"),
        (["--weight", "-0.1"], "-0.1 is not in the range x>=0"),
        (["--weight", "much"], "'much' is not a valid float"),
        (["--prior", "l1"], "'l1' is not one of"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--fidelity", "slow"], "'slow' is not one of"),
        (["--colour"], "No such option"),
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
    ],
)
def test_places_that_cannot_be_written(refuse, small, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("a file without a suffix")
    assert says in refuse(*solve(small, *arguments))


def test_results_that_would_meet(refuse, small, tmp_path):
    second = picture(tmp_path / "small.bmp", 4, 4)
    assert "same output" in refuse(*solve(small, second))
    assert "there are 2 inputs" in refuse(*solve(small, second, "-o", tmp_path / "a.png"))
    restored = picture(tmp_path / "small.restored.png", 4, 4)
    assert "is an input" in refuse(*solve(small, restored))


def test_missing_arguments(refuse):
    assert "Missing argument 'INPUTS...'" in refuse("solve", "--task", "superres")
    assert "Missing option '--task'" in refuse("solve", "a.png")
    assert "No such command 'restore'" in refuse("restore")


# ---------------------------------------------------------------------------------------------- eval, presets


def test_eval(succeed, pictures, tmp_path):
    stem = tmp_path / "scores" / "superres"
    arguments = ["eval", "--task", "superres", "--data", pictures, "--count", 3, *QUICK, "-o", stem, "--batch", 2]
    table = succeed(*arguments).stdout
    rows = [json.loads(line) for line in stem.with_suffix(".jsonl").read_text().splitlines()][1:]
    assert len(rows) == 3 * 5 and {row["image"] for row in rows} == {"p00.png", "p01.png", "p02.png"}
    assert stem.with_suffix(".md").read_text() == table
    mean = np.mean([row["psnr"] for row in rows if row["method"] == "bicubic"])
    assert "| bicubic | 3 | " in table and f"| {mean:.2f} ± " in table
    assert len(stem.with_suffix(".csv").read_text().splitlines()) == 6
    before = contents(tmp_path)
    assert succeed(*arguments).stdout == table and contents(tmp_path) == before


def test_eval_refuses(refuse, succeed, pictures, tmp_path):
    succeed("eval", "--task", "superres", "--data", pictures, "--count", 1, "--method", "input", "-o", tmp_path / "a")
    common = ["eval", "--task", "superres", "--data", pictures, "--count", 1, "-o"]
    assert "other options" in refuse(*common, tmp_path / "a", "--steps", 2)
    assert "unknown method GAN" in refuse(*common, tmp_path / "b", "--method", "GAN")
    assert "no such file or folder" in refuse(*common, tmp_path / "b", "--data", tmp_path / "missing")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: file exists" in refuse(*common, tmp_path / "file" / "b")


def test_presets(succeed, run, tmp_path):
    lines = succeed("presets").stdout.splitlines()
    assert lines[lines.index("tiny: 16x16x3") :][:3] == ["tiny: 16x16x3", *(f"  {task}" for task in TASKS)]


def test_demo(succeed, tmp_path):
    succeed("demo", "--output", tmp_path / "demo")
    assert images.size(tmp_path / "demo" / "astronaut.restored.png") == (SIDE, SIDE)
    assert (tmp_path / "demo" / "panel.png").is_file()
    record = json.loads((tmp_path / "demo" / "astronaut.restored.json").read_text())
    assert {"metrics", "bicubic"} <= set(record)


def test_demo_into_a_file(refuse, portrait):
    assert f"{portrait}: file exists" in refuse("demo", "--output", portrait)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_is_for_terminals(monkeypatch):
    for stream, quiet, shown in ((Terminal(), False, True), (Terminal(), True, False), (io.StringIO(), False, False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with _progress("solving", quiet) as tick:
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
        (["train gan", "{pictures}", "--run", "r", "--resolution", "48"], "double up to resolution 48"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:1"], "a stage is RESOLUTION:FADE:STABLE"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:a:1"], "a stage is RESOLUTION:FADE:STABLE"),
        (["train gan", "{pictures}", "--run", "r", "--stage", "8:0:0"], "a stage needs fade >= 0 and stable >= 0"),
        (["train gan", "{pictures}", "--run", "{gan}", "--resolution", "16"], "was trained with latent_size 16, not 512"),
        (["train autoencoder", "{pictures}", *ENCODER, "--generator", "no"], "no checkpoint in no"),
        (["train autoencoder", "{pictures}", *ENCODER, "--generator", "{gan}"], "512 pictures cannot be held out of 24"),
        (["train gan", "{pictures}", "--run", "{pictures}/p00.png/r"], "not a directory"),
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


COMMANDS = ["", "solve", "eval", "presets", "demo", "train", "train gan", "train autoencoder", "export"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help(run, command):
    result = run(command, "--help") if command else CliRunner().invoke(cli, ["--help"], prog_name="gekeras")
    assert result.exit_code == 0 and result.stdout.startswith(f"Usage: gekeras {command}".rstrip())
    assert "--help" in result.stdout


def test_examples_in_the_help_use_options_that_exist(run):
    for command in COMMANDS[1:]:
        shown = run(command, "--help").stdout
        example, _, options = shown.partition("Options:")
        for word in example.split():
            if word.startswith("--"):
                assert word in options, (command, word)


def test_version(run):
    assert CliRunner().invoke(cli, ["--version"], prog_name="gekeras").stdout == f"gekeras, version {__version__}\n"


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
def test_a_process_of_its_own(models, small, tmp_path):
    """What a shell sees: the summary on stdout, and nothing on stderr but our own notes."""
    command = [sys.executable, "-c", "from gekeras.cli import main; main()", *map(str, solve(small))]
    command += ["--models", str(models), "--preset", "tiny"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1
    command += ["--panel", str(tmp_path / "missing" / "p.png")]
    refused = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert refused.returncode == 2 and len(refused.stderr.splitlines()) == 1
