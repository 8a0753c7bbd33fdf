"""Training: a stopped run ends where an uninterrupted one does, the average is the average, and something is learned."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import config, data, images
from gekeras.config import AutoencoderOptions, GANOptions, Stage
from gekeras.operators import make_task
from gekeras.training import aegan, autoencoder, checkpoints, gan, sources
from gekeras.training.progress import Progress, line
from gekeras.training.run import Limits

DECAY = 0.7
QUIET = Limits(quiet=True)
GROWING = dataclasses.replace(GAN, resolution=8, stages=(Stage(4, 0, 24), Stage(8, 24, 16)), loss="wgan-gp")
LAZY = dataclasses.replace(GAN, resolution=4, stages=(Stage(4, 0, 64),), r1_every=3)


def stop_after(monkeypatch, steps):
    """Let the next run end after so many steps, as `minutes` would."""
    counted = {"steps": 0}

    def step(self, *args, **losses):
        counted["steps"] += 1

    monkeypatch.setattr(Progress, "step", step)
    monkeypatch.setattr(Progress, "out_of_time", lambda self: counted["steps"] >= steps)


def newest(folder):
    arrays, record = checkpoints.load_latest(folder)
    return arrays, {**record, "curve": None}


def assert_same_checkpoint(one, other):
    (arrays, record), (others, its_record) = newest(one), newest(other)
    assert record == its_record
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        np.testing.assert_allclose(others[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def train_gan(options, pictures, folder, **extra):
    return gan.train(options, data.entries(pictures), folder, memory=True, limits=QUIET, **extra)


def latents(count=3):
    return tf.random.stateless_normal((count, GAN.latent_size), seed=(1, 1))


# -------------------------------------------------------------------------------------------------------- GAN


@pytest.mark.slow
@pytest.mark.parametrize("options, stops", [(GROWING, (2, 3)), (LAZY, (4,))], ids=["growing", "lazy R1"])
def test_a_stopped_gan_ends_as_the_uninterrupted_one(tmp_path, monkeypatch, pictures, options, stops):
    """Eight steps of 8 images; stopped before growing from 4 to 8 px and in the middle of the fade, or between penalties."""
    assert train_gan(options, pictures, tmp_path / "whole") == 64
    for steps in stops:
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            assert train_gan(options, pictures, tmp_path / "parts") < 64
    assert train_gan(options, pictures, tmp_path / "parts") == 64
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")
    arrays, _ = newest(tmp_path / "parts")
    assert all(np.isfinite(array).all() for array in arrays.values())


def test_a_finished_run_is_left_as_it_is(gan_run, pictures):
    before = (gan_run / "checkpoint-000000048.npz").read_bytes()
    assert train_gan(GAN, pictures, gan_run) == 48
    assert (gan_run / "checkpoint-000000048.npz").read_bytes() == before


def test_a_run_of_another_size_is_refused(gan_run, pictures):
    with pytest.raises(ValueError, match="was trained with latent_size 16, not 20"):
        train_gan(dataclasses.replace(GAN, latent_size=20), pictures, gan_run)
    assert json.loads((gan_run / "options.json").read_text()) == json.loads(config.to_json(GAN))


def test_a_run_may_change_how_its_features_are_doubled_and_says_so(gan_run, pictures, tmp_path, capsys):
    folder, z = tmp_path / "gan", latents()
    shutil.copytree(gan_run, folder)
    longer = dataclasses.replace(GAN, stages=(Stage(8, 0, 16), Stage(16, 16, 24)), bilinear_from=16)
    gan.train(longer, data.entries(pictures), folder, memory=True, limits=Limits())
    assert "features are doubled bilinearly from 16 px on, no longer from 0" in capsys.readouterr().err
    generator = gan.generator_of(gan.networks_of(folder)[0])
    assert generator.config["bilinear_from"] == aegan.read_gan(folder)[1]["bilinear_from"] == 16
    before = type(generator)(**{**generator.config, "bilinear_from": 0})
    before.set_weights(generator.get_weights())
    assert np.abs(before(z) - generator(z)).max() > 0.01


def test_what_a_gan_run_leaves(gan_run):
    assert json.loads((gan_run / "options.json").read_text()) == json.loads(config.to_json(GAN))
    assert config.from_dict(GANOptions, json.loads((gan_run / "options.json").read_text())) == GAN
    assert sorted(p.name for p in gan_run.glob("*.npz")) == ["checkpoint-000000016.npz", "checkpoint-000000048.npz"]
    sheet = images.read(gan_run / "samples-000000048.png")
    assert sheet.shape == (6 * SIDE + 5 * 2, 8 * SIDE + 7 * 2, 3)  # 48 samples, eight a row
    nets, record = gan.networks_of(gan_run)
    assert (record["images"], record["resolution"], nets.resolution, nets.options) == (48, 16, 16, GAN)
    latent = tf.random.stateless_normal((48, GAN.latent_size), seed=(GAN.seed, 7))
    first = np.clip(nets.average(latent)[0], -1, 1)
    np.testing.assert_allclose(sheet[:SIDE, :SIDE], first, atol=1.01 / 127.5)


def test_nothing_to_continue(tmp_path):
    for module in (gan, autoencoder):
        with pytest.raises(ValueError, match="no checkpoint in"):
            module.networks_of(tmp_path)


@pytest.fixture(scope="module")
def trained():
    """Networks at 8 px, the weights of G before and after each of three steps, and those of the average."""
    nets = gan.Networks(GAN, 8)
    step, history, one = gan.make_step(nets), [], tf.constant(1.0)
    rng = np.random.default_rng(0)
    for k in range(4):
        history.append([[w.numpy() for w in network.trainable_variables] for network in (nets.generator, nets.average)])
        real = tf.constant(rng.uniform(-1, 1, (8, 8, 8, 3)).astype(np.float32))
        latent = tf.random.stateless_normal((8, GAN.latent_size), (0, k))
        step(real, latent, one, tf.constant(DECAY), tf.constant([0, k]), False)
    return nets, history


def test_the_moving_average_in_closed_form(trained):
    """a_n = d^n w_0 + (1 - d) sum_k d^(n - k) w_k."""
    nets, history = trained
    n = len(history) - 1
    for i in range(len(nets.generator.trainable_variables)):
        weights = [generator[i] for generator, _ in history]
        expected = DECAY**n * weights[0] + (1 - DECAY) * sum(DECAY ** (n - k) * weights[k] for k in range(1, n + 1))
        np.testing.assert_allclose(history[n][1][i], expected, atol=1e-5)
    moved = [np.abs(history[n][0][i] - history[0][0][i]).max() for i in range(len(history[0][0]))]
    assert sum(m > 1e-4 for m in moved) >= len(moved) - 2  # all but toRGB of the resolution below, which alpha hides


def test_the_average_is_not_trained_and_not_the_generator(trained):
    nets, _ = trained
    assert np.abs(nets.average(latents()) - nets.generator(latents())).max() > 1e-4


def test_the_exported_generator_is_the_average_without_its_fade(gan_run):
    nets, _ = gan.networks_of(gan_run)
    exported = gan.generator_of(nets)
    np.testing.assert_array_equal(exported(latents()), nets.average(latents()))
    nets.blend(0.3)
    assert np.abs(exported(latents()) - nets.average(latents())).max() > 1e-4
    np.testing.assert_array_equal(exported(latents()), gan.generator_of(nets)(latents()))
    assert not [layer.name for layer in exported.layers if layer.name.startswith("fade")]


def test_growing_keeps_what_was_learned(trained):
    small, _ = trained
    large = gan.Networks(small.options, 16, grown_from=small)
    large.blend(0.0)
    for name in ("generator", "average"):
        old, new = getattr(small, name)(latents()).numpy(), getattr(large, name)(latents())
        np.testing.assert_array_equal(new, old.repeat(2, 1).repeat(2, 2))


def test_reset_optimizers_forgets_the_moments_and_nothing_else(trained):
    nets, _ = trained
    rate = nets.generator_optimizer.learning_rate.numpy()
    assert any(np.abs(v).max() > 0 for v in nets.generator_optimizer.variables)
    before = nets.generator.get_weights()
    nets.reset_optimizers()
    for optimizer in (nets.generator_optimizer, nets.discriminator_optimizer):
        assert not any(np.abs(v).max() > 0 for v in optimizer.variables if "learning_rate" not in v.name)
    assert nets.generator_optimizer.learning_rate.numpy() == rate == np.float32(0.001)
    for one, other in zip(before, nets.generator.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_reals_fade_as_the_generator_does(rng):
    x = tf.constant(rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32))
    coarse = x.numpy().reshape(2, 4, 2, 4, 2, 3).mean((2, 4)).repeat(2, 1).repeat(2, 2)
    for alpha in (0.0, 0.25, 1.0):
        faded = gan.reals_at(x, tf.constant(alpha))
        np.testing.assert_allclose(faded, (1 - alpha) * coarse + alpha * x, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("loss, side", [("nonsaturating", 4), ("wgan-gp", 8)])
def test_a_step_in_bfloat16_is_close_to_float32(rng, loss, side):
    real = tf.constant(rng.uniform(-1, 1, (8, side, side, 3)).astype(np.float32))
    found = {}
    for mixed in (False, True):
        nets = gan.Networks(dataclasses.replace(GAN, loss=loss, mixed_precision=mixed), side)
        before = [w.numpy() for w in nets.discriminator.trainable_variables]
        step = gan.make_step(nets)
        one = tf.constant(1.0)
        losses = step(real, latents(8), one, one, tf.constant([0, 0]), True)
        moved = [w.numpy() - b for w, b in zip(nets.discriminator.trainable_variables, before)]
        assert all(w.dtype == tf.float32 for w in nets.generator.weights + nets.discriminator.weights)
        assert nets.generator.get_layer("conv_4_0").compute_dtype == ("bfloat16" if mixed else "float32")
        found[mixed] = [float(value) for value in losses], np.concatenate([m.ravel() for m in moved])
    (full, moved), (half, moved_half) = found[False], found[True]
    np.testing.assert_allclose(half, full, rtol=0.05, atol=0.05)
    # Adam's first step is the gradient's sign: it differs only where a gradient is about zero.
    assert np.vdot(moved, moved_half) / np.linalg.norm(moved) / np.linalg.norm(moved_half) > 0.9
    assert tf.keras.mixed_precision.global_policy().name == "float32"


# ------------------------------------------------------------------------------------------------ autoencoder


def noise_generator(latent):
    """A stand-in for G: sixteen latent numbers become a 16x16 picture of 4x4 blocks."""
    gray = tf.reshape(tf.tanh(latent), (-1, 4, 4, 1))
    return tf.repeat(tf.repeat(tf.repeat(gray, 4, axis=1), 4, axis=2), 3, axis=3)


def train_autoencoder(options, folder, items, task="superres", **extra):
    sources = data.Source(items), data.Source(items[:4])
    return autoencoder.train(options, make_task(task, SIDE), *sources, noise_generator, 16, folder, limits=QUIET, **extra)


@pytest.fixture
def photos(rng):
    return rng.integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)


@pytest.mark.slow
def test_a_stopped_autoencoder_ends_as_the_uninterrupted_one(tmp_path, monkeypatch, photos):
    train_autoencoder(AUTOENCODER, tmp_path / "whole", photos)
    for steps in (3, 2):
        with monkeypatch.context() as patch:
            stop_after(patch, steps)
            train_autoencoder(AUTOENCODER, tmp_path / "parts", photos)
    assert checkpoints.load_latest(tmp_path / "parts")[1]["images"] == 40
    train_autoencoder(AUTOENCODER, tmp_path / "parts", photos)
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")


def test_an_autoencoder_learns_constant_pictures(tmp_path):
    levels = np.linspace(0, 255, 12, dtype=np.uint8)
    items = np.broadcast_to(levels[:, None, None, None], (12, 16, 16, 3))
    options = dataclasses.replace(AUTOENCODER, images=480, validate_every=160, learning_rate=0.005)
    curve = train_autoencoder(options, tmp_path, np.ascontiguousarray(items))
    assert [images for images, _ in curve] == [160, 320, 480]
    variance = np.square(images.from_uint8(items[:4])).mean()  # what the answer "gray" would cost
    assert curve[-1][1] < curve[0][1] < variance
    assert curve[-1][1] < 0.1 * variance


def test_what_an_autoencoder_run_leaves(autoencoder_runs, pictures):
    for task, folder in autoencoder_runs.items():
        assert json.loads((folder / "options.json").read_text()) == json.loads(config.to_json(AUTOENCODER))
        nets, record = autoencoder.networks_of(folder)
        assert (record["images"], record["task"]) == (64, task)
        assert record["parameters"] == make_task(task).parameters
        # A row each of truth, observation and result for the four pictures that were held out.
        assert images.size(folder / "samples-000000064.png") == (3 * (SIDE + 2) - 2, 4 * (SIDE + 2) - 2)
        held_out = images.from_uint8(data.load_all(data.entries(pictures)[-4:], SIDE))
        assert autoencoder.validate(nets, make_task(task), held_out) == pytest.approx(record["curve"][-1][1], rel=1e-4)


def test_validation_is_the_mean_squared_error_of_the_restored(rng):
    nets = autoencoder.Networks(AUTOENCODER, SIDE, 3, blocks=4)
    task = make_task("superres")
    x = rng.uniform(-1, 1, (5, SIDE, SIDE, 3)).astype(np.float32)
    expected = np.square(nets(task.observe(tf.constant(x))) - x).mean()
    assert autoencoder.validate(nets, task, x, chunk=2) == pytest.approx(expected, rel=1e-5)


def started(folder, photos, start):
    """The networks in the first checkpoint of a run that takes no step."""
    with pytest.MonkeyPatch.context() as patch:
        stop_after(patch, 0)
        train_autoencoder(dataclasses.replace(AUTOENCODER, images=8), folder, photos, start=start)
    arrays, record = newest(folder)
    assert record["images"] == 0 and arrays["optimizer/0"] == 0  # iterations
    return {name: array for name, array in arrays.items() if not name.startswith("optimizer")}


def test_a_run_starts_from_the_weights_of_another(tmp_path, photos, autoencoder_runs):
    """With no step taken, the new run holds the other's networks and a fresh optimizer."""
    others, _ = newest(autoencoder_runs["superres"])
    assert others["optimizer/0"] == 8
    for name, array in started(tmp_path / "run", photos, others).items():
        np.testing.assert_array_equal(array, others[name])
    start = {name: array for name, array in others.items() if not name.startswith("decoder")}
    with pytest.raises(ValueError, match="checkpoint lacks decoder/"):
        train_autoencoder(AUTOENCODER, tmp_path / "other", photos, start=start)


