"""The averaged curvature, and L-BFGS with its inverse: where it is known, and what it is worth."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from test_solve import LATENT, MAP, MIX, codes, curved_generator, encoder, flat, linear_generator, masks, truths

from gekeras import GenerativeEncoder
from gekeras.config import SolveOptions
from gekeras.evaluation.methods import pixels_only
from gekeras.solve import Solver, Target, curvature, starts

OPTIONS = SolveOptions(steps=20, optimizer="lbfgs", weight=0.0, probes=64, seed=4)


def solve(solver, target, **changes):
    return solver.solve(target, LATENT, dataclasses.replace(OPTIONS, **changes))


def metric(solver, target, **changes):
    return solver.metric.matrix(target, LATENT, dataclasses.replace(OPTIONS, **changes))


def draw(count, latent="normal"):
    return starts.draw(99, count, LATENT, latent)


def test_a_linear_map_has_the_same_curvature_everywhere():
    """r = (z A, 2 z B): H = A A^T + 4 B B^T."""
    other = np.random.default_rng(3).normal(size=(LATENT, 3)).astype(np.float32)
    average = curvature.average(lambda z: [tf.matmul(z, MIX), 2 * tf.matmul(z, other)], draw(20_000), seed=1, at_once=5000)
    wanted = MIX @ MIX.T + 4 * other @ other.T
    np.testing.assert_allclose(average, wanted, atol=0.05 * np.abs(wanted).max())


def test_a_curved_map_has_the_mean_of_its_curvatures():
    latent = draw(500)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        code = encoder(curved_generator(latent))
    jacobians = tape.batch_jacobian(code, latent).numpy()
    wanted = np.einsum("nki,nkj->ij", jacobians, jacobians) / len(jacobians)
    again = tf.tile(latent, (20, 1))  # each in twenty directions
    average = curvature.average(lambda z: [encoder(curved_generator(z))], again, seed=1, at_once=2000)
    np.testing.assert_allclose(average, wanted, atol=0.05 * np.abs(wanted).max())


@pytest.mark.parametrize("at_once", [1, 7, 20])
def test_groups_change_nothing(at_once):
    """The memory decides how many are drawn at once."""
    parts = lambda z: [encoder(curved_generator(z)), curved_generator(z)]  # noqa: E731
    one, other = (curvature.average(parts, draw(20), at_once=k) for k in (at_once, 64))
    np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_what_depends_on_nothing_has_the_identity():
    flat_there = curvature.average(lambda z: [tf.ones_like(z)], draw(10))
    np.testing.assert_array_equal(flat_there, 0)
    np.testing.assert_array_equal(curvature.inverse(flat_there), np.eye(LATENT))


def test_the_inverse():
    h = MIX @ MIX.T
    mean = np.trace(h) / LATENT
    inverse = curvature.inverse(h, floor=0.25)
    np.testing.assert_allclose(inverse @ (h / mean + 0.25 * np.eye(LATENT)), np.eye(LATENT), atol=1e-4)
    np.testing.assert_array_equal(inverse, inverse.T)
    assert np.linalg.eigvalsh(inverse).min() > 0 and inverse.dtype == np.float32


@pytest.mark.parametrize(
    "code, pixel, decoded", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.5, 2.0, 0.0), (1.0, 0.0, 3.0), (2.0, 1.0, 1.0)]
)
def test_the_metric_is_of_the_objective(code, pixel, decoded):
    """G and E linear: the objective's Hessian is 2 H, and H is what its weights say."""
    solver = Solver(linear_generator, lambda x: tf.matmul(flat(x), MAP), optimizer="lbfgs")
    target = Target(tf.zeros((1, 5)), tf.zeros((1, 4, 4, 1)), None, tf.zeros((1, 4, 4, 1)))
    weights = dict(code_weight=code, pixel_weight=pixel, decoder_weight=decoded)
    matrix = solver.metric.matrix(target, LATENT, dataclasses.replace(OPTIONS, probes=8_000, **weights), at_once=2000)
    through = MIX @ MAP
    h = code * through @ through.T + (pixel + decoded) * MIX @ MIX.T
    wanted = curvature.inverse(h)
    np.testing.assert_allclose(matrix, wanted, atol=0.05 * np.abs(wanted).max())


def test_a_term_without_a_side_has_no_curvature():
    """With a weight, but nothing to compare with, as the objective leaves it out."""
    solver = Solver(curved_generator, encoder, optimizer="lbfgs")
    one = metric(solver, Target(codes(1)), pixel_weight=5.0)
    np.testing.assert_array_equal(one, metric(solver, Target(codes(1)), pixel_weight=0.0))
    assert np.abs(one - metric(solver, Target(codes(1), truths(1)), pixel_weight=5.0)).max() > 0.01


