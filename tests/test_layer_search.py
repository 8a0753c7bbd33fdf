"""The search of a layer's features: where the answer is known, one picture at a time, and what no layer is."""

import dataclasses
import shutil
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import SIDE as PRESET_SIDE
from PIL import Image

from gekeras import GenerativeEncoder, files
from gekeras.cli import cli
from gekeras.config import SolveOptions, check_effect, named_options
from gekeras.evaluation import methods
from gekeras.models.began import BEGANGenerator
from gekeras.models.pgan import Generator
from gekeras.networks import presets
from gekeras.networks.layers import cut_of, names_of
from gekeras.networks.modules import adopt
from gekeras.operators import ClippedMean, make_task
from gekeras.restore import batches, job, memory, uncertainty
from gekeras.solve import Layer, LayerStage, Target, joined
from gekeras.solve.objective import Weights
from gekeras.training import export, layered

RNG = np.random.default_rng(0)
LATENT, FEATURES, SIDE = 3, 8, 4
PIXELS = SIDE * SIDE * 3
LOW = RNG.normal(size=(LATENT, FEATURES)).astype(np.float32) / 2
HIGH = RNG.normal(size=(FEATURES, PIXELS)).astype(np.float32) / 2
MAP = RNG.normal(size=(PIXELS, 5)).astype(np.float32) / 5
OPTIONS = SolveOptions(steps=4, seed=3, pixel_weight=1.0, layers="low", layer_steps=5)


def flat(image):
    return tf.reshape(image, (-1, PIXELS))


def encoder(image):
    return tf.matmul(flat(image), tf.cast(MAP, image.dtype))


def decoder(code):
    return tf.reshape(0.1 * tf.tanh(tf.matmul(code, MAP.T)), (-1, SIDE, SIDE, 3))


def low(z):
    return tf.matmul(z, tf.cast(LOW, z.dtype))


def high(h):
    return tf.reshape(tf.matmul(h, tf.cast(HIGH, h.dtype)), (-1, SIDE, SIDE, 3))


LINEAR = Layer(low, high)


def make_generator(around=False, name="g"):
    """Two layers, `low` and `high`, with pictures in [0, 1]; with a path around the first if you like."""
    keras.utils.set_random_seed(1)
    z = keras.Input((LATENT,), name="z")
    h = keras.layers.Dense(FEATURES, activation="tanh", kernel_initializer="random_normal", name="low")(z)
    x = keras.layers.Rescaling(20.0, name="louder")(h)
    x = keras.layers.Concatenate(name="both")([x, z]) if around else x
    x = keras.layers.Dense(PIXELS, activation="sigmoid", kernel_initializer="random_normal", name="high")(x)
    return keras.Model(z, keras.layers.Reshape((SIDE, SIDE, 3), name="picture")(x), name=name)


def make(generator, **how):
    return GenerativeEncoder(generator, encoder, LATENT, **how)


@pytest.fixture(scope="module")
def model():
    return make(make_generator(), generator_range=(0, 1))


@pytest.fixture
def y(rng):
    return rng.uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)


def latents(count, size=LATENT):
    return np.random.default_rng(5).normal(size=(count, size)).astype(np.float32)


def changed(**changes):
    return dataclasses.replace(OPTIONS, **changes)


# --------------------------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0, 1e4])
def test_the_least_squares_solution_around_the_start_is_reached(weight):
    """image linear, B: h* = (B B^T + mu I)^-1 (B y + mu h0), h0 = low(z); the more mu, the nearer to h0."""
    z, y = latents(3), RNG.normal(size=(3, PIXELS)).astype(np.float32)
    h0 = z @ LOW
    expected = np.linalg.solve(HIGH @ HIGH.T + weight * np.eye(FEATURES), HIGH @ y.T + weight * h0.T).T
    least = np.square(expected @ HIGH - y).sum(1) + weight * np.square(expected - h0).sum(1)
    options = changed(ramp="cosine", layer_steps=400, layer_rate=0.1, layer_weight=weight)
    target = Target(measurement=tf.reshape(y, (-1, SIDE, SIDE, 3)))
    found = LayerStage(LINEAR, LATENT, ramp="cosine").solve(z, target, options)
    np.testing.assert_allclose(found.latent, expected, atol=2e-3)
    np.testing.assert_allclose(found.loss, least, rtol=1e-4)
    np.testing.assert_allclose(found.image, high(tf.constant(found.latent)), atol=1e-5)
    start = np.square(h0 @ HIGH - y).sum(1)
    np.testing.assert_allclose(found.history[0], start, rtol=1e-4)
    assert (weight * np.square(found.latent - h0).sum(1) <= start).all()


