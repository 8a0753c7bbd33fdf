"""BEGAN: its networks' sizes, its equations recomputed, a step that moves each network by its own loss, resuming, and its
way through the autoencoder and the preset to a restored picture."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import config, data, images
from gekeras.cli import cli
from gekeras.config import BEGANOptions
from gekeras.generative_encoder import GenerativeEncoder
from gekeras.models.began import BEGANDiscriminator, BEGANGenerator, scales
from gekeras.models.precision import building_in
from gekeras.networks import presets
from gekeras.operators import make_task
from gekeras.training import aegan, autoencoder, began, checkpoints, divergence, export, gan, optimizers, sources
from gekeras.training.latents import draw
from gekeras.training.progress import Progress
from gekeras.training.run import Limits

pytestmark = pytest.mark.slow  # what they share is trained and exported for a minute

SHAPE = dict(resolution=SIDE, channels=3, latent_size=8, width=4, skip=False)
OPTIONS = BEGANOptions(
    **SHAPE,
    images=48,
    batch_size=8,
    learning_rate=0.002,
    final_learning_rate=0.0006,
    halve_every=16,
    lambda_k=0.1,
    average_decay=0.5,
    seed=6,
)
K, RATE, DECAY = 0.3, 0.001, 0.75
QUIET = Limits(quiet=True)


def latents(rng, count=3, size=8):
    return rng.uniform(-1, 1, (count, size)).astype(np.float32)


def pictures_like(rng, count, side=SIDE):
    return tf.constant(rng.uniform(-1, 1, (count, side, side, 3)).astype(np.float32))


def values_of(network):
    return [w.numpy() for w in network.trainable_variables]


def train(options, pictures, folder, limits=QUIET):
    return began.train(options, data.entries(pictures), folder, memory=True, limits=limits)


@pytest.fixture(scope="module")
def run(tmp_path_factory, pictures):
    """Run folder of six steps of 8 pictures, at three learning rates."""
    folder = tmp_path_factory.mktemp("began") / "began"
    assert train(OPTIONS, pictures, folder) == 48
    return folder


@pytest.fixture(scope="module")
def autoencoder_run(tmp_path_factory, pictures, run):
    """Run folder of an autoencoder for superres, made on the BEGAN's pictures."""
    folder = tmp_path_factory.mktemp("began") / "superres"
    items = data.entries(pictures)
    parts = [data.Source(part, SIDE, memory=True) for part in (items[:-4], items[-4:])]
    network, latent, *_ = sources.trained_generator(run)
    autoencoder.train(AUTOENCODER, make_task("superres"), *parts, network, 8, folder, latent=latent, limits=QUIET)
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory, run, autoencoder_run):
    folder = tmp_path_factory.mktemp("began") / "tiny"
    assert export.export(folder, run, [autoencoder_run]) == ["generator", "encoder-superres", "decoder-superres"]
    return presets.load(str(folder))


# ------------------------------------------------------------------------------------------------- the networks


def convolution(inputs, outputs, size=3):
    return size * size * inputs * outputs + outputs


def decoder_parameters(n, latent_size, count, channels=3, skip=False):
    """Dense to 8x8xn, two convolutions a scale, one to the channels; a skip doubles what comes into all scales but one."""
    first = [convolution(n * (1 + (skip and i > 0)), n) for i in range(count)]
    return (latent_size + 1) * 64 * n + sum(first) + count * convolution(n, n) + convolution(n, channels)


def encoder_parameters(n, latent_size, count, channels=3):
    """Convolution to n; at scale i two to n (i + 1) and, but for the last, one of stride 2; dense to the code."""
    widths = [n, *(n * (i + 1) for i in range(count))]
    total = convolution(channels, n)
    for i, (before, now) in enumerate(zip(widths, widths[1:])):
        total += convolution(before, now) + convolution(now, now) * (2 if i < count - 1 else 1)
    return total + 64 * widths[-1] * latent_size + latent_size


