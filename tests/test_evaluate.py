"""An evaluation scores every picture once, goes on where it stopped, and its tables are sums done by hand."""

import json

import numpy as np
import pytest
import tensorflow as tf

from gekeras import GenerativeEncoder, evaluate, images, metrics
from gekeras.config import SolveOptions
from gekeras.data import Source
from gekeras.operators import bicubic, make_task

OPTIONS = SolveOptions(steps=3, seed=1)
RNG = np.random.default_rng(0)
PHOTOS = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
MIX = RNG.normal(size=(4, 8 * 8 * 3)).astype(np.float32)


def generator(latent):
    return tf.reshape(tf.tanh(tf.matmul(latent, MIX)), (-1, 8, 8, 3))


def encoder(image):
    return tf.reduce_mean(image, axis=(1, 2))


def decoder(code):
    """A flat picture of the code's color."""
    return tf.tile(tf.reshape(code, (-1, 1, 1, 3)), (1, 8, 8, 1))


@pytest.fixture
def model():
    return GenerativeEncoder(generator, encoder, 4, make_task("superres", factor=4), decoder)


@pytest.fixture
def source():
    return Source(PHOTOS)


def run(model, source, path, **extra):
    return evaluate.evaluate(model, source, OPTIONS, path, **{"batch_size": 2, **extra})


def test_methods_that_suit_a_task(model):
    assert set(evaluate.methods(model, OPTIONS)) == {"GE", "ConvAE", "invertGAN", "bicubic", "input"}
    plain = GenerativeEncoder(generator, encoder, 4, "reconstruct", decoder)
    assert set(evaluate.methods(plain, OPTIONS)) == {"GE", "ConvAE", "invertGAN"}


def test_what_the_methods_are(model):
    """The baselines of section 4.5, from their definitions."""
    truth = images.from_uint8(PHOTOS[:2])
    measurement = truth.reshape(2, 2, 4, 2, 4, 3).mean((2, 4))
    enlarged = measurement.repeat(4, 1).repeat(4, 2)
    table = evaluate.methods(model, OPTIONS)
    np.testing.assert_allclose(table["input"](measurement), enlarged, atol=1e-6)
    np.testing.assert_allclose(table["bicubic"](measurement), bicubic(tf.constant(measurement), 4), atol=1e-6)
    np.testing.assert_allclose(table["ConvAE"](measurement), decoder(encoder(enlarged)), atol=1e-5)
    np.testing.assert_allclose(table["GE"](measurement), model.solve(measurement, OPTIONS).image, atol=1e-6)
    pixels = GenerativeEncoder(generator, lambda x: tf.reshape(x, (-1, 192)), 4)  # E and S the identity, equation (4)
    np.testing.assert_allclose(table["invertGAN"](measurement), pixels.solve(enlarged, OPTIONS).image, atol=1e-4)


def test_every_picture_is_scored_with_every_method(model, source, tmp_path):
    rows = run(model, source, tmp_path / "a.jsonl")
    assert len(rows) == 5 * 5 and {row["image"] for row in rows} == {"0", "1", "2", "3", "4"}
    table = evaluate.methods(model, OPTIONS)
    truth = images.from_uint8(PHOTOS)
    measurement = model.task.degrade(tf.constant(truth)).numpy()
    for name, method in table.items():
        expected = metrics.scores(np.clip(method(measurement), -1, 1), truth)
        for metric in ("mse", "psnr", "ssim"):
            found = [row[metric] for row in sorted(rows, key=lambda row: row["image"]) if row["method"] == name]
            np.testing.assert_allclose(found, expected[metric], rtol=1e-3)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[1:] == rows
    assert lines[0]["task"] == "superres" and lines[0]["options"]["steps"] == 3


class Stopped(Exception):
    pass


def counting(monkeypatch, stop_at=None):
    """Count the pictures that each method restores; raise at the so-manieth call of any."""
    pictures, calls = {}, [0]
    real = evaluate.methods

    def methods(*args):
        def wrap(name, method):
            def counted(measurement):
                calls[0] += 1
                if stop_at is not None and calls[0] == stop_at:
                    raise Stopped
                pictures[name] = pictures.get(name, 0) + len(measurement)
                return method(measurement)

            return counted

        return {name: wrap(name, method) for name, method in real(*args).items()}

    monkeypatch.setattr(evaluate, "methods", methods)
    return pictures


