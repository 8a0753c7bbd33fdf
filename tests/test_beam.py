"""`gekeras.beam`: pictures restored by a pipeline of Apache Beam, each as `gekeras solve` restores it, and none twice."""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

beam = pytest.importorskip("apache_beam")

from apache_beam.io.localfilesystem import LocalFileSystem  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402

from gekeras import restore  # noqa: E402
from gekeras.beam import Pictures, Restore, counts  # noqa: E402
from gekeras.beam.naming import result_name  # noqa: E402
from gekeras.beam.shelf import Shelf  # noqa: E402
from gekeras.config import PictureOptions  # noqa: E402
from gekeras.networks import ModelOptions  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "beam_folder.py"
QUICK = {"steps": 2, "starts": 2, "probes": 0, "optimizer": "adam"}
pytestmark = pytest.mark.usefixtures("compiled_once")
COLLECTED = []


def collect(what, value):
    """Functions of a module are pickled by name, so that what runs in this process fills this list."""
    COLLECTED.append((what, value))


def run(pictures, transform):
    """What became of the pictures: name -> (PNG, record), name -> why it is refused, and the counters."""
    COLLECTED.clear()
    pipeline = beam.Pipeline(options=PipelineOptions([]))
    begin = pictures if isinstance(pictures, beam.PTransform) else beam.Create(pictures)
    found = pipeline | begin | transform
    for what, values in found._asdict().items():
        values | f"Collect {what}" >> beam.Map(partial(collect, what))
    result = pipeline.run()
    result.wait_until_finish()
    restored = {value[0]: value[1:] for what, value in COLLECTED if what == "restored"}
    refused = {value[0]: value[1] for what, value in COLLECTED if what == "refused"}
    return restored, refused, {name: count for name, count in counts(result).items() if count}


def restoring(models, task="reconstruct", **arguments):
    return Restore(task, "tiny", models=models, **{**QUICK, **arguments})


def files_of(folder):
    """Name -> (bytes, when it was written) of all files, hidden ones included."""
    found = (path for path in Path(folder).rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


@pytest.fixture(scope="module")
def data(pictures):
    return {path.name: path.read_bytes() for path in sorted(pictures.glob("*.png"))[:5]}


def test_each_is_what_solve_makes_of_it_and_bad_ones_are_told(models, pictures, data, tmp_path):
    given = [*data.items(), ("broken.png", b"text"), ("small.png", png(8)), ("../up.png", data["p00.png"])]
    given += [("p00.jpg", data["p01.png"]), str(pictures / "p05.png"), str(tmp_path / "none.png"), str(tmp_path)]
    given += [("p01.png", data["p01.png"]), str(pictures / "p05.png")]  # twice the same is one
    output = tmp_path / "out"
    restored, refused, counted = run(given, restoring(models, output=output, batch_size=1))
    names = {"p01.png", "p02.png", "p03.png", "p04.png", str(pictures / "p05.png")}
    assert set(restored) == names and counted == {"restored": 5, "refused": 7}
    assert refused.pop("small.png").startswith("8x8 is too small")
    assert refused == {
        "broken.png": "not an image in a format that can be read (PNG, JPEG, TIFF, BMP, GIF, WebP)",
        "../up.png": "a name with .. leads out of the output",
        "p00.png": "its result would be called p00, as that of p00.jpg: name them apart",
        "p00.jpg": "its result would be called p00, as that of p00.png: name them apart",
        str(tmp_path / "none.png"): "no such file",
        str(tmp_path): "cannot be read (Is a directory)",
    }
    inputs = [pictures / Path(name).name for name in sorted(names)]
    for path in inputs:
        model = ModelOptions("reconstruct", "tiny", models)
        (alone,) = restore.files([path], model, outputs=restore.Outputs(tmp_path / "alone.png"), changes=QUICK)
        image, record = next(value for name, value in restored.items() if Path(name).name == path.name)
        assert image == alone.path.read_bytes() == (output / path.name).read_bytes()
        assert record == json.loads((output / path.with_suffix(".json").name).read_text())
        assert record["input"] in (path.name, str(path)) and record["loss"] == alone.record["loss"]
        assert {**record, **{key: None for key in CIRCUMSTANCES}} == {
            **{key: None for key in CIRCUMSTANCES},
            **{key: value for key, value in alone.record.items() if key not in CIRCUMSTANCES},
        }
    assert len(files_of(output)) == 10


CIRCUMSTANCES = ("input", "seconds", "job", "batch", "memory", "sha256")


def png(side, seed=0, mode="RGB"):
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).convert(mode).save(file, "PNG")
    return file.getvalue()


