"""An evaluation scores every picture once, goes on where it stopped, and its tables are sums done by hand."""

import dataclasses
import functools
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from gekeras import GenerativeEncoder, evaluation, files, images, metrics, perceptual
from gekeras.cli import cli
from gekeras.config import SolveOptions
from gekeras.data import Source
from gekeras.evaluation import baselines, journal, scoring, tables
from gekeras.evaluation.measures import Meters
from gekeras.evaluation.methods import groups
from gekeras.files import FileError
from gekeras.networks import ModelOptions
from gekeras.operators import Downsample, GaussianBlur, bicubic, make_task
from gekeras.operators.consistency import consistent
from gekeras.perceptual import weights
from gekeras.restore import codes, memory

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


@pytest.fixture(scope="module")
def model():
    return GenerativeEncoder(generator, encoder, 4, make_task("superres", factor=4), decoder)


@pytest.fixture
def source():
    return Source(PHOTOS)


def run(model, source, path, **extra):
    return scoring.score(model, source, OPTIONS, path, **{"batch_size": 2, **extra})


@functools.cache
def model_of(task, **parameters):
    return GenerativeEncoder(generator, encoder, 4, make_task(task, 8, **parameters), decoder)


def by_name(model, y, known=None, options=OPTIONS, **extra):
    """What all groups of methods make of a measurement, under their names."""
    found = {}
    for names, run in groups(model, options, **extra).items():
        pictures = run(y, known)
        assert tuple(pictures) == names
        found |= pictures
    return found


class Trained:
    """A preset with parts of these names; each part is a function."""

    def __init__(self, *parts):
        self.parts = parts

    def has(self, name):
        return name in self.parts

    def part(self, name):
        return {"aegan-encoder": lambda x: encoder(x) * 2, "aegan-generator": decoder}[name]


EXACT = ["GE", "GE consistent", "ConvAE", "ConvAE consistent", "invertGAN", "CSGM"]
GENERATIVE, AEGAN = ["GE", "ConvAE", "invertGAN"], Trained("aegan-encoder", "aegan-generator")


@pytest.mark.parametrize(
    "task, parameters, extra, names",
    [
        ("reconstruct", {}, {}, GENERATIVE),
        ("reconstruct", {}, {"preset": Trained()}, GENERATIVE),
        ("reconstruct", {}, {"preset": AEGAN}, [*GENERATIVE, "AEGAN"]),
        ("denoise", {}, {"preset": AEGAN}, [*GENERATIVE, "TV", "NLM", "input"]),
        ("inpaint", {}, {}, [*EXACT, "biharmonic", "input"]),
        ("deblur", {}, {}, [*EXACT, "Wiener", "Richardson-Lucy", "input"]),
        ("superres", {}, {}, [*EXACT, "bicubic", "input"]),
        ("sharpen", {"operator": "GaussianBlur"}, {}, [*EXACT, "Wiener", "Richardson-Lucy", "input"]),
        ("crush", {"operator": "JPEG"}, {}, [*GENERATIVE, "input"]),
        ("reconstruct", {}, {"bits": (16, 8)}, [*GENERATIVE, "GE 16 bit", "ConvAE 16 bit", "GE 8 bit", "ConvAE 8 bit"]),
    ],
)
def test_methods_that_suit_a_task(task, parameters, extra, names):
    table = groups(model_of(task, **parameters), OPTIONS, **extra)
    assert [name for group in table for name in group] == names


def observed(task):
    """Two measurements of a task, and their masks."""
    y, known = task.sample(tf.constant(images.from_uint8(PHOTOS[:2])), tf.constant([1, 0]))
    return y.numpy(), None if known is None else known.numpy()


def flat(image):
    return tf.reshape(image, (len(image), -1))


def by_code(encode, target):
    """argmin_z ||encode(G(z)) - target||^2 + lambda ||z||^2, with the same options and starts."""
    return GenerativeEncoder(generator, encode, 4).solve_code(target, OPTIONS).image


