"""Images a second of GAN training against resolution, on one device, on two mirrored CPUs and in two processes.

Each run is a process of its own, on pictures made for it, in a folder, in a tar shard or in memory; the input's share is the
part of the step's time in which it waits for pictures. Two replicas share the machine's cores, so that on one machine they
show the cost of splitting, not its gain.

    python benchmarks/training_scale.py --resolution 8 --resolution 16 --resolution 32 --resolution 64 --resolution 128
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import click
import numpy as np

WAYS = ("one process", "two mirrored CPUs", "two processes")
SOURCES = ("folder", "tar", "memory")
FLAG = "--worker"  # what a process that measures is started with, followed by JSON


def make_pictures(folder: Path, count: int, side: int) -> dict[str, Path]:
    """JPEG pictures of `side`, in a folder and in a tar shard: name of the source -> path."""
    from PIL import Image

    (folder / "pictures").mkdir()
    rng = np.random.default_rng(0)
    for k in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        coarse.resize((side, side), Image.Resampling.BICUBIC).save(folder / "pictures" / f"{k:05}.jpg", quality=90)
    with tarfile.open(folder / "pictures.tar", "w") as tar:
        tar.add(folder / "pictures", "pictures")
    return {"folder": folder / "pictures", "tar": folder / "pictures.tar", "memory": folder / "pictures"}


def measure(setting: dict) -> None:
    """In a process of its own: print images a second of the whole batch, and the input's share of the time."""
    import tensorflow as tf

    from gekeras import data
    from gekeras.config import GANOptions, Stage
    from gekeras.training import distribute, estimate, gan, schedule

    cpus = [f"CPU:{i}" for i in range(setting["cpus"])]
    if len(cpus) > 1:
        settings = [tf.config.LogicalDeviceConfiguration() for _ in cpus]
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], settings)
    several = "TF_CONFIG" in os.environ
    strategy = distribute.strategy_for("multiworker" if several else "mirrored" if len(cpus) > 1 else "none", cpus)
    resolution, batch, steps = (setting[name] for name in ("resolution", "batch", "steps"))
    sizes = {name: setting[name] for name in ("fmap_base", "fmap_max", "latent_size")}
    options = GANOptions(resolution=resolution, stages=(Stage(resolution, 8, 8),), batch_size=batch, loss="wgan-gp", **sizes)
    with distribute.scope(strategy) as role:
        nets = gan.Networks(options, resolution)
        nets.blend(0.5)
        items = data.entries(setting["pictures"])
        source = data.Source(items, resolution, memory=setting["source"] == "memory")
        stream, step = data.stream(source, batch, shard=role.shard), gan.make_step(nets)
        point = schedule.Point(resolution, 0.5, 0, batch, 0)
        speed = estimate.measure(
            lambda x, i: step(x, *gan.step_inputs(options, point, i * batch)), stream, batch, steps, patience=float("inf")
        )
    if role.chief:
        print(json.dumps(speed))


def run(way: str, setting: dict) -> tuple[float, float]:
    """(images a second, the input's share) of one way to train."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    workers = []
    for i in range(2 if way == "two processes" else 1):
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        if way == "two processes":
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": {"type": "worker", "index": i}})
        command = [sys.executable, __file__, FLAG, json.dumps({**setting, "cpus": 2 if "mirrored" in way else 1})]
        workers.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    outputs = [worker.communicate() for worker in workers]
    if any(worker.returncode for worker in workers):
        raise SystemExit("\n".join(errors[-2000:] for _, errors in outputs))
    return tuple(json.loads(outputs[0][0].splitlines()[-1]))


@click.command()
@click.option("--resolution", "resolutions", type=int, multiple=True, default=(8, 16, 32, 64, 128), show_default=True)
@click.option("--way", "ways", type=click.Choice(WAYS), multiple=True, default=WAYS)
@click.option("--source", "sources", type=click.Choice(SOURCES), multiple=True, default=SOURCES)
@click.option("--batch", default=32, show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--pictures", "count", default=512, show_default=True, help="As many are made.")
@click.option("--side", default=178, show_default=True, help="Of the pictures made; CelebA's are 178 wide.")
@click.option("--fmap-base", default=1024, show_default=True)
@click.option("--fmap-max", default=64, show_default=True)
@click.option("--latent-size", default=64, show_default=True)
def main(resolutions, ways, sources, batch, steps, count, side, **sizes):
    shape = ", ".join(f"{name} {value}" for name, value in sizes.items())
    click.echo(f"batch {batch}, {steps} steps, {shape}, {os.cpu_count()} CPU cores\n")
    click.echo("| resolution | how | pictures from | images/s | input |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        paths = make_pictures(Path(folder), count, side)
        for resolution in resolutions:
            for way in ways:
                for source in sources:
                    setting = dict(resolution=resolution, batch=batch, steps=steps, source=source, **sizes)
                    rate, waiting = run(way, {**setting, "pictures": str(paths[source])})
                    click.echo(f"| {resolution} | {way} | {source} | {rate:.1f} | {100 * waiting:.0f} % |")


if __name__ == "__main__":
    if FLAG in sys.argv:
        measure(json.loads(sys.argv[-1]))
    else:
        main()
