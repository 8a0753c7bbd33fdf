"""`gekeras.layers.Restore` in TensorFlow programs: functional models, tf.data, tf.function, threads, devices."""

import json
import re
import runpy
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SIDE

import gekeras
from gekeras import GenerativeEncoder
from gekeras.config import SolveOptions
from gekeras.layers import Restore
from gekeras.networks import presets
from gekeras.operators import make_task
from gekeras.solve import starts
from gekeras.solve.descent import make_parameters
from gekeras.training import export

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"
QUICK = {"steps": 2, "starts": 2, "finalists": 1, "probes": 0, "optimizer": "adam"}
LAYER = {
    "steps": 4,
    "optimizer": "lbfgs",
    "layers": "8",
    "layer_steps": 3,
    "pixel_weight": 1.0,
    "decoder_weight": 0.01,
    "consistent": True,
}
CLOSE = {"atol": 1e-4, "rtol": 0}


@pytest.fixture(scope="module")
def preset(every_task, tmp_path_factory):
    """The folder of the tiny preset, with few steps."""
    folder = shutil.copytree(every_task / "tiny", tmp_path_factory.mktemp("quick") / "tiny")
    info = json.loads((folder / "preset.json").read_text())
    export.write_record(folder, info | {"solve": QUICK})
    return folder


@pytest.fixture(scope="module")
def superres(preset):
    """With all that a large preset asks for."""
    return Restore("superres", preset, **LAYER)


@pytest.fixture(scope="module")
def small():
    """Five observations of superres."""
    return np.random.default_rng(0).uniform(-1, 1, (5, SIDE // 4, SIDE // 4, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def restored(superres, small):
    return superres(small).numpy()


def linear(task="reconstruct", **parameters):
    """A model of functions, whose pictures are 4x4 and gray: as many pixels as numbers of z."""
    task = make_task(task, 4, 1, **parameters)
    return GenerativeEncoder(
        lambda z: tf.reshape(z, (-1, 4, 4, 1)), lambda x: tf.reshape(x, (-1, 16))[:, :8], latent_size=16, task=task
    )


def functional(layer, *after):
    """The layer in a functional model."""
    inputs = [keras.Input(layer.observation_shape)]
    if layer.model.task.masked:
        inputs.append(keras.Input((*layer.image_shape[:2], 1)))
    images = layer(inputs if len(inputs) > 1 else inputs[0])
    for other in after:
        images = other(images)
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], images)


OPTIONS = {
    "inpaint": {"steps": 6, "starts": 4, "consistent": True, "pixel_weight": 1.0, "ramp": "cosine", "optimizer": "adam"},
    "denoise": {"steps": 24, "starts": 8, "finalists": 4, "probes": 4, "tolerance": 0.05, "patience": 3},
}


@pytest.mark.parametrize("task", OPTIONS)
def test_gives_what_solve_gives(task):
    """Masks, consistency, starts that compete, a measured metric, pictures that converge: of all and of one."""
    layer = Restore(model=linear(task=task), **OPTIONS[task])
    truth = np.random.default_rng(1).uniform(-1, 1, (3, 4, 4, 1)).astype(np.float32)
    y, known = layer.model.task.sample(truth, (0, 1))
    solution = layer.model.solve(y, layer.options, known=None if known is None else known.numpy())
    inputs = y if known is None else [y, known]
    np.testing.assert_allclose(layer(inputs), np.clip(solution.image, -1, 1), **CLOSE)
    first = y[:1] if known is None else [y[:1], known[:1] > 0]
    np.testing.assert_allclose(layer(first)[0], np.clip(solution.image[0], -1, 1), **CLOSE)


