"""The AEGAN baseline: its loss terms in closed form, a step that moves all three networks, resuming, and its export."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from conftest import GAN

from gekeras import config, data, files, images
from gekeras.config import AEGANOptions, Stage
from gekeras.models import pgan
from gekeras.networks import presets
from gekeras.training import aegan, checkpoints, export, gan, losses
from gekeras.training.progress import Progress
from gekeras.training.run import Limits

PX = 8
QUIET = Limits(quiet=True)
SMALL = dataclasses.replace(GAN, resolution=PX, stages=(Stage(4, 0, 8), Stage(PX, 8, 8)))
SHAPE = {name: getattr(SMALL, name) for name in aegan.SHAPE}
OPTIONS = AEGANOptions(
    width=4, images=48, batch_size=8, learning_rate=0.002, average_decay=0.5, r1_every=2, validate_every=16, seed=4
)


@pytest.fixture(scope="module")
def small_gan(tmp_path_factory, pictures):
    """Run folder of a GAN grown from 4 to 8 px."""
    folder = tmp_path_factory.mktemp("aegan") / "gan"
    gan.train(SMALL, data.entries(pictures), folder, memory=True, limits=QUIET)
    return folder


def train(options, pictures, small_gan, folder):
    items = data.entries(pictures)
    sources = [data.Source(part, PX, memory=True) for part in (items[:-6], items[-6:])]
    return aegan.train(options, *sources, small_gan, folder, limits=QUIET)


@pytest.fixture(scope="module")
def run(tmp_path_factory, pictures, small_gan):
    """Run folder of six steps of 8 pictures, every other one with R1."""
    folder = tmp_path_factory.mktemp("aegan") / "aegan"
    train(OPTIONS, pictures, small_gan, folder)
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory, small_gan, run):
    folder = tmp_path_factory.mktemp("aegan") / "tiny"
    assert export.export(folder, small_gan, [], aegan_run=run) == ["generator", "aegan-encoder", "aegan-generator"]
    return presets.load(str(folder))


def pictures_like(rng, count):
    return tf.constant(rng.uniform(-1, 1, (count, PX, PX, 3)).astype(np.float32))


def values_of(network):
    return [w.numpy() for w in network.trainable_variables]


# ------------------------------------------------------------------------------------------------- loss terms


@pytest.mark.parametrize(
    "mean, deviation, expected",
    [
        (0.0, 1.0, 0.0),
        (2.0, 1.0, 2.0),  # mean^2 / 2
        (0.0, 2.0, 1.5 - np.log(2)),  # (sigma^2 - 1) / 2 - log sigma
        (-1.0, 0.5, 0.5 - 0.375 + np.log(2)),
    ],
)
def test_the_kl_divergence_in_closed_form(mean, deviation, expected):
    ones = tf.ones((3, 5))
    found = aegan.kl_divergence(mean * ones, 2 * np.log(deviation).astype(np.float32) * ones)
    assert float(found) == pytest.approx(expected, abs=1e-6)


def test_the_kl_divergence_is_a_mean_over_batch_and_dimensions():
    mean = tf.constant([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert float(aegan.kl_divergence(mean, tf.zeros((2, 3)))) == pytest.approx(2 / 6)


def test_a_draw_has_the_mean_and_the_variance_it_was_given():
    noise = tf.random.stateless_normal((200_000, 1), seed=(0, 0))
    drawn = aegan.sample(tf.fill(noise.shape, 3.0), tf.fill(noise.shape, float(np.log(0.25))), noise)
    assert float(tf.reduce_mean(drawn)) == pytest.approx(3.0, abs=0.01)
    assert float(tf.math.reduce_std(drawn)) == pytest.approx(0.5, abs=0.01)


def test_the_code_is_split_in_halves():
    mean, log_variance = aegan.split(tf.constant([[1.0, 2.0, 3.0, 4.0]]))
    assert mean.numpy().tolist() == [[1.0, 2.0]] and log_variance.numpy().tolist() == [[3.0, 4.0]]


# --------------------------------------------------------------------------------------------------- one step


@pytest.fixture(scope="module")
def stepped():
    """Networks, their weights before one step with R1, the step's inputs and its losses."""
    rng = np.random.default_rng(0)
    nets = aegan.Networks(OPTIONS, SHAPE)
    before = {name: values_of(getattr(nets, name)) for name in aegan.NETWORKS}
    real = pictures_like(rng, 8)
    latent, noise = (tf.constant(rng.normal(size=(8, GAN.latent_size)).astype(np.float32)) for _ in range(2))
    found = aegan.make_step(nets)(real, latent, noise, tf.constant(0.75), True)
    return nets, before, (real, latent, noise), {name: float(value) for name, value in found.items()}


