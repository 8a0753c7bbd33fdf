"""Presets are found by name in a known order, say where they were looked for, and notice damage."""

import json
import shutil

import pytest

from gekeras.networks import presets


def make(place, name, **info):
    folder = place / name
    folder.mkdir(parents=True)
    record = {"resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}, "checksums": {}, **info}
    (folder / "preset.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    """`--models`, the environment, the package and the checkout, all empty, in the order of the search."""
    package = tmp_path / "checkout" / "gekeras"
    monkeypatch.setattr(presets, "_PACKAGE", package)
    monkeypatch.setenv(presets.ENVIRONMENT, str(tmp_path / "environment"))
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
    assert message.startswith("unknown preset 'fases'; found: faces (looked in ") and "\n" not in message
    assert all(str(place) in message for place in places)


def test_a_folder_is_a_preset_too(places, tmp_path):
    folder = make(tmp_path / "elsewhere", "mine", resolution=32)
    loaded = presets.load(str(folder))
    assert (loaded.name, loaded.folder, loaded.resolution) == ("mine", folder, 32)


def test_a_record_that_lacks_something(places):
    (make(places[0], "bare") / "preset.json").write_text('{"resolution": 8, "tasks": {}}')
    with pytest.raises(presets.PresetError, match=r"preset\.json lacks channels, latent_size, checksums"):
        presets.load("bare", places[0])


def test_a_damaged_record(places):
    (make(places[0], "bad") / "preset.json").write_text("{")
    with pytest.raises(presets.PresetError, match=r"preset\.json: cannot be read"):
        presets.load("bad", places[0])


def test_a_task_it_was_not_trained_for(tiny):
    assert tiny.task_parameters("superres") == {"factor": 4, "kernel": "box"}
    with pytest.raises(presets.PresetError, match="preset 'tiny' has no task 'denoise'; it has superres, reconstruct"):
        tiny.task_parameters("denoise")


def test_the_newest_version_is_loaded(tiny, tmp_path):
    copy = shutil.copytree(tiny.folder, tmp_path / "tiny")
    shutil.copytree(copy / "decoder-superres" / "1", copy / "generator" / "10")  # by number, not by name: 10 is after 9
    shutil.copytree(copy / "generator" / "1", copy / "generator" / "9")
    (copy / "generator" / "notes").mkdir()
    part = presets.load(str(copy)).part("generator")
    assert list(part.signatures["serving_default"].structured_input_signature[1]) == ["code"]


def test_which_parts_there_are(tiny, tmp_path):
    assert tiny.has("generator") and tiny.has("encoder-superres") and tiny.has("decoder-reconstruct")
    assert not tiny.has("encoder-denoise") and not tiny.has("aegan-encoder") and not tiny.has("encoder")
    copy = presets.load(str(shutil.copytree(tiny.folder, tmp_path / "tiny")))
    (copy.folder / "generator" / "1" / "saved_model.pb").unlink()
    (copy.folder / "aegan-encoder" / "1").mkdir(parents=True)
    assert not copy.has("generator") and not copy.has("aegan-encoder")


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
        with pytest.raises(presets.PresetError, match="1 is not a readable SavedModel") as caught:
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
