"""A result's record says all that it takes to make the result again, and it appears with the picture or not at all."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import SIDE
from PIL import Image

from gekeras import images, plots
from gekeras.config import PictureOptions, from_dict
from gekeras.files import FileError
from gekeras.networks import CustomNetworks, ModelOptions
from gekeras.pictures import faces
from gekeras.restore import Outputs, files, job, paths, results

pytestmark = pytest.mark.usefixtures("compiled_once")

FEW = {"steps": 3, "starts": 2}
SEED = {**FEW, "seed": 7}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch, rng):
    """With a photograph larger than a picture, one of a picture's size, and a mask for it, as the current one."""
    monkeypatch.chdir(tmp_path)
    for name, height, width in (
        ("photo.png", SIDE + 8, SIDE + 4),
        ("a.png", SIDE, SIDE),
        ("b.png", SIDE, SIDE),
        ("small.png", 5, 6),
    ):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / name)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[3:8, 2:6] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    for name, source in {"gray.png": "a.png", "gray-b.png": "b.png"}.items():
        Image.open(tmp_path / source).convert("L").save(tmp_path / name)
    return tmp_path


def networks_of(record):
    """The networks of one's own that a record names."""
    given = {}
    for name, part in record.get("networks", {}).items():
        given[name] = part["path"]
        given["generator_range" if name == "generator" else "encoder_range"] = tuple(part["range"])
        given |= {key: part[key] for key in ("latent", "latent_size") if key in part}
    return CustomNetworks(**given)


def again(record, output):
    """Restore from a record alone."""
    preset = {"preset": record["preset_folder"]} if record["preset_folder"] else {}
    model = ModelOptions(
        record["task"],
        **preset,
        parameters=record["parameters_given"],
        forward=record["forward"],
        custom=networks_of(record),
    )
    return files(
        [record["input"]],
        model,
        pictures=from_dict(PictureOptions, record["pictures"]),
        outputs=Outputs(output),
        fidelity=record["fidelity"],
        changes={**record["options_given"], "seed": record["seed"]},
        preview=record["method"] == "ConvAE",
        samples=record.get("uncertainty", {}).get("samples"),
        batch=record["batch"],
    )[0]


SIMULATE = PictureOptions(simulate=True)


@pytest.mark.parametrize(
    "name, task, model, given",
    [
        (
            "photo.png",
            "superres",
            {"forward": "identity"},
            {
                "pictures": PictureOptions(reduce=True),
                "changes": {**SEED, "prior": "norm", "weight": 0.5, "consistent": True},
            },
        ),
        ("a.png", "inpaint", {}, {"pictures": PictureOptions(box=(2, 3, 4, 5)), "samples": 2}),
        (
            "a.png",
            "denoise",
            {"parameters": {"sigma": 0.2}},
            {"pictures": SIMULATE, "changes": {"seed": 7}, "preview": True},
        ),
        ("a.png", "inpaint", {}, {"pictures": PictureOptions(mask="mask.png"), "preview": True}),
        (
            "gray.png",
            "deblur",
            {},
            {"pictures": PictureOptions(reference="gray-b.png", levels=(0.0, 128.0)), "preview": True},
        ),
        ("photo.png", "superres", {}, {"pictures": PictureOptions(tile=True), "preview": True}),
        ("small.png", "superres", {"parameters": {"kernel": "bicubic"}}, {"preview": True}),
    ],
)
def test_a_record_repeats_its_restoration(every_task, name, task, model, given):
    preset = {"preset": every_task / "tiny"} if given.get("preview") else {"preset": "tiny", "models": every_task}
    few = {} if given.get("preview") else {"changes": FEW}
    first = files([name], ModelOptions(task, **preset, **model), **{**few, "outputs": Outputs("1.png"), **given})[0]
    record = json.loads(Path("1.json").read_text())
    assert record == first.record
    second = again(record, "2.png")
    np.testing.assert_array_equal(images.read("2.png"), images.read("1.png"))
    np.testing.assert_array_equal(first.image, second.image)
    took = ("seconds", "job", "memory")
    assert {k: v for k, v in second.record.items() if k not in took} == {k: v for k, v in record.items() if k not in took}