def test_what_the_methods_are(model):
    """The baselines of section 4.5, from their definitions."""
    truth = images.from_uint8(PHOTOS[:2])
    measurement = truth.reshape(2, 2, 4, 2, 4, 3).mean((2, 4))
    enlarged = measurement.repeat(4, 1).repeat(4, 2)
    found = by_name(model, measurement)
    np.testing.assert_allclose(found["input"], enlarged, atol=1e-6)
    np.testing.assert_allclose(found["bicubic"], bicubic(tf.constant(measurement), 4), atol=1e-6)
    np.testing.assert_allclose(found["ConvAE"], decoder(encoder(enlarged)), atol=1e-5)
    np.testing.assert_allclose(found["GE"], model.solve(measurement, OPTIONS).image, atol=1e-6)
    agreeing = model.solve(measurement, dataclasses.replace(OPTIONS, consistent=True)).image
    np.testing.assert_allclose(found["GE consistent"], agreeing, atol=1e-6)
    np.testing.assert_allclose(Downsample(4)(found["GE consistent"]), measurement, atol=1e-5)
    np.testing.assert_allclose(Downsample(4)(found["ConvAE consistent"]), measurement, atol=1e-5)
    pair = (found["ConvAE"], found["ConvAE consistent"])
    detail = [image - Downsample(4)(image).numpy().repeat(4, 1).repeat(4, 2) for image in pair]
    np.testing.assert_allclose(detail[0], detail[1], atol=1e-5)
    pixels = GenerativeEncoder(generator, lambda x: tf.reshape(x, (-1, 192)), 4)  # E and S the identity, equation (4)
    np.testing.assert_allclose(found["invertGAN"], pixels.solve(enlarged, OPTIONS).image, atol=1e-4)
    reduced = by_code(lambda x: tf.reshape(Downsample(4)(x), (-1, 12)), flat(measurement))
    np.testing.assert_allclose(found["CSGM"], reduced, atol=1e-4)


def test_the_methods_for_missing_pixels():
    model = model_of("inpaint")
    y, known = observed(model.task)
    found = by_name(model, y, known)
    np.testing.assert_array_equal(found["input"], y)
    np.testing.assert_array_equal(found["biharmonic"], baselines.biharmonic(y, known))
    np.testing.assert_allclose(found["ConvAE"], decoder(encoder(y)), atol=1e-5)
    np.testing.assert_allclose(found["GE"], model.solve(y, OPTIONS, known=known).image, atol=1e-6)
    for name in ("GE", "ConvAE"):
        np.testing.assert_allclose(found[f"{name} consistent"], np.where(known == 1, y, found[name]), atol=1e-5)
    np.testing.assert_allclose(found["invertGAN"], by_code(lambda x: tf.reshape(x, (-1, 192)), flat(y)), atol=1e-4)
    for i in range(2):  # CSGM knows which pixels are missing, invertGAN does not
        seen = np.flatnonzero(known[i].repeat(3, axis=2))
        alone = by_code(lambda x: tf.gather(tf.reshape(x, (-1, 192)), seen, axis=1), y[i].ravel()[None, seen])  # noqa: B023
        np.testing.assert_allclose(found["CSGM"][i : i + 1], alone, atol=1e-4)


def test_the_methods_for_noise():
    model = model_of("denoise", sigma=0.3)
    y, _ = observed(model.task)
    found = by_name(model, y)
    np.testing.assert_array_equal(found["TV"], baselines.total_variation(y, 0.3))
    np.testing.assert_array_equal(found["NLM"], baselines.non_local_means(y, 0.3))
    np.testing.assert_array_equal(found["input"], y)


def test_the_methods_for_blurs():
    model = model_of("deblur", sigma=1.0, size=5)
    y, _ = observed(model.task)
    found = by_name(model, y)
    kernel = GaussianBlur(1.0, 5).kernel
    np.testing.assert_array_equal(found["Wiener"], baselines.wiener(y, kernel))
    np.testing.assert_array_equal(found["Richardson-Lucy"], baselines.richardson_lucy(y, kernel, iterations=300))
    blurred = by_code(lambda x: tf.reshape(GaussianBlur(1.0, 5)(x), (-1, 192)), flat(y))
    np.testing.assert_allclose(found["CSGM"], blurred, atol=1e-4)
    np.testing.assert_allclose(found["GE consistent"], consistent(model.task, found["GE"], y), atol=1e-6)


def test_the_methods_of_reconstruct():
    model = model_of("reconstruct")
    y, _ = observed(model.task)
    found = by_name(model, y, preset=AEGAN, bits=(32, 8))
    np.testing.assert_allclose(found["AEGAN"], decoder(2 * encoder(y)), atol=1e-6)
    np.testing.assert_allclose(found["GE 32 bit"], found["GE"], atol=1e-5)
    np.testing.assert_allclose(found["ConvAE 32 bit"], found["ConvAE"], atol=1e-5)
    code = codes.dequantize(codes.quantize(model.encode(y), 8))
    assert (code != model.encode(y)).any()
    np.testing.assert_allclose(found["GE 8 bit"], model.solve_code(code, OPTIONS).image, atol=1e-5)
    np.testing.assert_allclose(found["ConvAE 8 bit"], decoder(code), atol=1e-5)
    pixels = by_name(model, y, options=dataclasses.replace(OPTIONS, pixel_weight=3.0), bits=(8,))
    np.testing.assert_allclose(pixels["GE 8 bit"], found["GE 8 bit"], atol=1e-5)  # whose receiver has no pixels