def test_the_gradient_is_that_of_the_objective_with_its_anchor(rng):
    """mu ||h - h(z)||^2 beside the terms of code and pixels, by differences in float64."""
    objective = LayerStage(LINEAR, LATENT, encoder).solver.objective
    h, anchor = (tf.constant(rng.normal(size=(2, FEATURES))) for _ in range(2))
    picture = tf.constant(rng.normal(size=(2, SIDE, SIDE, 3)))
    target = Target(encoder(picture), picture, anchor=anchor)
    weights = Weights(*(tf.constant(value, tf.float64) for value in (1.0, 0.5, 0.3)))
    with tf.GradientTape() as tape:
        tape.watch(h)
        loss = objective(h, target, weights)
    gradient, direction = tape.gradient(loss, h), tf.constant(rng.normal(size=(2, FEATURES)))
    sides = [objective(h + side * 1e-5 * direction, target, weights) for side in (1, -1)]
    np.testing.assert_allclose(tf.reduce_sum(gradient * direction, 1), (sides[0] - sides[1]) / 2e-5, rtol=1e-6)
    np.testing.assert_allclose(
        objective(h, target, weights) - objective(h, target._replace(anchor=h), weights),
        0.3 * np.square(h - anchor).sum(1),
        rtol=1e-6,
    )


def test_no_steps_of_the_layer_give_the_picture_of_z(model, y):
    alone, none = model.solve(y, changed(layers="none")), model.solve(y, changed(layer_steps=0))
    np.testing.assert_array_equal(none.latent, alone.latent)
    np.testing.assert_allclose(none.image, alone.image, atol=1e-5)
    np.testing.assert_allclose(none.features, cut_of(model.generator, "low").features(alone.latent), atol=1e-6)
    np.testing.assert_array_equal(none.steps, alone.steps)
    assert alone.features is None and none.history.shape == alone.history.shape
    more = model.solve(y, changed(layer_steps=60))
    assert (more.loss < none.loss).all() and (np.square(more.image - y).sum() < np.square(alone.image - y).sum())


def test_two_searches_are_told_as_one(model, y):
    z = model.solve(y, changed(layers="none"))
    h = model.layer_stage(OPTIONS).solve(z.latent, model.target(y, OPTIONS), OPTIONS)
    both = joined(z, h)
    for found in (both, model.solve(y, OPTIONS)):
        assert found.history.shape == (4 + 5 + 1, 3)
        np.testing.assert_allclose(found.history[:4], z.history[:4], rtol=1e-5)
        np.testing.assert_allclose(found.history[4:], h.history, rtol=1e-5)  # from z*, the best z, on
        np.testing.assert_allclose(found.loss, found.history[4:].min(axis=0), rtol=1e-5)
        np.testing.assert_array_equal(found.steps, 4 + 5)
        np.testing.assert_allclose(found.image, h.image, atol=1e-5)
        np.testing.assert_allclose(found.features, h.latent, atol=1e-5)
    assert both.seconds == z.seconds + h.seconds


@pytest.mark.parametrize("tolerance", [0.0, 0.05])
def test_a_picture_in_a_batch_is_as_alone(model, tolerance):
    """Those that have converged leave either search."""
    reachable = model.generate(np.concatenate([np.zeros((1, LATENT)), latents(2)]))
    y = np.concatenate([reachable, RNG.uniform(-1, 1, (4, SIDE, SIDE, 3)).astype(np.float32)])
    options = changed(steps=40, layer_steps=40, tolerance=tolerance, patience=5, weight=0.01)
    together = model.solve(y, options)
    for i in range(len(y)):
        alone = model.solve(y[i : i + 1], options, at_once=2)
        assert alone.steps[0] == together.steps[i]
        np.testing.assert_allclose(alone.features[0], together.features[i], atol=2e-3)
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=2e-3)
        np.testing.assert_allclose(alone.loss[0], together.loss[i], rtol=2e-3, atol=1e-5)
    assert len(set(together.steps)) > 2 if tolerance else (together.steps == 80).all()


