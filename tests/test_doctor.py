"""`gekeras doctor` tells what is broken, a line each, and the command that mends it; whatever it is, it never raises."""

import importlib.metadata
import json
import os
import shlex
import shutil
import sys

import pytest
from click.testing import CliRunner

from gekeras.cli import cli
from gekeras.networks import doctor, presets

WORKS = "class config:\n    list_physical_devices = staticmethod(lambda kind: [])\n"


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Stand-ins, in a folder in front of all others, for what takes seconds to import: `modules(tensorflow="raise ...")`."""
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))

    def write(**sources):
        for name in doctor.NEEDED.values():
            (folder / f"{name}.py").write_text(sources.get(name, WORKS))

    write()
    return write


@pytest.fixture
def place(tiny, tmp_path, monkeypatch, modules):
    """The one place with presets: of those one that is whole."""
    monkeypatch.setattr(presets, "_PACKAGE", tmp_path / "package" / "gekeras")
    monkeypatch.delenv(presets.ENVIRONMENT, raising=False)
    shutil.copytree(tiny.folder, tmp_path / "presets" / "tiny")
    return tmp_path / "presets"


def run(*arguments):
    result = CliRunner().invoke(cli, ["doctor", *map(str, arguments)], prog_name="gekeras")
    assert "Traceback" not in result.output and (result.exception is None or isinstance(result.exception, SystemExit))
    return result.exit_code, result.output


def problems(place):
    """Exit code, and what is wrong with what is to be done, as both forms of output have it."""
    code, text = run("--models", place)
    found = json.loads(run("--models", place, "--json")[1])["problems"]
    assert code == bool(found)
    for problem in found:
        assert f"problem: {problem['what']}\n  mend it: {problem['mend']}\n" in text and "\n" not in problem["what"]
    return {problem["what"]: problem["mend"] for problem in found}


def test_all_is_well(place, tiny):
    code, text = run("--models", place)
    assert code == 0 and text.splitlines()[-1] == "all is well: pictures can be restored"
    whole = len(tiny.info["checksums"])
    assert f"preset tiny (superres, reconstruct): all {whole} files are as recorded, in {place / 'tiny'}" in text
    found = json.loads(run("--models", place, "--json")[1])
    assert found == doctor.examine(place) and found["problems"] == []
    assert found["versions"] == {name: importlib.metadata.version(name) for name in doctor.NEEDED}
    assert found["presets"]["looked_in"][0] == {"folder": str(place), "there": True}
    assert not found["presets"]["looked_in"][-1]["there"] and found["devices"]["gpus"] == []
    assert found["notes"] == [f"there is no {presets.DEFAULT}, which commands take where no preset is named"]


def test_presets_that_are_damaged(place):
    def damage(name, change):
        shutil.copytree(place / "tiny", place / name)
        change(place / name)

    weights = "generator/1/variables/variables.data-00000-of-00001"
    damage("changed", lambda folder: (folder / weights).write_bytes(b"other"))
    damage("gone", lambda folder: (folder / weights).unlink())
    damage("text", lambda folder: (folder / "preset.json").write_text("{"))
    damage("list", lambda folder: (folder / "preset.json").write_text("[1]"))
    damage("folder", lambda folder: ((folder / "preset.json").unlink(), (folder / "preset.json").mkdir()))
    damage("lost", lambda folder: shutil.rmtree(folder / "encoder-superres"))
    long = {"checksums": {"x" * 300: "", "a\0b": "00"}, "resolution": 8, "channels": 3, "latent_size": 4, "tasks": {}}
    damage("long", lambda folder: (folder / "preset.json").write_text(json.dumps(long)))
    found = {what.split(": ")[0]: what for what in problems(place)}
    assert set(found) == {f"preset {name}" for name in ("changed", "gone", "text", "list", "folder", "lost", "long")}
    assert found["preset changed"].endswith(f"not as recorded: {weights} (changed)")
    assert found["preset gone"].endswith(f"not as recorded: {weights} (missing)")
    assert "encoder-superres/1/saved_model.pb (missing)" in found["preset lost"] and "cannot be read" in found["preset text"]
    assert all(mend.startswith(f"copy {place}") for mend in problems(place).values())


def test_no_preset_is_found(place, tmp_path, monkeypatch):
    code, text = run()
    where = tmp_path / "package" / "saved_models"
    assert (
        code == 1 and f"problem: no preset is found; looked in {where.parent / 'gekeras' / 'saved_models'}, {where}" in text
    )
    for models, says in ((tmp_path / "no", "no such folder"), (place / "tiny", "is a preset itself")):
        assert any(says in what for what in problems(models))
    monkeypatch.setenv(presets.ENVIRONMENT, str(tmp_path / "away"))
    assert "problem: $GEKERAS_MODELS: " in run()[1]


def test_the_package_s_own_presets_are_mended_by_git_or_pip(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "gekeras" / "networks" / "doctor.py"))
    own = tmp_path / "saved_models" / presets.DEFAULT
    monkeypatch.setattr(doctor, "_origin", lambda: "file:///a b.whl")
    installed = shlex.join([sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps", "file:///a b.whl"])
    assert doctor._restored(own) == installed
    (tmp_path / ".git").mkdir()
    assert doctor._restored(own) == f"git -C {tmp_path} checkout -- {own}"
    inside = tmp_path / "gekeras" / "saved_models" / presets.DEFAULT
    assert doctor._restored(inside) == installed  # of a wheel, wherever it lies


ENDS = {
    "raises": ("raise RuntimeError('no such\\n library')", "RuntimeError: no such library"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3"),
    "needs a module": ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
    "ends Python": ("import os; os._exit(3)", "it ended Python with code 3"),
    "cannot list devices": ("config = 1", "AttributeError: 'int' object has no attribute 'list_physical_devices'"),
}
if hasattr(os, "kill") and os.name == "posix":
    ENDS["is not for this processor"] = ("import os; os.kill(os.getpid(), 4)", "it ended Python by SIGILL: this build needs")


@pytest.mark.parametrize("end", ENDS)
def test_tensorflow_does_not_import(place, modules, end):
    source, says = ENDS[end]
    modules(tensorflow=f"print('noise')\n{source}")
    ((what, mend),) = problems(place).items()
    assert what.startswith(f"tensorflow does not import: {says}")
    *command, package = shlex.split(mend)
    assert command == [sys.executable, "-m", "pip", "install", "--force-reinstall"] and package.startswith("tensorflow")


def test_what_fails_by_the_same_fault_is_not_told_again(place, modules):
    modules(tensorflow="raise ImportError('no libcudart')", keras="import tensorflow", scipy="raise ValueError('odd')")
    assert [what.split(":")[0] for what in problems(place)] == ["scipy does not import", "tensorflow does not import"]


def test_what_is_printed_meanwhile_and_what_takes_too_long(place, modules, monkeypatch):
    modules(tensorflow=f"import sys\nprint('{doctor.MARK.strip()} no', file=sys.stderr)\nprint('noise')\n{WORKS}")
    assert problems(place) == {}
    monkeypatch.setattr(doctor, "SECONDS", 0.05)
    modules(numpy="import time; time.sleep(9)")
    assert list(problems(place)) == ["importing TensorFlow has not ended after 0.05 seconds"]


def test_versions_that_do_not_fit(place, monkeypatch):
    """As setup.py asks for them, which the installed package says."""
    here = {name: importlib.metadata.version(name) for name in doctor.NEEDED}
    asked = ["tensorflow==9.9.9", "numpy>=1", "tf-keras==1", "tensorboard>=999", "starlette>=1;extra=='serve'", "scipy"]
    asked += ["keras==8; python_version < '3'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda name: asked)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: {**here, "starlette": "0.9", "tensorboard": "2"}[name])
    found = problems(place)
    ((what, mend),) = found.items()
    assert what.startswith(f"tensorflow {here['tensorflow']} is installed; gekeras ") and what.endswith("tensorflow==9.9.9")
    assert mend == f"{sys.executable} -m pip install tensorflow==9.9.9"
    about = doctor.examine(place)
    assert any("tensorboard 2 is installed" in note for note in about["notes"])  # training alone needs it
    serve = about["extras"]["serve"]
    assert serve == {
        "packages": {"starlette": "0.9", "uvicorn": None},
        "ready": False,
        "possible": True,
        "mend": shlex.join([sys.executable, "-m", "pip", "install", "starlette>=1", "uvicorn"]),
    }
    monkeypatch.setattr(doctor, "_is_classic", lambda: False)
    about = doctor.examine(place)
    assert about["extras"]["addons"]["mend"] == "" and about["line"] == "current"
    assert "needs Python 3.9 to 3.11" in run("--models", place)[1]


def test_an_environment_without_records(place, monkeypatch):
    def fail(_name):
        raise importlib.metadata.PackageNotFoundError("gekeras")

    monkeypatch.setattr(importlib.metadata, "requires", fail)
    monkeypatch.setattr(importlib.metadata, "version", fail)
    about = doctor.examine(place)
    assert "gekeras is not installed as a package here: which versions fit was not checked" in about["notes"]
    assert [problem["what"].split()[0] for problem in about["problems"]] == list(doctor.NEEDED)
