"""The solver minimises equation (3): checked where the answer is known, by differences, and one picture at a time."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras.config import SolveOptions
from gekeras.operators import Compose, Downsample, Upsample
from gekeras.solve import Solver, starts
from gekeras.solve.objective import identity, make_objective
from gekeras.solve.optimizers import RAMPS, adam_init, adam_update
from gekeras.solve.priors import PRIORS

RNG = np.random.default_rng(0)
LATENT, SIDE = 6, 4
MIX = RNG.normal(size=(LATENT, SIDE * SIDE)).astype(np.float32) / 2
MAP = RNG.normal(size=(SIDE * SIDE, 5)).astype(np.float32) / 2
OPTIONS = SolveOptions(steps=30, learning_rate=0.1, weight=0.01, seed=4)


def linear_generator(latent):
    """G(z) = z A, as a 4x4 picture."""
    return tf.reshape(tf.matmul(latent, tf.cast(MIX, latent.dtype)), (-1, SIDE, SIDE, 1))


def curved_generator(latent):
    return tf.tanh(linear_generator(latent))


def flat(image):
    return tf.reshape(image, (-1, SIDE * SIDE))


def encoder(image):
    """E(x): five numbers, curved."""
    code = tf.matmul(flat(image), tf.cast(MAP, image.dtype))
    return code + 0.1 * code**2


def codes(count):
    truth = np.random.default_rng(7).normal(size=(count, LATENT)).astype(np.float32)
    return encoder(curved_generator(tf.constant(truth))).numpy()


@pytest.fixture(scope="module")
def solver():
    return Solver(curved_generator, encoder)


def solve(solver, code, callback=None, chunk=0, **changes):
    return solver.solve(code, LATENT, dataclasses.replace(OPTIONS, **changes), callback=callback, chunk=chunk)


# --------------------------------------------------------------------------------------------------- the answer


@pytest.mark.parametrize("weight", [0.0, 0.1, 1.0])
def test_the_regularized_least_squares_solution_is_reached(weight):
    """G linear, E the identity: z* = (A A^T + lambda I)^-1 A m."""
    measured = RNG.normal(size=(3, SIDE * SIDE)).astype(np.float32)
    expected = np.linalg.solve(MIX @ MIX.T + weight * np.eye(LATENT), MIX @ measured.T).T
    least = np.square(expected @ MIX - measured).sum(1) + weight * np.square(expected).sum(1)
    options = SolveOptions(steps=400, learning_rate=0.1, ramp="cosine", weight=weight)
    solution = Solver(linear_generator, flat, ramp="cosine").solve(measured, LATENT, options)
    np.testing.assert_allclose(solution.latent, expected, atol=2e-3)
    np.testing.assert_allclose(solution.loss, least, rtol=1e-4)
    np.testing.assert_allclose(solution.image, linear_generator(tf.constant(solution.latent)), atol=1e-6)


def test_the_forward_map_is_part_of_the_model():
    """With S the block mean of a picture, only the block mean of G(z) has to agree."""
    forward = Compose(Downsample(2), Upsample(2))
    measured = RNG.normal(size=(2, SIDE, SIDE, 1)).astype(np.float32)
    reduced = (linear_generator(tf.eye(LATENT)).numpy(), measured)
    reduced, target = (flat(forward(tf.constant(x))).numpy() for x in reduced)
    weight = 0.1
    expected = np.linalg.solve(reduced @ reduced.T + weight * np.eye(LATENT), reduced @ target.T).T
    options = SolveOptions(steps=500, learning_rate=0.1, ramp="cosine", weight=weight)
    solution = Solver(linear_generator, flat, forward, ramp="cosine").solve(target, LATENT, options)
    np.testing.assert_allclose(solution.latent, expected, atol=5e-3)


def test_pictures_can_be_the_code():
    """invertGAN: E the identity, m a picture, the same problem as with the flattened one."""
    measured = curved_generator(tf.constant(RNG.normal(size=(2, LATENT)).astype(np.float32)))
    one, other = Solver(curved_generator, identity), Solver(curved_generator, flat)
    for options in ({"starts": 1}, {"starts": 16}):
        pictures, vectors = solve(one, measured, **options), solve(other, flat(measured), **options)
        np.testing.assert_allclose(pictures.latent, vectors.latent, atol=1e-4)


@pytest.mark.parametrize("prior", PRIORS)
def test_gradient_by_finite_differences(prior):
    objective = make_objective(curved_generator, encoder, Compose(Downsample(2), Upsample(2)), PRIORS[prior])
    latent = tf.constant(RNG.normal(size=(3, LATENT)))
    code, weight = tf.constant(RNG.normal(size=(3, 5))), tf.constant(0.3, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        loss = objective(latent, code, weight)
    gradient = tape.gradient(loss, latent).numpy()
    assert loss.dtype == tf.float64 and loss.shape == (3,)
    step = 1e-6
    for k, direction in enumerate(np.eye(LATENT) * step):
        slope = (objective(latent + direction, code, weight) - objective(latent - direction, code, weight)) / (2 * step)
        np.testing.assert_allclose(gradient[:, k], slope, rtol=1e-6, atol=1e-8)


def test_the_objective_by_hand():
    objective = make_objective(linear_generator, flat, identity, PRIORS["l2"])
    latent, code = (RNG.normal(size=shape) for shape in ((2, LATENT), (2, SIDE * SIDE)))
    found = objective(tf.constant(latent), tf.constant(code), tf.constant(0.5, tf.float64))
    np.testing.assert_allclose(found, np.square(latent @ MIX - code).sum(1) + 0.5 * np.square(latent).sum(1))


def test_priors_by_hand():
    latent = RNG.normal(size=(4, 9))
    norm = np.linalg.norm(latent, axis=1)
    for name, expected in {"l2": norm**2, "norm": (norm - 3) ** 2, "sphere": np.zeros(4)}.items():
        np.testing.assert_allclose(PRIORS[name].penalty(tf.constant(latent)), expected, atol=1e-12)
    np.testing.assert_array_equal(PRIORS["l2"].project(tf.constant(latent)), latent)
    np.testing.assert_allclose(PRIORS["sphere"].project(tf.constant(latent)), 3 * latent / norm[:, None])


# ---------------------------------------------------------------------------------------------- the iteration


def test_adam_against_keras():
    curvature, target = RNG.uniform(0.1, 3, (2, 5)).astype(np.float32), RNG.normal(size=(2, 5)).astype(np.float32)
    variable = tf.Variable(tf.zeros((2, 5)))
    reference = keras.optimizers.Adam(0.1, epsilon=1e-8)
    ours, state = tf.zeros((2, 5)), adam_init(variable)
    for step in range(20):
        reference.apply_gradients([(curvature * (variable - target), variable)])
        change, state = adam_update(curvature * (ours - target), state, tf.constant(step), tf.constant(0.1))
        ours += change
        np.testing.assert_allclose(ours, variable, rtol=2e-4, atol=1e-5)
    assert np.abs(ours).max() > 0.3


def test_ramps():
    steps = tf.constant(100)
    cosine = [RAMPS["cosine"](tf.constant(k), steps).numpy() for k in (0, 25, 50, 75, 100)]
    np.testing.assert_allclose(cosine, [1, (1 + np.sqrt(0.5)) / 2, 0.5, (1 - np.sqrt(0.5)) / 2, 0], atol=1e-6)
    assert {RAMPS["none"](tf.constant(k), steps).numpy() for k in (0, 50, 100)} == {1.0}


def test_a_picture_in_a_batch_is_solved_as_alone(solver):
    code = codes(4)
    together = solve(solver, code, starts=8, tolerance=0.02, patience=5, steps=60)
    for i in range(4):
        alone = solve(solver, code[i : i + 1], starts=8, tolerance=0.02, patience=5, steps=60)
        np.testing.assert_allclose(alone.latent[0], together.latent[i], atol=1e-4)
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=1e-4)
        assert alone.loss[0] == pytest.approx(together.loss[i], rel=1e-3, abs=1e-6)
        assert alone.steps[0] == together.steps[i]


def test_the_seed_decides_the_start(solver):
    code = codes(2)
    one, same, other = (solve(solver, code, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.latent, same.latent)
    np.testing.assert_array_equal(one.history, same.history)
    assert np.abs(one.latent - other.latent).max() > 0.01


def test_no_steps_return_the_start(solver):
    solution = solve(solver, codes(3), steps=0)
    start = starts.draw(OPTIONS.seed, 1, LATENT).numpy()
    np.testing.assert_array_equal(solution.latent, np.repeat(start, 3, axis=0))
    np.testing.assert_allclose(solution.image, curved_generator(tf.constant(solution.latent)), atol=1e-6)
    assert solution.steps.tolist() == [0, 0, 0] and solution.history.shape == (1, 3)
    np.testing.assert_array_equal(solution.loss, solution.history[0])


def test_one_step_is_adam_s(solver):
    """The first step has the length of the rate along every axis, against the gradient's sign."""
    start = starts.draw(OPTIONS.seed, 1, LATENT)
    one = solve(solver, codes(1), steps=1)
    moved = one.latent - start
    assert one.steps.tolist() == [1]
    np.testing.assert_allclose(np.abs(moved), 0.1, rtol=1e-3)
    with tf.GradientTape() as tape:
        tape.watch(start)
        loss = solver.objective(start, codes(1), 0.01)
    np.testing.assert_array_equal(np.sign(moved), -np.sign(tape.gradient(loss, start)))
    np.testing.assert_allclose(one.history[0], loss, rtol=1e-5)