def test_baselines_are_not_what_the_options_add_to_ge(model):
    """Consistent options and a pixel weight change GE's rows only; `GE` itself stays uncorrected beside its twin."""
    y, _ = observed(model.task)
    plain = by_name(model, y)
    changed = by_name(model, y, options=dataclasses.replace(OPTIONS, consistent=True, pixel_weight=3.0))
    for name in plain:
        if name in ("GE", "GE consistent"):
            assert np.abs(plain[name] - changed[name]).max() > 1e-3
        else:
            np.testing.assert_allclose(changed[name], plain[name], atol=1e-6)
    assert np.abs(Downsample(4)(changed["GE"]) - y).max() > 1e-2


def test_measurements_are_what_a_file_holds():
    y = RNG.uniform(-1.2, 1.2, (2, 4, 4, 3)).astype(np.float32)
    rounded = scoring.as_file(y)
    levels = (rounded + 1) * 127.5
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    np.testing.assert_allclose(rounded, np.clip(y, -1, 1), atol=0.5001 / 127.5)
    np.testing.assert_array_equal(scoring.as_file(rounded), rounded)
    numbers = y.reshape(2, -1)
    assert scoring.as_file(numbers) is numbers


@pytest.mark.parametrize("task", ["superres", "inpaint", "denoise"])
def test_every_picture_is_scored_with_every_method(source, tmp_path, task):
    model = model_of(task)
    rows = run(model, source, tmp_path / "a.jsonl", batch_size=5)
    names = [name for group in groups(model, OPTIONS) for name in group]
    assert len(rows) == 5 * len(names) and {row["image"] for row in rows} == {"0", "1", "2", "3", "4"}
    truth = images.from_uint8(PHOTOS)
    y, known = model.task.sample(tf.constant(truth), tf.constant([OPTIONS.seed, 0]))
    y = scoring.as_file(y.numpy())
    if known is not None:
        known = known.numpy()
        y = y * known  # what is missing stays 0, which no file of 8 bits holds
    for name, pictures in by_name(model, y, known).items():
        expected = metrics.scores(np.clip(pictures, -1, 1), truth)
        for metric in ("mse", "psnr", "ssim"):
            found = [row[metric] for row in sorted(rows, key=lambda row: row["image"]) if row["method"] == name]
            np.testing.assert_allclose(found, expected[metric], rtol=1e-3)
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines[1:] == rows
    assert lines[0]["task"] == task and lines[0]["options"]["steps"] == 3
    assert lines[0]["parameters"] == model.task.parameters


class Stopped(Exception):
    pass


def counting(monkeypatch, stop_at=None):
    """Count the pictures that each group of methods restores; raise at the so-manieth call of any."""
    pictures, calls = {}, [0]
    real = scoring.groups

    def counted_groups(*args):
        def wrap(names, group):
            def counted(measurement, known, at_once):
                calls[0] += 1
                if stop_at is not None and calls[0] == stop_at:
                    raise Stopped
                pictures[names] = pictures.get(names, 0) + len(measurement)
                return group(measurement, known, at_once)

            return counted

        return {names: wrap(names, group) for names, group in real(*args).items()}

    monkeypatch.setattr(scoring, "groups", counted_groups)
    return pictures


@pytest.mark.parametrize(
    "task, stop_at", [("superres", 1), ("superres", 4), ("superres", 15), ("inpaint", 8), ("denoise", 9)]
)
def test_an_interrupted_evaluation_goes_on(source, tmp_path, monkeypatch, task, stop_at):
    model = model_of(task)
    whole = run(model, source, tmp_path / "whole.jsonl")
    with monkeypatch.context() as patch:
        counting(patch, stop_at)
        with pytest.raises(Stopped):
            run(model, source, tmp_path / "parts.jsonl")
    done = len((tmp_path / "parts.jsonl").read_text().splitlines()) - 1
    with monkeypatch.context() as patch:
        pictures = counting(patch)
        parts = run(model, source, tmp_path / "parts.jsonl")
    computed = sum(len(names) * count for names, count in pictures.items())
    assert computed == len(whole) - done  # nothing is computed twice
    assert parts == whole
    assert (tmp_path / "parts.jsonl").read_text() == (tmp_path / "whole.jsonl").read_text()
    with monkeypatch.context() as patch:
        pictures = counting(patch)
        assert run(model, source, tmp_path / "parts.jsonl") == whole and pictures == {}
        with files.alone(tmp_path / "parts.jsonl"), pytest.raises(ValueError, match="another process is writing it"):
            run(model, source, tmp_path / "parts.jsonl")


