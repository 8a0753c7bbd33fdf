"""The classical baselines improve what they are made for, in the package's ranges, each picture by itself."""

import numpy as np
import pytest
import skimage.data
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle

from gekeras import images, metrics
from gekeras.evaluation import baselines

SIGMA = 0.5


def kernel(sigma=2.0, size=13):
    line = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    return np.outer(line, line) / line.sum() ** 2


PSF = kernel()
CLEAN = np.stack(
    [
        images.box_reduce(images.from_uint8(skimage.data.astronaut()), 8),
        images.resize(images.from_uint8(skimage.data.chelsea()[:, 75:375]), 64),
    ]
)
NOISY = np.clip(CLEAN + SIGMA * np.random.default_rng(0).standard_normal(CLEAN.shape), -1, 1).astype(np.float32)
BLURRED = ndimage.convolve(CLEAN, PSF[None, :, :, None], mode="mirror")
KNOWN = np.ones((2, 64, 64, 1), np.float32)
KNOWN[0, 20:36, 30:50] = 0
KNOWN[1, 50:, :10] = 0  # a corner

METHODS = {
    "total_variation": (lambda x: baselines.total_variation(x, SIGMA), NOISY),
    "non_local_means": (lambda x: baselines.non_local_means(x, SIGMA), NOISY),
    "wiener": (lambda x: baselines.wiener(x, PSF), BLURRED),
    "richardson_lucy": (lambda x: baselines.richardson_lucy(x, PSF, 20), BLURRED),
    "biharmonic": (lambda x: baselines.biharmonic(x, KNOWN[: len(x)]), CLEAN * KNOWN),
}
every_method = pytest.mark.parametrize("name", METHODS)


@every_method
def test_improves_in_range(name):
    method, seen = METHODS[name]
    before = seen.copy()
    restored = method(seen)
    assert restored.shape == seen.shape and restored.dtype == np.float32
    assert restored.min() >= -1 and restored.max() <= 1
    assert (metrics.mse(restored, CLEAN) < 0.75 * metrics.mse(seen, CLEAN)).all()
    assert (seen == before).all()


@every_method
def test_batches_are_their_pictures_and_channels_theirs(name):
    method, seen = METHODS[name]
    assert (method(seen)[:1] == method(seen[:1])).all()
    assert method(seen[:0]).shape == (0, 64, 64, 3)
    gray = method(seen[..., :1])
    assert gray.shape == (2, 64, 64, 1)
    if name != "non_local_means":  # whose patches are compared in all channels at once
        np.testing.assert_allclose(gray, method(seen)[..., :1], atol=1e-6)


@every_method
def test_flat_pictures_stay(name):
    flat = np.full((1, 16, 20, 3), 0.25, np.float32) * [1, -1, 3]
    known = np.ones((1, 16, 20, 1))
    known[0, 3:6, 4:7] = 0
    method = METHODS[name][0] if name != "biharmonic" else lambda x: baselines.biharmonic(x, known)
    tolerance = 0.02 if name == "richardson_lucy" else 1e-5
    np.testing.assert_allclose(method(flat), flat, atol=tolerance)


@every_method
def test_refuses_what_is_no_batch(name):
    method, seen = METHODS[name]
    with pytest.raises(ValueError, match=r"expected pictures \[n, h, w, c\], received \[64, 64, 3\]"):
        method(seen[0])
    with pytest.raises(ValueError, match="NaN or infinite"):
        method(np.where(seen > 0.2, np.nan, seen))


