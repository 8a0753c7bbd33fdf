"""A network in a file is the network itself, whatever the file is; and what is no network, or fits no other, is refused."""

import hashlib
import json
import re
import shutil
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras import GenerativeEncoder, messages
from gekeras.config import SolveOptions
from gekeras.networks import keras_files, modules
from gekeras.networks.custom import CustomNetworks
from gekeras.networks.modules import Module, adopt, load_module
from gekeras.operators import make_task
from gekeras.solve import starts

LATENT, SIDE, CODE = 5, 8, 6
FEW = SolveOptions(steps=3, starts=4, ramp="cosine", seed=2)
FLOATS = tf.TensorSpec([None, LATENT], tf.float32)
v1 = tf.compat.v1


def make_generator(side=SIDE, channels=3, activation="sigmoid", latent=LATENT, name="generator"):
    """With batch normalization and dropout, which tell training from inference."""
    keras.utils.set_random_seed(1)
    z = keras.Input((latent,), name="z")
    x = keras.layers.Dense(side * side * channels, kernel_initializer="random_normal")(z)
    x = keras.layers.Dropout(0.5)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Activation(activation)(keras.layers.Rescaling(20.0)(x))
    x = keras.layers.Reshape((side, side, channels))(x)
    return keras.Model(z, x, name=name)


def make_encoder(side=SIDE, flat=True, scale=1.0):
    keras.utils.set_random_seed(2)
    image = keras.Input((side, side, 3), name="image")
    x = keras.layers.Conv2D(4, 3, strides=2, activation="tanh", padding="same")(image * scale)
    return keras.Model(image, keras.layers.Dense(CODE)(keras.layers.Flatten()(x)) if flat else x, name="encoder")


def make_decoder():
    keras.utils.set_random_seed(3)
    code = keras.Input((CODE,), name="code")
    x = keras.layers.Dense(SIDE * SIDE * 3, activation="sigmoid")(code)
    return keras.Model(code, keras.layers.Reshape((SIDE, SIDE, 3))(x), name="decoder")


class Signed(tf.Module):
    """A SavedModel with signatures alone; `outputs` is what each gives."""

    def __init__(self, model, names, outputs, shape=None):
        super().__init__()
        self.model = model
        shape = shape or [None, *model.inputs[0].shape[1:]]
        given = tf.TensorSpec(shape, tf.float32, name="given")
        function = tf.function(lambda given: outputs(model(given, training=False)), input_signature=[given])
        self.functions = {name: function for name in names}


def save_signed(model, path, names=("default",), outputs=lambda x: {"image": x}, shape=None):
    signed = Signed(model, names, outputs, shape)
    tf.saved_model.save(signed, str(path), signatures=signed.functions)
    return path


def save_called(function, path, *specs, model=None):
    """A SavedModel whose object is called; `model` holds the variables of the function."""
    module = tf.Module()
    module.model = model
    module.__call__ = tf.function(function, input_signature=specs)
    tf.saved_model.save(module, str(path))
    return path