@pytest.mark.parametrize("lines", [1, 4, 17])
def test_a_group_that_was_cut_is_made_whole(model, source, tmp_path, lines):
    """Methods that share their work, and pictures that share a batch, are written one after the other."""
    path = tmp_path / "a.jsonl"
    whole = run(model, source, path)
    text = path.read_text()
    path.write_text("".join(text.splitlines(keepends=True)[: 1 + lines]) + '{"image": "1", "meth')
    assert run(model, source, path) == whole and path.read_text() == text


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
        scoring.score(model, source, SolveOptions(steps=4, seed=1), path)
    for other in (model_of("reconstruct"), model_of("superres", factor=2), model_of("superres", kernel="bicubic")):
        with pytest.raises(ValueError, match="other options"):
            run(other, source, path)
    assert path.read_text() == before
    path.write_text("")
    with pytest.raises(ValueError, match="other options"):
        run(model, source, path)


def test_methods_can_be_chosen_and_added(model, source, tmp_path):
    told = []
    rows = run(model, source, tmp_path / "a.jsonl", names=("bicubic",), progress=lambda *state: told.append(state))
    assert {row["method"] for row in rows} == {"bicubic"} and [state[:2] for state in told] == [(2, 5), (4, 5), (5, 5)]
    assert all(text.startswith(", about ") and text.endswith(" min left") for _, _, text in told)
    assert told[-1][2] == ", about 0.0 min left"
    rows = run(model, source, tmp_path / "a.jsonl", names=("bicubic", "input"))
    assert len(rows) == 10 and len({(row["image"], row["method"]) for row in rows}) == 10
    with pytest.raises(
        ValueError,
        match="unknown method GAN; there are GE, GE consistent, ConvAE, ConvAE consistent, invertGAN, CSGM, bicubic, in",
    ):
        run(model, source, tmp_path / "b.jsonl", names=("GAN",))
    assert not (tmp_path / "b.jsonl").exists()


def test_progress_counts_the_rows_that_were_asked_for(model, source, tmp_path):
    """Rows of other methods and of other pictures, which the file may hold, are neither done nor to do."""
    told = []
    run(model, source, tmp_path / "a.jsonl", names=("bicubic",))
    run(model, source, tmp_path / "a.jsonl", names=("input",), progress=lambda *state: told.append(state[:2]))
    run(model, source, tmp_path / "a.jsonl", names=("input", "ConvAE"), progress=lambda *state: told.append(state[:2]))
    few = Source(PHOTOS[:2])
    run(model, few, tmp_path / "a.jsonl", names=("CSGM", "input"), progress=lambda *state: told.append(state[:2]))
    assert told == [(2, 5), (4, 5), (5, 5), (7, 10), (9, 10), (10, 10), (4, 4)]


def test_one_of_a_group_can_be_chosen(model, source, tmp_path):
    rows = run(model, source, tmp_path / "a.jsonl", names=("GE consistent",))
    assert [row["method"] for row in rows] == ["GE consistent"] * 5
    both = run(model, source, tmp_path / "a.jsonl", names=("GE", "GE consistent"))
    assert sorted(row["method"] for row in both) == ["GE"] * 5 + ["GE consistent"] * 5
    assert [row for row in both if row["method"] == "GE consistent"] == rows


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


@pytest.mark.parametrize("task", ["inpaint", "denoise"])
def test_the_parts_do_not_change_a_score_and_are_bounded_by_the_memory(source, tmp_path, monkeypatch, task):
    """Noise and masks are drawn as before, for the whole batch; what is restored together is smaller."""
    seen, in_parts, found = [], scoring._in_parts, {}
    monkeypatch.setattr(scoring, "_in_parts", lambda *args: seen.append(args[-1]) or in_parts(*args))
    for free in (1, 10**12):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        path = tmp_path / f"{free}.jsonl"
        found[free] = run(model_of(task), source, path, names=("GE", "ConvAE", "invertGAN"), batch_size=5)
    assert seen == [1] * 3 + [memory.MOST] * 3
    for one, other in zip(*found.values()):
        assert one["image"] == other["image"] and one["mse"] == pytest.approx(other["mse"], rel=1e-3)


