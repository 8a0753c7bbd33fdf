"""Pictures are cut and put together again without loss; what is said to be known was made of known pixels alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gekeras import images, operators
from gekeras.config import PictureOptions
from gekeras.operators import TASKS, make_task
from gekeras.pictures import doubts, faces, observations, tiles
from gekeras.pictures.observations import Request, observe

SIDE = 16


def request(task="reconstruct", seed=0, **asked):
    return Request(make_task(task, SIDE), SIDE, 3, PictureOptions(**asked), seed)


@pytest.fixture
def photo(tmp_path, rng):
    """`photo(height, width)` -> (path of noise, its pixels)."""

    def make(height, width, name="photo.png"):
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(tmp_path / name)
        return tmp_path / name, images.read(tmp_path / name)

    return make


# --------------------------------------------------------------------------------------------------------- request


def test_requests_that_contradict_themselves(tmp_path):
    mask, box = tmp_path / "mask.png", (0, 0, 4, 4)
    with pytest.raises(ValueError, match="give a mask or a box, not both"):
        request("inpaint", mask=mask, box=box)
    for asked in ({"mask": mask}, {"box": box}):
        for task in set(TASKS) - {"inpaint"}:
            with pytest.raises(ValueError, match=f"a mask or a box is for inpaint; {task} has none"):
                request(task, **asked)
        assert request("inpaint", **asked).options.simulate is False
    with pytest.raises(ValueError, match="inpaint needs to know what is missing: give a mask or a box, or simulate"):
        request("inpaint")
    assert request("inpaint", simulate=True).options.box is None
    with pytest.raises(ValueError, match="align takes faces out of a photograph and tile cuts it up"):
        request(align=True, tile=True)


def test_the_side_of_a_piece():
    assert request("superres").side == SIDE // 4
    assert request("superres", simulate=True).side == request("deblur").side == SIDE


# ---------------------------------------------------------------------------------------------------------- square


@pytest.mark.parametrize("size, note", [((16, 16), ""), ((32, 50), "50x32"), ((21, 17), "17x21")])
def test_a_square(photo, size, note):
    path, pixels = photo(*size)
    item = observe(path, request())
    assert (item.measurements[0] == images.fit(pixels, SIDE)).all() and item.measurements.shape == (1, SIDE, SIDE, 3)
    assert item.note == (f"photo.png: {note} cropped square and reduced to 16x16" if note else "")
    assert item.task.name == "reconstruct"
    assert (item.truth == item.measurements).all() and (item.shown == item.measurements).all() and item.known is None
    assert (item.place(item.join(item.measurements)) == item.measurements[0]).all()


@pytest.mark.parametrize("task", sorted(TASKS))
def test_a_simulation_is_the_task_s_own_degradation(photo, task):
    path, pixels = photo(32, 32)
    item = observe(path, request(task, simulate=True, seed=7))
    truth = images.box_reduce(pixels, 2)[None]
    y, known = make_task(task, SIDE).sample(truth, np.array([7, 0], np.int32))
    assert (item.measurements == np.asarray(y)).all() and (item.truth == truth).all()
    assert (item.known is None) == (known is None) == (task != "inpaint")
    if known is not None:
        assert (item.known == known.numpy()).all() and item.known.mean() == 0.75
    other = observe(path, request(task, simulate=True, seed=8))
    assert (other.measurements == item.measurements).all() == (task not in ("denoise", "inpaint"))


def test_without_simulation_the_truth_is_known_of_nothing_but_what_is_not_degraded(photo):
    path, pixels = photo(SIDE, SIDE)
    assert observe(path, request("denoise")).truth is None
    reference, true = photo(2 * SIDE, 40, "reference.png")
    item = observe(path, request("denoise", reference=reference))
    assert (item.truth[0] == images.fit(true, SIDE)).all() and (item.measurements[0] == pixels).all()
    assert item.note == "reference.png: 40x32 cropped square and reduced to 16x16"
    with pytest.raises(ValueError, match="simulate takes the input itself as the truth"):
        request("denoise", reference=reference, simulate=True)


def test_pictures_and_references_that_are_too_small(photo):
    small, _ = photo(SIDE, SIDE - 1, "small.png")
    path, _ = photo(SIDE, SIDE)
    with pytest.raises(images.ImageError, match=r"small.png: 15x16 is too small: deblur needs at least 16x16 here"):
        observe(small, request("deblur"))
    with pytest.raises(images.ImageError, match=r"small.png: a reference needs at least 16x16"):
        observe(path, request("deblur", reference=small))


# ---------------------------------------------------------------------------------------------- superres of any size


@pytest.mark.parametrize(
    "size, note",
    [
        ((4, 4), ""),
        ((3, 3), "3x3, which the encoder sees as 4x4"),
        ((9, 9), "9x9, which the encoder sees as 4x4"),
        ((4, 15), "15x4 cropped square to 4x4"),
        ((10, 7), "7x10 cropped square to 7x7, which the encoder sees as 4x4"),
    ],
)
def test_a_small_picture_is_the_measurement_itself(photo, size, note):
    path, pixels = photo(*size)
    item = observe(path, request("superres"))
    side = min(size)
    assert (item.measurements[0] == images.crop_square(pixels)).all() and item.measurements.shape[1] == side
    assert item.note == (f"photo.png: {note}" if note else "") and item.size == size and item.truth is None
    assert item.task.factor * side == SIDE and item.task.lift(item.measurements).shape == (1, SIDE, SIDE, 3)
    reference, true = photo(SIDE, SIDE, "reference.png")
    assert (observe(path, request("superres", reference=reference)).truth[0] == true).all()


@pytest.mark.parametrize("size", [(SIDE, SIDE), (SIDE, 5), (3, 40), (50, 60)])
def test_a_picture_that_superres_would_not_enlarge(photo, size):
    """It is refused, with the ways out, which work."""
    path, pixels = photo(*size)
    says = rf"photo.png: {size[1]}x{size[0]} is too large for superres, which makes 16x16 of smaller pictures: "
    says += r"--align face takes .*, --tile all .*, --reduce crops .*, --simulate tries"
    with pytest.raises(images.ImageError, match=says):
        observe(path, request("superres"))
    if min(size) > 4:
        item = observe(path, request("superres", reduce=True))
        assert (item.measurements[0] == images.fit(pixels, 4)).all() and item.task.factor == 4
        square = "" if size[0] == size[1] else "cropped square and "
        assert item.note == f"photo.png: {size[1]}x{size[0]} {square}reduced to 4x4"
    if min(size) >= SIDE:
        assert observe(path, request("superres", simulate=True)).task.factor == 4
    if min(size) >= 4:
        assert observe(path, request("superres", tile=True)).measurements.shape[1:] == (4, 4, 3)


def test_what_reduce_does_nothing_for(photo):
    for size in ((4, 4), (3, 12)):
        path, _ = photo(*size)
        with pytest.raises(
            images.ImageError, match=rf"{size[1]}x{size[0]} has no more than 4 pixels a side to reduce: leave"
        ):
            observe(path, request("superres", reduce=True))
    for task in sorted(set(TASKS) - {"superres"}):
        with pytest.raises(ValueError, match=f"reduce is for superres; {task} has no use for it"):
            request(task, reduce=True, **({"box": (0, 0, 2, 2)} if task == "inpaint" else {}))
    for other in ("simulate", "align", "tile"):
        with pytest.raises(ValueError, match=f"reduce makes a small picture of the input, and {other} needs all of it"):
            PictureOptions(reduce=True, **{other: True})


def test_the_size_of_what_is_made_small_here(photo, monkeypatch):
    """Of a simulation, of `reduce`, of tiles and of faces the size is a parameter; the latter two grow by a whole factor."""

    def sized(size, **asked):
        return Request(make_task("superres", SIDE, size=size), SIDE, 3, PictureOptions(**asked))

    path, _ = photo(20, 20)
    monkeypatch.setattr(observations.faces, "find", lambda picture: [faces.Box(2, 3, 8)])
    assert observe(path, sized(7, reduce=True)).note == "photo.png: 20x20 reduced to 7x7, which the encoder sees as 4x4"
    simulated = observe(path, sized(7, simulate=True))
    assert simulated.measurements.shape == (1, 7, 7, 3) and simulated.truth.shape == (1, SIDE, SIDE, 3)
    assert simulated.note == "photo.png: 20x20 reduced to 16x16"
    assert observe(path, sized(7, align=True, simulate=True)).measurements.shape == (1, 7, 7, 3)
    assert observe(path, sized(8, tile=True)).join(np.zeros((9, SIDE, SIDE, 3))).shape == (1, 40, 40, 3)
    assert observe(path, sized(8, align=True)).place(np.zeros((1, SIDE, SIDE, 3))).shape == (40, 40, 3)
    for asked in ({"tile": True}, {"tile": True, "simulate": True}, {"align": True}):
        with pytest.raises(ValueError, match="tiles and faces grow by a whole factor: size must divide 16; received 7"):
            sized(7, **asked)


# --------------------------------------------------------------------------------------------------- missing pixels


def holed(tmp_path, height, width, *boxes):
    mask = np.zeros((height, width), np.uint8)
    for x, y, w, h in boxes:
        mask[y : y + h, x : x + w] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def test_a_mask_and_a_box_agree(photo, tmp_path):
    path, pixels = photo(SIDE, SIDE)
    known = np.ones((SIDE, SIDE, 1), np.float32)
    known[5:11, 2:5] = 0
    for asked in ({"box": (2, 5, 3, 6)}, {"mask": holed(tmp_path, SIDE, SIDE, (2, 5, 3, 6))}):
        item = observe(path, request("inpaint", **asked))
        assert (item.known[0] == known).all() and (item.measurements[0] == pixels * known).all() and item.truth is None
        item = observe(path, request("inpaint", simulate=True, **asked))
        assert (item.known[0] == known).all() and (item.truth[0] == pixels).all()


def test_a_block_is_known_if_all_its_pixels_are(photo, tmp_path):
    path, pixels = photo(2 * SIDE, 2 * SIDE)
    mask = holed(tmp_path, 2 * SIDE, 2 * SIDE, (9, 4, 1, 1), (20, 20, 3, 2))
    item = observe(path, request("inpaint", mask=mask))
    missing = np.zeros((SIDE, SIDE), bool)
    missing[2, 4] = missing[10, 10:12] = True
    assert (item.known[0, ..., 0] == ~missing).all()
    assert (item.measurements[0][~missing] == images.box_reduce(pixels, 2)[~missing]).all()
    assert (item.measurements[0][missing] == 0).all()


@pytest.mark.parametrize("size", [(24, 24), (41, 30), (17, 60)])
def test_a_resampled_pixel_is_known_if_it_does_not_depend_on_a_missing_one(photo, tmp_path, size):
    """Every single missing pixel, found by changing it: a cubic's negative lobes count as well."""
    path, pixels = photo(*size)
    y, x = size[0] // 2, size[1] // 2
    item = observe(path, request("inpaint", mask=holed(tmp_path, *size, (x, y, 1, 1))))
    changed = pixels.copy()
    changed[y, x] = np.where(pixels[y, x] > 0, -1, 1)
    depends = (images.fit(changed, SIDE) != images.fit(pixels, SIDE)).any(axis=-1)
    assert depends.any() and (item.known[0, ..., 0][depends] == 0).all()
    assert item.known.mean() > 0.85


