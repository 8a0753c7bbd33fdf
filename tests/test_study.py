"""A study counts yes and no as by hand, goes on where it stopped, and its detector is the one that was trained."""

import csv
import dataclasses
import json
import math
import re
import runpy
import shutil
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from conftest import SIDE
from PIL import Image

from gekeras import data, files, images, study
from gekeras.cli import cli
from gekeras.config import Z_ALONE, DetectorOptions, StudyOptions
from gekeras.files import FileError
from gekeras.networks import ModelOptions
from gekeras.study import detector, labels, learning, regions, solving, statistics, tables

EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
OPTIONS = DetectorOptions(size=SIDE, width=4, images=96, batch_size=8, validation=10, spare=0.5, learning_rate=0.01, seed=4)
QUICK = {"steps": 2, "start": "random", "starts": 1, "optimizer": "adam"}
METHODS = ("invertGAN", "GE", "GE layers")

pytestmark = pytest.mark.usefixtures("compiled_once")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """40 dark pictures; the 16 whose label says so have a bright square where nothing else is."""
    folder = tmp_path_factory.mktemp("labeled") / "photos"
    folder.mkdir()
    rng = np.random.default_rng(2)
    rows = ["image,Square,Never,Odd"]
    for k in range(40):
        pixels = rng.integers(0, 90, (SIDE, SIDE, 3), dtype=np.uint8)
        has = k % 5 < 2
        if has:
            pixels[4:12, 4:12] = 250
        Image.fromarray(pixels).save(folder / f"q{k:02}.png")
        rows.append(f"q{k:02}.png,{int(has)},0,{'?' if k == 3 else -1 + 2 * has}")
    (folder.parent / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def table(photos):
    return photos.parent / "labels.csv"


@pytest.fixture(scope="module")
def trained(photos, table):
    """Folder of a detector of the square."""
    folder = photos.parent / "square"
    study.train_detector([photos], table, "Square", folder, OPTIONS)
    return folder


@pytest.fixture
def model(every_task):
    return ModelOptions("reconstruct", "tiny", every_task)


@pytest.fixture
def plain_methods(monkeypatch):
    """Dimmed pictures in the place of solves, which have a test of their own."""

    def methods(network, options):
        def dim(name, k):
            return solving.Method(lambda y, known, at_once: {name: y * (1 - k / 4)}, solving.paper_s(options))

        return {name: dim(name, k) for k, name in enumerate(METHODS)}

    monkeypatch.setattr(solving, "methods", methods)


def run(photos, table, trained, output, model, count=5, **extra):
    options = StudyOptions(count=count, **extra.pop("options", {"region": "4,4,8,8", "panels": 2}))
    changes = {**QUICK, "layers": "8", "layer_steps": 2, **extra.pop("changes", {})}
    return study.run([photos], table, "Square", trained, output, model, options, changes=changes, **extra)


# --------------------------------------------------------------------------------------------------- statistics


@pytest.mark.parametrize("gained, lost", [(0, 0), (1, 5), (157, 32), (7, 7), (0, 6)])
def test_mcnemar_is_a_sum_of_binomials(gained, lost):
    count, least = gained + lost, min(gained, lost)
    tail = sum(math.comb(count, k) for k in range(least + 1)) / 2**count
    assert statistics.mcnemar(gained, lost) == pytest.approx(min(1, 2 * tail), rel=1e-9)


@pytest.mark.parametrize("part, whole", [(0, 10), (157, 446), (10, 10)])
def test_wilson_s_interval_in_closed_form(part, whole):
    z, share = 1.959963984540054, part / whole
    middle = (share + z**2 / (2 * whole)) / (1 + z**2 / whole)
    half = z / (1 + z**2 / whole) * math.sqrt(share * (1 - share) / whole + z**2 / (4 * whole**2))
    assert statistics.wilson(part, whole) == pytest.approx((middle - half, middle + half), abs=1e-9)
    assert statistics.wilson(0, 0) == (0, 1)


def test_truth_table_and_scenarios():
    reference, method = [0, 0, 0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 1, 1, 1, 1]
    found = statistics.truth_table(reference, method)
    assert found == (1, 3, 1, 3) and (found.count, found.absent, found.present) == (8, 4, 4)
    with pytest.raises(ValueError, match="one length"):
        statistics.truth_table([True], [True, False])
    cases = {"a": (50, 9, 1, 0), "loss": (0, 1, 9, 50), "b": (9, 3, 2, 5), "none": (5, 3, 2, 9)}
    assert {name: statistics.scenario(statistics.TruthTable(*case)) for name, case in cases.items()} == {k: k for k in cases}


def test_accuracy_by_hand():
    truth, scores = np.array([1, 1, 1, 0, 0], bool), np.array([0.9, 0.5, 0.3, 0.3, 0.6])
    found = statistics.detection(truth, scores)
    pairs = [(a > b) + (a == b) / 2 for a in scores[truth] for b in scores[~truth]]
    assert found == pytest.approx(
        {
            "n": 5,
            "yes": 3,
            "accuracy": 3 / 5,
            "sensitivity": 2 / 3,
            "specificity": 1 / 2,
            "balanced_accuracy": 7 / 12,
            "auc": np.mean(pairs),
        }
    )
    with pytest.raises(ValueError, match="3 of 3"):
        statistics.detection(truth[:3], scores[:3])


def rows_of(answers):
    """Rows of pictures whose answers are those of the original, invertGAN and GE."""
    names = ("original", "invertGAN", "GE")
    return [
        {"image": str(k), "method": name, "score": score}
        for k, scores in enumerate(answers)
        for name, score in zip(names, scores)
    ]


def test_the_paper_s_table_from_its_answers():
    """947 valid ones of 1000, of the others some that are not seen and some that failed."""
    kinds = {(0.1, 0.2): 289, (0.1, 0.9): 157, (0.8, 0.3): 32, (0.9, 0.5): 469}
    answers = [(0.9, *pair) for pair, count in kinds.items() for _ in range(count)]
    answers += [(0.4, 0.9, 0.9)] * 40 + [(0.9, None, 0.9)] * 10 + [(0.9, 0.1, None)] * 2 + [(0.1, None, 0.9)]
    report = tables.summary(rows_of(answers), "Eyeglasses", ("invertGAN", "GE"), 0.5)
    assert [report[name] for name in ("n", "valid", "unseen", "failed")] == [1000, 947, 40, 13]
    (line,) = report["comparisons"]
    assert [line[name] for name in ("neither", "gained", "lost", "both")] == [289, 157, 32, 469]
    assert round(line["gained_share"], 2) == 0.35 and line["scenario"] == "a"  # "35% of samples", section 5.5
    assert line["p"] == statistics.mcnemar(157, 32)
    assert (line["lost_low"], line["lost_high"]) == statistics.wilson(32, 501)
    assert [(share["method"], share["yes"]) for share in report["shares"]] == [("invertGAN", 501), ("GE", 626)]
    page = tables.to_markdown(report, {"name": "own.keras"})
    assert "| GE no | 289 (30.5 %) | 32 (3.4 %) |\n| GE yes | 157 (16.6 %) | 469 (49.5 %) |" in page
    assert "scenario a" in page and "Detector own.keras: no accuracy" in page
    (written,) = csv.DictReader(tables.to_csv(report).splitlines())
    assert written["feature"] == "Eyeglasses" and int(written["gained"]) == 157 and int(written["unseen"]) == 40


def test_a_control_is_of_pictures_without_the_feature(photos, table, trained, model, tmp_path, plain_methods):
    report = run(photos, table, trained, tmp_path / "s", model, count=4, options={"without": True, "panels": 0})
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert {row["image"] for row in rows[1:]} <= {f"q{k:02}.png" for k in range(40) if k % 5 >= 2} and rows[0]["without"]
    assert [line["scenario"] for line in report["comparisons"]] == ["", ""] and report["valid"] + report["unseen"] == 4
    assert "pictures without Square" in (tmp_path / "s.md").read_text()
    seen = tables.summary(rows_of([(0.9, 0.1, 0.9), (0.1, 0.1, 0.9)]), "Hat", ("invertGAN", "GE"), 0.5, True)
    assert (seen["valid"], seen["unseen"], seen["comparisons"][0]["gained"]) == (1, 1, 1)


def test_a_study_without_a_valid_picture():
    report = tables.summary(rows_of([(0.1, 0.9, 0.9)]), "Hat", ("invertGAN", "GE"), 0.5)
    assert report["valid"] == 0 and report["comparisons"][0]["gained_share"] is None
    assert "(none, 95 %: 0.0 to 100.0 %)" in tables.to_markdown(report, {"name": "own"})


# ------------------------------------------------------------------------------------------------ labels and regions


@pytest.mark.parametrize(
    "text, feature, says",
    [
        ("image,Hat\na.png,1\n", "Hats", "no column 'Hats' (did you mean Hat?); it has Hat"),
        ("picture,Hat\na.png,1\n", "Hat", "no column image or image_id"),
        ("", "Hat", "found nothing"),
        ("image,Hat\na.png,yes\n", "Hat", "line 2: Hat must be 1, 0 or -1; found 'yes'"),
        ("image,Hat\na.png\n", "Hat", "line 2: Hat must be 1, 0 or -1"),
        ("image,Hat\na.png,1\na.png,0\n", "Hat", "line 3: a.png is there twice"),
    ],
)
def test_labels_that_are_refused(tmp_path, text, feature, says):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=re.escape(says)):
        labels.read(path, feature)


