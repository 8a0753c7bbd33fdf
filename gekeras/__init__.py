"""gekeras: image restoration with one pretrained generator and an encoder a task.

The public names load on first use (PEP 562), so that `import gekeras` and `gekeras --help` do not wait for TensorFlow.
"""

import importlib

from ._version import __version__ as __version__

_PUBLIC = {
    "GenerativeEncoder": "generative_encoder",
    "SolveOptions": "config",
    "GANOptions": "config",
    "AutoencoderOptions": "config",
    "CustomNetworks": "networks",
    "ModelOptions": "networks",
    "Solution": "solve",
    "Solver": "solve",
}
_MODULES = (
    "config",
    "data",
    "evaluation",
    "files",
    "images",
    "importing",
    "layers",
    "metrics",
    "models",
    "networks",
    "operators",
    "perceptual",
    "pictures",
    "plots",
    "restore",
    "serving",
    "solve",
    "study",
    "training",
    "volumes",
)

__all__ = [*_PUBLIC, *_MODULES]


def __getattr__(name):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f".{_PUBLIC[name]}", __name__), name)
    if name in _MODULES:
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
