"""A report shows what the tables have, is the same bytes however it came to be, and replaces nothing of others."""

import dataclasses
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from gekeras import evaluation
from gekeras.cli import cli
from gekeras.evaluation import journal, page
from gekeras.networks import ModelOptions

pytestmark = pytest.mark.usefixtures("compiled_once")
OPTIONS = {"count": 3, "methods": ("ConvAE", "input"), "batch": 2}

report = sys.modules["gekeras.evaluation.report"]  # the package's own name of it is the function


def both(models):
    return [ModelOptions(task, "tiny", models) for task in ("denoise", "inpaint")]


def test_a_report_has_every_number_and_is_the_same_after_a_stop(every_task, pictures, tmp_path, monkeypatch):
    found = evaluation.report(pictures, both(every_task), tmp_path / "a", **OPTIONS)
    text = (tmp_path / "a" / "index.html").read_text()
    assert list(found) == ["tiny-denoise", "tiny-inpaint"]
    tree = ET.fromstring(text.removeprefix(page.MARK))
    cells = [cell.text for cell in tree.iter("td")]
    for name, table in found.items():
        (lines,) = [evaluation.tables.cells(table)[1]]
        assert all(value in cells for line in lines for value in line)
        assert (tmp_path / "a" / f"{name}.md").read_text() == evaluation.to_markdown(table)
    assert "http" not in text and "<script" not in text
    real, calls = journal.append, []

    def stopping(path, rows):
        calls.append(path)
        if len(calls) == 6:  # within the second evaluation
            raise KeyboardInterrupt
        real(path, rows)

    with monkeypatch.context() as patch:
        patch.setattr(journal, "append", stopping)
        with pytest.raises(KeyboardInterrupt):
            evaluation.report(pictures, both(every_task), tmp_path / "b", **OPTIONS)
    assert not (tmp_path / "b" / "index.html").exists()
    for _ in range(2):
        evaluation.report(pictures, both(every_task), tmp_path / "b", **OPTIONS)
        assert (tmp_path / "b" / "index.html").read_text() == text


def test_a_report_is_refused(every_task, pictures, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "index.html").write_text("<p>mine</p>")
    (tmp_path / "file").write_text("")
    named = ["eval", "--data", str(pictures), "--preset", "tiny", "--models", str(every_task)]
    one, two = ["--task", "inpaint"], ["--task", "inpaint", "--task", "denoise"]
    for options, says in (
        ([*one, "--report", "r", "-o", "s"], "give one of them"),
        (one, "Missing option '-o'"),
        ([*two, "-o", "s"], "need --report"),
        ([*two, "--report", "r", "--set", "sigma=0.3"], "--set is of one task"),
        ([*one, *one, "--report", "r"], "named twice"),
        ([*one, "--report", str(tmp_path / "full")], "is not of an evaluation"),
        ([*one, "--report", str(tmp_path / "file")], "is not a folder"),
    ):
        done = CliRunner().invoke(cli, [*named, *options])
        assert done.exit_code == 2 and says in done.output, done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "full"]
    assert (tmp_path / "full" / "index.html").read_text() == "<p>mine</p>"


def test_methods_run_where_they_suit(every_task, pictures, tmp_path):
    """TV is denoise's, biharmonic inpaint's; a method of no task, and a task of no method, are refused before all else."""
    named = {**OPTIONS, "methods": ("biharmonic", "TV", "input")}
    found = evaluation.report(pictures, both(every_task), tmp_path / "a", **named)
    methods = {name: sorted(row["method"] for row in table) for name, table in found.items()}
    assert methods == {"tiny-denoise": ["TV", "input"], "tiny-inpaint": ["biharmonic", "input"]}
    for wrong, says in (
        (("TV", "best"), "unknown method best; there are GE, "),
        (("TV",), "tiny-inpaint has no TV; it has GE, "),
        (("biharmonic", "bicubic"), "unknown method bicubic; there are "),
    ):
        with pytest.raises(ValueError, match=says):
            evaluation.report(pictures, both(every_task), tmp_path / "b", **{**OPTIONS, "methods": wrong})
    assert not (tmp_path / "b").exists()
    coded = [ModelOptions(task, "tiny", every_task) for task in ("denoise", "reconstruct")]
    named = {**OPTIONS, "count": 1, "methods": ("ConvAE", "ConvAE 8 bit"), "bits": (8,)}
    found = evaluation.report(pictures, coded, tmp_path / "c", **named)
    assert [len(table) for table in found.values()] == [1, 2]


def test_the_first_the_best_and_the_worst():
    scores = [{"GE": {"mse": value}} for value in (0.3, 0.1, 0.2, 0.5, 0.4)]
    chosen = {"The first pictures": [0, 1, 2], "Best of GE by MSE": [1, 2], "Worst of GE by MSE": [3, 4]}
    assert report._chosen(scores, "GE", "mse") == chosen
    assert report._chosen(scores[:1], "GE", "mse") == {"The first pictures": [0]}


def test_pictures_that_do_not_suit_a_preset_are_said(tiny, rng):
    class Entry:
        def __init__(self, side, color):
            self.its = Image.fromarray(rng.integers(0, 256, (side, side, 3)[: 2 + color], dtype=np.uint8))

        def picture(self):
            return self.its

    gray = dataclasses.replace(tiny, folder=tiny.folder.parent / "gray", info={**tiny.info, "channels": 1})
    runs = {preset.name: ModelOptions("superres", preset) for preset in (tiny, gray)}
    left, told = report._suited(runs, [Entry(16, True)])
    assert list(left) == ["tiny"] and told == ["gray: the pictures are color, the preset is of gray ones"]
    assert list(report._suited(runs, [Entry(16, False)])[0]) == ["gray"]
    with pytest.raises(ValueError, match=r"suit no preset: .*sides of 8 pixels, the preset needs 16"):
        report._suited(runs, [Entry(8, True)])


def test_names_are_escaped():
    picture = np.zeros((2, 2, 1), np.uint8)
    row = page.Row("<a&b>", ["<"], [picture], [np.full((2, 2), 0.25)])
    section = page.Section("<t>", "&", ["<m>"], [["<"]], {"<s>": {"<g>": [1.0, 2.0]}}, ["<c>"], {"<p>": [row]}, ["a&b"])
    assert ET.fromstring(page.render([section], ["<x>"]).removeprefix(page.MARK)).find("body/h2").text == "<t>"
    np.testing.assert_array_equal(page._map(np.array([[0, 0.25, 0.5, 2]]))[..., 0], [[0, 128, 255, 255]])
