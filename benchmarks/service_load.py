"""Load on `gekeras serve`: clients that ask at once and again, each reply held against the picture that its client sent.

    python benchmarks/service_load.py --preset faces-64 --task superres --clients 8 --seconds 60

It starts the real command on a free port. Each client has a picture of its own, whose result is computed beforehand, alone.
A reply is lost if it does not come or is no picture, and mixed up if it is nearer to the result of another client's picture.
Differences are means over a picture, in levels of 255. In a batch sums are taken in another order, and a solve amplifies
that; `rounding` is how far a solve alone moves when its picture changes by 1e-6. With --batch 1 replies must be equal.
"""

from __future__ import annotations

import io
import signal
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from PIL import Image

from gekeras import GenerativeEncoder, images
from gekeras.networks import presets
from gekeras.restore import batches

ROOT = Path(__file__).resolve().parents[1]
SETTLED = 10  # seconds after which the memory counts: until then every size of a batch has come


def pictures(count: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Smooth 8-bit pictures `[h, w, c]`, each another one."""
    rng, found = np.random.default_rng(0), []
    for _ in range(count):
        planes = [Image.fromarray(rng.integers(0, 256, (4, 4), dtype=np.uint8)) for _ in range(shape[2])]
        found.append(np.dstack([plane.resize(shape[1::-1], Image.Resampling.BICUBIC) for plane in planes]))
    return found


def png(levels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels).save(file, "PNG")
    return file.getvalue()


@dataclass
class Tally:
    """Of all clients."""

    seconds: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)  # to the nearest result of another client's picture
    batches: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    mixed: int = 0


def ask(url: str, body: bytes) -> tuple[np.ndarray, int]:
    """The reply's picture `[h, w, c]`, and how many were solved together."""
    request = urllib.request.Request(url, body, {"Content-Type": "image/png"})
    with urllib.request.urlopen(request, timeout=300) as reply:
        levels = np.asarray(Image.open(io.BytesIO(reply.read())))
        return np.atleast_3d(levels), int(reply.headers["x-gekeras-batch"])


def client(k: int, url: str, body: bytes, expected: list[np.ndarray], end: float, tally: Tally) -> None:
    while time.monotonic() < end:
        begin = time.monotonic()
        try:
            found, together = ask(url, body)
        except (OSError, ValueError, urllib.error.HTTPError) as error:
            tally.lost.append(str(error))
            continue
        tally.seconds.append(time.monotonic() - begin)
        tally.batches.append(together)
        apart = [np.abs(found.astype(int) - other).mean() for other in expected]
        tally.mixed += int(np.argmin(apart)) != k
        tally.differences.append(apart.pop(k))
        tally.others.append(min(apart))


def alone(model: GenerativeEncoder, picture: np.ndarray) -> np.ndarray:
    """The restored picture `[h, w, c]` in 8 bits."""
    solution = batches.solve_batches(model, picture[None], None, model.options())
    return images.to_uint8(solution.image[0]).astype(int)


def resident(pid: int) -> int:
    """Bytes of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def held_under(threads: list[threading.Thread], pid: int, seconds: float) -> list[int]:
    """Bytes that a process holds while clients ask it, once settled and when all have ended."""
    for thread in threads:
        thread.start()
    time.sleep(min(SETTLED, seconds / 2))
    settled = resident(pid)
    for thread in threads:
        thread.join()
    return [settled, resident(pid)]


def wait_until_ready(url: str, process: subprocess.Popen) -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}healthz", timeout=30):
                return
        except OSError:
            time.sleep(0.5)
    raise SystemExit("the service ended before it was ready")


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--models", type=click.Path(path_type=Path))
@click.option("--task", default="superres", show_default=True, help="One without a mask.")
@click.option("--clients", default=8, show_default=True)
@click.option("--seconds", default=60, show_default=True)
@click.option("--batch", type=int, help="Of the service.")
def main(preset, models, task, clients, seconds, batch):
    model = GenerativeEncoder.from_preset(preset, task, models)
    side = int(model.shape[0] / model.task.factor)
    sent = pictures(clients, (side, side, model.shape[2]))
    expected = [alone(model, images.from_uint8(levels)) for levels in sent]
    moved = [alone(model, images.from_uint8(levels) + 1e-6) for levels in sent]
    rounding = [float(np.abs(one - other).mean()) for one, other in zip(expected, moved)]
    command = [sys.executable, "cli.py", "serve", "--preset", preset, "--task", task, "--port", "0"]
    command += ["--models", str(models)] if models else []
    command += ["--batch", str(batch)] if batch else []
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        url = process.stdout.readline().split(" at ")[1].split(",")[0]
        wait_until_ready(url, process)
        tally, held = Tally(), [resident(process.pid)]
        end = time.monotonic() + seconds
        arguments = (expected, end, tally)
        threads = [
            threading.Thread(target=client, args=(k, f"{url}v1/solve/{task}", png(levels), *arguments))
            for k, levels in enumerate(sent)
        ]
        held += held_under(threads, process.pid, seconds)
        process.send_signal(signal.SIGTERM)
        code = process.wait(120)
    finally:
        process.kill()
    if not tally.seconds:
        raise SystemExit(f"no replies: {tally.lost[:1]}")
    show(tally, held, f"{clients} clients, {seconds} s", seconds, code)
    click.echo(f"rounding: {statistics.mean(rounding):.3f} on average, {max(rounding):.3f} at most")


def show(tally: Tally, held: list[int], title: str, seconds: int, code: int) -> None:
    order, begin, settled, end = sorted(tally.seconds), *(value / 1e6 for value in held)
    click.echo(f"{title}: {len(order)} replies, {len(order) / seconds:.2f} a second")
    click.echo(f"a reply took {statistics.median(order):.2f} s (median), {order[int(0.95 * len(order))]:.2f} s (95 %)")
    click.echo(f"solved together: {statistics.mean(tally.batches):.1f} on average, {max(tally.batches)} at most")
    click.echo(f"lost {len(tally.lost)}, mixed up {tally.mixed}" + "".join(f"; {reason}" for reason in tally.lost[:1]))
    mean, most = statistics.mean(tally.differences), max(tally.differences)
    click.echo(f"difference to a solve alone: {mean:.3f} on average, {most:.3f} at most")
    click.echo(f"difference to another client's picture: {min(tally.others):.3f} at least")
    click.echo(f"memory: {begin:.0f} MB when ready, {settled:.0f} MB once settled, {end:.0f} MB at the end")
    click.echo(f"exit code {code}")


if __name__ == "__main__":
    main()