def test_one_step_trains_all_three_networks(stepped):
    nets, before, _, _ = stepped
    for name in ("generator", "discriminator", "encoder"):
        moved = [np.abs(a - b).max() for a, b in zip(before[name], values_of(getattr(nets, name)))]
        assert min(moved) > 1e-5, name


def test_the_averages_follow_in_closed_form(stepped):
    nets, before, _, _ = stepped
    for average, trained in (("average", "generator"), ("encoder_average", "encoder")):
        for old, new, found in zip(before[average], values_of(getattr(nets, trained)), values_of(getattr(nets, average))):
            np.testing.assert_allclose(found, 0.75 * old + 0.25 * new, atol=1e-6)


def test_the_losses_of_a_step_are_those_of_equation_6(stepped):
    """d, mse and kl are taken before the step; D has no step behind it in d, and one in g."""
    after, _, (real, latent, noise), found = stepped
    nets = aegan.Networks(OPTIONS, SHAPE)  # as it was: weights are a function of the seed
    mean, log_variance = aegan.split(nets.encoder(real))
    reconstructed = nets.generator(mean + tf.exp(log_variance / 2) * noise)
    fake = nets.generator(latent)
    softplus = tf.math.softplus
    d_loss = tf.reduce_mean(softplus(nets.discriminator(fake))) + tf.reduce_mean(softplus(-nets.discriminator(real)))
    expected = dict(
        d=d_loss,
        g=tf.reduce_mean(softplus(-after.discriminator(fake))),
        mse=tf.reduce_mean(tf.square(reconstructed - real)),
        kl=aegan.kl_divergence(mean, log_variance),
    )
    for name, value in expected.items():
        assert found[name] == pytest.approx(float(value), rel=1e-4), name


@pytest.mark.parametrize("network", ["encoder", "generator"])
def test_the_step_descends_the_gradient_of_the_sum(stepped, network):
    """Adam's first step is rate times the gradient's sign: that of g + w mse + k kl, after D's step."""
    after, before, (real, latent, noise), _ = stepped
    nets = aegan.Networks(OPTIONS, SHAPE)
    nets.discriminator.set_weights(after.discriminator.get_weights())
    variables = getattr(nets, network).trainable_variables
    with tf.GradientTape() as tape:
        mean, log_variance = aegan.split(nets.encoder(real))
        error = tf.reduce_mean(tf.square(nets.generator(aegan.sample(mean, log_variance, noise)) - real))
        adversarial = losses.generator_loss(aegan.NONSATURATING, nets.discriminator(nets.generator(latent)))
        kl = aegan.kl_divergence(mean, log_variance)
        loss = adversarial + OPTIONS.reconstruction_weight * error + OPTIONS.kl_weight * kl
    rate = OPTIONS.encoder_learning_rate if network == "encoder" else OPTIONS.learning_rate
    for gradient, old, new in zip(tape.gradient(loss, variables), before[network], values_of(getattr(after, network))):
        clear = np.abs(gradient) > 1e-5
        np.testing.assert_allclose((new - old)[clear], -rate * np.sign(gradient)[clear], rtol=0.05)


# ---------------------------------------------------------------------------------------------------- the run


def test_a_run_starts_from_the_networks_of_the_gan(tmp_path, monkeypatch, pictures, small_gan):
    monkeypatch.setattr(Progress, "out_of_time", lambda self: True)
    train(OPTIONS, pictures, small_gan, tmp_path)
    nets, record = aegan.networks_of(tmp_path)
    source, _ = gan.networks_of(small_gan)
    z = tf.random.stateless_normal((8, GAN.latent_size), seed=(1, 1))
    assert record["images"] == 0
    for name in ("generator", "average"):
        np.testing.assert_array_equal(getattr(nets, name)(z), getattr(source, name)(z))
    x = source.generator(z)
    np.testing.assert_array_equal(nets.discriminator(x), source.discriminator(x))


@pytest.mark.slow
def test_a_stopped_run_ends_as_the_uninterrupted_one(tmp_path, pictures, small_gan, run):
    """Stopped after three steps: between two R1 penalties and between two points of the curve."""
    steps = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "step", lambda self, *args, **values: steps.append(1))
        patch.setattr(Progress, "out_of_time", lambda self: len(steps) >= 3)
        train(OPTIONS, pictures, small_gan, tmp_path)
    assert checkpoints.load_latest(tmp_path)[1]["images"] == 24
    train(OPTIONS, pictures, small_gan, tmp_path)
    (whole, record), (parts, its_record) = checkpoints.load_latest(run), checkpoints.load_latest(tmp_path)
    assert {**record, "curve": None} == {**its_record, "curve": None}
    assert dict(record["curve"])[48] == pytest.approx(dict(its_record["curve"])[48], rel=1e-4)
    assert set(whole) == set(parts) and {name.split("/")[0] for name in whole} == {*aegan.NETWORKS, *aegan.OPTIMIZERS}
    for name, array in whole.items():
        np.testing.assert_allclose(parts[name], array, rtol=1e-5, atol=1e-6, err_msg=name)