@pytest.mark.parametrize("skip", [False, True])
def test_parameters_of_the_original_s_size(skip):
    """64 px, n = 128, 64 latent numbers: four scales."""
    decoder = decoder_parameters(128, 64, 4, skip=skip)
    assert BEGANGenerator(skip=skip).count_params() == decoder
    assert BEGANDiscriminator(skip=skip).count_params() == decoder + encoder_parameters(128, 64, 4)
    assert skip or decoder == 1_716_611


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("resolution", [8, 16, 32, 128])
def test_any_resolution(rng, resolution, channels):
    shape = dict(resolution=resolution, channels=channels, latent_size=5, width=2)
    generator, discriminator = BEGANGenerator(**shape), BEGANDiscriminator(**shape)
    image = generator(latents(rng, 2, 5)).numpy()
    assert image.shape == (2, resolution, resolution, channels) and image.dtype == np.float32
    assert discriminator(image).shape == image.shape
    count = len(scales(resolution))
    assert generator.count_params() == decoder_parameters(2, 5, count, channels)
    expected = decoder_parameters(2, 5, count, channels) + encoder_parameters(2, 5, count, channels)
    assert discriminator.count_params() == expected


@pytest.mark.parametrize("resolution", [0, 4, 12, 100, 2048])
@pytest.mark.parametrize("network", [BEGANGenerator, BEGANDiscriminator])
def test_other_resolutions_are_refused(network, resolution):
    with pytest.raises(ValueError, match=f"power of two from 8 to 1024; received {resolution}"):
        network(resolution, width=2)


def test_the_discriminator_s_decoder_has_the_generator_s_shape():
    shape = dict(resolution=32, width=3, latent_size=5, skip=True)
    generator, discriminator = BEGANGenerator(**shape), BEGANDiscriminator(**shape)
    decoder = [layer for layer in discriminator.layers if layer.name.startswith("decoder_")]
    expected = [(f"decoder_{layer.name}", w.shape) for layer in generator.layers for w in layer.weights]
    assert expected and [(layer.name, w.shape) for layer in decoder for w in layer.weights] == expected
    assert [discriminator.get_layer(f"encoder_conv_{r}_1").filters for r in (32, 16, 8)] == [3, 6, 9]
    assert discriminator.get_layer("code").output.shape == (None, 5)


def test_activations_and_resampling(rng):
    """ELU after each convolution but the last, whose picture is linear; doubling repeats, halving is a stride."""
    generator, discriminator = BEGANGenerator(**SHAPE), BEGANDiscriminator(**SHAPE)
    for network, last in ((generator, f"to_rgb_{SIDE}"), (discriminator, f"decoder_to_rgb_{SIDE}")):
        for layer in network.layers:
            if isinstance(layer, keras.layers.Conv2D):
                assert layer.activation.__name__ == ("linear" if layer.name == last else "elu")
                assert layer.strides == ((2, 2) if "down" in layer.name else (1, 1)) and layer.kernel_size == (3, 3)
            assert not isinstance(layer, (keras.layers.BatchNormalization, keras.layers.Dropout))
    both = keras.Model(generator.input, [generator.get_layer(name).output for name in ("conv_8_1", "up_16")])
    small, large = both(latents(rng))
    np.testing.assert_array_equal(large, small.numpy().repeat(2, 1).repeat(2, 2))


def test_a_skip_concatenates_h0_at_each_scale(rng):
    network = BEGANGenerator(resolution=32, latent_size=8, width=4, skip=True)
    names = ("reshape_8", "up_16", "skip_16", "up_32", "skip_32")
    h0, up_16, skip_16, up_32, skip_32 = (
        layer.numpy() for layer in keras.Model(network.input, [network.get_layer(n).output for n in names])(latents(rng))
    )
    np.testing.assert_array_equal(skip_16, np.concatenate([up_16, h0.repeat(2, 1).repeat(2, 2)], axis=-1))
    np.testing.assert_array_equal(skip_32, np.concatenate([up_32, h0.repeat(4, 1).repeat(4, 2)], axis=-1))


def test_the_length_of_the_latent_matters(rng):
    """Not as with the progressive GAN: this is why ||z||^2 is a prior here."""
    generator, z = BEGANGenerator(**SHAPE), latents(rng)
    assert np.abs(generator(2 * z) - generator(z)).max() > 1e-3


