"""Does a generator avoid a feature, or draw it too seldom? A detector of the feature is trained, and asked.

    python docs/examples/feature_study.py PRESET PICTURES LABELS.csv FEATURE OUTPUT

PICTURES is a folder or a tar, LABELS.csv has a column `image` and one for each feature, 1 or 0. OUTPUT gets the detector,
the tables and the panels. The pictures that the detector learns from are not studied.
"""

import sys
from pathlib import Path

from gekeras import study
from gekeras.config import DetectorOptions, StudyOptions
from gekeras.networks import ModelOptions, presets


def main(preset, pictures, labels, feature, output, images=20_000, validation=8, count=8):
    output = Path(output)
    size, channels = presets.load(preset).resolution, presets.load(preset).channels
    options = DetectorOptions(size=size, images=images, validation=validation)
    study.train_detector([pictures], labels, feature, output / "detector", options, channels=channels)
    report = study.run(
        [pictures],
        labels,
        feature,
        output / "detector",
        output / feature,
        ModelOptions("reconstruct", preset),
        StudyOptions(count=count),
    )
    print(study.to_markdown(report, report["detector"]))


if __name__ == "__main__":
    main(*sys.argv[1:6], *map(int, sys.argv[6:]))
