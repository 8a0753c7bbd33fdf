"""Models for TensorFlow Serving: what is exported gives what Python gives, run by TensorFlow's C library without Python."""

import ctypes
import io
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import GenerativeEncoder, images
from gekeras.cli import cli
from gekeras.models.starter import Starter
from gekeras.networks import presets
from gekeras.pictures import gray, holes
from gekeras.serving import codec, export, layout, warmup
from gekeras.solve import curvature
from gekeras.training import export as training

tensorflow_serving = pytest.importorskip("tensorflow_serving")

TASKS = ("superres", "inpaint", "denoise")
EXACT = {"pixel_weight": 1.0, "decoder_weight": 0.01, "consistent": True}
OBJECTIVES = {
    "superres": {**EXACT, "layers": "8", "layer_steps": 3},  # with a starter, as shipped presets are
    "inpaint": {**EXACT, "optimizer": "adam", "ramp": "cosine", "starts": 6, "finalists": 2, "steps": 14},
    "denoise": {"starts": 1, "finalists": 1, "probes": 4, "steps": 5},
}
# Of inpaint two starts compete from 12 steps on; of denoise there is a metric from `FEWEST` on. They are few, because a long
# iteration makes much of rounding.
STEPS = {"superres": [3, 0, 2, 1], "inpaint": [14, 5, 12, 0], "denoise": [5, 0, 4, 3]}
FEWEST = 4
SEEDS = [3, 3, 7, 0]
ROWS = len(SEEDS)


@pytest.fixture(scope="module", autouse=True)
def fewest():
    """The metric of L-BFGS is drawn for solves as short as these."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(curvature, "FEWEST", FEWEST)
        yield


@pytest.fixture(scope="module")
def preset(every_task, tmp_path_factory):
    """The tiny preset with the options that a large one has, and a starter for superres."""
    folder = shutil.copytree(every_task / "tiny", tmp_path_factory.mktemp("served") / "tiny")
    info = json.loads((folder / "preset.json").read_text())
    info |= {"objectives": OBJECTIVES, "starters": {"superres": {"options": {}}}}
    starter = Starter(16, 16, width=8, blocks=1)
    starter.get_layer("stretch").set_weights([np.eye(16, dtype=np.float32)])
    training.export_starter(starter, {"task": "superres", "images": 0, "real": 0, "error": 0, "options": {}}, folder)
    training.write_record(folder, info)
    return presets.read(folder)


@pytest.fixture(scope="module")
def served(preset, tmp_path_factory):
    """The folder of the exported models."""
    folder = tmp_path_factory.mktemp("serving") / "new" / "models"
    export.export(preset, folder, TASKS)
    return folder


@pytest.fixture(scope="module")
def solvers(preset):
    return {task: GenerativeEncoder.from_preset(preset, task) for task in TASKS}


def levels_of(task):
    """Observations of 8 bits `[n, h, w, 3]`, the last one gray, and where they are known."""
    rng = np.random.default_rng(2)
    side = SIDE // 4 if task == "superres" else SIDE
    coarse = [Image.fromarray(rng.integers(60, 196, (3, 3, 3), dtype=np.uint8)) for _ in range(ROWS)]
    levels = np.stack([np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)) for picture in coarse])
    levels[-1] = levels[-1, ..., :1]
    known = np.ones((ROWS, SIDE, SIDE, 1), np.float32)
    for k in range(ROWS):
        known[k, k : k + 8, 2:9] = 0
    return levels, known


def png(levels, kind="PNG"):
    data = io.BytesIO()
    Image.fromarray(levels).save(data, kind, **({"quality": 95} if kind == "JPEG" else {}))
    return data.getvalue()


def texts(*items):
    array = np.empty(len(items), object)
    array[:] = items
    return array


def inputs_of(task, encoded=False, **changes):
    """Of all rows."""
    levels, known = levels_of(task)
    if encoded:
        found = {"image_bytes": texts(*map(png, levels[:-1]), png(levels[-1, ..., 0]))}
        hole = {"mask_bytes": texts(*(png(np.uint8(255 * (1 - k[..., 0]))) for k in known))}
    else:
        found, hole = {"observation": images.from_uint8(levels)}, {"mask": known}
    rows = {"seed": np.int32(SEEDS), "steps": np.int32(STEPS[task])}
    return {**found, **(hole if task == "inpaint" else {}), **rows, **changes}


def only(inputs, k):
    return {name: value[k : k + 1] for name, value in inputs.items()}


@pytest.fixture(scope="module")
def expected(solvers):
    """task -> what Python's solve gives of each row, alone, with its seed and its steps."""

    def solve(task, k):
        options = solvers[task].options(steps=STEPS[task][k], seed=SEEDS[k])
        inputs = only(inputs_of(task), k)
        return solvers[task].solve(inputs["observation"], options, known=inputs.get("mask"))

    return {task: [solve(task, k) for k in range(ROWS)] for task in TASKS}


