"""Apache Beam is an extra: without it `gekeras.beam` says so in one line, and nothing else asks for it."""

import importlib
import sys

import pytest

import gekeras
from gekeras.networks import doctor


def test_without_beam_the_extra_is_named(monkeypatch):
    for name in [name for name in sys.modules if name == "gekeras.beam" or name.startswith("gekeras.beam.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "apache_beam", None)  # as if it were not installed
    with pytest.raises(ImportError) as raised:
        importlib.import_module("gekeras.beam")
    assert str(raised.value) == "gekeras.beam needs Apache Beam: pip install 'gekeras[beam]'"
    assert "beam" not in gekeras.__all__  # `from gekeras import *` works
    assert "apache-beam" in doctor.EXTRAS["beam"]
