"""Pictures that have converged leave the batch, and nothing but the work changes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from test_solve import LATENT, SIDE, codes, curved_generator, encoder, masks, truths

from gekeras.config import SolveOptions
from gekeras.solve import Solver, Target, compaction, starts
from gekeras.solve.lbfgs import MEMORY

OPTIONS = SolveOptions(steps=120, weight=0.0, seed=4, tolerance=0.05, patience=5)
COUNT = 9


def easy_and_hard():
    """Codes of pictures that are done at once, sooner, and later: near the start, and anywhere."""
    answer = encoder(curved_generator(starts.draw(OPTIONS.seed, 1, LATENT))).numpy()
    return np.concatenate([answer, answer + 0.01, codes(COUNT - 2)])


def never_leave(monkeypatch):
    monkeypatch.setattr(compaction, "LEAVING", 2.0)


def solve(solver, target, callback=None, chunk=0, **changes):
    return solver.solve(target, LATENT, dataclasses.replace(OPTIONS, **changes), callback=callback, chunk=chunk)


# Of a latent, after tens of steps in batches of other sizes: the long steps of L-BFGS along flat directions make more of it.
ROUNDING = {"adam": 2e-3, "lbfgs": 2e-2}
ON_THE_WAY = {"adam": 1e-4, "lbfgs": 3e-3}  # of objectives that fall from above 2: L-BFGS multiplies rounding before it ends


def assert_same(one, other, optimizer="adam"):
    np.testing.assert_allclose(one.latent, other.latent, atol=ROUNDING[optimizer])
    np.testing.assert_allclose(one.image, other.image, atol=ROUNDING[optimizer])
    np.testing.assert_allclose(one.loss, other.loss, rtol=2e-3, atol=1e-5)
    np.testing.assert_allclose(one.history, other.history, rtol=1e-2, atol=ON_THE_WAY[optimizer])
    np.testing.assert_array_equal(one.steps, other.steps)


def targets():
    code, known = easy_and_hard(), masks(COUNT)
    y = truths(COUNT) * known
    return {"code": Target(code), "masked": Target(encoder(y), y, known)}


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind", ["code", "masked"])
def test_a_picture_is_the_same_compacted_or_not_or_alone(monkeypatch, optimizer, kind):
    solver, target = Solver(curved_generator, encoder, optimizer=optimizer), targets()[kind]
    settings = {
        "optimizer": optimizer,
        "pixel_weight": 1.0 if kind == "masked" else 0.0,
        "weight": 0.01,
    }  # an f that ends above 0
    compacted = solve(solver, target, **settings)
    assert len(set(compacted.steps)) > 2  # they leave at different times
    alone = [solve(solver, Target(*(p if p is None else p[i : i + 1] for p in target)), **settings) for i in range(COUNT)]
    for i, one in enumerate(alone):
        assert one.steps[0] == compacted.steps[i]
        np.testing.assert_allclose(one.latent[0], compacted.latent[i], atol=ROUNDING[optimizer])
        np.testing.assert_allclose(one.loss[0], compacted.loss[i], rtol=2e-3, atol=1e-5)
        losses = compacted.history[:, i]  # a picture that has left repeats its last objective
        np.testing.assert_array_equal(losses[one.steps[0] :], losses[one.steps[0]])
        np.testing.assert_allclose(losses[: len(one.history)], one.history[:, 0], rtol=1e-2, atol=ON_THE_WAY[optimizer])
    np.testing.assert_array_equal(compacted.loss, compacted.history.min(axis=0))
    never_leave(monkeypatch)
    assert_same(compacted, solve(solver, target, **settings), optimizer)


@pytest.mark.parametrize("chunk", [0, 1, 7])
def test_callbacks_hear_of_all_pictures(chunk):
    solver, calls = Solver(curved_generator, encoder), []
    target = Target(easy_and_hard())
    solution = solve(solver, target, lambda *news: calls.append(news), chunk)
    assert len(calls) >= 2 and calls[0][0] == 0
    for step, loss, latent in calls[1:]:
        assert loss.shape == (COUNT,) and latent.shape == (COUNT, LATENT)
        np.testing.assert_array_equal(loss, solution.history[:step].min(axis=0))
        again = np.square(encoder(curved_generator(tf.constant(latent))) - target.code).sum(axis=1)
        np.testing.assert_allclose(again, loss, rtol=1e-3, atol=1e-5)


def test_the_generator_sees_fewer_and_fewer_pictures(monkeypatch):
    """Counted where it costs: in the generator itself, at run time."""
    seen = []

    def generator(latent):
        image = curved_generator(latent)
        count = tf.py_function(lambda n: seen.append(int(n)) or n, [tf.shape(latent)[0]], tf.int32)
        with tf.control_dependencies([count]):
            return tf.identity(image)

    def counts():
        """Those of the loop, and those of the end."""
        seen.clear()
        at_end = []
        solver = Solver(generator, encoder)
        finish = solver.finish
        solver.finish = lambda *arguments: at_end.append(len(seen)) or finish(*arguments)
        return solve(solver, Target(easy_and_hard())), seen[: at_end[0]], seen[at_end[0] :]

    solution, loop, end = counts()
    steps = solution.history.shape[0]
    assert loop[0] == COUNT and min(loop) < COUNT and loop == sorted(loop, reverse=True)
    assert end[0] == COUNT and sum(end[1:]) < COUNT  # all that were not drawn last are drawn at once
    taken = int(solution.steps.sum()) + COUNT
    assert taken <= sum(loop) <= taken + COUNT + steps * COUNT * compaction.LEAVING
    never_leave(monkeypatch)
    _, all_stay, _ = counts()
    assert sum(all_stay) == COUNT * len(all_stay) > sum(loop)


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_pictures_leave_right_after_it_is_found_out(patience):
    """Which is at every multiple of `patience` but 0: from any step to right behind the next one."""
    for step in range(13):
        borders = [k for k in range(step + 1, 40) if k > 1 and (k - 1) % patience == 0]
        assert step + compaction._until_found_out(step, patience) == borders[0]


def test_shrinking_compiles_nothing():
    solver = Solver(curved_generator, encoder)
    for code in (easy_and_hard(), codes(7), easy_and_hard()[:5]):
        solve(solver, Target(code))
    assert solver.advance.experimental_get_tracing_count() == 1


def test_without_tolerance_the_solve_is_one_call():
    solver, calls = Solver(curved_generator, encoder), []
    run = solver.advance
    solver.advance = lambda *arguments: calls.append(arguments) or run(*arguments)
    solve(solver, Target(codes(3)), tolerance=0.0)
    assert len(calls) == 1


def test_a_network_that_wants_to_know_the_number_of_pictures_keeps_them_all():
    def stubborn(image):
        return encoder(tf.reshape(image, (image.shape[0], SIDE, SIDE, 1)))

    target = Target(easy_and_hard())
    one, other = (solve(Solver(curved_generator, network), target) for network in (stubborn, encoder))
    assert_same(one, other)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_gathering_takes_the_rows_of_every_field(optimizer):
    solver = Solver(curved_generator, encoder, optimizer=optimizer)
    state = solver.descent.begin(tf.random.stateless_normal((5, LATENT), (0, 0)))
    if optimizer == "lbfgs":
        pairs = tf.random.stateless_normal((MEMORY, 5, LATENT), (0, 1))
        state = state._replace(optimizer=state.optimizer._replace(moves=pairs))
    rows = np.array([0, 3])
    for field, gathered in zip(tf.nest.flatten(state), tf.nest.flatten(compaction.gather(state, rows))):
        where = {0: lambda x: x, 1: lambda x: x[rows], 2: lambda x: x[rows], 3: lambda x: x[:, rows]}[field.shape.rank]
        np.testing.assert_array_equal(gathered, where(field.numpy()) if field.shape.rank else field)
