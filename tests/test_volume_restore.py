"""Volumes restored slice by slice: measures against formulas, files against arrays, a stopped run against a whole one."""

import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from conftest import SIDE

from gekeras import GenerativeEncoder, files, images, metrics
from gekeras.cli import cli
from gekeras.config import SliceOptions, VolumeOptions
from gekeras.data import volumes
from gekeras.evaluation.scoring import degrade
from gekeras.networks import ModelOptions
from gekeras.operators.consistency import consistent
from gekeras.training import export
from gekeras.volumes import Cut, blocks, measures, planes, restore, scores, store, voxels

pytestmark = pytest.mark.usefixtures("compiled_once")

FEW = {"steps": 2, "starts": 2}
EXAMPLES = Path(__file__).resolve().parents[1] / "docs" / "examples"
SIMULATED = SliceOptions(simulate=True)


@pytest.fixture
def model(every_task):
    """Of the tiny preset, for a task."""
    return lambda task="denoise", **given: ModelOptions(task, "tiny", every_task, **given)


@pytest.fixture(scope="module")
def rock():
    """Smooth blobs of 8 bits, `[5, 16, 16]`."""
    from scipy.ndimage import gaussian_filter

    noise = gaussian_filter(np.random.default_rng(3).normal(size=(5, SIDE, SIDE)), 1.5)
    return np.clip(128 + 100 * noise / noise.std(), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path, rock, monkeypatch):
    np.save(tmp_path / "rock.npy", rock)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def volume_of(array, **levels):
    return planes.Volume(array, **{"low": 0.0, "high": 255.0, **levels})


def quick(source, model, output, options=SIMULATED, **given):
    """Solved in no time."""
    return restore(source, model, output, options=options, **{"changes": FEW, **given})


# ------------------------------------------------------------------------------------------------------- measures


def test_two_point_of_a_random_medium():
    """S2(0) is the porosity, and voxels that know nothing of each other are both pore with its square."""
    pore = np.random.default_rng(0).random((60, 61, 62)) < 0.3
    for axis in range(3):
        found = measures.two_point(pore, axis)
        assert len(found) == pore.shape[axis] // 2 + 1
        assert found[0] == pytest.approx(pore.mean(), abs=1e-12)
        np.testing.assert_allclose(found[1:], 0.09, atol=0.01)
        for r in (1, 7):  # by its definition; a periodic volume would have other pairs
            a, b = (np.moveaxis(pore, axis, 0)[part] for part in (slice(None, -r), slice(r, None)))
            assert found[r] == pytest.approx((a & b).mean(), abs=1e-12)


def test_two_point_read_plane_by_plane(rock):
    level = scores.threshold(volume_of(rock), None)
    pore = volume_of(rock).unit(rock) <= level
    for axis, found in enumerate(scores.correlations(volume_of(rock), level).values()):
        np.testing.assert_allclose(found, measures.two_point(pore, axis), atol=1e-12)


def test_threshold(rock):
    from skimage.filters import threshold_otsu

    level = scores.threshold(volume_of(rock), None)
    assert ((volume_of(rock).unit(rock) <= level) == (rock <= threshold_otsu(rock))).all()
    labels = volume_of(np.eye(4, dtype=np.uint8)[None], high=1.0)
    assert abs(scores.threshold(labels, None)) < 0.01  # in the middle of two values, wherever a histogram would stop
    assert scores.threshold(volume_of(rock), 51.0) == pytest.approx(-0.6)
    with pytest.raises(ValueError, match="one gray value"):
        scores.threshold(volume_of(np.zeros((2, 3, 3), np.uint8)), None)


def test_pores_added_and_removed():
    truth, found = np.zeros((2, 6, 9, 9), bool)
    truth[0:2, 0:2, 0:2] = found[1:3, 1:3, 1:3] = True  # moved, but still the same pore
    truth[4, 4:6, 4] = True  # removed
    found[5, 8, 0:3] = True  # added
    found[0, 8, 8] = found[1, 7, 8] = True  # they touch by an edge alone: two added
    assert measures.match(truth, found) == measures.Pores(2, 4, 3, 1, 5, 2)
    assert measures.match(truth, found, smallest=3) == measures.Pores(1, 2, 1, 0, 3, 0)
    assert (measures.unmatched_voxels(found, truth, 2) == (np.indices(found.shape)[0] == 5) & found).all()
    assert measures.match(truth, truth) == measures.Pores(2, 2, 0, 0, 0, 0)
    assert [measures.smallest_in_plane(n) for n in (1, 8, 27)] == [1, 4, 9]


