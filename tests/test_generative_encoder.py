"""The facade does what its parts do, from a preset or from any callables."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import GenerativeEncoder
from gekeras.config import UNAIDED, SolveOptions
from gekeras.evaluation import methods
from gekeras.generative_encoder import consistent
from gekeras.models.pgan import Generator
from gekeras.networks import presets
from gekeras.networks.custom import CustomNetworks
from gekeras.operators import BlockMask, Downsample, GaussianBlur, Task, make_task
from gekeras.serving.solver import ServedSolver
from gekeras.solve import Solver, Target, starts

FEW = SolveOptions(steps=4, starts=4, ramp="cosine", seed=2)


@pytest.fixture(scope="module")
def superres(tiny):
    return GenerativeEncoder.from_preset(tiny, "superres")


@pytest.fixture(scope="module")
def reconstruct(tiny):
    return GenerativeEncoder.from_preset(tiny, "reconstruct")


@pytest.fixture(scope="module")
def inpaint(every_task):
    return GenerativeEncoder.from_preset("tiny", "inpaint", every_task)


@pytest.fixture
def large(rng):
    """Pictures of the size of the preset's."""
    return rng.uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)


@pytest.fixture
def known(rng):
    """A mask for each of three pictures, with about two thirds of the pixels."""
    return (rng.random((3, SIDE, SIDE, 1)) < 2 / 3).astype(np.float32)


