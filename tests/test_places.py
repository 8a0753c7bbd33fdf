"""Where results go is settled before the work: no input and no stranger's file is replaced, whatever their names."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gekeras.config import PictureOptions
from gekeras.files import FileError
from gekeras.restore import Outputs, paths

RECORD = {"input": "a.png", "task": "superres", "method": "GE", "versions": {"gekeras": "1.0"}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """With two pictures, as the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name)
    return tmp_path


def plan(*inputs, output=None, panel=None, several=False, **options):
    return paths.plan([Path(name) for name in inputs], PictureOptions(**options), Outputs(output, panel), several)


def test_a_folder_is_one_that_is_there_or_is_called_one():
    Path("there.d").mkdir()
    for output in ("there.d", "new.folder/", "new", Path("new"), "./new.d/", Path("there.d"), "."):
        assert plan("a.png", "b.png", output=output).pictures == [Path(output) / f"{k}.restored.png" for k in "ab"], output
    assert plan("a.png", output="new.png").pictures == [Path("new.png")]
    for output in ("new.folder", "new.png", Path("new.folder/")):
        with pytest.raises(ValueError, match="is a file, but there are 2 inputs; give a folder"):
            plan("a.png", "b.png", output=output)
    with pytest.raises(FileError, match=r"a\.png is not a folder"):
        plan("b.png", output="a.png/")


@pytest.mark.parametrize(
    "written, text, says",
    [
        ("x.json", '{"annotations": []}', "x.json: is no record of a restoration"),
        ("x.json", json.dumps([RECORD]), "x.json: is no record"),
        ("x.json", json.dumps({**RECORD, "versions": ["gekeras"]}), "x.json: is no record"),
        ("x.json", "[" * 100_000, "x.json: is no record"),
        ("x.json", "", "x.json: is no record"),
        ("x.json", "\xff\x00", "x.json: is no record"),
        ("a.restored.json", "{}", "a.restored.json: is no record"),
        ("a.restored.png", "mine", "a.restored.png: would be replaced, and may be no result: a.restored.json, its record"),
        ("a.uncertainty.png", "mine", "a.uncertainty.png: would be replaced"),
        ("x.uncertainty.png", "mine", "x.uncertainty.png: would be replaced"),
        ("out/b.restored.png", "mine", "out/b.restored.png: would be replaced"),
        ("out/b.uncertainty.png", "mine", "out/b.uncertainty.png: would be replaced"),
        ("out/b.restored.json", "{}", "out/b.restored.json: is no record"),
    ],
)
def test_what_is_no_result_is_not_replaced(written, text, says):
    output = {"x": "x.png", "a": None, "o": "out"}[written[0]]
    inputs = ["a.png", "b.png"] if output == "out" else ["a.png"]
    Path("out").mkdir()
    Path(written).write_text(text, "latin-1")
    with pytest.raises(FileError, match=says):
        plan(*inputs, output=output, several=True)
    assert Path(written).read_text("latin-1") == text


def test_an_older_result_is_replaced():
    """One that has its record; and what was named itself, whatever it is."""
    for stem in ("a.restored", "x", "out/a.restored"):
        Path("out").mkdir(exist_ok=True)
        Path(f"{stem}.json").write_text(json.dumps(RECORD))
        Path(f"{stem}.png").write_text("an older result")
        Path(f"{stem.removesuffix('.restored')}.uncertainty.png").write_text("an older result")
    for output in (None, "x.png", "out"):
        assert len(plan("a.png", output=output, several=True).deviations) == 1
    Path("mine.png").write_text("mine")
    assert plan("a.png", output="mine.png", panel="mine.pdf").pictures == [Path("mine.png")]
    Path("large.json").write_text(json.dumps({**RECORD, "more": "x" * 100}))
    assert paths.is_record(Path("large.json")) and not paths.is_record(Path("out")) and not paths.is_record(Path("no.json"))


def test_what_is_too_large_for_a_record_is_not_read(monkeypatch):
    Path("large.json").write_text(json.dumps(RECORD))
    monkeypatch.setattr(paths, "RECORD_LIMIT", 10)
    assert not paths.is_record(Path("large.json"))


def test_no_input_is_replaced_by_any_name():
    os.symlink("a.png", "link.png")
    os.symlink("b.png", "a.restored.png")
    os.rename("b.png", "x.json")
    Path("x.png").write_bytes(Path("a.png").read_bytes())
    os.symlink("x.json", "b.png")
    for inputs, given, says in (
        (["a.png"], {"output": "link.png"}, "link.png is an input"),
        (["a.png"], {"output": "./a.png"}, "a.png is an input"),
        (["a.png"], {"panel": "link.png"}, "link.png is an input"),
        (["a.png", "b.png"], {}, "a.restored.png is an input"),
        (["x.json"], {"output": "x.png"}, "x.json is an input"),
        (["a.png"], {"output": "x.png", "mask": "x.png"}, "x.png is an input"),
        (["a.png"], {"output": "x.png", "reference": "x.json"}, "x.json is an input"),
    ):
        with pytest.raises(ValueError, match=says):
            plan(*inputs, **given)


def test_two_results_in_one_file_by_a_link():
    Path("out").mkdir()
    os.symlink("b.restored.png", "out/a.restored.png")
    with pytest.raises(ValueError, match=r"out/b.restored.png and out/a.restored.png are one file, by a link"):
        plan("a.png", "b.png", output="out")


def test_every_name_is_checked_before():
    """That of the record is the longest of a solve's, but for the deviation's."""
    most = os.pathconf(".", "PC_NAME_MAX")
    for length, several, says in (
        (most - len(".restored.json"), False, None),
        (most - len(".restored.png"), False, "restored.json: cannot be written: a name has at most"),
        (most - len(".uncertainty.png"), True, None),
        (most - len(".uncertainty.png") + 1, True, "uncertainty.png: cannot be written: a name has at most"),
    ):
        name = "n" * length + ".png"
        os.rename("a.png", name)
        for output in (None, "new", ".") if len(name) < most else ("new",):
            if says:
                with pytest.raises(FileError, match=says):
                    plan(name, output=output, several=several)
            else:
                plan(name, output=output, several=several)
        os.rename(name, "a.png")
    with pytest.raises(FileError, match="a name has at most"):
        plan("a.png", output="n" * (most + 1))
    with pytest.raises(FileError, match="a name has at most"):
        plan("a.png", panel="n" * most + ".png")


def test_sizes_that_a_format_does_not_have():
    paths.check_side(Path("a.png"), 10**6, 10**6)
    paths.check_side(Path("a.JPG"), 65_500, 1)
    for name in ("a.JPEG", "a.webp"):
        with pytest.raises(ValueError, match=f"{name}: 3x65501 is too large for this format"):
            paths.check_side(Path(name), 65_501, 3)
