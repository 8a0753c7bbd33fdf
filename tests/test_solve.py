"""The solver minimizes equation (3): checked where the answer is known, by differences, and one picture at a time."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras.config import SolveOptions
from gekeras.operators import Compose, Downsample, Upsample
from gekeras.solve import Solver, Target, starts
from gekeras.solve.descent import adam_init, adam_update, make_parameters
from gekeras.solve.objective import Weights, identity, make_objective
from gekeras.solve.optimizers import OPTIMIZERS, RAMPS
from gekeras.solve.priors import PRIORS, PRIORS_OF
from gekeras.solve.solver import _redraw

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
    return encoder(truths(count)).numpy()


def truths(count):
    """Pictures that the generator can make."""
    latent = np.random.default_rng(7).normal(size=(count, LATENT)).astype(np.float32)
    return curved_generator(tf.constant(latent)).numpy()


def masks(count):
    """Two thirds of the pixels known, others in each picture."""
    return (np.random.default_rng(8).random((count, SIDE, SIDE, 1)) < 2 / 3).astype(np.float32)


def test_many_solvers_are_no_retracing(caplog):
    """TensorFlow takes the first calls of functions that share their code for traces of one, and warns of the fifth."""
    tf.get_logger().addHandler(caplog.handler)
    try:
        for count in (1, 2) * 4:
            Solver(curved_generator, encoder).solve(codes(count), LATENT, dataclasses.replace(OPTIONS, steps=1))
    finally:
        tf.get_logger().removeHandler(caplog.handler)
    assert "retracing" not in caplog.text


def weights(code=1.0, pixel=0.0, prior=0.01, dtype=tf.float32):
    return Weights(*(tf.constant(weight, dtype) for weight in (code, pixel, prior)))


@pytest.fixture(scope="module")
def solver():
    return Solver(curved_generator, encoder)


def solve(solver, target, callback=None, chunk=0, **changes):
    return solver.solve(target, LATENT, dataclasses.replace(OPTIONS, **changes), callback=callback, chunk=chunk)


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


def test_maps_may_have_pythons_conditions_and_loops():
    """Those of a user's own networks and S: the same as TensorFlow's."""

    def pythonic(image):
        total, k = image, 0
        while tf.reduce_max(tf.abs(total)) > 0.5 and k < 3:
            total, k = total / 2, k + 1
        return total if tf.reduce_mean(image) < 0.1 else -total

    def plain(image):
        k = tf.reduce_sum(tf.cast(tf.reduce_max(tf.abs(image)) > tf.constant([0.5, 1.0, 2.0]), image.dtype))
        return tf.where(tf.reduce_mean(image) < 0.1, 1.0, -1.0) * image / tf.pow(tf.constant(2.0, image.dtype), k)

    parts = {"generator": curved_generator, "encoder": encoder, "forward": identity, "measure": identity}
    for name in ("generator", "forward", "measure"):
        solutions = []
        for change in (pythonic, plain):
            changed = parts | {name: lambda x, c=change, f=parts[name]: c(f(x))}
            solutions.append(solve(Solver(**changed), Target(codes(1), truths(1)), pixel_weight=0.3, starts=4))
        np.testing.assert_allclose(solutions[0].loss, solutions[1].loss, rtol=1e-4)
        np.testing.assert_allclose(solutions[0].image, solutions[1].image, atol=1e-3)


def test_pictures_can_be_the_code():
    """invertGAN: E the identity, m a picture, the same problem as with the flattened one."""
    measured = curved_generator(tf.constant(RNG.normal(size=(2, LATENT)).astype(np.float32)))
    one, other = Solver(curved_generator, identity), Solver(curved_generator, flat)
    for options in ({"starts": 1}, {"starts": 16}):
        pictures, vectors = solve(one, measured, **options), solve(other, flat(measured), **options)
        np.testing.assert_allclose(pictures.latent, vectors.latent, atol=1e-4)


REDUCE = Compose(Downsample(2), Upsample(2))


def refuse(image):
    raise AssertionError("the encoder was called")


@pytest.mark.parametrize("count", [1, 8])
def test_the_pixels_alone_give_the_least_squares_solution(count):
    """alpha = 0, beta = 1, G linear: z* = (B^T B + lambda I)^-1 B^T y with B = A G, and E is not even called."""
    weight, measure = 0.1, Downsample(2)
    y = RNG.normal(size=(3, 2, 2, 1)).astype(np.float32)
    reduced = measure(linear_generator(tf.eye(LATENT))).numpy().reshape(LATENT, -1)
    expected = np.linalg.solve(reduced @ reduced.T + weight * np.eye(LATENT), reduced @ y.reshape(3, -1).T).T
    options = SolveOptions(
        steps=500, learning_rate=0.1, ramp="cosine", weight=weight, code_weight=0.0, pixel_weight=1.0, starts=count
    )
    solution = Solver(linear_generator, refuse, identity, measure, ramp="cosine").solve(
        Target(measurement=y), LATENT, options
    )
    np.testing.assert_allclose(solution.latent, expected, atol=5e-3)


def test_both_terms_together_give_the_least_squares_solution_of_both():
    """alpha ||z G - m||^2 + beta ||z G D - y||^2 with a mask on G: one stacked system for each picture."""
    alpha, beta, weight, known = 0.5, 2.0, 0.1, masks(3)
    measured, y = RNG.normal(size=(3, SIDE * SIDE)).astype(np.float32), RNG.normal(size=(3, 2, 2, 1)).astype(np.float32)
    options = SolveOptions(steps=500, learning_rate=0.1, ramp="cosine", weight=weight, code_weight=alpha, pixel_weight=beta)
    solver = Solver(linear_generator, flat, identity, Downsample(2), ramp="cosine")
    solution = solver.solve(Target(measured, y, known), LATENT, options)
    for i in range(3):
        image = (MIX.reshape(LATENT, SIDE, SIDE, 1) * known[i]).astype(np.float32)
        reduced = Downsample(2)(tf.constant(image)).numpy().reshape(LATENT, -1)
        image = image.reshape(LATENT, -1)
        system = alpha * image @ image.T + beta * reduced @ reduced.T + weight * np.eye(LATENT)
        expected = np.linalg.solve(system, alpha * image @ measured[i] + beta * reduced @ y[i].ravel())
        np.testing.assert_allclose(solution.latent[i], expected, atol=5e-3)


def test_the_decoded_term_alone_gives_the_least_squares_solution():
    """alpha = beta = 0, gamma = 2: 2 ||z A - DC(m)||^2 + lambda ||z||^2, whatever the mask."""
    wanted = np.random.default_rng(3).normal(size=(3, SIDE, SIDE, 1)).astype(np.float32)
    linear = Solver(linear_generator, refuse, prior="l2", optimizer="lbfgs")
    options = dataclasses.replace(OPTIONS, steps=60, code_weight=0.0, decoder_weight=2.0, optimizer="lbfgs")
    latent = linear.solve(Target(known=tf.constant(masks(3)), decoded=wanted), LATENT, options).latent
    normal = 2 * MIX @ MIX.T + 0.01 * np.eye(LATENT)
    np.testing.assert_allclose(latent, np.linalg.solve(normal, 2 * MIX @ flat(wanted).numpy().T).T, atol=1e-3)


def test_screening_weighs_the_decoded_picture(solver):
    """With gamma large, the candidate whose picture is nearest wins, whatever its code."""
    drawn = starts.draw(1, 40, LATENT)
    images = curved_generator(drawn)
    wanted = truths(5)
    target = Target(tf.constant(codes(5)), decoded=tf.constant(wanted))
    best = starts.nearest(solver.starts.compare, images, target, (1.0, 0.0, 1e4))[:, 0]
    np.testing.assert_array_equal(
        best, np.square(flat(images).numpy()[None] - flat(wanted).numpy()[:, None]).sum(2).argmin(1)
    )


def test_a_code_may_be_a_target_or_not(solver):
    one, other = solve(solver, codes(2)), solve(solver, Target(codes(2)))
    for a, b in zip(one[:5], other[:5]):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(
        ValueError, match="nothing to match: the target has neither a code nor a measurement nor a decoded picture"
    ):
        solve(solver, Target(known=masks(2)))


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    "sides", ["code", "measurement", "code and measurement", "code, measurement and known", "code, decoded, known"]
)
def test_gradient_by_finite_differences(prior, sides):
    objective = make_objective(curved_generator, encoder, REDUCE, PRIORS[prior], Downsample(2))
    latent = tf.constant(RNG.normal(size=(3, LATENT)))
    parts = {"code": RNG.normal(size=(3, 5)), "measurement": RNG.normal(size=(3, 2, 2, 1)), "known": masks(3)}
    parts["decoded"] = RNG.normal(size=(3, SIDE, SIDE, 1))
    target = Target(**{name: tf.constant(part, tf.float64) for name, part in parts.items() if name in sides})
    factors = weights(0.7, 1.3, 0.3, tf.float64)._replace(decoded=tf.constant(0.9, tf.float64))
    with tf.GradientTape() as tape:
        tape.watch(latent)
        loss = objective(latent, target, factors)
    gradient = tape.gradient(loss, latent).numpy()
    assert loss.dtype == tf.float64 and loss.shape == (3,)
    step = 1e-6
    for k, direction in enumerate(np.eye(LATENT) * step):
        above, below = (objective(latent + sign * direction, target, factors) for sign in (1, -1))
        np.testing.assert_allclose(gradient[:, k], (above - below) / (2 * step), rtol=1e-6, atol=1e-8)


def test_the_objective_by_hand():
    """alpha ||E(S(k G(z))) - m||^2 + beta ||A (k G(z)) - y||^2 + lambda ||z||^2, and each part of it alone."""
    latent, code = (RNG.normal(size=shape) for shape in ((2, LATENT), (2, SIDE * SIDE)))
    y, known = RNG.normal(size=(2, 2, 2, 1)), masks(2).astype(np.float64)
    objective = make_objective(linear_generator, flat, REDUCE, PRIORS["l2"], Downsample(2))

    def losses(**parts):
        target = Target(**{name: tf.constant(part) for name, part in parts.items()})
        return objective(tf.constant(latent), target, weights(0.7, 1.3, 0.5, tf.float64))

    def terms(image):
        reduced = image.reshape(2, 2, 2, 2, 2, 1).mean((2, 4))
        enlarged = reduced.repeat(2, 1).repeat(2, 2).reshape(2, -1)
        return 0.7 * np.square(enlarged - code).sum(1), 1.3 * np.square(reduced - y).sum((1, 2, 3))

    image = (latent @ MIX).reshape(2, SIDE, SIDE, 1)
    prior = 0.5 * np.square(latent).sum(1)
    in_code, in_pixels = terms(image)
    np.testing.assert_allclose(losses(code=code), in_code + prior)
    np.testing.assert_allclose(losses(measurement=y), in_pixels + prior)
    np.testing.assert_allclose(losses(code=code, measurement=y), in_code + in_pixels + prior)
    in_code, in_pixels = terms(image * known)
    np.testing.assert_allclose(losses(code=code, known=known), in_code + prior)
    np.testing.assert_allclose(losses(measurement=y, known=known), in_pixels + prior)
    np.testing.assert_allclose(losses(code=code, measurement=y, known=known), in_code + in_pixels + prior)


def test_the_paper_s_objective_is_the_default():
    objective = make_objective(linear_generator, flat, identity, PRIORS["l2"])
    latent, code = (RNG.normal(size=shape) for shape in ((2, LATENT), (2, SIDE * SIDE)))
    losses = objective(tf.constant(latent), Target(tf.constant(code)), weights(prior=0.5, dtype=tf.float64))
    np.testing.assert_allclose(losses, np.square(latent @ MIX - code).sum(1) + 0.5 * np.square(latent).sum(1))


def test_priors_by_hand():
    latent = RNG.normal(size=(4, 9))
    norm = np.linalg.norm(latent, axis=1)
    for priors, radius in ((PRIORS, 3), (PRIORS_OF["normal"], 3), (PRIORS_OF["uniform"], np.sqrt(3))):
        penalties = {"l2": norm**2, "box": norm**2, "norm": (norm - radius) ** 2, "sphere": np.zeros(4)}
        assert set(priors) == set(penalties)
        for name, expected in penalties.items():
            np.testing.assert_allclose(priors[name].penalty(tf.constant(latent)), expected, atol=1e-12)
        np.testing.assert_array_equal(priors["l2"].project(tf.constant(latent)), latent)
        np.testing.assert_allclose(priors["sphere"].project(tf.constant(latent)), radius * latent / norm[:, None])
        np.testing.assert_array_equal(priors["box"].project(tf.constant(latent)), np.clip(latent, -1, 1))


@pytest.mark.parametrize("latent, deviation, most", [("normal", 1.0, np.inf), ("uniform", 3**-0.5, 1.0)])
def test_starts_are_draws_from_the_generator_s_distribution(latent, deviation, most):
    """Mean 0, the distribution's own deviation, no number outside [-1, 1] if it has none, and the seed decides."""
    drawn = starts.draw(5, 4000, LATENT, latent).numpy()
    assert np.abs(drawn.mean(0)).max() < 0.07 and np.abs(drawn).max() <= most
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.05)
    np.testing.assert_array_equal(drawn, starts.draw(5, 4000, LATENT, latent))
    norms = np.linalg.norm(drawn, axis=1)
    sphere = PRIORS_OF[latent]["sphere"].project(tf.constant(drawn))
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), np.sqrt(np.mean(norms**2)), rtol=0.02)