@pytest.fixture
def lpips_file(tmp_path, monkeypatch):
    """Of an AlexNet of few channels; a function of a seed."""
    monkeypatch.setattr(weights, "WIDTHS", (2, 3, 2, 2, 2))

    def saved(seed):
        rng = np.random.default_rng(seed)
        path = tmp_path / f"lpips{seed}.npz"
        np.savez(path, **{name: rng.uniform(0, 1, shape).astype("f4") for name, shape in weights.shapes().items()})
        return path

    return saved


def test_lpips_is_a_column_and_is_not_mixed(tmp_path, lpips_file):
    photos = RNG.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    mix = RNG.normal(size=(4, 32 * 32 * 3)).astype(np.float32)
    model = GenerativeEncoder(
        lambda z: tf.reshape(tf.tanh(tf.matmul(z, mix)), (-1, 32, 32, 3)), encoder, 4, make_task("superres", factor=4)
    )
    one, other = (perceptual.LPIPS.from_file(lpips_file(seed)) for seed in (1, 2))
    path, names = tmp_path / "a.jsonl", ("input", "bicubic")
    rows = run(model, Source(photos), path, names=names, meters=Meters(lpips=one))
    truth = images.from_uint8(photos)
    y = scoring.as_file(Downsample(4)(truth).numpy())
    enlarged = np.clip(bicubic(tf.constant(y), 4), -1, 1)
    found = [row["lpips"] for row in rows if row["method"] == "bicubic"]
    np.testing.assert_allclose(found, one(enlarged, truth), rtol=1e-5)
    assert json.loads(path.read_text().splitlines()[0])["lpips"] == one.sha256 != other.sha256
    text = path.read_text()
    path.write_text("".join(text.splitlines(keepends=True)[:3]))
    assert run(model, Source(photos), path, names=names, meters=Meters(lpips=one)) == rows and path.read_text() == text
    for another in (None, other):
        with pytest.raises(
            ValueError, match=rf"a\.jsonl holds an evaluation with LPIPS of the file of SHA-256 {one.sha256};"
        ):
            run(model, Source(photos), path, names=names, meters=Meters(lpips=another))
    assert path.read_text() == text
    plain = run(model, Source(photos), tmp_path / "b.jsonl", names=names)
    assert plain == [{key: value for key, value in row.items() if key != "lpips"} for row in rows]
    assert "lpips" not in (tmp_path / "b.jsonl").read_text()
    with pytest.raises(ValueError, match=r"b\.jsonl holds an evaluation without LPIPS; remove it or name another output"):
        run(model, Source(photos), tmp_path / "b.jsonl", names=names, meters=Meters(lpips=one))


def test_lpips_is_refused_before_any_work(models, pictures, tmp_path, monkeypatch, lpips_file):
    """A file that is not of its weights before TensorFlow is imported; pictures that are too small before any is solved."""
    named = ["--task", "superres", "--preset", "tiny", "--models", str(models), "--data", str(pictures)]
    (tmp_path / "bad").write_text("hello")
    with monkeypatch.context() as patch:
        patch.delattr(evaluation, "scoring")
        patch.setitem(sys.modules, "gekeras.evaluation.scoring", None)
        found = CliRunner().invoke(cli, ["eval", *named, "-o", str(tmp_path / "a"), "--lpips", str(tmp_path / "bad")])
    assert found.exit_code == 2 and f"{tmp_path / 'bad'}: cannot be read as the weights of LPIPS" in found.output
    with pytest.raises(ValueError, match=r"at least 31 pixels; received \[16, 16, 3\]"):
        evaluation.evaluate(pictures, ModelOptions("superres", "tiny", models), tmp_path / "a", lpips=lpips_file(1))
    assert not (tmp_path / "a.jsonl").exists()


ROWS = [
    {"image": "a", "method": "GE", "mse": 0.1, "psnr": 10.0, "ssim": 0.5},
    {"image": "b", "method": "GE", "mse": 0.3, "psnr": 14.0, "ssim": 0.7},
    {"image": "a", "method": "input", "mse": 0.2, "psnr": 1.0, "ssim": 0.25},
]


