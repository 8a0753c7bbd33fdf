"""Training on two devices or in two processes ends where one device does, also when a process is killed on the way."""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import AUTOENCODER, GAN

from gekeras import data
from gekeras.operators import make_task
from gekeras.training import autoencoder, checkpoints, distribute, gan
from gekeras.training.run import Limits, Run

WORKER = Path(__file__).with_name("distributed_worker.py")


class Process:
    """A training process with its output in files."""

    def __init__(self, folder, name, *arguments, cluster=()):
        self.output, self.errors = (folder.with_name(f"{folder.name}-{name}.{kind}") for kind in ("out", "err"))
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        if cluster:
            task = {"type": "worker", "index": int(name)}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": list(cluster)}, "task": task})
        kind, *rest = map(str, arguments)
        with self.output.open("a") as out, self.errors.open("a") as err:
            command = [sys.executable, str(WORKER), kind, str(folder), *rest]
            self.running = subprocess.Popen(command, env=environment, stdout=out, stderr=err)

    def ended(self):
        """Wait for a good end; the losses of every step, by images seen (a repeated step counts once)."""
        assert self.running.wait(400) == 0, self.errors.read_text()[-2000:]
        rows = [[float(value) for value in line.split()] for line in self.output.read_text().splitlines()]
        return {row[0]: row[1:] for row in rows}


