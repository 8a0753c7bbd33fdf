"""The batch follows from the memory: what a step needs is counted as one would by hand, and the rule keeps its bounds."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import SIDE

from gekeras import GenerativeEncoder, SolveOptions
from gekeras.restore import memory
from gekeras.solve import Target

KB = 4 * 256  # bytes of a picture's vector of 256 numbers
VECTORS = tf.TensorSpec([None, 256])


def need(function, *specifications):
    return memory.need_of(tf.function(function).get_concrete_function(*(specifications or [VECTORS])))


# ------------------------------------------------------------------------------------------------ what is needed


def test_a_chain_holds_two_vectors_at_a_time():
    """Each is read once by the next: what is read and what is made, however long the chain is."""

    def chain(x):
        for _ in range(20):
            x = tf.sin(x)
        return x

    assert need(chain) == memory.Need(2 * KB, 0)


def test_a_gradient_holds_what_it_will_read():
    """sin' = cos of its own input: 20 inputs wait for the way back, and a few vectors are on it."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = x
            for _ in range(20):
                y = tf.sin(y)
        return tape.gradient(y, x)

    assert 20 * KB <= need(gradient).picture <= 25 * KB


def test_variables_are_nobody_s_and_what_is_made_of_them_is_everybody_s():
    weights = tf.Variable(tf.ones([256, 256]))
    needed = need(lambda x: tf.matmul(x, weights * 2.0))
    assert needed.picture == 2 * KB
    assert 256 * KB <= needed.fixed <= 2 * 256 * KB + 1000  # the variable as it is read, and twice it


def test_functions_loops_and_branches_are_walked():
    wide = tf.function(lambda x: tf.reduce_sum(tf.tile(x, [1, 10]), axis=1, keepdims=True) + x)
    plain = need(lambda x: wide(x))
    assert plain.picture >= 10 * KB
    loop = need(lambda x: tf.while_loop(lambda k, x: k < 9, lambda k, x: (k + 1, wide(x)), (0, x))[1])
    assert plain.picture <= loop.picture <= plain.picture + 2 * KB  # once, not nine times
    branch = need(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: wide(x), lambda: x))
    assert plain.picture <= branch.picture <= plain.picture + 2 * KB


def test_what_is_not_used_is_not_counted():
    def wasteful(x):
        tf.tile(x, [1, 100])
        return tf.sin(x)

    assert need(wasteful) == memory.Need(2 * KB, 0)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_solve_s_need_is_that_of_its_compiled_loop(optimizer):
    """From a shallow to a deep generator it grows, and the loop that was read is the one that solves."""
    sizes = []
    for depth in (2, 12):

        def generator(latent, depth=depth):
            image = tf.tile(latent, [1, 64])
            for _ in range(depth):
                image = tf.sin(image)
            return tf.reshape(image, (-1, SIDE, SIDE, 1))

        model = GenerativeEncoder(generator, lambda x: x[:, :, 0, 0], 4)
        options, target = SolveOptions(steps=2, optimizer=optimizer), Target(np.zeros((3, SIDE), np.float32))
        sizes.append(memory.for_solve(model, options, target).need.picture)
        solver = model.solver(options)
        solver.solve(target, 4, options)
        assert solver.advance.experimental_get_tracing_count() == 1
    assert sizes[1] - sizes[0] == 10 * KB


def test_a_preset_s_functions_are_walked(tiny):
    """SavedModels: their activations, and a solve's are more, since they wait for the way back."""
    model = GenerativeEncoder.from_preset(tiny, "reconstruct")
    pictures = np.zeros((2, *model.shape), np.float32)
    options = model.options()
    solving = memory.for_solve(model, options, model.target(pictures, options))
    decoding = memory.for_decoding(model, pictures)
    picture = pictures[0].nbytes
    assert 2 * picture < decoding.need.picture < solving.need.picture < 1000 * picture
    assert solving.size == decoding.size == memory.MOST


def test_a_network_that_wants_to_know_the_number_has_the_largest_batch():
    def stubborn(image):
        return tf.reshape(image, (image.shape[0], SIDE * SIDE))

    model = GenerativeEncoder(lambda z: tf.reshape(tf.tile(z, [1, 64]), (-1, SIDE, SIDE, 1)), stubborn, 4)
    target = Target(np.zeros((2, SIDE * SIDE), np.float32))
    assert memory.for_solve(model, SolveOptions(), target) == memory.Batch(memory.MOST)
    model.decoder = lambda code: tf.reshape(code, (code.shape[0], SIDE, SIDE, 1))
    assert memory.for_decoding(model, np.zeros((1, SIDE, SIDE, 1))) == memory.Batch(memory.MOST)
    assert memory.for_decoding(model, np.zeros((1, SIDE, SIDE, 1)), 5) == memory.Batch(5)


# ------------------------------------------------------------------------------------------------ the rule


def test_the_rule_is_monotone_and_bounded(monkeypatch):
    sizes = []
    for free in (0, 10**6, 10**7, 10**8, 10**9, 10**10, 10**12):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        sizes.append(memory.of_need(memory.Need(10**6, 2 * 10**6)).size)
        assert memory.of_need(memory.Need(2 * 10**6, 2 * 10**6)).size <= sizes[-1]
    assert sizes == [1, 1, 3, 48, 64, 64, 64]  # half of what is free, without what is fixed
    assert memory.of_need(None) == memory.Batch(memory.MOST)


def test_a_number_that_is_asked_for_is_taken(tiny):
    model = GenerativeEncoder.from_preset(tiny, "reconstruct")
    target = Target(np.zeros((1, tiny.info["code_size"]), np.float32))
    for asked in (3, 500):
        assert memory.for_solve(model, model.options(), target, asked) == memory.Batch(asked)


def test_what_is_free_is_told_or_guessed(monkeypatch, tmp_path):
    assert 0 <= memory.available() < 2**50
    limit, used = tmp_path / "limit", tmp_path / "used"
    monkeypatch.setattr(memory, "CGROUPS", ((limit, used), (tmp_path / "none", used)))
    monkeypatch.setattr(memory, "_free_in_machine", lambda: 10**9)
    assert memory.available() == 10**9  # no such files
    used.write_text("3000\n")
    for text, expected in (("max\n", 10**9), ("5000\n", 2000), ("1000\n", 0)):
        limit.write_text(text)
        assert memory.available() == expected
    limit.unlink()
    monkeypatch.setattr(memory, "_free_in_machine", lambda: None)
    assert memory.available() == memory.UNKNOWN


def test_parts_cover_everything_once():
    for count, batch in ((1, 64), (64, 64), (65, 64), (10, 3)):
        covered = np.concatenate([np.arange(count)[part] for part in memory.slices(count, batch)])
        np.testing.assert_array_equal(covered, np.arange(count))
        assert max(part.stop - part.start for part in memory.slices(count, batch)) <= batch


def test_what_is_said():
    batch = memory.Batch(12, memory.Need(481 * 10**6, 10**6), 11_600_000_000)
    assert batch.note() == "12 at a time: about 481 MB a picture, 11.6 GB free"
    assert batch.record() == {"picture": 481 * 10**6, "fixed": 10**6, "free": 11_600_000_000}
    assert memory.Batch(3).note() == "3 at a time" and memory.Batch(3).record() is None