def test_summary_by_hand():
    ge, baseline = tables.summary(ROWS)
    assert ge == pytest.approx(
        {"method": "GE", "n": 2, "mse": 0.2, "mse_std": 0.1, "psnr": 12, "psnr_std": 2, "ssim": 0.6, "ssim_std": 0.1}
    )
    assert (baseline["method"], baseline["n"], baseline["psnr_std"], baseline["ssim"]) == ("input", 1, 0, 0.25)


def test_tables():
    table = tables.summary(ROWS)
    assert tables.to_markdown(table).splitlines() == [
        "| method | N | MSE | PSNR (dB) | SSIM |",
        "|---|---|---|---|---|",
        "| GE | 2 | 0.2000 ± 0.1000 | 12.00 ± 2.00 | 0.600 ± 0.100 |",
        "| input | 1 | 0.2000 ± 0.0000 | 1.00 ± 0.00 | 0.250 ± 0.000 |",
    ]
    header, first, second = tables.to_csv(table).splitlines()
    assert header == "method,n,mse,mse_std,psnr,psnr_std,ssim,ssim_std"
    assert [float(value) for value in first.split(",")[1:]] == pytest.approx([2, 0.2, 0.1, 12, 2, 0.6, 0.1])
    assert second.startswith("input,1,0.2,")


def test_tables_with_lpips():
    table = tables.summary([{**row, "lpips": value} for row, value in zip(ROWS, (0.1, 0.2, 0.5))])
    lines = tables.to_markdown(table).splitlines()
    assert lines[:2] == ["| method | N | MSE | PSNR (dB) | SSIM | LPIPS |", "|---|---|---|---|---|---|"]
    assert lines[2] == "| GE | 2 | 0.2000 ± 0.1000 | 12.00 ± 2.00 | 0.600 ± 0.100 | 0.150 ± 0.050 |"
    header, first, _ = tables.to_csv(table).splitlines()
    assert header == "method,n,mse,mse_std,psnr,psnr_std,ssim,ssim_std,lpips,lpips_std"
    assert [float(value) for value in first.split(",")[-2:]] == pytest.approx([0.15, 0.05])


@pytest.mark.parametrize(
    "stem, there, says",
    [
        ("new/", None, "'new/' is a folder; the output is the stem of three files in it"),
        (".", None, "'.' is a folder"),
        ("..", None, "'..' is a folder"),
        ("file/a", None, "file is not a folder"),
        ("n" * 300, None, "a name has at most"),
        ("new/" + "n" * 300, None, "a name has at most"),
        ("a", ("a.csv", "name,age"), r"a\.csv: is not of an evaluation"),
        ("a", ("a.md", "# Notes"), r"a\.md: is not of an evaluation"),
        ("a", ("a.jsonl", '{"task": "buy milk"}'), r"a\.jsonl: is not of an evaluation"),
        ("a", ("a.jsonl", "[" * 100_000), r"a\.jsonl: is not of an evaluation"),
        ("a", ("a.jsonl", ""), r"a\.jsonl: is not of an evaluation"),
    ],
)
def test_outputs_are_refused_before_any_work(models, pictures, tmp_path, monkeypatch, stem, there, says):
    """Before TensorFlow is imported, which the module of the work does."""
    monkeypatch.delattr(evaluation, "scoring")
    monkeypatch.setitem(sys.modules, "gekeras.evaluation.scoring", None)
    monkeypatch.chdir(tmp_path)
    for name, text in (("file", ""), *([there] if there else [])):
        (tmp_path / name).write_text(text)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=says):
        evaluation.evaluate(pictures, ModelOptions("superres", "tiny", models), stem)
    assert sorted(tmp_path.rglob("*")) == before and not (there and (tmp_path / there[0]).read_text() != there[1])


def test_the_files_of_an_evaluation_are_known(model, source, tmp_path, monkeypatch):
    lines, csv, markdown = tables.places(tmp_path / "deep" / "new.d" / "a.b")
    assert [path.name for path in (lines, csv, markdown)] == ["a.b.jsonl", "a.b.csv", "a.b.md"]
    table = tables.summary(run(model, source, lines, names=("input",)))
    with monkeypatch.context() as patch:
        patch.setattr(tables, "to_markdown", lambda table: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            tables.write(csv, markdown, table)
    assert [path.name for path in lines.parent.iterdir()] == ["a.b.jsonl"]
    tables.write(csv, markdown, table)
    assert tables.places(lines.with_suffix("")) == (lines, csv, markdown)


def test_a_full_disk_names_the_file():
    with pytest.raises(FileError, match="/dev/full: cannot be written"):
        journal.append(Path("/dev/full"), ROWS)
