"""The spread of several solves: what it is by hand, where it is zero, one picture at a time, and what the command writes."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import GenerativeEncoder, images
from gekeras.cli import cli
from gekeras.config import SolveOptions
from gekeras.pictures.observations import Observation
from gekeras.restore import job, uncertainty

LATENT, PIXELS = 8, 6
pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
MIX = RNG.normal(size=(LATENT, PIXELS * PIXELS * 3)).astype(np.float32) / 3
MAP = RNG.normal(size=(PIXELS * PIXELS * 3, 4)).astype(np.float32) / 3
GUESS = RNG.normal(size=(4, LATENT)).astype(np.float32)
OPTIONS = SolveOptions(steps=6, optimizer="lbfgs", starts=4, seed=3)
STARTER = dataclasses.replace(OPTIONS, start="starter", prior="sphere")


def generator(latent):
    return tf.reshape(tf.tanh(tf.matmul(latent, MIX)), (-1, PIXELS, PIXELS, 3))


def encoder(image):
    return tf.matmul(tf.reshape(image, (-1, PIXELS * PIXELS * 3)), MAP)


def starter(code):
    z = tf.matmul(code, GUESS)
    return np.sqrt(LATENT) * tf.math.l2_normalize(z, axis=1)


def make(generator=generator, task="reconstruct", **networks):
    return GenerativeEncoder(generator, encoder, LATENT, task, starter=starter, **networks)


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture
def y(rng):
    return rng.uniform(-1, 1, (3, PIXELS, PIXELS, 3)).astype(np.float32)


both_starts = pytest.mark.parametrize("options", [OPTIONS, STARTER], ids=["random", "starter"])


# ------------------------------------------------------------------------------------------------------- truths


@both_starts
def test_a_picture_in_a_batch_is_as_alone(model, y, options):
    together = uncertainty.solve_ensemble(model, y, options, samples=3)
    for i in range(3):
        alone = uncertainty.solve_ensemble(model, y[i : i + 1], options, samples=3)
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=1e-3)
        np.testing.assert_allclose(alone.deviation[0], together.deviation[i], atol=1e-3)
        np.testing.assert_allclose(alone.losses[0], together.losses[i], rtol=1e-3)


def test_pictures_of_several_batches_are_as_of_one(model, y):
    whole, reports = uncertainty.solve_ensemble(model, y, OPTIONS, samples=3), []
    for batch in (6, 4, 2):  # two pictures at once, one, and one in two batches
        reports.clear()
        tell = lambda *report: reports.append(report[:2])  # noqa: E731
        parts = uncertainty.solve_ensemble(model, y, OPTIONS, samples=3, batch=batch, progress=tell)
        np.testing.assert_allclose(parts.image, whole.image, atol=1e-3)
        np.testing.assert_allclose(parts.deviation, whole.deviation, atol=1e-3)
        assert reports == sorted(reports)
        assert reports[-1][0] == reports[-1][1] == {6: 2, 4: 3, 2: 6}[batch] * OPTIONS.steps


@both_starts
def test_the_seed_decides(model, y, options):
    first, again = (uncertainty.solve_ensemble(model, y, options, samples=2) for _ in range(2))
    np.testing.assert_array_equal(first.deviation, again.deviation)
    other = uncertainty.solve_ensemble(model, y, dataclasses.replace(options, seed=50), samples=2)
    assert np.abs(other.deviation - first.deviation).max() > 1e-3


@both_starts
def test_more_samples_keep_the_first_ones(model, y, options):
    few, many = (uncertainty.solve_ensemble(model, y, options, samples=k) for k in (2, 5))
    np.testing.assert_allclose(many.latents[:, :2], few.latents, atol=1e-3)


def test_the_samples_are_what_competes(model, y):
    """A sample begins at the best candidate of its seed, without finalists of its own."""
    options = dataclasses.replace(OPTIONS, steps=14)
    one, other = (
        uncertainty.solve_ensemble(model, y, dataclasses.replace(options, finalists=count), samples=3) for count in (1, 2)
    )
    np.testing.assert_array_equal(one.latents, other.latents)


@both_starts
def test_the_first_sample_is_the_plain_solve(model, y, options):
    ensemble, plain = uncertainty.solve_ensemble(model, y, options, samples=4), model.solve(y, options)
    np.testing.assert_allclose(ensemble.latents[:, 0], plain.latent, atol=1e-3)
    np.testing.assert_allclose(ensemble.losses[:, 0], plain.loss, rtol=1e-3)


def test_each_random_sample_is_the_solve_of_a_seed_of_its_own(model, y):
    ensemble = uncertainty.solve_ensemble(model, y, OPTIONS, samples=3)
    for k in range(3):
        own = model.solve(y, dataclasses.replace(OPTIONS, seed=OPTIONS.seed + k))
        np.testing.assert_allclose(ensemble.latents[:, k], own.latent, atol=1e-3)


def test_the_best_sample_is_the_result(model, y):
    ensemble = uncertainty.solve_ensemble(model, y, OPTIONS, samples=4)
    best = ensemble.losses.argmin(axis=1)
    assert (best > 0).any()  # or the test shows little
    np.testing.assert_array_equal(ensemble.solution.loss, ensemble.losses.min(axis=1))
    np.testing.assert_array_equal(ensemble.solution.latent, ensemble.latents[np.arange(3), best])
    np.testing.assert_allclose(ensemble.image, model.generate(ensemble.solution.latent), atol=1e-5)
    assert ensemble.deviation.shape == y.shape[:3] and ensemble.solution.seconds > 0 and len(ensemble.solution.steps) == 3


def test_the_deviation_is_numpy_s(model, y):
    """By hand from the samples' latents."""
    ensemble = uncertainty.solve_ensemble(model, y, OPTIONS, samples=3)
    for i in range(3):
        pictures = np.clip(model.generate(ensemble.latents[i]), -1, 1)
        expected = np.sqrt((pictures.std(axis=0, ddof=1) ** 2).mean(axis=-1))
        np.testing.assert_allclose(ensemble.deviation[i], expected, atol=1e-5)
        assert expected.max() > 0.01
        mean_square = (expected**2).mean()
        assert ensemble.confidence[i] == pytest.approx(1 / (1 + mean_square / uncertainty.SCALE**2), rel=1e-4)