def test_missing_pixels_are_not_looked_at(model, y):
    masked, known = make(model.generator, task="inpaint"), np.zeros((SIDE, SIDE), np.float32)
    known[:, :2] = 1
    found = masked.solve(y, changed(layer_steps=8), known=known)
    other = np.where(known[None, :, :, None] > 0, y, 0.3).astype(np.float32)
    np.testing.assert_array_equal(masked.solve(other, changed(layer_steps=8), known=known).image, found.image)


def test_the_norm_of_a_normalized_layer_is_kept_at_each_step(pgan):
    stage, seen = LayerStage(Layer(*cut_of(pgan, "8")), LATENT), []
    start = pgan(latents(2))
    target, options = Target(measurement=tf.zeros_like(start)), changed(layer_steps=4, steps=7)
    stage.solve(latents(2), target, options, callback=lambda *news: seen.append(news), chunk=1)
    assert [done for done, _, _ in seen] == [8, 9, 10, 11]
    for _, loss, features in seen:
        assert features.shape == (2, 8 * 8 * 4) and loss.shape == (2,)
        np.testing.assert_allclose(np.square(features).reshape(2, 8, 8, 4).mean(axis=-1), 1, rtol=1e-4)
    assert (seen[-1][2] != seen[0][2]).any() and (seen[-1][1] < seen[0][1]).all()


# ---------------------------------------------------------------------------------------------- what is told of it


def test_callbacks_count_on_and_their_points_can_be_drawn(model, y):
    seen = []
    solution = model.solve(y, OPTIONS, callback=lambda *news: seen.append(news), chunk=3)
    assert [(done, point.shape) for done, _, point in seen] == [
        *((done, (3, LATENT)) for done in (0, 3, 4)),
        *((done, (3, FEATURES)) for done in (7, 9)),
    ]
    for done, _, point in seen[:3]:
        np.testing.assert_array_equal(model.draw(point, done, OPTIONS), model.generate(point))
    image = cut_of(model.generator, "low").image
    for done, _, point in seen[3:]:
        np.testing.assert_allclose(model.draw(point, done, OPTIONS), image(point), atol=1e-6)
    np.testing.assert_allclose(model.draw(solution.features, 9, OPTIONS), solution.image, atol=1e-5)


def test_an_animation_has_frames_of_both_searches_and_progress_goes_to_its_end(model, y):
    item = SimpleNamespace(measurements=y[:1], join=lambda pieces: pieces[0], place=lambda picture: picture)
    frames, ticks = [], []
    watch = job._frame_keeper(model, item, OPTIONS, frames)
    solution = batches.solve_batches(
        model, y, None, OPTIONS, 2, watch=watch, progress=lambda done, total, _: ticks.append((done, total))
    )
    assert len(frames) == 4 + 5 + 1 and ticks[0] == (0, 18) and ticks[-1] == (18, 18) and ticks == sorted(ticks)
    errors = np.array([np.square(frame - y[0]).sum() for frame in frames])
    assert errors[-1] < errors[4] and solution.image.shape == y.shape
    np.testing.assert_array_equal(solution.steps, 4 + 5)


def test_samples_of_a_picture_are_searched_in_the_layer_too(model, y):
    ensemble = uncertainty.solve_ensemble(model, y, OPTIONS, samples=2)
    alone = uncertainty.solve_ensemble(model, y, changed(layers="none"), samples=2)
    plain = model.solve(y, OPTIONS)
    assert ensemble.latents.shape == (3, 2, LATENT) and (ensemble.deviation > 0).any()
    np.testing.assert_allclose(ensemble.latents, alone.latents, atol=1e-4)
    np.testing.assert_allclose(ensemble.losses[:, 0], plain.loss, rtol=1e-3)
    first = ensemble.losses.argmin(axis=1) == 0
    np.testing.assert_allclose(ensemble.image[first], plain.image[first], atol=1e-3)