def test_a_second_run_makes_what_is_missing_alone(models, data, tmp_path):
    transform = partial(restoring, models, output=tmp_path, batch_size=2)
    first, _, counted = run(data.items(), transform())
    assert counted == {"restored": 5}
    before = files_of(tmp_path)
    again, _, counted = run(data.items(), transform())
    assert again == first and counted == {"skipped": 5} and files_of(tmp_path) == before

    (tmp_path / "p00.png").unlink()
    (tmp_path / "p01.png").write_bytes(b"half")
    (tmp_path / "p02.json").write_text((tmp_path / "p03.json").read_text())
    again, _, counted = run(data.items(), transform())
    assert counted == {"restored": 3, "skipped": 2}
    assert {name: image for name, (image, _) in again.items()} == {name: image for name, (image, _) in first.items()}

    changed = {**data, "p04.png": data["p00.png"]}
    assert run(changed.items(), transform())[2] == {"restored": 1, "skipped": 4}
    other, _, counted = run(data.items(), transform(seed=1))
    assert counted == {"restored": 5} and all(record["seed"] == 1 for _, record in other.values())


def test_the_result_does_not_depend_on_who_is_solved_beside(models, data):
    alone = {name: run([(name, data[name])], restoring(models, batch_size=4))[0][name][0] for name in list(data)[:2]}
    together = run(reversed(data.items()), restoring(models, batch_size=4))[0]
    assert {name: together[name][0] for name in alone} == alone


def test_what_is_no_result_is_not_replaced(models, data, tmp_path):
    (tmp_path / "p00.png").write_bytes(data["p00.png"])  # as of an output that is the input's folder
    (tmp_path / "p01.json").write_text("{}")
    before = files_of(tmp_path)
    _, refused, counted = run(list(data.items())[:2], restoring(models, output=tmp_path))
    assert files_of(tmp_path) == before and counted == {"refused": 2}
    assert refused["p00.png"].startswith(f"{tmp_path / 'p00.png'} would be replaced, and may be no result")
    assert refused["p01.png"].startswith(f"{tmp_path / 'p01.json'} is no record of a restoration")


def test_masks_come_with_their_pictures(every_task, data, tmp_path):
    hole = np.zeros((16, 16), np.uint8)
    hole[4:9, 5:12] = 255
    (tmp_path / "mask.png").write_bytes(b"")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    mask, (name, picture) = (tmp_path / "mask.png").read_bytes(), next(iter(data.items()))
    (tmp_path / name).write_bytes(picture)
    given = [(name, picture, mask), ("bare.png", picture), ("odd.png", picture, b"text")]
    restored, refused, _ = run(given, restoring(every_task, "inpaint", batch_size=1))
    options, model = PictureOptions(mask=tmp_path / "mask.png"), ModelOptions("inpaint", "tiny", every_task)
    (alone,) = restore.files(
        [tmp_path / name], model, pictures=options, outputs=restore.Outputs(tmp_path / "o"), changes=QUICK
    )
    assert restored[name][0] == alone.path.read_bytes()
    assert refused["bare.png"] == "inpaint needs to know what is missing: send (name, picture, mask)"
    assert refused["odd.png"].startswith("mask: not an image")
    restored, refused, _ = run(given[1:2], restoring(every_task, "inpaint", pictures=PictureOptions(box=(5, 4, 7, 5))))
    assert set(restored) == {"bare.png"} and not refused
    assert run(given[:1], restoring(every_task))[1] == {name: "a mask or a box is for inpaint; reconstruct has none"}