def test_it_is_faster_where_directions_differ():
    """Latents that count 30 times more than others: L-BFGS alone has yet to find them out."""
    scale = np.geomspace(1, 30, LATENT).astype(np.float32)
    solver = Solver(lambda z: curved_generator(z * scale / 30), lambda x: 3 * flat(x), optimizer="lbfgs")
    target = 3 * flat(truths(30)).numpy()
    without, with_it = (solve(solver, target, probes=probes) for probes in (0, 256))
    assert np.median(with_it.loss) < 0.5 * np.median(without.loss)


def test_a_picture_in_a_batch_is_solved_as_alone():
    known = masks(4)
    y = truths(4) * known
    target = Target(encoder(y), y, known)
    together, single = (Solver(curved_generator, encoder, optimizer="lbfgs") for _ in range(2))
    together = solve(together, target, pixel_weight=0.5, starts=8)
    for i in range(4):
        alone = solve(single, target.take([i]), pixel_weight=0.5, starts=8)
        np.testing.assert_allclose(alone.latent[0], together.latent[i], atol=2e-3)


def test_it_is_drawn_once_and_compiles_nothing_anew():
    calls = []

    def generator(latent):
        calls.append(latent.shape)
        return curved_generator(latent)

    solver = Solver(generator, encoder, optimizer="lbfgs")
    solve(solver, codes(2))
    traced = len(calls)
    for changes in ({"seed": 5}, {"steps": 30}, {"weight": 0.1}, {"learning_rate": 0.2}):
        solve(solver, codes(2), **changes)
    assert len(calls) == traced and len(solver.metric.drawn) == 1
    assert solver.advance.experimental_get_tracing_count() == 1
    solve(solver, codes(2), probes=32)
    assert len(solver.metric.drawn) == 2 and solver.advance.experimental_get_tracing_count() == 1


def test_solvers_of_one_model_draw_it_once(monkeypatch):
    """With another prior and another ramp."""
    drawn, average = [], curvature.average
    monkeypatch.setattr(curvature, "average", lambda *rest: drawn.append(1) or average(*rest))
    model = GenerativeEncoder(curved_generator, encoder, LATENT)
    for changes in ({}, {"prior": "sphere"}, {"ramp": "cosine"}):
        model.solve(truths(1), dataclasses.replace(OPTIONS, steps=80, **changes))
    assert len(drawn) == 1
    model.solve(truths(1), dataclasses.replace(OPTIONS, steps=80, code_weight=2.0))
    assert len(drawn) == 2


def test_who_has_no_metric():
    """Adam, a solve that is too short for it, and one that asks for none."""
    target = Target(codes(1))
    assert metric(Solver(curved_generator, encoder), target) is None
    solver = Solver(curved_generator, encoder, optimizer="lbfgs")
    assert metric(solver, target, steps=curvature.FEWEST - 1) is None and metric(solver, target, probes=0) is None
    assert metric(solver, target).shape == (LATENT, LATENT) and not solver.metric.drawn == {}


def test_a_starter_brings_its_own():
    class Starter:
        inverse_curvature = tf.eye(LATENT) * 2

        def __call__(self, code):
            return tf.zeros((len(code), LATENT))

    solver = Solver(curved_generator, encoder, optimizer="lbfgs", starter=Starter())
    assert metric(solver, Target(codes(1)), probes=0) is Starter.inverse_curvature
    assert metric(solver, Target(codes(1))) is not Starter.inverse_curvature


@pytest.mark.parametrize("latent, variance", [("normal", 1.0), ("uniform", 1 / 3)])
def test_it_is_drawn_from_the_generators_distribution(latent, variance):
    """r = z^2 / 2: H has E[z^2] on its diagonal, and so many times the part of a latent that is drawn elsewhere."""
    square = lambda z: tf.reshape(tf.square(z) / 2 * [1.0, 1, 1, 2, 2, 2], (-1, 1, 1, LATENT))  # noqa: E731
    solver = Solver(square, lambda x: tf.reshape(x, (-1, LATENT)), optimizer="lbfgs", latent=latent)
    matrix = metric(solver, Target(tf.zeros((1, LATENT))), probes=20_000)
    wanted = curvature.inverse(np.diag([variance] * 3 + [4 * variance] * 3))
    np.testing.assert_allclose(matrix, wanted, atol=0.08 * np.abs(wanted).max())
    diagonal = curvature.average(solver.metric.residuals(1.0, 0.0, 0.0), draw(20_000, latent), at_once=5000)
    np.testing.assert_allclose(np.diag(diagonal), [variance] * 3 + [4 * variance] * 3, rtol=0.1)


def test_pixel_methods_have_their_own():
    options = SolveOptions(steps=14, optimizer="lbfgs", start="starter", prior="sphere")
    assert pixels_only(options).probes > 0 and pixels_only(options).finalists > 1
    assert pixels_only(SolveOptions()).probes == 0  # the paper's


def test_bad_numbers():
    with pytest.raises(ValueError, match="probes must be 0 or more"):
        SolveOptions(probes=-1)