def test_scores_are_those_of_arrays(rock, rng):
    other = np.clip(rock + rng.normal(0, 40, rock.shape), 0, 255).astype(np.uint8)
    truth, found, level = volume_of(rock), volume_of(other), -0.2
    score = scores.of(scores.of_truth(truth, level, SIMULATED), truth, found, level, SIMULATED)
    a, b = (np.moveaxis(volume.unit(volume.values), 0, -1) for volume in (truth, found))
    assert score["mse"] == pytest.approx(metrics.mse(b[None], a[None])[0], rel=1e-6)
    assert score["psnr"] == pytest.approx(metrics.psnr(b[None], a[None])[0], rel=1e-6)
    assert score["porosity"] == pytest.approx((b <= level).mean())
    assert score["jump"] == pytest.approx(np.abs(np.diff(b)).mean(), rel=1e-5)
    assert score["jump_ratio"] == pytest.approx(np.abs(np.diff(b)).mean() / np.abs(np.diff(a)).mean(), rel=1e-5)
    assert score["pores"] == measures.match(a <= level, b <= level, 27)._asdict()
    each = [measures.match(p <= level, q <= level, 9) for p, q in zip(a, b)]  # across y
    assert score["cuts"]["y"]["added"] == sum(one.added for one in each)
    assert scores.of(scores.of_truth(truth, level, SIMULATED), truth, found, level, SIMULATED, 1)["pores"] is None


