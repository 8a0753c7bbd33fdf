"""Successive halving among the starts of a picture: who wins, what it costs, and that company changes nothing."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from test_solve import LATENT, OPTIONS, codes, curved_generator, encoder, masks, truths

from gekeras import GenerativeEncoder
from gekeras.config import UNAIDED, SolveOptions
from gekeras.solve import Solver, Target, halving, starts
from gekeras.solve.descent import make_parameters

MANY = dataclasses.replace(OPTIONS, starts=64, finalists=16, steps=200)


@pytest.fixture(scope="module", params=["adam", "lbfgs"])
def solver(request):
    return Solver(curved_generator, encoder, optimizer=request.param)


def solve(solver, target, options, **settings):
    return solver.solve(target, LATENT, options, **settings)


@pytest.mark.parametrize("count, steps, expected", [(8, 100, ((8, 3), (2, 6))), (16, 500, ((16, 3), (4, 6))), (1, 9, ())])
def test_rounds(count, steps, expected):
    assert halving.make_plan(count, steps).rounds == expected


@pytest.mark.parametrize("count", range(1, 40, 3))
@pytest.mark.parametrize("steps", [0, 1, 14, 100, 1400])
def test_the_rounds_cost_half_of_the_steps_at_most(count, steps):
    plan = halving.make_plan(count, steps)
    spent, own = (sum(n * each for n, each in plan.rounds), sum(each for _, each in plan.rounds))
    assert spent <= steps / 2 and plan.own == steps - (spent - own)
    counts = [n for n, _ in plan.rounds]
    assert counts == sorted(counts, reverse=True) and all(n > 1 for n in counts)


def test_the_winner_is_the_finalist_that_is_best_after_its_steps(solver):
    """Two finalists: both are solved alone for the first steps, the better one to the end."""
    options, code = dataclasses.replace(MANY, finalists=2, steps=40), codes(6)
    solution = solve(solver, code, options)
    drawn = starts.draw(options.seed, options.starts, LATENT)
    nearest = starts.nearest(solver.starts.compare, curved_generator(drawn), Target(tf.constant(code)), kept=2)
    initial = tf.gather(drawn, nearest)  # [n, 2, d]
    short, long = (dataclasses.replace(options, starts=1, finalists=1, steps=n) for n in (halving.FIRST, 40 - halving.FIRST))
    # The objective at the iterates that the first steps evaluate; the last iterate is not one of them.
    early = [solve(solver, code, short, initial=initial[:, k]).history[: halving.FIRST].min(axis=0) for k in (0, 1)]
    ends = [solve(solver, code, long, initial=initial[:, k]) for k in (0, 1)]
    second = early[1] < early[0]
    assert 0 < second.sum() < len(second)
    np.testing.assert_allclose(solution.loss, np.where(second, ends[1].loss, ends[0].loss), rtol=1e-3, atol=1e-6)
    expected = np.where(second[:, None], ends[1].latent, ends[0].latent)
    np.testing.assert_allclose(solution.latent, expected, atol=2e-3)
    assert solution.steps.tolist() == [40] * 6


def test_screening_sorts_the_candidates(solver):
    drawn = starts.draw(3, 40, LATENT)
    pictures, target = curved_generator(drawn), Target(tf.constant(codes(3)))
    apart = np.square(encoder(pictures).numpy()[None] - codes(3)[:, None]).sum(axis=2)
    nearest = starts.nearest(solver.starts.compare, pictures, target, kept=5)
    np.testing.assert_array_equal(nearest, np.argsort(apart, axis=1, kind="stable")[:, :5])


@pytest.mark.parametrize("steps", [200, 50, 7, 1, 0])
def test_the_history_has_every_evaluation(solver, steps):
    options = dataclasses.replace(MANY, steps=steps)
    solution = solve(solver, codes(3), options)
    assert solution.history.shape == (steps + 1, 3) and np.isfinite(solution.history).all()
    np.testing.assert_allclose(solution.history.min(axis=0), solution.loss, rtol=1e-6)
    assert solution.steps.tolist() == [steps] * 3


def test_where_the_steps_afford_no_round_the_best_candidate_goes_on(solver):
    few = dataclasses.replace(MANY, steps=5)
    one, other = (solve(solver, codes(3), dataclasses.replace(few, finalists=k)) for k in (1, 16))
    for a, b in zip(one[:5], other[:5]):
        np.testing.assert_array_equal(a, b)


def test_more_finalists_end_lower_on_average(solver):
    """On a curved problem with bad minima; each has the same evaluations."""
    loss = [solve(solver, codes(40), dataclasses.replace(MANY, finalists=k)).loss for k in (1, 16)]
    assert loss[1].mean() < loss[0].mean()


def test_a_picture_in_a_batch_is_solved_as_alone(solver):
    code = codes(4)
    together = solve(solver, code, MANY)
    for i in range(4):
        alone = solve(solver, code[i : i + 1], MANY)
        np.testing.assert_allclose(alone.latent[0], together.latent[i], atol=2e-3)
        assert alone.loss[0] == pytest.approx(together.loss[i], rel=1e-3, abs=1e-6)


def test_masked_pictures_too():
    solver, known = Solver(curved_generator, encoder), masks(3)
    target = Target(encoder(truths(3) * known), None, known)
    together = solve(solver, target, MANY)
    alone = solve(solver, Target(*(None if part is None else part[1:2] for part in target)), MANY)
    np.testing.assert_allclose(alone.latent[0], together.latent[1], atol=2e-3)


@pytest.mark.parametrize("at_once", [1, 5, 7, 48])
def test_groups_change_nothing(at_once):
    """Candidates, finalists and the draws of a metric: not in this solve, and not in the next one."""
    options = dataclasses.replace(MANY, probes=20)
    solver, other = (Solver(curved_generator, encoder, optimizer="lbfgs") for _ in range(2))
    whole = solve(solver, codes(3), options)
    for parts in (solve(other, codes(3), options, at_once=at_once), solve(other, codes(3), options)):
        np.testing.assert_allclose(parts.latent, whole.latent, atol=2e-3)
        np.testing.assert_array_equal(parts.steps, whole.steps)
    assert solver.advance.experimental_get_tracing_count() == other.advance.experimental_get_tracing_count() == 1


def counting(sizes):
    """The curved generator; the batches of its passes back are appended."""

    @tf.custom_gradient
    def watched(z):
        def back(upstream):
            n = tf.py_function(lambda n: sizes.append(int(n)) or n, [tf.shape(z)[0]], tf.int32)
            with tf.control_dependencies([n]):
                return tf.identity(upstream)

        return tf.identity(z), back

    return lambda z: curved_generator(watched(z))


@pytest.mark.parametrize("count, at_once, most", [(1, None, 1), (3, None, 3), (1, 8, 8), (3, 2, 3)])
def test_finalists_and_draws_take_no_more_memory_than_the_solve(count, at_once, most):
    """Unless the memory is known to hold more, and whatever it held before: the largest batch of a pass back."""
    sizes = []
    solver = Solver(counting(sizes), encoder, optimizer="lbfgs")
    for probes, earlier in ((20, 1), (21, 64)):  # other draws each time: they are kept
        solve(solver, codes(count), dataclasses.replace(MANY, steps=100, probes=30), at_once=earlier)
        sizes.clear()
        solve(solver, codes(count), dataclasses.replace(MANY, steps=100, probes=probes), at_once=at_once)
        assert max(sizes) == most


@pytest.mark.parametrize("at_once, most", [(None, starts.AT_ONCE), (1000, starts.AT_ONCE), (10, 10)])
def test_no_more_candidates_are_drawn_together_than_the_memory_holds(at_once, most):
    sizes = []

    def generator(latent):
        n = tf.py_function(lambda n: sizes.append(int(n)) or n, [tf.shape(latent)[0]], tf.int32)
        with tf.control_dependencies([n]):
            return curved_generator(latent)

    model = GenerativeEncoder(generator, encoder, LATENT)
    model.solve(truths(2), dataclasses.replace(MANY, starts=100, steps=0), at_once=at_once)
    assert max(sizes) == most


@pytest.mark.parametrize("steps", [5, 50, 200])
@pytest.mark.parametrize("count", [1, 3])
def test_the_steps_are_what_was_evaluated(steps, count):
    """Counted where it costs, in the generator at run time, finalists that lost included."""
    sizes = []
    solver = Solver(counting(sizes), encoder)
    solution = solve(solver, codes(count), dataclasses.replace(MANY, steps=steps))
    assert sum(sizes) == solution.steps.sum() == steps * count


def test_a_winner_is_charged_with_what_the_others_took():
    """16 starts take 3 steps, 4 take 6, one has taken 9 and cost 16 * 3 + 4 * 6."""
    solver, target, plan = Solver(curved_generator, encoder), Target(tf.constant(codes(2))), halving.make_plan(16, 200)
    parameters = make_parameters(MANY)
    state = solver.descent.begin(starts.draw(1, 32, LATENT))
    run = lambda state, target, count: solver.descent.advance(state, target, parameters, tf.constant(count))  # noqa: E731
    state, history = halving.compete(run, state, target, plan, at_once=32)
    assert (int(state.step), int(state.spent), state.taken.numpy().tolist()) == (9, 72, [72, 72])
    assert history.shape == (72, 2) and plan.own == 200 - 72 + 9


def test_what_converges_in_the_rounds_stays():
    """A tolerance of everything: all stop at the first mark, which lies within the rounds."""
    solver = Solver(curved_generator, encoder, optimizer="lbfgs")
    solution = solve(solver, codes(3), dataclasses.replace(MANY, tolerance=1e9, patience=1))
    plan = halving.make_plan(16, 200)
    assert len(solution.history) == sum(n * each for n, each in plan.rounds)
    np.testing.assert_allclose(solution.history.min(axis=0), solution.loss, rtol=1e-6)


def test_the_callback_hears_of_the_winners(solver):
    calls = []
    tell = lambda step, loss, latent: calls.append((step, loss, latent))  # noqa: E731
    solution = solve(solver, codes(3), MANY, callback=tell, chunk=50)
    plan = halving.make_plan(16, 200)
    spent = sum(n * each for n, each in plan.rounds)
    assert [step for step, _, _ in calls] == [0, spent, 100, 150, 200]
    for step, loss, latent in calls[1:]:
        assert latent.shape == (3, LATENT)
        np.testing.assert_allclose(loss, solution.history[:step].min(axis=0), rtol=1e-5)
    assert calls[0][1].tolist() == [np.inf] * 3 and calls[0][2].shape == (3, LATENT)


def test_a_given_start_has_no_rivals(solver):
    initial = np.random.default_rng(1).normal(size=(3, LATENT)).astype(np.float32)
    one, other = (solve(solver, codes(3), dataclasses.replace(MANY, finalists=k), initial=initial) for k in (1, 16))
    np.testing.assert_array_equal(one.latent, other.latent)


@pytest.mark.parametrize("finalists, count", [(0, 4), (5, 4), (2, 1)])
def test_bad_numbers(finalists, count):
    with pytest.raises(ValueError, match="finalists must be 1 or more"):
        SolveOptions(starts=count, finalists=finalists)


def test_fewer_starts_have_fewer_finalists():
    model = GenerativeEncoder(curved_generator, encoder, LATENT)
    assert model.options("fast") == UNAIDED["fast"] and UNAIDED["fast"].finalists > 4
    assert model.options("fast", starts=4).finalists == 4
    assert model.options("fast", starts=4, finalists=2).finalists == 2
    assert model.options("paper").finalists == 1