def test_a_run_that_was_begun_goes_on_from_its_own_weights(tmp_path, photos, autoencoder_runs):
    first, second = (newest(autoencoder_runs[task])[0] for task in ("superres", "reconstruct"))
    before, after = (started(tmp_path / "run", photos, start) for start in (first, second))
    for name, array in after.items():
        np.testing.assert_array_equal(array, before[name])
    assert any((array != second[name]).any() for name, array in after.items())


def test_the_weights_of_a_run_or_of_a_preset(tiny, autoencoder_runs, tmp_path):
    """A preset's are those of its run, rounded to half precision; without the task it gives those of reconstruct."""
    for task, source in (("superres", "superres"), ("reconstruct", "reconstruct"), ("denoise", "reconstruct")):
        run, _ = newest(autoencoder_runs[source])
        assert set(sources.autoencoder_weights(autoencoder_runs[source], task)) == set(run)
        found = sources.autoencoder_weights(tiny.folder, task)
        assert set(found) == {name for name in run if not name.startswith("optimizer")}
        for name, array in found.items():
            np.testing.assert_array_equal(array, run[name].astype(np.float16), err_msg=name)
    with pytest.raises(ValueError, match="no checkpoint in"):
        sources.autoencoder_weights(tmp_path / "missing", "superres")