@pytest.mark.parametrize("kind, shape", [(BEGANGenerator, (2, 5)), (BEGANDiscriminator, (2, 8, 8, 1))])
def test_config_round_trip(rng, tmp_path, kind, shape):
    network = kind(8, channels=1, latent_size=5, width=2, skip=True, name="mine")
    settings = network.get_config()
    assert settings == dict(resolution=8, channels=1, latent_size=5, width=2, skip=True, name="mine")
    copy = kind.from_config(settings)
    assert copy.get_config() == settings
    copy.set_weights(network.get_weights())
    network.save(tmp_path / "network.keras")
    x = rng.normal(size=shape).astype(np.float32)
    np.testing.assert_array_equal(copy(x), network(x))
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(x), network(x))


@pytest.mark.parametrize("kind, shape", [(BEGANGenerator, (2, 8)), (BEGANDiscriminator, (2, SIDE, SIDE, 3))])
def test_pictures_are_float32_in_mixed_precision(rng, kind, shape):
    with building_in("mixed_bfloat16"):
        network = kind(**SHAPE)
    full = kind(**SHAPE)
    full.set_weights(network.get_weights())
    x = rng.uniform(-1, 1, shape).astype(np.float32)
    image = network(x)
    assert image.dtype == tf.float32 and all(w.dtype == tf.float32 for w in network.weights)
    assert {layer.compute_dtype for layer in network.layers if "conv" in layer.name} == {"bfloat16"}
    np.testing.assert_allclose(image, full(x), atol=0.02)
    assert np.abs(image - full(x)).max() > 0


# ---------------------------------------------------------------------------------------------------- equations


def test_the_loss_is_the_mean_absolute_error(rng):
    v, reconstruction = pictures_like(rng, 2), pictures_like(rng, 2)
    expected = np.abs(v.numpy() - reconstruction.numpy()).mean()
    assert float(began.autoencoder_loss(v, reconstruction)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "k, real, fake, expected",
    [
        (0.2, 0.4, 0.1, 0.2 + 0.01 * (0.5 * 0.4 - 0.1)),
        (0.2, 0.1, 0.4, 0.2 + 0.01 * (0.5 * 0.1 - 0.4)),
        (0.0, 0.1, 0.4, 0.0),  # would be below 0
        (0.9999, 0.4, 0.1, 1.0),  # would be above 1
    ],
)
def test_k_in_closed_form(k, real, fake, expected):
    found = began.next_k(*map(tf.constant, (k, real, fake)), gamma=0.5, lambda_k=0.01)
    assert float(found) == pytest.approx(expected, abs=1e-7)


def test_losses_and_convergence_in_closed_form():
    real, fake = tf.constant(0.4), tf.constant(0.3)
    assert float(began.discriminator_loss(real, fake, tf.constant(0.2))) == pytest.approx(0.4 - 0.2 * 0.3)
    assert float(began.generator_loss(fake)) == pytest.approx(0.3)
    assert float(began.convergence(real, fake, 0.5)) == pytest.approx(0.4 + 0.1)
    assert float(began.convergence(real, fake, 1.0)) == pytest.approx(0.4 + 0.1)


@pytest.mark.parametrize(
    "step, rate", [(0, 8e-5), (99_999, 8e-5), (100_000, 4e-5), (200_000, 2e-5), (300_000, 2e-5), (499_999, 2e-5)]
)
def test_the_original_s_learning_rate(step, rate):
    assert began.learning_rate(16 * step, BEGANOptions()) == pytest.approx(rate)


def test_latents_are_even_draws_from_the_cube():
    z = draw((5000, 4), (1, 2), began.LATENT).numpy()
    assert np.abs(z).max() <= 1 and np.abs(z).max() > 0.99
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(z.var(axis=0), 1 / 3, atol=0.02)
    np.testing.assert_array_equal(z, draw((5000, 4), (1, 2), "uniform"))
    assert (z != draw((5000, 4), (1, 3), "uniform").numpy()).all(axis=1).mean() > 0.99


# -------------------------------------------------------------------------------------------------------- a step


@pytest.fixture(scope="module")
def stepped():
    """Networks after one step from k = K, their weights before, the step's inputs and what it returned."""
    rng = np.random.default_rng(0)
    nets = began.Networks(OPTIONS)
    nets.k.assign(K)
    before = {name: values_of(getattr(nets, name)) for name in began.NETWORKS}
    real, latent = pictures_like(rng, 8), tf.constant(latents(rng, 8))
    found = began.make_step(nets)(real, latent, tf.constant(RATE), tf.constant(DECAY))
    return nets, before, (real, latent), {name: float(value) for name, value in found.items()}


