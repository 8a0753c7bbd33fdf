"""A checkpoint is whole or absent: what was saved comes back, and damage is noticed, never read."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from gekeras.models.pgan import Generator
from gekeras.training import checkpoints, optimizers

ARRAYS = {"a/b/0": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(7, np.int64)}
RECORD = {"images": 32, "options": {"name": "é", "stages": [[8, 0, 1.5]]}}


def assert_same(found, arrays=ARRAYS, record=RECORD):
    assert found[1] == record
    assert set(found[0]) == set(arrays)
    for name, array in arrays.items():
        assert found[0][name].dtype == array.dtype
        np.testing.assert_array_equal(found[0][name], array)


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "folder" / "c.npz"
    checkpoints.save(path, ARRAYS, RECORD)
    assert_same(checkpoints.load(path))
    assert [p.name for p in path.parent.iterdir()] == ["c.npz"]


def test_rotation_keeps_the_newest(tmp_path):
    for images in (8, 16, 900, 10_000):
        path = checkpoints.save_rotating(tmp_path, images, ARRAYS, {"images": images})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000000900.npz", "checkpoint-000010000.npz"]
    assert path.name == "checkpoint-000010000.npz"
    assert checkpoints.load_latest(tmp_path)[1] == {"images": 10_000}


def test_nothing_there(tmp_path):
    assert checkpoints.load_latest(tmp_path) is None
    assert checkpoints.load_latest(tmp_path / "missing") is None


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "another"])
def test_a_damaged_file_is_passed_over_with_a_warning(tmp_path, damage):
    checkpoints.save_rotating(tmp_path, 8, ARRAYS, {"images": 8})
    newest = checkpoints.save_rotating(tmp_path, 16, ARRAYS, {"images": 16})
    data = bytearray(newest.read_bytes())
    place = data.find(ARRAYS["a/b/0"].tobytes())
    flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
    newest.write_bytes({"cut": data[: len(data) // 2], "empty": b"", "flipped": flipped, "another": b"hello"}[damage])
    with pytest.raises(ValueError, match=r"checkpoint-000000016\.npz is not a whole checkpoint"):
        checkpoints.load(newest)
    with pytest.warns(UserWarning, match=r"checkpoint-000000016\.npz is not a whole checkpoint.*trying the one before"):
        assert_same(checkpoints.load_latest(tmp_path), record={"images": 8})


def test_all_damaged_is_none(tmp_path):
    (tmp_path / "checkpoint-000000001.npz").write_bytes(b"")
    with pytest.warns(UserWarning, match="not a whole checkpoint"):
        assert checkpoints.load_latest(tmp_path) is None


def test_no_flipped_byte_gives_other_numbers(tmp_path, rng):
    """A changed byte is refused, or changes nothing that is read, or hides whole arrays, which `set_weights` refuses."""
    path = tmp_path / "c.npz"
    checkpoints.save(path, ARRAYS, RECORD)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :])
        try:
            found = checkpoints.load(path)
        except ValueError:
            refused += 1
        else:
            assert_same(found, {name: array for name, array in ARRAYS.items() if name in found[0]})
    assert refused > len(whole) / 2


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "c.npz"
    checkpoints.save(path, ARRAYS, RECORD)

    def full(*_):
        raise OSError(28, "No space left on device")

    for function in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, function, full)
            with pytest.raises(OSError, match="No space left"):
                checkpoints.save(path, {"other": np.zeros(3)}, {})
        assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]
        assert_same(checkpoints.load(path))


def test_weights_of_a_network(rng):
    one, other = (Generator(8, latent_size=4, fmap_base=16, fmap_max=4) for _ in range(2))
    arrays = checkpoints.weights_of("generator", one)
    assert sum(a.size for a in arrays.values()) == one.count_params()
    half = {name: a.astype(np.float16) for name, a in arrays.items()}
    z = rng.normal(size=(2, 4)).astype(np.float32)
    checkpoints.set_weights("generator", other, half)
    np.testing.assert_allclose(other(z), one(z), atol=1e-2)
    checkpoints.set_weights("generator", other, arrays)
    np.testing.assert_array_equal(other(z), one(z))
    del arrays["generator/conv_8_1/1"]
    with pytest.raises(ValueError, match="checkpoint lacks generator/conv_8_1/1"):
        checkpoints.set_weights("generator", other, arrays)


def test_an_optimizer_is_stored_alike_on_both_lines_of_keras():
    """Steps, then the two moments of each variable: a run that was begun on one line goes on on the other."""
    layer = keras.layers.Dense(3)
    layer.build((None, 2))
    optimizer = optimizers.adam(layer.trainable_variables, 0.1)
    optimizers.apply(optimizer, [tf.fill((2, 3), 2.0), tf.fill((3,), 5.0)], layer.trainable_variables)
    arrays = checkpoints.optimizer_of("adam", optimizer)
    assert {name: array.shape for name, array in arrays.items()} == {
        f"adam/{i}": shape for i, shape in enumerate([(), (2, 3), (2, 3), (3,), (3,)])
    }
    for found, value in zip(arrays.values(), [1, 2 / 10, 2**2 / 1000, 5 / 10, 5**2 / 1000]):
        np.testing.assert_allclose(found, value, rtol=1e-5)


def test_an_optimizer_goes_on_as_if_it_had_not_stopped():
    def step(optimizer, variable):
        optimizer.apply_gradients([(2 * variable - 1, variable)])

    variable = tf.Variable([1.0, -2.0])
    first = tf.keras.optimizers.Adam(0.1)
    first.build([variable])
    for _ in range(3):
        step(first, variable)
    copy, second = tf.Variable(variable), tf.keras.optimizers.Adam(0.1)
    second.build([copy])
    checkpoints.set_optimizer("adam", second, checkpoints.optimizer_of("adam", first))
    for _ in range(3):
        step(first, variable)
        step(second, copy)
    np.testing.assert_array_equal(copy, variable)