def test_a_run_starts_from_a_preset(tmp_path, photos, tiny, autoencoder_runs):
    others, _ = newest(autoencoder_runs["reconstruct"])
    for name, array in started(tmp_path / "run", photos, sources.autoencoder_weights(tiny.folder, "denoise")).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, others[name].astype(np.float16), err_msg=name)


@pytest.mark.parametrize("task", ["denoise", "inpaint", "deblur"])
def test_a_step_of_every_task(tmp_path, monkeypatch, photos, task):
    stop_after(monkeypatch, 1)
    (_, error) = train_autoencoder(AUTOENCODER, tmp_path, photos, task)[-1]
    _, record = newest(tmp_path)
    assert np.isfinite(error) and (record["task"], record["parameters"]) == (task, make_task(task, SIDE).parameters)
    nets, _ = autoencoder.networks_of(tmp_path)
    held_out = images.from_uint8(photos[:4])
    assert autoencoder.validate(nets, make_task(task, SIDE), held_out) == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("seen, expected", [(0, 0.01), (250, None), (500, 0.0055), (1000, 0.001), (2000, 0.001)])
def test_the_learning_rate_falls_along_half_a_cosine(seen, expected):
    options = AutoencoderOptions(images=1000, learning_rate=0.01, final_learning_rate=0.001)
    if expected is None:
        expected = 0.001 + 0.009 * (1 + np.sqrt(0.5)) / 2
    assert autoencoder.learning_rate(seen, options) == pytest.approx(expected)