def test_pictures_are_compared_as_they_are_written():
    """What leaves [-1, 1] is cut off: there 1.5 and 2 are the same white."""
    samples = np.array([1.5, 2.0, -1.0, 0.0], np.float32).reshape(2, 2, 1, 1, 1)
    np.testing.assert_allclose(uncertainty.deviation_of(samples).ravel(), [0, np.sqrt(0.5)], rtol=1e-6)


@both_starts
@pytest.mark.parametrize("samples", [2, 3, 7])
def test_a_generator_that_ignores_its_latent_is_sure(y, options, samples):
    fixed = make(lambda latent: tf.zeros((tf.shape(latent)[0], PIXELS, PIXELS, 3)) + 0.1 * tf.reduce_sum(0 * latent) + 0.3)
    ensemble = uncertainty.solve_ensemble(fixed, y, options, samples=samples)
    assert ensemble.deviation.max() == 0 and (ensemble.confidence == 1).all()


def test_confidence_falls_with_the_deviation():
    deviation = np.linspace(0, 2, 9)[:, None, None] * np.ones((9, 2, 2))
    confidence = uncertainty.confidence_of(deviation)
    assert confidence[0] == 1 and (np.diff(confidence) < 0).all() and confidence[-1] > 0
    assert uncertainty.confidence_of(np.full((1, 4, 4), uncertainty.SCALE))[0] == pytest.approx(0.5)