def errors(nets, real, latent):
    """L(x) and L(G(z)), by NumPy."""
    fake = nets.generator(latent).numpy()
    return [np.abs(v - nets.discriminator(v).numpy()).mean() for v in (real.numpy(), fake)]


def test_what_a_step_tells_is_of_before_it_and_k_is_of_after(stepped):
    nets, _, inputs, found = stepped
    real, fake = errors(began.Networks(OPTIONS), *inputs)  # as they were: weights are a function of the seed
    k = np.clip(K + OPTIONS.lambda_k * (OPTIONS.gamma * real - fake), 0, 1)
    expected = dict(real=real, fake=fake, k=k, M=real + abs(OPTIONS.gamma * real - fake))
    assert found == pytest.approx(expected, rel=1e-5)
    assert float(nets.k) == pytest.approx(k, rel=1e-6)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_each_network_descends_its_own_loss_alone(stepped, name):
    """Adam's first moment is (1 - beta_1) times the gradient, and its first step the rate times the gradient's sign. That
    of L_D leaves G alone, that of L_G leaves D alone, and both are of the networks of before the step."""
    after, before, (real, latent), _ = stepped
    nets = began.Networks(OPTIONS)
    variables = getattr(nets, name).trainable_variables
    with tf.GradientTape() as tape:
        fake = nets.generator(latent)
        of_fake = tf.reduce_mean(tf.abs(fake - nets.discriminator(fake)))
        loss = of_fake if name == "generator" else tf.reduce_mean(tf.abs(real - nets.discriminator(real))) - K * of_fake
    gradients = [gradient.numpy() for gradient in tape.gradient(loss, variables)]
    moments = [v.numpy() for v in optimizers.state(getattr(after, f"{name}_optimizer"))[1::2]]  # of two a variable
    assert len(moments) == len(variables)
    for gradient, moment, old, new in zip(gradients, moments, before[name], values_of(getattr(after, name))):
        np.testing.assert_allclose(moment, (1 - OPTIONS.beta_1) * gradient, rtol=1e-3, atol=1e-7)
        clear = np.abs(gradient) > 1e-5
        assert clear.any()
        np.testing.assert_allclose((new - old)[clear], -RATE * np.sign(gradient)[clear], rtol=0.05)


def test_the_average_follows_in_closed_form(stepped):
    nets, before, _, _ = stepped
    for old, new, found in zip(before["average"], values_of(nets.generator), values_of(nets.average)):
        np.testing.assert_allclose(found, DECAY * old + (1 - DECAY) * new, atol=1e-6)


def test_without_an_average_the_generator_itself_is_shipped(rng):
    nets = began.Networks(dataclasses.replace(OPTIONS, average_decay=0.0))
    step = began.make_step(nets)
    for seen in (0, 8):
        step(pictures_like(rng, 8), *began.step_inputs(nets.options, seen))
    for one, other in zip(nets.generator.get_weights(), nets.average.get_weights()):
        np.testing.assert_array_equal(one, other)


def test_the_inputs_of_a_step_are_functions_of_images_shown():
    latent, rate, decay = began.step_inputs(OPTIONS, 24)
    np.testing.assert_array_equal(latent, tf.random.stateless_uniform((8, 8), (OPTIONS.seed, 24), -1, 1))
    assert float(rate) == pytest.approx(0.001) and float(decay) == pytest.approx((1 + 3) / (10 + 3))
    assert float(began.step_inputs(OPTIONS, 32)[1]) == pytest.approx(0.0006)


@pytest.mark.slow
def test_a_step_in_bfloat16_is_close_to_float32(rng):
    real, found = pictures_like(rng, 8), []
    for mixed in (False, True):
        nets = began.Networks(dataclasses.replace(OPTIONS, mixed_precision=mixed))
        found.append(began.make_step(nets)(real, *began.step_inputs(nets.options, 0)))
    for name, value in found[0].items():
        assert found[1][name].dtype == tf.float32
        assert float(found[1][name]) == pytest.approx(float(value), rel=0.02, abs=1e-4), name


# ------------------------------------------------------------------------------------------------------- the run


def stopped_after(steps, pictures, folder):
    counted = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "step", lambda self, *args, **values: counted.append(1))
        patch.setattr(Progress, "out_of_time", lambda self: len(counted) >= steps)
        return train(OPTIONS, pictures, folder)