def test_pictures_of_any_size_and_what_a_photograph_is_cut_into(models, tmp_path):
    given = [("a.png", png(4)), ("b.png", png(7)), ("c.png", png(4, 1, "L")), ("d.png", png(16))]
    restored, refused, _ = run(given, restoring(models, "superres", batch_size=2))
    assert set(restored) == {"a.png", "b.png", "c.png"} and "16x16 is too large" in refused["d.png"]
    assert all(Image.open(io.BytesIO(image)).size == (16, 16) for image, _ in restored.values())
    tiled, _, _ = run([("t.png", png(24))], restoring(models, pictures=PictureOptions(tile=True), batch_size=3))
    image, record = tiled["t.png"]
    assert Image.open(io.BytesIO(image)).size == (24, 24) and record["pieces"] == 4


def test_sources(models, data, tmp_path):
    import tensorflow as tf

    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(data["p00.png"])
    (tmp_path / "in" / "deep" / "a.png").write_bytes(data["p01.png"])
    (tmp_path / "in" / "notes.txt").write_text("none")
    with tarfile.open(tmp_path / "in" / "shard.tar", "w") as tar:
        for name in ("x.png", "notes.txt"):
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data["p02.png"])
            tar.addfile(member, io.BytesIO(data["p02.png"]))
    raw = np.random.default_rng(0).integers(0, 256, (3, 16, 16), dtype=np.uint8)
    examples = [
        {"image/encoded": data["p03.png"], "image/filename": b"named.png"},
        {"data": raw.tobytes(), "shape": [3, 16, 16]},
        {"other": b""},
    ]
    with tf.io.TFRecordWriter(str(tmp_path / "in" / "r.tfrecord")) as writer:
        for example in examples:
            writer.write(
                tf.train.Example(
                    features=tf.train.Features(feature={k: feature(v) for k, v in example.items()})
                ).SerializeToString()
            )
    restored, refused, counted = run(Pictures(tmp_path / "in"), restoring(models, output=tmp_path / "out"))
    digests = {name for name in {**restored, **refused} if name.startswith("r/") and name != "r/named.png"}
    assert len(digests) == 2 and all(len(name) == len("r/") + 20 for name in digests)
    assert set(restored) - digests == {"a.png", "deep/a.png", "shard/./x.png", "r/named.png"} and set(refused) < digests
    assert counted == {"restored": 5, "refused": 1, "left_out": 2}
    assert {"a.png", "deep/a.png", "shard/x.png", "r/named.png", "r/named.json"} < set(files_of(tmp_path / "out"))
    assert set(run(Pictures(tmp_path / "in" / "*" / "*.png"), restoring(models))[0]) == {"deep/a.png"}
    with pytest.raises(ValueError, match="whose pictures are read; name an output beside it"):
        run(Pictures(tmp_path / "in"), restoring(models, output=tmp_path / "in" / "deep" / "out"))
    with pytest.raises(ValueError, match="nothing is there"):
        Pictures(tmp_path / "in" / "*.jpg")


def feature(value):
    import tensorflow as tf

    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=value))


class Disk(LocalFileSystem):
    """`disk:///folder`: none of this machine's filesystems, for all that the output knows. It renames to no name that is
    taken, and makes folders as they are needed."""

    @classmethod
    def scheme(cls):
        return "disk"

    @staticmethod
    def local(path):
        return Path(path[len("disk://") :])

    def open(self, path, *arguments, **options):
        return super().open(str(self.local(path)), *arguments, **options)

    def create(self, path, *arguments, **options):
        self.local(path).parent.mkdir(parents=True, exist_ok=True)
        return super().create(str(self.local(path)), *arguments, **options)

    def exists(self, path):
        return self.local(path).exists()

    def delete(self, paths):
        for path in paths:
            self.local(path).unlink()

    def rename(self, sources, targets):
        for source, target in zip(sources, targets):
            assert not self.exists(target)
            self.local(source).rename(self.local(target))


def test_an_output_elsewhere(tmp_path):
    shelf, wanted = Shelf(f"disk://{tmp_path}/out"), {"input": "1", "call": "2"}
    record = {"input": "a", "task": "t", "method": "GE", "versions": {"gekeras": "0"}}
    for picture in (b"first", b"second"):
        sums = {**wanted, "picture": hashlib.sha256(picture).hexdigest()}
        shelf.write("b/a", picture, {**record, "sha256": sums})
        assert shelf.finished("b/a", wanted) == (picture, {**record, "sha256": sums})
        assert set(files_of(tmp_path)) == {"out/b/a.json", "out/b/a.png"}
    assert shelf.finished("b/a", {**wanted, "input": "3"}) is None and shelf.finished("none", wanted) is None
    (tmp_path / "out" / "b" / "a.json").unlink()
    with pytest.raises(ValueError, match="may be no result"):
        shelf.finished("b/a", wanted)


