"""Presets are found by name in a known order, say where they were looked for, and notice damage."""

import json
import os
import shutil
from pathlib import Path

import pytest

from gekeras.networks import presets, record


def make(place, name, **info):
    folder = place / name
    folder.mkdir(parents=True)
    record = {"resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}, "checksums": {}, **info}
    (folder / "preset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    """`--models` with one preset, the environment, the package and the checkout, in the order of the search."""
    package = tmp_path / "checkout" / "gekeras"
    monkeypatch.setattr(presets, "_PACKAGE", package)
    monkeypatch.setenv(presets.ENVIRONMENT, str(tmp_path / "environment"))
    (tmp_path / "environment").mkdir()
    make(tmp_path / "named", "own")
    return [
        tmp_path / "named",
        tmp_path / "environment",
        package / "saved_models",
        tmp_path / "checkout" / "saved_models",
    ]


def test_the_order_of_the_search(places):
    assert presets.places(places[0]) == places
    for place in reversed(places):  # each hides the ones after it
        folder = make(place, "faces")
        assert presets.load("faces", places[0]).folder == folder
    assert presets.load("faces").folder == places[1] / "faces"
    places[3].joinpath("faces", "preset.json").unlink()
    assert presets.load("faces").folder == places[1] / "faces"


def test_the_environment_names_one_place_or_several(places, tmp_path, monkeypatch):
    second = make(tmp_path / "second", "faces")
    monkeypatch.setenv(presets.ENVIRONMENT, os.pathsep.join([str(places[1]), "", str(second.parent)]))
    assert presets.places() == [places[1], second.parent, *places[2:]]
    assert presets.load("faces").folder == second
    first = make(places[1], "faces")
    assert presets.load("faces").folder == first
    monkeypatch.setenv(presets.ENVIRONMENT, "")  # as if it were not set
    assert presets.places() == places[2:]


def test_a_place_that_is_none_is_not_passed_over(places, tmp_path, monkeypatch):
    """Whatever is asked for: the package's preset of that name would be another one."""
    make(places[3], "faces")
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    for name, says in (("gone", "no such folder"), ("file", "is not a folder"), ("named/own", "is a preset itself")):
        place = tmp_path / name
        for load in (lambda: presets.load("faces", place), lambda: presets.load(str(places[0] / "own"), place)):  # noqa: B023
            with pytest.raises(presets.PresetError, match=rf"^models: {place}: {says}"):
                load()
        monkeypatch.setenv(presets.ENVIRONMENT, os.pathsep.join([str(places[1]), str(place)]))
        with pytest.raises(presets.PresetError, match=rf"^\$GEKERAS_MODELS: {place}: {says}"):
            presets.load("faces")
        assert presets.load(str(places[0] / "own")).name == "own"  # a folder needs no search
    monkeypatch.delenv(presets.ENVIRONMENT)
    for models in (tmp_path / "empty", str(tmp_path / "empty")):
        with pytest.raises(presets.PresetError, match=rf"^models: no preset in {tmp_path / 'empty'}$"):
            presets.available(models)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(presets.PresetError, match="named: permission denied"):
        presets.load("own", places[0])


def test_without_a_name_or_an_environment(places, monkeypatch):
    monkeypatch.delenv(presets.ENVIRONMENT)
    assert presets.places() == places[2:]
    assert presets.available() == {}


def test_presets_of_all_places_are_listed_and_the_first_of_a_name_wins(places):
    both = [make(places[k], "both") for k in (1, 3)]
    single = make(places[3], "single")
    (places[3] / "no-preset").mkdir()
    assert presets.available() == {"both": both[0], "single": single}


def test_an_unknown_preset_lists_the_places_and_what_there_is(places):
    make(places[3], "faces")
    with pytest.raises(presets.PresetError) as caught:
        presets.load("fases", places[0])
    message = str(caught.value)
    assert message.startswith("unknown preset 'fases'; found: own, faces (looked in ") and "\n" not in message
    assert all(str(place) in message for place in places)


def test_a_name_without_a_record(places, tmp_path, monkeypatch):
    (places[3] / "bare").mkdir(parents=True)
    with pytest.raises(presets.PresetError, match=r"unknown preset 'bare' \(\S+bare holds no preset\.json\); found: none"):
        presets.load("bare")
    monkeypatch.chdir(make(tmp_path, "here"))
    with pytest.raises(presets.PresetError, match="unknown preset ''; found"):  # a variable that is not set
        presets.load("")
    assert presets.load(".").name == "here"
    make(tmp_path / "here", "superres")
    assert presets.load("superres").folder == Path("superres")


def test_a_folder_is_a_preset_too(places, tmp_path):
    folder = make(tmp_path / "elsewhere", "mine", resolution=32)
    loaded = presets.load(str(folder))
    assert (loaded.name, loaded.folder, loaded.resolution) == ("mine", folder, 32)


def test_a_record_that_lacks_something(places):
    (make(places[0], "bare") / "preset.json").write_text('{"resolution": 8, "tasks": {}}')
    with pytest.raises(presets.PresetError, match=r"preset\.json: it lacks channels, latent_size, checksums"):
        presets.load("bare", places[0])


@pytest.mark.parametrize("text", ["{", "[]", "", b"\xff", "[" * 100_000])
def test_a_damaged_record(places, text):
    good = make(places[0], "good")
    (make(places[0], "bad") / "preset.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(presets.PresetError, match=r"bad/preset\.json: .*(cannot be read|is not a JSON object)"):
        presets.load("bad", places[0])
    assert presets.load("good", places[0]).folder == good


@pytest.mark.parametrize(
    "values, says",
    [
        ({"resolution": "64"}, "resolution must be a whole number above 0; found '64'"),
        ({"resolution": True}, "resolution must be a whole number above 0; found True"),
        ({"channels": 2}, "channels must be 1 or 3; found 2"),
        ({"latent_size": 0}, "latent_size must be a whole number above 0; found 0"),
        ({"tasks": ["superres"]}, "tasks must be tasks and their parameters; found ['superres']"),
        ({"tasks": {"superres": 4}}, "tasks must be tasks and their parameters; found {'superres': 4}"),
        ({"checksums": {"generator/1/saved_model.pb": 1}}, "checksums must be files and their checksums; found "),
        ({"latent": "cauchy"}, "latent must be one of normal, uniform; found 'cauchy'"),
        ({"range": [0, 1]}, "range must be [-1, 1], in which everything here computes; found [0, 1]"),
        ({"description": None}, "description must be text; found None"),
        ({"solve": []}, "solve must be solve options and their values; found []"),
        ({"solve": {"step": 3}}, "solve has step, which is no option of a solve; there are steps, optimizer, "),
        ({"solve": {"steps": 3.5}}, "solve: steps must be of type int; found 3.5"),
        ({"solve": {"consistent": 1}}, "solve: consistent must be of type bool; found 1"),
        ({"solve": {"prior": "l1"}}, "solve: prior must be one of l2, sphere, norm, box; found 'l1'"),
        (
            {"objectives": {"superres": {"pixel_weight": -1}}},
            "objectives of superres: pixel_weight must be 0 or more; found -1",
        ),
        ({"objectives": {"superres": 1}}, "objectives must be tasks and their solve options; found {'superres': 1}"),
        ({"starters": {"superres": {}}}, "starters must be tasks and the facts of their starters; found "),
        (
            {"scores": {"superres": {"methods": {"GE": {"n": 2}}}}},
            "scores must be tasks and the scores of their methods; found",
        ),
    ],
    ids=str,
)
def test_a_record_that_says_what_it_may_not(places, values, says):
    """In one line that names the file, before anything is computed with it."""
    make(places[0], "odd", **values)
    with pytest.raises(presets.PresetError) as caught:
        presets.load("odd", places[0])
    assert str(caught.value).startswith(f"{places[0] / 'odd' / 'preset.json'}: {says}") and "\n" not in str(caught.value)


def test_a_record_may_say_more(places):
    sets = {"solve": {"weight": 0, "prior": "norm"}, "objectives": {"superres": {"pixel_weight": 1}}}
    assert presets.load(make(places[0], "more", **sets, anything=[1]).as_posix()).info["anything"] == [1]


def test_a_task_it_was_not_trained_for(tiny):
    assert tiny.task_parameters("superres") == {"factor": 4, "kernel": "box"}
    with pytest.raises(presets.PresetError, match="preset 'tiny' has no task 'denoise'; it has superres, reconstruct"):
        tiny.task_parameters("denoise")


def test_the_newest_version_is_loaded(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    shutil.copytree(copy / "decoder-superres" / "1", copy / "generator" / "10")  # by number, not by name: 10 is after 9
    shutil.copytree(copy / "generator" / "1", copy / "generator" / "9")
    (copy / "generator" / "notes").mkdir()
    (copy / "generator" / "11-old").mkdir()
    info = json.loads((copy / "preset.json").read_text())
    sums = {file.relative_to(copy).as_posix(): presets.checksum(file) for file in presets.files_of_parts(copy)}
    (copy / "preset.json").write_text(json.dumps({**info, "checksums": sums}))
    part = presets.load(str(copy)).part("generator")
    assert list(part.signatures["serving_default"].structured_input_signature[1]) == ["code"]
    (copy / "generator" / "11").mkdir()  # TensorFlow Serving would take it: it is not passed over
    with pytest.raises(presets.PresetError, match="generator/11 is not a readable SavedModel"):
        presets.load(str(copy)).part("generator")


def test_which_parts_there_are(tiny, tmp_path):
    assert tiny.has("generator") and tiny.has("encoder-superres") and tiny.has("decoder-reconstruct")
    assert not tiny.has("encoder-denoise") and not tiny.has("aegan-encoder") and not tiny.has("encoder")
    copy = presets.load(str(shutil.copytree(tiny.folder, tmp_path / "tiny")))
    (copy.folder / "generator" / "1" / "saved_model.pb").unlink()
    (copy.folder / "aegan-encoder" / "1").mkdir(parents=True)
    assert copy.has("generator") and copy.has("aegan-encoder")  # damaged, which `part` tells
    assert tiny.missing() == [] and copy.missing() == ["generator"]
    (copy.folder / "decoder-superres" / "1" / "variables" / "variables.index").unlink()
    copy.info.update(aegan={}, starters={"superres": {"options": {}}})
    assert copy.missing() == ["generator", "decoder-superres", "starter-superres", "aegan-encoder", "aegan-generator"]


def test_a_part_s_checksum_tells_it_from_others(tiny, tmp_path):
    found = {name: tiny.part_checksum(name) for name in ("generator", "encoder-superres", "encoder-reconstruct")}
    assert len(set(found.values())) == 3 and all(len(value) == 64 for value in found.values())
    copy = presets.load(str(shutil.copytree(tiny.folder, tmp_path / "elsewhere")))
    assert {name: copy.part_checksum(name) for name in found} == found  # wherever it lies, whatever else is beside it
    copy.info["checksums"] = dict(reversed(copy.info["checksums"].items()))
    copy.info["checksums"]["encoder-superres-large/1/saved_model.pb"] = "0" * 64
    assert {name: copy.part_checksum(name) for name in found} == found
    copy.info["checksums"]["encoder-superres/1/saved_model.pb"] = "0" * 64
    assert [name for name in found if copy.part_checksum(name) != found[name]] == ["encoder-superres"]


def test_parts_that_are_missing_or_damaged(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    loaded = presets.load(str(copy))
    shutil.rmtree(copy / "decoder-superres")
    with pytest.raises(presets.PresetError, match=r"preset 'tiny' has no decoder-superres \(looked in "):
        loaded.part("decoder-superres")
    (copy / "encoder-superres/1/saved_model.pb").write_bytes(b"hello")
    (copy / "generator/1/saved_model.pb").unlink()
    weights = copy / "encoder-reconstruct/1/variables/variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:-100])
    for part in ("encoder-superres", "generator", "encoder-reconstruct"):
        with pytest.raises(presets.PresetError, match=r"1 is not what preset\.json records, and was not loaded: ") as caught:
            loaded.part(part)
        assert "\n" not in str(caught.value)


def test_verify_names_what_changed(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    loaded = presets.load(str(copy))
    assert loaded.verify() == []
    changed, gone = "generator/1/variables/variables.data-00000-of-00001", "encoder-superres/1/saved_model.pb"
    data = bytearray((copy / changed).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / changed).write_bytes(data)
    (copy / gone).unlink()
    assert sorted(loaded.verify()) == sorted([changed, gone])
    shutil.rmtree(copy / "training")  # is not installed with a wheel
    assert sorted(loaded.verify()) == sorted([changed, gone])
    shutil.copytree(copy / "generator" / "1", copy / "generator" / "2")  # which would be loaded from now on
    damaged = loaded.damaged()
    assert damaged.pop(changed) == "changed" and damaged.pop(gone) == "missing"
    assert set(damaged.values()) == {"not recorded"} and {name[:12] for name in damaged} == {"generator/2/"}


def test_where_no_preset_is_written(places, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint-000000016.npz").touch()
    for name, says in (("file", "is not a folder"), ("run", "is the folder of a run"), ("named", r"holds presets \(own, ")):
        with pytest.raises(ValueError, match=f"{tmp_path / name} {says}"):
            presets.check_target(tmp_path / name)
    for place in (tmp_path / "new", places[1], places[0] / "own"):
        presets.check_target(place)


@pytest.mark.parametrize("about", [{"tasks": {}}, {"resolution": 64}, {"objectives": {"denoise": {"steps": "many"}}}])
def test_a_description_says_nothing_of_the_parts(tmp_path, about):
    (tmp_path / "about.json").write_text(json.dumps({"description": "faces", **about}))
    with pytest.raises(
        ValueError, match=r"about\.json( says (tasks|resolution), which the parts|: objectives of denoise: steps)"
    ):
        record.read_about(tmp_path / "about.json")
    good = {"description": "faces", "terms": "none", "solve": {"steps": 3}, "whatever": 1}
    (tmp_path / "about.json").write_text(json.dumps(good))
    assert record.read_about(tmp_path / "about.json") == good


def test_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert presets.checksum(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert presets.checksum(tmp_path / "b") == ""


def test_scores_are_kept_in_the_record(tiny, tmp_path):
    copy = presets.load(str(shutil.copytree(tiny.folder, tmp_path / "tiny")))
    rows = [{"method": "GE", "n": 2, "mse": 0.5}, {"method": "bicubic", "n": 2, "mse": 0.25}]
    copy.record_scores("superres", rows, "photos, first 2 pictures", {"steps": 3})
    scores = presets.load(str(copy.folder)).info["scores"]["superres"]
    assert scores["methods"] == {"GE": {"n": 2, "mse": 0.5}, "bicubic": {"n": 2, "mse": 0.25}}
    assert scores["data"] == "photos, first 2 pictures" and scores["options"] == {"steps": 3}
    assert copy.verify() == []