def test_a_stopped_run_ends_as_the_uninterrupted_one(tmp_path, pictures, run):
    """Stopped after one step, where the rate is still the first, and after three."""
    assert stopped_after(1, pictures, tmp_path) == 8
    assert stopped_after(2, pictures, tmp_path) == 24
    assert train(OPTIONS, pictures, tmp_path) == 48
    (whole, record), (parts, its_record) = checkpoints.load_latest(run), checkpoints.load_latest(tmp_path)
    assert record == its_record
    assert set(whole) == set(parts)
    assert {name.split("/")[0] for name in whole} == {*began.NETWORKS, *began.OPTIMIZERS, "k"}
    for name, array in whole.items():
        np.testing.assert_array_equal(parts[name], array, err_msg=name)
    assert 0 < whole["k"] <= 1


def test_what_a_run_leaves(run):
    assert json.loads((run / "options.json").read_text()) == json.loads(config.to_json(OPTIONS))
    nets, record = began.networks_of(run)
    assert (record["images"], record["began"], nets.options) == (48, SHAPE, OPTIONS)
    assert nets.generator_optimizer.learning_rate.numpy() == np.float32(OPTIONS.learning_rate)  # each step sets its own
    sheet = images.read(run / "samples-000000048.png")
    assert sheet.shape == (6 * SIDE + 5 * 2, 8 * SIDE + 7 * 2, 3)  # 48 samples, eight a row
    first = np.clip(nets.average(draw((48, 8), (OPTIONS.seed, 7), "uniform"))[0], -1, 1)
    np.testing.assert_allclose(sheet[:SIDE, :SIDE], first, atol=1.01 / 127.5)


def test_a_finished_run_is_left_as_it_is(run, pictures):
    before = (run / "checkpoint-000000048.npz").read_bytes()
    assert train(OPTIONS, pictures, run) == 48
    assert (run / "checkpoint-000000048.npz").read_bytes() == before


def test_a_collapse_is_noticed_once_samples_should_differ(tmp_path, monkeypatch, pictures):
    """Early samples are all alike; later two sheets in a row of that kind end the run."""
    monkeypatch.setattr(divergence, "diversity", lambda samples, real: 0.001)
    train(OPTIONS, pictures, tmp_path / "early", Limits(quiet=True, save_every=1e-9))
    monkeypatch.setattr(began, "SETTLED", 16)
    with pytest.raises(divergence.Diverged, match="collapsed: after 24 images"):
        train(OPTIONS, pictures, tmp_path / "late", Limits(quiet=True, save_every=1e-9))


@pytest.mark.slow
def test_the_autoencoder_learns_and_the_balance_is_kept(tmp_path, pictures):
    """M falls, and L(G(z)) is brought to gamma L(x)."""
    options = dataclasses.replace(OPTIONS, images=8 * 400, halve_every=10**6, lambda_k=0.05)
    nets, stream = began.Networks(options), data.stream(data.Source(data.entries(pictures), SIDE, memory=True), 8, seed=1)
    step, told = began.make_step(nets), []
    for i in range(400):
        told.append({k: float(v) for k, v in step(next(stream), *began.step_inputs(options, 8 * i)).items()})
    assert np.mean([values["M"] for values in told[-50:]]) < 0.7 * np.mean([values["M"] for values in told[:20]])
    ratio = np.mean([values["fake"] / values["real"] for values in told[-200:]])
    assert ratio == pytest.approx(options.gamma, abs=0.15)


# ---------------------------------------------------------------------------------------------------- refusals


def test_runs_that_are_refused(tmp_path, pictures, run, gan_run, autoencoder_run):
    with pytest.raises(ValueError, match="was trained with width 4, not 6"):
        train(dataclasses.replace(OPTIONS, width=6), pictures, run)
    with pytest.raises(ValueError, match="was trained with skip False, not True"):
        train(dataclasses.replace(OPTIONS, skip=True), pictures, run)
    for folder in (gan_run, autoencoder_run):
        with pytest.raises(ValueError, match="is not the run of a BEGAN"):
            train(OPTIONS, pictures, folder)
        with pytest.raises(ValueError, match="is not the run of a BEGAN"):
            began.networks_of(folder)
    with pytest.raises(ValueError, match="is not the run of a GAN"):
        aegan.read_gan(run)
    with pytest.raises(ValueError, match="is not the run of a GAN"):
        gan.train(GAN, data.entries(pictures), run, memory=True, limits=QUIET)
    with pytest.raises(ValueError, match="is not the run of a GAN or of a BEGAN"):
        sources.trained_generator(autoencoder_run)
    for read in (began.networks_of, sources.trained_generator):
        with pytest.raises(ValueError, match="no checkpoint in"):
            read(tmp_path)