def test_what_is_refused_when_the_pipeline_is_made(models, tmp_path):
    (tmp_path / "file").write_text("")
    for arguments, why in [
        ({"stepz": 3}, "a solve has no option stepz; it has steps"),
        ({"steps": -1}, "steps must be 0 or more"),
        ({"task": "sharpen"}, "sharpen"),
        ({"batch_size": 0}, "batch_size must be 1 or more; received 0"),
        ({"output": tmp_path / "file"}, "is not a folder"),
        ({"pictures": PictureOptions(mask=tmp_path / "m.png")}, "a mask belongs to one picture"),
        ({"pictures": PictureOptions(box=(1, 1, 2, 2))}, "a mask or a box is for inpaint"),
        ({"pictures": PictureOptions(align=True, skip_faceless=True)}, "skip_faceless would change nothing"),
    ]:
        with pytest.raises(ValueError, match=why):
            restoring(models, **arguments)
    with pytest.raises(Exception, match="a picture is a path, \\(name, bytes\\)"):
        run([3], restoring(models))


def test_names():
    assert [result_name(name) for name in ("a/b.PNG", "/x//./y.jpeg", "scan.001", ".png")] == [
        "a/b",
        "x/y",
        "scan.001",
        ".png",
    ]
    for name in ("", "/", "a/../b.png", "a\nb.png", "a\x00.png", 201 * "ä"):
        with pytest.raises(ValueError):
            result_name(name)


# ----------------------------------------------------------------------------------------------------- two workers


WORKERS = ["--runner", "DirectRunner", "--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]


def command(models, pictures, output):
    options = ["--task", "reconstruct", "--preset", "tiny", "--models", models, "--output", output, "--batch-size", 1]
    return [sys.executable, *map(str, [EXAMPLE, pictures, *options, *WORKERS])]


def told(text):
    return next(line for line in text.splitlines() if " restored, " in line)


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing_and_repeats_nothing(models, pictures, tmp_path):
    """Two processes; one gets SIGKILL once there are results. The next run makes what is missing, and that alone."""
    output, whole = tmp_path / "out", tmp_path / "whole"
    names = {path.stem for path in pictures.glob("*.png")}
    run_ = partial(subprocess.run, capture_output=True, text=True, timeout=900, check=True)
    assert told(run_(command(models, pictures, whole)).stdout) == "24 restored, 0 finished before, 0 refused, 0 left out"

    with subprocess.Popen(command(models, pictures, output), stdout=subprocess.DEVNULL, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 200
            while len(list(output.glob("*.png"))) < 3 and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(workers_of(process.pid)[0], signal.SIGKILL)
            process.wait(30)
        except subprocess.TimeoutExpired:  # a Direct runner does not notice
            pass
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    left = {name: value for name, value in files_of(output).items() if not name.endswith(".tmp")}
    done = [name for name in names if f"{name}.png" in left and finished(output / name)]
    assert 3 <= len(done) < len(names)
    again = told(run_(command(models, pictures, output)).stdout)
    assert again == f"{len(names) - len(done)} restored, {len(done)} finished before, 0 refused, 0 left out"
    after = files_of(output)
    assert all(after[f"{name}.png"] == left[f"{name}.png"] for name in done)
    assert {name: after[name][0] for name in after if name.endswith(".png")} == {
        name: value for name, (value, _) in files_of(whole).items() if name.endswith(".png")
    }


def finished(path):
    record = json.loads(path.with_suffix(".json").read_text())
    return record["sha256"]["picture"] == hashlib.sha256(path.with_suffix(".png").read_bytes()).hexdigest()


def workers_of(parent):
    """Process ids of Beam's workers below a process."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and b"sdk_worker_main" in (folder / "cmdline").read_bytes():
                if os.getsid(int(folder.name)) == os.getsid(parent) and b"python" in (folder / "comm").read_bytes():
                    found.append(int(folder.name))
        except (OSError, ProcessLookupError):
            continue
    return found