def test_networks_of_one_s_own_too(tiny):
    parts = {name: tiny.folder / name for name in ("generator", "encoder-superres", "decoder-superres")}
    custom = CustomNetworks(*parts.values(), generator_range=(-1, 1))
    changes = {**FEW, "finalists": 1, "probes": 0}
    first = files(["small.png"], ModelOptions("superres", custom=custom), changes=changes, outputs=Outputs("1.png"))[0]
    assert first.record["preset"] is first.record["checksums"] is None
    np.testing.assert_array_equal(again(first.record, "2.png").image, first.image)


def test_what_a_record_says_of_the_files_and_the_job(tiny, models, monkeypatch):
    monkeypatch.setattr(faces, "find", lambda picture: [faces.Box(1, 2.5, 12), faces.Box(4, 0, 12)])
    model = ModelOptions("reconstruct", "tiny", models)
    pictures, outputs = PictureOptions(align=True), Outputs("out")
    found = files(["./photo.png", "a.png", "b.png"], model, pictures=pictures, outputs=outputs, changes=FEW)
    records = [result.record for result in found]
    assert [record["size"] for record in records] == [[SIDE + 4, SIDE + 8], [SIDE, SIDE], [SIDE, SIDE]]
    assert records[0]["faces"] == [[2.5, 1, 12, 0], [0, 4, 12, 0]] and records[0]["input"] == "photo.png"
    assert records[0]["pictures"] == {
        **dict.fromkeys(("mask", "box", "reference")),
        **dict.fromkeys(("simulate", "tile", "skip_faceless", "reduce"), False),
        "align": True,
        "levels": [],
    }
    assert records[0]["checksums"] == tiny.checksums_of("reconstruct") and records[0]["preset_folder"] == str(tiny.folder)
    assert [record["job"] for record in records] == [records[0]["job"]] * 3 and records[0]["job"]["solves"] == 6
    assert (
        sum(record["seconds"] for record in records) == pytest.approx(records[0]["job"]["seconds"])
        and records[0]["seconds"] > 0
    )
    plain = files(["photo.png"], model, outputs=outputs, preview=True)[0].record
    assert plain["faces"] is None and plain["seed"] == 0 and plain["options"] is None


def test_what_json_has_no_form_for(models):
    """Is told before nothing, as text: it takes no result along."""
    model = ModelOptions("superres", "tiny", models, parameters={"factor": np.int64(4), "kernel": "box"})
    (result,) = files(["small.png"], model, outputs=Outputs("1.png"), preview=True)
    assert result.record["parameters_given"] == {"factor": 4, "kernel": "box"}
    assert json.loads(Path("1.json").read_text()) == result.record


def test_a_picture_and_its_record_appear_together(models, monkeypatch):
    """The second of three cannot be written: the first is whole, and of the others there is nothing."""
    for name in ("photo.png", "a.png", "b.png"):
        Path(name).rename(f"{name[0]}.png")
    model, write, inputs = ModelOptions("reconstruct", "tiny", models), images.write, ["p.png", "a.png", "b.png"]

    def full(path, image):
        if path.name.startswith(stop):
            raise FileError(path, "cannot be written (No space left on device)")
        write(path, image)

    monkeypatch.setattr(results.images, "write", full)
    for stop, left in (("a.restored", ["p.restored.json", "p.restored.png"]), ("p.restored", None)):
        out = Path(stop.partition(".")[0])
        with pytest.raises(FileError, match="No space left"):
            files(inputs, model, preview=True, outputs=Outputs(f"{out}/", panel="panel.png"))
        assert (sorted(path.name for path in out.iterdir()) if out.exists() else None) == left
    assert not Path("panel.png").exists()
    stop = "nothing"

    def no_panel(*_):
        raise FileError("panel.png", "cannot be written")

    monkeypatch.setattr(plots, "panel", no_panel)  # what was restored stays
    with pytest.raises(FileError, match=r"panel\.png"):
        files(inputs, model, preview=True, outputs=Outputs("out", panel="panel.png"))
    assert len(list(Path("out").iterdir())) == 6


def test_a_result_too_large_for_its_format_is_refused_before_the_solve(models, monkeypatch):
    monkeypatch.setattr(job, "_solve", None)
    monkeypatch.setitem(paths.MOST_PIXELS, ".webp", 4 * SIDE)
    with pytest.raises(ValueError, match=r"1\.webp: 80x96 is too large for this format, 64 a side; name a \.png"):
        files(
            ["photo.png"],
            ModelOptions("superres", "tiny", models),
            pictures=PictureOptions(tile=True),
            outputs=Outputs("1.webp"),
        )