@pytest.mark.parametrize(
    "changes, says",
    [
        ({"resolution": 48}, "resolution must be a power of two from 8 to 1024; received 48"),
        ({"resolution": 4}, "resolution must be a power of two from 8 to 1024; received 4"),
        ({"learning_rate": 1e-5}, "final_learning_rate must be above 0 and at most learning_rate"),
        ({"final_learning_rate": 0.0}, "final_learning_rate must be above 0"),
        ({"halve_every": 0}, "halve_every must be 1 or more; received 0"),
        ({"gamma": 1.5}, "gamma must be from 0 to 1; received 1.5"),
        ({"lambda_k": -0.1}, "lambda_k must be 0 or more; received -0.1"),
        ({"average_decay": 1.0}, "average_decay must be from 0 to below 1; received 1.0"),
    ],
)
def test_options_that_are_refused(changes, says):
    with pytest.raises(ValueError, match=says):
        BEGANOptions(**changes)


def test_options_round_trip_and_are_the_original_s():
    assert config.from_dict(BEGANOptions, json.loads(config.to_json(OPTIONS))) == OPTIONS
    o = BEGANOptions()
    assert (o.resolution, o.latent_size, o.width, o.batch_size) == (64, 64, 128, 16)
    assert (o.learning_rate, o.final_learning_rate, o.beta_1, o.beta_2) == (8e-5, 2e-5, 0.5, 0.999)
    assert (o.images, o.halve_every, o.gamma, o.lambda_k) == (500_000 * 16, 100_000 * 16, 0.5, 0.001)


# ------------------------------------------------------------------------- its way to a restored picture


def test_the_pool_of_an_autoencoder_follows_the_latent():
    def picture(z):
        return tf.reshape(z / 4, (-1, 2, 2, 1))

    for latent in ("uniform", "normal"):
        pool = autoencoder.make_pool(picture, 4, 6, seed=3, chunk=4, latent=latent)
        drawn = np.concatenate([draw((4, 4), (3, 0), latent), draw((2, 4), (3, 4), latent)])
        np.testing.assert_array_equal(pool, images.to_uint8(picture(drawn).numpy()))


def test_the_generator_of_a_run_knows_its_latent(rng, run, gan_run):
    trained = sources.trained_generator(run)
    assert trained.latent == "uniform" and trained.record["images"] == 48
    assert isinstance(trained.generator, BEGANGenerator) and trained.generator.config == SHAPE
    z = latents(rng)
    np.testing.assert_array_equal(trained.generator(z), trained.networks.average(z))
    assert sources.trained_generator(gan_run).latent == "normal"


@pytest.mark.parametrize("count", [1, 5])
def test_the_saved_generator_is_the_live_one(rng, run, preset, count):
    z = latents(rng, count)
    saved = preset.part("generator")(z).numpy()
    assert saved.shape == (count, SIDE, SIDE, 3) and saved.dtype == np.float32
    np.testing.assert_allclose(saved, began.generator_of(began.networks_of(run)[0])(z), atol=1e-5)


def test_the_preset_says_what_the_latent_is_drawn_from(preset, run, gan_run, tmp_path):
    info = json.loads((preset.folder / "preset.json").read_text())
    assert info["latent"] == preset.latent == "uniform" and preset.latent_size == 8
    assert config.from_dict(BEGANOptions, info["generator"]["options"]) == OPTIONS
    assert info["generator"]["parameters"] == decoder_parameters(4, 8, 2)
    assert preset.verify() == []
    sheet = images.read(preset.folder / "samples.png")
    z = tf.random.stateless_uniform((48, 8), (0, 0), -1, 1)
    np.testing.assert_allclose(sheet[:SIDE, :SIDE], np.clip(preset.part("generator")(z)[0], -1, 1), atol=1.01 / 127.5)
    for folder, latent in ((run, "uniform"), (gan_run, "normal")):  # the one generator takes the other's place
        export.export(tmp_path / "other", folder, [])
        assert presets.load(str(tmp_path / "other")).latent == latent


