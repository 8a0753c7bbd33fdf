"""What yes and no answers say: truth table, shares with their intervals, McNemar's test, the paper's scenarios, accuracy.

Pure functions of arrays of booleans and numbers. A *reference* is the method that is compared with, invertGAN in the paper
(equation (4)), and a *method* what is compared, GE (equation (3)).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEVEL = 0.05  # of McNemar's test, below which a difference is taken for one
CONFIDENCE = 0.95  # of intervals


class TruthTable(NamedTuple):
    """Table 4 of the paper: how many pictures have the feature by which of two methods.

    Attributes:
        neither: by none of them.
        gained: by the method, and not by the reference.
        lost: by the reference, and not by the method.
        both: by both.

    Example:
        >>> table = TruthTable(neither=289, gained=157, lost=32, both=469)  # the paper's
        >>> table.count, table.absent, table.present
        (947, 446, 501)
    """

    neither: int
    gained: int
    lost: int
    both: int

    @property
    def count(self) -> int:  # type: ignore[override]  # a tuple's own, which nobody asks of a table
        return sum(self)

    @property
    def absent(self) -> int:
        """Pictures without the feature by the reference."""
        return self.neither + self.gained

    @property
    def present(self) -> int:
        """Pictures with the feature by the reference."""
        return self.lost + self.both


def truth_table(reference, method) -> TruthTable:
    """Counts of two methods' answers, `[n]` booleans each. Raises ValueError for answers of different numbers.

    Example:
        >>> truth_table([False, False, True, True, True], [False, True, False, True, True])
        TruthTable(neither=1, gained=1, lost=1, both=2)
    """
    reference, method = np.asarray(reference, bool), np.asarray(method, bool)
    if reference.shape != method.shape or reference.ndim != 1:
        raise ValueError(f"answers must be two lists of one length; received {reference.shape} and {method.shape}")
    pairs = (~reference & ~method, ~reference & method, reference & ~method, reference & method)
    return TruthTable(*(int(pair.sum()) for pair in pairs))


def wilson(successes: int, count: int) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 %; (0, 1) where there is nothing to count.

    Example:
        >>> [round(end, 4) for end in wilson(157, 446)]
        [0.3091, 0.3974]
    """
    if not count:
        return 0.0, 1.0
    from scipy.stats import binomtest  # takes a part of a second to import

    interval = binomtest(int(successes), int(count)).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar(gained: int, lost: int) -> float:
    """p of McNemar's exact test: were both changes equally likely, how likely is a difference as large as this one?

    Two-sided: min(1, 2 P(X <= min(gained, lost))), X binomial with n = gained + lost and 1/2.

    Example:
        >>> mcnemar(1, 5)
        0.21875
    """
    if not gained + lost:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(int(gained), int(gained + lost)).pvalue)


def scenario(table: TruthTable) -> str:
    """Which of the scenarios of section 3.1 the table stands for: "a", "b", "loss" or "none".

    a: the feature appears with E more often than it goes, so G can draw it and does so too seldom.
    loss: it goes more often than it appears, so E tells too little of it.
    b: neither is shown, and more pictures have it by none of the two than by both.
    none: neither is shown, and more have it by both, so that there is little to explain.

    "More often" is a McNemar's p below `LEVEL`.

    Example:
        >>> scenario(TruthTable(289, 157, 32, 469)), scenario(TruthTable(90, 2, 3, 5))
        ('a', 'b')
    """
    if mcnemar(table.gained, table.lost) < LEVEL:
        return "a" if table.gained > table.lost else "loss"
    return "b" if table.neither > table.both else "none"


def detection(labels, scores, threshold: float = 0.5) -> dict[str, float]:
    """How well scores tell yes from no.

    Args:
        labels: what is true, `[n]` booleans.
        scores: a detector's answers, `[n]` from 0 to 1.

    Returns:
        `n`, `yes` (how many are true), `accuracy`, `sensitivity` (share of the true that are found), `specificity` (of the
            others that are told so), `balanced_accuracy` (their mean), and `auc` (how often a true one has the higher score
            of two, ties half).

    Raises:
        ValueError: labels of one kind alone.

    Example:
        >>> detection([True, True, False, False], [0.9, 0.4, 0.4, 0.1])["auc"]
        0.875
    """
    labels, scores = np.asarray(labels, bool), np.asarray(scores, float)
    if labels.all() or not labels.any():
        raise ValueError(f"accuracy needs pictures with the feature and without; {labels.sum()} of {len(labels)} have it")
    from scipy.stats import rankdata

    answers, yes = scores >= threshold, int(labels.sum())
    found, told = float(answers[labels].mean()), float((~answers[~labels]).mean())
    above = rankdata(scores)[labels].sum() - yes * (yes + 1) / 2
    return {
        "n": len(labels),
        "yes": yes,
        "accuracy": float((answers == labels).mean()),
        "sensitivity": found,
        "specificity": told,
        "balanced_accuracy": (found + told) / 2,
        "auc": float(above / (yes * (len(labels) - yes))),
    }