def test_a_layer_s_step_is_counted_in_what_the_memory_needs(y):
    """Features far larger than z or the picture need what they are, several times."""
    z = keras.Input((LATENT,))
    h = keras.layers.Dense(50_000, name="wide")(z)
    x = keras.layers.Reshape((SIDE, SIDE, 3))(keras.layers.Dense(PIXELS)(keras.layers.Activation("tanh")(h)))
    wide = make(keras.Model(z, x))
    target = wide.target(y[:1], OPTIONS_WIDE)
    without = memory.for_solve(wide, dataclasses.replace(OPTIONS_WIDE, layers="none"), target).need
    needed = memory.for_solve(wide, OPTIONS_WIDE, target).need
    assert needed.picture > without.picture + 4 * 4 * 50_000 and needed.fixed >= without.fixed
    assert memory.for_solve(wide, OPTIONS_WIDE, target, 3).size == 3


OPTIONS_WIDE = SolveOptions(steps=1, pixel_weight=1.0, layers="wide", layer_steps=1)


# ------------------------------------------------------------------------------------------------- where a cut is


@pytest.fixture(scope="module")
def pgan():
    keras.utils.set_random_seed(2)
    return Generator(resolution=32, channels=3, latent_size=LATENT, fmap_base=128, fmap_max=4)


@pytest.fixture(scope="module")
def saved(pgan, tmp_path_factory):
    return export.save_part(pgan, tmp_path_factory.mktemp("parts") / "generator", "latent", "image")


@pytest.mark.parametrize("name", ["8", "16"])
def test_a_saved_cut_is_the_live_one(pgan, saved, name):
    """By the functions and by the signatures that a server is asked for, whatever the batch."""
    live, z = cut_of(pgan, name), latents(3)
    inside = live.features(z).numpy()
    assert inside.shape == (3, int(name), int(name), 4)
    np.testing.assert_allclose(live.image(inside), pgan(z), atol=1e-5)
    np.testing.assert_allclose(live.constrain(inside), inside, atol=1e-5)
    loaded = tf.saved_model.load(str(saved))
    for generator in (loaded, adopt(str(saved), "generator"), adopt(loaded, "generator")):
        cut = cut_of(generator, name)
        for count in (1, 3):
            np.testing.assert_allclose(cut.features(z[:count]), inside[:count], atol=1e-5)
            np.testing.assert_allclose(cut.image(tf.constant(inside[:count])), pgan(z[:count]), atol=1e-5)
        np.testing.assert_allclose(cut.constrain(tf.constant(3 * inside)), inside, atol=1e-5)
        assert names_of(generator) == ["8", "16"]
    called = loaded.signatures[f"features_{name}"](latent=tf.constant(z))
    np.testing.assert_allclose(called["features"], inside, atol=1e-5)
    called = loaded.signatures[f"image_from_{name}"](features=called["features"])
    np.testing.assert_allclose(called["image"], pgan(z), atol=1e-5)


def test_weights_are_stored_once(pgan, saved):
    weights = [shape for _, shape in tf.train.list_variables(str(saved / "variables" / "variables")) if shape]
    assert sum(map(np.prod, weights)) == pgan.count_params() and len(weights) == len(pgan.weights)
    assert set(tf.saved_model.load(str(saved)).signatures) == {
        "serving_default",
        *(f"{part}_{name}" for part in ("features", "image_from") for name in (8, 16)),
    }


def test_cuts_of_the_architectures(tmp_path, pgan):
    """At sides below the picture's; none where a path leads around."""
    sides = {4: [], 8: [], 16: ["8"], 32: ["8", "16"], 64: ["8", "16"]}
    for side, names in sides.items():
        assert list(Generator(resolution=side, latent_size=2, fmap_base=256, fmap_max=2).cuts) == names
    fading = Generator(resolution=16, latent_size=2, fmap_base=64, fmap_max=2, fade=True)
    began, skip = (BEGANGenerator(resolution=32, latent_size=LATENT, width=2, skip=skip) for skip in (False, True))
    assert list(began.cuts) == ["8", "16"] and not fading.cuts and not skip.cuts
    for name in began.cuts:
        cut = cut_of(began, name)
        assert cut.features(latents(2)).shape == (2, int(name), int(name), 2)
        np.testing.assert_allclose(cut.image(cut.features(latents(2))), began(latents(2)), atol=1e-5)
    assert cut_of(began, "8").constrain(3.0) == 3.0  # nothing is normalized
    for network, layer in ((fading, "conv_8_1_norm"), (skip, "conv_8_1")):
        with pytest.raises(ValueError, match=f"the generator generator is not cut by its layer {layer}: "):
            cut_of(network, layer)
        path = export.save_part(network, tmp_path / layer, "latent", "image")
        assert list(tf.saved_model.load(str(path)).signatures) == ["serving_default"]


