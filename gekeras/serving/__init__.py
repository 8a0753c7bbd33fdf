"""Presets served by TensorFlow Serving: models written for it, among them the whole solve as one stateless SavedModel.

Importing this package imports no TensorFlow, nor does its client, unless it calls by gRPC.
"""

import importlib

_PUBLIC = {"Client": "client", "Reply": "client", "ServerError": "client"}

__all__ = [*_PUBLIC]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
