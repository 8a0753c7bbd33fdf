"""How far an image is from the truth: MSE, PSNR and SSIM.

MSE is measured on [-1, 1], the range of the paper's table; PSNR and SSIM on [0, 1] with data range 1, as everyone
else reports them. So `psnr` is `10 log10(4 / mse)` for images that need no clipping.

References: Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural
similarity", 2004; scikit-image, `skimage.metrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Union

import numpy as np

from . import images

Score = Union[float, np.ndarray]

SSIM_WINDOW = 7  # scikit-image's default: a uniform 7x7 window


def mse(x: np.ndarray, reference: np.ndarray) -> Score:
    """Mean of (x - reference)^2 on [-1, 1].

    Args:
      x, reference: `[h, w, c]`, or a batch `[n, h, w, c]`, in [-1, 1].

    Returns:
      A float, or float64 `[n]` for a batch.

    Raises:
      ValueError: the shapes differ or are neither of the two.

    Example:
        >>> mse(np.zeros((8, 8, 1)), np.full((8, 8, 1), 0.5))
        0.25
    """
    x, reference = _pair(x, reference)
    return _score(np.mean((x - reference) ** 2, axis=(-3, -2, -1)))


def psnr(x: np.ndarray, reference: np.ndarray) -> Score:
    """Peak signal to noise ratio in dB, 10 log10(1 / MSE) on [0, 1]; infinite for equal images.

    Args, Returns, Raises: as `mse`. Values outside [-1, 1] are clipped.

    Example:
        >>> round(psnr(np.zeros((8, 8, 1)), np.full((8, 8, 1), 0.2)), 6)
        20.0
    """
    x, reference = (images.to_unit(a) for a in _pair(x, reference))
    with np.errstate(divide="ignore"):
        return _score(-10 * np.log10(np.mean((x - reference) ** 2, axis=(-3, -2, -1))))


def ssim(x: np.ndarray, reference: np.ndarray) -> Score:
    """Structural similarity on [0, 1]: scikit-image's, uniform 7x7 window, data range 1, mean over the channels.

    A side under 7 pixels takes the largest odd window that fits.

    Args, Returns, Raises: as `mse`; also ValueError for a side under 3 pixels, which holds no window.
    """
    from skimage.metrics import structural_similarity  # brings scipy: slow to import, and only this needs it

    x, reference = (images.to_unit(a) for a in _pair(x, reference))
    side = min(x.shape[-3:-1])
    if side < 3:
        raise ValueError(f"SSIM needs sides of at least 3 pixels, received shape {list(x.shape)}")
    window = min(SSIM_WINDOW, side - 1 + side % 2)
    pairs = zip(x.reshape(-1, *x.shape[-3:]), reference.reshape(-1, *x.shape[-3:]))
    values = [structural_similarity(a, b, win_size=window, data_range=1.0, channel_axis=-1) for a, b in pairs]
    return _score(np.reshape(values, x.shape[:-3]))


def scores(
    x: np.ndarray, reference: np.ndarray, lpips: Callable[[np.ndarray, np.ndarray], Score] | None = None
) -> dict[str, Score]:
    """`{"mse": .., "psnr": .., "ssim": ..}` of the three functions above. Args and Raises: as `ssim`.

    Args:
      lpips: adds `"lpips"`, as `perceptual.LPIPS` measures it.
    """
    found = {"mse": mse(x, reference), "psnr": psnr(x, reference), "ssim": ssim(x, reference)}
    return {**found, "lpips": lpips(x, reference)} if lpips else found


def _pair(x: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, reference = np.asarray(x, np.float64), np.asarray(reference, np.float64)
    if x.shape != reference.shape:
        raise ValueError(f"shapes differ: {list(x.shape)} and reference {list(reference.shape)}")
    if x.ndim not in (3, 4) or 0 in x.shape[-3:]:
        raise ValueError(f"expected [h, w, c] or [n, h, w, c], received {list(x.shape)}")
    return x, reference


def _score(value: np.ndarray) -> Score:
    return float(value) if np.ndim(value) == 0 else value