def test_labels_find_their_pictures(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("shard,image_id,Hat\nx,a.png,1\nx,b.png,-1\nx,in/c.png,0\n")
    items = [data.Entry(name, tmp_path) for name in ("of/b.png", "z.png", "in/c.png", "a.png")]
    known, found = labels.match(labels.read(path, "Hat"), items, path)
    assert list(known) == [0, 2, 3] and list(found) == [False, False, True]
    assert labels.unlabeled(known, items) == "1 of 4 pictures have no label and were left out"
    with pytest.raises(FileError, match=r"other pictures: it names a.png, and the first picture is z.png"):
        labels.match(labels.read(path, "Hat"), items[1:2], path)
    with pytest.raises(FileError, match="none of them has"):
        labels.match(labels.read(path, "Hat"), items[:3], path)


def test_regions_are_framed_and_cut_out():
    region = regions.region_of("2,3,4,5", 16)
    picture = np.full((16, 16, 1), -1, np.float32)
    picture[3:8, 2:6] = 1
    assert region.of(picture).shape == (5, 4, 1) and region.of(picture).min() == 1
    large = regions.marked(picture, region)
    factor, red = len(large) // 16, np.abs(large - [0.9, -0.9, -0.9]).max(-1) < 1e-6
    inside = np.zeros(red.shape, bool)
    inside[3 * factor : 8 * factor, 2 * factor : 6 * factor] = True
    assert large.shape[-1] == 3 and red.any() and not red[~inside].any() and (large[inside & ~red] == 1).all()
    np.testing.assert_array_equal(regions.marked(picture, None)[::factor, ::factor, :1], picture)
    for name in regions.NAMED:
        left, top, width, height = regions.region_of(name, 64)
        assert 0 <= left < left + width <= 64 and 0 <= top < top + height <= 64
    for text in ("nose", "1,2,3", "0,0,1,5", "-1,0,4,4"):
        with pytest.raises(ValueError, match="region must be eyes, mouth, top, or"):
            regions.check(text)
    with pytest.raises(ValueError, match="does not lie in pictures of 16x16"):
        regions.region_of("8,8,9,4", 16)


# -------------------------------------------------------------------------------------------------------- detector


def test_parts_have_nothing_in_common():
    kinds = np.arange(100) % 5 == 0
    training, held, spared = learning.split(kinds, dataclasses.replace(OPTIONS, validation=30))
    assert sorted(np.concatenate([training, held, spared])) == list(range(100))
    assert kinds[spared].all() and len(spared) == 10 and len(held) == 30
    with pytest.raises(ValueError, match="are too few"):
        learning.split(np.arange(12) == 3, OPTIONS)


def test_every_batch_is_half_of_each_kind():
    kinds = np.arange(30) < 3
    batches = list(learning.draws(kinds, OPTIONS))
    assert len(batches) == 12 and all(kinds[batch].sum() == 4 for batch in batches)
    shown = np.bincount(np.concatenate(batches), minlength=30)
    assert np.ptp(shown[:3]) <= 1 and np.ptp(shown[3:]) <= 1


def test_moved_pictures_keep_their_pixels():
    ramp = np.tile(np.arange(32, dtype=np.uint8)[None, None, :, None], (64, 32, 1, 3))
    shown = learning.moved(ramp, np.random.default_rng(0), True)
    mirrored = shown[:, 0, 5, 0] > shown[:, 0, 20, 0]
    assert 10 < mirrored.sum() < 54 and not (learning.moved(ramp, np.random.default_rng(0), False)[:, 0, 5, 0] > 20).any()
    shifts = np.unique(shown[~mirrored][:, 0, 16, 0].astype(int) - 16)
    assert set(shifts) == {-2, -1, 0, 1, 2}


def test_the_saved_detector_is_the_trained_one(photos, table, trained):
    """Trained again from the same seed, too; and what its record says is what it does."""
    record, items = json.loads((trained / detector.RECORD).read_text()), data.entries(photos)
    kinds = np.array([k % 5 < 2 for k in range(40)])
    parts = learning.split(kinds, OPTIONS)
    pictures = data.load_all(items, SIDE)
    network = learning.make_network(SIDE, 3, OPTIONS.width, OPTIONS.seed)
    learned = sorted(np.flatnonzero([item.name in detector.trained_on(trained) for item in items]))
    assert not set(learned) - set(parts.training)
    order = [k for k in parts.training if k in learned]
    order = parts.training[np.sort([list(parts.training).index(k) for k in order])]
    learning.fit(network, pictures[order], kinds[order], OPTIONS, lambda *_: None)
    live = np.asarray(network(images.from_uint8(pictures))).reshape(-1)
    saved = detector.load(trained, (SIDE, SIDE, 3))
    np.testing.assert_allclose(saved(images.from_uint8(pictures)), live, atol=1e-5)
    scores = statistics.detection(kinds[parts.held_out], live[parts.held_out])
    assert record["held_out"] == pytest.approx(scores, abs=1e-5) and scores["auc"] == 1
    assert record["pictures"] == {"trained_on": len(learned), "with_feature": int(kinds[learned].sum()), "spared": 8}


def test_detectors_that_are_refused(trained, tmp_path):
    assert detector.check(trained, "Square", False)["feature"] == "Square"
    with pytest.raises(ValueError, match="a detector of Square, and is to be asked about Hat"):
        detector.check(trained, "Hat", False)
    with pytest.raises(ValueError, match=f"takes {SIDE}x{SIDE}x3, and the pictures are 32x32x3"):
        detector.load(trained, (32, 32, 3))
    with pytest.raises(ValueError, match=f"takes pictures of {SIDE} px.*train one of --size 32"):
        detector.fits(detector.check(trained, "Square", False), 32)
    changed = shutil.copytree(trained, tmp_path / "changed")
    (changed / detector.PICTURES).write_text("other.png\n")
    with pytest.raises(FileError, match=r"was not loaded: trained-on\.txt"):
        detector.check(changed, "Square", False)
    (changed / detector.RECORD).unlink()
    with pytest.raises(ValueError, match="add --trust"):
        detector.check(changed, "Square", False)
    assert set(detector.check(changed, "Square", True)) == {"name", "sha256"}
    with pytest.raises(FileError, match="is not a detector and would be replaced"):
        detector.check_place(changed)
    detector.check_place(trained)
    (changed / detector.RECORD).write_text("{}")
    (changed / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="would be replaced"):
        detector.check_place(changed)


@pytest.mark.parametrize(
    "answer, says",
    [
        (lambda x: x[:, 0, 0, 0] * 9, r"values from -9 to -9; a probability"),
        (lambda x: x[:, 0, 0, :2], r"gives \[2, 2\] for 2 pictures"),
        (lambda x: tf.reshape(x, (7, -1)), "does not take pictures of 4x4x3"),
        (lambda x: x[:, 0, 0, 0] * np.nan, "values from nan"),
    ],
)
def test_answers_that_are_no_probabilities(answer, says):
    with pytest.raises(ValueError, match=says):
        detector.Detector(answer, "own")(np.full((2, 4, 4, 3), -1, np.float32))


# ------------------------------------------------------------------------------------------------------------ run


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_stopped_study_goes_on_and_ends_the_same(photos, table, trained, model, tmp_path, plain_methods):
    whole = run(photos, table, trained, tmp_path / "whole" / "s", model)
    ticks = []

    def stop(done, total, text):
        ticks.append((done, total))
        if len(ticks) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, table, trained, tmp_path / "cut" / "s", model, progress=stop)
    assert ticks == [(5, 20), (10, 20)] and not (tmp_path / "cut" / "s.csv").exists()
    lines = tmp_path / "cut" / "s.jsonl"
    lines.write_text(lines.read_text()[:-9])  # a row cut short
    again = []
    assert run(photos, table, trained, tmp_path / "cut" / "s", model, progress=lambda *a: again.append(a[:2])) == whole
    assert again == [(10, 20), (15, 20), (20, 20)]
    assert set(files_in(tmp_path / "cut")) == set(files_in(tmp_path / "whole"))
    for path, content in files_in(tmp_path / "whole").items():
        if path.suffix != ".jsonl":
            assert files_in(tmp_path / "cut")[path] == content, path
    # a lost picture is made again, and more pictures are added to those that there are
    picture = next((tmp_path / "cut" / "s.pictures" / "GE").iterdir())
    picture.unlink()
    more = []
    run(photos, table, trained, tmp_path / "cut" / "s", model, count=6, progress=lambda *a: more.append(a[:2]))
    answers = [(row["image"], row["method"]) for row in map(json.loads, lines.read_text().splitlines()[1:])]
    assert len(set(answers)) == len(answers) == 24
    assert picture.is_file() and more == [(20, 24), (21, 24), (23, 24), (24, 24)]
    with pytest.raises(ValueError, match=r"other circumstances \(options\)"):
        run(photos, table, trained, tmp_path / "cut" / "s", model, changes={"steps": 3})
    with files.alone(lines), pytest.raises(ValueError, match="another process is writing it"):
        run(photos, table, trained, tmp_path / "cut" / "s", model)