def test_the_default_draw_is_the_normal_one():
    np.testing.assert_array_equal(starts.draw(3, 5, LATENT), tf.random.stateless_normal((5, LATENT), seed=(3, 0)))
    for count in (1, 16):
        one, same = (Solver(curved_generator, encoder, **settings) for settings in ({}, {"latent": "normal"}))
        np.testing.assert_array_equal(solve(one, codes(2), starts=count).latent, solve(same, codes(2), starts=count).latent)


@pytest.mark.parametrize("count", [1, 16])
def test_a_picture_of_a_uniform_generator_in_a_batch_is_solved_as_alone(count):
    solver = Solver(curved_generator, encoder, latent="uniform")
    together = solve(solver, codes(4), starts=count)
    np.testing.assert_array_equal(
        solve(solver, codes(4), starts=1, steps=0).latent, np.repeat(starts.draw(4, 1, LATENT, "uniform"), 4, axis=0)
    )
    for i in range(4):
        alone = solve(solver, codes(4)[i : i + 1], starts=count)
        np.testing.assert_allclose(alone.latent[0], together.latent[i], atol=1e-4)


def test_the_box_keeps_what_would_leave_it():
    """A target that z = 3 would explain: l2 goes there, box stops at the border, each number by itself."""
    wanted = np.array([[3.0, 0.5, -2.0, -0.5, 0.0, 1.5]], np.float32)
    latents = {}
    for prior in ("l2", "box"):
        solver = Solver(lambda z: z[:, None, :, None], identity, prior=prior, ramp="cosine", latent="uniform")
        options = SolveOptions(steps=200, weight=0.0, prior=prior, ramp="cosine", starts=4)
        latents[prior] = solver.solve(wanted[:, None, :, None], LATENT, options).latent
    np.testing.assert_allclose(latents["l2"], wanted, atol=0.01)
    np.testing.assert_allclose(latents["box"], np.clip(wanted, -1, 1), atol=0.01)