def test_denoisers_are_the_librarys_with_sigma_on_its_range():
    """0.5 on [-1, 1] is 0.25 on [0, 1]."""
    unit = (NOISY[0].astype(np.float64) + 1) / 2
    expected = denoise_tv_chambolle(unit, 0.25 * baselines.TV_WEIGHT, channel_axis=-1) * 2 - 1
    np.testing.assert_allclose(baselines.total_variation(NOISY[:1], SIGMA)[0], expected, atol=1e-6)
    patches = {"patch_size": 5, "patch_distance": 3, "h": 0.1, "sigma": 0.25}
    expected = denoise_nl_means(unit, fast_mode=True, channel_axis=-1, **patches) * 2 - 1
    found = baselines.non_local_means(NOISY[:1], SIGMA, cutoff=0.4, patch=5, distance=3)[0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("denoise", [baselines.total_variation, baselines.non_local_means])
@pytest.mark.parametrize("sigma", [0, -1, np.nan])
def test_sigma_is_above_zero(denoise, sigma):
    with pytest.raises(ValueError, match="sigma must be above 0"):
        denoise(NOISY, sigma)


def test_wiener_all_but_undoes_a_blur_that_was_not_rounded():
    """Borders included, so the mirrored continuation is the blur's own."""
    restored = baselines.wiener(BLURRED, PSF, balance=baselines.WIENER_BALANCE_EXACT)
    assert (metrics.mse(restored, CLEAN) < 0.05 * metrics.mse(BLURRED, CLEAN)).all()
    border = np.abs(restored - CLEAN)[:, [0, -1]].mean()
    assert border < 2 * np.abs(restored - CLEAN).mean()


def test_wiener_survives_eight_bits():
    rounded = images.from_uint8(images.to_uint8(BLURRED))
    assert (metrics.mse(baselines.wiener(rounded, PSF), CLEAN) < 0.6 * metrics.mse(BLURRED, CLEAN)).all()


@pytest.mark.parametrize("deblur", [baselines.wiener, lambda x, psf: baselines.richardson_lucy(x, psf, 3)])
def test_the_kernels_center_and_direction(deblur):
    """A shift is undone in its own direction, whatever the sizes are."""
    shift = np.zeros((3, 3))
    shift[1, 2] = 1
    for height, width in ((12, 9), (2, 30), (16, 16)):
        clean = np.random.default_rng(1).uniform(-0.9, 0.9, (1, height, width, 1)).astype(np.float32)
        moved = ndimage.convolve(clean, shift[None, :, :, None], mode="mirror")
        error = np.abs(deblur(moved, shift) - clean)[:, :, 1:-3]
        assert np.median(error) < 0.05, (height, width)


@pytest.mark.parametrize("deblur", [baselines.wiener, lambda x, psf: baselines.richardson_lucy(x, psf, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (7, 7), (8, 5)])
def test_pictures_smaller_than_the_kernel(deblur, shape):
    assert deblur(np.zeros((1, *shape, 2)), PSF).shape == (1, *shape, 2)


@pytest.mark.parametrize("deblur", [baselines.wiener, baselines.richardson_lucy])
def test_refuses_what_is_no_kernel(deblur):
    for psf in (np.ones(3) / 3, np.ones((3, 5)) / 15, np.ones((4, 4)) / 16):
        with pytest.raises(ValueError, match=r"must be \[k, k\] with k odd"):
            deblur(BLURRED, psf)
    for psf in (np.ones((3, 3)), np.full((3, 3), np.nan)):
        with pytest.raises(ValueError, match="must sum to 1"):
            deblur(BLURRED, psf)


def test_iterations_are_above_zero():
    with pytest.raises(ValueError, match="iterations must be above 0"):
        baselines.richardson_lucy(BLURRED, PSF, 0)


def test_biharmonic_keeps_what_is_known_and_ignores_what_is_not():
    restored = baselines.biharmonic(CLEAN * KNOWN, KNOWN)
    known = np.broadcast_to(KNOWN, CLEAN.shape) == 1
    assert (restored[known] == CLEAN[known]).all()
    assert (restored == baselines.biharmonic(np.where(known, CLEAN, -0.7), KNOWN.astype(bool))).all()
    assert (baselines.biharmonic(CLEAN, np.ones_like(KNOWN)) == CLEAN).all()


def test_biharmonic_continues_a_ramp():
    ramp = np.broadcast_to(np.linspace(-1, 1, 24, dtype=np.float32)[None, None, :, None], (1, 24, 24, 1))
    known = np.ones((1, 24, 24, 1))
    known[0, 8:16, 8:16] = 0
    np.testing.assert_allclose(baselines.biharmonic(ramp * known.astype(np.float32), known), ramp, atol=1e-5)


def test_biharmonic_refuses_masks():
    for known in (KNOWN[:1], KNOWN[..., 0], KNOWN * 0.5, np.repeat(KNOWN, 3, axis=-1)):
        with pytest.raises(ValueError, match=r"zeros and ones in \[2, 64, 64, 1\]"):
            baselines.biharmonic(CLEAN, known)
    with pytest.raises(ValueError, match="no pixel of that picture is known"):
        baselines.biharmonic(CLEAN, KNOWN * np.array([1, 0])[:, None, None, None])