def test_what_a_run_leaves(run, pictures):
    assert json.loads((run / "options.json").read_text()) == json.loads(config.to_json(OPTIONS))
    nets, record = aegan.networks_of(run)
    assert nets.options == OPTIONS and nets.shape == SHAPE
    assert [seen for seen, _ in record["curve"]] == [16, 32, 48]
    held_out = images.from_uint8(data.load_all(data.entries(pictures)[-6:], PX))
    expected = np.square(nets(tf.constant(held_out)) - held_out).mean()
    assert record["curve"][-1][1] == pytest.approx(expected, rel=1e-5)
    assert aegan.validate(nets, held_out, chunk=4) == pytest.approx(expected, rel=1e-5)
    sheet = images.read(run / "samples-000000048.png")  # truth, reconstructions, samples of the six held-out pictures
    assert sheet.shape == (3 * (PX + 2) - 2, 6 * (PX + 2) - 2, 3)
    np.testing.assert_allclose(sheet[:PX, :PX], held_out[0], atol=1.01 / 127.5)


@pytest.mark.slow
def test_reconstructions_are_learned(tmp_path, pictures, small_gan):
    """On the pictures it is shown: well below the error of one picture for all, their mean."""
    items = data.load_all(data.entries(pictures)[:4], PX)
    changes = dict(images=600, batch_size=4, learning_rate=0.02, encoder_learning_rate=0.005, r1_every=1)
    options = dataclasses.replace(OPTIONS, **changes, reconstruction_weight=100.0, mirror=False, validate_every=600)
    curve = aegan.train(options, data.Source(items), data.Source(items), small_gan, tmp_path, limits=QUIET)
    assert curve[-1][1] < 0.6 * images.from_uint8(items).var(axis=0).mean()


# ----------------------------------------------------------------------------------------------------- export


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def test_the_encoder_that_is_shipped_gives_the_mean(rng, run):
    nets, _ = aegan.networks_of(run)
    x = pictures_like(rng, 3)
    mean, _ = aegan.split(nets.encoder_average(x))
    np.testing.assert_allclose(aegan.encoder_of(nets)(x), mean, atol=1e-6)
    np.testing.assert_allclose(aegan.generator_of(nets)(mean), nets(x), atol=1e-6)


@pytest.mark.parametrize("count", [1, 3])
def test_the_exported_parts_are_the_live_ones(rng, run, preset, count):
    """float16 keeps eleven bits of a weight."""
    nets, _ = aegan.networks_of(run)
    x = pictures_like(rng, count)
    latent = preset.part("aegan-encoder")(x).numpy()
    assert latent.shape == (count, GAN.latent_size) and latent.dtype == np.float32
    assert 0 < relative_error(latent, aegan.encoder_of(nets)(x).numpy()) < 1e-2
    image = preset.part("aegan-generator")(latent).numpy()
    assert image.shape == x.shape and image.dtype == np.float32
    assert 0 < relative_error(image, nets.average(latent).numpy()) < 1e-2


def test_the_exported_generator_computes_in_float32(rng, run, preset):
    generator = aegan.generator_of(aegan.networks_of(run)[0])
    generator.set_weights([w.astype(np.float16).astype(np.float32) for w in generator.get_weights()])
    z = rng.normal(size=(3, GAN.latent_size)).astype(np.float32)
    np.testing.assert_allclose(preset.part("aegan-generator")(z), generator(z), atol=1e-5)


def test_how_the_parts_are_stored(preset):
    for part in ("aegan-encoder", "aegan-generator"):
        stored = str(preset.folder / part / "1" / "variables" / "variables")
        arrays = {name: tf.train.load_variable(stored, name) for name, shape in tf.train.list_variables(stored) if shape}
        whole = [array.size for array in arrays.values() if array.dtype == np.float32]  # toRGB names its own dtype
        assert sum(whole) == (0 if part == "aegan-encoder" else 3 * pgan.width(PX, GAN.fmap_base, GAN.fmap_max) + 3)
        assert {array.dtype for array in arrays.values()} <= {np.dtype(np.float16), np.dtype(np.float32)}


