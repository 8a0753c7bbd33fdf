"""The progressive schedule in closed form: one number in, the same point out, however training got there."""

import pytest

from gekeras.config import MINIBATCH, GANOptions, Stage, paper_stages
from gekeras.training import schedule

STAGES = (Stage(8, 0, 100), Stage(16, 40, 60), Stage(32, 20, 30))
OPTIONS = GANOptions(resolution=32, stages=STAGES)


def test_the_original_schedule():
    """Karras et al. 2018, appendix A.1: 4x4 for 600k images, then 600k of fading and 600k of training a resolution."""
    stages = paper_stages(128)
    assert [stage.resolution for stage in stages] == [4, 8, 16, 32, 64, 128]
    assert schedule.total_images(GANOptions(128)) == 600_000 * 11
    assert [s.resolution for s in paper_stages(64, start=16, images=5)] == [16, 32, 64]
    assert paper_stages(64, start=16, images=5)[0] == Stage(16, 0, 5)


@pytest.mark.parametrize(
    "images, resolution, alpha, phase",
    [
        (0, 8, 1.0, 1),
        (99, 8, 1.0, 1),
        (100, 16, 0.0, 2),
        (110, 16, 0.25, 2),
        (139, 16, 39 / 40, 2),
        (140, 16, 1.0, 3),
        (199, 16, 1.0, 3),
        (200, 32, 0.0, 4),
        (210, 32, 0.5, 4),
        (220, 32, 1.0, 5),
        (249, 32, 1.0, 5),
        (250, 32, 1.0, 5),
        (10_000, 32, 1.0, 5),
    ],
)
def test_points(images, resolution, alpha, phase):
    point = schedule.at(images, OPTIONS)
    assert (point.resolution, point.alpha, point.phase) == (resolution, pytest.approx(alpha), phase)


def test_alpha_rises_and_phases_come_in_order():
    points = [schedule.at(images, OPTIONS) for images in range(schedule.total_images(OPTIONS) + 1)]
    assert schedule.total_images(OPTIONS) == 250
    for before, after in zip(points, points[1:]):
        assert 0 <= after.alpha <= 1 and after.resolution >= before.resolution and after.phase >= before.phase
        if after.resolution == before.resolution:
            assert after.alpha >= before.alpha
    assert sorted({point.phase for point in points}) == [1, 2, 3, 4, 5]


def test_a_fade_without_a_stable_part():
    options = GANOptions(resolution=16, stages=(Stage(8, 0, 10), Stage(16, 10, 0)))
    assert schedule.at(19, options).alpha == pytest.approx(0.9)
    assert schedule.at(20, options).alpha == 1


def test_batch_sizes():
    assert schedule.at(0, OPTIONS).batch_size == MINIBATCH[8] == 128
    assert schedule.at(200, OPTIONS).batch_size == MINIBATCH[32] == 64
    fixed = GANOptions(resolution=32, stages=STAGES, batch_size=8)
    assert {schedule.at(images, fixed).batch_size for images in (0, 150, 240)} == {8}


def test_steps_count_from_the_beginning_of_a_resolution():
    fixed = GANOptions(resolution=32, stages=STAGES, batch_size=8)
    assert [schedule.at(images, fixed).step for images in (0, 8, 96, 104, 112, 200, 240)] == [0, 1, 12, 0, 1, 0, 5]


def test_the_moving_average_forgets_a_young_resolution_sooner():
    """The decay is (1 + k) / (10 + k) after k steps, until the given one is reached."""
    options = GANOptions(average_decay=0.9)
    assert schedule.average_decay(0, options) == pytest.approx(0.1)
    assert schedule.average_decay(10, options) == pytest.approx(11 / 20)
    decays = [schedule.average_decay(step, options) for step in range(200)]
    assert decays == sorted(decays) and decays[79:82] == [pytest.approx(80 / 89), 0.9, 0.9]


def test_batch_and_rate_of_a_resolution():
    """The original's tables, then one value for all, then a resolution's own."""
    original = GANOptions(resolution=1024)
    sizes = [4 * 2**k for k in range(9)]
    assert [schedule.batch_size_at(size, original) for size in sizes] == [128, 128, 128, 64, 32, 16, 8, 4, 4]
    assert [schedule.learning_rate_at(size, original) for size in sizes] == [0.001] * 8 + [0.0015]
    own = GANOptions(resolution=16, batch_size=8, batch_sizes=((16, 4),), learning_rate=0.002, learning_rates=((8, 0.1),))
    assert [schedule.batch_size_at(size, own) for size in (4, 8, 16)] == [8, 8, 4]
    assert [schedule.learning_rate_at(size, own) for size in (4, 8, 16)] == [0.002, 0.1, 0.002]
    assert schedule.at(0, own).batch_size == 8 and schedule.at(schedule.total_images(own), own).batch_size == 4
    with pytest.raises(ValueError, match="batch_sizes must be pairs"):
        GANOptions(resolution=16, batch_sizes=((32, 4),))
    with pytest.raises(ValueError, match="learning_rates must be pairs"):
        GANOptions(resolution=16, learning_rates=((16, 0.0),))


def test_the_original_s_schedule():
    """600,000 images of fade-in and 600,000 stable ones a resolution: 128 px is all there after 6,000,000."""
    options = GANOptions(resolution=128)
    assert schedule.at(5_999_999, options).alpha < 1
    point = schedule.at(6_000_000, options)
    assert (point.resolution, point.alpha) == (128, 1.0)
    assert schedule.total_images(options) == 6_600_000