def save_tf1(model, path, tagsets=((),), hub=True):
    """A module as TensorFlow 1 wrote it: placeholders, signature `default`, no tag for the graph to use."""
    weights, bias = (w.numpy() for w in keras_dense(model))
    with tf.Graph().as_default(), v1.Session() as session:
        z = v1.placeholder(tf.float32, [None, LATENT])
        kernel, offset = (v1.get_variable(name, initializer=value) for name, value in (("w", weights), ("b", bias)))
        y = tf.reshape(tf.nn.sigmoid(20 * (tf.matmul(z, kernel) + offset) / np.sqrt(1.001)), (-1, SIDE, SIDE, 3))
        session.run(v1.global_variables_initializer())
        info = v1.saved_model.utils.build_tensor_info
        signature = v1.saved_model.build_signature_def({"default": info(z)}, {"default": info(y)}, "default")
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, list(tagsets[0]), {"default": signature})
        for tags in tagsets[1:]:
            builder.add_meta_graph(list(tags), {"default": signature})
        builder.save()
    if hub:
        (path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return path


def keras_dense(model):
    (dense,) = (layer for layer in model.layers if isinstance(layer, keras.layers.Dense))
    return dense.weights


@pytest.fixture(scope="module")
def generator():
    return make_generator()


@pytest.fixture(scope="module")
def encoder():
    return make_encoder()


def write_versions(model, path):
    for version in ("1", "2", "10", "notes"):
        other = model if version == "10" else make_generator(side=4)
        save_signed(other, path / version, ["serving_default"])
    return path


FORMS = {
    "g.keras": lambda model, path: (model.save(path), path)[1],
    "g.h5": lambda model, path: (model.save(path), path)[1],
    "keras SavedModel": lambda model, path: (tf.saved_model.save(model, str(path)), path)[1],
    "exported": lambda model, path: (model.export(str(path)), path)[1],
    "called": lambda model, path: save_called(lambda z: model(z, training=False), path, FLOATS, model=model),
    "called, a dict": lambda model, path: save_called(
        lambda z: {"image": model(z, training=False)}, path, FLOATS, model=model
    ),
    "serving_default": lambda model, path: save_signed(model, path, ["other", "serving_default", "serve"]),
    "default": lambda model, path: save_signed(model, path, ["default", "other"]),
    "serve": lambda model, path: save_signed(model, path, ["serve", "other"]),
    "one of any name": lambda model, path: save_signed(model, path, ["generate"]),
    "several outputs": lambda model, path: save_signed(model, path, outputs=lambda x: {"default": x, "half": x / 2}),
    "versions": write_versions,
    "tf1 hub": save_tf1,
    "tf1 hub with a training graph": lambda model, path: save_tf1(model, path, ((), ("train",))),
    "tf1 with two tags": lambda model, path: save_tf1(model, path, (("serve",), ("serve", "gpu")), hub=False),
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory, generator):
    """`stored(form)`: the path of the generator in one of `FORMS`, written once."""
    folder, written = tmp_path_factory.mktemp("stored"), {}

    def path_of(form):
        if form not in written:
            written[form] = FORMS[form](generator, folder / form)
        return written[form]

    return path_of


@pytest.fixture
def latent(rng):
    return tf.constant(rng.normal(size=(3, LATENT)).astype(np.float32))


# ------------------------------------------------------------------------------------------------------- loading


@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_the_network_itself(stored, generator, latent, form):
    """Picture, gradient, and shapes, in a graph that takes any batch, too; as it is in inference."""
    module = load_module(stored(form))
    expected = generator(latent, training=False).numpy()
    assert expected.std() > 0.1
    np.testing.assert_allclose(module(latent), expected, atol=1e-5)
    np.testing.assert_allclose(load_module(str(stored(form)))(latent.numpy()[:1]), expected[:1], atol=1e-5)
    assert module.input_shape == (None, LATENT) and module.output_shape == (None, SIDE, SIDE, 3)

    @tf.function(reduce_retracing=True)
    def gradient(function, z):
        with tf.GradientTape() as tape:
            tape.watch(z)
            loss = tf.reduce_sum(tf.square(function(z)))
        return tape.gradient(loss, z)

    for z in (latent, latent[:2]):
        wanted = gradient(lambda z: generator(z, training=False), z)
        np.testing.assert_allclose(gradient(module, z), wanted, rtol=1e-3, atol=1e-3)
        assert np.abs(wanted).max() > 0.1


@pytest.mark.parametrize("form", ["g.keras", "exported", "called", "tf1 hub"])
def test_solving_with_a_file_is_solving_with_the_live_network(stored, generator, encoder, rng, form):
    small = rng.uniform(-1, 1, (2, SIDE // 2, SIDE // 2, 3)).astype(np.float32)
    how = {"task": halving(), "generator_range": (0, 1)}
    live, same = (GenerativeEncoder(g, encoder, **how) for g in (generator, stored(form)))
    for model in (live, same):
        assert model.latent_size == LATENT and model.shape == (SIDE, SIDE, 3)
    one, other = live.solve(small, FEW), same.solve(small, FEW)
    np.testing.assert_allclose(one.latent, other.latent, atol=1e-4)
    np.testing.assert_allclose(one.image, other.image, atol=1e-4)
    alone = same.solve(small[1:], FEW)
    np.testing.assert_allclose(alone.image[0], other.image[1], atol=1e-4)


def halving():
    return make_task("superres", SIDE, factor=2)


def test_a_loaded_savedmodel_that_cannot_be_called(stored, latent, generator):
    loaded = tf.saved_model.load(str(stored("exported")))
    np.testing.assert_allclose(adopt(loaded, "generator")(latent), generator(latent), atol=1e-5)


def test_half_precision_networks(tmp_path, latent, generator):
    path = save_called(lambda z: z * 2, tmp_path / "half", tf.TensorSpec([None, LATENT], tf.float16))
    found = load_module(path)(latent)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, 2 * latent, rtol=1e-2)


def test_traces_of_several_sizes_are_one_network(tmp_path):
    module = tf.Module()
    module.__call__ = tf.function(lambda x: tf.reduce_mean(x, axis=(1, 2)))
    for side in (4, 8):
        module.__call__.get_concrete_function(tf.TensorSpec([None, side, side, 3], tf.float32))
    tf.saved_model.save(module, str(tmp_path / "both"))
    found = load_module(tmp_path / "both")
    assert found.input_shape == (None, None, None, 3) and found.output_shape == (None, 3)
    assert found(tf.zeros((2, 4, 4, 3))).shape == (2, 3)


def test_functions_are_given_back_as_they_are():
    def function(x):
        return x

    assert adopt(function, "encoder") is function
    assert adopt(function, "encoder", input_range=(-1, 1)) is function
    module = adopt(function, "encoder", input_range=(0, 1))
    assert isinstance(module, Module) and module.name == "function"
    assert adopt(module, "encoder") is module


# ---------------------------------------------------------------------------------------------- handles of TF-Hub


HANDLE = "https://tfhub.dev/somebody/generator/1"


def test_a_handle_is_resolved_by_tensorflow_hub(stored, latent, generator, monkeypatch):
    asked = []
    fake = SimpleNamespace(resolve=lambda handle: (asked.append(handle), str(stored("tf1 hub")))[1])
    monkeypatch.setitem(sys.modules, "tensorflow_hub", fake)
    module = load_module(HANDLE)
    np.testing.assert_allclose(module(latent), generator(latent), atol=1e-5)
    assert asked == [HANDLE] and module.name == HANDLE == modules.describe(HANDLE)["name"]


def test_a_handle_that_was_fetched_before_needs_no_network(stored, latent, generator, monkeypatch, tmp_path):
    pytest.importorskip("tensorflow_hub")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    shutil.copytree(stored("tf1 hub"), tmp_path / hashlib.sha1(HANDLE.encode()).hexdigest())
    np.testing.assert_allclose(load_module(HANDLE)(latent), generator(latent), atol=1e-5)


def test_a_handle_without_tensorflow_hub(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_hub", None)
    with pytest.raises(ValueError, match="is a TF-Hub handle: pip install tensorflow-hub"):
        load_module(HANDLE)


def test_a_handle_that_cannot_be_fetched(monkeypatch):
    def resolve(handle):
        raise OSError("no route\nto host")

    monkeypatch.setitem(sys.modules, "tensorflow_hub", SimpleNamespace(resolve=resolve))
    with pytest.raises(ValueError, match=f"^{HANDLE} cannot be fetched: no route to host$"):
        load_module(HANDLE)


# -------------------------------------------------------------------------------------------------------- ranges


@pytest.mark.parametrize("source, target", [((0, 1), (-1, 1)), ((-1, 1), (0, 255)), ((2, 6), (-3, 0.5))])
def test_rescaling_moves_the_ends_onto_the_ends(source, target):
    x = np.linspace(*source, 7)
    np.testing.assert_allclose(modules.rescale(x, source, target), np.linspace(*target, 7), atol=1e-12)
    np.testing.assert_allclose(modules.rescale(modules.rescale(x, source, target), target, source), x, atol=1e-12)
    assert modules.rescale(x, source, source) is x


def test_ranges_are_the_networks_own(generator, latent, rng):
    """G gives [0, 1], E takes [0, 255] and its decoder gives that: the solver sees [-1, 1] throughout."""
    scaled, decoder = make_encoder(scale=1 / 255), make_decoder()
    drawn = keras.Model(decoder.inputs, 255 * decoder.output)
    model = GenerativeEncoder(generator, scaled, decoder=drawn, generator_range=(0, 1), encoder_range=(0, 255))
    image = 2 * generator(latent).numpy() - 1
    np.testing.assert_allclose(model.generate(latent), image, atol=1e-5)
    x = rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    code = scaled((x + 1) * 127.5).numpy()
    np.testing.assert_allclose(model.encode(x), code, atol=1e-5)
    np.testing.assert_allclose(model.decode(code), 2 * decoder(code).numpy() - 1, atol=1e-5)
    solution = model.solve(x, SolveOptions(steps=0, starts=1, weight=0.5, seed=2))
    z = starts.draw(2, 1, LATENT).numpy()
    expected = np.square(scaled(255 * generator(z)) - code).sum(1) + 0.5 * np.square(z).sum()
    np.testing.assert_allclose(solution.loss, expected, rtol=1e-4)


@pytest.mark.parametrize("value", [(1, 0), (0,), (0, 1, 2), "ab", (0, float("inf")), (float("nan"), 1), 3, (0, None)])
def test_ranges_that_are_none(generator, encoder, value):
    for call in (
        lambda: GenerativeEncoder(generator, encoder, generator_range=value),
        lambda: CustomNetworks(generator=generator, generator_range=value),
        lambda: CustomNetworks(encoder=encoder, encoder_range=value),
    ):
        with pytest.raises(ValueError, match="_range must be two numbers, the lower one first; received"):
            call()


# ------------------------------------------------------------------------------------- what a network tells of itself


def test_a_task_gets_the_size_of_the_pictures(generator, encoder):
    assert GenerativeEncoder(generator, encoder, task="deblur").task.parameters["sigma"] == SIDE / 32


def test_maps_are_flattened(generator, rng):
    encoder, x = make_encoder(flat=False), rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    model = GenerativeEncoder(generator, encoder)
    np.testing.assert_allclose(model.encode(x), encoder(x).numpy().reshape(2, -1), atol=1e-6)
    again = GenerativeEncoder(model.generator, model.encoder)
    np.testing.assert_array_equal(again.encode(x), model.encode(x))
    assert model.solve(x, FEW).image.shape == x.shape


def test_the_size_of_a_network_that_does_not_tell_it(generator, encoder, tmp_path, rng):
    """A signature with open sides: one picture tells what the graph then needs to know."""

    def draw(z):
        return {"default": generator(tf.ensure_shape(z, (None, LATENT)), training=False)}

    def shapeless(z):
        return {"default": tf.raw_ops.PlaceholderWithDefault(input=draw(z)["default"], shape=tf.TensorShape(None))}

    module = tf.Module()
    module.generator = generator
    specification = tf.TensorSpec([None, None], tf.float32, name="z")
    tf.saved_model.save(module, str(tmp_path / "open"), tf.function(shapeless, input_signature=[specification]))
    loaded = load_module(tmp_path / "open")
    assert loaded.input_shape == (None, None) and loaded.output_shape is None
    with pytest.raises(ValueError, match="latent_size is needed: the generator does not tell it"):
        GenerativeEncoder(loaded, encoder)
    model = GenerativeEncoder(tmp_path / "open", encoder, LATENT, halving())
    assert model.shape == (SIDE, SIDE, 3)
    small = rng.uniform(-1, 1, (2, SIDE // 2, SIDE // 2, 3)).astype(np.float32)
    expected = GenerativeEncoder(generator, encoder, task=halving()).solve(small, FEW)
    np.testing.assert_allclose(model.solve(small, FEW).image, expected.image, atol=1e-4)


def test_names_in_records(stored, tmp_path, generator, monkeypatch):
    assert modules.describe(stored("g.h5"))["name"] == "g.h5"
    assert modules.describe(stored("g.h5"))["sha256"] != modules.describe(stored("g.keras"))["sha256"]
    assert modules.describe(stored("versions"))["name"] == "versions/10"
    monkeypatch.chdir(stored("exported"))
    assert modules.describe(".")["name"] == "exported" and modules.describe(".") == modules.describe(stored("exported"))
    assert modules.describe(generator) == {"name": "generator"}
    custom = CustomNetworks(generator=stored("g.h5"), encoder=make_encoder, generator_range=(0, 1))
    assert custom.complete and custom.record() == {
        "generator": {**modules.describe(stored("g.h5")), "range": [0, 1], "latent": "normal"},
        "encoder": {"name": "make_encoder", "range": [-1, 1]},
    }
    assert str(tmp_path) not in str(custom.record()) and CustomNetworks().record() == {}


# ------------------------------------------------------------------------------------------------------ refusals


def broken(path):
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"not a graph")


def two_inputs(path):
    z, label = keras.Input((LATENT,), name="z"), keras.Input((2,), name="label")
    keras.Model([z, label], keras.layers.Concatenate()([z, label])).save(path)


def two_outputs(path):
    z = keras.Input((LATENT,))
    keras.Model(z, [keras.layers.Dense(3)(z), keras.layers.Dense(4)(z)]).save(path)


def signature_of_two(path):
    specs = [tf.TensorSpec([None, 2], tf.float32, name=name) for name in ("z", "label")]
    tf.saved_model.save(tf.Module(), str(path), tf.function(lambda z, label: z + label, input_signature=specs))


def nothing(path):
    pass


OTHER, HOW = (
    ("2.15.0", "tf.saved_model.save(model, FOLDER)") if hasattr(keras, "ops") else ("3.15.1", "model.export(FOLDER)")
)


def of_other_keras(path):
    """As Keras 3 writes them, whose layers have other configurations; it says to be of the generation that is not here."""
    layer = {"module": "keras.layers", "class_name": "InputLayer", "config": {"batch_shape": [None, 4]}}
    config = {"module": "keras", "class_name": "Sequential", "config": {"name": "g", "layers": [layer]}}
    if path.suffix == ".keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("metadata.json", json.dumps({"keras_version": OTHER}))
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", b"")
    else:
        with h5py.File(path, "w") as file:
            file.attrs.update(keras_version=OTHER, backend="tensorflow", model_config=json.dumps(config))


def weights_alone(path):
    make_generator(4).save_weights(path)


def incomplete(path):
    (path / "2").mkdir(parents=True)
    (path / "1").mkdir()
    (path / "1" / "saved_model.pb").touch()


OTHER_KERAS = rf"was saved by Keras {re.escape(OTHER)}, and the Keras here, \S+, does not read it: .* by {re.escape(HOW)}"
BAD = {
    "other.keras": (of_other_keras, rf"other\.keras {OTHER_KERAS}"),
    "other.h5": (of_other_keras, rf"other\.h5 {OTHER_KERAS}"),
    "g.weights.h5": (weights_alone, "No model config .*; give the whole network, not its weights alone"),
    "incomplete": (incomplete, r"incomplete is no SavedModel: it holds no saved_model\.pb in its newest version, 2"),
    "missing": (nothing, "missing: no such file or folder"),
    "empty": (Path.mkdir, "empty is no SavedModel: it holds no saved_model.pb"),
    "weights.npz": (Path.touch, r"weights\.npz: a network is a file \.keras, \.h5, \.hdf5, a SavedModel folder or a TF-Hub"),
    "text.keras": (lambda path: path.write_text("hello"), r"text\.keras is not a readable Keras model: "),
    "text.h5": (lambda path: path.write_text("hello"), r"text\.h5 is not a readable Keras model: "),
    "broken": (broken, "broken is not a readable SavedModel: "),
    "two.keras": (two_inputs, r"two\.keras has 2 inputs; a network with one is needed"),
    "outs.keras": (two_outputs, r"outs\.keras has 2 outputs; a network with one is needed"),
    "labels": (signature_of_two, "labels takes label, z; a network with one input is needed"),
    "names": (
        lambda path: save_signed(make_generator(4), path, ["a", "b"]),
        "names has no signature serving_default, default, serve, and not a single one either; found: a, b",
    ),
    "none": (
        lambda path: tf.saved_model.save(tf.Module(), str(path)),
        "none has no signature serving_default, default, serve, and not a single one either; found: none",
    ),
    "several": (
        lambda path: save_signed(make_generator(4), path, outputs=lambda x: {"a": x, "b": x}),
        "several gives a, b; one output, or one called default, is needed",
    ),
    "fixed": (
        lambda path: save_signed(make_generator(4), path, shape=[1, LATENT]),
        "fixed takes batches of 1 only: store it for batches of any size",
    ),
    "levels": (
        lambda path: save_called(lambda x: tf.cast(x, tf.float32), path, tf.TensorSpec([None, 4], tf.uint8)),
        "levels takes uint8 numbers, through which no gradient passes",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_network(tmp_path, name):
    make, says = BAD[name]
    make(tmp_path / name)
    with pytest.raises(ValueError, match=says) as caught:
        load_module(tmp_path / name)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600 and "0x" not in str(caught.value)


def test_which_keras_saved_a_file(stored, tmp_path):
    assert {keras_files.keras_version(stored(name)) for name in ("g.keras", "g.h5")} == {keras.__version__}
    assert [keras_files.keras_version(tmp_path / name) for name in ("none.keras", "none.h5")] == ["", ""]
    of_other_keras(tmp_path / "g.h5")
    says = keras_files.keras_fault(tmp_path / "g.h5", ValueError("!"), f"{OTHER[0]}.1.0")
    assert f"g.h5 is not a readable Keras model (saved by Keras {OTHER}): !" in says
    hows = {keras_files.keras_fault(path, ValueError("!"), "9.0.1") for path in (stored("g.keras"), tmp_path / "g.h5")}
    for how in ("tf.saved_model.save(model, FOLDER)", "model.export(FOLDER)"):  # what each generation has
        assert sum(how in says for says in hows) == 1


def test_what_an_error_says():
    """What it is about, in a line: no addresses, nodes, tracebacks or configurations."""

    @tf.function
    def wrong(x):
        return tf.reshape(x, (3, 5))

    x = tf.zeros((2, 3))
    said = []
    for call in (lambda: wrong(x), lambda: tf.matmul(x, x), lambda: {}["a"], lambda: 1 / 0):
        with pytest.raises(Exception, match=r"\S") as caught:
            call()
        said.append(messages.reason_of(caught.value))
    assert said[0].startswith("ValueError: Cannot reshape a tensor with 6 elements to shape [3,5] (15 elements) with input")
    assert said[1:] == ["Matrix size-incompatible: In[0]: [2,3], In[1]: [2,3]", "KeyError: 'a'", "division by zero"]
    long = ValueError(
        f"Error when deserializing {object()!r} using config={{'a': {'b' * 500}}}.\n\nException encountered: x"
    )
    assert messages.reason_of(long) == "Error when deserializing <object>. Exception encountered: x"
    assert messages.reason_of(ValueError("a" * 900)) == "a" * 300 + " ..." and messages.reason_of(OSError()) == "OSError"
    assert messages.shown([object()]) == "[<object>]" and messages.shown(object()) == "an object of type object"
    assert messages.shown("a" * 100) == "'" + "a" * 59 + " ..."


@pytest.mark.parametrize("part", [None, 3, np.zeros(3), {}])
def test_what_is_no_part(part, encoder):
    with pytest.raises(ValueError, match="the generator must be a function, a Keras model or a path; received"):
        GenerativeEncoder(part, encoder, 3)


def dense(shape, size, name="g"):
    x = keras.Input(shape)
    return keras.Model(x, keras.layers.Dense(size)(x), name=name)


def flat_generator():
    return dense((LATENT,), 3)


def scalar(image):
    return tf.reduce_mean(image)


def one_each(image):
    return tf.reduce_mean(image, axis=(1, 2, 3))


def step(image):
    return tf.reduce_mean(tf.sign(tf.stop_gradient(image)), axis=(1, 2))


def loud(image):
    raise RuntimeError("a plumbing\nproblem")


@pytest.mark.parametrize(
    "make, encode, how, says",
    [
        (make_generator, make_encoder, {"latent_size": 9}, "latent_size is 9, but the generator generator takes 5 numbers"),
        (lambda: dense((1, 1, 7), 3), make_encoder, {}, "the generator g takes 1x1x7; a latent is [n, d]"),
        (flat_generator, make_encoder, {}, "the generator g gives [2, 3] for 2 latents; pictures are [n, h, w, c]"),
        (
            make_generator,
            lambda: make_encoder(16),
            {},
            "the encoder encoder takes 16x16x3, the generator generator gives 8x8x3: they must be of one size",
        ),
        (
            lambda: make_generator(channels=1),
            make_encoder,
            {},
            "the encoder encoder takes 8x8x3, the generator generator gives 8x8x1",
        ),
        (make_generator, lambda: dense((192,), 4, "e"), {}, "the encoder e takes [n, 192], the generator generator gives"),
        (make_generator, lambda: scalar, {}, "the encoder scalar gives [] for 2 pictures; a code each, [n, k], is needed"),
        (make_generator, lambda: one_each, {}, "the encoder one_each gives [2] for 2 pictures; a code each, [n, k]"),
        (make_generator, lambda: step, {}, "no gradient passes back through step through generator"),
        (make_generator, lambda: loud, {}, "the encoder loud does not take 8x8x3: a plumbing problem"),
        (make_generator, make_encoder, {"decoder": dense((7,), 3, "d")}, "the decoder d takes [n, 7], the encoder encoder"),
        (
            make_generator,
            make_encoder,
            {"decoder": dense((CODE,), 3, "d")},
            "the decoder d gives [n, 3] pictures, the generator 8x8x3",
        ),
        (
            lambda: make_generator(activation=lambda x: 255 * tf.sigmoid(x)),
            make_encoder,
            {},
            "far out of [-1.0, 1.0]: name its range",
        ),
        (make_generator, make_encoder, {"latent": "cauchy"}, "latent must be one of normal, uniform; received 'cauchy'"),
    ],
)
def test_parts_that_do_not_fit(make, encode, how, says):
    with pytest.raises(ValueError, match=re.escape(says)) as caught:
        GenerativeEncoder(make(), encode(), **how)
    assert "\n" not in str(caught.value)


def test_what_belongs_to_a_network_of_one_s_own(tmp_path, generator, encoder):
    for values in ({"latent_size": 3}, {"latent": "uniform"}, {"generator_range": (0, 1)}):
        with pytest.raises(ValueError, match=f"{next(iter(values))} belongs to a generator of one's own: give that, too"):
            CustomNetworks(encoder=encoder, **values)
    with pytest.raises(ValueError, match="encoder_range belongs to an encoder of one's own: give that, too"):
        CustomNetworks(generator=generator, encoder_range=(0, 1))
    with pytest.raises(ValueError, match="latent must be one of normal, uniform; received 'x'"):
        CustomNetworks(generator=generator, latent="x")
    with pytest.raises(ValueError, match="missing: no such file or folder"):
        CustomNetworks(encoder=tmp_path / "missing")
    CustomNetworks(generator=HANDLE, decoder=encoder, encoder_range=(0, 1))
    assert CustomNetworks().given() == {} and not CustomNetworks(generator=generator).complete