def test_the_record_of_the_preset(run, preset):
    nets, record = aegan.networks_of(run)
    info = preset.info["aegan"]
    assert info["images"] == 48 and info["curve"] == record["curve"]
    assert config.from_dict(AEGANOptions, info["options"]) == OPTIONS
    assert info["parameters"] == aegan.encoder_of(nets).count_params() + nets.average.count_params()
    assert {"aegan-encoder/1/saved_model.pb", "aegan-generator/1/saved_model.pb"} <= set(preset.info["checksums"])
    assert preset.verify() == []


def test_a_new_aegan_drops_its_own_scores_alone(preset, run):
    preset.record_scores(
        "superres", [{"method": "GE", "n": 1, "mse": 0.1}, {"method": "AEGAN", "n": 1, "mse": 0.2}], "some", {}
    )
    assert export.export(preset.folder, None, [], aegan_run=run) == ["aegan-encoder", "aegan-generator"]
    assert set(presets.load(str(preset.folder)).info["scores"]["superres"]["methods"]) == {"GE"}


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.fixture
def other_run(tmp_path):
    """Run folder of something else: an autoencoder's record."""
    record = dict(images=8, curve=[], task="superres", options=config.to_dict(config.AutoencoderOptions()))
    checkpoints.save_rotating(tmp_path / "other", 8, {"encoder/code/0": np.zeros(3, np.float32)}, record)
    return tmp_path / "other"


@pytest.fixture
def large_gan(tmp_path):
    """Run folder of a GAN of 16 px, as far as its record goes."""
    nets = gan.Networks(GAN, GAN.resolution)
    record = dict(images=0, phase=0, resolution=GAN.resolution, options=config.to_dict(GAN))
    checkpoints.save_rotating(tmp_path / "large", 0, nets.arrays(), record)
    return tmp_path / "large"


def test_runs_that_are_refused(tmp_path, pictures, small_gan, large_gan, run, other_run):
    with pytest.raises(ValueError, match=r"no checkpoint in .*missing"):
        train(OPTIONS, pictures, tmp_path / "missing", tmp_path / "new")
    with pytest.raises(ValueError, match="is not the run of a GAN"):
        train(OPTIONS, pictures, other_run, tmp_path / "new")
    with pytest.raises(ValueError, match=r"makes pictures of \[16, 16, 3\]; received \[8, 8, 3\]"):
        train(OPTIONS, pictures, large_gan, tmp_path / "new")
    with pytest.raises(ValueError, match="was trained with width 4, not 6"):
        train(dataclasses.replace(OPTIONS, width=6), pictures, small_gan, run)
    with pytest.raises(ValueError, match="was trained with resolution 8, not 16"):
        train(OPTIONS, pictures, large_gan, run)
    with pytest.raises(ValueError, match="is not the run of an AEGAN"):
        train(OPTIONS, pictures, small_gan, other_run)
    with pytest.raises(ValueError, match="is not the run of an AEGAN"):
        aegan.networks_of(small_gan)
    with pytest.raises(ValueError, match="no checkpoint in"):
        aegan.networks_of(tmp_path)
    assert not (tmp_path / "new").exists()


def test_a_gan_that_is_still_growing_is_refused(tmp_path, pictures):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "out_of_time", lambda self: self.recent >= 1)
        patch.setattr(Progress, "step", lambda self, *args, **values: setattr(self, "recent", 1))
        gan.train(SMALL, data.entries(pictures), tmp_path / "gan", memory=True, limits=QUIET)
    with pytest.raises(ValueError, match="has grown to 4 px of 8; train it on"):
        aegan.read_gan(tmp_path / "gan")


def test_exports_that_are_refused(tmp_path, run, other_run):
    with pytest.raises(ValueError, match="has no generator; name a GAN run"):
        export.export(tmp_path / "new", None, [], aegan_run=run)
    large = tmp_path / "large" / "preset.json"
    large.parent.mkdir()
    files.write_text(large, json.dumps(dict(resolution=16, channels=3, generator={}, tasks={})))
    before = large.read_bytes()
    with pytest.raises(ValueError, match=r"is of 8 px and 3 channels, .* of 16 px and 3"):
        export.export(large.parent, None, [], aegan_run=run)
    with pytest.raises(ValueError, match="is not the run of an AEGAN"):
        export.export(large.parent, None, [], aegan_run=other_run)
    assert large.read_bytes() == before and list(large.parent.iterdir()) == [large]


@pytest.mark.parametrize("name", ["reconstruction_weight", "kl_weight", "r1_every"])
def test_options_that_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        AEGANOptions(**{name: -1})


def test_options_round_trip():
    assert config.from_dict(AEGANOptions, json.loads(config.to_json(OPTIONS))) == OPTIONS
