"""Tiles cover, and blending undoes splitting."""

import numpy as np
import pytest

from gekeras.pictures import tiles


@pytest.mark.parametrize("tile, overlap", [(1, 0), (7, 0), (7, 3), (7, 6), (16, 5)])
def test_starts_cover_evenly_with_the_overlap_and_no_tile_too_many(tile, overlap):
    for length in range(tile, 5 * tile + 3):
        origins = tiles.starts(length, tile, overlap)
        gaps = np.diff(origins)
        assert origins[0] == 0 and origins[-1] == length - tile
        assert all(0 < gap <= tile - overlap for gap in gaps)
        assert not len(gaps) or np.ptp(gaps) <= 1
        assert (len(origins) - 2) * (tile - overlap) < length - tile or len(origins) == 1


@pytest.mark.parametrize("length, tile, overlap", [(7, 8, 0), (8, 8, 8), (8, 8, -1), (8, 0, 0), (0, 1, 0)])
def test_starts_refuses(length, tile, overlap):
    with pytest.raises(ValueError):
        tiles.starts(length, tile, overlap)


def test_split_goes_row_by_row():
    image = np.arange(5 * 7 * 2, dtype=np.float32).reshape(5, 7, 2)
    parts, places = tiles.split(image, 4, 1)
    assert places == [(0, 0), (0, 3), (1, 0), (1, 3)] and parts.shape == (4, 4, 4, 2)
    for part, (top, left) in zip(parts, places):
        assert (part == image[top : top + 4, left : left + 4]).all()


@pytest.mark.parametrize("shape", [(16, 16, 3), (17, 40, 1), (33, 16, 3), (61, 50, 2)])
@pytest.mark.parametrize("overlap", [0, 1, 4, 11, 15])
def test_blend_undoes_split(rng, shape, overlap):
    image = rng.uniform(-1, 1, shape).astype(np.float32)
    back = tiles.blend(*tiles.split(image, 16, overlap), shape[:2])
    assert back.dtype == np.float32 and back.shape == shape
    np.testing.assert_allclose(back, image, atol=1e-6)


def test_tiles_may_come_back_larger(rng):
    image = rng.uniform(-1, 1, (21, 30, 3)).astype(np.float32)
    parts, places = tiles.split(image, 8, 3)
    larger = parts.repeat(4, axis=1).repeat(4, axis=2)
    back = tiles.blend(larger, places, (21, 30), factor=4)
    np.testing.assert_allclose(back, image.repeat(4, axis=0).repeat(4, axis=1), atol=1e-6)


def test_a_constant_stays_constant():
    parts, places = tiles.split(np.full((50, 41, 3), 0.3, np.float32), 16, 6)
    assert (tiles.blend(parts, places, (50, 41)) == np.float32(0.3)).all()


def test_disagreeing_tiles_meet_without_a_step():
    places = [(0, left) for left in tiles.starts(48, 32, 16)]
    row = tiles.blend(np.stack([np.zeros((32, 32, 1)), np.ones((32, 32, 1))]), places, (32, 48))[0, :, 0]
    assert (row[:16] == 0).all() and (row[32:] == 1).all()
    steps = np.diff(row)
    assert (steps >= 0).all() and steps.max() < 0.11  # a raised cosine over 16 pixels: pi / 2 / 16 = 0.098


def test_blend_refuses_what_does_not_fit():
    parts, places = tiles.split(np.zeros((20, 20, 1)), 8, 2)
    for tiles_, places_, shape, factor, says in [
        (parts, places[1:], (20, 20), 1, "expected 8 tiles"),
        (parts[0], places, (20, 20), 1, "expected 9 tiles"),
        (parts, places, (19, 20), 1, "leave the 19x20 picture"),
        (parts, places, (21, 20), 1, "do not cover"),
        (parts, places, (20, 20), 3, "factor must divide"),
        (parts[1:], places[1:], (20, 20), 1, "do not cover"),
    ]:
        with pytest.raises(ValueError, match=says):
            tiles.blend(tiles_, places_, shape, factor)
    with pytest.raises(ValueError, match=r"shape \[h, w, c\]"):
        tiles.split(np.zeros((9, 9)), 4, 0)
