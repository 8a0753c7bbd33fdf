"""Latents in few bytes: what is packed comes back, fits, and a file of them is drawn as it was when it was made."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import images, restore
from gekeras.cli import cli
from gekeras.restore import codes, compress, latents, rate


def metric(size=32):
    """Inverse curvature whose directions differ a thousandfold."""
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]
    return (turn * np.geomspace(0.001, 1, size)) @ turn.T


def drawn(step, seed=0):
    """Numbers that follow the model."""
    rng, t = np.random.default_rng(seed), latents.decay(step)
    return np.clip((rng.geometric(1 - t) - 1) * rng.choice([-1, 1], len(t)), -latents.REACH, latents.REACH)


def bits(numbers, step):
    t = latents.decay(step)
    return -np.sum(np.log2((1 - t) / (1 + t)) + np.abs(numbers) * np.log2(t))


@pytest.mark.parametrize("level", [0, 24, 63])
def test_numbers_come_back_and_take_the_bits_that_they_have(level):
    _, longest = latents.axes(metric())
    step = latents.steps(longest, np.array(level))
    numbers = drawn(step)
    tight = int(np.ceil((bits(numbers, step) + 2) / 8)) + 1
    for size in (tight, tight + 1, 300):  # 300: more than the shares of all numbers have, 24 bits each
        row = latents.pack(numbers, level, step, size)
        assert row.dtype == np.uint8 and row.shape == (size,)
        assert (latents.unpack(row, longest) == numbers * step).all()
    assert latents.pack(numbers, level, step, int(bits(numbers, step) // 8)) is None


def test_shares_are_those_of_the_probabilities():
    for step in (0.01, 0.5, 8.0):
        t = float(latents.decay(np.array(step)))
        shares = np.diff(latents._starts(t)) / 2**24
        k = np.abs(np.arange(-latents.REACH, latents.REACH + 1))
        np.testing.assert_allclose(shares, (1 - t) / (1 + t) * t**k, atol=6e-4)
        assert shares.min() > 0 and shares.sum() == 1


def test_axes_do_not_depend_on_the_order_or_sign_of_eigenvectors():
    axes, longest = latents.axes(metric())
    np.testing.assert_allclose((axes * longest**2 / 64) @ axes.T, metric(), atol=1e-12)
    assert (axes.max(axis=0) >= -axes.min(axis=0)).all()
    assert (np.diff(longest) > 0).all()


def test_rows_that_were_not_made_for_these_axes_are_refused():
    _, longest = latents.axes(metric())
    step = latents.steps(longest, np.array(30))
    row = latents.pack(drawn(step), 30, step, 100)
    high, other = row.copy(), row.copy()
    high[0], other[-1] = 64, 1
    for bad in (high, other):
        with pytest.raises(ValueError, match=r"level is 64|its bits are not"):
            latents.unpack(bad, longest)


ROWS = np.arange(80, dtype=np.uint8).reshape(2, 40)
FILE = latents.LatentFile(ROWS, ["a.png", "b.png"], "tiny", "reconstruct", "0a", "0b", SIDE)


def test_files_round_trip_and_damaged_ones_are_refused_in_one_line(tmp_path):
    path = tmp_path / "a.npz"
    latents.save(path, FILE)
    read = latents.load(path)
    assert (read.code == FILE.code).all() and {**vars(read), "code": 0} == {**vars(FILE), "code": 0}
    with pytest.raises(codes.CodeError, match="version 2 of code files"):
        codes.load(path)
    data = path.read_bytes()
    for cut in range(0, len(data), 7):
        path.write_bytes(data[:cut])
        with pytest.raises(codes.CodeError) as caught:
            latents.load(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    for place in range(0, len(data), 3):  # what the archive does not look at changes nothing
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            assert (latents.load(path).code == FILE.code).all()
        except codes.CodeError as error:
            assert str(path) in str(error)
    for change, says in (
        ({"names": ["a"]}, "1 names for 2 codes"),
        ({"code": np.zeros((2, 8), np.uint8)}, "rows have 8 bytes"),
        ({"generator": "x"}, "generator must be a checksum"),
        ({"resolution": 0}, "resolution must be"),
    ):
        with pytest.raises(ValueError, match=says):
            latents.save(tmp_path / "no.npz", replace(FILE, **change))
    assert not (tmp_path / "no.npz").exists()
    for change in ({"preset": "other"}, {"generator": "0c"}, {"starter": "0c"}):
        with pytest.raises(codes.CodeError, match=r"a\.npz: its latents are of"):
            latents.check(replace(FILE, **change), path, preset="tiny", generator="0a", starter="0b")


class Linear:
    """A generator of 4x4 pictures, blind to the latent's length as a progressive GAN is, and its own metric."""

    def __init__(self, size=32):
        self.weights = np.random.default_rng(1).standard_normal((size, 48)).astype(np.float32) * 0.02
        self.weights[size // 2 :] *= 0.05
        self.inverse_curvature = np.linalg.inv(self.weights @ self.weights.T + 1e-3 * np.eye(size))
        self.inverse_curvature /= np.trace(self.inverse_curvature) / size

    def __call__(self, z):
        import tensorflow as tf

        return tf.reshape(tf.matmul(z, self.weights), (-1, 4, 4, 3))


def test_more_bytes_bring_the_picture_nearer_and_rows_are_drawn_as_they_were():
    generator, rng = Linear(), np.random.default_rng(2)
    z = rng.standard_normal((3, 32)).astype(np.float32)
    truth = np.asarray(generator(z * 32**0.5 / np.linalg.norm(z, axis=1, keepdims=True)))
    coder, errors = rate.Coder(generator, generator.inverse_curvature), []
    for size in (16, 32):
        found = coder.solve(truth, z, size)
        assert found.rows.shape == (3, size)
        assert (coder.pictures(found.rows) == found.image).all()
        errors.append(np.mean((found.image - truth) ** 2))
    assert errors[1] < errors[0] < 0.3 * np.mean(truth**2)


@pytest.fixture(scope="module")
def starred(tmp_path_factory, models):
    """A folder of presets that holds `tiny` with a starter for reconstruct."""
    from gekeras.models.starter import Starter
    from gekeras.training import export

    folder = shutil.copytree(models / "tiny", tmp_path_factory.mktemp("models") / "tiny")
    info = json.loads((folder / "preset.json").read_text())
    size, code = info["latent_size"], info["code_size"]
    starter = Starter(code, size, width=8, blocks=1)
    starter.get_layer("stretch").set_weights([np.eye(size, dtype=np.float32)])
    facts = {"task": "reconstruct", "images": 0, "real": 0, "error": 0, "options": {}}
    export.export_starter(starter, facts, folder)
    export.write_record(folder, {**info, "starters": {"reconstruct": {"options": {}}}})
    return folder.parent


@pytest.fixture
def picture(tmp_path, rng):
    path = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
    return path


def invoke(arguments):
    return CliRunner().invoke(cli, arguments, prog_name="gekeras")


def test_saved_is_live_and_says_its_size(starred, picture, tmp_path):
    """From the command line: the picture that is written is the one whose error was told."""
    out, models = tmp_path / "a.npz", ["--preset", "tiny", "--models", str(starred)]
    result = invoke(["encode", str(picture), "-o", str(out), "--bytes", "24", *models])
    assert result.exit_code == 0, result.output
    said = (
        f"a.npz: 1 latent of 24 bytes: {24 * 8 / SIDE**2:.3f} bits per pixel of {SIDE}x{SIDE}, {out.stat().st_size:,} bytes"
    )
    assert said in result.output
    result = invoke(["decode", str(out), "-o", str(tmp_path / "b.png"), *models])
    assert result.exit_code == 0, result.output
    found = np.mean((images.read(tmp_path / "b.png") - images.read(picture)) ** 2)
    encoded = restore.encode([picture], tmp_path / "c.npz", preset="tiny", models=starred, size=24)
    assert (tmp_path / "c.npz").read_bytes() == out.read_bytes()
    assert found == pytest.approx(encoded.error, abs=1e-3)  # the file has 8 bits
    for more in (["--preview"], ["--steps", "3"], ["--fidelity", "best"], ["--seed", "1"]):
        result = invoke(["decode", str(out), "-o", str(tmp_path / "d.png"), *models, *more])
        assert result.exit_code == 2 and f"{more[0][2:]} would change nothing" in result.output


def test_what_cannot_be_is_refused_before_any_work(models, starred, picture, tmp_path, monkeypatch):
    monkeypatch.setattr(compress, "encode_latents", None)
    for folder, given, says in (
        (starred, {"size": 15}, "bytes must be a whole number from 16 to 1024"),
        (starred, {"size": 24, "bits": 8}, "give one of bits and bytes"),
        (models, {"size": 24}, "preset tiny has no starter"),
    ):
        with pytest.raises(ValueError, match=says):
            restore.encode([picture], tmp_path / "a.npz", preset="tiny", models=folder, **given)
    assert not (tmp_path / "a.npz").exists()