def test_the_best_iterate_is_kept(solver):
    """At a rate far too high the last iterate is not the best one."""
    solution = solve(solver, codes(4), learning_rate=2.0, steps=10)
    assert solution.history.shape == (11, 4) and np.isfinite(solution.history).all()
    np.testing.assert_array_equal(solution.loss, solution.history.min(axis=0))
    assert (solution.history[-1] > solution.loss).any()
    again = solver.objective(tf.constant(solution.latent), codes(4), 0.01)
    np.testing.assert_allclose(again, solution.loss, rtol=1e-4)


def test_the_objective_falls(solver):
    solution = solve(solver, codes(4), steps=100)
    assert (solution.loss < 0.2 * solution.history[0]).all()


@pytest.mark.parametrize("prior", ["l2", "norm", "sphere"])
def test_priors_shape_the_norm(prior):
    solution = solve(Solver(curved_generator, encoder, prior=prior), codes(3), prior=prior, weight=50.0, steps=150)
    norm = np.linalg.norm(solution.latent, axis=1)
    expected = {"l2": 0.0, "norm": np.sqrt(LATENT), "sphere": np.sqrt(LATENT)}[prior]
    np.testing.assert_allclose(norm, expected, atol={"l2": 0.2, "norm": 0.1, "sphere": 1e-5}[prior])


