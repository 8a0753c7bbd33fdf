"""Every example in a docstring does what it says, and every public class has one."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import gekeras
from gekeras import config, operators

MODULES = sorted(m.name for m in pkgutil.walk_packages(gekeras.__path__, "gekeras.") if not m.name.endswith(".watch"))
PUBLIC = [getattr(gekeras, name) for name in sorted(gekeras._PUBLIC)]
PUBLIC += [thing for room in (config, operators) for thing in vars(room).values()]
CLASSES = sorted({thing for thing in PUBLIC if inspect.isclass(thing)}, key=lambda thing: thing.__name__)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    if name.startswith("gekeras.beam"):
        pytest.importorskip("apache_beam")
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_public_classes_have_an_example(cls):
    assert ">>>" in cls.__doc__
