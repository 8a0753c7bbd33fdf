"""A mask or a box is what its user meant, and what could mean two things is refused with what was found."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from gekeras import images
from gekeras.config import PictureOptions
from gekeras.operators import make_task
from gekeras.pictures import faces, holes, observations
from gekeras.pictures.observations import Request, observe

SIDE = 16
HOLE = np.zeros((SIDE, 20), bool)
HOLE[3:9, 4:11] = True


def drawn(black, white, mode=None):
    """An image of `HOLE`, in these two values."""
    values = np.where(HOLE[..., None], np.atleast_1d(white), np.atleast_1d(black))
    return Image.fromarray(values[..., 0].astype(np.uint8) if values.shape[-1] == 1 else values.astype(np.uint8), mode)


def indexed(colors):
    picture = Image.fromarray(HOLE.astype(np.uint8), "P")
    picture.putpalette(np.uint8(colors).tobytes())
    return picture


def soft(strength=1.0):
    """Anti-aliased: every pixel of the rim is between black and white."""
    large = np.kron(HOLE, np.ones((8, 8))).astype(np.float32) * 255 * strength
    picture = Image.fromarray(large.astype(np.uint8))
    return picture.resize((20, SIDE), Image.Resampling.BICUBIC)


def opened_up(color, rim=False):
    """Strokes of that color on transparency, whose own color is white; with a rim that fades."""
    pixels = np.full((SIDE, 20, 4), 255, np.uint8)
    pixels[HOLE, :3] = color
    pixels[..., 3] = np.asarray(soft()) if rim else HOLE * 255
    return Image.fromarray(pixels)


MASKS = {
    "white.png": (lambda: drawn(0, 255), ""),
    "white.jpg": (lambda: drawn(0, 255), ""),
    "color.png": (lambda: drawn((0, 0, 0), (255, 255, 255)), ""),
    "color.jpg": (lambda: drawn((0, 0, 0), (255, 255, 255)), ""),
    "bit.png": (lambda: drawn(0, 255).convert("1"), ""),
    "bit.tif": (lambda: drawn(0, 255).convert("1"), ""),
    "soft.png": (soft, ""),
    "soft.webp": (soft, ""),
    "three floats.tif": (lambda: np.float32(HOLE[..., None].repeat(3, axis=-1)), ""),
    "half.png": (lambda: drawn(20, 128), ""),
    "one.png": (lambda: drawn(0, 1), "black and 1 of 255, which is taken as missing"),
    "one.tif": (lambda: drawn(0, 1), "black and 1 of 255, which is taken as missing"),
    "ones.bmp": (lambda: drawn((0, 0, 0), (1, 1, 1)), "black and 1 of 255, which is taken as missing"),
    "label.png": (lambda: drawn(0, 7), "black and 7 of 255, which"),
    "deep.png": (lambda: Image.fromarray(HOLE.astype(np.uint16) * 65535), ""),
    "deep one.png": (lambda: Image.fromarray(HOLE.astype(np.uint16)), "black and 1 of 65535, which"),
    "12 bits.tif": (lambda: Image.fromarray(HOLE.astype(np.uint16) * 4095), "black and 4095 of 65535, which"),
    "floats.tif": (lambda: Image.fromarray(HOLE.astype(np.float32)), ""),
    "palette.png": (lambda: indexed([[0, 0, 0], [255, 255, 255]]), ""),
    "labels.png": (lambda: indexed([[0, 0, 0], [128, 0, 0]]), "black and the color (128, 0, 0), which"),
    "red.png": (lambda: drawn((0, 0, 0), (255, 0, 0)), "black and the color (255, 0, 0), which"),
    "strokes.png": (lambda: opened_up((255, 255, 255)), "transparent counts as black, as known (13.1% of the picture)"),
    "faded.png": (lambda: opened_up((255, 255, 255), rim=True), "transparent counts as black"),
    "red strokes.png": (lambda: opened_up((255, 0, 0)), "the color (255, 0, 0), which is taken as missing"),
    "faded red.webp": (lambda: opened_up((200, 0, 0), rim=True), "the color (200, 0, 0), which is taken as missing"),
    "gray strokes.png": (lambda: opened_up((255, 255, 255)).convert("LA"), "transparent counts as black"),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_that_mean_one_thing(tmp_path, name):
    make, note = MASKS[name]
    if isinstance(made := make(), np.ndarray):
        tifffile.imwrite(tmp_path / name, made, photometric="rgb")
    else:
        made.save(tmp_path / name, lossless=True)
    found = holes.read_mask(tmp_path / name)
    assert (found.known[..., 0] == ~HOLE).all() and found.known.dtype == np.float32
    assert note in found.note and bool(found.note) == bool(note)
    assert not note or found.note.startswith(f"{name}: ")


def test_a_transparent_level_of_16_bits(tmp_path):
    Image.fromarray(np.where(HOLE, 65535, 9).astype(np.uint16)).save(tmp_path / "a.png", transparency=9)
    found = holes.read_mask(tmp_path / "a.png")
    assert (found.known[..., 0] == ~HOLE).all() and "transparent" in found.note


def test_transparency_of_tiffs(tmp_path):
    """Also of such as Pillow does not decode: deep, in planes apart, premultiplied, or with a sample more."""
    colors, alpha = np.full((SIDE, 20, 3), 1.0), HOLE[..., None] * 1.0
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    for samples, tags in (
        ([colors, alpha], {"photometric": "rgb", "extrasamples": ["unassalpha"]}),
        ([colors * alpha, alpha], {"extrasamples": ["assocalpha"], **planes}),
        ([colors * alpha * 0.6, alpha * 0.6], {"photometric": "rgb", "extrasamples": ["assocalpha"]}),
        ([colors, alpha, 1 - alpha], {"extrasamples": ["unassalpha", "unspecified"], "compression": "zlib", **planes}),
        ([colors[..., :1], alpha], {"photometric": "minisblack", "planarconfig": "contig", "extrasamples": ["unassalpha"]}),
    ):
        for kind, full in (("u1", 255), ("u2", 65535), ("f4", 1)):
            values = np.rint(np.concatenate(samples, axis=-1) * full) if full > 1 else np.concatenate(samples, axis=-1)
            values = np.moveaxis(values, -1, 0) if tags.get("planarconfig") == "separate" else values
            tifffile.imwrite(tmp_path / "a.tif", values.astype(kind), **tags)
            found = holes.read_mask(tmp_path / "a.tif")
            assert (found.known[..., 0] == ~HOLE).all() and "transparent counts as black" in found.note, (tags, kind)


def photograph():
    y, x = np.mgrid[:SIDE, :20] / SIDE
    return np.stack([60 + 150 * y, 80 + 90 * x, 200 - 80 * y], axis=-1)


REFUSED = {
    "black.png": (lambda: drawn(0, 0), r"no white pixel: nothing is missing \(its brightest value is 0 of 255\)"),
    "gray.png": (lambda: Image.fromarray(np.uint8(np.arange(320).reshape(16, 20) % 3)), "brightest value is 2 of 255"),
    "dark.png": (lambda: soft(0.4), "the mask has no white pixel"),
    "white.png": (lambda: drawn(255, 255), "the mask is all white: white is missing, and nothing is left"),
    "photo.png": (
        lambda: Image.fromarray(photograph().astype(np.uint8)),
        r"the mask has colors \(the color \(60, 80, 200\)",
    ),
    "gray photo.png": (lambda: Image.fromarray(photograph().astype(np.uint8)).convert("L"), "100% of the mask is gray"),
    "red on photo.png": (
        lambda: Image.fromarray(np.where(HOLE[..., None], (255, 0, 0), photograph()).astype(np.uint8)),
        "the mask has colors",
    ),
    "red on white.png": (lambda: drawn((255, 255, 255), (255, 0, 0)), r"colors \(the color \(255, 0, 0\) at x 4, y 3"),
    "soft red.png": (
        lambda: Image.merge("RGB", [soft(), drawn(0, 0), drawn(0, 0)]),
        "draw what is missing in white on black",
    ),
    "black strokes.png": (lambda: opened_up((0, 0, 0)), "no white pixel.*0 of 255, transparent counting as black"),
    "clear.png": (lambda: opened_up((255, 255, 255)).point(lambda v: 0), "no white pixel.*transparent counting as black"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_masks_that_could_mean_two_things(tmp_path, name):
    make, says = REFUSED[name]
    make().save(tmp_path / name)
    with pytest.raises(images.ImageError, match=f"{name}: .*{says}"):
        holes.read_mask(tmp_path / name)


# ----------------------------------------------------------------------------------------- holes beside what is solved


def request(**asked):
    return Request(make_task("inpaint", SIDE), SIDE, 3, PictureOptions(**asked))


@pytest.fixture
def photo(tmp_path, rng):
    """40x60 pixels of noise, its center square at 10,0."""
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def mask_of(tmp_path, box, shape=(40, 60)):
    x, y, width, height = box
    pixels = np.zeros(shape, np.uint8)
    pixels[y : y + height, x : x + width] = 255
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def both(tmp_path, box):
    return {"box": box}, {"mask": mask_of(tmp_path, box)}


def test_a_hole_in_what_is_cropped_away(photo, tmp_path):
    for asked in both(tmp_path, (0, 5, 8, 30)):
        with pytest.raises(images.ImageError, match=r"photo.png: .* outside of the 40x40 square at 10,0 .*--tile.*--align"):
            observe(photo, request(**asked))
        assert (observe(photo, request(tile=True, **asked)).known == 0).any()
    assert (observe(photo, request(box=(8, 5, 3, 30))).known == 0).any()  # a column of it is used


def test_a_single_pixel_survives_the_reduction(photo, tmp_path):
    for asked in both(tmp_path, (30, 20, 1, 1)):
        assert 0 < (observe(photo, request(**asked)).known == 0).sum() < 40


@pytest.fixture
def two_faces(monkeypatch):
    monkeypatch.setattr(observations.faces, "find", lambda picture: [faces.Box(3, 30, SIDE), faces.Box(22, 1, SIDE)])


def test_a_hole_beside_every_face(photo, tmp_path, two_faces):
    for asked in both(tmp_path, (50, 30, 8, 8)):
        with pytest.raises(
            images.ImageError, match=r"outside of every face \(16 px at \(30, 3\), 16 px at \(1, 22\)\); --tile"
        ):
            observe(photo, request(align=True, **asked))


def test_a_face_of_which_nothing_is_missing_stays_as_it_is(photo, tmp_path, two_faces):
    item = observe(photo, request(align=True, box=(35, 8, 4, 4)))
    assert item.note == "photo.png: 1 face, 16 px at (30, 3); nothing is missing of 1 more, left as found"
    assert item.boxes == [(30, 3, SIDE, 0)] and len(item.measurements) == 1
    pixels = images.read(photo)
    placed = item.place(item.join(np.ones((1, SIDE, SIDE, 3), np.float32)))
    assert (placed[22:38, 1:17] == pixels[22:38, 1:17]).all() and (placed[8:12, 35:39] == 1).all()


def test_what_is_missing_does_not_shine_through_the_rim_and_what_is_left_is_told(photo, two_faces):
    item = observe(photo, request(align=True, box=(28, 8, 4, 5)))  # half of it is beside the face's left rim
    assert "; 50.0% of what is missing lies outside of the faces and stays as it is" in item.note
    placed = item.place(item.join(np.ones((1, SIDE, SIDE, 3), np.float32)))
    assert (placed[8:13, 30:32] == 1).all()
    assert (placed[8:13, 28:30] == images.read(photo)[8:13, 28:30]).all()


def test_a_face_that_is_all_hole(photo, two_faces):
    with pytest.raises(images.ImageError, match=r"photo.png: nothing is known of a face"):
        observe(photo, request(align=True, box=(28, 1, 20, 20)))


def test_a_note_on_the_mask_is_the_observation_s(photo, tmp_path):
    pixels = np.zeros((40, 60), np.uint8)
    pixels[10:20, 20:30] = 1
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    note = observe(photo, request(mask=tmp_path / "mask.png")).note
    assert "mask.png: it has two values, black and 1 of 255, which is taken as missing (4.2% of the picture)" in note
    assert "photo.png: 60x40 cropped square" in note
