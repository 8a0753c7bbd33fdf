"""The facade does what its parts do, from a preset or from any callables."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import AUTOENCODER, GAN, SIDE

from gekeras import GenerativeEncoder, presets
from gekeras.config import FIDELITIES, SolveOptions
from gekeras.models.pgan import Generator
from gekeras.operators import make_task
from gekeras.solve import Solver, starts

FEW = SolveOptions(steps=4, starts=4, ramp="cosine", seed=2)


@pytest.fixture(scope="module")
def superres(tiny):
    return GenerativeEncoder.from_preset(tiny, "superres")


@pytest.fixture(scope="module")
def reconstruct(tiny):
    return GenerativeEncoder.from_preset(tiny, "reconstruct")


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
    told = []
    superres.solve(small, FEW, callback=lambda step, losses: told.append((step, losses.shape)), chunk=3)
    assert told == [(3, (3,)), (4, (3,))]


def test_the_generator_is_loaded_once(superres, reconstruct):
    assert superres.generator is reconstruct.generator
    assert superres.encoder is not reconstruct.encoder


def test_a_preset_by_name_and_by_folder(models, tiny, small, superres):
    for model in (
        GenerativeEncoder.from_preset("tiny", "superres", models),
        GenerativeEncoder.from_preset(tiny.folder, "superres"),
    ):
        np.testing.assert_array_equal(model.encode(small), superres.encode(small))
        assert model.latent_size == GAN.latent_size and model.task.parameters == {"factor": 4}


def test_options_are_the_fidelity_s_then_the_preset_s_then_the_caller_s(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    record = json.loads((copy / "preset.json").read_text())
    (copy / "preset.json").write_text(json.dumps({**record, "solve": {"weight": 0.25, "steps": 77}}))
    model = GenerativeEncoder.from_preset(presets.load(str(copy)), "superres")
    fast = FIDELITIES["fast"]
    assert model.options() == dataclasses.replace(fast, weight=0.25, steps=77)
    assert model.options("fast", steps=3, starts=None) == dataclasses.replace(fast, weight=0.25, steps=3)
    assert model.options("paper") == SolveOptions()
    assert model.options("paper", weight=0.5) == SolveOptions(weight=0.5)


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
    with pytest.raises(ValueError, match="no decoder"):
        model.decode(np.zeros((1, 8)))


def test_the_latent_size_is_read_from_a_keras_model():
    generator = Generator(8, latent_size=12, fmap_base=16, fmap_max=4)
    assert GenerativeEncoder(generator, lambda x: x).latent_size == 12
    with pytest.raises(ValueError, match="latent_size is needed"):
        GenerativeEncoder(lambda z: z, lambda x: x)


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
