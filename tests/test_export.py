"""What is saved is what was trained: SavedModels equal the live networks, for any batch, and say what they are."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import AUTOENCODER, GAN, SIDE, TASKS
from tensorflow.core.protobuf import saved_model_pb2

from gekeras import config, files, images
from gekeras.models.autoencoder import Encoder
from gekeras.networks import presets
from gekeras.training import autoencoder, checkpoints, export, gan

PARTS = ["generator", *(f"{part}-{task}" for task in TASKS for part in ("encoder", "decoder"))]


def latents(rng, count):
    return rng.normal(size=(count, GAN.latent_size)).astype(np.float32)


def pictures_like(rng, count):
    return rng.uniform(-1, 1, (count, SIDE, SIDE, 3)).astype(np.float32)


def relative_error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_saved_generator_is_the_live_one(rng, tiny, gan_run, count):
    z = latents(rng, count)
    live = gan.generator_of(gan.networks_of(gan_run)[0])(z)
    saved = tiny.part("generator")(z).numpy()
    assert saved.shape == (count, SIDE, SIDE, 3) and saved.dtype == np.float32
    np.testing.assert_allclose(saved, live, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("task", TASKS)
def test_saved_autoencoders_are_the_live_ones(rng, tiny, autoencoder_runs, task, count):
    nets, _ = autoencoder.networks_of(autoencoder_runs[task])
    x = pictures_like(rng, count)
    code = tiny.part(f"encoder-{task}")(x).numpy()
    assert code.shape == (count, AUTOENCODER.code_size) and code.dtype == np.float32
    assert 0 < relative_error(code, nets.encoder(x).numpy()) < 1e-2  # float16 keeps eleven bits
    image = tiny.part(f"decoder-{task}")(code).numpy()
    assert image.dtype == np.float32
    assert relative_error(image, nets.decoder(code).numpy()) < 1e-2


def test_the_arithmetic_is_float32(rng, tiny, autoencoder_runs):
    """A network with rounded weights and float32 arithmetic gives the same to 1e-5; float16 arithmetic would not."""
    nets, _ = autoencoder.networks_of(autoencoder_runs["superres"])
    x = pictures_like(rng, 3)
    nets.encoder.set_weights([w.astype(np.float16).astype(np.float32) for w in nets.encoder.get_weights()])
    np.testing.assert_allclose(tiny.part("encoder-superres")(x), nets.encoder(x), atol=1e-5)


def test_a_part_has_the_keys_of_its_network_and_its_weights_in_their_order(tmp_path):
    """So that weights which Keras 2 stored beside the network are read, and training can start from a part."""
    network = Encoder(resolution=8, width=4, code_size=4, blocks=2)
    export.save_part(network, tmp_path / "part", "image", "code")
    layers = enumerate(layer for layer in network.layers if layer.weights)
    named = [(f"layer_with_weights-{k}/{w}", getattr(layer, w)) for k, layer in layers for w in ("kernel", "bias")]
    shapes = {f"network/{name}/.ATTRIBUTES/VARIABLE_VALUE": list(weight.shape) for name, weight in named}
    tf.train.Checkpoint(network=network).write(str(tmp_path / "own"))
    stored, own = (
        {name: shape for name, shape in tf.train.list_variables(str(path)) if name.startswith("network/")}
        for path in (tmp_path / "part" / "1" / "variables" / "variables", tmp_path / "own")
    )
    assert stored == shapes
    assert own == shapes or hasattr(keras, "ops")  # Keras 3 has other keys in checkpoints of its own
    found = checkpoints.weights_of_part("encoder", tf.saved_model.load(str(tmp_path / "part" / "1")))
    expected = checkpoints.weights_of("encoder", network)
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_a_part_has_no_functions_of_its_layers(tiny):
    path = tiny.folder / "decoder-superres" / "1" / "saved_model.pb"
    stored = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    names = [f.signature.name for f in stored.meta_graphs[0].graph_def.library.function]
    assert names and not [name for name in names if "layer_call" in name]


def test_the_functions_read_the_weights_that_are_restored(tiny):
    """Two variables of one weight load in Python, but TensorFlow Serving would initialize only one of them."""
    path = tiny.folder / "decoder-superres" / "1"
    stored = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes()).meta_graphs[0].graph_def
    read = [node.name for node in stored.node if node.op == "VarHandleOp"]
    saved = [name for name, shape in tf.train.list_variables(str(path / "variables" / "variables")) if shape]
    assert len(read) == len(saved) > 0


@pytest.mark.parametrize("part", PARTS)
def test_how_weights_are_stored(tiny, part):
    """Autoencoders in float16, the generator in float32, the output layers included."""
    stored = str(tiny.folder / part / "1" / "variables" / "variables")
    arrays = [tf.train.load_variable(stored, name) for name, shape in tf.train.list_variables(stored) if shape]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32 if part == "generator" else np.float16)}
    described = tiny.info["generator"] if part == "generator" else tiny.info["autoencoders"][part.split("-")[1]]
    assert 0 < sum(array.size for array in arrays) <= described["parameters"]


@pytest.mark.parametrize(
    "part, inside, outside, shape",
    [
        ("generator", "latent", "image", (GAN.latent_size,)),
        ("encoder-superres", "image", "code", (SIDE, SIDE, 3)),
        ("decoder-reconstruct", "code", "image", (AUTOENCODER.code_size,)),
    ],
)
def test_the_signature_for_serving(rng, tiny, part, inside, outside, shape):
    loaded = tiny.part(part)
    assert set(loaded.signatures) == {"serving_default"} | ({"features_8", "image_from_8"} if part == "generator" else set())
    signature = loaded.signatures["serving_default"]
    assert {k: tuple(v.shape) for k, v in signature.structured_input_signature[1].items()} == {inside: (None, *shape)}
    assert list(signature.structured_outputs) == [outside]
    x = tf.constant(rng.normal(size=(3, *shape)).astype(np.float32))
    np.testing.assert_allclose(signature(**{inside: x})[outside], loaded(x), atol=1e-6)


@pytest.mark.parametrize("part, shape", [("generator", (GAN.latent_size,)), ("encoder-reconstruct", (SIDE, SIDE, 3))])
def test_a_graph_that_does_not_know_its_batch(rng, tiny, part, shape):
    loaded = tiny.part(part)
    compiled = tf.function(lambda x: loaded(x), input_signature=[tf.TensorSpec([None, *shape])])
    assert compiled.get_concrete_function().output_shapes[0] is None
    for count in (1, 3):
        x = rng.normal(size=(count, *shape)).astype(np.float32)
        np.testing.assert_allclose(compiled(x), loaded(x), atol=1e-5)


def test_gradients_reach_through_the_saved_parts(tiny, rng):
    """What the solver needs; against a difference along the gradient."""
    z = tf.constant(latents(rng, 2))

    def loss(z):
        return tf.reduce_sum(tf.square(tiny.part("encoder-superres")(tiny.part("generator")(z))))

    with tf.GradientTape() as tape:
        tape.watch(z)
        value = loss(z)
    gradient = tape.gradient(value, z)
    direction = gradient / tf.norm(gradient)
    slope = (loss(z + 1e-3 * direction) - loss(z - 1e-3 * direction)) / 2e-3
    assert slope.numpy() == pytest.approx(tf.norm(gradient).numpy(), rel=0.05)


def test_the_record(tiny, gan_run, autoencoder_runs):
    info = json.loads((tiny.folder / "preset.json").read_text())
    assert info == tiny.info
    assert (info["resolution"], info["channels"], info["latent_size"], info["code_size"]) == (SIDE, 3, 16, 16)
    assert info["tasks"] == {"superres": {"factor": 4, "kernel": "box"}, "reconstruct": {}} and info["range"] == [-1, 1]
    live = gan.generator_of(gan.networks_of(gan_run)[0])
    assert info["generator"]["parameters"] == live.count_params()
    assert config.from_dict(config.GANOptions, info["generator"]["options"]) == GAN
    for task, run in autoencoder_runs.items():
        nets, record = autoencoder.networks_of(run)
        details = info["autoencoders"][task]
        assert details["parameters"] == nets.encoder.count_params() + nets.decoder.count_params()
        assert details["curve"] == record["curve"] and details["images"] == 64
        assert config.from_dict(config.AutoencoderOptions, details["options"]) == AUTOENCODER


def test_every_file_of_the_parts_has_a_checksum(tiny):
    files = {p.relative_to(tiny.folder).as_posix() for part in PARTS for p in (tiny.folder / part).rglob("*") if p.is_file()}
    assert set(tiny.info["checksums"]) == files
    assert f"{PARTS[0]}/1/saved_model.pb" in files
    assert tiny.verify() == []


def test_the_preset_s_checkpoint_goes_on_training(rng, tiny, gan_run):
    nets, record = gan.networks_of(tiny.folder / "training")
    live, _ = gan.networks_of(gan_run)
    assert record["images"] == 48 and nets.resolution == SIDE and nets.options == GAN
    z = latents(rng, 3)
    for name in ("generator", "average"):
        assert relative_error(getattr(nets, name)(z).numpy(), getattr(live, name)(z).numpy()) < 1e-2
    before = nets.generator.get_weights()
    real = tf.constant(pictures_like(rng, 8))
    one, z = tf.constant(1.0), tf.constant(latents(rng, 8))
    gan.make_step(nets)(real, z, one, one, tf.constant([0, 0]), False)
    assert any((a != b).any() for a, b in zip(before, nets.generator.get_weights()))


def test_the_sheet_of_samples(tiny):
    sheet = images.read(tiny.folder / "samples.png")
    z = tf.random.stateless_normal((48, GAN.latent_size), seed=(0, 0))
    first = np.clip(tiny.part("generator")(z)[0], -1, 1)
    np.testing.assert_allclose(sheet[:SIDE, :SIDE], first, atol=1.01 / 127.5)


# ---------------------------------------------------------------------------------------- exporting step by step


@pytest.fixture
def copied(tiny, tmp_path):
    """A copy of the tiny preset under the same name, to be changed."""
    return shutil.copytree(tiny.folder, tmp_path / "tiny")


def test_parts_that_are_not_named_stay(copied, autoencoder_runs):
    info = json.loads((copied / "preset.json").read_text())
    info |= {"description": "faces", "scores": {task: {"methods": {}} for task in TASKS}}
    files.write_text(copied / "preset.json", json.dumps(info))
    kept = (copied / "generator/1/saved_model.pb").read_bytes()
    written = export.export(copied, None, [autoencoder_runs["superres"]])
    assert written == ["encoder-superres", "decoder-superres"]
    after = json.loads((copied / "preset.json").read_text())
    assert after["description"] == "faces" and set(after["tasks"]) == set(TASKS)
    assert set(after["scores"]) == {"reconstruct"}  # the other one was measured with the old encoder
    assert (copied / "generator/1/saved_model.pb").read_bytes() == kept
    assert presets.load(str(copied)).verify() == []


def test_a_new_generator_drops_the_scores_and_the_old_checkpoint(copied, gan_run):
    info = json.loads((copied / "preset.json").read_text())
    files.write_text(copied / "preset.json", json.dumps({**info, "scores": {"superres": {"methods": {}}}}))
    (copied / "training/checkpoint-000000048.npz").rename(copied / "training/checkpoint-000099999.npz")
    assert export.export(copied, gan_run, []) == ["generator"]
    assert "scores" not in json.loads((copied / "preset.json").read_text())
    assert [p.name for p in (copied / "training").iterdir()] == ["checkpoint-000000048.npz"]
    assert presets.load(str(copied)).verify() == []


def test_a_description_alone(copied, tmp_path):
    (tmp_path / "about.json").write_text('{"description": "small ones", "terms": "none"}')
    assert export.export(copied, None, [], tmp_path / "about.json") == []
    info = json.loads((copied / "preset.json").read_text())
    assert (info["description"], info["terms"], info["resolution"]) == ("small ones", "none", SIDE)


def test_exports_that_are_refused(tmp_path, autoencoder_runs):
    with pytest.raises(ValueError, match="name a GAN run, an autoencoder run, or a description"):
        export.export(tmp_path / "new", None, [])
    with pytest.raises(ValueError, match=r"new has no generator; name a GAN run"):
        export.export(tmp_path / "new", None, [autoencoder_runs["superres"]])
    with pytest.raises(ValueError, match=r"no checkpoint in .*missing"):
        export.export(tmp_path / "new", tmp_path / "missing", [])
    assert not (tmp_path / "new").exists()


def contents(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_export_that_fails_changes_nothing(copied, gan_run, tmp_path):
    """A missing run, another kind of run, a description that is none: found before anything is written."""
    before, text = contents(copied), tmp_path / "about.json"
    text.write_text("[1]")
    for runs, about, message in (
        ([tmp_path / "typo"], None, "no checkpoint"),
        ([gan_run], None, "not the run of an autoencoder"),
        ([], text, "not a JSON object"),
    ):
        with pytest.raises(ValueError, match=message):
            export.export(copied, gan_run, runs, about)
        assert contents(copied) == before
    assert [p.name for p in copied.parent.iterdir() if p.name.startswith(".")] == []


def test_parts_of_another_size_are_refused(copied, autoencoder_runs):
    record = copied / "preset.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "resolution": 2 * SIDE}))
    with pytest.raises(ValueError, match=f"superres is of {SIDE} px and 3 channels, the generator of {2 * SIDE} px"):
        export.export(copied, None, list(autoencoder_runs.values()))


def test_an_evaluation_keeps_what_was_written_meanwhile(copied):
    """The record is read again where scores are stored: of two evaluations at once, neither loses the other's."""
    one, other = presets.load(str(copied)), presets.load(str(copied))
    for preset, task in ((one, "superres"), (other, "reconstruct")):
        preset.record_scores(task, [{"method": "GE", "mse": 0.5, "n": 1}], "faces", {})
    assert set(presets.load(str(copied)).info["scores"]) == {"superres", "reconstruct"}