# ---------------------------------------------------------------------------------------------- the iteration


def test_adam_against_keras():
    rng = np.random.default_rng(6)
    curvature, target = rng.uniform(0.1, 3, (2, 5)).astype(np.float32), rng.normal(size=(2, 5)).astype(np.float32)
    variable = tf.Variable(tf.zeros((2, 5)))
    reference = keras.optimizers.Adam(0.1, epsilon=1e-8)
    ours, state = tf.zeros((2, 5)), adam_init(variable)
    for step in range(20):
        reference.apply_gradients([(curvature * (variable - target), variable)])
        change, state = adam_update(curvature * (ours - target), state, tf.constant(step), tf.constant(0.1))
        ours += change
        np.testing.assert_allclose(ours, variable, rtol=2e-4, atol=1e-5)
    assert np.abs(ours).max() > 0.3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_compiled_loop_is_its_steps(optimizer):
    """Eager and one by one, and as one graph; f is recorded at each point before it moves."""
    code, start = tf.constant(codes(3)), starts.draw(1, 3, LATENT)
    solver, parameters = Solver(curved_generator, encoder, optimizer=optimizer), make_parameters(OPTIONS)
    state = solver.descent.begin(start)
    losses = []
    for _ in range(5):
        state = solver.descent.step(state, Target(code), parameters)
        losses.append(state.loss)
    compiled, recorded = solver.advance(solver.descent.begin(start), Target(code), parameters, tf.constant(5))
    np.testing.assert_allclose(recorded, losses, rtol=1e-3)
    np.testing.assert_allclose(compiled.point, state.point, atol=1e-2)  # L-BFGS makes much of rounding
    np.testing.assert_allclose(compiled.best_loss, np.min(losses, axis=0), rtol=1e-4)
    assert int(compiled.step) == int(compiled.spent) == 5 and compiled.taken.numpy().tolist() == [5] * 3


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


