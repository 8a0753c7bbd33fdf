"""The shipped presets: every part is the recorded one and runs, and each task restores a picture as well as it did.

`python tests/test_shipped.py` writes the scores anew, after a preset was replaced.
"""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

from gekeras import images, restore
from gekeras.config import PictureOptions
from gekeras.networks import ModelOptions, presets

ROOT = Path(__file__).resolve().parents[1]
PORTRAIT = ROOT / "gekeras" / "assets" / "astronaut.png"
SCORES = Path(__file__).with_name("shipped_scores.json")
SHIPPED = {
    folder.parent.name: presets.load(str(folder.parent)) for folder in sorted(ROOT.glob("saved_models/*/preset.json"))
}
PARTS = [
    (name, path.parts[-3]) for name, preset in SHIPPED.items() for path in sorted(preset.folder.glob("*/*/saved_model.pb"))
]
TASKS = [(name, task) for name, preset in SHIPPED.items() for task in preset.tasks]


def zeros_for(preset, part):
    """What a part takes, one of it: a latent, a code, or a measurement lifted to the size of the pictures."""
    widths = {"generator": preset.latent_size, "decoder": preset.info["code_size"], "starter": preset.info["code_size"]}
    width = widths.get(part.split("-")[0])
    return np.zeros((1, width) if width else (1, preset.resolution, preset.resolution, preset.channels), np.float32)


def truth_of(preset, folder):
    """A picture to degrade and restore: the portrait for faces, a picture of the generator's own for the rest."""
    if preset.channels == 3:
        return PORTRAIT
    z = np.random.default_rng(0).normal(size=(1, preset.latent_size)).astype(np.float32)
    path = Path(folder) / "truth.png"
    images.write(path, np.clip(preset.part("generator")(z)[0], -1, 1))
    return path


def scores_of(name, task, folder):
    """PSNR in dB and SSIM of a restoration with the default options."""
    model = ModelOptions(task, str(SHIPPED[name].folder))
    outputs = restore.Outputs(Path(folder) / "restored.png")
    pictures = PictureOptions(simulate=True)
    (result,) = restore.files([truth_of(SHIPPED[name], folder)], model, pictures=pictures, outputs=outputs)
    return {score: round(result.record["metrics"][score], 3) for score in ("psnr", "ssim")}


@pytest.mark.parametrize("name", SHIPPED)
def test_every_file_is_the_recorded_one(name):
    assert SHIPPED[name].verify() == []
    files = {path.relative_to(SHIPPED[name].folder).as_posix() for path in SHIPPED[name].folder.glob("*/[0-9]*/**/*.*")}
    assert files == set(SHIPPED[name].info["checksums"])


@pytest.mark.parametrize("name, part", PARTS)
def test_every_part_runs(name, part):
    made = np.asarray(SHIPPED[name].part(part)(zeros_for(SHIPPED[name], part)))
    assert len(made) == 1 and np.isfinite(made).all() and made.std() > 0


@pytest.mark.slow
@pytest.mark.parametrize("name, task", TASKS)
def test_every_task_restores_as_well_as_it_did(tmp_path, name, task):
    stored, scores = json.loads(SCORES.read_text())[name][task], scores_of(name, task, tmp_path)
    # L-BFGS multiplies what other processors and versions round otherwise: by up to 0.3 dB on rock-128.
    assert scores["psnr"] == pytest.approx(stored["psnr"], abs=0.6)
    assert scores["ssim"] == pytest.approx(stored["ssim"], abs=0.06)


if __name__ == "__main__":
    scores = {name: {} for name in SHIPPED}
    with tempfile.TemporaryDirectory() as scratch:
        for name, task in TASKS:
            scores[name][task] = scores_of(name, task, scratch)
    SCORES.write_text(json.dumps(scores, indent=2) + "\n")
