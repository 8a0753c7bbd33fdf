"""A training run loses nothing: killed, stopped, out of room or with a damaged file, it ends as the undisturbed one."""

import contextlib
import dataclasses
import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import GAN

from gekeras import data, files, images
from gekeras.config import Stage
from gekeras.training import checkpoints, divergence, gan, schedule
from gekeras.training.divergence import Diverged
from gekeras.training.run import Interrupted, Limits, Run

QUIET = Limits(quiet=True)

# ------------------------------------------------------------------------------------- in a process of its own

NETWORK = ["--resolution", 8, "--latent-size", 8, "--fmap-base", 64, "--fmap-max", 4, "--loss", "nonsaturating"]
STAGES = ["--stage", "4:0:160", "--stage", "8:160:160", "--batch", 8, "--deterministic"]  # 60 steps
TOTAL = 480


def start(folder, *arguments, **extra):
    """A `gekeras train` command in `folder`, with its stderr in `folder.err`."""
    command = [sys.executable, "-c", "from gekeras.cli import main; main()", "train", *map(str, arguments)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(f"{folder}.err", "w") as err:
        return subprocess.Popen([*command, "--run", str(folder)], env=environment, stdout=err, stderr=err, **extra)


def start_gan(folder, pictures, *arguments, **extra):
    return start(folder, "gan", pictures, *NETWORK, *STAGES, *arguments, **extra)


def told(folder):
    with open(f"{folder}.err") as file:
        return file.read()


def ended(process, folder):
    assert process.wait(300) == 0, told(folder)[-2000:]


def wait_for(condition, process, seconds=120.0):
    """Whether it came true before the process ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    raise TimeoutError


def counts(folder):
    return [int(path.stem.split("-")[1]) for path in sorted(folder.glob("checkpoint-*.npz"))]


def partial(folder):
    return [name for name in (os.listdir(folder) if folder.exists() else []) if name.endswith(".tmp")]


def partial_checkpoint(folder):
    """Whether one of the files that are not whole yet is a checkpoint: a zip archive, by its first bytes."""
    for name in partial(folder):
        with contextlib.suppress(FileNotFoundError):  # whole, and renamed, in the meantime
            if (folder / name).read_bytes()[:2] == b"PK":
                return True
    return False


def assert_equal(folder, other):
    """The newest checkpoints hold the same, bit by bit."""
    (arrays, record), (others, its_record) = (checkpoints.load_latest(f) for f in (folder, other))
    assert record == its_record
    assert set(arrays) == set(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], err_msg=name)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, pictures):
    """Run folder of the command, run once from its beginning to its end; checkpoints after 160 and 480 images."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    ended(start_gan(folder, pictures), folder)
    assert counts(folder) == [160, 480]
    return folder


def kill_until_done(begin, folder, rng, moments):
    """Start the command and kill it at these moments, then let it end; how many kills hit the writing of a checkpoint.

    "start" is while the process starts, "any" within the second after a checkpoint, "write" while one is written.
    """
    torn = 0
    for moment in moments:
        process, before = begin(), counts(folder)
        try:
            if moment == "start":
                time.sleep(rng.uniform(0.5, 4))
            elif wait_for(lambda before=before: counts(folder)[-1:] > before[-1:], process):
                if moment == "any":
                    time.sleep(rng.uniform(0, 1))
                else:
                    wait_for(lambda: partial_checkpoint(folder), process)
        finally:
            process.kill()
            process.wait()
        torn += partial_checkpoint(folder)
        assert all(checkpoints.load(path) for path in folder.glob("checkpoint-*.npz"))  # whole, every one
    ended(begin(), folder)
    return torn


@pytest.mark.slow
def test_a_killed_gan_ends_as_the_undisturbed_one(tmp_path, pictures, undisturbed, rng):
    folder = tmp_path / "run"

    def begin():
        return start_gan(folder, pictures, "--save-every", 0.05)

    assert kill_until_done(begin, folder, rng, ["start", "write", "any", "write"]) > 0
    assert_equal(folder, undisturbed)
    assert not partial(folder)
    assert 2 <= len(json.loads((folder / "environment.json").read_text())) <= 5


@pytest.mark.slow
def test_a_killed_autoencoder_ends_as_the_undisturbed_one(tmp_path, pictures, undisturbed, rng):
    settings = ["--width", 2, "--code-size", 8, "--images", 320, "--batch", 8, "--pool", 8, "--validation", 4]
    common = ["autoencoder", pictures, "--task", "denoise", "--generator", undisturbed, *settings, "--deterministic"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    ended(start(whole, *common), whole)
    kill_until_done(lambda: start(parts, *common, "--save-every", 0.05), parts, rng, ["write", "any"])
    assert_equal(parts, whole)
    assert not partial(parts)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_gan_leaves_its_last_step_and_ends_as_the_undisturbed_one(tmp_path, pictures, undisturbed, number):
    folder = tmp_path / "run"
    process = start_gan(folder, pictures, "--save-every", 1000, "--quiet")
    assert wait_for(lambda: counts(folder) == [160], process)  # the end of the first stage; nothing else is saved
    process.send_signal(number)
    assert process.wait(60) == 1
    lines = told(folder).splitlines()
    name = signal.Signals(number).name
    assert lines == [f"gekeras: stopped by {name} with a checkpoint in {folder}; the same command goes on from it"]
    assert 160 <= counts(folder)[-1] < TOTAL  # 160 if it came while the second stage's networks were built
    ended(start_gan(folder, pictures), folder)
    assert_equal(folder, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_checkpoint_is_made_again(tmp_path, pictures, undisturbed, damage):
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    newest = folder / f"checkpoint-{TOTAL:09d}.npz"
    whole = newest.read_bytes()
    place = len(whole) // 2
    flipped = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    newest.write_bytes(flipped if damage == "flipped" else whole[:place])
    ended(start_gan(folder, pictures), folder)
    assert f"{newest} is not a whole checkpoint" in told(folder) and "trying the one before" in told(folder)
    assert_equal(folder, undisturbed)


@pytest.mark.slow
def test_a_run_without_room_says_so_and_ends_when_there_is_some(tmp_path, pictures, undisturbed):
    """No file may be larger than 20 kB: like a full disk, and every system call that writes is the real one."""
    folder = shutil.copytree(undisturbed, tmp_path / "run")
    (folder / f"checkpoint-{TOTAL:09d}.npz").unlink()
    before = (folder / "checkpoint-000000160.npz").read_bytes()

    def little():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = start_gan(folder, pictures, "--save-every", 1, preexec_fn=little)
    assert process.wait(120) == 2
    lines = told(folder).splitlines()
    assert any("images could not be written: file too large; the one before is kept" in line for line in lines)
    message = f"gekeras: {folder}: the last checkpoint could not be written; make room and start the command again"
    assert lines[-1] == message
    assert not [line for line in lines if "Traceback" in line or "ignored" in line]
    assert counts(folder) == [160] and (folder / "checkpoint-000000160.npz").read_bytes() == before
    assert not partial(folder)
    ended(start_gan(folder, pictures), folder)
    assert_equal(folder, undisturbed)


# ------------------------------------------------------------------------------------------------- a loop of steps


class Clock:
    """`time.monotonic`, moved by hand."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def arrays_of(seen):
    return {"weights": np.full(2000, seen, np.float32)}


def loop(folder, total=10, at=None, save_every=0.0, losses=lambda seen: {"d": 1.0}, quiet=True):
    """A run that counts to `total`, saves what it has counted, and calls `at(run, seen)` after each step."""
    found = checkpoints.load_latest(folder)
    seen = found[1]["images"] if found else 0
    with Run(folder, "{}", total, limits=Limits(save_every=save_every, quiet=quiet)) as run:

        def write():
            checkpoints.save_rotating(folder, seen, arrays_of(seen), {"images": seen})

        while run.goes_on(seen):
            seen += 1
            run.step(seen, 1, {}, **{name: tf.constant(value) for name, value in losses(seen).items()})
            if at:
                at(run, seen)
            if run.save_due():
                run.save(write, seen)
        run.finish(write, seen)
    return seen


def log_of(folder):
    """Lines of the log without their time."""
    return [line.split("  ", 1)[1] for line in (folder / "log.txt").read_text().splitlines()]


def newest(folder):
    arrays, record = checkpoints.load_latest(folder)
    np.testing.assert_array_equal(arrays["weights"], np.float32(record["images"]))
    return record["images"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_loop_after_its_step(tmp_path, capsys, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def at(run, seen):
        if seen == 4:
            os.kill(os.getpid(), number)

    with pytest.raises(Interrupted, match=f"stopped by {number.name} with a checkpoint in {tmp_path}") as stopped:
        loop(tmp_path, at=at, save_every=1000, quiet=False)
    assert len(str(stopped.value).splitlines()) == 1
    assert newest(tmp_path) == 4 and counts(tmp_path) == [4]
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert capsys.readouterr().err.splitlines() == log_of(tmp_path)
    assert log_of(tmp_path) == [f"{number.name}: stopping after this step, with a checkpoint; once more to stop at once"]
    assert loop(tmp_path) == newest(tmp_path) == 10


@pytest.fixture
def interruptible():
    """SIGINT as in a terminal: what is started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_a_second_signal_is_not_caught(tmp_path, interruptible):
    """It goes to whoever handled it before: for SIGINT that is KeyboardInterrupt, here and now."""

    def at(run, seen):
        if seen == 4:
            signal.raise_signal(signal.SIGINT)  # unlike os.kill to this very thread, and so one after the other
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("went on")

    with pytest.raises(KeyboardInterrupt) as stopped:
        loop(tmp_path, at=at, save_every=1000)
    assert not isinstance(stopped.value, Interrupted)
    assert signal.getsignal(signal.SIGINT) is interruptible
    assert counts(tmp_path) == []
    assert loop(tmp_path) == 10  # and the folder is free


@pytest.mark.parametrize("error", [None, RuntimeError("a bug")])
def test_handlers_are_given_back(tmp_path, error):
    """Also when the loop raises; a second run finds the folder free."""
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]

    def at(run, seen):
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == [run._stop, run._stop]
        if error:
            raise error

    with pytest.raises(RuntimeError, match="a bug") if error else contextlib.nullcontext():
        loop(tmp_path, at=at)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert loop(tmp_path) == 10


def fail_to_save(monkeypatch, fails):
    """Let the writing of a checkpoint end with a full disk, after a part of the file, where `fails(images)`."""
    whole = np.lib.format.write_array

    def write_array(file, array, **extra):
        if array.shape == (2000,) and fails(int(array[0])):
            file.write(b"PK" + bytes(1000))
            raise OSError(28, "No space left on device")
        whole(file, array, **extra)

    monkeypatch.setattr(np.lib.format, "write_array", write_array)


def test_a_full_disk_costs_a_checkpoint_not_the_run(tmp_path, monkeypatch, capsys):
    fail_to_save(monkeypatch, lambda images: 3 <= images < 10)
    left = []
    assert loop(tmp_path, at=lambda run, seen: left.append((counts(tmp_path), partial(tmp_path))), quiet=False) == 10
    assert left[4:] == [([1, 2], [])] * 6
    assert counts(tmp_path) == [2, 10] and newest(tmp_path) == 10
    message = "the checkpoint of {} images could not be written: no space left on device; the one before is kept"
    assert log_of(tmp_path) == [message.format(images) for images in range(3, 10)]
    assert capsys.readouterr().err.splitlines() == log_of(tmp_path)


def test_a_full_disk_at_the_end_is_an_error(tmp_path, monkeypatch):
    fail_to_save(monkeypatch, lambda images: images > 7)
    with pytest.raises(ValueError, match="the last checkpoint could not be written; make room") as failed:
        loop(tmp_path)
    assert len(str(failed.value).splitlines()) == 1 and log_of(tmp_path)[-1] == str(failed.value)
    assert newest(tmp_path) == 7 and not partial(tmp_path)
    monkeypatch.undo()
    assert loop(tmp_path) == newest(tmp_path) == 10


@contextlib.contextmanager
def no_file_above(size):
    """Every write past so many bytes of a file fails, as on a full disk (Python ignores SIGXFSZ)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_sheets_log_and_curves_without_room_do_not_end_the_run(tmp_path, rng, capfd):
    """The real system calls fail; only the checkpoints, of 8 kB and more, are small enough."""
    sheet = rng.uniform(-1, 1, (100, 100, 3)).astype(np.float32)

    def at(run, seen):
        run.sheet(seen, sheet)
        run.progress.scalars(seen, {f"d{i}": float(i) for i in range(100)})
        run.progress.writer.flush() if seen == 5 else None

    (tmp_path / "log.txt").write_bytes(bytes(20_000))
    with no_file_above(12_000):
        assert loop(tmp_path, at=at, quiet=False) == 10
    assert newest(tmp_path) == 10
    told = capfd.readouterr().err
    assert "the sample sheet of 1 images could not be written: file too large" in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob("samples-*")) and not partial(tmp_path)
    assert (tmp_path / "log.txt").stat().st_size == 20_000


def test_a_sheet_that_is_no_picture_does_not_end_the_run(tmp_path):
    assert loop(tmp_path, total=1, at=lambda run, seen: run.sheet(seen, np.full((4, 4, 3), np.nan, np.float32))) == 1
    assert "the sample sheet of 1 images could not be written" in log_of(tmp_path)[0]


def contents(folder):
    return {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def test_a_folder_takes_one_run_at_a_time(tmp_path):
    checkpoints.save_rotating(tmp_path, 3, arrays_of(3), {"images": 3})
    with Run(tmp_path, '{"first": 1}', 10, limits=QUIET):
        before = contents(tmp_path)
        with pytest.raises(ValueError, match=f"another process is training in {tmp_path}") as refused:
            loop(tmp_path)
        assert len(str(refused.value).splitlines()) == 1
        assert contents(tmp_path) == before
    assert loop(tmp_path) == 10


def test_what_was_left_half_written_is_removed(tmp_path):
    """By a process killed inside `files.replacing`, which is never left here; a file of the user's own is."""
    (tmp_path / ".mine.tmp").write_bytes(b"mine")
    with contextlib.ExitStack() as killed:
        killed.enter_context(files.replacing(tmp_path / "checkpoint-000000008.npz")).write(b"part")
        assert len(partial(tmp_path)) == 2
        loop(tmp_path)
        assert partial(tmp_path) == [".mine.tmp"]
        killed.pop_all()
    assert newest(tmp_path) == 10


# ------------------------------------------------------------------------------------------------ what a run tells


def scalars_and_pictures(folder):
    """({tag: {step: value}}, {tag: {step: PNG}}) of all event files."""
    numbers, pictures = {}, {}
    for path in sorted((folder / "tensorboard").glob("events*")):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                array = tf.make_ndarray(value.tensor)
                if value.metadata.plugin_data.plugin_name == "images":
                    pictures.setdefault(value.tag, {})[event.step] = array[2]
                else:
                    numbers.setdefault(value.tag, {})[event.step] = float(array)
    return numbers, pictures


def test_the_curves_and_pictures_of_a_run(tmp_path, clock, rng):
    sheet = rng.uniform(-1, 1, (10, 12, 3)).astype(np.float32)

    def at(run, seen):
        clock.now += 6.0
        if seen == 4:
            run.sheet(seen, sheet)
            run.diversity(seen, 0.75)

    loop(tmp_path, at=at, total=5, save_every=1000, losses=lambda seen: {"d": seen / 2, "g": seen / 4})
    numbers, pictures = scalars_and_pictures(tmp_path)
    assert numbers["d"] == {k: k / 2 for k in range(2, 6)} and numbers["g"] == {k: k / 4 for k in range(2, 6)}
    assert numbers["images_per_second"] == {2: pytest.approx(2 / 6), **{k: pytest.approx(1 / 6) for k in (3, 4, 5)}}
    assert set(numbers["input"].values()) == {0.0}
    assert all(0.01 < value < 1000 for value in numbers["memory"].values())
    assert numbers["diversity"] == {4: 0.75}
    (kept,) = pictures["samples"].values()
    shown = tf.io.decode_png(kept).numpy() / 127.5 - 1
    np.testing.assert_allclose(shown, sheet, atol=1.01 / 127.5)
    np.testing.assert_allclose(images.read(tmp_path / "samples-000000004.png"), sheet, atol=1.01 / 127.5)
    assert [line.split()[0] for line in log_of(tmp_path)] == ["2/5", "3/5", "4/5", "5/5"]


def test_the_share_of_the_input(tmp_path, clock, capsys):
    """A stream that takes 3 s, a step that takes 1 s: three quarters of the time were spent waiting."""

    def slow():
        while True:
            clock.now += 3.0
            yield None

    stream = slow()
    with Run(tmp_path, "{}", 100) as run:
        for seen in range(8, 41, 8):
            run.take(stream)
            clock.now += 1.0
            run.step(seen, 8, {}, d=tf.constant(0.5))
    numbers, _ = scalars_and_pictures(tmp_path)
    assert numbers["input"] == {16: 0.75, 32: 0.75}
    assert numbers["images_per_second"] == {16: 2.0, 32: 2.0}
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all("  input 75 %  " in line and "  2.0/s  " in line for line in lines)


def test_what_a_start_leaves(tmp_path):
    """One record a start; the options and the arguments of the newest."""
    for k in range(3):
        limits = Limits(quiet=True, arguments={"seed": k, "pictures": ["photos"]})
        with Run(tmp_path / "run", json.dumps({"seed": k}), 10, limits=limits) as run:
            run.say(f"start {k}")
    records = json.loads((tmp_path / "run" / "environment.json").read_text())
    assert len(records) == 3
    for record in records:
        assert record["tensorflow"] == tf.__version__ and record["numpy"] == np.__version__ and record["replicas"] == 1
        assert record["command"].startswith("gekeras")
    arguments = (tmp_path / "run" / "arguments.json").read_bytes()
    assert json.loads(arguments) == {"seed": 2, "pictures": ["photos"]}
    assert json.loads((tmp_path / "run" / "options.json").read_text()) == {"seed": 2}
    assert log_of(tmp_path / "run") == ["start 0", "start 1", "start 2"]
    with Run(tmp_path / "run", "{}", 10, limits=QUIET):  # by Python: no command, no arguments
        assert (tmp_path / "run" / "arguments.json").read_bytes() == arguments


def test_a_damaged_record_of_starts_is_begun_anew(tmp_path):
    (tmp_path / "environment.json").write_text("[{")
    loop(tmp_path)
    assert len(json.loads((tmp_path / "environment.json").read_text())) == 1


# -------------------------------------------------------------------------------------------------- lost runs


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_losses_must_be_finite(value):
    with pytest.raises(Diverged, match=r"g is .* after 1,600 images.*lower --learning-rate") as lost:
        divergence.require_finite({"d": 1.0, "g": value}, 1600)
    assert len(str(lost.value).splitlines()) == 1
    divergence.require_finite({"d": 1.0, "g": -1e30, "validation": math.nan}, 1600)


@pytest.mark.parametrize("save_every, kept", [(0.0, 4), (1000.0, 2)])
def test_a_loss_that_is_not_finite_ends_the_run_and_leaves_what_was_good(tmp_path, save_every, kept):
    """The fifth step fails, and the last good checkpoint stays, be it of the step before or of an earlier start."""
    checkpoints.save_rotating(tmp_path, 2, arrays_of(2), {"images": 2})
    with pytest.raises(Diverged, match="training diverged: d is nan after") as lost:
        loop(tmp_path, save_every=save_every, losses=lambda seen: {"d": math.nan if seen >= 5 else 1.0})
    assert newest(tmp_path) == kept
    assert log_of(tmp_path) == [str(lost.value)]


def test_a_printed_loss_that_is_not_finite_ends_the_run(tmp_path, clock):
    def at(run, seen):
        clock.now += 6.0

    with pytest.raises(Diverged, match="after 5 images"):
        loop(tmp_path, at=at, save_every=1000, losses=lambda seen: {"d": math.nan if seen >= 5 else 1.0})


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    """A step's losses are those before its update, so that the weights may be lost while the losses still look well."""
    checkpoints.save_rotating(tmp_path, 2, arrays_of(2), {"images": 2})
    with Run(tmp_path, "{}", 10, limits=QUIET) as run, pytest.raises(Diverged, match=r"weights.*after 3 images"):
        run.save(lambda: checkpoints.save_rotating(tmp_path, 3, arrays_of(math.nan), {"images": 3}), 3)
    assert newest(tmp_path) == 2 and counts(tmp_path) == [2]


def test_diversity_is_a_ratio_of_variances(rng):
    real = rng.normal(0.1, 1.0, (500, 4, 4, 3))
    assert divergence.diversity(real, real) == 1
    assert divergence.diversity(0.5 * real + 3, real) == pytest.approx(0.25)
    assert divergence.diversity(np.repeat(real[:1], 9, axis=0), real) == pytest.approx(0, abs=1e-20)
    assert divergence.diversity(real[:5], np.zeros((9, 4, 4, 3))) == math.inf
    mixed = np.concatenate([real[:250], real[250:] * [1.0, 1.0, 0.0]])  # pictures that vary in two channels of three
    assert divergence.diversity(mixed[250:], real[250:]) == pytest.approx(2 / 3, rel=0.05)


def test_two_collapsed_checkpoints_end_the_run(tmp_path):
    """One may be chance; between them a good one starts the count anew."""
    measured = [0.5, 0.01, 0.4, 0.019, 0.003, 0.6]
    told = []

    def at(run, seen):
        told.append(seen)
        run.diversity(seen, measured[seen - 1])

    with pytest.raises(Diverged, match=r"collapsed: after 5 images its samples vary 0\.3 % as much") as lost:
        loop(tmp_path, at=at, save_every=1000)
    assert told == [1, 2, 3, 4, 5] and len(str(lost.value).splitlines()) == 1


def test_chance_is_two_log_two_and_log_two():
    """D(x) = D(G(z)) = 0: d = softplus(0) + softplus(0), g = softplus(0)."""
    at_chance = {"d": 2 * float(tf.math.softplus(0.0)), "g": float(tf.math.softplus(0.0))}
    assert divergence.at_chance(at_chance)
    assert divergence.at_chance({**at_chance, "other": 7.0})
    for other in ({"d": 1.4, "g": at_chance["g"]}, {"d": at_chance["d"], "g": 0.68}, {"train": 0.1}, {"d": at_chance["d"]}):
        assert not divergence.at_chance(other)


def test_a_discriminator_at_chance_is_told_once(tmp_path, clock):
    """After so many lines in a row, and not for losses that pass by."""

    def lines(folder, total, losses):
        def at(run, seen):
            clock.now += 6.0

        loop(folder, total=total, at=at, save_every=1000, losses=losses)
        return [line for line in log_of(folder) if "chance" in line]

    stuck, well, n = {"d": 1.3863, "g": 0.6931}, {"d": 1.2, "g": 0.8}, divergence.CHANCE_LINES
    (line,) = lines(tmp_path / "stuck", 4 * n, lambda seen: stuck)
    assert "tells nothing apart" in line and "--learning-rate" in line
    assert not lines(tmp_path / "passing", 4 * n, lambda seen: well if seen % n == 0 else stuck)
    assert not lines(tmp_path / "other", 4 * n, lambda seen: {"train": 1.3863, "validation": 0.6931})


# --------------------------------------------------------------------- the GAN's loop, with steps that do not learn

FADES = dataclasses.replace(GAN, resolution=8, latent_size=4, fmap_max=4, stages=(Stage(4, 0, 24), Stage(8, 24, 24)))


class Stop(Exception):
    """Ends a run without a last checkpoint, as a kill does."""


@pytest.fixture
def steps(monkeypatch):
    """`steps(at)`: replace the compiled step by `at(networks, number of calls)`, a pair of losses."""

    def replace(at):
        calls = []

        def make_step(nets):
            def step(*_):
                calls.append(None)
                return tuple(map(tf.constant, at(nets, len(calls))))

            return step

        monkeypatch.setattr(gan, "make_step", make_step)
        monkeypatch.setattr(divergence, "COLLAPSED", 0.0)

    return replace


def train(folder, pictures, options=FADES, save_every=0.0):
    limits = Limits(quiet=True, save_every=save_every)
    return gan.train(options, data.entries(pictures), folder, memory=True, limits=limits)


def moments(nets):
    """Sums of |v| over the variables of both optimizers but their rates."""
    both = (nets.generator_optimizer, nets.discriminator_optimizer)
    return [sum(float(np.abs(v).sum()) for v in o.variables if "learning_rate" not in v.name) for o in both]


@pytest.mark.parametrize("stop", [0, 5], ids=["whole", "stopped in the fade"])
def test_moments_are_forgotten_where_a_fade_begins_and_where_it_ends(tmp_path, pictures, steps, stop):
    """Steps 0 to 2 are at 4 px, 3 to 5 in the fade, 6 to 8 after it. A resumed run keeps them inside a phase."""
    zero = []

    def at(nets, call):
        if call == stop:
            raise Stop
        zero.append(moments(nets) == [0.0, 0.0])
        for optimizer in (nets.generator_optimizer, nets.discriminator_optimizer):
            for variable in optimizer.variables:
                if "learning_rate" not in variable.name:
                    variable.assign(tf.ones_like(variable))
        return 1.0, 1.0

    steps(at)
    if stop:
        with pytest.raises(Stop):
            train(tmp_path, pictures)
        assert counts(tmp_path)[-1] == 32
    assert train(tmp_path, pictures) == 72
    assert zero == [True, False, False] * 3


def test_a_resumed_run_uses_the_rate_it_is_given(tmp_path, pictures, steps):
    """Not that of its checkpoint; and a resolution has its own."""
    rates = []

    def at(nets, call):
        if call == 5:
            raise Stop
        both = (nets.generator_optimizer, nets.discriminator_optimizer)
        rates.append((nets.resolution, *(round(float(o.learning_rate), 6) for o in both)))
        return 1.0, 1.0

    steps(at)
    with pytest.raises(Stop):
        train(tmp_path, pictures, dataclasses.replace(FADES, learning_rate=0.004, learning_rates=((8, 0.003),)))
    train(tmp_path, pictures, dataclasses.replace(FADES, learning_rate=0.0005))
    assert rates == [(4, 0.004, 0.004)] * 3 + [(8, 0.003, 0.003)] + [(8, 0.0005, 0.0005)] * 5


def test_a_resolution_s_own_batch(tmp_path, pictures, steps):
    options = dataclasses.replace(FADES, batch_sizes=((8, 4),))
    seen = []
    steps(lambda nets, call: (seen.append(nets.resolution), (1.0, 1.0))[1])
    assert train(tmp_path, pictures, options) == schedule.total_images(options) == 72
    assert seen == [4] * 3 + [8] * 12


def test_a_gan_that_diverges_keeps_its_last_good_checkpoint(tmp_path, pictures, steps):
    steps(lambda nets, call: (1.0, math.nan if call == 5 else 1.0))
    with pytest.raises(Diverged, match="g is nan after 40 images") as lost:
        train(tmp_path, pictures)
    assert counts(tmp_path) == [24, 32]
    assert log_of(tmp_path)[-1] == str(lost.value)
    arrays, record = checkpoints.load_latest(tmp_path)
    assert record["images"] == 32 and all(np.isfinite(array).all() for array in arrays.values())


def test_a_gan_whose_weights_diverge_keeps_its_last_good_checkpoint(tmp_path, pictures, steps):
    def at(nets, call):
        if call == 5:
            nets.generator.trainable_variables[0].assign_add(tf.fill(nets.generator.trainable_variables[0].shape, math.inf))
        return 1.0, 1.0

    steps(at)
    with pytest.raises(Diverged, match=r"generator/.* not finite after 40 images"):
        train(tmp_path, pictures)
    assert counts(tmp_path) == [24, 32]


def test_a_collapsed_gan_stops(tmp_path, pictures, steps, monkeypatch):
    steps(lambda nets, call: (1.0, 1.0))
    monkeypatch.setattr(divergence, "COLLAPSED", 0.02)
    monkeypatch.setattr(divergence, "diversity", lambda samples, real: 0.001)
    with pytest.raises(Diverged, match="the generator collapsed: after 16 images"):
        train(tmp_path, pictures)


def test_a_gan_does_not_shrink(tmp_path, pictures, steps):
    """A checkpoint of 8 px under a schedule that is still at 4 px after as many images: other options, or another run."""
    steps(lambda nets, call: (1.0, 1.0))
    assert train(tmp_path, pictures) == 72
    longer = dataclasses.replace(FADES, stages=(Stage(4, 0, 240), Stage(8, 24, 24)))
    before = contents(tmp_path)
    with pytest.raises(ValueError, match=r"holds a GAN at 8 px.*the schedule is at 4 px") as refused:
        train(tmp_path, pictures, longer)
    assert len(str(refused.value).splitlines()) == 1
    assert contents(tmp_path) == before