def test_a_file_that_changed_is_read_anew(folder, rock):
    """So is another one of the same relative path."""
    before = volumes.read(Path("rock.npy"), VolumeOptions())
    assert volumes.read(Path("rock.npy"), VolumeOptions()) is before
    np.save("rock.npy", rock[:3] // 2)
    assert (volumes.read(Path("rock.npy"), VolumeOptions()) == rock[:3] // 2).all()


@pytest.mark.parametrize("dtype, low, high", [("uint8", 0, 255), ("uint16", 100, 4000), ("float32", -1.5, 2.5)])
def test_gray_values_and_back(dtype, low, high, rng):
    values = rng.uniform(low, high, (2, 3, 4)).astype(dtype)
    for negative in (False, True):
        volume = planes.Volume(values, low, high, negative)
        assert volume.dtype == dtype
        np.testing.assert_allclose(volume.gray(volume.unit(values)), values, atol=1e-5)
        assert (np.sign(volume.unit(high)) > 0) != negative
    assert planes.Volume(values.astype(np.uint8) % 2, 0, 1).dtype == np.float32


# ------------------------------------------------------------------------------------------------------- restoring


def test_is_what_the_model_makes_of_the_slices(folder, rock, model):
    """Read, degraded, solved, and written block by block, as all at once in memory."""
    result = quick("rock.npy", model(), "out.npy", methods=("GE", "ConvAE"), batch=2)
    ge = GenerativeEncoder.from_options(model())
    truth = rock[..., None] / np.float32(127.5) - 1
    y = np.repeat(np.concatenate([degrade(ge.task, plane[None], (0, k))[0] for k, plane in enumerate(truth)]), 3, -1)
    wanted = {"GE": ge.solve(y, ge.options(**FEW)).image, "ConvAE": ge.decode(ge.encode(y))}
    for name, pictures in wanted.items():
        gray = images.luma(np.clip(pictures, -1, 1))[..., 0]
        np.testing.assert_allclose(np.load(result.paths[name]), (gray + 1) * 127.5, atol=0.6)
        assert result.record["scores"][name]["mse"] == pytest.approx(np.mean((gray - truth[..., 0]) ** 2), rel=0.01)
    assert result.paths["ConvAE"].name == "out.ConvAE.npy" and set(result.record["scores"]) == {"GE", "ConvAE", "input"}
    assert json.loads((folder / "out.json").read_text())["shape"] == list(rock.shape)
    assert sorted(path.name for path in folder.iterdir()) == ["out.ConvAE.npy", "out.json", "out.npy", "rock.npy"]


@pytest.mark.parametrize("axis", "yx")
def test_axes_are_taken_alike(folder, rock, model, axis):
    turned = np.moveaxis(rock, 0, "zyx".index(axis))
    np.save("turned.npy", turned)
    quick("rock.npy", model(), "z.npy")
    quick("turned.npy", model(), "turned.tif", SliceOptions(axis, simulate=True))
    assert (tifffile.imread("turned.tif") == np.moveaxis(np.load("z.npy"), 0, "zyx".index(axis))).all()


def test_a_stopped_run_goes_on(folder, model):
    """With the same bytes, and without a second time what was done; not with other settings."""
    given = {"methods": ("GE", "ConvAE", "TV"), "batch": 2, "options": SliceOptions("z", True, warm_start=2)}
    quick("rock.npy", model(), "whole.tif", **given)

    def stop(done, total, text):
        if done > 8 + 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="stopped behind 2 of 5 slices"):
        quick("rock.npy", model(), "out.tif", progress=stop, **given)
    assert not Path("out.tif").exists() and len(list(store.folder_of(Path("out.tif")).glob("*.npy"))) == 4
    with pytest.raises(ValueError, match=r"unfinished run of out.tif has other settings \(options, seed\)"):
        quick("rock.npy", model(), "out.tif", **given, changes={**FEW, "seed": 1})
    with files.alone("out.tif"), pytest.raises(ValueError, match="another process is writing it"):
        quick("rock.npy", model(), "out.tif", **given)
    told, done = [], []
    quick("rock.npy", model(), "out.tif", tell=told.append, progress=lambda k, *_: done.append(k), **given)
    assert told == ["going on behind 2 of 5 slices"] and done[0] == 2 * 4 and done[-1] == 5 * 4
    for name in ("{}.tif", "{}.ConvAE.tif", "{}.TV.tif"):
        assert Path(name.format("out")).read_bytes() == Path(name.format("whole")).read_bytes()
    assert not store.folder_of(Path("out.tif")).exists()


def test_a_warm_start_begins_at_the_neighbor(folder, rock, model):
    """Without a step, all slices of a group are the picture of its middle one."""
    cold, warm = (
        np.load(
            quick("rock.npy", model("reconstruct"), "a.npy", SliceOptions(warm_start=n), changes={"steps": 0}).paths["GE"]
        )
        for n in (0, 3)
    )
    assert (warm == cold[[1, 1, 1, 4, 4]]).all() and not (cold[0] == cold[1]).all()
    assert blocks.leaders(range(5), 3) == {1: [0, 2], 4: [3]}
    result = quick("rock.npy", model("reconstruct"), "a.npy", SliceOptions(warm_start=3, warm_steps=1))
    assert [steps == 1 for steps in result.record["steps"]] == [True, False, True, True, False]


def test_large_slices_are_tiled(folder, model):
    """What was measured comes back whole, whatever the tiles; so does the middle that is cut out."""
    values = np.random.default_rng(0).integers(0, 256, (2, 24, 20), dtype=np.uint8)
    np.save("large.npy", values)
    told = []
    found = np.load(quick("large.npy", model(), "out.npy", methods=("input",), tell=told.append, changes={}).paths["input"])
    assert told == [f"large.npy: slices of 24x20 in tiles of {SIDE}x{SIDE}"]
    task = GenerativeEncoder.from_options(model()).task
    wanted = degrade(task, values[:1, ..., None] / np.float32(127.5) - 1, (0, 0))[0][0, ..., 0]
    np.testing.assert_allclose(found[0], (wanted + 1) * 127.5, atol=1.01)
    options = SliceOptions(simulate=True, crop=SIDE)
    middle = quick(
        "large.npy", model("superres"), "out.npy", options, methods=("bicubic",), panel="p.png", changes={}
    ).record
    with pytest.raises(ValueError, match="beside what is restored, y from 4 to 19"):
        quick("large.npy", model("superres"), "new.npy", options, panel="p.png", panel_cut=Cut("y", 2))
    np.save("flat.npy", np.full((2, SIDE, SIDE), 99, np.uint8))
    with pytest.raises(ValueError, match="one gray value"):
        quick("flat.npy", model(), "new.npy")
    assert not list(Path().glob(".new*"))
    assert middle["shape"] == [2, SIDE, SIDE] and Path("p.png").stat().st_size


def test_a_measured_volume(folder, rock, model):
    """It is restored as it is: no scores, known voxels kept, the gray values of 16 bits."""
    missing = np.zeros(rock.shape, np.uint8)
    missing[1:3, 4:9, 4:9] = 255
    np.save("mask.npy", missing)
    np.save("deep.npy", rock.astype(np.uint16) * 16)
    result = quick(
        "deep.npy", model("inpaint"), "out.npy", SliceOptions(mask="mask.npy"), cut=VolumeOptions(levels=(0.0, 4080.0)),
        methods=("GE consistent",), panel="p.png", panel_cut=Cut("x", 5),
    )  # fmt: skip
    found = np.load("out.npy")
    assert found.dtype == np.uint16 and (abs(found - rock * 16.0)[missing == 0] <= 1).all()
    assert not (found == rock * np.uint16(16)).all() and result.record["scores"] == {}
    ge = GenerativeEncoder.from_options(model("inpaint"))
    known = (missing[1:2, ..., None] == 0).astype(np.float32)
    y = np.repeat(rock[1:2, ..., None] / np.float32(127.5) - 1, 3, -1) * known
    wanted = consistent(ge.task, ge.solve(y, ge.options(**FEW, consistent=False), known=known).image, y, known)
    np.testing.assert_allclose(found[1], (images.luma(np.clip(wanted, -1, 1))[0, ..., 0] + 1) * 2040, atol=2)


# ----------------------------------------------------------------------------------------------------------- files


def test_voxel_sizes(folder, rock, model, tmp_path):
    """Those of ImageJ, OME, and of the tags are read; a result has its input's, smaller where it was enlarged."""
    small = rock[:, : SIDE // 4, : SIDE // 4]
    place = {"imagej": True, "resolution": (0.5, 0.4)}
    tifffile.imwrite("small.tif", small, **place, metadata={"axes": "ZYX", "spacing": 3.0, "unit": "um"})
    assert voxels.read(Path("small.tif")) == (3.0, 2.5, 2.0)
    quick("small.tif", model("superres"), "grown.tif", SliceOptions())
    assert voxels.read(Path("grown.tif")) == (3.0, 0.625, 0.5)
    tifffile.imwrite("small.tif", small, **place, metadata={"axes": "ZYX", "spacing": 3.0, "unit": "\\u00B5m"})
    assert voxels.read(Path("small.tif")) == (3.0, 2.5, 2.0)
    sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", (0.003, 0.002, 0.001))}
    units = {f"PhysicalSize{axis}Unit": "mm" for axis in "ZYX"}
    tifffile.imwrite("ome.ome.tif", small, photometric="minisblack", metadata={"axes": "ZYX", **sizes, **units})
    assert voxels.read(Path("ome.ome.tif")) == pytest.approx((3, 2, 1))
    tifffile.imwrite("plain.tif", small, photometric="minisblack", resolution=(5000, 5000), resolutionunit="CENTIMETER")
    assert voxels.read(Path("plain.tif")) is None  # how far its slices are apart it does not tell
    assert voxels.read(Path("rock.npy")) is None
    result = quick("rock.npy", model(), "given.tif", SliceOptions(simulate=True, voxel=(2.25,)))
    assert voxels.read(Path("given.tif")) == (2.25, 2.25, 2.25) == tuple(result.record["voxel"]["size"])


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_written_in_parts(tmp_path, dtype, rng, monkeypatch):
    values = rng.integers(0, 200, (3, 5, 4)).astype(dtype)
    store.write(tmp_path / "a.npy", values, None)
    assert (tmp_path / "a.npy").read_bytes() == _saved(tmp_path / "b.npy", values)
    for name, most in (("small.tif", 2**32), ("large.tif", 0)):
        monkeypatch.setattr(voxels, "_CLASSIC", most)
        store.write(tmp_path / name, np.asfortranarray(values), (3.0, 2.5, 2.0))
        with tifffile.TiffFile(tmp_path / name) as file:
            assert file.is_bigtiff == (not most) and (file.asarray() == values).all()
        assert voxels.read(tmp_path / name) == (3.0, 2.5, 2.0)


def _saved(path, values):
    np.save(path, values)
    return path.read_bytes()


def test_a_full_disk_is_told_before(folder, model, monkeypatch):
    monkeypatch.setattr(store.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 1000))
    with pytest.raises(ValueError, match="1,000 bytes free"):
        quick("rock.npy", model(), "out.tif")
    assert [path.name for path in folder.iterdir()] == ["rock.npy"]


WRONG = {
    "rock.npy --axis y": "slices along y are 5x16, smaller than the 16x16 of tiny",
    "nothing.tif": "does not exist",
    "flat.png": "is no volume",
    "rock.npy -o out.png": "unknown suffix",
    "rock.npy -o rock.npy": "is an input",
    "rock.npy --crop 8": "crop must be at least 16",
    "rock.npy --simulate --crop 99": "do not hold a square of 99",
    "rock.npy --method best": "unknown method best",
    "rock.npy --simulate --method TV --steps 3": "steps would change nothing",
    "rock.npy --simulate --method TV --warm-start 4": "warm_start would change nothing",
    "rock.npy --warm-start 1": "warm_start must be 0, or 2",
    "rock.npy --warm-steps 4": "give warm_start",
    "rock.npy --threshold 80": "threshold would change nothing",
    "rock.npy --mask rock.npy": "a mask is for inpaint",
    "rock.npy --voxel 0": "voxel must be one size above 0",
    "rock.npy --cut y:3": "a cut is for a panel",
    "rock.npy --panel p.png --cut y:16": "y runs from 0 to 15",
    "rock.npy --panel p.png --cut 3": "is not AXIS:INDEX",
    "rock.npy --set sigma=0.3 --method TV": "sigma of denoise would change nothing",
}


def test_bad_input_is_one_line(folder, every_task):
    images.write("flat.png", np.zeros((SIDE, SIDE, 1), np.float32))
    before = sorted(path.name for path in folder.iterdir())
    for line, message in WRONG.items():
        arguments = ["volume", "--task", "denoise", "--preset", "tiny", "--models", str(every_task), *line.split()]
        called = CliRunner().invoke(cli, arguments)
        assert called.exit_code == 2, (line, called.output, called.exception)
        assert message in called.output and len(called.output.strip().splitlines()) == 1, (line, called.output)
        assert sorted(path.name for path in folder.iterdir()) == before, line


def test_the_command(folder, every_task):
    """Writes what the function writes, and prints a table."""
    arguments = ["--preset", "tiny", "--models", str(every_task), "--simulate", "--steps", "2", "--starts", "2"]
    called = CliRunner().invoke(cli, ["volume", "--task", "denoise", "rock.npy", *arguments, "--panel", "p.png"])
    assert called.exit_code == 0, called.output
    assert "rock.restored.tif: 5x16x16 voxels, 5 slices" in called.output and "\n| GE | 0." in called.output
    Path("rock.restored.json").unlink()
    with pytest.raises(ValueError, match="would be replaced, and may be no result"):
        quick("rock.npy", ModelOptions("denoise", "tiny", every_task), None)
    quick("rock.npy", ModelOptions("denoise", "tiny", every_task), "out.tif")
    assert Path("out.tif").read_bytes() == Path("rock.restored.tif").read_bytes()


def test_example_of_a_volume(folder, every_task, tmp_path, capsys):
    preset = shutil.copytree(every_task / "tiny", tmp_path / "quick" / "tiny")
    info = json.loads((preset / "preset.json").read_text())
    export.write_record(preset, info | {"solve": {**FEW, "finalists": 1, "probes": 0, "optimizer": "adam"}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["rock_volume.py", str(preset), "rock.npy", "out.tif"])
        runpy.run_path(str(EXAMPLES / "rock_volume.py"), run_name="__main__")
    assert "true porosity 0." in capsys.readouterr().out and Path("out.png").exists()