def test_a_keras_model_is_cut_by_the_name_of_a_layer(model):
    generator, z = make_generator(), latents(3)
    assert names_of(generator) == ["low", "louder", "high"] == names_of(model.generator)
    for name in ("low", "louder", "high"):
        for part in (generator, model.generator):  # the latter with its range
            cut = cut_of(part, name)
            np.testing.assert_allclose(cut.image(cut.features(z)), part(z), atol=1e-5)
    around = make_generator(around=True)
    np.testing.assert_allclose(cut_of(around, "both").image(cut_of(around, "both").features(z)), around(z), atol=1e-6)


def test_a_model_that_computes_in_another_type_and_has_no_input_layer(y):
    """Features and pictures are float32, as those of a generator are."""
    half = keras.layers.Dense(FEATURES, activation="tanh", dtype="mixed_float16", name="low")
    last = keras.layers.Dense(PIXELS, dtype="mixed_float16", name="high")
    reshape = keras.layers.Reshape((SIDE, SIDE, 3), dtype="mixed_float16", name="picture")
    model = make(keras.Sequential([keras.Input((LATENT,)), half, last, reshape], name="half"))
    assert names_of(model.generator) == ["low", "high"]
    cut, z = cut_of(model.generator, "low"), latents(2)
    assert cut.features(z).dtype == cut.image(cut.features(z)).dtype == tf.float32
    np.testing.assert_allclose(cut.image(cut.features(z)), model.generate(z), atol=1e-3)
    assert (model.solve(y, OPTIONS).loss < model.solve(y, changed(layer_steps=0)).loss).all()


# ---------------------------------------------------------------------------------------------------- what is none


def plain(z):
    return tf.reshape(tf.matmul(z, tf.ones((LATENT, PIXELS))), (-1, SIDE, SIDE, 3))


def without_layers(folder):
    module = tf.Module()
    module.__call__ = tf.function(plain, input_signature=[tf.TensorSpec([None, LATENT])])
    tf.saved_model.save(module, str(folder / "old"))
    return str(folder / "old")


@pytest.mark.parametrize(
    "generator, name, says",
    [
        (lambda _: make_generator(), "middle", "the generator g has no layer 'middle'; it has low, louder, high, and none"),
        (lambda _: make_generator(around=True), "low", "the generator g is not cut by its layer low: "),
        (lambda _: plain, "low", "the generator plain has no layers to search: layers must be none"),
        (without_layers, "16", "the generator old has no layers to search: layers must be none"),
    ],
    ids=["unknown", "around", "function", "SavedModel"],
)
def test_what_is_no_layer(tmp_path, y, generator, name, says):
    """Before anything is solved, and in one line."""
    model = make(generator(tmp_path))
    for call in (lambda options: model.solve(y, options), lambda options: model.target(y, options)):
        with pytest.raises(ValueError) as caught:
            call(changed(layers=name))
        assert says in str(caught.value) and "\n" not in str(caught.value) and len(str(caught.value)) < 400
    assert model.solve(y, changed(layers="none", steps=1)).features is None


def test_values_that_are_none(model):
    for name, value in {"layers": "", "layer_weight": -1.0, "layer_rate": 0.0, "layer_steps": -1}.items():
        with pytest.raises(ValueError, match=name):
            SolveOptions(**{name: value})
    with pytest.raises(
        ValueError, match=r"^a code alone says too little to search a layer's features: layers must be none$"
    ):
        model.solve_code(np.zeros((1, 5), np.float32), changed(pixel_weight=0.0))
    for name in ("layer_steps", "layer_rate", "layer_weight"):
        with pytest.raises(ValueError, match=f"^{name} would change nothing: no layer is searched; name one by layers"):
            check_effect(SolveOptions(), [name])
        check_effect(SolveOptions(layers="8"), [name])
    with pytest.raises(ValueError, match="tolerance would change nothing"):
        check_effect(SolveOptions(steps=5, tolerance=0.1), ["tolerance"])
    check_effect(SolveOptions(steps=5, tolerance=0.1, layers="8"), ["tolerance"])  # of the layer's 40


