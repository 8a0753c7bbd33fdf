"""`gekeras.study.train_detector` and `gekeras.study.run`: from labeled pictures to a truth table and to panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import config, data
from ..config import DetectorOptions, StudyOptions
from ..files import PathLike
from ..networks import ModelOptions
from ..networks.modules import Range
from ..networks.presets import checksum
from ..restore import effects
from . import detector as detectors
from . import labels as labeled
from . import panels, regions, tables

Tell = Callable[[str], None]
Tick = Callable[[int, int, str], None]


def train_detector(
    pictures: Sequence[PathLike],
    labels: PathLike,
    feature: str,
    output: PathLike,
    options: DetectorOptions = DetectorOptions(),  # noqa: B008 (frozen)
    *,
    channels: int = 3,
    tell: Tell = lambda text: None,
    progress: Tick = lambda done, total, text: None,
) -> dict[str, Any]:
    """Train a detector of a feature: what `gekeras study train-detector` does.

    Args:
        pictures: folders, tar shards or TFRecords, as `data.entries` takes them.
        labels: a CSV file with a column of names and one of the feature, see `labels.read`.
        output: folder of the detector, which is replaced if it holds one.
        channels: of the pictures, 1 or 3.
        tell: called with lines for the user.
        progress: called with (pictures shown, pictures in all, what remains as text).

    Returns:
        The record: options, how many pictures, and `held_out`, see `statistics.detection`.

    Raises:
        ValueError: pictures or labels that are none or do not belong together, a feature of one kind alone, too few
            pictures, or a place that cannot be written. Nothing is written then.

    Example:
        >>> import gekeras
        >>> gekeras.study.train_detector(["faces.tar"], "labels.csv", "Eyeglasses", "glasses")  # doctest: +SKIP
    """
    detectors.check_place(output)
    of = labeled.read(labels, feature)
    items = data.entries(*pictures)
    known, found = labeled.match(of, items, labels)
    for line in filter(None, (*data.notes(*pictures, items=items), labeled.unlabeled(known, items))):
        tell(line)

    from . import learning  # TensorFlow, which takes seconds

    return learning.train([items[k] for k in known], found, feature, channels, Path(output), options, progress)


def run(
    pictures: Sequence[PathLike],
    labels: PathLike,
    feature: str,
    detector: PathLike,
    output: PathLike,
    model: str | ModelOptions = "reconstruct",
    options: StudyOptions = StudyOptions(),  # noqa: B008 (frozen)
    *,
    fidelity: str = "fast",
    changes: Mapping[str, Any] | None = None,
    detector_range: Range | None = None,
    trust: bool = True,
    tell: Tell = lambda text: None,
    progress: Tick = lambda done, total, text: None,
) -> dict[str, Any]:
    """Ask a detector whether invertGAN and GE keep a feature: what `gekeras study run` does. A stopped study goes on.

    invertGAN is equation (4), GE equation (3): codes alone compared, z alone searched, nothing corrected. Where a layer of
    the generator is searched by the preset's options for the task, or by `changes`, GE with that layer is a third method.

    Args:
        pictures, labels, feature: as `train_detector`. Those that the detector has learned from are left out.
        detector: a folder of `train_detector`, or a Keras file or SavedModel, pictures -> a probability each.
        output: stem of `.jsonl` (a line a picture and method), `.csv`, `.md`, `.pictures` and panels.
        model: a task of the default preset, or which networks and task.
        fidelity, changes: as `restore.files`; terms of the objective and `consistent` have their values here.
        detector_range: of the pictures of a detector of one's own, (-1, 1) by default.
        trust: whether a detector without a record may be loaded.
        tell: called with lines for the user.
        progress: called with (answers, answers in all, what remains as text).

    Returns:
        `tables.summary`, and `detector`: its record.

    Raises:
        ValueError: as `train_detector`; a detector that does not fit or is of another feature; an unknown preset, task,
            region or option; an output as `tables.places` refuses it, or of another study. Nothing is written then.

    Example:
        >>> import gekeras
        >>> gekeras.study.run(["faces.tar"], "labels.csv", "Eyeglasses", "glasses", "study/glasses")  # doctest: +SKIP
    """
    changes = dict(changes or {})
    _check(changes, options)
    model = (ModelOptions(model) if isinstance(model, str) else model).loaded()
    of = labeled.read(labels, feature)
    items = data.entries(*pictures)
    known, found = labeled.match(of, items, labels)
    about = detectors.check(detector, feature, trust)
    _check_detector(about, model, detector_range)
    where = tables.places(output)
    chosen, lines = _choose(items, known[found != options.without], feature, detectors.trained_on(detector), options)

    from ..generative_encoder import GenerativeEncoder  # TensorFlow, which takes seconds
    from . import solving

    network = GenerativeEncoder.from_options(model)
    region = regions.region_of(options.region, network.image_shape[0])
    methods = solving.methods(network, network.options(fidelity, **changes, seed=options.seed))
    for method in methods.values():
        network.check(method.options)
    asked = detectors.load(detector, network.image_shape, detector_range)
    lines = [*data.notes(*pictures, items=items), labeled.unlabeled(known, items), *lines]
    for line in filter(None, (*lines, network.note(fidelity, **changes), _without_layers(methods))):
        tell(line)
    header = {
        "feature": feature,
        "labels": checksum(Path(labels)),
        "data": [str(Path(path).resolve()) for path in pictures],
        "detector": {"name": about["name"], "sha256": about.get("sha256"), "range": detector_range},
        **({"without": True} if options.without else {}),
        **_circumstances(model),
        "parameters": network.task.parameters,
        "seed": options.seed,
        "options": {name: config.to_dict(method.options) for name, method in methods.items()},
    }
    source = data.Source(items, *network.image_shape[1:])
    rows = solving.answer(solving.Job(network, source, chosen, methods, asked, options.seed, header), where, progress)
    report = tables.summary(rows, feature, list(methods), options.threshold, options.without)
    tables.write(where, report, about)
    panels.draw(where, rows, [source.name(int(k)) for k in chosen], list(methods), region, options)
    return report | {"detector": about}


def _check(changes: Mapping[str, Any], options: StudyOptions) -> None:
    """Raise ValueError for what the arguments tell by themselves."""
    fixed = ("code_weight", "pixel_weight", "decoder_weight", "consistent", "seed")
    if given := [name for name in effects.given("fast", changes) if name in fixed]:
        raise ValueError(f"{', '.join(given)} cannot be changed in a study: its methods differ by what they compare")
    regions.check(options.region)
    if options.region and not options.panels:
        raise ValueError("region would change nothing: it is for panels, and there are none")


def _check_detector(about: dict[str, Any], model: ModelOptions, picture_range: Range | None) -> None:
    """Raise ValueError for a detector whose record says that it does not fit."""
    preset = model.load_preset()
    if "held_out" in about and picture_range is not None:
        raise ValueError("detector_range is for a detector of one's own; this one's pictures are in [-1, 1]")
    if preset is not None and model.custom.generator is None:
        detectors.fits(about, preset.resolution)


def _circumstances(model: ModelOptions) -> dict[str, Any]:
    """What answers depend on of the networks: a study goes on only where all of it is the same."""
    preset = model.load_preset()
    sums = preset.checksums_of(model.task) if preset else {}
    own = {"preset": preset.name if preset else None, "checksums": sums, "networks": model.custom.record()}
    return {**own, "task": model.task}


def _choose(
    items: list[Any], offered: np.ndarray, feature: str, learned: set[str], options: StudyOptions
) -> tuple[np.ndarray, list[str]]:
    """Numbers of the pictures that are studied, in a random order, and lines for the user.

    The first ones of an order that the seed decides: a study of more pictures goes on with those of a smaller one.

    Args:
        offered: numbers of those with the feature, or of those without.
        learned: names of those that the detector has learned from, which are left out.
    """
    fresh = np.array([k for k in offered if detectors.plain_name(items[k].name) not in learned], int)
    kind = "without" if options.without else "with"
    gone, lines = len(offered) - len(fresh), []
    if not len(fresh):
        raise ValueError(
            f"the detector has learned from all {gone} pictures {kind} {feature}: train one with a larger "
            f"{'--validation' if options.without else '--spare'}, or name other pictures"
        )
    chosen = np.random.default_rng(options.seed).permutation(fresh)[: options.count]
    names = {items[k].name for k in chosen}
    if len(names) < len(chosen):
        raise ValueError("several of the pictures have one name, so that their answers could not be told apart; rename them")
    if gone:
        lines.append(f"{len(offered)} pictures are {kind} {feature}; {gone} that the detector has learned from are left out")
    if len(chosen) < options.count:
        lines.append(f"{len(chosen)} pictures are studied: there are not {options.count}")
    return chosen, lines


def _without_layers(methods: Mapping[str, Any]) -> str:
    if tables.LAYERED in methods:
        return ""
    return "no layer is searched for this task by default: z alone; name one by layers to see what the generator can draw"
