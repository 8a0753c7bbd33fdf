"""The metrics agree with scikit-image and with sums done by hand."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from gekeras import metrics

RNG = np.random.default_rng(0)
TRUTH = RNG.uniform(-1, 1, (4, 16, 12, 3)).astype(np.float32)
NOISY = np.clip(TRUTH + RNG.normal(0, 0.2, TRUTH.shape), -1, 1).astype(np.float32)


def unit(x):
    return (x.astype(np.float64) + 1) / 2


def test_by_hand():
    black, gray = np.full((4, 4, 1), -1.0), np.zeros((4, 4, 1))
    assert metrics.mse(black, gray) == 1
    assert metrics.psnr(black, gray) == pytest.approx(20 * np.log10(2))  # an error of 1/2 on [0, 1]
    assert metrics.psnr(black, -black) == 0


def test_against_scikit_image():
    for x, truth in zip(NOISY, TRUTH):
        assert metrics.psnr(x, truth) == pytest.approx(peak_signal_noise_ratio(unit(truth), unit(x), data_range=1))
        expected = structural_similarity(unit(x), unit(truth), data_range=1, channel_axis=-1)
        assert metrics.ssim(x, truth) == pytest.approx(expected)


def test_psnr_follows_from_mse_when_nothing_is_clipped():
    np.testing.assert_allclose(metrics.psnr(NOISY, TRUTH), 10 * np.log10(4 / metrics.mse(NOISY, TRUTH)))


@pytest.mark.parametrize("metric", [metrics.mse, metrics.psnr, metrics.ssim])
def test_a_batch_is_its_images(metric):
    batch = metric(NOISY, TRUTH)
    assert batch.shape == (4,)
    assert batch.tolist() == [metric(x, truth) for x, truth in zip(NOISY, TRUTH)]
    assert isinstance(metric(NOISY[0], TRUTH[0]), float)
    assert metric(NOISY[:0], TRUTH[:0]).shape == (0,)


def test_equal_images_are_perfect():
    assert metrics.scores(TRUTH[0], TRUTH[0]) == {"mse": 0, "psnr": np.inf, "ssim": pytest.approx(1)}


def test_another_score_joins_the_three():
    found = metrics.scores(NOISY, TRUTH, lambda x, reference: x.sum((1, 2, 3)) - reference.sum((1, 2, 3)))
    assert list(found) == ["mse", "psnr", "ssim", "lpips"] and list(metrics.scores(NOISY, TRUTH)) == ["mse", "psnr", "ssim"]
    np.testing.assert_array_equal(found["lpips"], NOISY.sum((1, 2, 3)) - TRUTH.sum((1, 2, 3)))


def test_psnr_and_ssim_clip_and_mse_does_not():
    white = np.ones((8, 8, 3))
    assert metrics.mse(3 * white, white) == 4
    assert metrics.psnr(3 * white, white) == np.inf
    assert metrics.ssim(3 * white, white) == pytest.approx(1)


@pytest.mark.parametrize("side, window", [(3, 3), (4, 3), (5, 5), (6, 5), (7, 7), (8, 7)])
def test_small_images_take_a_smaller_window(side, window):
    x, truth = NOISY[0, :side, :side], TRUTH[0, :side, :side]
    expected = structural_similarity(unit(x), unit(truth), win_size=window, data_range=1, channel_axis=-1)
    assert metrics.ssim(x, truth) == pytest.approx(expected)


def test_refusals_name_the_shapes():
    with pytest.raises(ValueError, match=r"\[16, 12, 3\] and reference \[16, 12, 1\]"):
        metrics.mse(TRUTH[0], TRUTH[0, ..., :1])  # would broadcast
    with pytest.raises(ValueError, match=r"received \[12, 3\]"):
        metrics.psnr(TRUTH[0, 0], TRUTH[0, 0])
    with pytest.raises(ValueError, match="at least 3 pixels"):
        metrics.ssim(TRUTH[0, :2], TRUTH[0, :2])