@pytest.mark.slow
def test_a_functional_model_is_saved_and_loaded(superres, small, restored, tmp_path):
    model = functional(superres)
    solution = superres.model.solve(small, superres.options)
    np.testing.assert_allclose(restored, np.clip(solution.image, -1, 1), **CLOSE)
    np.testing.assert_allclose(model.predict(small, batch_size=2, verbose=0), restored, **CLOSE)
    assert model.output_shape == (None, SIDE, SIDE, 3) == superres.compute_output_shape((None, 4, 4, 3))
    assert superres.compute_output_shape((7, 4, 4, 3)) == (7, SIDE, SIDE, 3)
    assert model.weights == []

    model.save(tmp_path / "model.keras")
    assert (tmp_path / "model.keras").stat().st_size < 2**16  # the preset's networks are named, not stored
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        again.predict(small, batch_size=5, verbose=0), model.predict(small, batch_size=5, verbose=0)
    )
    (loaded,) = [layer for layer in again.layers if isinstance(layer, Restore)]
    assert loaded.get_config() == superres.get_config() == json.loads(json.dumps(superres.get_config()))


def test_a_saved_model_takes_the_networks_along(superres, small, restored, tmp_path):
    model = functional(superres)
    tf.saved_model.save(model, str(tmp_path / "saved"))
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["serving_default"]
    (name,) = served.structured_input_signature[1]
    (image,) = served(**{name: small}).values()
    np.testing.assert_allclose(image, restored, **CLOSE)


def test_another_preset_of_that_name_is_refused(superres, preset, tmp_path):
    """A stored model would else give other pictures without a word."""
    other = shutil.copytree(preset, tmp_path / "tiny")
    info = json.loads((other / "preset.json").read_text())
    part = "generator/1/fingerprint.pb"
    (other / part).write_bytes(b"another")
    info["checksums"] = {**info["checksums"], part: presets.checksum(other / part)}
    export.write_record(other, info)
    config = superres.get_config()
    with pytest.raises(ValueError, match=r"other networks: generator of the preset .*tiny has another checksum"):
        Restore.from_config({**config, "preset": str(other)})
    with pytest.raises(ValueError, match="unknown preset 'gone'"):
        Restore.from_config({**config, "preset": "gone"})


def test_in_a_data_set_and_a_function():
    """On batches of any size, with masks, with nothing in Python."""
    layer = Restore(model=linear("inpaint"), **OPTIONS["inpaint"])
    truth = np.random.default_rng(2).uniform(-1, 1, (5, 4, 4, 1)).astype(np.float32)
    y, known = layer.model.task.sample(truth, (0, 5))
    wanted = layer([y, known])

    def restored(y, known):
        return layer([y, known])

    batches = tf.data.Dataset.from_tensor_slices((y, known)).batch(2).map(restored).prefetch(1)
    found = list(batches)
    assert [batch.shape[0] for batch in found] == [2, 2, 1] and batches.element_spec.shape.as_list() == [None, 4, 4, 1]
    np.testing.assert_allclose(np.concatenate(found), wanted, **CLOSE)
    assert np.abs((wanted - truth) * known).max() < 2e-3  # consistent: what is known is kept

    inside = tf.function(lambda y, known: 2 * restored(y, known), input_signature=[tf.TensorSpec([None, 4, 4, 1])] * 2)
    np.testing.assert_allclose(inside(y[:3], known[:3]), 2 * wanted[:3], atol=2e-4)
    graph = inside.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    operations = {node.op for node in nodes}
    assert "StatefulPartitionedCall" in operations and not {"PyFunc", "EagerPyFunc", "PyFuncStateless"} & operations


def test_what_comes_after_it_trains(superres, small, restored):
    """Its own networks are frozen, and a gradient through them is refused rather than left out."""
    head = keras.layers.Conv2D(3, 1, name="head")
    model = functional(superres, head)
    before = superres(small).numpy()
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(small, np.zeros_like(restored), epochs=4, batch_size=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0] and len(model.trainable_weights) == 2
    np.testing.assert_array_equal(superres(small), before)

    observation = tf.Variable(small[:1])
    with tf.GradientTape(persistent=True) as tape:
        image = tf.reduce_sum(superres(observation))
        stopped = tf.reduce_sum(observation * superres(tf.stop_gradient(observation))[:, :4, :4])
    with pytest.raises(LookupError, match="passes no gradient to its observation"):
        tape.gradient(image, observation)
    assert tape.gradient(stopped, observation) is not None


