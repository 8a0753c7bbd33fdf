"""The one face of a public photograph is found and framed as the training pictures are; cut and paste are exact."""

import numpy as np
import pytest
import skimage.data

from gekeras import images
from gekeras.pictures import faces, holes
from gekeras.pictures.faces import Box

EYES = ((203.7, 100.8), (246.7, 102.8))  # (x, y) in `skimage.data.astronaut()`, as tools/make_demo_picture.py has them


@pytest.fixture(scope="module")
def astronaut():
    return images.from_uint8(skimage.data.astronaut())


@pytest.fixture(scope="module")
def face(astronaut):
    boxes = faces.find(astronaut)
    assert len(boxes) == 1
    return boxes[0]


def ramp(height, width):
    """Rows and columns in one picture: the value at (y, x) is affine in both, pixel centers at halves."""
    y, x = np.mgrid[:height, :width] + 0.5
    return np.dstack([value(y, x) for value in (lambda y, x: y / 200 - 0.5, lambda y, x: 0.5 - x / 200)]).astype(np.float32)


def assert_same(box, expected, share):
    """Center and side agree within a share of the side, the angle within 4 degrees."""
    apart = np.subtract([*box.center, box.side], [*expected.center, expected.side])
    np.testing.assert_allclose(apart, 0, atol=share * expected.side)
    assert abs(box.angle - expected.angle) < 4


# ------------------------------------------------------------------------------------------------------------ find


def test_the_astronaut_is_framed_as_the_training_pictures_are(face):
    for (x, y), across in zip(EYES, (0.348, 0.645)):
        np.testing.assert_allclose(face.within(y, x), (0.422, across), atol=0.04)


@pytest.mark.parametrize("side", [128, 700])
def test_a_face_is_found_at_any_size_of_the_photograph(astronaut, face, side):
    (found,) = faces.find(images.resize(astronaut, side))
    assert_same(found.grown(512 / side), face, 0.12)


def test_again_gray_mirrored_and_already_cropped(astronaut, face):
    astronaut, whole = images.resize(astronaut, 256), astronaut
    (face,) = faces.find(astronaut)
    assert faces.find(astronaut.copy()) == [face]
    gray = astronaut @ np.array([[0.299], [0.587], [0.114]], np.float32)
    (found,) = faces.find(gray)
    assert_same(found, face, 0.01)
    (mirrored,) = faces.find(astronaut[:, ::-1])
    assert_same(mirrored, Box(face.top, 256 - face.left - face.side, face.side, -face.angle), 0.06)
    (found,) = faces.find(faces.crop(whole, face.grown(2), 128))
    assert_same(found, Box(0, 0, 128), 0.12)


def test_two_faces_are_two_boxes_largest_first(astronaut, face):
    portrait = astronaut[:260, 80:340]
    photo = np.full((420, 640, 3), portrait.mean(), np.float32)
    photo[20:280, 350:610] = portrait
    photo[100:260, 40:200] = images.resize(portrait, 160)
    large, small = faces.find(photo)
    assert_same(large, face._replace(top=20 + face.top, left=350 + face.left - 80), 0.12)
    np.testing.assert_allclose(small.side, face.side * 160 / 260, rtol=0.15)
    assert small.left < 200


@pytest.mark.parametrize("angle", [-40, 20])
def test_a_tilted_head_is_found_and_cropped_upright(astronaut, face, angle):
    """A photograph that is turned has the same face, turned as far; its crop is the upright one's."""
    astronaut, face = images.resize(astronaut, 256), face.grown(0.5)
    middle = Box(0, 0, 256, -angle)
    turned = faces.crop(astronaut, middle, 256)  # clockwise by `angle`
    (found,) = faces.find(turned)
    y, x = np.multiply(middle.within(*face.center), 256)
    assert_same(found, Box(y - face.side / 2, x - face.side / 2, face.side, face.angle + angle), 0.12)
    away = np.abs(faces.crop(turned, found, 64) - faces.crop(astronaut, face, 64)).mean()
    assert away < 0.2 < np.abs(faces.crop(turned, found._replace(angle=0.0), 64) - faces.crop(astronaut, face, 64)).mean()


@pytest.mark.parametrize("shape", [(2, 2, 3), (2, 500, 1), (300, 10, 3), (90, 70, 1)])
def test_no_face_no_box(rng, shape):
    assert faces.find(np.zeros(shape, np.float32)) == []
    assert faces.find(rng.uniform(-1, 1, shape)) == []


@pytest.mark.parametrize("name", ["cat", "coffee", "camera", "gravel"])
def test_nothing_is_found_where_no_frontal_face_is(name):
    assert faces.find(images.fit(images.from_uint8(np.atleast_3d(getattr(skimage.data, name)())), 256)) == []


@pytest.mark.parametrize("shape", [(9, 9), (9, 9, 2), (0, 9, 3)])
def test_find_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=r"channels|shape"):
        faces.find(np.zeros(shape))


# --------------------------------------------------------------------------------------------------- crop and paste


def test_whole_pixels_are_cut_exactly(rng):
    image = rng.uniform(-1, 1, (20, 30, 3)).astype(np.float32)
    np.testing.assert_allclose(faces.crop(image, Box(3, 5, 12), 12), image[3:15, 5:17], atol=1e-6)


