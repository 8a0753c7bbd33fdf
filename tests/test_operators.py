"""Operators are what they say: linear ones have their adjoint, and all survive JSON, graphs and tf.data."""

import io
import json
import math
import re
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from scipy import ndimage
from skimage.measure import block_reduce

from gekeras import images, operators
from gekeras.operators import (
    JPEG,
    Adjoint,
    BlockMask,
    ClippedMean,
    Compose,
    Downsample,
    Function,
    GaussianBlur,
    Identity,
    Mask,
    Measure,
    MotionBlur,
    MultiplicativeNoise,
    Noise,
    Resize,
    Upsample,
    check_adjoint,
    correction,
    deserialize,
    load,
    make_task,
    repeat,
    serialize,
)

SEED = (1, 2)
SHAPES = [(8, 12, 3), (9, 15, 1), (7, 11, 3)]  # sides with common divisors 4, 3 and 1


def mask(height, width, count=None):
    """About half of the pixels known; with a count, a mask for each picture."""
    shape = (height, width, 1) if count is None else (count, height, width, 1)
    return np.random.default_rng(6).integers(0, 2, shape)


def linear(shape):
    """Linear operators on pictures of a shape."""
    height, width = shape[:2]
    factor = math.gcd(height, width)
    return [
        Identity(),
        Downsample(1),
        Downsample(1, "bicubic"),
        Downsample(factor),
        Downsample(factor, "bicubic"),
        Upsample(1),
        Upsample(3),
        GaussianBlur(1.0),
        GaussianBlur(3.0, 25),  # wider than the picture, which is mirrored more than once
        GaussianBlur(0.5, 1),
        MotionBlur(5, 30),
        MotionBlur(2.5, -90),
        Mask(mask(height, width)),
        Measure(40, 3, shape),
        Adjoint(Upsample(factor)),
        Adjoint(GaussianBlur(1.5)),
        Adjoint(MotionBlur(4, 45)),
        Compose(),
        Compose(Downsample(factor), Upsample(factor)),
        Compose(Upsample(factor), Downsample(factor, "bicubic")),
        Compose(Measure(40, 4, shape), Adjoint(Measure(40, 4, shape))),
        Compose(Downsample(factor), Compose(Identity(), GaussianBlur(1.0)), Upsample(3)),
    ]


RANDOM = [
    Noise(0.3),
    Noise(0.3, clip=False),
    MultiplicativeNoise(0.2),
    JPEG(30),
    BlockMask(0.5),
    Compose(GaussianBlur(1.0), Noise(0.1), JPEG(50)),
]


def name(operator):
    return json.dumps(serialize(operator)) if not isinstance(operator, Mask) else "Mask"


SHAPE = SHAPES[0]
every_linear = pytest.mark.parametrize("operator", linear(SHAPE), ids=name)
every_random = pytest.mark.parametrize("operator", RANDOM, ids=name)


@pytest.mark.parametrize(
    "operator, shape",
    [pytest.param(operator, shape, id=f"{name(operator)}-{shape}") for shape in SHAPES for operator in linear(shape)],
)
def test_adjoint(rng, operator, shape):
    """<A x, y> = <x, A^T y>."""
    assert operator.linear
    x = rng.normal(size=(2, *shape))
    image = operator(tf.constant(x)).numpy()
    y = rng.normal(size=image.shape)
    back = operator.adjoint(tf.constant(y)).numpy()
    assert image.dtype == back.dtype == np.float64 and back.shape == x.shape
    assert np.vdot(image, y) == pytest.approx(np.vdot(x, back), rel=1e-12)


def test_a_mask_for_each_picture_is_its_own_adjoint(rng):
    known = mask(5, 6, count=3)
    x, y = rng.normal(size=(2, 3, 5, 6, 3))
    np.testing.assert_array_equal(Mask(known)(tf.constant(x)), x * known)
    image, back = Mask(known)(tf.constant(x)).numpy(), Mask(known).adjoint(tf.constant(y)).numpy()
    assert np.vdot(image, y) == pytest.approx(np.vdot(x, back), rel=1e-12)


@every_linear
def test_linear(rng, operator):
    x, y = rng.normal(size=(2, 1, *SHAPE))
    both = operator(tf.constant(2 * x - 3 * y)).numpy()
    np.testing.assert_allclose(both, 2 * operator(tf.constant(x)).numpy() - 3 * operator(tf.constant(y)).numpy(), atol=1e-12)


@every_linear
def test_survives_json(rng, operator):
    copy = deserialize(json.loads(json.dumps(serialize(operator))))
    assert serialize(copy) == serialize(operator) and copy.linear and copy.ridge == operator.ridge
    x = tf.constant(rng.normal(size=(2, *SHAPE)))
    np.testing.assert_array_equal(copy(x), operator(x))