def test_computes_in_float32_whatever_the_policy():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        layer = Restore(model=linear(), steps=1, starts=1, finalists=1, probes=0)
        image = layer(tf.zeros((1, 4, 4, 1), tf.float64))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert layer.compute_dtype == "float32" and image.dtype == tf.float32


def refused(call, *inputs):
    """What a call says; Keras writes about the layer around it."""
    with pytest.raises((ValueError, tf.errors.InvalidArgumentError)) as caught:
        call(*inputs)
    return str(caught.value)


def test_says_what_is_wrong_with_its_input(superres, small):
    assert "observations of superres are [n, 4, 4, 3] here; received [5, 4, 3, 3]" in refused(superres, small[:, :, :3])
    assert "received [5, 48]" in refused(superres, small.reshape(5, 48))
    assert "floats in [-1, 1]; received uint8: x / 127.5 - 1 of 8 bits" in refused(
        superres, np.zeros((1, 4, 4, 3), np.uint8)
    )
    assert "observation must have values in [-1, 1]" in refused(superres, 255 * np.abs(small))
    assert "observation must have values in [-1, 1]" in refused(superres, small * np.nan)
    assert "task superres is the observation alone; received 2 tensors" in refused(superres, [small, small])
    assert "observations of superres are [n, 4, 4, 3] here" in refused(functional, _Elsewhere(superres))

    layer = Restore(model=linear("inpaint"), steps=0, starts=1, finalists=1, probes=0)
    truth, known = np.zeros((2, 4, 4, 1), np.float32), np.ones((2, 4, 4, 1), np.float32)
    assert "is [observation, known]: known is 1 where a pixel is known; received 1 tensors" in refused(layer, truth)
    assert "masks of inpaint are [n, 4, 4, 1] here; received [2, 4, 4]" in refused(layer, [truth, known[..., 0]])
    assert "mask must be 1 where a pixel is known" in refused(layer, [truth, known / 2])
    assert "a pixel that is known in every picture" in refused(layer, [truth, 0 * known])
    assert "all inputs must have as many rows" in refused(layer, [truth, known[:1]])


class _Elsewhere:
    """A layer whose model is given inputs of another size."""

    def __init__(self, layer):
        self.layer, self.model, self.image_shape, self.observation_shape = layer, layer.model, layer.image_shape, (8, 8, 3)

    def __call__(self, inputs):
        return self.layer(inputs)


def test_says_what_is_wrong_with_its_arguments(preset, superres):
    for wrong in ({}, {"model": linear(), "task": "superres"}, {"model": linear(), "preset": preset}):
        assert "a task of a preset, or of a model: give task, or model alone" in refused(
            lambda wrong=wrong: Restore(**wrong)
        )
    assert "a solve has no option stepz; it has steps," in refused(lambda: Restore("superres", preset, stepz=3))
    assert "has no task 'paint'" in refused(lambda: Restore("paint", preset))
    assert "options are all of them: leave steps out" in refused(lambda: Restore("superres", preset, options={}, steps=3))
    assert "this GenerativeEncoder has no decoder" in refused(lambda: Restore(model=linear(), decoder_weight=1.0))


def test_of_a_model_of_ones_own():
    """Of functions whose pictures have no shape before they are called; it has no name to be stored by."""
    model = linear("superres", factor=2)
    layer = Restore(model=model, steps=30, weight=0.0, pixel_weight=1.0)
    y = np.random.default_rng(4).uniform(-1, 1, (2, 2, 2, 1)).astype(np.float32)
    assert layer.image_shape == (4, 4, 1) and model.shape is None
    np.testing.assert_allclose(layer(y), np.clip(model.solve(y, layer.options).image, -1, 1), **CLOSE)
    with pytest.raises(ValueError, match="was made of a GenerativeEncoder, which has no name"):
        layer.get_config()