@pytest.fixture
def small(rng):
    """Measurements of the superres task, 4x4 pixels."""
    return rng.uniform(-1, 1, (3, SIDE // 4, SIDE // 4, 3)).astype(np.float32)


def test_shapes_and_ranges(superres, small):
    code = superres.encode(small)
    assert code.shape == (3, AUTOENCODER.code_size)
    assert superres.decode(code).shape == (3, SIDE, SIDE, 3) and np.abs(superres.decode(code)).max() <= 1
    solution = superres.solve(small, FEW)
    assert solution.image.shape == (3, SIDE, SIDE, 3) and solution.latent.shape == (3, GAN.latent_size)
    np.testing.assert_allclose(superres.generate(solution.latent), solution.image, atol=1e-5)
    assert all(isinstance(x, np.ndarray) for x in (code, superres.decode(code), solution.image, solution.loss))


def test_the_encoder_sees_the_enlarged_measurement(superres, tiny, small):
    enlarged = small.repeat(4, 1).repeat(4, 2)
    np.testing.assert_array_equal(superres.encode(small), tiny.part("encoder-superres")(enlarged))


def test_the_objective_is_equation_3(superres, small):
    """At the start, by hand: ||E(S(G(z))) - E(x_dagger)||^2 + lambda ||z||^2 with S the block mean, enlarged."""
    options = dataclasses.replace(FEW, steps=0, starts=1, weight=0.5)
    solution = superres.solve(small, options)
    z = starts.draw(2, 1, GAN.latent_size).numpy()
    image = superres.generate(z)
    blocks = image.reshape(1, SIDE // 4, 4, SIDE // 4, 4, 3).mean((2, 4))
    expected = np.square(superres.encode(blocks) - superres.encode(small)).sum(1) + 0.5 * np.square(z).sum()
    np.testing.assert_allclose(solution.loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(solution.latent, np.repeat(z, 3, axis=0))


def test_a_solve_lowers_the_objective(superres, small):
    solution = superres.solve(small, dataclasses.replace(FEW, steps=20))
    assert (solution.loss < solution.history[0]).all()


def test_a_picture_in_a_batch_is_restored_as_alone(superres, small):
    together = superres.solve(small, FEW)
    for i in range(3):
        alone = superres.solve(small[i : i + 1], FEW)
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=1e-3)
        assert alone.loss[0] == pytest.approx(together.loss[i], rel=1e-3)


def test_the_code_is_all_that_a_receiver_needs(reconstruct, rng):
    x = rng.uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    sent = reconstruct.encode(x)
    np.testing.assert_array_equal(reconstruct.solve_code(sent, FEW).image, reconstruct.solve(x, FEW).image)


def test_solvers_are_compiled_once(tiny, small):
    model = GenerativeEncoder.from_preset(tiny, "superres")
    for options in (FEW, dataclasses.replace(FEW, steps=2, seed=5), dataclasses.replace(FEW, weight=0.0)):
        model.solve(small, options)
    (solver,) = model._solvers.values()
    assert solver.advance.experimental_get_tracing_count() == 1
    sphere = model.solve(small, dataclasses.replace(FEW, prior="sphere"))
    np.testing.assert_allclose(np.linalg.norm(sphere.latent, axis=1), np.sqrt(GAN.latent_size), rtol=1e-5)


def test_chunks_are_told(superres, small):
    calls = []
    solution = superres.solve(small, FEW, callback=lambda *state: calls.append(state), chunk=3)
    assert [(step, losses.shape, latent.shape) for step, losses, latent in calls] == [
        (step, (3,), (3, GAN.latent_size)) for step in (0, 3, 4)
    ]
    assert np.isinf(calls[0][1]).all() and (calls[2][1] <= calls[1][1]).all() and (solution.loss <= calls[2][1]).all()


def test_the_generator_is_loaded_once(superres, reconstruct):
    assert superres.generator is reconstruct.generator
    assert superres.encoder is not reconstruct.encoder


def test_a_preset_by_name_and_by_folder(models, tiny, small, superres):
    for model in (
        GenerativeEncoder.from_preset("tiny", "superres", models),
        GenerativeEncoder.from_preset(tiny.folder, "superres"),
    ):
        np.testing.assert_array_equal(model.encode(small), superres.encode(small))
        assert model.latent_size == GAN.latent_size and model.task.parameters == {"factor": 4, "kernel": "box"}


def test_options_are_the_fidelity_s_then_the_preset_s_then_the_caller_s(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    record = json.loads((copy / "preset.json").read_text())
    (copy / "preset.json").write_text(json.dumps({**record, "solve": {"weight": 0.25, "steps": 77}}))
    model = GenerativeEncoder.from_preset(presets.load(str(copy)), "superres")
    fast = UNAIDED["fast"]  # there is no starter
    assert model.options() == dataclasses.replace(fast, weight=0.25, steps=77)
    assert model.options("fast", steps=3, starts=None) == dataclasses.replace(fast, weight=0.25, steps=3)
    assert model.options("paper") == SolveOptions()
    assert model.options("paper", weight=0.5) == SolveOptions(weight=0.5)


def test_a_starter_that_is_missing_is_told(tiny, tmp_path, superres):
    """Where the set of options begins with one, and nothing else is asked for; a damaged one is refused."""
    fast = UNAIDED["fast"]
    instead = f": the best of {fast.starts} random starts instead, and {fast.steps} steps"
    assert superres.note() == superres.note("fast", start=None) == f"preset 'tiny' has no starter for superres{instead}"
    assert superres.note("best", steps=7).endswith("256 random starts instead, and 7 steps")
    assert not superres.note("paper") and not superres.note(starts=8) and not superres.note(start="random")
    recorded = changed(tiny, tmp_path, starters={"superres": {"options": {}}})
    model = GenerativeEncoder.from_preset(recorded, "superres")
    assert model.note() == f"preset 'tiny' lacks the starter that it records for superres{instead}"
    own = CustomNetworks(encoder=superres.encoder)
    assert not GenerativeEncoder.from_preset(recorded, "superres", custom=own).note()  # no other networks have one
    model.starter = superres.encoder
    assert not model.note()
    assert model.note(code_weight=0.0, pixel_weight=1.0) == f"code_weight is 0, and a starter reads the code{instead}"
    (recorded.folder / "starter-superres" / "1").mkdir(parents=True)
    with pytest.raises(presets.PresetError, match="starter-superres/1 is not a readable SavedModel"):
        GenerativeEncoder.from_preset(recorded, "superres")


def test_the_decoder_s_weight_is_the_preset_s_where_there_is_a_decoder(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    record = json.loads((copy / "preset.json").read_text())
    (copy / "preset.json").write_text(json.dumps({**record, "solve": {"decoder_weight": 0.5}}))
    loaded = presets.load(str(copy))
    model = GenerativeEncoder.from_preset(loaded, "superres")
    assert model.options().decoder_weight == 0.5 and model.options("paper").decoder_weight == 0
    assert model.options(code_weight=0.0, pixel_weight=1.0).decoder_weight == 0  # CSGM's
    custom = CustomNetworks(encoder=model.encoder)
    without = GenerativeEncoder.from_preset(loaded, "superres", custom=custom)
    assert without.options().decoder_weight == 0
    with pytest.raises(ValueError, match=r"no decoder: decoder_weight \(gamma\) must be 0"):
        without.check(without.options(decoder_weight=0.1))


def test_a_task_s_objective_is_the_preset_s_where_there_are_pixels(tiny, tmp_path, rng):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    record = json.loads((copy / "preset.json").read_text())
    (copy / "preset.json").write_text(json.dumps({**record, "objectives": {"superres": {"pixel_weight": 0.25}}}))
    loaded = presets.load(str(copy))
    model, other = (GenerativeEncoder.from_preset(loaded, task) for task in ("superres", "reconstruct"))
    assert model.options().pixel_weight == 0.25 and model.options("paper").pixel_weight == other.options().pixel_weight == 0
    assert model.options(pixel_weight=0.0).pixel_weight == 0
    custom = CustomNetworks(encoder=model.encoder)  # its codes have another scale
    assert GenerativeEncoder.from_preset(loaded, "superres", custom=custom).options().pixel_weight == 0
    code = model.encode(rng.uniform(-1, 1, (1, 4, 4, 3)).astype(np.float32))
    assert np.isfinite(model.solve_code(code).loss).all()
    model.task = dataclasses.replace(model.task, measure=None)  # as of a degradation that is not linear
    assert model.options().pixel_weight == 0


@pytest.mark.parametrize("alone", [False, True])
def test_the_decoded_picture_is_compared_with(tiny, small, alone):
    """The objective that is reported, by hand from its parts; from the code alone, too."""
    model = GenerativeEncoder.from_preset(tiny, "superres")
    options = dataclasses.replace(FEW, decoder_weight=0.5, code_weight=0.0 if alone else 1.0, weight=0.0)
    solution = model.solve(small, options)
    code = model.encode(small)
    decoded = 0.5 * np.square(solution.image - model.decode(code)).sum(axis=(1, 2, 3))
    coded = np.square(np.asarray(model.encoder(model.task.forward(solution.image))) - code).sum(axis=1)
    np.testing.assert_allclose(solution.loss, decoded + (0 if alone else coded), rtol=1e-3)
    np.testing.assert_allclose(model.solve_code(code, options).latent, solution.latent, atol=1e-5)


def test_any_callables_will_do(rng):
    """A generator and an encoder that are plain functions, against the solver itself."""
    mix = tf.constant(rng.normal(size=(5, 8 * 8)).astype(np.float32))

    def generator(latent):
        return tf.reshape(tf.tanh(tf.matmul(latent, mix)), (-1, 8, 8, 1))

    def encoder(image):
        return tf.reduce_mean(image, axis=2)[..., 0]

    task = make_task("superres", factor=2)
    model = GenerativeEncoder(generator, encoder, 5, task)
    measurement = rng.uniform(-1, 1, (2, 4, 4, 1)).astype(np.float32)
    expected = Solver(generator, encoder, task.forward, ramp="cosine").solve(encoder(task.lift(measurement)), 5, FEW)
    np.testing.assert_allclose(model.solve(measurement, FEW).latent, expected.latent, atol=1e-5)
    both = dataclasses.replace(FEW, code_weight=0.5, pixel_weight=2.0)
    solver = Solver(generator, encoder, task.forward, Downsample(2), ramp="cosine")
    expected = solver.solve(Target(encoder(task.lift(measurement)), measurement), 5, both)
    np.testing.assert_allclose(model.solve(measurement, both).latent, expected.latent, atol=1e-5)
    with pytest.raises(ValueError, match="no decoder"):
        model.decode(np.zeros((1, 8)))


def test_the_latent_size_is_read_from_a_keras_model():
    generator = Generator(8, latent_size=12, fmap_base=16, fmap_max=4)
    assert GenerativeEncoder(generator, lambda x: x).latent_size == 12
    with pytest.raises(ValueError, match="latent_size is needed"):
        GenerativeEncoder(lambda z: z, lambda x: x)


# ------------------------------------------------------------------------------------- one's own parts in a preset


def changed(tiny, folder, **values):
    """A copy of the preset with other values in its record."""
    copy = shutil.copytree(tiny.folder, folder / "tiny")
    record = json.loads((copy / "preset.json").read_text())
    (copy / "preset.json").write_text(json.dumps({**record, **values}))
    return presets.load(str(copy))


@pytest.mark.parametrize("count", [1, 8])
def test_a_preset_of_uniform_latents(tiny, tmp_path, small, count):
    """Starts are what its generator was trained on, with the whole solve, from codes and for invertGAN, too."""
    model = GenerativeEncoder.from_preset(changed(tiny, tmp_path, latent="uniform"), "superres")
    start = dataclasses.replace(FEW, steps=0, starts=count)
    candidates = starts.draw(FEW.seed, count, GAN.latent_size, "uniform").numpy()
    groups = methods.groups(model, start)
    latents = [model.solve(small, start).latent, model.solve_code(model.encode(small), start).latent]
    for latent in latents:
        assert all((row == candidates).all(axis=1).any() for row in latent)
    pictures = model.generate(candidates)
    for name in ("invertGAN", "CSGM"):
        for image in groups[(name,)](small, None)[name]:
            assert np.abs(pictures - image).max(axis=(1, 2, 3)).min() < 1e-5
    box = model.options("fast", steps=6, starts=count, prior="box", learning_rate=0.5)
    together = model.solve(small, box)
    assert np.abs(together.latent).max() == 1
    np.testing.assert_allclose(model.solve(small[1:2], box).image[0], together.image[1], atol=5e-3)


def test_presets_are_normal_where_they_do_not_say(tiny, tmp_path, superres, small):
    assert tiny.latent == superres.latent == "normal"
    model = GenerativeEncoder.from_preset(changed(tiny, tmp_path, latent="normal"), "superres")
    np.testing.assert_array_equal(model.solve(small, FEW).latent, superres.solve(small, FEW).latent)
    with pytest.raises(ValueError, match=r"preset\.json: latent must be one of normal, uniform; found 'cauchy'"):
        changed(tiny, tmp_path / "other", latent="cauchy")


def test_a_preset_s_parts_by_their_paths(tiny, superres, small):
    """Each part alone, and all of them: the result is the preset's own."""
    expected = superres.solve(small, FEW)
    paths = {"generator": "generator", "encoder": "encoder-superres", "decoder": "decoder-superres"}
    paths = {name: tiny.folder / folder for name, folder in paths.items()}
    for own in (*({name: path} for name, path in paths.items()), paths):
        model = GenerativeEncoder.from_preset(tiny, "superres", custom=CustomNetworks(**own))
        assert model.shape == (SIDE, SIDE, 3) and model.latent_size == GAN.latent_size
        assert model.task.parameters == superres.task.parameters
        np.testing.assert_allclose(model.solve(small, FEW).image, expected.image, atol=1e-4)
        if set(own) == {"encoder"}:
            assert model.decoder is None and "ConvAE" not in [n for g in methods.groups(model, FEW, bits=(8,)) for n in g]
        else:
            np.testing.assert_allclose(model.decode(model.encode(small)), superres.decode(superres.encode(small)), atol=1e-4)


def test_complete_parts_need_no_preset(tiny, superres, small):
    custom = CustomNetworks(*(tiny.folder / name for name in ("generator", "encoder-superres")))
    model = GenerativeEncoder.from_preset("no such preset", "superres", custom=custom)
    np.testing.assert_allclose(model.solve(small, FEW).image, superres.solve(small, FEW).image, atol=1e-4)
    deblur = GenerativeEncoder.from_preset(None, "deblur", custom=custom)
    assert deblur.task.parameters["sigma"] == SIDE / 32


def test_a_preset_without_tasks_and_an_encoder(tiny, tmp_path, superres, small):
    bare = changed(tiny, tmp_path, tasks={}, solve={"steps": 5}, latent="uniform")
    with pytest.raises(presets.PresetError, match="has no task 'superres'"):
        GenerativeEncoder.from_preset(bare, "superres")
    custom = CustomNetworks(encoder=tiny.folder / "encoder-superres")
    model = GenerativeEncoder.from_preset(bare, "superres", custom=custom, parameters={"kernel": "bicubic"})
    assert model.task.parameters == {"factor": 4, "kernel": "bicubic"} and model.options().steps == 5
    assert model.latent == "uniform" and model.encode(small).shape == superres.encode(small).shape
    with pytest.raises(ValueError, match="unknown task 'paint'; tasks are reconstruct"):
        GenerativeEncoder.from_preset(bare, "paint", custom=custom)


def test_functions_in_the_place_of_a_preset_s_parts(tiny, superres, small, large):
    """What a function does not tell is found by trying; options measured with the preset's generator are not for another."""

    def generator(latent):
        return (superres.generator(latent) + 1) * 50

    custom = CustomNetworks(generator=generator, latent_size=GAN.latent_size, generator_range=(0, 100), latent="uniform")
    model = GenerativeEncoder.from_preset(tiny, "superres", custom=custom)
    assert model.shape == (SIDE, SIDE, 3) and model.latent == "uniform" and model.defaults == {}
    solver = Solver(superres.generator, superres.encoder, superres.task.forward, ramp="cosine", latent="uniform")
    expected = solver.solve(superres.encode(small), GAN.latent_size, FEW)
    np.testing.assert_allclose(model.solve(small, FEW).image, expected.image, atol=1e-3)

    def encoder(image):
        return tf.reduce_mean(image, axis=(1, 2))

    model = GenerativeEncoder.from_preset(tiny, "reconstruct", custom=CustomNetworks(encoder=encoder))
    np.testing.assert_allclose(model.encode(large), large.mean((1, 2)), atol=1e-6)


def test_parts_that_do_not_fit_a_preset(tiny, superres):
    for generator, says in (
        (Generator(8, latent_size=12, fmap_base=16, fmap_max=4), "takes 16x16x3, the generator generator gives 8x8x3"),
        (Generator(16, 1, latent_size=12, fmap_base=64, fmap_max=4), "takes 16x16x3, the generator generator gives 16x16x1"),
    ):
        with pytest.raises(ValueError, match=f"the encoder of preset tiny {says}: they must be of one size"):
            GenerativeEncoder.from_preset(tiny, "superres", custom=CustomNetworks(generator=generator))

    def wide(latent):
        return tf.tile(superres.generator(latent), (1, 1, 2, 1))

    def mean(image):
        return tf.reduce_mean(image, axis=(1, 2))

    with pytest.raises(ValueError, match="the generator wide gives 16x32x3 pictures; square ones of 1 or 3 channels"):
        GenerativeEncoder.from_preset(tiny, "superres", custom=CustomNetworks(wide, mean, latent_size=GAN.latent_size))


# -------------------------------------------------------------------------------------------------- missing pixels


def test_the_masked_objective(inpaint, large, known):
    """At the start, by hand: ||E(k G(z)) - E(k x)||^2 + beta ||k G(z) - k x||^2 + lambda ||z||^2."""
    options = dataclasses.replace(FEW, steps=0, starts=1, weight=0.5, code_weight=0.7, pixel_weight=2.0)
    solution = inpaint.solve(large * known, options, known=known)
    z = starts.draw(2, 1, GAN.latent_size).numpy()
    seen = inpaint.generate(z) * known
    codes = np.asarray(inpaint.encoder(seen)), np.asarray(inpaint.encoder(large * known))
    in_pixels = np.square(seen - large * known).sum((1, 2, 3))
    expected = 0.7 * np.square(codes[0] - codes[1]).sum(1) + 2 * in_pixels + 0.5 * np.square(z).sum()
    np.testing.assert_allclose(solution.loss, expected, rtol=1e-4)
    np.testing.assert_array_equal(inpaint.encode(large, known), codes[1])


def test_a_masked_picture_in_a_batch_is_restored_as_alone(inpaint, large, known):
    options = dataclasses.replace(FEW, pixel_weight=0.1, starts=16)
    together = inpaint.solve(large, options, known=known)
    for i in range(3):
        alone = inpaint.solve(large[i : i + 1], options, known=known[i : i + 1])
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=1e-3)
        assert alone.loss[0] == pytest.approx(together.loss[i], rel=1e-3)


def test_what_is_missing_does_not_count(inpaint, large, known):
    one, same = (inpaint.solve(x, FEW, known=known) for x in (large, np.where(known == 1, large, 0.3)))
    np.testing.assert_array_equal(one.image, same.image)


def test_masks_may_be_of_one_or_of_each_picture(inpaint, large, known):
    shapes = known[0], known[0, ..., 0].astype(bool), np.repeat(known[:1], 3, axis=0)
    one, *others = (inpaint.solve(large, FEW, known=mask).image for mask in shapes)
    for other in others:
        np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------------------------------- pixels and consistency


@pytest.mark.parametrize("starts", [1, 8])
def test_without_a_code_weight_the_encoder_is_not_called(superres, small, starts):
    def refuse(image):
        raise AssertionError("the encoder was called")

    model = GenerativeEncoder(superres.generator, refuse, GAN.latent_size, superres.task)
    pixels = dataclasses.replace(FEW, code_weight=0.0, pixel_weight=1.0, starts=starts)
    solution = model.solve(small, pixels)
    np.testing.assert_allclose(solution.image, superres.solve(small, pixels).image, atol=1e-5)
    blocks = superres.generate(solution.latent).reshape(3, SIDE // 4, 4, SIDE // 4, 4, 3).mean((2, 4))
    expected = np.square(blocks - small).sum((1, 2, 3)) + FEW.weight * np.square(solution.latent).sum(1)
    np.testing.assert_allclose(solution.loss, expected, rtol=1e-4)


@pytest.mark.parametrize("kernel", ["box", "bicubic"])
def test_a_consistent_result_degrades_to_the_measurement(tiny, large, kernel):
    model = GenerativeEncoder.from_preset(tiny, "superres", parameters={"kernel": kernel})
    y = model.task.degrade(large).numpy()
    plain, agreeing = (model.solve(y, dataclasses.replace(FEW, consistent=flag)) for flag in (False, True))
    np.testing.assert_allclose(model.task.degrade(agreeing.image), y, atol=1e-5)
    assert np.abs(model.task.degrade(plain.image) - y).max() > 0.1
    np.testing.assert_array_equal(agreeing.latent, plain.latent)
    np.testing.assert_array_equal(agreeing.loss, plain.loss)
    np.testing.assert_array_equal(agreeing.image, consistent(model.task, plain.image, y))
    np.testing.assert_allclose(consistent(model.task, agreeing.image, y), agreeing.image, atol=1e-5)


def test_a_consistent_picture_keeps_its_known_pixels(inpaint, large, known):
    plain, agreeing = (
        inpaint.solve(large, dataclasses.replace(FEW, consistent=flag), known=known) for flag in (False, True)
    )
    np.testing.assert_allclose(agreeing.image * known, large * known, atol=1e-5)
    np.testing.assert_allclose(agreeing.image * (1 - known), plain.image * (1 - known), atol=1e-5)


def test_consistency_survives_a_file(superres, rng):
    """Where a correction leaves [-1, 1] it is made again of what a file would hold; of each picture by itself."""
    x = (
        rng.uniform(-1, 1, (3, SIDE, SIDE, 3)).astype(np.float32)
        * np.array([0.1, 1.0, 0.8], np.float32)[:, None, None, None]
    )
    y = superres.task.degrade(rng.uniform(-1, 1, x.shape).astype(np.float32)).numpy() * 2
    together = consistent(superres.task, x, y)
    np.testing.assert_allclose(superres.task.degrade(together), y, atol=1e-5)
    np.testing.assert_allclose(superres.task.degrade(np.clip(together, -1, 1)), y, atol=1e-3)
    for i in range(3):
        alone = consistent(superres.task, x[i : i + 1], y[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], atol=1e-6)


def test_what_is_missing_is_not_corrected(inpaint, large, known):
    """A file holds missing pixels as 128 of 255, not as 0: nothing of it is in A's reach."""
    filled = np.where(known == 1, large, np.float32(128 / 127.5 - 1))
    x = large[::-1]
    expected = np.where(known == 1, large, x)
    np.testing.assert_allclose(consistent(inpaint.task, x, large * known, known), expected, atol=1e-5)
    np.testing.assert_allclose(consistent(inpaint.task, x, filled, known), expected, atol=1e-5)


def test_a_consistent_picture_is_the_nearest_one(superres, small, rng):
    """Any other picture with that measurement is farther from x: the change is flat in every block."""
    x = rng.uniform(-0.2, 0.2, (3, SIDE, SIDE, 3)).astype(np.float32)
    change = consistent(superres.task, x, small / 2) - x
    np.testing.assert_allclose(change, change[:, ::4, ::4].repeat(4, 1).repeat(4, 2), atol=1e-5)


def test_a_deblurred_picture_agrees_better(every_task, large):
    model = GenerativeEncoder.from_preset("tiny", "deblur", every_task, parameters={"sigma": 1.0, "size": 7})
    y = model.task.degrade(large).numpy()
    plain, agreeing = (model.solve(y, dataclasses.replace(FEW, consistent=flag)) for flag in (False, True))
    before, after = (np.linalg.norm(model.task.degrade(s.image) - y) for s in (plain, agreeing))
    assert before > 10 * after


def test_a_task_whose_mean_is_not_known_has_nothing_to_agree_with(large):
    """Not even where pixels are missing: of an own measurement after the mask nothing linear is known."""
    task = Task("holes", BlockMask(0.5), measure=None)
    assert task.masked and not task.exact
    with pytest.raises(ValueError, match="task holes has no linear measurement"):
        consistent(task, large, large, np.ones((SIDE, SIDE)))


def test_how_large_the_pictures_of_functions_are_is_not_guessed():
    model = GenerativeEncoder(lambda z: z[:, None, None], lambda x: x[:, 0, 0], latent_size=3)
    with pytest.raises(ValueError, match="how large its pictures are has to be known"):
        ServedSolver(model, model.options(probes=0))


def test_a_random_projection_is_a_task_too(superres, large, tmp_path, monkeypatch):
    """Compressed sensing, section 2.1, with an operator of one's own: y is `[n, count]`."""
    (tmp_path / "sensed.py").write_text(
        f"from gekeras.operators import Measure\nfew = Measure(40, 1, ({SIDE}, {SIDE}, 3))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    task = make_task("sensing", SIDE, operator="sensed:few")
    model = GenerativeEncoder(superres.generator, superres.encoder, GAN.latent_size, task)
    y = task.degrade(large).numpy()
    assert y.shape == (3, 40)
    for options in (FEW, dataclasses.replace(FEW, code_weight=0.0, pixel_weight=1.0)):
        solution = model.solve(y, dataclasses.replace(options, consistent=True, steps=8))
        assert solution.image.shape == large.shape and (solution.loss < solution.history[0]).all()
        np.testing.assert_allclose(task.degrade(solution.image), y, atol=1e-4)


# ---------------------------------------------------------------------------------------- parameters and forward maps


def test_parameters_are_those_of_the_preset_under_the_caller_s(tiny, every_task):
    model = GenerativeEncoder.from_preset(tiny, "superres", parameters={"kernel": "bicubic"})
    assert model.task.parameters == {"factor": 4, "kernel": "bicubic"}
    model = GenerativeEncoder.from_preset("tiny", "denoise", every_task, parameters={"sigma": 0.125})
    assert model.task.degrade.sigma == 0.125
    with pytest.raises(ValueError, match="task superres has no sigma; it has factor, kernel, size"):
        GenerativeEncoder.from_preset(tiny, "superres", parameters={"sigma": 1})


def test_a_value_counts_by_the_reciprocal_of_its_noise_s_variance(every_task):
    """beta / sigma^2 stays what the preset's weight is at the noise that its encoder was trained with."""
    preset = presets.load("tiny", every_task)
    preset.info.setdefault("objectives", {})["denoise"] = {"pixel_weight": 0.06}
    trained = preset.tasks["denoise"]["sigma"]
    for sigma in (trained, 0.1, 1.0):
        model = GenerativeEncoder.from_preset(preset, "denoise", parameters={"sigma": sigma})
        assert model.options().pixel_weight == pytest.approx(0.06 * trained**2 / sigma**2)
        assert model.options(pixel_weight=0.5).pixel_weight == 0.5
        assert model.options("paper").pixel_weight == 0
    assert preset.info["objectives"]["denoise"] == {"pixel_weight": 0.06}


def test_observations_of_another_size(tiny, superres, small, large):
    """The task's size is the observation's; that which was trained for changes nothing."""
    model = GenerativeEncoder.from_preset(tiny, "superres", parameters={"size": 5})
    y = model.task.degrade(large).numpy()
    options = dataclasses.replace(FEW, pixel_weight=0.5, consistent=True)
    solution = model.solve(y, options)
    assert solution.image.shape == large.shape
    np.testing.assert_allclose(model.task.degrade(solution.image), y, atol=1e-3)
    np.testing.assert_array_equal(model.encode(y), superres.encoder(model.task.lift(y)))
    start = model.solve(y, dataclasses.replace(options, steps=0, starts=1, weight=0.0))
    image = model.generate(start.latent)
    codes = np.square(superres.encoder(model.task.observe(image)) - model.encode(y)).sum(1)
    pixels = np.square(model.task.degrade(image) - y).sum((1, 2, 3))
    np.testing.assert_allclose(start.loss, codes + 0.5 * pixels, rtol=1e-4)
    for each, batch, wanted in ((model, small, "5x5x3 here; received 4x4x3"), (superres, y, "4x4x3 here; received 5x5x3")):
        for call in (each.encode, lambda y, each=each: each.solve(y, FEW)):
            with pytest.raises(ValueError, match=f"observations of superres are {wanted}; load the model with parameters"):
                call(batch)
    other = superres.with_task(model.task)
    np.testing.assert_array_equal(other.encode(y), model.encode(y))
    assert other.solver(FEW) is not superres.solver(FEW) and other.generator is superres.generator
    assert superres.task.factor == 4 and superres.encode(small).shape == other.encode(y).shape


def test_another_forward_map(tiny, every_task, small, large):
    paper = GenerativeEncoder.from_preset(tiny, "superres")
    same, plain = (GenerativeEncoder.from_preset(tiny, "superres", forward=name) for name in ("degrade", "identity"))
    np.testing.assert_array_equal(same.solve(small, FEW).image, paper.solve(small, FEW).image)
    z = starts.draw(2, 1, GAN.latent_size).numpy()
    solution = plain.solve(small, dataclasses.replace(FEW, steps=0, starts=1, weight=0.0))
    expected = np.square(np.asarray(plain.encoder(plain.generate(z))) - plain.encode(small)).sum(1)
    np.testing.assert_allclose(solution.loss, expected, rtol=1e-4)
    blurred = GenerativeEncoder.from_preset("tiny", "deblur", every_task, forward="degrade").task
    np.testing.assert_allclose(blurred.forward(large), blurred.degrade(large), atol=1e-6)
    with pytest.raises(ValueError, match="is random or not linear"):
        GenerativeEncoder.from_preset("tiny", "denoise", every_task, forward="degrade")
    with pytest.raises(ValueError, match=r"forward map Downsample turns \[1, 16, 16, 3\] into \[1, 4, 4, 3\]"):
        GenerativeEncoder.from_preset(tiny, "superres", forward="Downsample")


# ------------------------------------------------------------------------------------------------------ refusals


PIXELS, AGREEING = SolveOptions(steps=1, pixel_weight=1.0), SolveOptions(steps=1, consistent=True)


def test_masks_that_are_refused(inpaint, superres, large, small, known):
    for model, batch, mask, says in (
        (inpaint, large, None, "task inpaint needs a mask: known, 1 where a pixel is known"),
        (superres, small, np.ones((4, 4)), "task superres takes no mask"),
        (inpaint, large, known[:, :8], r"the mask is \[3, 8, 16, 1\], the batch \[3, 16, 16, 3\]: sizes differ"),
        (inpaint, large, known[:2], "sizes differ"),
        (inpaint, large, np.zeros((SIDE, SIDE)), "the mask covers everything: no pixel is known"),
        (inpaint, large, np.full((SIDE, SIDE), 0.5), "a mask holds zeros and ones"),
    ):
        for method in (lambda: model.solve(batch, FEW, known=mask), lambda: model.encode(batch, mask)):  # noqa: B023
            with pytest.raises(ValueError, match=says):
                method()


def test_options_that_a_task_cannot_have(every_task, reconstruct, superres, large):
    denoise = GenerativeEncoder.from_preset("tiny", "denoise", every_task)
    for model in (denoise, reconstruct):
        with pytest.raises(ValueError, match=f"task {model.task.name} has no noise-free partial measurement"):
            model.solve(large, AGREEING)
        with pytest.raises(ValueError, match="has no noise-free partial measurement"):
            model.check(AGREEING)
        model.check(PIXELS)  # the identity is linear
    superres.check(dataclasses.replace(PIXELS, consistent=True))
    unknown = GenerativeEncoder(lambda z: z, lambda x: x, 3, Task("mine", GaussianBlur(1.0), measure=None))
    with pytest.raises(ValueError, match=r"task mine has no linear measurement: pixel_weight \(beta\) must be 0"):
        unknown.solve(large, PIXELS)
    unknown.check(SolveOptions())


def test_a_code_has_no_pixels(reconstruct, large):
    code = reconstruct.encode(large)
    for options in (PIXELS, AGREEING, SolveOptions(steps=1, code_weight=0.0, pixel_weight=1.0)):
        with pytest.raises(ValueError, match="a code alone has no pixels to compare with"):
            reconstruct.solve_code(code, options)


def test_refusals(superres, tiny, small):
    with pytest.raises(ValueError, match=r"expected a batch \[n, h, w, c\]; received shape \[4, 4, 3\]"):
        superres.solve(small[0], FEW)
    with pytest.raises(ValueError, match="unknown fidelity 'slow'; there are paper, fast"):
        superres.options("slow")
    with pytest.raises(ValueError, match="steps must be 0 or more"):
        superres.options(steps=-1)
    with pytest.raises(ValueError, match="unknown task 'paint'"):
        GenerativeEncoder(lambda z: z, lambda x: x, 3, task="paint")
    with pytest.raises(presets.PresetError, match="has no task 'paint'"):
        GenerativeEncoder.from_preset(tiny, "paint")