@pytest.mark.parametrize("t", [0.01, 0.5, 2.0])
def test_a_starter_s_prediction_is_turned_by_an_angle(model, y, t):
    """Of about arctan t, in eight dimensions; its length is kept, and every picture sees the same noise."""
    z = uncertainty.first_latents(model, y, STARTER, samples=400, perturbation=t)
    np.testing.assert_allclose(z[:, 0], starter(model.encode(y)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(z, axis=-1), np.sqrt(LATENT), rtol=1e-5)
    angle = np.arccos(np.clip(np.einsum("ikd,id->ik", z[:, 1:], z[:, 0]) / LATENT, -1, 1))
    assert np.median(angle) == pytest.approx(np.arctan(t), rel=0.1)
    alone = uncertainty.first_latents(model, y[1:2], STARTER, samples=400, perturbation=t)
    np.testing.assert_allclose(alone[0], z[1], atol=1e-5)


def test_uniform_latents_stay_in_their_box(y):
    uniform = make(latent="uniform")
    ensemble = uncertainty.solve_ensemble(uniform, y, dataclasses.replace(STARTER, prior="box"), samples=4)
    assert np.abs(ensemble.latents).max() <= 1


def test_known_pixels_of_a_consistent_result_are_sure(y, rng):
    inpaint = make(task="inpaint")
    known = (rng.random((PIXELS, PIXELS)) < 0.6).astype(np.float32)
    options = dataclasses.replace(OPTIONS, consistent=True)
    ensemble = uncertainty.solve_ensemble(inpaint, 0.3 * y, options, known=known, samples=3)
    assert ensemble.deviation[:, known > 0].max() < 1e-3 < 1e-2 < ensemble.deviation[:, known == 0].mean()
    several = uncertainty.solve_ensemble(inpaint, 0.3 * y, options, known=np.repeat(known[None, ..., None], 3, 0), samples=3)
    np.testing.assert_array_equal(several.deviation, ensemble.deviation)


def test_the_default_options_are_the_fast_ones(model, y):
    ensemble = uncertainty.solve_ensemble(model, y[:1], samples=2)
    np.testing.assert_allclose(ensemble.latents[:, 0], model.solve(y[:1]).latent, atol=1e-3)


def test_initial_latents_are_where_a_solve_begins(model, y, rng):
    z = rng.normal(size=(3, LATENT)).astype(np.float32)
    np.testing.assert_array_equal(model.solve(y, dataclasses.replace(OPTIONS, steps=0), initial=z).latent, z)
    on_the_sphere = model.solve(y, dataclasses.replace(STARTER, steps=0), initial=z).latent
    np.testing.assert_allclose(np.linalg.norm(on_the_sphere, axis=1), np.sqrt(LATENT), rtol=1e-5)
    with pytest.raises(ValueError, match=r"initial latents must be \[3, 8\]; received \[2, 8\]"):
        model.solve(y, OPTIONS, initial=z[:2])


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"samples": 1}, "samples must be 2 or more"),
        ({"perturbation": 0.0}, "perturbation must be above 0"),
        ({"perturbation": float("nan")}, "perturbation must be above 0"),
        ({"known": np.ones((PIXELS, PIXELS))}, "task reconstruct takes no mask"),
        ({"options": dataclasses.replace(OPTIONS, consistent=True)}, "no noise-free partial measurement"),
    ],
)
def test_what_is_refused(model, y, arguments, says):
    with pytest.raises(ValueError, match=says):
        uncertainty.solve_ensemble(model, y, **{"options": OPTIONS, **arguments})


def test_a_start_without_a_starter_is_refused(y):
    with pytest.raises(ValueError, match="there is no starter"):
        uncertainty.solve_ensemble(GenerativeEncoder(generator, encoder, LATENT), y, STARTER)


