"""How far two sets of pictures are from each other: FID, KID, precision and recall, and the sliced Wasserstein distance.

The first three compare activations of the same network, which `perceptual.Inception` gives; the last one the pictures
themselves. All depend on the number of pictures: values of different N do not compare. NumPy alone, for both lines of
TensorFlow; the tests hold them equal to tensorflow-gan's, which imports on the classic one only.

References: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, "GANs Trained by a Two Time-Scale Update Rule Converge to
a Local Nash Equilibrium", 2017; Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs", 2018; Kynkaanniemi,
Karras, Laine, Lehtinen and Aila, "Improved Precision and Recall Metric for Assessing Generative Models", 2019; Karras, Aila,
Laine and Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018.
"""

from __future__ import annotations

import math

import numpy as np

FEWEST = 4  # pictures: precision asks each for its third neighbor, and KID's error for a set without one of three
BLOCK = 1024  # pictures at most that KID compares at once, as tensorflow-gan has it
NEIGHBOR = 3  # k of precision and recall
PATCH, PATCHES = 7, 64  # pixels, and how many of a picture and level
SMALLEST_LEVEL = 16  # pixels
PROJECTIONS, DRAWS = 128, 4


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), means and covariances of the activations.

    The trace of the root is the sum of the singular values of R_a R_b^T where C = R^T R, and R is as the data have it:
    no root of a matrix is taken, and sets smaller than the activations are wide need no care.

    Args:
        a, b: activations `[n, d]` and `[m, d]`.

    Returns:
        A float, 0 for equal sets. FID where they are `perceptual.Inception`'s.

    Raises:
        ValueError: other shapes, fewer than 4 rows, or values that are not finite.

    Example:
        >>> a = np.array([[0.0], [1.0], [2.0], [3.0]])
        >>> round(frechet(a, a + 2), 6), round(frechet(a, 3 * a - 3), 6)
        (4.0, 6.666667)
    """
    a, b = _activations(a), _activations(b)
    _check_widths(a, b)
    roots = [_root(x) for x in (a, b)]
    cross = np.linalg.svd(roots[0] @ roots[1].T, compute_uv=False).sum()
    traces = sum(float((root**2).sum()) for root in roots)
    return max(0.0, float(((a.mean(0) - b.mean(0)) ** 2).sum() + traces - 2 * cross))


def kernel(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """The squared maximum mean discrepancy for k(x, y) = (x y / d + 1)^3, without bias, and its standard error.

    The sets are cut into blocks of at most 1024, as tensorflow-gan does; the error is that of leaving out one of each at a
    time (jackknife), so that it is there for a single block, too.

    Args:
        a, b: activations `[n, d]` of as many pictures each, in no order that means anything.

    Returns:
        (estimate, standard error). KID where they are `perceptual.Inception`'s; it can be below 0 for sets that are alike.

    Raises:
        ValueError: as `frechet`, or sets of different size.
    """
    a, b = _activations(a), _activations(b)
    _check_widths(a, b)
    if len(a) != len(b):
        raise ValueError(f"sets of as many pictures each are needed; received {len(a)} and {len(b)}")
    count = math.ceil(len(a) / BLOCK)
    found = np.array([_kernel_block(x, y) for x, y in zip(_blocks(a, count), _blocks(b, count))])
    return float(found[:, 0].mean()), float(np.sqrt(found[:, 1].sum()) / count)


def precision_and_recall(a: np.ndarray, b: np.ndarray, neighbor: int = NEIGHBOR) -> tuple[float, float]:
    """(Share of `b` that lies among `a`, share of `a` that lies among `b`): with a real, precision and recall.

    A point lies among a set where it is no farther from one of its points than that one's k-th neighbor in the set.

    Args:
        a, b: activations `[n, d]` and `[m, d]`.
        neighbor: k.

    Raises:
        ValueError: as `frechet`, or a set of no more than k.
    """
    a, b = _activations(a), _activations(b)
    _check_widths(a, b)
    if not 0 < neighbor < min(len(a), len(b)):
        raise ValueError(f"neighbor must be above 0 and below the pictures of each set; received {neighbor}")
    between = _squares(a, b)
    reach = [np.partition(_squares(x, x), neighbor, axis=1)[:, neighbor] for x in (a, b)]  # the 0-th is x itself
    precision = (between <= reach[0][:, None]).any(0).mean()
    return float(precision), float((between <= reach[1][None]).any(1).mean())


def sliced_wasserstein(a: np.ndarray, b: np.ndarray, seed: int = 0) -> list[tuple[int, float]]:
    """Mean distance of the sorted projections of patches, at each level of a Laplacian pyramid.

    Patches of 7x7 pixels, 64 of a picture and level, each of mean 0 and variance 1; 4 times 128 random directions. Each
    pixel is moved within its rounding to 8 bits, because a patch of one color has no variance. Where patches lie differs
    between the sets, so that equal sets are not at 0 but at what chance leaves.

    Args:
        a, b: pictures `[n, h, w, c]` in [-1, 1], of one shape.
        seed: of all that is drawn.

    Returns:
        (side of the level in pixels, distance) from the largest level on, down to 16 pixels.

    Raises:
        ValueError: different or other shapes, pictures that are not square or smaller than 7 pixels.
    """
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    if a.ndim != 4 or a.shape != b.shape or a.shape[1] != a.shape[2] or a.shape[1] < PATCH or not a.size:
        expected = f"two sets [n, h, h, c] of one shape with h of at least {PATCH}"
        raise ValueError(f"expected {expected}; received {list(a.shape)} and {list(b.shape)}")
    rng, found = np.random.default_rng(seed), []
    for level, other in zip(*(laplacian_pyramid(dithered(x, rng)) for x in (a, b))):
        one, two = (normalized(patches(x, rng)) for x in (level, other))
        drawn = (directions(rng, one.shape[1]) for _ in range(DRAWS))
        found.append((level.shape[1], float(np.mean([projected_distance(one, two, each) for each in drawn]))))
    return found


def _activations(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    if x.ndim != 2 or len(x) < FEWEST or not x.shape[1]:
        raise ValueError(f"a set needs at least {FEWEST} pictures: activations [n, d]; received {list(x.shape)}")
    if not np.isfinite(x).all():
        raise ValueError("the activations hold NaN or infinite values")
    return x


def _check_widths(a: np.ndarray, b: np.ndarray) -> None:
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"activations are of different networks: {a.shape[1]} and {b.shape[1]} numbers a picture")


def _root(x: np.ndarray) -> np.ndarray:
    """R with R^T R the covariance, of no more rows than it takes."""
    centered = (x - x.mean(0)) / math.sqrt(len(x) - 1)
    return np.asarray(np.linalg.qr(centered, mode="r")) if len(x) > x.shape[1] else centered


def _blocks(x: np.ndarray, count: int) -> list[np.ndarray]:
    """Parts of about the same size, the smaller ones first."""
    size, larger = divmod(len(x), count)
    return np.split(x, np.cumsum([size] * (count - larger) + [size + 1] * larger)[:-1])


def _kernel_block(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(Estimate, variance) of one block."""
    n, ones = len(a), np.eye(len(a), dtype=bool)
    aa, bb, ab = (((x @ y.T) / a.shape[1] + 1) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    within, across = np.where(ones, 0, aa + bb), ab + ab.T
    estimate = within.sum() / (n * (n - 1)) - 2 * ab.mean()
    left_within = (within.sum() - 2 * within.sum(1)) / ((n - 1) * (n - 2))
    left_across = (ab.sum() - across.sum(1) + np.diag(ab)) / (n - 1) ** 2
    left = left_within - 2 * left_across
    return float(estimate), float((n - 1) * left.var())


def _squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Squared distances `[n, m]`."""
    return np.maximum((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T, 0)


# ---------------------------------------------------------------------------------------------------- sliced Wasserstein


def dithered(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Pictures moved within half a level of 8 bits."""
    return pictures + rng.uniform(-0.5 / 127.5, 0.5 / 127.5, pictures.shape).astype(np.float32)


def laplacian_pyramid(pictures: np.ndarray) -> list[np.ndarray]:
    """What each level has over the next, largest first; the last is the rest. As OpenCV's pyrDown and pyrUp do."""
    found = [pictures]
    while found[-1].shape[1] % 2 == 0 and found[-1].shape[1] // 2 >= SMALLEST_LEVEL:
        smaller = _blurred(found[-1])[:, ::2, ::2]
        spread = np.zeros_like(found[-1])
        spread[:, ::2, ::2] = smaller
        found[-1] = found[-1] - 4 * _blurred(spread)
        found.append(smaller)
    return found


def _blurred(pictures: np.ndarray) -> np.ndarray:
    from scipy.ndimage import convolve1d  # slow to import

    taps = np.array([1, 4, 6, 4, 1], np.float32) / 16
    return convolve1d(convolve1d(pictures, taps, axis=1, mode="mirror"), taps, axis=2, mode="mirror")


def patches(pictures: np.ndarray, rng: np.random.Generator, count: int = PATCHES) -> np.ndarray:
    """`[n * count, 7, 7, c]` from random places."""
    n, height, width, _ = pictures.shape
    top, left = rng.integers(0, height - PATCH + 1, n * count), rng.integers(0, width - PATCH + 1, n * count)
    near = np.arange(PATCH)
    which = np.repeat(np.arange(n), count)[:, None, None]
    return pictures[which, (top[:, None] + near)[:, :, None], (left[:, None] + near)[:, None, :]]


def normalized(parts: np.ndarray) -> np.ndarray:
    """`[k, 7 * 7 * c]`, each of mean 0 and variance 1."""
    flat = parts.reshape(len(parts), -1)
    return (flat - flat.mean(1, keepdims=True)) / flat.std(1, keepdims=True)


def directions(rng: np.random.Generator, size: int) -> np.ndarray:
    """`[size, 128]` of length 1."""
    drawn = rng.standard_normal((size, PROJECTIONS), np.float32)
    return drawn / np.sqrt((drawn**2).sum(0))


def projected_distance(a: np.ndarray, b: np.ndarray, along: np.ndarray) -> float:
    """Mean of |a - b| of the sorted projections."""
    return float(np.abs(np.sort(a @ along, axis=0) - np.sort(b @ along, axis=0)).mean())