def test_the_sphere_holds_from_the_first_draw_on():
    sphere = Solver(curved_generator, encoder, prior="sphere")
    for steps in (0, 1, 7):
        solution = solve(sphere, codes(3), prior="sphere", steps=steps, starts=8)
        np.testing.assert_allclose(np.linalg.norm(solution.latent, axis=1), np.sqrt(LATENT), rtol=1e-5)


@pytest.mark.parametrize("count", [2, 64, 150])
def test_screening_picks_the_nearest(solver, count):
    """Against every candidate of every picture by itself; 150 candidates are more than one chunk."""
    code = codes(5)
    solution = solve(solver, code, steps=0, starts=count, weight=0.0)
    candidates = starts.draw(OPTIONS.seed, count, LATENT)
    distance = np.square(encoder(curved_generator(candidates)).numpy()[None] - code[:, None]).sum(-1)
    np.testing.assert_array_equal(solution.latent, candidates.numpy()[distance.argmin(1)])
    np.testing.assert_allclose(solution.loss, distance.min(1), rtol=1e-4)


def test_more_starts_begin_no_worse(solver):
    first = [solve(solver, codes(5), steps=0, weight=0.0, starts=count).loss for count in (1, 8, 64)]
    assert (first[1] <= first[0]).all() and (first[2] <= first[1]).all() and (first[2] < first[0]).any()


# ------------------------------------------------------------------------------------------------ early stopping