@pytest.mark.parametrize("alpha, beta", [(1.0, 0.0), (0.0, 1.0), (0.5, 2.0)])
def test_a_masked_picture_in_a_batch_is_solved_as_alone(alpha, beta):
    """Each with its own mask, from the first draw on."""
    solver, known = Solver(curved_generator, encoder), masks(4)
    y = truths(4) * known
    target = Target(encoder(y) if alpha else None, y if beta else None, known)
    settings = {"code_weight": alpha, "pixel_weight": beta, "starts": 20, "tolerance": 0.02, "patience": 5, "steps": 60}
    together, begin = solve(solver, target, **settings), solve(solver, target, **{**settings, "steps": 0})
    assert len(np.unique(begin.latent, axis=0)) > 1
    for i in range(4):
        part = Target(*(None if part is None else part[i : i + 1] for part in target))
        np.testing.assert_array_equal(solve(solver, part, **{**settings, "steps": 0}).latent[0], begin.latent[i])
        alone = solve(solver, part, **settings)
        np.testing.assert_allclose(alone.latent[0], together.latent[i], atol=1e-4)
        np.testing.assert_allclose(alone.image[0], together.image[i], atol=1e-4)
        assert alone.loss[0] == pytest.approx(together.loss[i], rel=1e-3, abs=1e-6)
        assert alone.steps[0] == together.steps[i]


