"""What several tests share: a folder of small pictures, and a tiny preset made from it by the package's own commands.

Everything is seeded and small (16x16 pixels, 8 channels), runs on the CPU, and needs nothing outside the repository.
"""

import gc
import json
import os
import shutil

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # exact comparisons are promised on the CPU only
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")  # the suite has a process for each core
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("GEKERAS_MODELS", None)

import numpy as np
import pytest
from PIL import Image

from gekeras.config import AutoencoderOptions, GANOptions, Stage

SIDE = 16
TASKS = ("superres", "reconstruct")  # those that are trained for
BORROWED = ("denoise", "inpaint", "deblur")  # those that take the autoencoder of reconstruct
GAN = GANOptions(
    resolution=SIDE,
    latent_size=16,
    fmap_base=64,
    fmap_max=8,
    stages=(Stage(8, 0, 16), Stage(16, 16, 16)),
    loss="nonsaturating",
    batch_size=8,
    average_decay=0.5,
    r1_every=1,
    seed=3,
)
AUTOENCODER = AutoencoderOptions(width=4, code_size=16, images=64, batch_size=8, pool=32, learning_rate=0.002, seed=5)


def pytest_unconfigure():
    """TensorFlow's functions complain if they outlive the interpreter's modules."""
    from gekeras.networks import presets

    presets._load_saved_model.cache_clear()
    _MODELS.clear()
    gc.collect()


@pytest.fixture(autouse=True, scope="session")
def graphs_as_built():
    """Grappler's rewriting of a graph takes longer than it saves on networks as small as these."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.fixture
def compiled_once():
    """Commands that name the same networks share them and what was compiled of them, as the calls of one model do:
    compiling is most of what the solves of networks as small as these take."""
    from gekeras import GenerativeEncoder

    load = GenerativeEncoder.from_options.__func__

    def from_options(cls, options):
        if options.custom.given():
            return load(cls, options)
        key = (*_state_of(options.load_preset().folder), options.task, repr(options.parameters), options.forward)
        if key not in _MODELS:
            _MODELS[key] = load(cls, options)
        return _MODELS[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(GenerativeEncoder, "from_options", classmethod(from_options))
        yield


_MODELS = {}


def _state_of(folder):
    """A preset's files and folders, by name and time of change."""
    return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory):
    """A folder of 24 smooth color pictures of 16x16 pixels, p00.png to p23.png."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    for k in range(24):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(folder / f"p{k:02}.png")
    return folder


@pytest.fixture(scope="session")
def gan_run(tmp_path_factory, pictures):
    """Run folder of a GAN grown from 8 to 16 px: six steps, past its last fade."""
    from gekeras import data
    from gekeras.training import gan
    from gekeras.training.run import Limits

    folder = tmp_path_factory.mktemp("runs") / "gan"
    gan.train(GAN, data.entries(pictures), folder, memory=True, limits=Limits(quiet=True))
    return folder


@pytest.fixture(scope="session")
def autoencoder_runs(tmp_path_factory, pictures, gan_run):
    """Task -> run folder of its autoencoder."""
    from gekeras import data
    from gekeras.operators import make_task
    from gekeras.training import autoencoder, gan
    from gekeras.training.run import Limits

    generator = gan.generator_of(gan.networks_of(gan_run)[0])
    items = data.entries(pictures)
    sources = [data.Source(part, SIDE, memory=True) for part in (items[:-4], items[-4:])]
    folders = {task: tmp_path_factory.mktemp("runs") / task for task in TASKS}
    for task, folder in folders.items():
        limits = Limits(quiet=True)
        autoencoder.train(AUTOENCODER, make_task(task), *sources, generator, GAN.latent_size, folder, limits=limits)
    return folders


@pytest.fixture(scope="session")
def models(tmp_path_factory, gan_run, autoencoder_runs):
    """A folder of presets that holds one, `tiny`, with both tasks."""
    from gekeras.training import export

    folder = tmp_path_factory.mktemp("models")
    export.export(folder / "tiny", gan_run, list(autoencoder_runs.values()))
    return folder


@pytest.fixture(scope="session")
def tiny(models):
    """The loaded preset."""
    from gekeras.networks import presets

    return presets.load("tiny", models)


@pytest.fixture(scope="session")
def every_task(tmp_path_factory, models):
    """A folder of presets that holds one, `tiny`, with all tasks: `BORROWED` have copies of the parts of reconstruct."""
    from gekeras.operators import make_task
    from gekeras.training import export

    preset = shutil.copytree(models / "tiny", tmp_path_factory.mktemp("models") / "tiny")
    info = json.loads((preset / "preset.json").read_text())
    for task in BORROWED:
        for part in ("encoder", "decoder"):
            shutil.copytree(preset / f"{part}-reconstruct", preset / f"{part}-{task}")
        info["tasks"][task] = make_task(task, SIDE).parameters
    export.write_record(preset, info)
    return preset.parent