def test_the_pool_of_generated_pictures_is_a_function_of_the_seed():
    pool = autoencoder.make_pool(noise_generator, 16, 10, seed=3, chunk=4)
    assert pool.shape == (10, 16, 16, 3) and pool.dtype == np.uint8
    np.testing.assert_array_equal(pool, autoencoder.make_pool(noise_generator, 16, 10, seed=3, chunk=4))
    assert (pool[:4] != autoencoder.make_pool(noise_generator, 16, 4, seed=4)).any()
    assert len(np.unique(pool.reshape(10, -1), axis=0)) == 10
    np.testing.assert_array_equal(pool[:, ::4, ::4], pool[:, 1::4, 1::4])  # blocks of 4x4


@pytest.mark.slow
def test_an_autoencoder_step_in_bfloat16_is_close_to_float32(photos):
    x = tf.constant(images.from_uint8(photos[:8]))
    errors = []
    for mixed in (False, True):
        nets = autoencoder.Networks(dataclasses.replace(AUTOENCODER, mixed_precision=mixed), SIDE, 3, blocks=4)
        step = autoencoder.make_step(nets, make_task("superres"))
        errors.append([float(step(x, x, tf.constant([0, k]), tf.constant(0.001))) for k in range(3)])
        assert all(w.dtype == tf.float32 for w in nets.trainable_variables)
    np.testing.assert_allclose(errors[1], errors[0], rtol=0.02)