@pytest.mark.parametrize("box, side", [(Box(20.3, 31.7, 30.4), 64), (Box(20.3, 31.7, 60.9), 13), (Box(25, 25, 40), 40)])
def test_a_ramp_is_cropped_to_the_same_ramp(box, side):
    top, left, length, _ = box
    y, x = (np.mgrid[:side, :side] + 0.5) * length / side
    expected = np.dstack([(top + y) / 200 - 0.5, 0.5 - (left + x) / 200])
    np.testing.assert_allclose(faces.crop(ramp(100, 120), box, side), expected, atol=1e-5)


def test_a_turned_ramp_is_cropped_to_the_ramp_along_its_axes():
    box, side = Box(30, 40, 40, 30), 80
    down, right = (np.mgrid[:side, :side] + 0.5) / side * 40 - 20
    y, x = 50 + down * np.cos(np.pi / 6) + right / 2, 60 + right * np.cos(np.pi / 6) - down / 2
    np.testing.assert_allclose(faces.crop(ramp(100, 120), box, side), np.dstack([y / 200 - 0.5, 0.5 - x / 200]), atol=1e-3)


def test_what_is_missing_of_a_turned_square_is_missing_there_alone():
    """Interpolation sees a few pixels: those of a crop that no missing one went into are known."""
    known = np.ones((100, 120, 1), np.float32)
    known[40:50, 55:65] = 0
    mask = holes.cut_known(known, lambda picture: faces.crop(picture, Box(20, 30, 60, 30), 60))
    assert 0.03 < (mask == 0).mean() < 0.08 and not mask[16:20, 28:32].all() and mask[40:].all() and mask[:5].all()


def test_outside_the_picture_its_edge_goes_on(rng):
    image = rng.uniform(-1, 1, (10, 12, 1)).astype(np.float32)
    padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="edge")
    np.testing.assert_allclose(faces.crop(image, Box(-4, -4, 16), 16), padded[:16, :16], atol=1e-6)
    np.testing.assert_allclose(faces.crop(image, Box(-90, 3, 5), 5), np.tile(image[:1, 3:8], (5, 1, 1)), atol=1e-6)


def test_reducing_does_not_alias():
    stripes = np.tile(np.array([-1, 1], np.float32), 64)[None, :, None].repeat(128, axis=0)
    assert np.abs(faces.crop(stripes, Box(16, 16, 96), 12)).max() < 0.05


@pytest.mark.parametrize(
    "box", [Box(30, 40, 24), Box(10.6, 20.2, 37.3), Box(-15.5, 80.1, 60), Box(70, -20, 400), Box(20, 30, 40, 33)]
)
@pytest.mark.parametrize("feather", [0, 0.15, 0.5])
def test_pixels_outside_the_box_are_exactly_unchanged(rng, box, feather):
    photo = rng.uniform(-1, 1, (90, 110, 3)).astype(np.float32)
    before = photo.copy()
    pasted = faces.paste(photo, np.ones((16, 16, 3), np.float32), box, feather)
    inside = box.holds(90, 110)
    assert (photo == before).all() and pasted.dtype == np.float32
    assert (pasted[~inside] == photo[~inside]).all() and (pasted[inside] != photo[inside]).any()


def test_a_box_beside_the_photograph_changes_nothing(rng):
    photo = rng.uniform(-1, 1, (9, 8, 1)).astype(np.float32)
    for box in (Box(-20, 0, 10), Box(0, 8, 3), Box(4.6, 4.6, 0.2)):
        assert (faces.paste(photo, np.ones((4, 4, 1)), box) == photo).all()


def test_the_patch_is_whole_inside_and_fades_monotonically():
    pasted = faces.paste(np.zeros((60, 60, 1), np.float32), np.ones((8, 8, 1)), Box(10, 10, 40), feather=0.25)[..., 0]
    np.testing.assert_allclose(pasted[20:40, 20:40], 1, atol=1e-6)
    row = pasted[30]
    assert (np.diff(row[10:20]) > 0).all() and (np.diff(row[40:50]) < 0).all() and row[10] < 0.02
    np.testing.assert_allclose(pasted, pasted[::-1, ::-1], atol=1e-6)


@pytest.mark.parametrize(
    "box, side", [(Box(20.3, 31.7, 50.4), 128), (Box(22.2, 30.1, 60.9), 31), (Box(30, 40, 35, -25), 64)]
)
def test_what_was_cropped_is_pasted_back_in_place(box, side):
    photo = ramp(100, 120)
    pasted = faces.paste(photo, faces.crop(photo, box, side), box)
    np.testing.assert_allclose(pasted, photo, atol=1e-3 if box.angle else 1e-4)


def test_bad_arguments_are_refused():
    photo = np.zeros((9, 9, 3))
    for box in (Box(0, 0, 0), Box(0, 0, -1), Box(float("nan"), 0, 1), Box(0, float("inf"), 1)):
        with pytest.raises(ValueError, match="a box is"):
            faces.crop(photo, box, 4)
    with pytest.raises(ValueError, match="side must be"):
        faces.crop(photo, Box(0, 0, 4), 0)
    for patch in (np.zeros((4, 4, 1)), np.zeros((4, 5, 3))):
        with pytest.raises(ValueError, match="the patch must be"):
            faces.paste(photo, patch, Box(0, 0, 4))
    with pytest.raises(ValueError, match="feather"):
        faces.paste(photo, np.zeros((4, 4, 3)), Box(0, 0, 4), 0.6)