def test_what_is_missing_of_a_face(photo, monkeypatch):
    path, pixels = photo(50, 60)
    monkeypatch.setattr(faces, "find", lambda picture: [faces.Box(10.3, 12.6, 25.1), faces.Box(4, 30, SIDE)])
    item = observe(path, request("inpaint", align=True, box=(33, 6, 2, 3)))
    changed = pixels.copy()
    changed[6:9, 33:35] *= -1
    for k, box in enumerate(faces.find(pixels)):
        depends = (faces.crop(changed, box, SIDE) != faces.crop(pixels, box, SIDE)).any(axis=-1)
        assert (item.known[k, ..., 0][depends] == 0).all() and (item.measurements[k][item.known[k, ..., 0] == 0] == 0).all()
    exact = np.ones((SIDE, SIDE), bool)
    exact[2:5, 3:5] = False
    assert (item.known[1, ..., 0] == exact)[1:6, 2:6].all()


@pytest.mark.parametrize(
    "asked, says",
    [
        ({"mask": "20x16"}, r"mask.png: the mask is 20x16, photo.png is 24x16: they must be of one size"),
        ({"mask": "white"}, r"mask.png: the mask is all white"),
        ({"box": (0, 0, 24, 16)}, r"photo.png: the box covers the whole picture"),
        ({"box": (20, 0, 5, 1)}, r"the box 20,0,5,1 does not lie in the 24x16 picture"),
        ({"box": (0, 16, 1, 1)}, r"the box 0,16,1,1 does not lie in"),
        ({"box": (-1, 0, 3, 3)}, r"the box -1,0,3,3 does not lie in"),
        ({"box": (1, 1, 3, 0)}, r"the box 1,1,3,0 does not lie in"),
        ({"box": (3, 0, 18, 16)}, r"nothing is known of the part of the picture that is used"),
    ],
)
def test_holes_that_are_refused(photo, tmp_path, asked, says):
    path, _ = photo(16, 24)
    masks = {"20x16": (16, 20, (0, 0, 2, 2)), "white": (16, 24, (0, 0, 24, 16))}
    given = {name: holed(tmp_path, *masks[value]) if name == "mask" else value for name, value in asked.items()}
    with pytest.raises(ValueError, match=says):
        observe(path, request("inpaint", **given))


