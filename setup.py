"""Packaging. Two lines of dependencies, chosen by the Python version; the pretrained parts travel inside the wheel."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent.resolve()
SAVED_MODELS = ROOT / "saved_models"
VERSION = re.search(r'^__version__ = "(.+)"', (ROOT / "gekeras" / "_version.py").read_text(), re.M).group(1)
README = ROOT / "README.md"

# The classic line: the last releases that work together, so they are pinned exactly.
CLASSIC = [
    "tensorflow==2.15.1",  # addons needs TensorFlow < 2.16; gan imports tf.estimator, which 2.16 removed
    "keras==2.15.0",  # what TensorFlow 2.15 accepts; addons imports keras.src.engine, which Keras 3 lacks
    "tensorflow-addons==0.23.0",  # the last release; its gaussian_filter2d is what the tests hold the blur against
    "tensorflow-gan==2.1.0",  # the last release
    "tensorflow-probability==0.23.0",  # gan imports it and names no version; 0.25 refuses TensorFlow 2.15
    "tf-keras>=2.15,<2.16",  # gan needs tensorflow-hub, which needs tf-keras; each release fits one TensorFlow
    "setuptools<81",  # tensorflow-hub imports pkg_resources, which later releases no longer carry
    "numpy>=1.24,<2",  # TensorFlow 2.15 is built against NumPy 1
]
# The current line. tensorflow-addons and tensorflow-gan do not import here: `training/wargs.py` has the losses of training.
CURRENT = [
    "tensorflow>=2.16",
    "keras>=3",
    "numpy>=1.26",
    "tensorboard",  # what training logs for; TensorFlow brings it up to 2.20 only
]
# pyyaml reads the files of `train --config`; tifffile, which scikit-image needs, reads TIFF stacks.
BOTH = ["scikit-image>=0.19", "scipy", "click>=8", "pillow>=9.2", "matplotlib>=3.5", "pyyaml>=6", "tifffile"]
# What only some need: a client of TensorFlow Serving (`SERVING`), the package's own page and HTTP service (`SERVE`).
SERVING = [
    'tensorflow-serving-api==2.15.1; python_version < "3.12"',  # each release asks for its TensorFlow
    'tensorflow-serving-api>=2.16; python_version >= "3.12"',
]
SERVE = ["starlette", "uvicorn"]
# `gekeras.beam`. One requirement serves both lines: 2.77 takes protobuf 4, which TensorFlow 2.15 needs, and 6; 2.69 is the
# last for Python 3.9. Beam holds others back (2.77: pillow < 13, numpy < 2.5, protobuf < 7), so `test` does not
# install it; `make test-beam` does.
BEAM = ["apache-beam>=2.69", "google-crc32c"]  # the checksum of TFRecords, of which Beam has no code of its own
# `eval --identity` with a recognizer in ONNX.
IDENTITY = ["onnxruntime"]


def training_folders(directory, names):
    """Name what stays out of the wheel: `saved_models/<preset>/training`, large checkpoints to resume training from."""
    return [name for name in names if name == "training" and Path(directory).parent == SAVED_MODELS]


class BuildWithModels(build_py):
    """Copy `saved_models/` of the checkout to `gekeras/saved_models/` of the wheel.

    An editable install copies nothing: there the code finds the checkout's own folder.
    """

    def run(self):
        super().run()
        if getattr(self, "editable_mode", False):
            return
        target = Path(self.build_lib) / "gekeras" / "saved_models"
        shutil.rmtree(target, ignore_errors=True)  # build/ outlives a build; a model deleted since must not come back
        if SAVED_MODELS.is_dir():
            shutil.copytree(SAVED_MODELS, target, ignore=training_folders)


setup(
    name="gekeras",
    version=VERSION,
    description="Image restoration with one pretrained generator and an encoder for each task",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=find_packages(include=["gekeras", "gekeras.*"]),
    package_data={"gekeras": ["py.typed", "*.pyi", "assets/*"]},
    cmdclass={"build_py": BuildWithModels},
    install_requires=[
        *(f'{requirement}; python_version < "3.12"' for requirement in CLASSIC),
        *(f'{requirement}; python_version >= "3.12"' for requirement in CURRENT),
        *BOTH,
    ],
    # ruff and mypy to a minor release, because another one may format or find something else; mypy 2 needs Python 3.10, and
    # `make lint` does without it on 3.9. pytest 9 needs Python 3.10, 8 serves 3.9.
    extras_require={
        "serving": SERVING,
        "serve": SERVE,
        "identity": IDENTITY,
        "beam": BEAM,
        "test": [
            *("pytest>=8,<10", "pytest-xdist>=3.2", "ruff>=0.17,<0.18", "httpx", *SERVING, *SERVE),
            'mypy>=2.4,<2.5; python_version >= "3.10"',
        ],
    },
    entry_points={"console_scripts": ["gekeras = gekeras.cli:main"]},
    zip_safe=False,
)
