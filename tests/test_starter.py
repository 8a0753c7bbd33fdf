"""The starter predicts latents whose codes are right, belongs to one generator and encoder, and is trained reproducibly."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import GenerativeEncoder, data
from gekeras.cli import cli
from gekeras.config import FIDELITIES, UNAIDED, StarterOptions
from gekeras.models.starter import Starter, stretching, whitening
from gekeras.networks import presets
from gekeras.operators import make_task
from gekeras.training import checkpoints, export, starter
from gekeras.training.run import Limits

QUIET = Limits(quiet=True)
OPTIONS = StarterOptions(
    width=16, blocks=1, pairs=512, fit_steps=200, probes=64, images=3200, batch_size=16, learning_rate=0.01
)


def problem_of(preset, task="superres"):
    parts = preset.part("generator"), preset.part(f"encoder-{task}")
    return starter.Problem(*parts, make_task(task, SIDE), GAN.latent_size, "normal", SIDE, 3)


@pytest.fixture(scope="module")
def problem(tiny):
    return problem_of(tiny)


@pytest.fixture(scope="module")
def run(tmp_path_factory, problem):
    folder = tmp_path_factory.mktemp("runs") / "starter"
    starter.train(OPTIONS, problem, folder, limits=QUIET)
    return folder


@pytest.fixture(scope="module")
def started(tmp_path_factory, models, run):
    """The tiny preset with a starter for superres."""
    folder = shutil.copytree(models / "tiny", tmp_path_factory.mktemp("models") / "tiny")
    assert export.export(folder, None, [], starter_runs=[run]) == ["starter-superres"]
    return presets.load(str(folder))


def test_whitening_gives_the_identity_covariance(rng):
    codes = rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6)) + 3
    kernel, bias = whitening(codes, floor=0)
    white = codes @ kernel + bias
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(np.cov(white.T), np.eye(6), atol=1e-3)


def test_stretching_makes_the_curvature_a_multiple_of_the_identity(rng):
    root = rng.normal(size=(9, 5))
    curvature = root.T @ root
    stretch = stretching(curvature, floor=0)
    flat = stretch.T @ curvature @ stretch
    np.testing.assert_allclose(flat, np.eye(5) * np.trace(flat) / 5, atol=1e-4)
    assert np.square(stretch).sum() == pytest.approx(5, rel=1e-4)


def test_the_curvature_is_that_of_a_linear_map(rng):
    """E(G(z)) = z A: H = A A^T, whatever z."""
    mix = rng.normal(size=(5, 12)).astype(np.float32)

    def generate(z):
        return tf.reshape(tf.matmul(z, mix), (-1, 2, 2, 3))

    def encode(x):
        return tf.reshape(x, (-1, 12))

    linear = starter.Problem(generate, encode, make_task("reconstruct", 2), 5, "normal", 2, 3)
    found = linear.curvature(8192, 3)
    np.testing.assert_allclose(found, mix @ mix.T, atol=0.08 * np.abs(mix @ mix.T).max())


def test_the_curvature_of_both_terms(rng):
    """||z A - m||^2 + gamma ||z B - x||^2: H = A A^T + gamma B B^T."""
    one, other = (rng.normal(size=(5, 12)).astype(np.float32) for _ in range(2))

    def generate(z):
        return tf.reshape(tf.matmul(z, other), (-1, 2, 2, 3))

    def encode(x):
        return tf.matmul(tf.reshape(x, (-1, 12)), tf.constant(np.linalg.pinv(other) @ one))

    problem = starter.Problem(generate, encode, make_task("reconstruct", 2), 5, "normal", 2, 3)
    found, wanted = problem.curvature(8192, 3, 0.5), one @ one.T + 0.5 * other @ other.T
    np.testing.assert_allclose(found, wanted, atol=0.08 * np.abs(wanted).max())


def test_a_weight_needs_a_decoder():
    problem = starter.Problem(lambda z: z, lambda x: x, make_task("reconstruct", 2), 4, "normal", 2, 1)
    with pytest.raises(ValueError, match="weight must be 0"):
        problem.distance(tf.zeros((1, 4)), tf.zeros((1, 4)), 0.5)


def test_the_distance_by_hand(rng):
    """||E(G(z)) - m||^2 + gamma ||G(z) - DC(m)||^2 with E and DC known."""
    z, code = rng.normal(size=(3, 12)).astype(np.float32), rng.normal(size=(3, 12)).astype(np.float32)

    def picture(x):
        return tf.reshape(x, (-1, 2, 2, 3))

    def encode(x):
        return 2 * tf.reshape(x, (-1, 12))

    shape = (make_task("reconstruct", 2), 12, "normal", 2, 3)
    problem = starter.Problem(picture, encode, *shape, lambda m: picture(3 * m))
    wanted = np.square(2 * z - code).sum(1) + 0.5 * np.square(z - 3 * code).sum(1)
    np.testing.assert_allclose(problem.distance(tf.constant(z), tf.constant(code), 0.5), wanted, rtol=1e-5)
    np.testing.assert_allclose(
        problem.distance(tf.constant(z), tf.constant(code), 0.0), np.square(2 * z - code).sum(1), rtol=1e-5
    )


def test_a_decoder_s_weight_needs_a_decoder(tmp_path, problem):
    with pytest.raises(ValueError, match=r"no decoder here: decoder_weight \(gamma\) must be 0"):
        starter.train(dataclasses.replace(OPTIONS, decoder_weight=0.1), problem, tmp_path / "none", limits=QUIET)


@pytest.mark.parametrize("latent", ["normal", "uniform"])
def test_its_latents_are_where_the_generator_was_trained(rng, latent):
    network = Starter(7, 9, 8, 2, latent)
    found = network(rng.normal(size=(4, 7)).astype(np.float32) * 30).numpy()
    if latent == "normal":
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 3, rtol=1e-4)
    else:
        assert np.abs(found).max() <= 1


def test_it_predicts_better_than_chance(problem, run):
    """Its codes are nearer to the wanted ones than those of random latents."""
    network, record = starter.networks_of(run)
    wanted = problem.codes(problem.draw(64, (9, 9)))
    drawn = problem.codes(problem.draw(16, (8, 8)))
    chance = np.median(np.square(wanted[:, None] - drawn[None]).sum(axis=2))
    assert np.median(np.square(problem.codes(network(wanted)) - wanted).sum(axis=1)) < 0.7 * chance
    assert record["images"] == OPTIONS.images and record["error"] > 0


def test_resumed_is_uninterrupted(tmp_path, problem, run):
    folder = tmp_path / "two"
    half = dataclasses.replace(OPTIONS, images=1600)
    with pytest.MonkeyPatch.context() as patch:  # the rate of the whole run, stopped in the middle
        patch.setattr(starter, "learning_rate", lambda seen, _options, rate=starter.learning_rate: rate(seen, OPTIONS))
        starter.train(half, problem, folder, limits=QUIET)
    starter.train(OPTIONS, problem, folder, limits=QUIET)
    whole, parts = (checkpoints.require_latest(path)[0] for path in (run, folder))
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=2e-3, atol=1e-5, err_msg=name)


def test_real_pictures_are_half_of_a_batch(problem, pictures):
    source = data.Source(data.entries(pictures), SIDE)
    real = problem.codes_of(source, 0, mirror=False)
    task, truth = problem.task, data.Source(data.entries(pictures), SIDE).take(np.arange(24))
    y = task.sample(tf.constant(truth.astype(np.float32) / 127.5 - 1), (0, 0))[0]
    np.testing.assert_allclose(real, problem.encoder(task.lift(y)), atol=1e-4)
    batch = starter._batch(OPTIONS, problem, real, 32).numpy()
    assert len(batch) == 16
    assert all((np.abs(real - code).max(axis=1) < 1e-6).any() for code in batch[8:])
    assert not any((np.abs(real - code).max(axis=1) < 1e-6).any() for code in batch[:8])


def test_a_folder_of_another_task_or_encoder_is_refused(tiny, run, problem):
    other = problem_of(tiny, "reconstruct")
    with pytest.raises(ValueError, match="trained with task superres, not reconstruct"):
        starter.train(OPTIONS, other, run, limits=QUIET)
    other.task = problem.task
    with pytest.raises(ValueError, match="another generator or encoder"):
        starter.train(OPTIONS, other, run, limits=QUIET)


def test_saved_is_live(rng, started, run):
    codes = rng.normal(size=(3, AUTOENCODER.code_size)).astype(np.float32)
    network, _ = starter.networks_of(run)
    part = started.part("starter-superres")
    np.testing.assert_allclose(part(codes), network(codes), atol=0.02)
    stretch = network.get_layer("stretch").get_weights()[0]
    np.testing.assert_allclose(part.inverse_curvature, stretch @ stretch.T, atol=1e-5)
    assert part.signatures["serving_default"](code=tf.constant(codes))["latent"].shape == (3, GAN.latent_size)
    assert started.info["starters"]["superres"]["images"] == OPTIONS.images and not started.verify()


def test_a_starter_of_another_encoder_is_not_exported(models, autoencoder_runs, run, tmp_path, tiny):
    folder = shutil.copytree(models / "tiny", tmp_path / "tiny")
    encoder = folder / "encoder-superres"
    shutil.rmtree(encoder)
    shutil.copytree(folder / "encoder-reconstruct", encoder)
    with pytest.raises(ValueError, match="another generator or encoder than the preset's"):
        export.export(folder, None, [], starter_runs=[run])
    shutil.rmtree(encoder)
    with pytest.raises(ValueError, match="for which the preset has no encoder"):
        export.export(folder, None, [], starter_runs=[run])


def test_a_new_encoder_drops_its_starter(started, autoencoder_runs, tmp_path):
    folder = shutil.copytree(started.folder, tmp_path / "tiny")
    export.export(folder, None, [autoencoder_runs["superres"]])
    again = presets.load(str(folder))
    assert not again.has("starter-superres") and not again.info["starters"]


def test_a_solve_begins_where_it_says(started, rng):
    model = GenerativeEncoder.from_preset(started, "superres")
    y = rng.uniform(-1, 1, (2, SIDE // 4, SIDE // 4, 3)).astype(np.float32)
    none = model.solve(y, model.options(steps=0))
    np.testing.assert_allclose(none.latent, started.part("starter-superres")(model.encode(y)), rtol=1e-4, atol=1e-4)
    assert (none.steps == 0).all()
    fast = model.solve(y, model.options())
    assert (fast.loss < none.loss).all() and (fast.steps == FIDELITIES["fast"].steps).all()
    together, alone = (model.solve(part, model.options(steps=6)) for part in (y, y[1:]))  # before rounding has grown
    np.testing.assert_allclose(alone.image[0], together.image[1], atol=1e-3)


def test_without_one_there_are_more_steps_and_screened_starts(tiny, started):
    plain, aided = (GenerativeEncoder.from_preset(preset, "superres") for preset in (tiny, started))
    assert plain.options("fast") == UNAIDED["fast"] and aided.options("fast") == FIDELITIES["fast"]
    assert aided.options("fast", code_weight=0.0, pixel_weight=1.0).start == "random"  # there is no code to read
    assert aided.options("fast", starts=8).start == "random"
    assert plain.options("paper") == aided.options("paper") == FIDELITIES["paper"]
    with pytest.raises(ValueError, match="no starter"):
        plain.solve(np.zeros((1, 4, 4, 3), np.float32), plain.options(start="starter"))


def test_the_command_trains_exports_and_refuses(tmp_path, models, pictures):
    def invoke(*words):
        return CliRunner().invoke(cli, list(words), prog_name="gekeras")

    preset = shutil.copytree(models / "tiny", tmp_path / "tiny")
    few = "--images 32 --pairs 64 --fit-steps 4 --probes 8 --width 8 --blocks 1 --batch 8 --quiet".split()
    parts = ["--generator", str(preset), "--autoencoder", str(preset), "--run", str(tmp_path / "run"), *few]
    for extra in ([], [str(pictures), "--validation", "4"]):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        result = invoke("train", "starter", *extra, "--task", "superres", *parts)
        assert result.exit_code == 0 and "median objective" in result.output, result.output
    result = invoke("export", str(preset), "--starter", str(tmp_path / "run"))
    assert result.exit_code == 0 and "starter-superres" in result.output, result.output
    result = invoke("train", "starter", "--task", "superres", *parts, "--turn")
    assert result.exit_code == 2 and "--turn" in result.output
