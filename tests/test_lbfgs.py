"""L-BFGS finds minima, each problem by itself, within the evaluations it was given."""

import numpy as np
import pytest
import tensorflow as tf

from gekeras.config import SolveOptions
from gekeras.solve import Solver
from gekeras.solve.lbfgs import MEMORY, _inverse_hessian_times, lbfgs_init, lbfgs_update

RNG = np.random.default_rng(3)
D = 8
CURVATURES = np.logspace(-3, 1, D)  # a condition number of 10,000
TURN = np.linalg.qr(RNG.normal(size=(D, D)))[0]
HESSIAN = (TURN * CURVATURES) @ TURN.T
START = RNG.normal(size=(5, D)).astype(np.float32)


update = tf.function(lbfgs_update, autograph=False, reduce_retracing=True)


def quadratic(z):
    z = tf.convert_to_tensor(z, tf.float32)
    gradient = tf.matmul(z, tf.constant(HESSIAN, tf.float32))
    return 0.5 * tf.reduce_sum(z * gradient, axis=1), gradient


def valley(z):
    """Rosenbrock's, of the first two unknowns."""
    z = tf.convert_to_tensor(z, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = 100 * (z[:, 1] - z[:, 0] ** 2) ** 2 + (1 - z[:, 0]) ** 2
    return loss, tape.gradient(loss, z)


def iterate(problem, start, steps, metric=None):
    """The best f of each problem after so many evaluations, and all that were seen `[steps, n]`."""
    z, state, seen = tf.constant(start), lbfgs_init(tf.constant(start)), []
    metric = None if metric is None else tf.constant(metric, tf.float32)
    for _ in range(steps):
        loss, gradient = problem(z)
        seen.append(loss.numpy())
        z, state = update(z, loss, gradient, state, tf.constant(0.3), metric)
    return np.min(seen, axis=0), np.array(seen), state


def test_a_quadratic_is_solved_in_few_evaluations():
    best, seen, _ = iterate(quadratic, START, 40)
    assert (best < 1e-3 * seen[0]).all()


def test_the_inverse_hessian_as_metric_solves_it_at_once():
    """One step to learn the scale, one to the minimum."""
    best, seen, _ = iterate(quadratic, START, 4, np.linalg.inv(HESSIAN))
    assert (best < 1e-5 * seen[0]).all()
    plain, _, _ = iterate(quadratic, START, 4)
    assert (plain > 100 * best).all()


def test_a_curved_valley_is_followed():
    best, seen, _ = iterate(valley, np.tile([[-1.2, 1.0]], (3, 1)).astype(np.float32), 120)
    assert (best < 1e-4).all() and (seen[0] > 20).all()


def test_the_two_loops_are_the_product_of_the_updates():
    """H+ = (I - s y' / s'y) H (I - y s' / s'y) + s s' / s'y, pair after pair."""
    moves = RNG.normal(size=(MEMORY, 1, D)).astype(np.float32)
    changes = np.einsum("mnd,de->mne", moves, HESSIAN + np.eye(D)).astype(np.float32)
    moves[0], changes[0] = 0, 0  # no pair yet
    metric = np.eye(D) + HESSIAN
    expected = 0.7 * metric
    for s, y in zip(moves[1:, 0], changes[1:, 0]):
        left = np.eye(D) - np.outer(s, y) / (s @ y)
        expected = left @ expected @ left.T + np.outer(s, s) / (s @ y)
    vector = RNG.normal(size=(1, D)).astype(np.float32)
    product = _inverse_hessian_times(
        tf.constant(vector), tf.constant(moves), tf.constant(changes), tf.constant([0.7]), tf.constant(metric, tf.float32)
    )
    np.testing.assert_allclose(product, vector @ expected, rtol=2e-3, atol=2e-3)


def test_each_problem_is_solved_as_if_alone():
    _, together, _ = iterate(quadratic, START, 12)
    for k in range(len(START)):
        _, alone, _ = iterate(quadratic, START[k : k + 1], 12)
        np.testing.assert_allclose(alone[:, 0], together[:, k], rtol=0.02, atol=1e-5)


def test_accepted_values_fall():
    """A point above the last accepted one is forgotten: the state's loss never rises."""
    z, state, last = tf.constant(START), lbfgs_init(tf.constant(START)), np.inf
    for _ in range(30):
        loss, gradient = valley(z)
        z, state = update(z, loss, gradient, state, tf.constant(5.0))
        assert (state.loss.numpy() <= last).all()
        last = state.loss.numpy()


@pytest.mark.parametrize("prior", ["l2", "sphere"])
def test_the_solver_takes_it(prior):
    """A curved map from 8 numbers to 8, with a preimage: fewer steps than Adam needs."""

    def generator(z):
        return tf.reshape(tf.tanh(tf.matmul(z, tf.constant(TURN * np.linspace(0.1, 1, D), tf.float32))), (-1, 2, 4, 1))

    def encoder(x):
        return tf.reshape(x, (-1, D))

    truth = START * np.sqrt(D) / np.linalg.norm(START, axis=1, keepdims=True)
    code = encoder(generator(tf.constant(truth, tf.float32)))
    losses = {}
    for name in ("adam", "lbfgs"):
        options = SolveOptions(steps=40, weight=0.0, prior=prior, optimizer=name)
        solver = Solver(generator, encoder, prior=prior, optimizer=name)
        losses[name] = solver.solve(code, D, options).loss
    assert np.median(losses["lbfgs"]) < 0.1 * np.median(losses["adam"])