@every_random
def test_random_operators_survive_json(rng, operator):
    copy = deserialize(json.loads(json.dumps(serialize(operator))))
    assert serialize(copy) == serialize(operator) and not copy.linear
    x = rng.uniform(-1, 1, (2, 8, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(copy(x, tf.constant(SEED)), operator(x, tf.constant(SEED)))


@every_linear
def test_in_graphs_and_pipelines(rng, operator):
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        x = rng.normal(size=(5, *SHAPE)).astype(dtype)
        expected = operator(x)
        assert expected.dtype == dtype
        compiled = tf.function(operator, input_signature=[tf.TensorSpec([None, *SHAPE], dtype)])
        np.testing.assert_allclose(compiled(x), expected, atol=tolerance)
        stream = tf.data.Dataset.from_tensor_slices(x).batch(2).map(operator)
        np.testing.assert_allclose(np.concatenate(list(stream.as_numpy_iterator())), expected, atol=tolerance)


@pytest.mark.parametrize("operator", [GaussianBlur(1.0), MotionBlur(3, 20), Measure(40, 3, (8, 12, 3))], ids=name)
def test_adjoints_in_graphs(rng, operator):
    y = operator(rng.normal(size=(2, 8, 12, 3)).astype(np.float32))
    compiled = tf.function(operator.adjoint, input_signature=[tf.TensorSpec([None, *y.shape[1:]])])
    np.testing.assert_allclose(compiled(y), operator.adjoint(y), atol=1e-6)


@every_random
def test_random_operators_in_graphs_and_pipelines(rng, operator):
    x, seed = rng.uniform(-1, 1, (5, 8, 12, 3)).astype(np.float32), tf.constant(SEED)
    expected = operator(x, seed)
    compiled = tf.function(lambda x: operator(x, seed), input_signature=[tf.TensorSpec([None, 8, 12, 3])])
    np.testing.assert_allclose(compiled(x), expected, atol=1e-6)
    stream = tf.data.Dataset.from_tensors(x).map(lambda x: operator(x, seed))
    np.testing.assert_allclose(np.concatenate(list(stream.as_numpy_iterator())), expected, atol=1e-6)


def test_downsample_against_scikit_image(rng):
    x = rng.normal(size=(2, 8, 12, 3))
    for factor in (2, 4):
        expected = block_reduce(x, (1, factor, factor, 1), np.mean)
        np.testing.assert_allclose(Downsample(factor)(tf.constant(x)), expected, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 3, 4])
def test_bicubic_downsample_against_tensorflow_and_pillow(rng, factor):
    x = rng.uniform(-0.5, 0.5, (2, 24, 24, 3)).astype(np.float32)  # the cubic's overshoot stays in [-1, 1]
    small = Downsample(factor, "bicubic")(tf.constant(x)).numpy()
    expected = tf.image.resize(x, (24 // factor, 24 // factor), method="bicubic", antialias=True)
    np.testing.assert_allclose(small, expected, atol=1e-5)
    for one, reduced in zip(x, small):
        np.testing.assert_allclose(reduced, images.resize(one, 24 // factor), atol=1e-5)
    wide = x[:, :12]
    expected = tf.image.resize(wide, (12 // factor, 24 // factor), method="bicubic", antialias=True)
    np.testing.assert_allclose(Downsample(factor, "bicubic")(tf.constant(wide)), expected, atol=1e-5)


SIZES = [(16, 16), (16, 12), (16, 5), (9, 4), (7, 6), (16, 1), (5, 16), (4, 9)]  # from, to


@pytest.mark.parametrize("kernel", ["box", "bicubic"])
@pytest.mark.parametrize("side, size", SIZES)
def test_resize(rng, side, size, kernel):
    """<A x, y> = <x, A^T y>, and of a constant the constant; in JSON and in a graph it is the same."""
    operator = Resize(side, size, kernel)
    assert check_adjoint(operator, (side, side, 3)) < 1e-6 and operator.linear
    np.testing.assert_allclose(operator(tf.fill((1, side, side, 2), 0.7)), np.full((1, size, size, 2), 0.7), atol=1e-6)
    x = tf.constant(rng.normal(size=(2, side, side, 3)))
    small = operator(x)
    assert small.shape == (2, size, size, 3) and small.dtype == tf.float64
    again = deserialize(json.loads(json.dumps(serialize(operator))))
    np.testing.assert_array_equal(again(x), small)
    compiled = tf.function(operator, input_signature=[tf.TensorSpec([None, side, side, 3], tf.float64)])
    np.testing.assert_allclose(compiled(x), small, atol=1e-12)


def test_resize_by_area_against_whole_blocks(rng):
    """Each pixel repeated `size` times is a grid of which a new pixel is a whole block."""
    for side, size in SIZES:
        x = rng.normal(size=(2, side, side, 3))
        fine = x.repeat(size, axis=1).repeat(size, axis=2)
        expected = block_reduce(fine, (1, side, side, 1), np.mean)
        np.testing.assert_allclose(Resize(side, size)(tf.constant(x)), expected, atol=1e-12)


def test_resize_by_a_whole_factor(rng):
    x = tf.constant(rng.normal(size=(2, 12, 12, 3)))
    for kernel in ("box", "bicubic"):
        for factor in (1, 2, 3):
            down = Downsample(factor, kernel)
            np.testing.assert_allclose(Resize(12, 12 // factor, kernel)(x), down(x), atol=1e-12)
            y = down(x)
            np.testing.assert_allclose(Resize(12, 12 // factor, kernel).adjoint(y), down.adjoint(y), atol=1e-12)
    np.testing.assert_allclose(Resize(12, 36)(x), Upsample(3)(x), atol=1e-12)


@pytest.mark.parametrize("side, size", SIZES)
def test_bicubic_resize_against_pillow(rng, side, size):
    x = rng.uniform(-0.5, 0.5, (side, side, 3)).astype(np.float32)  # the cubic's overshoot stays in [-1, 1]
    np.testing.assert_allclose(Resize(side, size, "bicubic")(x[None])[0], images.resize(x, size), atol=1e-5)


def test_upsample_against_a_kronecker_product(rng):
    x = rng.normal(size=(2, 3, 4, 1))
    for image, large in zip(x, Upsample(3)(tf.constant(x)).numpy()):
        np.testing.assert_array_equal(large[..., 0], np.kron(image[..., 0], np.ones((3, 3))))


def test_compose_applies_its_operators_in_order(rng):
    x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    assert Compose(Downsample(4), Upsample(2))(x).shape == (1, 4, 4, 3)
    np.testing.assert_array_equal(Compose(Downsample(4), Upsample(2))(x), Upsample(2)(Downsample(4)(x)))


def test_a_function_of_images_is_an_operator(rng):
    x = rng.normal(size=(1, 4, 4, 3)).astype(np.float32)
    operator = Function(lambda images: images**2)
    np.testing.assert_array_equal(operator(x, tf.constant(SEED)), x**2)
    assert not operator.linear
    with pytest.raises(TypeError, match="Function is not linear and has no adjoint"):
        operator.adjoint(x)
    with pytest.raises(TypeError, match="is a function and cannot be stored; derive a class from Operator"):
        serialize(operator)


# ------------------------------------------------------------------------------------------------------- blurs


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_gaussian_blur_against_scipy(rng, sigma, shape):
    x, blur = rng.normal(size=(2, *shape)), GaussianBlur(sigma)
    reach = blur.size // 2 / sigma
    expected = ndimage.gaussian_filter(x, (0, sigma, sigma, 0), mode="mirror", truncate=reach)
    np.testing.assert_allclose(blur(tf.constant(x)), expected, atol=1e-12)
    assert blur.size == 2 * math.ceil(3 * sigma) + 1


@pytest.mark.parametrize("sigma, size", [(2.0, 13), (1.0, 7), (4.0, 5)])
def test_gaussian_blur_against_tensorflow_addons(rng, sigma, size):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        addons = pytest.importorskip("tensorflow_addons")
    x = rng.uniform(-1, 1, (2, 14, 17, 3)).astype(np.float32)
    expected = addons.image.gaussian_filter2d(x, (size, size), sigma, padding="REFLECT")
    np.testing.assert_allclose(GaussianBlur(sigma, size)(x), expected, atol=1e-5)


def test_the_gaussian_kernel():
    blur = GaussianBlur(1.5, 9)
    assert blur.kernel.shape == (9, 9) and blur.kernel.sum() == pytest.approx(1)
    np.testing.assert_array_equal(blur.kernel, blur.kernel[::-1, ::-1])
    assert blur.kernel[4, 6] / blur.kernel[4, 4] == pytest.approx(math.exp(-(2**2) / 2 / 1.5**2))
    point = np.zeros((1, 17, 17, 1))
    point[0, 8, 8] = 1
    np.testing.assert_allclose(blur(tf.constant(point)).numpy()[0, 4:13, 4:13, 0], blur.kernel, atol=1e-15)


@pytest.mark.parametrize("angle", [0, 30, 90, 135, -20])
@pytest.mark.parametrize("length", [1, 5, 7.5])
def test_motion_blur_against_scipy(rng, angle, length):
    x, blur = rng.normal(size=(2, 9, 12, 3)), MotionBlur(length, angle)
    expected = ndimage.convolve(x, blur.kernel[None, :, :, None], mode="mirror")
    np.testing.assert_allclose(blur(tf.constant(x)), expected, atol=1e-12)


def test_the_kernel_of_a_motion():
    """Of sum 1 and symmetric, along its line; counterclockwise from the horizontal."""
    level, upright, rising = (MotionBlur(9, angle).kernel for angle in (0, 90, 45))
    for kernel in (level, upright, rising):
        assert kernel.shape == (11, 11) and kernel.sum() == pytest.approx(1) and kernel.min() >= 0
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-15)
    np.testing.assert_allclose(level, upright.T, atol=1e-12)
    assert level[5].sum() == pytest.approx(1) and level[5, 2:9] == pytest.approx(1 / 9, rel=0.02)
    assert rising[3, 7] > 0.05 and rising[3, 3] == pytest.approx(0, abs=1e-12)  # row 3 is above the middle


def test_blurs_keep_flat_pictures(rng):
    flat = np.full((1, 9, 12, 3), 0.25) * [1, -1, 3]
    for blur in (GaussianBlur(2.0), GaussianBlur(0.1), MotionBlur(7, 33)):
        np.testing.assert_allclose(blur(tf.constant(flat)), flat, atol=1e-12)


def test_blurs_that_are_refused():
    for create in (GaussianBlur, Noise, MultiplicativeNoise):
        for sigma in (0, -1.0, float("nan")):
            with pytest.raises(ValueError, match="sigma must be above 0; received"):
                create(sigma)
    with pytest.raises(ValueError, match="size must be odd; received 4"):
        GaussianBlur(1.0, 4)
    with pytest.raises(ValueError, match="size must be a whole number above 0; received 0"):
        GaussianBlur(1.0, 0)
    with pytest.raises(ValueError, match="length must be above 0"):
        MotionBlur(0)
    with pytest.raises(ValueError, match=r"a motion of 9\.0 pixels needs sides above 5"):
        MotionBlur(9)(tf.zeros((1, 5, 20, 3)))


# ------------------------------------------------------------------------------------------------------- noise


def test_noise_has_its_moments():
    noise = Noise(0.5, clip=False)(tf.zeros((4, 64, 64, 3)), tf.constant(SEED)).numpy()
    assert noise.dtype == np.float32
    assert noise.mean() == pytest.approx(0, abs=0.01) and noise.std() == pytest.approx(0.5, rel=0.02)
    assert (noise**4).mean() == pytest.approx(3 * 0.5**4, rel=0.05)  # of a normal distribution
    flat = noise.reshape(4, -1)
    np.testing.assert_allclose(np.corrcoef(flat), np.eye(4), atol=0.03)  # each picture has its own
    assert np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1] == pytest.approx(0, abs=0.03)


def test_noise_is_clipped_as_a_file_would(rng):
    x, seed = rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32), tf.constant(SEED)
    clipped, free = Noise(0.8)(x, seed).numpy(), Noise(0.8, clip=False)(x, seed).numpy()
    assert np.abs(free).max() > 1 and np.abs(clipped).max() == 1
    np.testing.assert_array_equal(clipped, np.clip(free, -1, 1))


def test_multiplicative_noise_grows_with_the_intensity():
    seed = tf.constant(SEED)
    levels = {x: MultiplicativeNoise(0.1)(tf.fill((1, 128, 128, 1), x), seed).numpy() for x in (-1.0, -0.5, 0.0)}
    assert (levels[-1.0] == -1).all()  # black stays black
    for level in (-0.5, 0.0):
        assert levels[level].mean() == pytest.approx(level, abs=0.005)
        assert levels[level].std() == pytest.approx(0.1 * (1 + level), rel=0.03)
    strong = MultiplicativeNoise(3.0)(tf.fill((1, 32, 32, 1), 0.5), seed).numpy()
    assert strong.min() == -1 and strong.max() == 1


@pytest.mark.parametrize("operator", [Noise(0.5), MultiplicativeNoise(0.5), BlockMask(0.3)], ids=name)
def test_the_seed_decides_what_is_random(rng, operator):
    x = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    one, same, other, fresh, fresher = (
        operator(x, None if seed is None else tf.constant(seed)).numpy() for seed in (SEED, SEED, (1, 3), None, None)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and (fresh != fresher).any() and (one != fresh).any()
    assert (one[0] != x[0]).any() and (one[0] - x[0] != one[1] - x[1]).any()


def test_random_operators_of_a_chain_draw_their_own_noise():
    zero, seed = tf.zeros((1, 32, 32, 1)), tf.constant([1, 2])
    chain = Compose(Noise(1.0, clip=False), Noise(1.0, clip=False))
    total = chain(zero, seed).numpy()
    np.testing.assert_array_equal(total, chain(zero, seed))
    assert total.var() == pytest.approx(2, rel=0.2)  # 4 if both were the same noise
    assert not chain.linear
    with pytest.raises(TypeError, match="Noise is not linear"):
        chain.adjoint(zero)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_loses_more_at_a_lower_quality(pictures, channels):
    x = np.stack([images.read(path)[..., :channels] for path in sorted(pictures.glob("*.png"))[:4]])
    errors = [np.square(JPEG(quality)(x).numpy() - x).mean() for quality in (1, 5, 20, 60, 100)]
    assert errors == sorted(errors, reverse=True) and errors[0] > 10 * errors[-1] > 0
    rough = JPEG(10)(x)
    assert rough.shape == x.shape and rough.dtype == tf.float32 and np.abs(rough).max() <= 1
    for i in range(4):
        np.testing.assert_array_equal(JPEG(10)(x[i : i + 1])[0], rough[i])
    np.testing.assert_array_equal(JPEG(10)(2 * x), JPEG(10)(np.clip(2 * x, -1, 1)))


@pytest.mark.parametrize("quality", [1, 10, 60, 95, 100])
def test_jpeg_against_pillow(pictures, quality):
    for path in sorted(pictures.glob("*.png"))[:2]:
        for mode in ("RGB", "L"):
            picture, file = Image.open(path).convert(mode), io.BytesIO()
            picture.save(file, "JPEG", quality=quality)
            truth, expected = (np.asarray(one).reshape(1, 16, 16, -1) for one in (picture, Image.open(file)))
            found = images.to_uint8(JPEG(quality)(images.from_uint8(truth)).numpy())
            np.testing.assert_allclose(found.astype(int), expected, atol=1)


def test_qualities_that_are_refused():
    for quality in (0, 101, 2.5, True):
        with pytest.raises(ValueError, match="quality must be"):
            JPEG(quality)


# ------------------------------------------------------------------------------------------------------- masks


@pytest.mark.parametrize("height, width, size, side", [(12, 9, 0.5, 4), (8, 8, 0.5, 4), (8, 20, 0.01, 1), (8, 8, 0.99, 7)])
def test_a_block_is_a_square_inside_the_picture(height, width, size, side):
    known = BlockMask(size).known((200, height, width, 3), tf.constant(SEED)).numpy()
    assert known.shape == (200, height, width, 1) and set(np.unique(known)) == {0, 1}
    missing = known[..., 0] == 0
    assert (missing.sum(axis=(1, 2)) == side**2).all()
    for axis in (1, 2):  # the square's rows and columns, and no others
        assert (missing.any(axis=axis).sum(axis=1) == side).all()
        line = missing.any(axis=axis).astype(int)
        assert (np.abs(np.diff(line, axis=1, prepend=0, append=0)).sum(axis=1) == 2).all()  # in one piece


def test_blocks_reach_all_places_and_each_picture_has_its_own():
    known = BlockMask(0.4).known((1200, 6, 5, 3), tf.constant(SEED)).numpy()[..., 0]  # 2x2 in 6x5: 5 x 4 places
    corners = [np.argwhere(one == 0)[0] for one in known]
    places, counts = np.unique(corners, axis=0, return_counts=True)
    assert [tuple(place) for place in places] == [(i, j) for i in range(5) for j in range(4)]
    assert counts.min() > 30 and counts.max() < 90  # 60 expected, standard deviation 7.5


def test_a_block_is_missing_where_its_mask_says(rng):
    x, seed = rng.uniform(-1, 1, (3, 8, 12, 3)).astype(np.float32), tf.constant(SEED)
    np.testing.assert_array_equal(BlockMask(0.5)(x, seed), x * BlockMask(0.5).known(x.shape, seed))


def test_block_sizes_that_are_refused():
    for size in (0, 1, -0.5, 1.5, float("nan")):
        with pytest.raises(ValueError, match="size must be above 0 and below 1"):
            BlockMask(size)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (3, 5, 7, 1)])
def test_masks_survive_json(shape):
    known = np.random.default_rng(2).random(shape) < 0.5
    copy = deserialize(json.loads(json.dumps(serialize(Mask(known)))))
    assert copy.known.dtype == np.float32
    np.testing.assert_array_equal(copy.known, known[..., None] if known.ndim == 2 else known)


@pytest.mark.parametrize(
    "known, says",
    [
        (np.zeros((4, 4)), "the mask covers everything: no pixel is known"),
        (np.arange(2).reshape(2, 1, 1, 1) * np.ones((2, 4, 4, 1)), "the mask covers everything"),  # of the first picture
        (np.full((4, 4), 0.5), "a mask holds zeros and ones in"),
        (np.full((4, 4), 255), "a mask holds zeros and ones in"),
        (np.full((4, 4), np.nan), "a mask holds zeros and ones in"),
        (np.ones((4, 4, 3)), r"received shape \[4, 4, 3\]"),
        (np.ones(4), r"received shape \[4\]"),
    ],
)
def test_masks_that_are_refused(known, says):
    with pytest.raises(ValueError, match=says):
        Mask(known)


# -------------------------------------------------------------------------------------------- random projections


def test_measure_is_a_matrix_of_normal_numbers(rng):
    measure = Measure(200, 5, (8, 10, 3))
    matrix = measure.matrix
    assert matrix.shape == (200, 240) and matrix.dtype == np.float32
    assert matrix.mean() == pytest.approx(0, abs=1e-3) and matrix.var() == pytest.approx(1 / 200, rel=0.02)
    x = rng.normal(size=(3, 8, 10, 3)).astype(np.float32)
    y = measure(x).numpy()
    assert y.shape == (3, 200)
    np.testing.assert_allclose(y, x.reshape(3, 240) @ matrix.T, atol=1e-4)
    np.testing.assert_allclose(np.square(y).sum(1), np.square(x).sum((1, 2, 3)), rtol=0.3)  # lengths are kept on average
    np.testing.assert_array_equal(Measure(200, 5, (8, 10, 3)).matrix, matrix)
    assert np.abs(Measure(200, 6, (8, 10, 3)).matrix - matrix).max() > 0.1


# ------------------------------------------------------------------------------------------------ pseudo-inverse


def matrix_of(operator, shape):
    """A, a column for each pixel."""
    basis = np.eye(math.prod(shape)).reshape(-1, *shape)
    return operator(tf.constant(basis)).numpy().reshape(len(basis), -1).T


@pytest.mark.parametrize(
    "operator",
    [
        Mask(mask(4, 6)),
        Downsample(2),
        Downsample(2, "bicubic"),
        Upsample(2),
        Measure(9, 1, (4, 6, 1)),
        Compose(Mask(mask(4, 6)), Downsample(2)),
        GaussianBlur(1.0),
        MotionBlur(3, 40),
    ],
    ids=name,
)
def test_the_correction_in_closed_form(rng, operator):
    """A^T (A A^T + ridge I)^+ r; without a ridge NumPy's pseudo-inverse."""
    matrix = matrix_of(operator, (4, 6, 1))
    residual = operator(tf.constant(rng.normal(size=(3, 4, 6, 1)))).numpy()  # no mask leaves anything where nothing is known
    flat = residual.reshape(3, -1)
    found = correction(operator, tf.constant(residual)).numpy().reshape(3, -1)
    for r, x in zip(flat, found):
        if operator.ridge:
            expected = matrix.T @ np.linalg.solve(matrix @ matrix.T + operator.ridge * np.eye(len(r)), r)
        else:
            expected = np.linalg.pinv(matrix, rcond=1e-10) @ r
        np.testing.assert_allclose(x, expected, atol=1e-6)


EXACT = [
    Mask(mask(16, 12)),
    Mask(mask(16, 12, count=3)),
    Downsample(4),
    Downsample(2, "bicubic"),
    Downsample(4, "bicubic"),
    Measure(50, 0, (16, 12, 3)),
    Compose(Downsample(2), Downsample(2, "bicubic")),
]


@pytest.mark.parametrize("operator", EXACT, ids=name)
def test_a_corrected_picture_agrees_with_the_measurement(rng, operator):
    """A (x + A^+ (y - A x)) = y, with nothing left to correct, and each picture of a batch by itself."""
    truth, x = rng.uniform(-1, 1, (2, 3, 16, 12, 3)).astype(np.float32)
    y = operator(truth)
    corrected = x + correction(operator, y - operator(x)).numpy()
    np.testing.assert_allclose(operator(corrected), y, atol=1e-5)
    np.testing.assert_allclose(correction(operator, y - operator(corrected)), 0 * x, atol=1e-5)
    assert (np.square(corrected - truth).sum((1, 2, 3)) < np.square(x - truth).sum((1, 2, 3))).all()  # a projection
    if not (isinstance(operator, Mask) and operator.known.ndim == 4):
        for i in range(3):
            alone = correction(operator, y[i : i + 1] - operator(x[i : i + 1])).numpy()
            np.testing.assert_allclose(alone[0], (corrected - x)[i], atol=1e-5)


@pytest.mark.parametrize("blur", [GaussianBlur(1.0), GaussianBlur(2.0), MotionBlur(5, 30)], ids=name)
def test_a_correction_for_a_blur_leaves_little(rng, blur):
    truth = GaussianBlur(1.5)(rng.uniform(-1, 1, (2, 24, 20, 3)).astype(np.float32)).numpy()
    y = blur(truth)
    residual = y - blur(y)
    corrected = y + correction(blur, residual)
    left = np.linalg.norm((y - blur(corrected)).numpy().reshape(2, -1), axis=1)
    assert (10 * left < np.linalg.norm(residual.numpy().reshape(2, -1), axis=1)).all()
    assert np.abs(corrected).max() < 3  # nothing blew up
    assert np.square(corrected - truth).mean() < np.square(y - truth).mean()


@pytest.mark.parametrize("operator", [*EXACT, GaussianBlur(2.0), MotionBlur(5, 30)], ids=name)
def test_nothing_to_correct(operator):
    residual = tf.zeros_like(operator(tf.zeros((3, 16, 12, 3))))
    np.testing.assert_array_equal(correction(operator, residual), np.zeros((3, 16, 12, 3)))


# ---------------------------------------------------------------------------------------------------- refusals


def test_factors_that_are_refused():
    for operator in (Downsample, Upsample):
        for factor in (0, -2, 1.5, True):
            with pytest.raises(ValueError, match="factor must be a whole number above 0"):
                operator(factor)


def test_kernels_that_are_refused():
    with pytest.raises(ValueError, match="kernel must be 'box' or 'bicubic'; received 'lanczos'"):
        Downsample(2, "lanczos")
    with pytest.raises(ValueError, match="kernel must be 'box' or 'bicubic'; received 'nearest'"):
        Resize(4, 3, "nearest")


def test_sides_that_are_no_multiple_are_refused():
    with pytest.raises(ValueError, match="multiples of 4; received 8 x 10"):
        Downsample(4)(tf.zeros((1, 8, 10, 3)))
    resize = Resize(8, 5)
    for apply, shape, side in ((resize, [1, 8, 9, 3], 8), (resize.adjoint, [1, 8, 8, 3], 5)):
        says = re.escape(f"pictures of {side}x{side} are needed; received shape {shape}")
        with pytest.raises(ValueError, match=says):
            apply(tf.zeros(shape))


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"unknown operator 'Blur'; known: Identity, Compose, Adjoint, Downsample"):
        deserialize({"class_name": "Blur", "config": {}})
    with pytest.raises(ValueError, match=r"unknown task 'paint'; tasks are reconstruct, denoise, inpaint, deblur, superres"):
        make_task("paint")
    with pytest.raises(ValueError, match="task denoise has no factor, sgima; it has sigma"):
        make_task("denoise", sgima=0.3, factor=4)
    with pytest.raises(ValueError, match="task reconstruct has no sigma; it has no parameters"):
        make_task("reconstruct", sigma=0.3)
    with pytest.raises(ValueError, match="an operator of one's own takes no sigma; name an object"):
        make_task("mine", operator="GaussianBlur", sigma=0.3)


# ---------------------------------------------------------------------------------------- operators of one's own

MODULE = """
import tensorflow as tf

from gekeras.operators import Downsample, GaussianBlur, Measure, Operator


class Mirror(Operator):
    linear = True

    def __call__(self, images, seed=None):
        return images[:, :, ::-1]

    def adjoint(self, measurement):
        return measurement[:, :, ::-1]


class Scale(Mirror):
    def __init__(self, factor):
        self.factor = factor


def square(images):
    return images**2


def crop(images):
    return images[:, 1:, 1:]


half = Downsample(2)
sensed = Measure(20, 1, (8, 8, 3))
number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module in the current folder, and nothing of it left behind."""
    (tmp_path / "own_operators.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield "own_operators"
    sys.modules.pop("own_operators", None)


def test_load(own, rng):
    x = rng.normal(size=(1, 8, 8, 3)).astype(np.float32)
    assert isinstance(load("GaussianBlur"), GaussianBlur) and load("GaussianBlur").sigma == 2.0
    assert load("gekeras.operators:Upsample").factor == 4
    assert load(f"{own}:half").factor == 2 and load(f"{own}:half") is load(f"{own}:half")
    np.testing.assert_array_equal(load(f"{own}:Mirror")(x), x[:, :, ::-1])
    assert isinstance(load(f"{own}:square"), Function)
    np.testing.assert_array_equal(load(f"{own}:square")(x), x**2)


@pytest.mark.parametrize(
    "text, says",
    [
        ("missing_module:half", "operator 'missing_module:half' cannot be loaded: No module named 'missing_module'"),
        ("own_operators:third", "operator 'own_operators:third' cannot be loaded: .*has no attribute 'third'"),
        ("own_operators:number", "'own_operators:number' is no operator; give module:object, or one of Identity, Compose"),
        ("own_operators:Scale", "operator 'own_operators:Scale' needs arguments: .*factor.*; name an object of it instead"),
        ("Mask", "operator 'Mask' needs arguments"),
        ("Blur", "'Blur' is no operator; give module:object"),
    ],
)
def test_operators_that_cannot_be_loaded(own, text, says):
    with pytest.raises(ValueError, match=says):
        load(text)


def test_a_task_of_a_function_that_keeps_the_shape(own, rng):
    task = make_task("square", 8, operator=f"{own}:square")
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    np.testing.assert_array_equal(task.observe(x), x**2)
    np.testing.assert_array_equal(task.forward(x), x)
    assert (task.name, task.factor, task.measure, task.exact, task.masked) == ("square", 1, None, False, False)
    assert task.parameters == {"operator": f"{own}:square"}
    assert make_task(task.name, 8, **task.parameters).degrade.function is task.degrade.function


def test_a_task_of_a_linear_operator_that_keeps_the_shape(own, rng):
    task = make_task("mirror", 8, operator=f"{own}:Mirror")
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    np.testing.assert_array_equal(task.observe(x), x[:, :, ::-1])
    np.testing.assert_array_equal(task.forward(x), x)
    assert task.measure is task.degrade and task.exact


@pytest.mark.parametrize("name", ["half", "sensed"])
def test_a_task_of_a_linear_operator_that_changes_the_shape(own, rng, name):
    """E sees A^T y, and S is A^T A: both sides of E are alike."""
    task = make_task("sensing", 8, operator=f"{own}:{name}")
    operator = load(f"{own}:{name}")
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    np.testing.assert_allclose(task.observe(x), operator.adjoint(operator(x)), atol=1e-12)
    np.testing.assert_allclose(task.forward(x), task.observe(x), atol=1e-12)
    assert task.observe(x).shape == x.shape and task.measure is task.degrade and task.exact


def test_a_function_that_changes_the_shape_is_refused(own):
    says = r"operator of crop turns \[1, 8, 8, 1\] into \[1, 7, 7, 1\]; only a linear one may change the shape"
    with pytest.raises(ValueError, match=says):
        make_task("crop", 8, 1, operator=f"{own}:crop")


def test_a_task_of_one_s_own_may_be_a_block(rng):
    task = make_task("hole", 8, operator="BlockMask")
    assert task.masked and task.exact and isinstance(task.measure, Identity)


# ------------------------------------------------------------------------------------------------------- tasks


@pytest.mark.parametrize("kernel", ["box", "bicubic"])
@pytest.mark.parametrize("factor", [2, 4])
def test_superres(rng, factor, kernel):
    task = make_task("superres", factor=factor, kernel=kernel)
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    assert task.degrade(x).shape == (2, 8 // factor, 8 // factor, 3) and task.factor == factor
    observed = task.observe(x)
    np.testing.assert_allclose(task.forward(x), observed, atol=1e-12)  # S does to G(z) what happened to the picture
    if kernel == "box":
        np.testing.assert_allclose(task.forward(observed), observed, atol=1e-12)  # a projection
        np.testing.assert_allclose(task.degrade(task.lift(task.degrade(x))), task.degrade(x), atol=1e-12)
    assert task.exact and not task.masked and task.measure is task.degrade


@pytest.mark.parametrize("kernel", ["box", "bicubic"])
@pytest.mark.parametrize("size, low", [(3, 4), (5, 4), (8, 4), (15, 4), (1, 4), (12, 16), (4, 16)])
def test_superres_of_any_size(rng, size, low, kernel):
    """A reduces to that size; E sees it resized to the size that it was trained with, each pixel repeated, on both sides."""
    factor = 16 // low
    task = make_task("superres", 16, factor=factor, kernel=kernel, size=size)
    x = tf.constant(rng.normal(size=(2, 16, 16, 3)))
    y = task.degrade(x)
    np.testing.assert_allclose(y, Resize(16, size, kernel)(x), atol=1e-12)
    seen = Resize(size, low, "box" if size > low else "bicubic")(y)
    np.testing.assert_array_equal(task.lift(y), repeat(seen, factor))
    np.testing.assert_array_equal(task.forward(x), task.observe(x))
    assert task.exact and task.measure is task.degrade and task.factor * size == 16 and task.seen(16) == low
    assert isinstance(task.factor, int) == (16 % size == 0)
    np.testing.assert_allclose(operators.bicubic(y, task.factor).shape, x.shape)
    again = make_task(task.name, 16, **json.loads(json.dumps(task.parameters)))
    assert serialize(again.forward) == serialize(task.forward) and again.parameters == task.parameters
    corrected = x + correction(task.measure, y / 2 - task.measure(x))
    np.testing.assert_allclose(task.measure(corrected), y / 2, atol=1e-6)


def test_superres_of_the_size_that_was_trained_for_is_as_it_was():
    plain = make_task("superres", 16)
    for task in (make_task("superres", 16, size=4), make_task("superres", 16, size=5).of_size(4, 16), plain.of_size(4, 16)):
        assert task.parameters == {"factor": 4, "kernel": "box"} and (task.factor, type(task.factor)) == (4, int)
        for part in ("degrade", "lift", "forward", "measure"):
            assert serialize(getattr(task, part)) == serialize(getattr(plain, part))


def test_a_task_of_another_size_keeps_its_forward_map(rng):
    task = make_task("superres", 16, kernel="bicubic")
    other = task.of_size(5, 16)
    assert other.parameters == {"factor": 4, "kernel": "bicubic", "size": 5} and other.of_size(5, 16) is other
    assert serialize(other.forward) == serialize(make_task("superres", 16, **other.parameters).forward)
    for name, same in (("identity", False), ("degrade", True)):
        named = task.with_forward(name).of_size(5, 16)
        assert (serialize(named.forward) == serialize(other.forward)) == same
        assert named.parameters == other.parameters
    with pytest.raises(ValueError, match="observations of deblur have one size; there is none of 5x5"):
        make_task("deblur", 16).of_size(5, 16)


@pytest.mark.parametrize("size", [0, -3, 2.5, "many", True, 16, 20])
def test_sizes_that_are_refused(size):
    says = "size must be below the pictures' side, 16" if size in (16, 20) else "size must be a whole number above 0"
    with pytest.raises(ValueError, match=says):
        make_task("superres", 16, size=size)


def test_observations_of_another_size_are_refused(rng):
    picture = (16, 16, 3)
    way = r"; load the model with parameters=\{'size': 20\} for those of 20x20"
    for task, wanted, extra in (
        (make_task("superres", 16), "4x4x3", way),
        (make_task("superres", 16, size=5), "5x5x3", way),
        (make_task("deblur", 16), "16x16x3", ""),
        (make_task("sense", 16, operator="gekeras.operators.linear:Downsample"), "4x4x3", ""),
    ):
        y = task.degrade(tf.zeros((2, *picture)), tf.constant(SEED))
        assert task.checked(y, picture) is y and task.checked(y, None) is y
        for other in ((2, 6, 6, 3), (2, *y.shape[1:3], 1), (2, 7)):
            size = "x".join(map(str, other[1:]))
            says = rf"^observations of {task.name} are {wanted} here; received {size}{extra}$"
            with pytest.raises(ValueError, match=says):
                task.checked(np.zeros(other, np.float32), picture)


def test_reconstruct_loses_nothing(rng):
    task = make_task("reconstruct")
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    for part in (task.degrade, task.lift, task.forward, task.measure, task.observe):
        np.testing.assert_array_equal(part(x), x)
    assert task.factor == 1 and not task.exact and not task.masked


def test_denoise(rng):
    task = make_task("denoise", sigma=0.3)
    x = tf.constant(rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32))
    observed, known = task.sample(x, tf.constant(SEED))
    assert known is None and not task.exact and not task.masked and task.degrade.sigma == 0.3
    np.testing.assert_array_equal(observed, Noise(0.3)(x, tf.constant(SEED)))
    for part in (task.lift, task.forward):
        np.testing.assert_array_equal(part(x), x)
    np.testing.assert_array_equal(task.measure(x), ClippedMean(0.3)(x))  # of noise that is clipped
    assert make_task("denoise").degrade.sigma == 0.5  # the paper's


def test_inpaint(rng):
    task = make_task("inpaint", size=0.25)
    x = tf.constant(rng.uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32))
    observed, known = task.sample(x, tf.constant(SEED))
    assert task.masked and task.exact and known.shape == (2, 8, 8, 1)
    np.testing.assert_array_equal(observed, x * known)
    np.testing.assert_array_equal(observed, task.observe(x, tf.constant(SEED)))
    assert (known.numpy().sum((1, 2, 3)) == 64 - 4).all()


@pytest.mark.parametrize("resolution, sigma, size", [(128, 4, 25), (64, 2, 13), (16, 0.5, 5)])
def test_the_blur_scales_with_the_resolution(resolution, sigma, size):
    task = make_task("deblur", resolution)
    assert (task.degrade.sigma, task.degrade.size) == (sigma, size)
    assert task.exact and task.measure is task.degrade and isinstance(task.forward, Identity)
    assert make_task("deblur", resolution, sigma=1.5).degrade.sigma == 1.5
    assert make_task("deblur", resolution, sigma=1.5, size=3).degrade.size == 3


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("superres", {"factor": 2}),
        ("superres", {}),
        ("superres", {"kernel": "bicubic"}),
        ("superres", {"size": 20}),
        ("reconstruct", {}),
        ("denoise", {}),
        ("denoise", {"sigma": 0.1}),
        ("inpaint", {"size": 0.3}),
        ("deblur", {}),
        ("deblur", {"sigma": 1.5, "size": 5}),
        ("sharpen", {"operator": "GaussianBlur"}),
    ],
)
def test_a_task_is_made_again_from_its_name_and_parameters(name, parameters):
    task = make_task(name, 64, **parameters)
    again = make_task(task.name, 64, **json.loads(json.dumps(task.parameters)))
    for part in ("degrade", "lift", "forward", "measure"):
        assert serialize(getattr(again, part)) == serialize(getattr(task, part))
    assert (again.factor, again.parameters) == (task.factor, task.parameters)


def test_another_forward_map(own, rng):
    x = tf.constant(rng.normal(size=(2, 8, 8, 3)))
    superres, deblur = make_task("superres", factor=2), make_task("deblur", 32)
    np.testing.assert_array_equal(superres.with_forward("identity").forward(x), x)
    np.testing.assert_allclose(superres.with_forward("degrade").forward(x), superres.observe(x), atol=1e-12)
    np.testing.assert_allclose(deblur.with_forward("degrade").forward(x), GaussianBlur(1.0)(x), atol=1e-12)
    np.testing.assert_array_equal(make_task("denoise").with_forward(f"{own}:Mirror").forward(x), x[:, :, ::-1])
    changed = superres.with_forward("identity")
    assert (changed.degrade, changed.lift, changed.measure) == (superres.degrade, superres.lift, superres.measure)
    assert changed.exact and serialize(superres.forward)["class_name"] == "Compose"
    for task in (make_task("denoise"), make_task("inpaint"), make_task("square", 8, operator=f"{own}:square")):
        with pytest.raises(ValueError, match=f"the degradation of {task.name} is random or not linear"):
            task.with_forward("degrade")
    with pytest.raises(ValueError, match="'blur' is no operator"):
        superres.with_forward("blur")


def test_bicubic_is_the_usual_one(rng):
    """Keys' cubic with a = -1/2, as Pillow has it; a ramp stays a ramp."""
    x = rng.uniform(-1, 1, (2, 5, 6, 1)).astype(np.float32)
    for small, large in zip(x, operators.bicubic(tf.constant(x), 4).numpy()):
        expected = Image.fromarray(small[..., 0]).resize((24, 20), Image.Resampling.BICUBIC)
        np.testing.assert_allclose(large[..., 0], expected, atol=1e-5)


def test_what_no_picture_explains_is_left_alone(rng):
    """A residual under the mask, where A sees nothing, neither moves the picture nor spoils what is around it."""
    known = rng.random((6, 5)) > 0.5
    residual = rng.normal(size=(2, 6, 5, 3)).astype(np.float32)
    found = operators.correction(operators.Mask(known), tf.constant(residual)).numpy()
    np.testing.assert_allclose(found, residual * known[..., None], atol=1e-6)