def test_threads_share_a_model_and_a_layer(superres, small, restored):
    """Each with options of its own, so that no two share their starts: each result is what it is alone."""
    y = np.random.default_rng(3).uniform(-1, 1, (2, 4, 4, 1)).astype(np.float32)
    model, fresh = linear(), linear()  # the latter is compiled by whichever thread is first
    options = [model.options(seed=seed, steps=3, starts=4 + seed % 2, finalists=1, probes=0) for seed in range(12)]
    alone = [model.solve(y, each).image for each in options]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: fresh.solve(y, each).image, options))
        by_layer = list(pool.map(lambda k: superres(small[k : k + 1]).numpy(), range(5)))
    np.testing.assert_allclose(together, alone, **CLOSE)
    assert np.abs(alone[0] - alone[2]).max() > 1e-3  # the seeds do differ
    np.testing.assert_allclose(np.concatenate(by_layer), restored, **CLOSE)


def test_starts_of_several_threads_are_kept_apart():
    """Another thread's starts may take the place of those that are kept, between any two lines."""

    class Raced(starts.Starts):
        @property
        def compare(self):
            self.drawn = {}  # as another thread, which draws for another seed
            return compare

    options = SolveOptions(starts=4, seed=1)
    model, y = linear(), np.zeros((1, 4, 4, 1), np.float32)
    solver, target = model.solver(options), model.target(y, options)
    wanted, compare = solver.starts.choose(target, 16, options), solver.starts.compare
    del solver.starts.compare
    solver.starts.__class__ = Raced
    np.testing.assert_array_equal(solver.starts.choose(target, 16, options), wanted)


def test_what_xla_compiles(superres, small, rng):
    """Networks, and a step of the descent with its gradient; docs/pipelines.md says what not."""
    model = superres.model
    latent = rng.normal(size=(2, model.latent_size)).astype(np.float32)
    lift = model.task.lift
    for function, given in ((model.generator, latent), (lambda y: model.encoder(lift(y)), small), (model.decoder, latent)):
        compiled = tf.function(function, jit_compile=True, autograph=False)
        np.testing.assert_allclose(compiled(tf.constant(given)), function(tf.constant(given)), **CLOSE)
    model, options = linear(), SolveOptions(steps=3, starts=1)
    y = tf.constant(rng.uniform(-1, 1, (5, 4, 4, 1)), tf.float32)
    descent, target, parameters = model.solver(options).descent, model.target(y, options), make_parameters(options)
    state = descent.begin(tf.constant(rng.normal(size=(5, 16)), tf.float32))
    once = tf.function(descent.step, jit_compile=True, autograph=False)(state, target, parameters)
    wanted = descent.step(state, target, parameters)
    np.testing.assert_allclose(once.loss, wanted.loss, rtol=1e-4)
    np.testing.assert_allclose(once.point, wanted.point, **CLOSE)


ON_TWO_DEVICES = """
import sys
import numpy as np
import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from tensorflow.python.eager import context
from gekeras import GenerativeEncoder
from gekeras.layers import Restore

layer = Restore("superres", sys.argv[1])
y = np.random.default_rng(0).uniform(-1, 1, (2, *layer.observation_shape)).astype(np.float32)
for place in ("CPU:1", "CPU:0"):
    context.enable_run_metadata()
    with tf.device(place):
        image = layer(tf.constant(y))
        solution = layer.model.solve(y)
    graphs = context.export_run_metadata().function_graphs
    context.disable_run_metadata()
    parts = [part for graph in graphs for part in graph.partition_graphs]
    nodes = [node for part in parts for node in part.node]
    nodes += [node for part in parts for function in part.library.function for node in function.node_def]
    work = ("MatMul", "Conv2D", "Conv2DBackpropInput")
    devices = sorted({node.device.rpartition("device:")[2] or "-" for node in nodes if node.op in work})
    assert np.abs(np.clip(solution.image, -1, 1) - image).max() < 1e-4
    print(place, image.device.rpartition("device:")[2], *devices)
"""