def test_the_methods_are_those_of_the_paper_and_the_preset_s_layer(every_task):
    from gekeras import GenerativeEncoder

    network = GenerativeEncoder.from_options(ModelOptions("superres", "tiny", every_task))
    options = network.options(**QUICK, layers="8", layer_steps=2, consistent=True, seed=3)
    found = solving.methods(network, options)
    assert tuple(found) == METHODS
    plain, layered = found["GE"].options, found["GE layers"].options
    assert (plain.code_weight, plain.pixel_weight, plain.decoder_weight) == (1, 0, 0)
    assert (plain.layers, plain.consistent, plain.steps, plain.seed) == (Z_ALONE, False, 2, 3)
    assert layered.layers == "8" and not layered.consistent
    y = np.random.default_rng(0).uniform(-1, 1, (2, SIDE // 4, SIDE // 4, 3)).astype(np.float32)
    for name in ("GE", "GE layers"):
        drawn = next(iter(found[name].run(y, None).values()))
        np.testing.assert_allclose(drawn, network.solve(y, found[name].options).image, atol=1e-5)
    assert tuple(solving.methods(network, plain)) == METHODS[:2]


def test_solves_that_fail_are_invalid(photos, table, trained, model, tmp_path, plain_methods, monkeypatch):
    made, second = solving.methods, np.arange(5)[:, None, None, None] == 1

    def failing(network, options):
        found = made(network, options)
        run = found["GE"].run

        def broken(y, known, at_once):
            return {name: np.where(second, np.nan, drawn) for name, drawn in run(y, known, at_once).items()}

        return {**found, "GE": found["GE"]._replace(run=broken)}

    monkeypatch.setattr(solving, "methods", failing)
    report = run(photos, table, trained, tmp_path / "s", model)
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()[1:]]
    assert report["failed"] == 1 and [row["score"] for row in rows if row["method"] == "GE"].count(None) == 1
    assert report["valid"] + report["unseen"] == 4 and len(list((tmp_path / "s.pictures" / "GE").iterdir())) == 4


def command(*arguments):
    apart = {"mix_stderr": False} if "mix_stderr" in CliRunner.__init__.__code__.co_varnames else {}  # click before 8.2
    return CliRunner(**apart).invoke(cli, ["study", *map(str, arguments)], prog_name="gekeras")


def given(photos, table, feature="Square"):
    return "--data", photos, "--labels", table, "--feature", feature


def test_the_commands(photos, table, trained, every_task, tmp_path):
    learn = ("--size", SIDE, "--width", 4, "--images", 96, "--batch", 8, "--validation", 10, "--learning-rate", 0.01)
    made = command("train-detector", *given(photos, table), "-o", tmp_path / "square", *learn, "--seed", 4)
    assert made.exit_code == 0, made.stderr
    assert "8 are spared\n10 held out" in made.stdout and "AUC 1.0000" in made.stdout
    same = [json.loads((folder / detector.RECORD).read_text())["held_out"] for folder in (tmp_path / "square", trained)]
    assert same[0] == same[1]
    solve = ("--models", every_task, "--preset", "tiny", "--steps", 2, "--starts", 1, "--optimizer", "adam", "--count", 3)
    found = command("run", *given(photos, table), "--detector", trained, *solve, "--region", "mouth", "-o", tmp_path / "s")
    assert found.exit_code == 0, found.stderr
    assert found.stdout == (tmp_path / "s.md").read_text() and found.stdout.startswith("# Study of Square\n")
    assert "16 pictures are with Square" in found.stderr and "no layer is searched" in found.stderr
    panels = list(tmp_path.glob("s.*.png"))
    assert panels and all(images.size(path)[1] > 3 * 384 for path in panels)


BAD = {
    "no such feature": (("run",), {"feature": "Squar"}, "did you mean Square?"),
    "one kind": (("run",), {"feature": "Never"}, "none of them has the feature"),
    "a value": (("run",), {"feature": "Odd"}, "line 5: Odd must be 1, 0 or -1; found '?'"),
    "no detector": (("run", "--detector", "nowhere"), {}, "has no detector.json"),
    "trusted, not there": (("run", "--detector", "nowhere", "--trust"), {}, "no such file or folder"),
    "a region": (("run", "--region", "nose"), {}, "region must be eyes"),
    "outside": (("run", "--region", "10,10,20,2"), {}, "does not lie in pictures of 16x16"),
    "no panels": (("run", "--region", "eyes", "--panels", 0), {}, "region would change nothing"),
    "a task": (("run", "--task", "sharpen"), {}, "has no task 'sharpen'"),
    "a layer": (("run", "--layers", "99"), {}, "has no layer"),
    "trusted, recorded": (("run", "--trust"), {}, "--trust is for files without a record"),
    "a threshold": (("run", "--threshold", 1), {}, "threshold must be above 0"),
    "too few": (("train-detector", "--validation", 39), {}, "are too few"),
    "one kind to learn": (("train-detector",), {"feature": "Never"}, "there is nothing to tell apart"),
    "other pictures": (("train-detector",), {"photos": "pictures"}, "has labels of other pictures"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name, photos, table, trained, every_task, pictures, tmp_path):
    arguments, changes, says = BAD[name]
    shown = pictures if "photos" in changes else photos
    usual = (
        ("--models", every_task, "--preset", "tiny", "--detector", trained) if arguments[0] == "run" else ("--size", SIDE)
    )
    words = (arguments[0], *given(shown, table, changes.get("feature", "Square")), *usual, *arguments[1:])
    result = command(*words, "-o", tmp_path / "out")
    assert result.exit_code == 2, (result.output, result.exception)
    (line,) = [text for text in result.stderr.splitlines() if text.startswith("gekeras: ")]
    assert says in line and result.stdout == "" and not list(tmp_path.iterdir())


def test_outputs_of_something_else_are_not_replaced(photos, table, trained, model, tmp_path, plain_methods):
    (tmp_path / "s.csv").write_text("method,n,mse\n")
    with pytest.raises(FileError, match=r"s\.csv: is not of a study"):
        run(photos, table, trained, tmp_path / "s", model)
    (tmp_path / "s.csv").unlink()
    (tmp_path / "s.a.png").write_text("mine")
    with pytest.raises(FileError, match=r"s\.a\.png: is there"):
        run(photos, table, trained, tmp_path / "s", model)
    with pytest.raises(ValueError, match="pixel_weight cannot be changed in a study"):
        run(photos, table, trained, tmp_path / "t", model, changes={"pixel_weight": 1.0})
    with pytest.raises(ValueError, match="has learned from all"):
        everything = shutil.copytree(trained, tmp_path / "all")
        (everything / detector.PICTURES).write_text("".join(f"q{k:02}.png\n" for k in range(40)))
        record = json.loads((everything / detector.RECORD).read_text())
        record["checksums"][detector.PICTURES] = detector.checksum(everything / detector.PICTURES)
        (everything / detector.RECORD).write_text(json.dumps(record))
        run(photos, table, everything, tmp_path / "t", model)


def test_a_detector_of_one_s_own(photos, table, every_task, tmp_path):
    """A Keras file, of pictures in [0, 1]: yes where the middle is bright."""
    inside = keras.Input((SIDE, SIDE, 3))
    outside = keras.layers.Flatten()(keras.layers.AveragePooling2D(SIDE)(inside))
    outside = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")(outside)
    keras.Model(inside, outside).save(tmp_path / "own.keras")
    own = ("--detector", tmp_path / "own.keras", "--trust", "--detector-range", "0,1", "--panels", 0, "--count", 2)
    solve = ("--models", every_task, "--preset", "tiny", "--steps", 1, "--starts", 1, "--optimizer", "adam")
    result = command("run", *given(photos, table), *own, *solve, "-o", tmp_path / "s")
    assert result.exit_code == 0, result.stderr
    assert "no accuracy on held-out pictures" in result.stdout and not list(tmp_path.glob("s.*.png"))
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()[1:]]
    for row in (row for row in rows if row["method"] == "original"):
        total = 3 * images.to_unit(images.read(photos / row["image"])).mean()
        assert row["score"] == pytest.approx(1 / (1 + math.exp(-total)), abs=1e-4)


def run_example(name, *arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_example_of_a_study(photos, table, every_task, tmp_path, capsys):
    run_example("feature_study.py", every_task / "tiny", photos, table, "Square", tmp_path / "out", 64, 10, 2)
    assert capsys.readouterr().out.startswith("# Study of Square\n\n2 pictures with Square")
    assert (tmp_path / "out" / "detector" / "1" / "saved_model.pb").is_file()