# ------------------------------------------------------------------------------------------- through the C library


def signatures_of(folder):
    """signature -> (input -> tensor, output -> tensor) of a SavedModel."""
    from tensorflow.python.tools import saved_model_utils

    found = saved_model_utils.get_meta_graph_def(str(folder), "serve").signature_def
    sides = {name: (signature.inputs, signature.outputs) for name, signature in found.items() if signature.outputs}
    named = {name: [{key: info.name for key, info in side.items()} for side in both] for name, both in sides.items()}
    return {name: both for name, both in named.items() if not name.startswith("__")}


def library():
    """The C library that a wheel of TensorFlow brings, under whatever number; None where it brings none."""
    folder = Path(tf.sysconfig.get_lib())
    found = [*folder.glob("libtensorflow_cc.*"), *folder.glob("libtensorflow.*"), *folder.glob("python/_pywrap*.so")]
    return next((str(path) for path in found if hasattr(ctypes.CDLL(str(path)), "TF_LoadSessionFromSavedModel")), None)


def warmups_of(folder):
    """(signature, inputs) of each recorded request, and the model's names in them."""
    from tensorflow_serving.apis import prediction_log_pb2

    requests, models = [], set()
    for record in tf.data.TFRecordDataset(str(folder / layout.EXTRA / warmup.FILE)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        requests.append((request.model_spec.signature_name, inputs))
        models.add(request.model_spec.name)
    return requests, models


BAD = {  # what is sent of superres in the place of an input -> what the message must say
    "damaged": (dict(image_bytes=texts(png(levels_of("superres")[0][0])[:60])), "must_be_a_whole_PNG_or_JPEG_of_4x4_pixels"),
    "no picture": (dict(image_bytes=texts(b"GIF89a")), "image_bytes must be a PNG or JPEG of 4x4 pixels"),
    "empty": (dict(image_bytes=texts(b"")), "received 0 bytes of something else"),
    "large": (dict(image_bytes=texts(png(np.zeros((6, 5, 3), np.uint8)))), "of 4x4 pixels; received one of 5x6"),
    "jpeg": (dict(image_bytes=texts(png(np.zeros((6, 5, 3), np.uint8), "JPEG"))), "of 4x4 pixels; received one of 5x6"),
    "damaged jpeg": (dict(image_bytes=texts(png(np.zeros((4, 4), np.uint8), "JPEG")[:250])), "must_be_a_whole_PNG_or_JPEG"),
    "steps": (dict(steps=np.int32([-1])), "steps must be 0 to 10,000"),
    "seed": (dict(seed=np.int32([-1])), "seed must be 0 or more"),
    "rows": (dict(seed=np.int32([1, 2])), "all inputs must have as many rows"),
    "range": (dict(observation=np.full((1, 4, 4, 3), 255, np.float32)), "observation must have values in [-1, 1]"),
    "nan": (dict(observation=np.full((1, 4, 4, 3), np.nan, np.float32)), "observation must have values in [-1, 1]"),
    "mask": (dict(mask=np.full((1, SIDE, SIDE, 1), 0.5, np.float32)), "mask must be 1 where a pixel is known"),
    "all missing": (dict(mask=np.zeros((1, SIDE, SIDE, 1), np.float32)), "mask must have a pixel that is known"),
    "white": (dict(mask_bytes=texts(png(np.full((SIDE, SIDE), 255, np.uint8)))), "mask_bytes is all white"),
    "black": (dict(mask_bytes=texts(png(np.zeros((SIDE, SIDE), np.uint8)))), "mask_bytes has no white pixel"),
    "colors": (dict(mask_bytes=texts(png(levels_of("inpaint")[0][0]))), "mask_bytes has colors"),
}


def refused_call(changes):
    """(task, signature, inputs) of one row with that change."""
    task = "inpaint" if {"mask", "mask_bytes"} & set(changes) else "superres"
    encoded = any(name.endswith("_bytes") for name in changes)
    return task, "encoded" if encoded else "serving_default", {**only(inputs_of(task, encoded), 0), **changes}


def calls_of_solvers():
    """name -> (task, signature, inputs)."""
    calls = {}
    for task in TASKS:
        calls[task, "together"] = task, "serving_default", inputs_of(task)
        calls[task, "alone"] = task, "serving_default", only(inputs_of(task), 1)
        calls[task, "files"] = task, "encoded", inputs_of(task, encoded=True)
    return calls | {name: refused_call(changes) for name, (changes, _) in BAD.items()}


@pytest.fixture(scope="module")
def answers(served, preset, tmp_path_factory):
    """name -> outputs, or the message of an error, of `calls_of_solvers`; (model, signature) -> outputs of its warm-up."""
    place = library()
    if place is None:
        pytest.skip("this TensorFlow has no C library")
    jobs, names = [], []
    for model in layout.models_in(served):
        folder, calls = served / model / "1", {}
        for signature, inputs in warmups_of(folder)[0]:
            calls[model, signature] = signature, inputs
        for name, (task, signature, inputs) in calls_of_solvers().items():
            if model == layout.solver_name(preset, task):
                calls[name] = signature, inputs
        tensors = signatures_of(folder)
        feeds = [
            ({tensors[s][0][key]: value for key, value in given.items()}, [*tensors[s][1].values()])
            for s, given in calls.values()
        ]
        jobs.append((str(folder), feeds))
        names.append([(name, list(tensors[signature][1])) for name, (signature, _) in calls.items()])
    scratch = tmp_path_factory.mktemp("calls")
    (scratch / "jobs").write_bytes(pickle.dumps(jobs))
    runner = [sys.executable, Path(__file__).with_name("c_session.py"), place, scratch / "jobs", scratch / "results"]
    subprocess.run(runner, check=True, timeout=600, capture_output=True)
    found = {}
    for part, results in zip(names, pickle.loads((scratch / "results").read_bytes())):
        for (name, keys), result in zip(part, results):
            found[name] = result if isinstance(result, str) else dict(zip(keys, result))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_a_served_solve_is_pythons_of_each_picture_alone(task, answers, expected):
    found = answers[task, "together"]
    for name in ("latent", "loss", "steps"):
        wanted = np.concatenate([getattr(solution, name) for solution in expected[task]])
        np.testing.assert_allclose(found[name], wanted, atol=1e-4, rtol=1e-4, err_msg=name)
    wanted = np.clip(np.concatenate([solution.image for solution in expected[task]]), -1, 1)
    np.testing.assert_allclose(found["image"], wanted, atol=1e-4)
    for name, value in answers[task, "alone"].items():
        np.testing.assert_allclose(value, found[name][1:2], atol=1e-4, rtol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_files_are_restored_as_the_command_writes_them(task, answers, expected):
    found = answers[task, "files"]
    decoded = [np.asarray(Image.open(io.BytesIO(data))) for data in found["image_bytes"]]
    wanted = [images.to_uint8(solution.image[0]) for solution in expected[task]]
    for k, picture in enumerate(decoded[:-1]):
        assert np.abs(picture.astype(int) - wanted[k]).max() <= 1, k  # a number on the border between two levels
        assert (picture != wanted[k]).mean() < 0.01, k
    colorless = images.to_uint8(images.luma(np.clip(expected[task][-1].image[0], -1, 1)))[..., 0]
    assert np.abs(decoded[-1].astype(int) - colorless).max() <= 1
    assert found["steps"].tolist() == [int(solution.steps[0]) for solution in expected[task]]


@pytest.mark.slow
@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_solved_is_invalid_and_says_what_is_needed(name, answers):
    assert isinstance(answers[name], str), answers[name]
    assert answers[name].startswith("3: ") and BAD[name][1] in answers[name]  # 3: TF_INVALID_ARGUMENT


@pytest.mark.slow
def test_parts_and_warmups_run(answers, served, preset):
    for model in layout.models_in(served):
        requests, models = warmups_of(served / model / "1")
        assert models == {model}
        assert {signature for signature, _ in requests} == set(signatures_of(served / model / "1"))
        for signature, inputs in requests:
            found = answers[model, signature]
            assert not isinstance(found, str) and all(len(value) == 1 for value in found.values())
            if "-solver-" in model:
                continue
            part = preset.part(model.removeprefix("tiny-"))
            wanted = part.signatures[signature](**{name: tf.constant(value) for name, value in inputs.items()})
            for key, value in wanted.items():
                np.testing.assert_allclose(found[key], value, atol=1e-5)


# ---------------------------------------------------------------------------------------------------- what is written


@pytest.mark.slow
def test_the_folder_is_what_the_server_is_told(served, preset):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    parts = ["generator", *(f"{part}-{task}" for task in TASKS for part in ("encoder", "decoder", "solver"))]
    models = {f"tiny-{part}" for part in parts}
    config = text_format.Parse((served / layout.CONFIG).read_text(), model_server_config_pb2.ModelServerConfig())
    listed = {entry.name: entry.base_path for entry in config.model_config_list.config}
    assert listed == {model: f"/models/{model}" for model in models}
    assert sorted(path.name for path in served.iterdir()) == sorted(
        [*models, *(layout.CONFIG, layout.BATCHING, layout.README)]
    )
    text = (served / layout.README).read_text()
    assert all(f"### {model}\n" in text for model in models)
    assert max(map(len, text.splitlines())) <= 140
    of_starter = text.partition("### tiny-solver-superres")[2].partition("###")[0]
    assert "changes nothing" in of_starter and "changes nothing" not in text.replace(of_starter, "")


@pytest.mark.slow
def test_saved_model_cli_shows_the_signatures(served, capsys):
    from tensorflow.python.tools import saved_model_cli

    saved_model_cli._show_all(str(served / "tiny-solver-inpaint" / "1"))
    text = capsys.readouterr().out
    for name in ("serving_default", "encoded"):
        assert f"signature_def['{name}']" in text
    for key in ("observation", "mask", "seed", "steps", "image_bytes", "mask_bytes", "image", "latent", "loss"):
        assert f"['{key}']" in text
    assert "shape: (-1, 16, 16, 3)" in text and "shape: (-1, 16, 16, 1)" in text


def run(*arguments):
    """(exit code, stdout, stderr) of `gekeras export`."""
    result = CliRunner().invoke(cli, ["export", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def state_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def quick(monkeypatch, preset):
    """Exports in which the solve is a file: what is around it takes no time."""

    def save(_, task, path, model):
        path.mkdir()
        (path / "saved_model.pb").write_text(task)
        return {"note": f"{task} is special"}

    monkeypatch.setattr(export, "save_solver", save)
    return preset


def test_another_export_adds_a_version_and_keeps_the_rest(quick, tmp_path):
    folder = tmp_path / "served"
    code, out, err = run(quick.folder, "--serving", folder, "--task", "superres")
    parts = ["decoder-superres", "encoder-superres", "generator", "solver-superres"]
    assert (code, out.split()) == (0, [str(folder / f"tiny-{part}" / "1") for part in parts])
    assert err == "gekeras: tiny-solver-superres: superres is special\n"
    (folder / layout.BATCHING).write_text("max_batch_size { value: 3 }\n")
    before = state_of(folder)
    code, out, _ = run(quick.folder, "--serving", folder, "--task", "superres", "--task", "denoise")
    assert code == 0 and str(folder / "tiny-generator" / "2") in out and str(folder / "tiny-solver-denoise" / "1") in out
    after = state_of(folder)
    lists = {layout.CONFIG, layout.README}
    assert {name: after[name] for name in before if name not in lists} == {
        name: data for name, data in before.items() if name not in lists
    }
    assert after[layout.CONFIG].decode() == layout.config_text(layout.models_in(folder))
    assert b"tiny-solver-denoise" in after[layout.CONFIG]
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_export_that_fails_leaves_nothing(quick, tmp_path, monkeypatch):
    folder = tmp_path / "a" / "served"
    broken = lambda *_: (_ for _ in ()).throw(ValueError("no room"))  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(export, "save_solver", broken)
        assert run(quick.folder, "--serving", folder) == (2, "", "gekeras: no room\n")
    assert list(tmp_path.iterdir()) == []
    assert run(quick.folder, "--serving", folder, "--task", "superres")[0] == 0
    before = state_of(folder)
    monkeypatch.setattr(export.files, "write_text", broken)  # after the versions are in their places
    assert run(quick.folder, "--serving", folder, "--task", "superres", "--task", "denoise")[0] == 2
    assert state_of(folder) == before and "tiny-solver-denoise" not in [path.name for path in folder.iterdir()]


def test_what_is_in_the_way_is_refused_before_anything_is_written(preset, tmp_path, monkeypatch):
    def refused(*arguments, folder=tmp_path / "new"):
        before = state_of(tmp_path)
        code, out, err = run(preset.folder, "--serving", folder, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1) and state_of(tmp_path) == before
        assert not (tmp_path / "new").exists()
        return err

    def holding(name, text=""):
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(text)
        return refused("--task", "superres", folder=folder)

    assert "no task 'colorize'" in refused("--task", "colorize")
    assert "--task superres is given twice" in refused("--task", "superres", "--task", "superres")
    assert "give it alone" in refused("--gan", "run") and "give it alone" in refused("--layers")
    assert "holds holiday.jpg, which is no model" in holding("holiday.jpg")
    assert "holds tiny-generator, which is no model" in holding("tiny-generator/notes.txt")
    assert "was edited: move it away" in holding("models.config", "model_config_list {}")
    assert "was not written by gekeras" in holding("README.md", "# Mine")
    assert "is not a folder" in refused(folder=tmp_path / "holiday.jpg" / "holiday.jpg")
    with monkeypatch.context() as patch:
        patch.setattr(layout.importlib.util, "find_spec", lambda name: None)
        assert "pip install 'gekeras[serving]'" in refused()
    code, _, err = run("no-such-preset", "--serving", tmp_path / "new")
    assert code == 2 and "unknown preset 'no-such-preset'" in err
    code, _, err = run(tmp_path / "new", "--task", "superres")
    assert code == 2 and "--task is for --serving" in err


def test_files_are_decoded_as_the_command_reads_them(tmp_path):
    rng = np.random.default_rng(4)
    smooth = Image.fromarray(rng.integers(0, 256, (4, 4, 4), dtype=np.uint8)).resize((12, 8), Image.Resampling.BICUBIC)
    pictures = {
        "color.png": smooth.convert("RGB"),
        "transparent.png": smooth,
        "gray.png": smooth.convert("L"),
        "both.png": smooth.convert("LA"),
        "palette.png": smooth.convert("RGB").quantize(8),
        "large palette.png": smooth.convert("RGB").quantize(60),
        "bits.png": smooth.convert("1"),
        "deep.png": Image.fromarray(rng.integers(0, 65536, (8, 12), dtype=np.uint16)),
        "color.jpg": smooth.convert("RGB"),
        "gray.jpg": smooth.convert("L"),
    }
    for name, picture in pictures.items():
        path = tmp_path / name
        picture.save(path)
        for channels in (1, 3):
            found = codec.decode(tf.constant(path.read_bytes()), "image_bytes", (8, 12, channels))
            near = 1.01 * 2 / 255 if "A" in picture.mode else 1e-6  # opacity of 8 bits is rounded there
            np.testing.assert_allclose(found.image, images.read(path, channels), atol=near, err_msg=name)
            assert bool(found.gray) == gray.is_gray(images.read(path)), name
            assert bool(found.single) == (images.read(path).shape[-1] == 1), name


def test_masks_mean_what_the_command_takes_them_for(tmp_path):
    white = np.zeros((8, 12, 4), np.uint8)
    white[..., 3] = 255
    white[2:5, 3:9, :3] = 255
    label, soft, clear = white.copy(), white.copy(), white.copy()
    label[2:5, 3:9, :3] = 1, 0, 0
    soft[1:3, 3:9, :3] = 140
    clear[3, :, 3] = 0
    for name, levels in {"white": white, "label": label, "soft": soft, "clear": clear}.items():
        path = tmp_path / f"{name}.png"
        Image.fromarray(levels).save(path)
        found = codec.decode_mask(tf.constant(path.read_bytes()), "mask_bytes", (8, 12, 3))
        np.testing.assert_array_equal(found, holes.read_mask(path).known, err_msg=name)


def test_rounding_is_that_of_a_written_picture(tmp_path):
    image = np.linspace(-1.1, 1.1, 8 * 12 * 3, dtype=np.float32).reshape(8, 12, 3)
    for colorless, single in ((False, False), (True, False), (True, True)):
        data = codec.encode(tf.constant(image), tf.constant(colorless), tf.constant(single)).numpy()
        wanted = images.to_uint8(images.luma(image) if colorless else image)
        wanted = wanted[..., 0] if single else np.broadcast_to(wanted, image.shape)
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), wanted)