def test_a_mask_of_ones_changes_nothing(solver):
    for options in ({"starts": 1}, {"starts": 16}):
        one = solve(solver, codes(2), **options)
        other = solve(solver, Target(codes(2), known=np.ones((2, SIDE, SIDE, 1))), **options)
        np.testing.assert_allclose(one.latent, other.latent, atol=1e-5)


def test_what_is_missing_does_not_count(solver):
    """Two pictures that agree where pixels are known are one target."""
    known, other = masks(3), np.random.default_rng(9).normal(size=(3, SIDE, SIDE, 1)).astype(np.float32)
    targets = [Target(encoder(x * known), x * known, known) for x in (truths(3), np.where(known == 1, truths(3), other))]
    one, same = (solve(solver, target, pixel_weight=1.0, starts=8) for target in targets)
    np.testing.assert_array_equal(one.latent, same.latent)


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
        loss = solver.objective(start, Target(codes(1)), weights())
    np.testing.assert_array_equal(np.sign(moved), -np.sign(tape.gradient(loss, start)))
    np.testing.assert_allclose(one.history[0], loss, rtol=1e-5)


def test_the_best_iterate_is_kept(solver):
    """At a rate far too high the last iterate is not the best one."""
    solution = solve(solver, codes(4), learning_rate=2.0, steps=10)
    assert solution.history.shape == (11, 4) and np.isfinite(solution.history).all()
    np.testing.assert_array_equal(solution.loss, solution.history.min(axis=0))
    assert (solution.history[-1] > solution.loss).any()
    again = solver.objective(tf.constant(solution.latent), Target(codes(4)), weights())
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


