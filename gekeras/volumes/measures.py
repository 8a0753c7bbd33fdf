"""What rock is measured by, of arrays in memory: porosity, two-point correlation, pores added and removed, jumps.

Pore is True. Lines, planes or whole volumes in, numbers out; `scores` reads volumes that no memory holds with them.

References: Torquato, "Random heterogeneous materials", 2002 (S2); Otsu, "A threshold selection method from gray-level
histograms", 1979.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Pores(NamedTuple):
    """Connected components of pore voxels in the truth and in a result, of those that are counted.

    A pore is matched where it shares at least one voxel with the pore space of the other volume. `added` are those of the
    result that are not matched, `removed` those of the truth; the other two are how many voxels these have in all.
    """

    truth: int
    found: int
    added: int
    removed: int
    added_voxels: int
    removed_voxels: int

    def plus(self, other: Pores) -> Pores:
        return Pores(*(a + b for a, b in zip(self, other)))


NO_PORES = Pores(0, 0, 0, 0, 0, 0)


def otsu(counts: np.ndarray, centers: np.ndarray) -> float:
    """Otsu's threshold of a histogram, in the middle of the gap between the two classes: up to it a voxel is pore.

    Args:
        counts, centers: of the bins `[n]`.

    Raises:
        ValueError: all voxels in one bin.

    Example:
        >>> otsu(np.array([5, 1, 0, 0, 4]), np.arange(5.0))
        2.5
    """
    from skimage.filters import threshold_otsu

    filled = np.flatnonzero(counts)
    if len(filled) < 2:
        raise ValueError("all voxels have one gray value: there is no pore to tell from grain")
    low = np.searchsorted(centers[filled], threshold_otsu(hist=(counts, centers)), side="right") - 1
    low = int(np.clip(low, 0, len(filled) - 2))
    return float(centers[filled[low]] + centers[filled[low + 1]]) / 2


def pairs(lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By distance r: how many pairs of voxels r apart on a line are both pore, and how many pairs there are.

    Args:
        lines: bool `[n, length]`. No line is taken for periodic: it is padded with zeros before its transform.

    Returns:
        Two float64 `[length]`; their ratio is S2(r), and S2(0) is the porosity.

    Example:
        >>> both, of = pairs(np.array([[True, True, False, True]]))
        >>> (both / of).round(3)
        array([0.75 , 0.333, 0.5  , 1.   ])
    """
    count, length = lines.shape
    spectrum = np.fft.rfft(lines.astype(np.float64), 2 * length, axis=1)
    both = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=0), 2 * length)[:length]
    return np.round(both), count * (length - np.arange(length, dtype=np.float64))


def two_point(pore: np.ndarray, axis: int) -> np.ndarray:
    """S2(r) along an axis of a volume in memory: the chance that two voxels r apart are both pore, r from 0 to half its
    length.

    Example:
        >>> two_point(np.array([[[True, False, True, False]]]), axis=2).round(3)
        array([0.5, 0. , 0.5])
    """
    length = pore.shape[axis]
    both, of = pairs(np.moveaxis(pore, axis, -1).reshape(-1, length))
    return (both / of)[: length // 2 + 1]


def match(truth: np.ndarray, found: np.ndarray, smallest: int = 1) -> Pores:
    """Pores of a plane or a volume that were added or removed. Neighbors share a side (4 in a plane, 6 in a volume).

    Args:
        truth, found: bool, of one shape.
        smallest: voxels below which a component is not counted.

    Example:
        >>> match(np.array([[True, False, False, True]]), np.array([[True, True, False, False]]))
        Pores(truth=2, found=1, added=0, removed=1, added_voxels=0, removed_voxels=1)
    """
    (here, gone), (there, new) = unmatched(truth, found, smallest), unmatched(found, truth, smallest)
    return Pores(len(here), len(there), len(new), len(gone), int(new.sum()), int(gone.sum()))


def unmatched(pore: np.ndarray, other: np.ndarray, smallest: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of all components of `pore` that are counted, and of those that share no voxel with `other`."""
    _, sizes, shared = _components(pore, other)
    kept = sizes >= smallest
    return sizes[kept], sizes[kept & (shared == 0)]


def unmatched_voxels(pore: np.ndarray, other: np.ndarray, smallest: int = 1) -> np.ndarray:
    """The voxels of the components that `unmatched` counts second, as bool."""
    labels, sizes, shared = _components(pore, other)
    return np.concatenate([[False], (sizes >= smallest) & (shared == 0)])[labels]


def _components(pore: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels from 1 on, each component's size, and how many of its voxels are pore in `other`."""
    from skimage.measure import label

    labels, count = label(pore, connectivity=1, return_num=True)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    return labels, sizes, np.bincount(labels[other], minlength=count + 1)[1:]


def smallest_in_plane(smallest: int) -> int:
    """Pixels of the smallest pore of a cut: those of a cube's face if the smallest pore of a volume is that cube."""
    return max(1, round(smallest ** (2 / 3)))