def test_pieces_are_joined_and_placed_as_the_pictures_are(model, y):
    """Two pieces side by side in the middle of a photograph, around which the deviation is black."""

    def join(pieces):
        return np.concatenate(list(pieces), axis=1)[None]

    def place(pictures, around=None):
        return np.pad(pictures[0], ((1, 1), (1, 1), (0, 0)), constant_values=0.5 if around is None else around)

    first = Observation("a", y[:2], None, y[:2], None, join, place, None)
    second = Observation(
        "b", y[2:], None, y[2:], None, lambda pieces: pieces, lambda pictures, around=None: pictures[0], None
    )
    ensemble = uncertainty.solve_ensemble(model, y, OPTIONS, samples=3)
    one, other = job.assemble([first, second], ensemble.solution, ensemble.deviation, samples=3)
    np.testing.assert_array_equal(one.image, place(join(np.clip(ensemble.image[:2], -1, 1))))
    levels = np.clip(ensemble.deviation / uncertainty.WHITE * 2 - 1, -1, 1)[..., None]
    np.testing.assert_allclose(one.uncertainty.image, place(join(levels[:2]), -1), atol=1e-6)
    np.testing.assert_allclose(other.uncertainty.image, levels[2], atol=1e-6)
    assert other.uncertainty.record["confidence"] == pytest.approx(ensemble.confidence[2])
    assert one.uncertainty.record["deviation"] == pytest.approx(ensemble.deviation[:2].mean())
    assert one.uncertainty.record["rms"] == pytest.approx(np.sqrt((ensemble.deviation[:2] ** 2).mean()))


# ------------------------------------------------------------------------------------------------------- the command

QUICK = ["--steps", "2", "--starts", "2"]


@pytest.fixture
def run(every_task):
    """`run(task, *arguments)` -> click's result of a solve with the tiny preset."""
    apart = {"mix_stderr": False} if "mix_stderr" in inspect.signature(CliRunner).parameters else {}  # click before 8.2

    def invoke(task, *arguments):
        given = ["solve", "--task", task, *QUICK, *map(str, arguments), "--models", str(every_task), "--preset", "tiny"]
        return CliRunner(**apart).invoke(cli, given, prog_name="gekeras")

    return invoke


@pytest.fixture
def succeed(run):
    def invoke(*arguments):
        result = run(*arguments)
        assert result.exit_code == 0, result.stderr
        return result

    return invoke