# ----------------------------------------------------------------------------------------------------------- tiles


@pytest.mark.parametrize("size", [(16, 16), (24, 20), (37, 61)])
def test_tiles_that_are_not_changed_are_the_picture(photo, size):
    path, pixels = photo(*size)
    item = observe(path, request(tile=True))
    assert item.measurements.shape[1:] == (SIDE, SIDE, 3)
    count = len(item.measurements)
    assert item.note == f"photo.png: {count} tile{'s' if count > 1 else ''} of 16x16" and item.boxes is None
    joined = item.join(item.measurements)
    assert joined.shape == (1, *size, 3) == item.truth.shape
    np.testing.assert_allclose(item.place(joined), pixels, atol=1e-5)


def test_enlarged_tiles_are_the_enlarged_picture(photo):
    path, pixels = photo(7, 10)
    item = observe(path, request("superres", tile=True))
    assert item.measurements.shape[1:] == (4, 4, 3) and item.truth is None
    large = item.measurements.repeat(4, axis=1).repeat(4, axis=2)
    np.testing.assert_allclose(item.place(item.join(large)), pixels.repeat(4, axis=0).repeat(4, axis=1), atol=1e-5)


@pytest.mark.parametrize("task", sorted(TASKS))
def test_simulated_tiles_agree_where_they_overlap(photo, task):
    """The whole picture was degraded: each tile is its part of one measurement, noise and hole included."""
    path, pixels = photo(31, 50)
    item = observe(path, request(task, simulate=True, tile=True))
    factor = make_task(task, SIDE).factor
    side = SIDE // factor
    assert item.shown.shape == ((1, 7, 12, 3) if factor == 4 else (1, 31, 50, 3))
    assert (item.truth[0] == pixels[: 31 // factor * factor, : 50 // factor * factor]).all() and item.size == (31, 50)
    assert item.note.endswith(", of its upper left 48x28" if factor == 4 else " tiles of 16x16")
    parts, places = tiles.split(item.shown[0], side, side // 4)
    assert (item.measurements == parts).all() and len(places) > 4
    np.testing.assert_allclose(tiles.blend(item.measurements, places, item.shown.shape[1:3])[None], item.shown, atol=1e-5)
    if task == "inpaint":
        known = tiles.blend(item.known, places, (31, 50))[..., 0]
        assert ((known < 1e-6) | (known > 1 - 1e-6)).all() and (known < 0.5).sum() == round(0.5 * 31) ** 2
    else:
        assert item.known is None


def test_a_reference_for_tiles_has_the_size_of_the_result(photo):
    path, _ = photo(7, 10)
    reference, true = photo(28, 40, "reference.png")
    assert (observe(path, request("superres", tile=True, reference=reference)).truth[0] == true).all()
    for size in ((40, 28), (7, 10)):
        other, _ = photo(*size, "other.png")
        with pytest.raises(images.ImageError, match=r"other.png: a reference for tiles must be 40x28"):
            observe(path, request("superres", tile=True, reference=other))


# ----------------------------------------------------------------------------------------------------------- faces


@pytest.fixture
def two_faces(monkeypatch):
    """Squares of whole pixels that do not touch, as if faces had been found there."""
    boxes = [faces.Box(3, 20, SIDE), faces.Box(22, 1, SIDE)]
    monkeypatch.setattr(observations.faces, "find", lambda picture: boxes)
    return boxes


def test_faces_that_are_not_changed_are_the_photograph(photo, two_faces):
    path, pixels = photo(40, 50)
    item = observe(path, request(align=True))
    for piece, (top, left, side, _) in zip(item.measurements, two_faces):
        np.testing.assert_allclose(piece, pixels[top : top + side, left : left + side], atol=1e-6)
    assert item.note == "photo.png: 2 faces, 16 px at (20, 3), 16 px at (1, 22)"
    assert item.boxes == [(20, 3, SIDE, 0), (1, 22, SIDE, 0)] and item.size == (40, 50)
    np.testing.assert_allclose(item.place(item.join(item.measurements)), pixels, atol=1e-6)


def test_each_face_is_put_back_where_it_was(photo, two_faces):
    path, pixels = photo(40, 50)
    item = observe(path, request("denoise", simulate=True, align=True))
    assert (item.truth != item.measurements).any()
    placed = item.place(item.join(np.stack([np.ones((SIDE, SIDE, 3)), -np.ones((SIDE, SIDE, 3))]).astype(np.float32)))
    assert placed[11, 28] == pytest.approx(1) and placed[30, 9] == pytest.approx(-1)
    untouched = np.ones((40, 50), bool)
    for top, left, side, _ in two_faces:
        untouched[top : top + side, left : left + side] = False
    assert (placed[untouched] == pixels[untouched]).all()


def test_faces_of_an_enlarged_photograph(photo, monkeypatch):
    monkeypatch.setattr(observations.faces, "find", lambda picture: [faces.Box(2, 3, 4)])
    path, pixels = photo(10, 12)
    item = observe(path, request("superres", align=True))
    assert item.measurements.shape == (1, 4, 4, 3)
    large = observations.enlarge(pixels[None], 4)[0]
    placed = item.place(item.join(large[None, 8:24, 12:28]))
    np.testing.assert_allclose(placed, large, atol=1e-5)


def test_references_for_faces(photo, two_faces):
    path, _ = photo(40, 50)
    reference, true = photo(40, 50, "reference.png")
    item = observe(path, request("deblur", align=True, reference=reference))
    np.testing.assert_allclose(item.truth[1], true[22:38, 1:17], atol=1e-6)
    other, _ = photo(50, 40, "other.png")
    with pytest.raises(images.ImageError, match=r"other.png: a reference for faces must be 50x40 too"):
        observe(path, request("deblur", align=True, reference=other))


def test_no_face(photo):
    path, _ = photo(40, 50)
    with pytest.raises(images.ImageError, match=r"photo.png: no face found; without alignment its center square is taken"):
        observe(path, request(align=True))
    with pytest.raises(images.ImageError, match=r"photo.png: no face found; --reduce instead takes its center square"):
        observe(path, request("superres", align=True))


def test_photographs_without_a_face_are_named_together(photo, monkeypatch):
    paths = [photo(40, 50, name)[0] for name in ("a.png", "b.png", "c.png", "d.png")]
    seen = [images.read(path) for path in paths[1::2]]
    found = lambda picture: [faces.Box(3, 20, SIDE)] if any((picture == each).all() for each in seen) else []  # noqa: E731
    monkeypatch.setattr(observations.faces, "find", found)
    a, b, c, d = paths
    with pytest.raises(ValueError, match=rf"^no face found in {a}, {c}; --skip-faceless leaves these out$"):
        observations.observe_all(paths, request(align=True))
    with pytest.raises(ValueError, match=rf"^no face found in {a}; --skip-faceless leaves it out$"):
        observations.observe_all([a, b], request(align=True))
    told = []
    items = observations.observe_all(paths, request(align=True, skip_faceless=True), told.append)
    assert [item.path for item in items] == [b, d] and told == [f"no face found in {a}, {c}: left out"]
    with pytest.raises(ValueError, match=rf"^no face found in {a}, {c}: nothing is left$"):
        observations.observe_all([a, c], request(align=True, skip_faceless=True))
    with pytest.raises(ValueError, match="skip_faceless leaves out photographs in which align finds no face"):
        request(skip_faceless=True)


# ------------------------------------------------------------------------------------------- gray, colors and levels


@pytest.mark.parametrize("kind, channels", [("L", 1), ("RGB", 3), ("LA", 1), ("1", 1)])
@pytest.mark.parametrize("asked", [{}, {"tile": True}, {"align": True}], ids=str)
def test_a_gray_file_has_a_gray_result(photo, tmp_path, two_faces, rng, kind, channels, asked):
    path, _ = photo(40, 50)
    Image.open(path).convert("L").convert(kind).save(path)
    item = observe(path, request(**asked))
    pieces = rng.uniform(-1, 1, item.measurements.shape).astype(np.float32)
    pictures = item.join(pieces)
    written = item.place(pictures)
    assert item.measurements.shape[-1] == pictures.shape[-1] == 3 and written.shape[-1] == channels
    for result in (pictures, written):
        assert (result == result[..., :1]).all()
    luma = np.einsum("nhwc,c->nhw", pieces, np.float32([0.299, 0.587, 0.114]))
    plain = observations._square if not asked else observations._tiles if "tile" in asked else observations._faces
    colored = plain(path, images.read(path, 3), None, None, request(**asked))  # joins without looking at the file
    expected = colored.join(luma[..., None].repeat(3, axis=-1))
    np.testing.assert_allclose(pictures, expected, atol=1e-6)
    np.testing.assert_allclose(written, colored.place(expected)[..., :channels], atol=1e-6)
    deviation = item.place(item.join(pieces[..., :1]), -1)
    assert (deviation == colored.place(colored.join(pieces[..., :1]), -1)).all()


def test_a_colored_file_keeps_its_colors_and_a_gray_model_says_that_it_drops_them(photo, rng):
    path, _ = photo(SIDE, SIDE)
    item = observe(path, request())
    pieces = rng.uniform(-1, 1, item.measurements.shape).astype(np.float32)
    assert (item.place(item.join(pieces)) == pieces[0]).all()
    gray_model = Request(make_task("reconstruct", SIDE), SIDE, 1)
    item = observe(path, gray_model)
    assert item.note == "photo.png: colors dropped, the model's pictures are gray"
    np.testing.assert_allclose(item.measurements[0], images.read(path, 1), atol=1e-6)
    Image.open(path).convert("L").convert("RGB").save(path)
    assert observe(path, gray_model).note == ""


def test_levels_are_those_of_the_input_and_of_the_reference(tmp_path, rng):
    path, reference = tmp_path / "slice.png", tmp_path / "truth.png"
    values = rng.integers(0, 4096, (2, SIDE, SIDE)).astype(np.uint16)
    for name, each in zip((path, reference), values):
        Image.fromarray(each).save(name)
    item = observe(path, request("denoise", levels=(0, 4095), reference=reference))
    expected = values[..., None].repeat(3, axis=-1) / 4095 * 2 - 1
    np.testing.assert_allclose(item.measurements[0], expected[0], atol=1e-5)
    np.testing.assert_allclose(item.truth[0], expected[1], atol=1e-5)
    assert item.note == ""
    note = observe(path, request("deblur", reference=reference)).note
    assert all(f"{name.name}: values from" in note for name in (path, reference)) and note.count("levels=") == 2
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[:3] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    item = observe(path, request("inpaint", levels=(0, 4095), mask=tmp_path / "mask.png"))
    assert (item.known[0, :3] == 0).all() and (item.known[0, 3:] == 1).all()


@pytest.mark.parametrize("levels", [(1,), (2, 1), (1, 1), (0, float("nan")), (-float("inf"), 1), (0, 1, 2)])
def test_levels_that_are_none(levels):
    with pytest.raises(ValueError, match="levels must be two numbers that rise, those of black and white; received"):
        PictureOptions(levels=levels)


# --------------------------------------------------------------------------------------------- what a task cannot have made


def blurred(sigma, sharp):
    return images.from_uint8(images.to_uint8(np.asarray(make_task("deblur", 64, sigma=sigma).degrade(sharp))))


def test_a_blur_that_is_not_the_task_s_is_told_with_the_one_that_is():
    """Of a picture blurred less no picture blurred as the task says has the detail; one blurred more is one."""
    sharp = images.fit(images.read(Path(images.__file__).parent / "assets" / "astronaut.png"), 64)[None]
    task = make_task("deblur", 64, sigma=2.0)
    assert not doubts.doubt("a.png", task, blurred(2.0, sharp))
    assert not doubts.doubt("a.png", task, blurred(2.6, sharp))
    told = doubts.doubt("a.png", task, blurred(1.0, sharp))
    assert told.startswith("a.png: no picture blurred by sigma=2") and told.endswith("--set sigma=1 would fit")
    assert "no blur to undo" in doubts.doubt("a.png", task, sharp)


def test_only_blurs_are_doubted(rng):
    sharp = rng.uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    assert not any(doubts.doubt("a.png", make_task(name, 32), sharp) for name in TASKS if name not in ("deblur", "superres"))
    assert not doubts.doubt("a.png", make_task("superres", 32), sharp[:, :8, :8])
    custom = make_task("deblur", 32)
    motion = operators.MotionBlur(5)
    found = doubts.doubt("a.png", replace(custom, name="mine", degrade=motion, measure=motion, parameters={}), sharp)
    assert "blurred by mine" in found and found.endswith("name the blur that it has")


def test_the_doubt_is_in_the_note_of_what_was_not_degraded_here(photo):
    path, _ = photo(32, 32)
    task = make_task("deblur", 32)
    said = [observe(path, Request(task, 32, 3, PictureOptions(simulate=simulate), 0)).note for simulate in (False, True)]
    assert "no picture blurred" in said[0] and "no picture blurred" not in said[1]