def test_converged_pictures_are_frozen(solver):
    """One picture starts at its answer, one near it, and one has a way to go."""
    start = starts.draw(OPTIONS.seed, 1, LATENT)
    answer = encoder(curved_generator(start)).numpy()
    code = np.concatenate([answer, answer + 0.01, codes(1)])
    solution = solve(solver, code, weight=0.0, steps=300, tolerance=0.05, patience=5)
    steps = solution.steps
    assert steps[0] == 5 and steps.max() < 300 and len(set(steps)) > 1
    assert (steps % 5 == 0).all()  # found out every `patience` steps
    assert solution.history.shape == (steps.max() + 1, 3)
    for i in range(3):
        losses = solution.history[:, i]
        np.testing.assert_array_equal(losses[steps[i] :], losses[steps[i]])
        assert i == 0 or (np.diff(losses[: steps[i] + 1]) != 0).all()  # it moved until then
    np.testing.assert_array_equal(solution.loss, solution.history.min(axis=0))


def test_tolerance_stops_where_the_fall_is_small(solver):
    """The rule on the record: at every mark before the last the best objective had fallen enough, at the last not."""
    tolerance, patience = 0.2, 4
    solution = solve(solver, codes(1), steps=200, tolerance=tolerance, patience=patience)
    best = np.minimum.accumulate(solution.history[:, 0])
    marks = best[: solution.steps[0] + 1 : patience]
    enough = marks[:-1] - marks[1:] >= tolerance * marks[1:]
    assert solution.steps[0] < 200 and enough[:-1].all() and not enough[-1]


def test_without_tolerance_all_steps_are_taken(solver):
    start = encoder(curved_generator(starts.draw(OPTIONS.seed, 1, LATENT))).numpy()
    solution = solve(solver, start, weight=0.0, tolerance=0.0, patience=1)
    assert solution.steps.tolist() == [OPTIONS.steps]


# ------------------------------------------------------------------------------------------------ chunks and graphs


@pytest.mark.parametrize("chunk", [1, 7, 30, 100])
def test_chunks_change_nothing(solver, chunk):
    code, told = codes(3), []
    whole = solve(solver, code, tolerance=0.01, patience=4)
    parts = solve(solver, code, lambda step, loss: told.append((step, loss.copy())), chunk, tolerance=0.01, patience=4)
    for one, other in zip(whole[:5], parts[:5]):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    steps = [step for step, _ in told]
    assert steps[:-1] == [chunk * (k + 1) for k in range(len(steps) - 1)] and steps[-1] <= OPTIONS.steps
    for step, loss in told:
        np.testing.assert_allclose(loss, whole.history[:step].min(axis=0), rtol=1e-5)


def test_other_numbers_compile_nothing_anew():
    solver, code = Solver(curved_generator, encoder), codes(2)
    solve(solver, code)
    assert solver.advance.experimental_get_tracing_count() == 1
    for changes in ({"steps": 7}, {"learning_rate": 0.3}, {"weight": 1.0}, {"seed": 9}, {"tolerance": 0.1, "patience": 3}):
        solve(solver, code, **changes)
    solve(solver, code, lambda *_: None, 4)
    assert solver.advance.experimental_get_tracing_count() == 1
    assert solver.finish.experimental_get_tracing_count() == 1


def test_batches_of_many_sizes_compile_at_most_twice():
    solver = Solver(curved_generator, encoder)
    for count in (4, 1, 3, 2, 6):
        solution = solve(solver, codes(count), steps=3)
        assert solution.latent.shape == (count, LATENT) and solution.history.shape == (4, count)
    assert solver.advance.experimental_get_tracing_count() <= 2


def test_types_and_shapes(solver):
    solution = solve(solver, codes(2).astype(np.float64))
    assert solution.latent.shape == (2, LATENT) and solution.image.shape == (2, SIDE, SIDE, 1)
    assert solution.history.shape == (OPTIONS.steps + 1, 2) and solution.steps.tolist() == [OPTIONS.steps] * 2
    assert {a.dtype for a in (solution.latent, solution.image, solution.loss, solution.history)} == {np.dtype("float32")}
    assert isinstance(solution.image, np.ndarray) and solution.seconds > 0
