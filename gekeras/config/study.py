"""Options of `gekeras study`: the detector of a feature, and the study that asks it."""

from __future__ import annotations

from dataclasses import dataclass

from . import training
from .rules import check, documented, require, setting


@documented
@dataclass(frozen=True)
class DetectorOptions:
    """How a detector of one feature is built and trained; see `gekeras.study.learning`.

    Half of every batch shows the feature, however rare it is. Adam's rate falls to zero along half a cosine.

    Raises:
        ValueError: a value that its attribute does not allow.

    Example:
        >>> DetectorOptions(size=32).batch_size
        64
        >>> DetectorOptions(spare=1)
        Traceback (most recent call last):
        ValueError: spare must be from 0 to below 1; received 1
    """

    size: int = setting(
        64, "Side of the pictures that it takes, in pixels: that of the preset whose pictures it is asked about.", minimum=8
    )
    width: int = setting(16, "Of the first convolution; each of the next is twice as wide, up to eight times.", minimum=1)
    images: int = training.images(60_000, "Pictures to show, half of them with the feature.")
    batch_size: int = setting(64, "Pictures a step, half of them with the feature.", minimum=2)
    learning_rate: float = training.rate(0.001, "Adam's, where it begins.")
    validation: int = setting(2_000, "Pictures held out, which its accuracy is told of.", minimum=2)
    spare: float = setting(
        0.5, "Share of the pictures with the feature that is not trained on, but left for the study.", minimum=0, below=1
    )
    mirror: bool = training.mirror()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)


@documented
@dataclass(frozen=True)
class StudyOptions:
    """Which pictures a study takes, what counts as a yes, and what it draws.

    Raises:
        ValueError: a value that its attribute does not allow.

    Example:
        >>> StudyOptions(count=200).threshold
        0.5
        >>> StudyOptions(threshold=1)
        Traceback (most recent call last):
        ValueError: threshold must be above 0 and below 1; received 1
    """

    count: int = setting(1_000, "Pictures with the feature, drawn at random; the paper has 1000.", minimum=1)
    threshold: float = setting(0.5, "From which on the detector's answer is a yes; above 0 and below 1.")
    panels: int = setting(3, "Pictures in each panel: there is one for each outcome; 0: no panels.", minimum=0)
    region: str = setting(
        "", "Part that the panels mark and enlarge: eyes, mouth or top of an aligned face, or x,y,width,height in pixels."
    )
    without: bool = setting(
        False, "Study pictures without the feature instead, a control: how often a method draws it all the same."
    )
    seed: int = setting(0, "Of the choice of pictures, of degradations and of starts.", minimum=0, maximum=2**31 - 1)

    def __post_init__(self):
        check(self)
        require(0 < self.threshold < 1, "threshold must be above 0 and below 1", self.threshold)