def addresses(count=2):
    """Free ports of the loopback."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for s in sockets:
        s.close()
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory, pictures):
    """kind -> (losses by images seen, run folder) of a run on one device, made when asked for."""
    made = {}

    def run(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("alone") / kind
            made[kind] = Process(folder, "0", kind, pictures, 1).ended(), folder
        return made[kind]

    return run


def assert_same(losses, folder, alone):
    """The losses of every step, and everything that training changes, are those of one device."""
    expected, its_folder = alone
    assert list(losses) == list(expected)
    for seen, values in losses.items():
        np.testing.assert_allclose(values, expected[seen], rtol=1e-4, atol=1e-4, err_msg=f"losses after {seen:g} images")
    (arrays, record), (others, its_record) = (checkpoints.load_latest(f) for f in (folder, its_folder))
    assert {**record, "curve": None} == {**its_record, "curve": None}
    np.testing.assert_allclose(record.get("curve", []), its_record.get("curve", []), rtol=1e-4)
    assert set(arrays) == set(others)
    for name, array in others.items():  # moments hold gradients, which jump where rounding flips a leaky ReLU
        tolerance = 2e-3 if "optimizer" in name else 1e-4
        np.testing.assert_allclose(arrays[name], array, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nonsaturating", "autoencoder"])
def test_two_devices_train_as_one(tmp_path, pictures, alone, kind):
    losses = Process(tmp_path / "run", "0", kind, pictures, 2).ended()
    assert_same(losses, tmp_path / "run", alone(kind))
    assert json.loads((tmp_path / "run" / "environment.json").read_text())[0]["replicas"] == 2


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path, pictures, alone, kind="autoencoder"):
    cluster = addresses()
    workers = [Process(tmp_path / "run", i, kind, pictures, 1, cluster=cluster) for i in range(2)]
    losses, nothing = (worker.ended() for worker in workers)
    assert not nothing  # only the chief writes
    assert_same(losses, tmp_path / "run", alone(kind))
    assert len(json.loads((tmp_path / "run" / "environment.json").read_text())) == 1


@pytest.mark.slow
def test_a_killed_process_is_started_again(tmp_path, pictures, alone, victim=0):  # the chief, which also writes
    """The other one notices, starts itself again and waits; the two end with the weights of an undisturbed run."""
    cluster, folder = addresses(), tmp_path / "run"

    def start(i):
        return Process(folder, i, "wgan-gp", pictures, 1, 0.4, cluster=cluster)

    workers = [start(i) for i in range(2)]
    wait_for(lambda: list(folder.glob("checkpoint-*.npz")))
    assert not (folder / "checkpoint-000000064.npz").exists()
    workers[victim].running.kill()
    wait_for(lambda: "another worker was lost" in workers[1 - victim].errors.read_text())
    workers[victim].running.wait()
    assert workers[1 - victim].running.poll() is None
    workers[victim] = start(victim)
    losses, _ = [worker.ended() for worker in workers]
    assert_same(losses, folder, alone("wgan-gp"))
    assert len(json.loads((folder / "environment.json").read_text())) == 2


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_device_goes_on(tmp_path, pictures, alone):
    cluster, folder = addresses(), tmp_path / "run"
    chief, other = (Process(folder, i, "nonsaturating", pictures, 1, 0.4, cluster=cluster) for i in range(2))
    wait_for(lambda: chief.output.read_text())
    other.running.send_signal(signal.SIGTERM)
    assert other.running.wait(100) != 0 and "stopped by SIGTERM with a checkpoint" in other.errors.read_text()
    losses = chief.ended()
    assert checkpoints.load_latest(folder)[1]["images"] == max(losses) < 64
    losses |= Process(folder, "alone", "nonsaturating", pictures, 1).ended()
    assert_same(losses, folder, alone("nonsaturating"))


@pytest.mark.slow
def test_a_worker_does_not_wait_for_ever(tmp_path, pictures):
    program = "from gekeras.training import distribute; distribute.strategy_for('auto', patience=1)"
    task = {"cluster": {"worker": addresses()}, "task": {"type": "worker", "index": 0}}
    environment = {**os.environ, "TF_CONFIG": json.dumps(task), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == -signal.SIGKILL
    assert f"the workers {task['cluster']['worker'][1]} did not start within" in done.stderr


def wait_for(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


# ------------------------------------------------------------------------------------------------- what is refused


class Replicas:
    """What `train` asks of a strategy before it does anything: here it says that it has so many replicas."""

    def __init__(self, monkeypatch, count):
        monkeypatch.setattr(type(tf.distribute.get_strategy()), "num_replicas_in_sync", count)


def test_a_batch_that_cannot_be_split_is_refused(tmp_path, monkeypatch, pictures):
    Replicas(monkeypatch, 3)
    with pytest.raises(ValueError, match=r"batch of 8 pictures must split over 3 replicas in .* multiple of 12"):
        gan.train(GAN, data.entries(pictures), tmp_path / "gan")
    Replicas(monkeypatch, 2)
    odd = dataclasses.replace(GAN, batch_sizes=((8, 12),))
    with pytest.raises(ValueError, match=r"batch of 12 pictures must split over 2 replicas in .* multiple of 8"):
        gan.train(odd, data.entries(pictures), tmp_path / "gan")
    Replicas(monkeypatch, 3)
    source = data.Source(data.entries(pictures), 16)
    with pytest.raises(ValueError, match=r"batch of 8 pictures must split over 3 replicas$"):
        autoencoder.train(AUTOENCODER, make_task("denoise"), source, source, None, 16, tmp_path / "autoencoder")
    assert not list(tmp_path.iterdir())


TWO = {"cluster": {"chief": ["a:1"], "worker": ["b:1", "c:1"]}}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "needs TF_CONFIG with a cluster of two workers"),
        ("nonsense", "TF_CONFIG must be JSON"),
        ("[]", "TF_CONFIG must be JSON"),
        (json.dumps({**TWO, "task": {"type": "worker", "index": 2}}), "none of the cluster's 3"),
        (json.dumps({**TWO, "task": {"type": "ps", "index": 0}}), "none of the cluster's 3"),
        (json.dumps({"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}}), "two workers or more"),
    ],
)
def test_a_cluster_that_is_none_is_refused(monkeypatch, text, message):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=message):
        distribute.strategy_for("multiworker")


def test_the_place_in_a_cluster(monkeypatch):
    for kind, index, place in (("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)):
        monkeypatch.setenv("TF_CONFIG", json.dumps({**TWO, "task": {"type": kind, "index": index}}))
        assert distribute.cluster() == (["a:1", "b:1", "c:1"], place)
    monkeypatch.delenv("TF_CONFIG")
    assert distribute.cluster() == ([], 0)


def test_names_of_strategies(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("auto", "none"):
        assert distribute.strategy_for(name) is tf.distribute.get_strategy()
    with pytest.raises(ValueError, match="must be one of auto, none, mirrored, multiworker; received 'all'"):
        distribute.strategy_for("all")


# --------------------------------------------------------------------------------------------- parts of a batch


def test_shards_are_strides_of_the_batch(pictures):
    source = data.Source(data.entries(pictures), 8, memory=True)
    whole = next(data.stream(source, 6, seed=1, turn=True))
    for index in range(3):
        part = next(data.stream(source, 6, seed=1, turn=True, shard=(index, 3)))
        np.testing.assert_array_equal(part, whole[index::3])


def in_replica(function, monkeypatch, identity, count, workers=1):
    """The function's value where `count` replicas in `workers` processes are pretended, as replica `identity`."""

    class Context:
        num_replicas_in_sync, replica_id_in_sync_group = count, identity
        strategy = type("Strategy", (), {"num_replicas_in_sync": count})()

    with monkeypatch.context() as patch:
        patch.setattr(tf.distribute, "get_replica_context", Context)
        patch.setattr(distribute, "place_of", lambda strategy: (identity // (count // workers), workers))
        return function()


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_replicas_share_every_row_once_and_own_what_they_share(monkeypatch, workers):
    """Four replicas: what each takes of the worker's shard is what it takes of the whole draw."""
    whole = tf.reshape(tf.range(16.0), (8, 2))
    total = tf.zeros_like(whole)
    for identity in range(4):
        worker = identity // (4 // workers)
        both = (lambda: distribute.replica_rows(whole), lambda rows=whole[worker::workers]: distribute.local_rows(rows))
        places = [in_replica(rows_of, monkeypatch, identity, 4, workers) for rows_of in both]
        np.testing.assert_array_equal(*places)
        total += in_replica(lambda part=places[0]: distribute.whole_batch(part), monkeypatch, identity, 4, workers)
    np.testing.assert_array_equal(total, whole)


# ------------------------------------------------------------------------------------------ what workers agree on


def chief_and_other(folder, votes):
    """A chief and another worker in one process; `votes` is what the other one adds to the next questions."""
    agree = lambda value: int(value) + (votes.pop(0) if votes else 0)  # noqa: E731
    return Run(folder, "{}", 10, limits=Limits(quiet=True), role=distribute.Role(0, 2, agree))


def test_a_run_stops_when_any_worker_has_to(tmp_path):
    votes = []
    with chief_and_other(tmp_path, votes) as run:
        assert run.goes_on(0)
        votes.append(1)
        assert not run.goes_on(0)
        for answers, message in (([1], "last checkpoint could not be written"), ([0, 1], "another worker stopped")):
            votes += answers
            with pytest.raises(ValueError, match=message):
                run.finish(lambda: None, 3)


def test_workers_that_read_different_checkpoints_are_refused(tmp_path):
    votes = [0, 8, 1]
    with chief_and_other(tmp_path, votes) as run, pytest.raises(ValueError, match="other checkpoints on other workers"):
        run.require_same_start(16)


def test_only_the_chief_writes(tmp_path):
    written = []
    role = distribute.Role(1, 2, int)
    with Run(tmp_path, "{}", 10, limits=Limits(quiet=True, save_every=0), role=role) as run:
        run.say("nothing")
        assert not run.save_due()  # the chief decides
        assert run.save(lambda: written.append(1), 3)
    assert not written and not list(tmp_path.iterdir())