def test_what_a_command_refuses(tmp_path, models):
    Image.new("RGB", (PRESET_SIDE, PRESET_SIDE), "gray").save(tmp_path / "a.png")
    given = ["solve", "--task", "reconstruct", "--preset", "tiny", "--models", str(models), str(tmp_path / "a.png")]
    for arguments, says in {
        "--layers 99": "has no layer '99'; it has 8, and none is z alone",
        "--layers ": "layers must name a layer, or be none",
        "--layers 8 --layer-weight -1": "layer-weight",
        "--layer-steps 5": "layer_steps would change nothing: no layer is searched",
        "--layers 8 --preview": "layers",
    }.items():
        result = CliRunner().invoke(cli, [*given, *arguments.split(" ")], prog_name="gekeras")
        assert result.exit_code == 2 and len(result.output.splitlines()) == 1 and says in result.output, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_a_preset_written_before_layers_gets_them_and_stays_as_it_is(tmp_path, models, tiny, monkeypatch):
    """Same pictures, same record, and no other: a generator whose record tells another build is left alone."""
    folder, z = tmp_path / "older", tf.random.stateless_normal((3, tiny.latent_size), (0, 1))
    shutil.copytree(models / "tiny", folder)
    shutil.rmtree(folder / "generator")
    with monkeypatch.context() as patch:
        patch.setattr(export, "_cuts_of", lambda network: {})
        export.save_part(layered._rebuilt(tiny, tiny.part("generator")), folder / "generator", "latent", "image")
    export.write_record(folder, tiny.info)
    assert names_of(presets.read(folder).part("generator")) == []
    result = CliRunner().invoke(cli, ["export", str(folder), "--layers"])
    assert (result.exit_code, result.output) == (0, f"{folder}/generator\n")
    made = tf.saved_model.load(str(folder / "generator" / "1"))
    assert names_of(made) == ["8"]
    record, same = files.read_json(folder / "preset.json"), files.read_json(models / "tiny" / "preset.json")
    assert {**record, "checksums": None} == {**same, "checksums": None} and record["checksums"] != same["checksums"]
    np.testing.assert_array_equal(made(z), tiny.part("generator")(z))

    for change, says in {"fmap_max": "built otherwise", "fmap_base": "does not tell how the generator is built"}.items():
        options = {name: value for name, value in record["generator"]["options"].items() if name != "fmap_base"}
        options |= {"fmap_base": 64, "fmap_max": 4} if change == "fmap_max" else {}
        export.write_record(folder, record | {"generator": record["generator"] | {"options": options}})
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        result = CliRunner().invoke(cli, ["export", str(folder), "--layers"])
        assert result.exit_code == 2 and len(result.output.splitlines()) == 1 and says in result.output, result.output
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


# --------------------------------------------------------------------------------------------------------- options


def test_a_preset_s_layer_is_searched_where_there_are_pixels():
    model = make(make_generator(), task="denoise")
    model.defaults = {"pixel_weight": 1.0, "layers": "low", "layer_weight": 0.5, "weight": 0.25}
    found = model.options("best")
    assert (found.layers, found.layer_weight, found.layer_steps, found.pixel_weight) == ("low", 0.5, 40, 1.0)
    assert model.options("best", layers="none").layers == "none"
    for fidelity, changes in [("fast", {"pixel_weight": 0.0}), ("fast", {"code_weight": 0.0, "pixel_weight": 1.0})]:
        options = model.options(fidelity, **changes)
        assert options.layers == "none" and options.weight == 0.25
    assert model.options("paper") == SolveOptions() and model.options("paper", layers="low").layers == "low"
    blind = model.with_task(dataclasses.replace(make_task("denoise"), measure=None))
    assert blind.options().layers == "none" and blind.options().pixel_weight == 0


def test_a_named_layer_compares_with_pixels():
    """Features that only a code asks for are no picture's: beta is 1 unless somebody says otherwise."""
    model = make(make_generator())
    assert model.options().pixel_weight == 0 and model.options(layers="none").pixel_weight == 0
    assert model.options(layers="low").pixel_weight == model.options("paper", layers="low").pixel_weight == 1
    assert model.options(layers="low", pixel_weight=0.2).pixel_weight == 0.2
    assert model.options(layers="low", pixel_weight=0.0).pixel_weight == 0