# --------------------------------------------------------------------------------------------------- progress


def test_a_run_stops_when_its_time_is_up(tmp_path, monkeypatch):
    clock = {"now": 100.0}
    monkeypatch.setattr("time.monotonic", lambda: clock["now"])
    limited, endless = Progress(tmp_path, 10, minutes=2), Progress(tmp_path, 10)
    for now, over in ((100, False), (219, False), (221, True)):
        clock["now"] = now
        assert (limited.out_of_time(), endless.out_of_time()) == (over, False)


def test_the_line_of_progress():
    rates = {"images_per_second": 150.2, "input": 0.034, "memory": 1.94}
    text = line(12_800, 75_000, rates, {"resolution": 16, "d": 1.3021, "g": 0.7})
    expected = "12,800/75,000 images  150.2/s  0:06:54 left  resolution 16  d 1.3021  g 0.7000  input 3 %  1.9 GB"
    assert text == expected


def test_a_schedule_smaller_than_a_run_of_it_is_refused():
    with pytest.raises(ValueError, match="double up to resolution"):
        GANOptions(resolution=16, stages=(Stage(8, 0, 8),))


def test_a_run_of_another_task_is_refused(autoencoder_runs, gan_run, pictures, tmp_path):
    """Its weights, moments and curve belong to what it was trained for."""
    folder = shutil.copytree(autoencoder_runs["superres"], tmp_path / "run")
    source, network = data.Source(data.entries(pictures), SIDE, 3), gan.generator_of(gan.networks_of(gan_run)[0])
    for task, message in (
        (make_task("reconstruct"), "was trained with task superres, not reconstruct"),
        (make_task("superres", factor=2), "was trained with parameters"),
    ):
        with pytest.raises(ValueError, match=message):
            autoencoder.train(AUTOENCODER, task, source, source, network, GAN.latent_size, folder, limits=QUIET)