@pytest.mark.parametrize("alpha, beta", [(0.0, 1.0), (0.3, 2.0)])
@pytest.mark.parametrize("masked", [False, True])
def test_screening_weighs_codes_pixels_and_masks(alpha, beta, masked):
    """The objective itself, without its prior, of every candidate; 70 are more than one chunk."""
    solver = Solver(curved_generator, encoder, REDUCE, Downsample(2))
    known = masks(5) if masked else np.ones((5, SIDE, SIDE, 1), np.float32)
    y = truths(5) * known
    target = Target(encoder(REDUCE(y)) if alpha else None, Downsample(2)(tf.constant(y)), known if masked else None)
    solution = solve(solver, target, steps=0, starts=70, weight=0.0, code_weight=alpha, pixel_weight=beta)
    candidates = starts.draw(OPTIONS.seed, 70, LATENT)
    images = curved_generator(candidates).numpy()
    for i in range(5):
        seen = tf.constant(images * known[i])
        distance = beta * np.square(Downsample(2)(seen) - target.measurement[i]).sum((1, 2, 3))
        if alpha:
            distance += alpha * np.square(encoder(REDUCE(seen)) - target.code[i]).sum(1)
        np.testing.assert_array_equal(solution.latent[i], candidates.numpy()[distance.argmin()])
        assert solution.loss[i] == pytest.approx(distance.min(), rel=1e-4)


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
    code, calls = codes(3), []

    def tell(step, loss, latent):
        calls.append((step, loss.copy(), latent.copy()))

    whole = solve(solver, code, tolerance=0.01, patience=4)
    parts = solve(solver, code, tell, chunk, tolerance=0.01, patience=4)
    for one, other in zip(whole[:5], parts[:5]):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    step, loss, latent = calls.pop(0)  # before the first step: the start, not compared with anything yet
    assert step == 0 and loss.tolist() == [np.inf] * 3
    np.testing.assert_array_equal(latent, np.repeat(starts.draw(OPTIONS.seed, 1, LATENT), 3, axis=0))
    steps = [step for step, _, _ in calls]
    assert steps[:-1] == [chunk * (k + 1) for k in range(len(steps) - 1)] and steps[-1] <= OPTIONS.steps
    for step, loss, latent in calls:
        np.testing.assert_allclose(loss, whole.history[:step].min(axis=0), rtol=1e-5)
        np.testing.assert_allclose(solver.objective(tf.constant(latent), Target(code), weights()), loss, rtol=1e-4)


def test_no_steps_are_told_once(solver):
    calls = []
    solve(solver, codes(2), lambda step, *_: calls.append(step), 5, steps=0)
    assert calls == [0]


@pytest.mark.parametrize("which", [[True, False, True], [False] * 3, [True] * 3])
def test_only_the_pictures_that_are_named_are_drawn_again(which):
    latent, before, drawn = tf.constant(RNG.normal(size=(3, LATENT)), tf.float32), tf.zeros((3, SIDE, SIDE, 1)), []

    def generator(latent):
        drawn.append(latent.shape[0])
        return curved_generator(latent)

    def stubborn(latent):
        return curved_generator(tf.reshape(latent, (int(latent.shape[0]), LATENT)))

    expected = np.where(np.reshape(which, (3, 1, 1, 1)), curved_generator(latent), before)
    np.testing.assert_allclose(_redraw(generator, before, latent, tf.constant(which)), expected, rtol=1e-6)
    assert sum(drawn) == sum(which)
    compiled = tf.function(_redraw).get_concrete_function(
        curved_generator, tf.TensorSpec(before.shape), tf.TensorSpec(latent.shape), tf.TensorSpec([3], tf.bool)
    )
    np.testing.assert_allclose(compiled(before, latent, tf.constant(which)), expected, rtol=1e-6)
    whole = tf.function(_redraw)(stubborn, before, latent, tf.constant(which))
    np.testing.assert_allclose(whole, curved_generator(latent), rtol=1e-6)


def test_other_numbers_compile_nothing_anew():
    solver, code = Solver(curved_generator, encoder), codes(2)
    solve(solver, code)
    assert solver.advance.experimental_get_tracing_count() == 1
    for changes in ({"steps": 7}, {"learning_rate": 0.3}, {"weight": 1.0}, {"seed": 9}):
        solve(solver, code, **changes)
    solve(solver, code, code_weight=0.5)
    solve(solver, code, lambda *_: None, 4)
    assert solver.advance.experimental_get_tracing_count() == 1
    for tolerance in (0.1, 0.01):  # pictures may leave: the loop for any number of them
        solve(solver, code, tolerance=tolerance, patience=3)
    assert solver.advance.experimental_get_tracing_count() == 2
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
