"""What scikit-image offers for the same tasks without a trained model: the baselines a generator has to beat.

Batches `[n, h, w, c]` in [-1, 1] in and out, float32, as everywhere in the package; scikit-image works on [0, 1]. What it
leaves to its user (weights, patches, iterations) was chosen with `tools/tune_baselines.py` on training pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import images

# Each is the point of least mean squared error in the grids of `tools/tune_baselines.py --count 40 --side 64`: 40 training
# faces of 64x64 pixels. Denoisers: noise of sigma 0.5 on [-1, 1], clipped.
TV_WEIGHT = 1.0
NLM_CUTOFF = 0.3
NLM_PATCH = 5
NLM_DISTANCE = 3
# Deblurring: a Gaussian of sigma 2 px, 13x13, borders mirrored. The first is for pictures rounded to 8 bits, as files hold
# them; the second for float32 that no file has rounded, where the blur is all but invertible. On a rounded picture the
# second gives noise (MSE 1.3; blurred 0.019); on an unrounded one the first leaves 0.0050 and the second 0.0002.
WIENER_BALANCE = 5e-5
WIENER_BALANCE_EXACT = 1e-15
RL_ITERATIONS = 1000  # rounded or not; the end of its grid (500 leave 8 % more), seconds for a picture


def total_variation(noisy: np.ndarray, sigma: float, *, weight: float = TV_WEIGHT) -> np.ndarray:
    """Total variation denoising: argmin_u ||u - y||^2 / 2 + w TV(u) for each channel, by Chambolle's algorithm.

    Args:
        noisy: y, `[n, h, w, c]` in [-1, 1].
        sigma: standard deviation of the noise on [-1, 1].
        weight: w over the noise's standard deviation, a pure number: w is in the units of the pixels.

    Returns:
        float32 `[n, h, w, c]` in [-1, 1].

    Raises:
        ValueError: another shape, a value that is not finite, or a sigma that is not above 0.

    Source: Chambolle, "An algorithm for total variation minimization and applications", 2004.
    """
    from skimage.restoration import denoise_tv_chambolle

    unit_weight = weight * _unit_sigma(sigma)
    return _each(lambda unit: denoise_tv_chambolle(unit, unit_weight, channel_axis=-1), noisy)


def non_local_means(
    noisy: np.ndarray,
    sigma: float,
    *,
    cutoff: float = NLM_CUTOFF,
    patch: int = NLM_PATCH,
    distance: int = NLM_DISTANCE,
) -> np.ndarray:
    """Non-local means: each pixel becomes the mean of those nearby whose surroundings look alike.

    Args:
        noisy: `[n, h, w, c]` in [-1, 1].
        sigma: standard deviation of the noise on [-1, 1].
        cutoff: h of the weights exp(-d^2 / h^2), over the noise's standard deviation.
        patch: side in pixels of the surroundings that are compared.
        distance: how far in pixels pixels are looked for.

    Returns, Raises: as `total_variation`.

    Source: Buades, Coll and Morel, "Non-local means denoising", 2011.
    """
    from skimage.restoration import denoise_nl_means

    unit_sigma = _unit_sigma(sigma)
    settings = {"patch_size": patch, "patch_distance": distance, "h": cutoff * unit_sigma, "sigma": unit_sigma}
    return _each(lambda unit: denoise_nl_means(unit, fast_mode=True, channel_axis=-1, **settings), noisy)


def wiener(blurred: np.ndarray, psf: np.ndarray, *, balance: float = WIENER_BALANCE) -> np.ndarray:
    """Wiener-Hunt deconvolution of each channel: F^-1[conj(H) Y / (|H|^2 + balance |L|^2)], L the Laplacian.

    The library takes a picture for one period of a periodic one. Laid out to a whole period of its mirror images it is one,
    and for a symmetric kernel and mirrored borders, as `GaussianBlur` has them, the model then has no error at the borders.

    Args:
        blurred: `[n, h, w, c]` in [-1, 1].
        psf: the kernel, `[k, k]`, k odd, sum 1; (k // 2, k // 2) is its center.
        balance: how much smoothness counts against fidelity; `WIENER_BALANCE_EXACT` for pictures that were never rounded.

    Returns:
        float32 `[n, h, w, c]` in [-1, 1].

    Raises:
        ValueError: a batch or a kernel of another shape, a value that is not finite, or a kernel that does not sum to 1.

    Source: Hunt, "A matrix theory proof of the discrete convolution theorem", 1971.
    """
    from skimage.restoration import wiener as deconvolve

    psf = _checked_psf(psf)

    def one(plane):
        height, width = plane.shape
        extra = [(0, _period(side, len(psf)) - side) for side in plane.shape]
        return deconvolve(np.pad(plane, extra, mode="reflect"), psf, balance, clip=False)[:height, :width]

    return _each(_by_plane(one), blurred)


def richardson_lucy(blurred: np.ndarray, psf: np.ndarray, iterations: int = RL_ITERATIONS) -> np.ndarray:
    """Richardson-Lucy deconvolution of each channel: u <- u * psf^T (y / (psf u)), from u = 1/2, on [0, 1].

    The library takes what lies outside the picture for black, so the picture is continued by its mirror image and cut out
    again. Two kernel widths keep that error outside for hundreds of iterations; one lets it in, and more change nothing.

    Args:
        blurred: y, `[n, h, w, c]` in [-1, 1].
        psf: as in `wiener`.
        iterations: above 0; more restore more detail, and more noise.

    Returns, Raises: as `wiener`; also ValueError for iterations below 1.

    Source: Richardson, "Bayesian-based iterative method of image restoration", 1972; Lucy, 1974.
    """
    from skimage.restoration import richardson_lucy as deconvolve

    psf = _checked_psf(psf)
    if iterations < 1:
        raise ValueError(f"iterations must be above 0; received {iterations!r}")
    margin = 2 * len(psf)
    inside = slice(margin, -margin)

    def one(plane):
        return deconvolve(np.pad(plane, margin, mode="reflect"), psf, iterations, clip=False)[inside, inside]

    return _each(_by_plane(one), blurred)


def biharmonic(damaged: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill what is missing with the smoothest surface: laplacian^2 u = 0 there, u as given where pixels are known.

    Args:
        damaged: `[n, h, w, c]` in [-1, 1]; missing pixels may hold anything finite, such as 0, mid gray.
        known: `[n, h, w, 1]`, 1 where the pixel is known and 0 where it is missing.

    Returns:
        float32 `[n, h, w, c]` in [-1, 1]; known pixels are those of `damaged`, bit for bit if these lie in [-1, 1].

    Raises:
        ValueError: another shape, a value that is not finite, a mask of other values, or a picture with no known pixel.

    Source: Damelin and Hoang, "On surface completion and image inpainting by biharmonic functions", 2018.
    """
    from skimage.restoration import inpaint_biharmonic

    damaged, known = _checked_batch(damaged), np.asarray(known)
    if known.shape != (*damaged.shape[:3], 1) or not np.isin(known, (0, 1)).all():
        raise ValueError(f"known must hold zeros and ones in {[*damaged.shape[:3], 1]}; received shape {list(known.shape)}")
    known = known.astype(bool)
    if not known.any(axis=(1, 2, 3)).all():
        raise ValueError("a mask covers everything: no pixel of that picture is known")
    filled = np.clip(damaged, -1, 1).astype(np.float32)
    for image, mask in zip(filled, ~known[..., 0]):
        if mask.any():  # the library fails where there is nothing to do
            image[mask] = inpaint_biharmonic(image.astype(np.float64), mask, channel_axis=-1)[mask]
    return np.clip(filled, -1, 1)


def _each(restore: Callable[[np.ndarray], np.ndarray], batch: np.ndarray) -> np.ndarray:
    """`restore`, a function of one float64 picture `[h, w, c]` on [0, 1], for each of a batch on [-1, 1]."""
    batch = _checked_batch(batch)
    restored = np.empty(batch.shape, np.float32)
    for index, image in enumerate(batch):
        unit = restore(images.to_unit(image.astype(np.float64)))
        restored[index] = np.clip(unit * 2 - 1, -1, 1).reshape(image.shape)  # non-local means drops a channel axis of 1
    return restored


def _by_plane(restore: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """`restore`, a function of `[h, w]`, for every channel of `[h, w, c]`."""
    return lambda unit: np.dstack([restore(plane) for plane in np.moveaxis(unit, -1, 0)])


def _period(side: int, above: int) -> int:
    """Length of whole periods of a line of `side` pixels and its mirror image (a b c d c b | a ..), over `above` pixels.

    Over, because the library pads the kernel to that length, and takes one of the same shape for a transfer function.
    """
    period = max(2 * (side - 1), 1)
    return period * (above // period + 1)


def _unit_sigma(sigma: float) -> float:
    """Standard deviation on [-1, 1] -> on [0, 1]."""
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0; received {sigma!r}")
    return sigma / 2


def _checked_batch(batch: np.ndarray) -> np.ndarray:
    batch = np.asarray(batch)
    if batch.ndim != 4 or 0 in batch.shape[1:]:
        raise ValueError(f"expected pictures [n, h, w, c], received {list(batch.shape)}")
    if not np.isfinite(batch).all():
        raise ValueError("the pictures hold NaN or infinite values")
    return batch


def _checked_psf(psf: np.ndarray) -> np.ndarray:
    psf = np.asarray(psf, np.float64)
    if psf.ndim != 2 or psf.shape[0] != psf.shape[1] or len(psf) % 2 == 0:
        raise ValueError(f"the kernel must be [k, k] with k odd; received {list(psf.shape)}")
    if not abs(psf.sum() - 1) < 1e-3:  # false for NaN
        raise ValueError(f"the kernel must sum to 1; received {psf.sum():.4g}")
    return psf