@pytest.mark.parametrize("stop_at", [1, 4, 8, 15])
def test_an_interrupted_evaluation_goes_on(model, source, tmp_path, monkeypatch, stop_at):
    whole = run(model, source, tmp_path / "whole.jsonl")
    with monkeypatch.context() as patch:
        counting(patch, stop_at)
        with pytest.raises(Stopped):
            run(model, source, tmp_path / "parts.jsonl")
    done = len((tmp_path / "parts.jsonl").read_text().splitlines()) - 1
    with monkeypatch.context() as patch:
        pictures = counting(patch)
        parts = run(model, source, tmp_path / "parts.jsonl")
    assert sum(pictures.values()) == 25 - done  # nothing is computed twice
    assert parts == whole
    assert (tmp_path / "parts.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    with monkeypatch.context() as patch:
        pictures = counting(patch)
        assert run(model, source, tmp_path / "parts.jsonl") == whole and pictures == {}


@pytest.mark.parametrize("cut", [1, 20])
def test_a_last_line_that_was_cut_is_dropped_and_made_again(model, source, tmp_path, cut):
    path = tmp_path / "a.jsonl"
    whole = run(model, source, path)
    text = path.read_text()
    path.write_text(text[:-cut])
    again = run(model, source, path)
    assert again == whole
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == again


def test_another_evaluation_is_not_mixed_in(model, source, tmp_path):
    path = tmp_path / "a.jsonl"
    run(model, source, path, names=("bicubic",))
    before = path.read_text()
    with pytest.raises(ValueError, match=r"a\.jsonl holds an evaluation with other options"):
        evaluate.evaluate(model, source, SolveOptions(steps=4, seed=1), path)
    with pytest.raises(ValueError, match="other options"):
        run(GenerativeEncoder(generator, encoder, 4, "reconstruct", decoder), source, path)
    assert path.read_text() == before
    path.write_text("")
    with pytest.raises(ValueError, match="other options"):
        run(model, source, path)


def test_methods_can_be_chosen_and_added(model, source, tmp_path):
    told = []
    rows = run(model, source, tmp_path / "a.jsonl", names=("bicubic",), progress=lambda *counts: told.append(counts))
    assert {row["method"] for row in rows} == {"bicubic"} and told == [(2, 5), (4, 5), (5, 5)]
    rows = run(model, source, tmp_path / "a.jsonl", names=("bicubic", "input"))
    assert len(rows) == 10 and len({(row["image"], row["method"]) for row in rows}) == 10
    with pytest.raises(ValueError, match="unknown method GAN; there are GE, ConvAE, invertGAN, bicubic, input"):
        run(model, source, tmp_path / "b.jsonl", names=("GAN",))
    assert not (tmp_path / "b.jsonl").exists()


def test_more_pictures_are_added_to_an_evaluation(model, tmp_path):
    first = run(model, Source(PHOTOS[:3]), tmp_path / "a.jsonl", names=("bicubic", "input"))
    rows = run(model, Source(PHOTOS), tmp_path / "a.jsonl", names=("bicubic", "input"))
    assert rows[: len(first)] == first and len(rows) == 10
    assert len({(row["image"], row["method"]) for row in rows}) == 10


def test_the_batch_does_not_change_a_score(model, source, tmp_path):
    one, other = (run(model, source, tmp_path / f"{size}.jsonl", batch_size=size) for size in (1, 5))
    for row in one:
        (same,) = [r for r in other if (r["image"], r["method"]) == (row["image"], row["method"])]
        for metric in ("mse", "psnr", "ssim"):
            assert same[metric] == pytest.approx(row[metric], rel=1e-3)


ROWS = [
    {"image": "a", "method": "GE", "mse": 0.1, "psnr": 10.0, "ssim": 0.5},
    {"image": "b", "method": "GE", "mse": 0.3, "psnr": 14.0, "ssim": 0.7},
    {"image": "a", "method": "input", "mse": 0.2, "psnr": 1.0, "ssim": 0.25},
]


def test_summary_by_hand():
    ge, baseline = evaluate.summary(ROWS)
    assert ge == pytest.approx(
        {"method": "GE", "n": 2, "mse": 0.2, "mse_std": 0.1, "psnr": 12, "psnr_std": 2, "ssim": 0.6, "ssim_std": 0.1}
    )
    assert (baseline["method"], baseline["n"], baseline["psnr_std"], baseline["ssim"]) == ("input", 1, 0, 0.25)


def test_tables():
    table = evaluate.summary(ROWS)
    assert evaluate.to_markdown(table).splitlines() == [
        "| method | N | MSE | PSNR (dB) | SSIM |",
        "|---|---|---|---|---|",
        "| GE | 2 | 0.2000 ± 0.1000 | 12.00 ± 2.00 | 0.600 ± 0.100 |",
        "| input | 1 | 0.2000 ± 0.0000 | 1.00 ± 0.00 | 0.250 ± 0.000 |",
    ]
    header, first, second = evaluate.to_csv(table).splitlines()
    assert header == "method,n,mse,mse_std,psnr,psnr_std,ssim,ssim_std"
    assert [float(value) for value in first.split(",")[1:]] == pytest.approx([2, 0.2, 0.1, 12, 2, 0.6, 0.1])
    assert second.startswith("input,1,0.2,")