def test_a_named_set_gives_the_layer_steps_of_its_own():
    best = named_options("best", {"layers": "8"}, {}, aided=True)
    assert (best.steps, best.layer_steps) == (100, 40)
    assert named_options("best", {"layers": "8", "steps": 7}, {}, aided=True).steps == 7
    assert named_options("best", {}, {}, aided=True).steps == 140
    unaided = named_options("best", {"layers": "8"}, {}, aided=False)
    assert (unaided.steps, unaided.layer_steps) == (500, 40)


def test_an_evaluation_has_the_solve_without_the_layer_beside_it(y):
    model, options = make(make_generator(), generator_range=(0, 1)), changed(weight=0.01)
    pictures = {}
    for run in methods.groups(model, options).values():
        pictures |= run(y, None)
    assert list(pictures) == ["GE", "GE z", "invertGAN"]
    np.testing.assert_allclose(pictures["GE"], model.solve(y, options).image, atol=1e-6)
    np.testing.assert_allclose(
        pictures["GE z"], model.solve(y, dataclasses.replace(options, layers="none")).image, atol=1e-6
    )
    assert methods.pixels_only(options).layers == "none" and np.abs(pictures["GE"] - pictures["GE z"]).max() > 0.01


def test_the_decoded_picture_of_the_target_agrees_with_a_measurement_that_is_exact(y):
    """Where there is a pixel term, too, so that the two do not pull apart; what a mask or noise leaves unsaid stays."""
    small = y.reshape(3, 2, 2, 2, 2, 3).mean((2, 4)) / 2
    options = SolveOptions(pixel_weight=1.0, decoder_weight=0.5)
    superres = make(make_generator(), decoder=decoder, task=make_task("superres", factor=2))
    decoded = superres.target(small, options).decoded
    np.testing.assert_allclose(superres.task.measure(decoded), small, atol=1e-5)
    plain = superres.target(small, dataclasses.replace(options, pixel_weight=0.0)).decoded
    np.testing.assert_allclose(plain, decoder(superres.encode(small)), atol=1e-6)
    inpaint, known = make(make_generator(), decoder=decoder, task="inpaint"), np.ones((SIDE, SIDE), np.float32)
    known[1:, 1:] = 0
    seen = y * known[:, :, None]
    decoded = inpaint.target(seen, options, known).decoded
    expected = np.where(known[:, :, None] > 0, seen, inpaint.decode(inpaint.encode(seen, known)))
    np.testing.assert_allclose(decoded, expected, atol=1e-5)
    noisy = make(make_generator(), decoder=decoder, task="denoise")
    np.testing.assert_allclose(noisy.target(y, options).decoded, decoder(noisy.encode(y)), atol=1e-6)


# ------------------------------------------------------------------------------------------------------ clipped noise


@pytest.mark.parametrize("sigma", [0.2, 0.5, 1.5])
def test_the_mean_of_clipped_noise_is_what_draws_have_on_average(sigma):
    x = np.linspace(-1.2, 1.2, 7, dtype=np.float32)
    drawn = np.clip(x + sigma * np.random.default_rng(6).normal(size=(200_000, 1)), -1, 1)
    with tf.GradientTape() as tape:
        images = tf.constant(x.reshape(1, 1, 7, 1))
        tape.watch(images)
        found = ClippedMean(sigma)(images)
    np.testing.assert_allclose(found[0, 0, :, 0], drawn.mean(axis=0), atol=5 * sigma / np.sqrt(200_000))
    slope = tape.gradient(found, images).numpy()[0, 0, :, 0]
    assert ((slope > 0) & (slope < 1)).all() and slope.argmax() == 3  # Phi(b) - Phi(a), the share that is not clipped
    np.testing.assert_allclose(slope, (np.abs(x + sigma * STANDARD) < 1).mean(axis=0), atol=5e-3)
    task = make_task("denoise", sigma=sigma)
    np.testing.assert_array_equal(task.measure(images), found)
    assert not task.exact and task.measures_degraded


STANDARD = np.random.default_rng(7).normal(size=(200_000, 1))
