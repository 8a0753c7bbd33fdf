"""The wheel and the sdist carry the pretrained parts, and leave the training checkpoints out."""

import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ["tiny/preset.json", "tiny/generator/1/saved_model.pb", "tiny/generator/1/variables/variables.index"]
KEPT_BACK = "tiny/training/checkpoint.npz"


@pytest.fixture
def checkout(tmp_path):
    """A copy of what packaging reads, with a small preset in place of the real ones."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "gekeras", copy / "gekeras", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ["setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE"]:
        shutil.copy(ROOT / name, copy)
    for name in [*SHIPPED, KEPT_BACK]:
        path = copy / "saved_models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return copy


def build(checkout, kind):
    """Build as pip does, but in this environment and without the network; the path of the archive."""
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(checkout.parent)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return checkout.parent / done.stdout.splitlines()[-1]


def models_in(names):
    """The files below a `saved_models/`, as paths relative to it."""
    return sorted(name.partition("saved_models/")[2] for name in names if "saved_models/" in name and name[-1] != "/")


def wheel_names(checkout):
    with zipfile.ZipFile(build(checkout, "wheel")) as wheel:
        return wheel.namelist()


@pytest.mark.slow
def test_wheel_carries_the_models(checkout):
    names = wheel_names(checkout)
    assert models_in(names) == sorted(SHIPPED)
    assert "gekeras/saved_models/tiny/preset.json" in names
    assert {"gekeras/_version.py", "gekeras/models/__init__.py"} <= set(names)
    assert not [name for name in names if name.startswith(("cli", "tests"))]


@pytest.mark.slow
def test_wheel_does_not_keep_a_deleted_model(checkout):
    build(checkout, "wheel")
    (checkout / "saved_models" / SHIPPED[0]).unlink()
    assert models_in(wheel_names(checkout)) == sorted(SHIPPED[1:])


@pytest.mark.slow
def test_wheel_is_built_without_models(checkout):
    shutil.rmtree(checkout / "saved_models")
    names = wheel_names(checkout)
    assert models_in(names) == []
    assert "gekeras/_version.py" in names


@pytest.mark.slow
def test_sdist_carries_the_models_and_builds_the_same_wheel(checkout):
    with tarfile.open(build(checkout, "sdist")) as sdist:
        files = [member.name for member in sdist.getmembers() if member.isfile()]
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # 3.14's default, which 3.12 asks to choose
        sdist.extractall(checkout.parent / "unpacked", **safely)
    assert models_in(files) == sorted(SHIPPED)
    (unpacked,) = (checkout.parent / "unpacked").iterdir()
    assert wheel_names(unpacked) == wheel_names(checkout)