@pytest.mark.slow
def test_follows_the_device(preset):
    """The networks and the solve run where they are called."""
    command = [sys.executable, "-c", ON_TWO_DEVICES, str(preset)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["CPU:1 CPU:1", "CPU:0 CPU:0"]


def run_example(name, *arguments):
    """Output files and printed lines are the example's; what fails, fails here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


@pytest.fixture
def few_pictures(pictures, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("p00.png", "p01.png", "p02.png"):
        shutil.copy(pictures / name, folder)
    return folder


def test_example_of_a_folder(preset, few_pictures, tmp_path, capsys):
    run_example("restore_folder.py", preset, few_pictures, tmp_path / "out")
    assert capsys.readouterr().out.split() == [str(tmp_path / "out" / f"p0{k}.png") for k in range(3)]
    truth = gekeras.images.read(few_pictures / "p01.png")
    model = GenerativeEncoder.from_preset(preset, "superres")
    wanted = np.clip(model.solve(model.task.degrade(truth[None])).image[0], -1, 1)
    np.testing.assert_allclose(gekeras.images.read(tmp_path / "out" / "p01.png"), wanted, atol=0.009)  # a level is 0.0078


@pytest.mark.slow
def test_example_of_a_training(preset, few_pictures, tmp_path, capsys):
    run_example("train_on_restored.py", preset, few_pictures, tmp_path / "model.keras")
    assert "model.keras: 3 pictures, MSE 0." in capsys.readouterr().out
    model = keras.models.load_model(tmp_path / "model.keras")
    assert any(isinstance(layer, Restore) for layer in model.layers) and len(model.trainable_weights) == 4


def test_example_of_threads(preset, few_pictures, tmp_path, capsys):
    run_example("threads.py", preset, few_pictures, tmp_path / "out")
    assert len(capsys.readouterr().out.splitlines()) == 3 == len(list((tmp_path / "out").glob("*.png")))


def test_example_of_an_own_operator(preset, pictures, tmp_path, capsys):
    run_example("own_operator.py", preset, pictures / "p00.png", tmp_path / "out.png", 8)
    assert re.search(r"out.png: PSNR \d", capsys.readouterr().out)
    truth, restored = (gekeras.images.read(path) for path in (pictures / "p00.png", tmp_path / "out.png"))
    truth = gekeras.images.fit(truth, SIDE)
    for row, column, channel in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)]:  # what the camera saw is kept
        seen = np.s_[row::2, column::2, channel]
        np.testing.assert_allclose(restored[seen], truth[seen], atol=0.009)  # a level is 0.0078


def test_example_of_an_own_generator(pictures, tmp_path, capsys):
    sides = (SIDE, SIDE, 3)
    generator = keras.Sequential([keras.Input((6,)), keras.layers.Dense(SIDE * SIDE * 3), keras.layers.Reshape(sides)])
    generator.save(tmp_path / "own.keras")
    run_example("own_generator.py", tmp_path / "own.keras", pictures / "p00.png", tmp_path / "out.png", 2)
    assert "out.png: PSNR" in capsys.readouterr().out and gekeras.images.size(tmp_path / "out.png") == (SIDE, SIDE)


def test_example_of_a_photograph(preset, tmp_path, capsys):
    import skimage.data

    photograph = gekeras.images.fit(gekeras.images.from_uint8(skimage.data.astronaut()), 256)
    gekeras.images.write(tmp_path / "photo.png", photograph)
    run_example("photograph.py", preset, tmp_path / "photo.png", tmp_path / "out.png")
    assert "photo.png: 1 face" in capsys.readouterr().out and gekeras.images.size(tmp_path / "out.png") == (256, 256)


def test_every_example_is_run():
    sources = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    assert all(any(f'"{path.name}"' in source for source in sources) for path in EXAMPLES.glob("*.py"))