def draw(path, height, width, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def record_of(path):
    return json.loads(path.read_text())


def test_a_picture_and_numbers_beside_the_result(succeed, every_task, tmp_path):
    result = succeed("superres", draw(tmp_path / "a.png", 4, 4), "--uncertainty", 3, "--panel", tmp_path / "panel.png")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["a.png", "a.restored.json", "a.restored.png", "a.uncertainty.png", "panel.png"]
    record = record_of(tmp_path / "a.restored.json")
    model = GenerativeEncoder.from_preset("tiny", "superres", every_task)
    options = model.options("fast", steps=2, starts=2)
    ensemble = uncertainty.solve_ensemble(model, images.read(tmp_path / "a.png")[None], options, samples=3)
    numbers = record["uncertainty"]
    assert set(numbers) == {"samples", "deviation", "rms", "confidence", "white"} and numbers["samples"] == 3
    assert numbers["deviation"] == pytest.approx(ensemble.deviation.mean(), rel=1e-3)
    assert numbers["confidence"] == pytest.approx(ensemble.confidence[0], rel=1e-3)
    assert record["loss"] == pytest.approx(ensemble.solution.loss[0], rel=1e-3)
    with Image.open(tmp_path / "a.uncertainty.png") as written:
        assert written.mode == "L"
        seen = np.asarray(written) / 255 * numbers["white"]
    np.testing.assert_allclose(seen, np.minimum(ensemble.deviation[0], numbers["white"]), atol=0.01)
    np.testing.assert_allclose(images.read(tmp_path / "a.restored.png"), np.clip(ensemble.image[0], -1, 1), atol=0.02)
    assert f"confidence {numbers['confidence']:.2f} from 3 samples" in result.stdout.splitlines()[0]


def test_without_the_option_nothing_is_said_of_it(succeed, tmp_path):
    result = succeed("superres", draw(tmp_path / "a.png", 4, 4))
    assert "confidence" not in result.stdout and "uncertainty" not in record_of(tmp_path / "a.restored.json")
    assert not (tmp_path / "a.uncertainty.png").exists()


def test_several_inputs_a_folder_and_a_name_of_one_s_own(succeed, tmp_path):
    paths = [draw(tmp_path / f"{name}.png", 4, 4, seed) for seed, name in enumerate("ab")]
    result = succeed("superres", *paths, "--uncertainty", 2, "-o", tmp_path / "both", "--json")
    kinds = ("restored.json", "restored.png", "uncertainty.png")
    assert sorted(p.name for p in (tmp_path / "both").iterdir()) == [f"{name}.{kind}" for name in "ab" for kind in kinds]
    assert [record["uncertainty"]["samples"] for record in json.loads(result.stdout)] == [2, 2]
    succeed("superres", paths[1], "--uncertainty", 2, "-o", tmp_path / "named.jpg")
    together, alone = (images.read(tmp_path / name) for name in ("both/b.uncertainty.png", "named.uncertainty.png"))
    assert np.abs(together - alone).max() <= 4.01 / 255


def test_tiles_and_masks(succeed, tmp_path):
    path = draw(tmp_path / "a.png", SIDE + 8, SIDE + 4)
    hole = ["--box", "2,3,6,5", "--consistent"]
    succeed("inpaint", path, "--tile", *hole, "--uncertainty", 2)
    deviation = images.read(tmp_path / "a.uncertainty.png")
    assert deviation.shape == (SIDE + 8, SIDE + 4, 1)
    known = np.ones(deviation.shape, bool)
    known[3:8, 2:8] = False
    assert (deviation[known] == -1).all() and (deviation[~known] > -1).any()
    assert record_of(tmp_path / "a.restored.json")["pieces"] > 1


def test_around_a_face_the_deviation_is_black(succeed, tmp_path):
    import skimage.data

    from gekeras.pictures import faces

    photo = images.fit(images.from_uint8(skimage.data.astronaut()), 256)
    images.write(tmp_path / "photo.png", photo)
    (box,) = faces.find(images.read(tmp_path / "photo.png"))
    succeed("superres", tmp_path / "photo.png", "--align", "face", "--uncertainty", 2)
    deviation = images.read(tmp_path / "photo.uncertainty.png")[..., 0]
    assert deviation.shape == images.size(tmp_path / "photo.restored.png") == (1024, 1024)
    inside = box.grown(4).holds(1024, 1024)
    assert (deviation[~inside] == -1).all() and (deviation[inside] > -1).mean() > 0.8


@pytest.mark.parametrize(
    "arguments, says",
    [
        ("a.png --uncertainty 1", "1 is not in the range x>=2"),
        ("a.png --uncertainty many", "'many' is not a valid integer"),
        ("a.png --uncertainty 2 --preview", "preview solves nothing"),
        ("a.png --uncertainty 2 --animate a.gif", "animate shows one solve"),
        ("a.png --uncertainty 2 --panel a.uncertainty.png", "a.uncertainty.png is a result"),
        ("a.png a.uncertainty.png --uncertainty 2", "a.uncertainty.png is an input"),
        ("b.png --uncertainty 2", "b.uncertainty.png: cannot be written: it is a folder"),
    ],
)
def test_what_the_command_refuses(run, tmp_path, monkeypatch, arguments, says):
    """With one line, and nothing written."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "a.uncertainty.png", "b.png"):
        draw(tmp_path / name, 4, 4)
    (tmp_path / "b.uncertainty.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    result = run("superres", *arguments.split())
    assert result.exit_code == 2 and result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert says in line and sorted(tmp_path.rglob("*")) == before
