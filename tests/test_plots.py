"""Figures hold the pixels they were given, arrive whole, and leave matplotlib's global state alone."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from gekeras import files, images, plots

pytest.importorskip("matplotlib")


def test_grid_places_every_image():
    batch = np.arange(5, dtype=np.float32)[:, None, None, None] / 10 * np.ones((5, 3, 4, 3), np.float32)
    sheet = plots.grid(batch, columns=2)
    assert sheet.shape == (3 * 3 + 2 * 2, 2 * 4 + 2, 3) and sheet.dtype == np.float32
    for index in range(5):
        top, left = index // 2 * 5, index % 2 * 6
        assert (sheet[top : top + 3, left : left + 4] == batch[index]).all()
    assert (sheet[3:5] == 1).all() and (sheet[:, 4:6] == 1).all()  # the gaps
    assert (sheet[10:, 6:] == 1).all()  # the empty place
    assert (plots.grid(batch[:1], 1) == batch[0]).all()


@pytest.mark.parametrize(
    "batch, columns", [(np.zeros((3, 4, 4)), 1), (np.zeros((0, 4, 4, 3)), 1), (np.zeros((1, 2, 2, 1)), 0)]
)
def test_grid_refuses(batch, columns):
    with pytest.raises(ValueError, match=r"expected images|columns"):
        plots.grid(batch, columns)


def test_panel_draws_every_pixel_sharp(tmp_path):
    board = (np.indices((16, 16)).sum(0) % 2 * 2.0 - 1)[..., None]
    red = np.full((64, 64, 3), [1.0, -1, -1])
    plots.panel(tmp_path / "p.png", [[board, red]], ["observation", "result"])
    drawn = images.to_uint8(images.read(tmp_path / "p.png", 3))
    cell = round(plots.CELL * plots.DPI)
    is_red = (drawn == [255, 0, 0]).all(-1)
    assert is_red.sum() == pytest.approx(cell**2, rel=0.01)
    # A board with blurred pixels would have grays; titles and edges have the few there are.
    left = drawn[is_red.any(1)][2:-2, : drawn.shape[1] // 2 - 20, 0]
    assert np.isin(left, (0, 255)).mean() > 0.99
    assert (left == 0).sum() == pytest.approx(cell**2 / 2, rel=0.05)


def test_panel_grows_with_rows_and_captions(tmp_path):
    image = np.zeros((8, 8, 1))
    for name, rows, captions in (
        ("one", 1, None),
        ("two", 2, None),
        ("captions", 2, [["a", None], [None, "b\nc"]]),
    ):
        plots.panel(tmp_path / f"{name}.png", [[image, image]] * rows, ["x", "y"], captions)
    one, two, captioned = (images.size(tmp_path / f"{name}.png") for name in ("one", "two", "captions"))
    assert one[1] == two[1] == captioned[1] and one[0] < two[0] < captioned[0]


@pytest.mark.parametrize("suffix, magic", [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_formats(tmp_path, suffix, magic):
    plots.panel(tmp_path / f"p.{suffix}", [[np.zeros((4, 6, 3))]], ["a"], [["PSNR 23.1 dB"]])
    plots.curves(tmp_path / f"c.{suffix}", {"loss": ([0, 1], [1, 2])}, "step", "loss")
    assert (tmp_path / f"p.{suffix}").read_bytes().startswith(magic)
    assert (tmp_path / f"c.{suffix}").read_bytes().startswith(magic)


def test_panel_refuses(tmp_path):
    image = np.zeros((4, 4, 3))
    path = tmp_path / "p.png"
    for rows, titles, captions, says in (
        ([], ["a"], None, "at least one row"),
        ([[image]], [], None, "one title"),
        ([[image]], ["a", "b"], None, "1 images for 2 titles"),
        ([[image[0]]], ["a"], None, r"received \[4, 3\]"),
        ([[image[..., :2]]], ["a"], None, r"received \[4, 4, 2\]"),
        ([[image]], ["a"], [["x", "y"]], "captions must match"),
    ):
        with pytest.raises(ValueError, match=says):
            plots.panel(path, rows, titles, captions)
    for bad in (tmp_path / "p.xyz", tmp_path / "no" / "p.png", tmp_path):
        with pytest.raises(files.FileError):
            plots.panel(bad, [[image]], ["a"])
    assert list(tmp_path.iterdir()) == []


def test_curves(tmp_path):
    steps = np.arange(50)
    plots.curves(tmp_path / "c.png", {"a": (steps, np.exp(-steps)), "b": (steps, 2.0**-steps)}, "step", "loss", True)
    assert images.size(tmp_path / "c.png")[0] > 300
    with pytest.raises(ValueError, match="'a': x has 2 values and y has 1"):
        plots.curves(tmp_path / "d.png", {"a": ([0, 1], [2])}, "x", "y")
    with pytest.raises(ValueError, match="empty"):
        plots.curves(tmp_path / "d.png", {}, "x", "y")


# ------------------------------------------------------------------------------------------------------ animation


def frames_of(path):
    """The frames of a GIF as uint8, and how many milliseconds each is shown."""
    with Image.open(path) as film:
        found = []
        for k in range(film.n_frames):
            film.seek(k)
            found.append((np.array(film.convert("RGB")), film.info["duration"]))
    return [pixels for pixels, _ in found], [duration for _, duration in found]


@pytest.mark.parametrize("channels", [1, 3])
def test_an_animation_holds_its_frames(tmp_path, channels):
    frames = [np.full((4, 6, channels), level, np.float32) for level in (-1, -0.2, 0.6, 1)]
    frames[2][1, 2] = -1
    plots.animation(tmp_path / "a.gif", frames, seconds=2, side=60)
    found, durations = frames_of(tmp_path / "a.gif")
    assert len(found) == 4 and durations == [500, 500, 500, 1000]
    for pixels, frame in zip(found, frames):
        large = images.to_uint8(frame).repeat(10, axis=0).repeat(10, axis=1)
        assert (pixels == np.broadcast_to(large, pixels.shape)).all()
    with Image.open(tmp_path / "a.gif") as film:
        assert film.info["loop"] == 0  # for ever


def test_one_frame_and_a_picture_larger_than_the_side(tmp_path):
    plots.animation(tmp_path / "a.GIF", [np.zeros((30, 50, 3))], side=20)
    found, _ = frames_of(tmp_path / "a.GIF")
    assert len(found) == 1 and found[0].shape == (30, 50, 3)


def test_animation_refuses(tmp_path):
    frame = np.zeros((4, 4, 3))
    for frames in ([], [frame, frame[:2]]):
        with pytest.raises(ValueError, match="at least one frame, and frames of one shape"):
            plots.animation(tmp_path / "a.gif", frames)
    for path, says in (
        (tmp_path / "a.mp4", "an animation is written as .gif"),
        (tmp_path / "no" / "a.gif", "does not exist"),
    ):
        with pytest.raises(files.FileError, match=says):
            plots.animation(path, [frame])
        with pytest.raises(files.FileError, match=says):
            plots.check_animation_path(path)
    assert list(tmp_path.iterdir()) == []


def loaded_after(code, names):
    """Which of the modules `names` a fresh Python has loaded after running `code`."""
    code = f"{code}; import sys; print(*[name for name in {names!r} if name in sys.modules])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_nothing_heavy_is_imported_early(tmp_path):
    heavy = ["matplotlib", "skimage", "scipy", "tensorflow"]
    assert loaded_after("import gekeras.images, gekeras.metrics, gekeras.plots", heavy) == []
    draw = f"import gekeras.plots as p; p.curves({str(tmp_path / 'c.png')!r}, dict(a=([0], [1])), 'x', 'y')"
    assert loaded_after(draw, ["matplotlib.pyplot"]) == []