def test_the_preset_s_checkpoint_goes_on_training(rng, preset, run):
    nets, record = began.networks_of(preset.folder / "training")
    live, _ = began.networks_of(run)
    assert record["images"] == 48 and float(nets.k) == pytest.approx(float(live.k), rel=1e-3)
    z = latents(rng)
    np.testing.assert_allclose(nets.generator(z), live.generator(z), atol=0.01)
    before = nets.generator.get_weights()
    began.make_step(nets)(pictures_like(rng, 8), *began.step_inputs(OPTIONS, 48))
    assert any((a != b).any() for a, b in zip(before, nets.generator.get_weights()))


def test_a_solve_starts_in_the_cube(preset, rng):
    model = GenerativeEncoder.from_preset(preset, "superres")
    assert model.latent == "uniform"
    y = rng.uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32)
    solution = model.solve(y, model.options(steps=0, starts=3))
    assert np.abs(solution.latent).max() <= 1 and solution.image.shape == (1, SIDE, SIDE, 3)


@pytest.mark.slow
def test_from_pictures_to_a_restored_one(pictures, tmp_path):
    """train began (stopped, and resumed by its name), train autoencoder, export, solve: the commands alone."""

    def succeed(*arguments):
        result = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="gekeras")
        assert result.exit_code == 0, result.output
        return result.output

    runs, preset = tmp_path / "runs", tmp_path / "models" / "mine"
    network = ["--resolution", 8, "--latent-size", 6, "--width", 2, "--skip", "--images", 24, "--batch", 8]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "out_of_time", lambda self: self.recent >= 8)
        told = succeed("train", "began", pictures, "--run", runs / "began", *network, "--gamma", 0.4, "--quiet")
    assert told == f"{runs / 'began'}: 8 images shown\n"
    told = succeed("train", "began", "--run", runs / "began", "--resume", "--quiet")
    assert told == f"{runs / 'began'}: 24 images shown\n"
    options = began.networks_of(runs / "began")[0].options
    assert (options.gamma, options.skip, options.latent_size, options.learning_rate) == (0.4, True, 6, 8e-5)
    settings = ["--width", 2, "--code-size", 8, "--images", 16, "--batch", 8, "--pool", 8, "--validation", 4, "--quiet"]
    common = [pictures, "--task", "superres", "--generator", runs / "began", "--run", runs / "superres"]
    assert "16 images shown, validation MSE 0." in succeed("train", "autoencoder", *common, *settings)
    succeed("export", preset, "--gan", runs / "began", "--autoencoder", runs / "superres")
    assert presets.load(str(preset)).latent == "uniform"
    quick = ["--steps", 2, "--starts", 2, "--simulate", "-o", tmp_path / "restored.png"]
    own = ["--models", preset.parent, "--preset", "mine"]
    succeed("solve", "--task", "superres", pictures / "p00.png", *own, *quick)
    assert images.size(tmp_path / "restored.png") == (8, 8)


def test_help_and_mistakes_on_the_command_line(pictures, run, tmp_path):
    def invoke(*arguments):
        return CliRunner().invoke(cli, ["train", "began", *map(str, arguments)], prog_name="gekeras")

    shown = invoke("--help").output
    example, _, options = shown.partition("Options:")
    assert shown.startswith("Usage: gekeras train began") and example.count("gekeras train began") == 3
    assert all(word in options for word in example.split() if word.startswith("--"))
    before = sorted(p.name for p in run.iterdir())
    for arguments, says in (
        (["--run", tmp_path / "r", "--resolution", 48], "power of two from 8 to 1024; received 48"),
        (["--run", tmp_path / "r", "--learning-rate", 0.00001], "at most learning_rate"),
        (["--run", tmp_path / "r", "--gamma", 2], "2.0 is not in the range 0<=x<=1"),
        (["--run", run, "--resolution", 16], "was trained with latent_size 8, not 64"),
    ):
        result = invoke(pictures, *arguments)
        assert result.exit_code == 2 and says in " ".join(result.output.split()), result.output
        assert not (tmp_path / "r").exists()
    assert sorted(p.name for p in run.iterdir()) == before
