"""Bulk restoration by Apache Beam: pictures a minute with one worker process and with several, and whether they agree.

    python benchmarks/beam.py --data faces-test-000.tar --preset faces-64 --task superres --count 64

It runs a pipeline of `gekeras.beam.Restore` on Beam's Direct runner, each number of workers in a process of its own. The
first pictures of the data, cut square, are degraded as the task expects it and written as PNG files. The workers share the
cores: each gets its part of them as threads, unless --threads says otherwise. The rate counts from when the first batches
are written, so without imports, networks and compiling; the seconds are those of the whole run. Results are compared byte
by byte.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np

from gekeras import data, images
from gekeras.networks import presets

RUNNER = ["--direct_running_mode", "multi_processing", "--direct_num_workers"]


def small_pictures(folder: Path, source: str, preset: str, models: Path | None, task: str, count: int) -> None:
    """Observations of the task as PNG files, 000.png and on."""
    from gekeras import GenerativeEncoder

    model = GenerativeEncoder.from_preset(preset, task, models)
    truth = images.from_uint8(data.load_all(data.entries(source)[:count], model.shape[0], model.shape[2]))
    for k, picture in enumerate(np.asarray(model.task.degrade(truth))):
        images.write(folder / f"{k:03}.png", np.clip(picture, -1, 1))


def run(folder: Path, output: Path, options: list[str], workers: int, threads: int) -> tuple[float, float]:
    """(seconds in all, seconds from the first picture to the last) of a pipeline in a process of its own."""
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, __file__, "--pipeline", str(folder), str(output), *options, *RUNNER, str(workers)]
    begin = time.monotonic()
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stderr[-2000:])
    seconds = time.monotonic() - begin
    click.echo(f"{workers} workers, {threads} threads each: {ended.stdout.strip()}")
    written = [path.stat().st_mtime for path in output.glob("*.png")]
    return seconds, max(written) - min(written)


def pipeline(folder: str, output: str, preset: str, models: str, task: str, batch: str, *beams: str) -> None:
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from gekeras.beam import Pictures, Restore, counts

    made = beam.Pipeline(options=PipelineOptions(list(beams)))
    made | Pictures(folder) | Restore(task, preset, models=models or None, output=output, batch_size=int(batch))
    result = made.run()
    result.wait_until_finish()
    found = counts(result)
    print(f"{found['restored']} restored, {found['refused']} refused")


@click.command()
@click.option("--data", "source", required=True, type=click.Path(exists=True), help="A folder, or a tar or TFRecord shard.")
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--models", type=click.Path(path_type=Path))
@click.option("--task", default="superres", show_default=True, help="One without a mask.")
@click.option("--count", default=64, show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--workers", default="1,2", show_default=True, help="Numbers of worker processes.")
@click.option("--threads", type=int, help="Of each worker; default: its part of the cores.")
def main(source, preset, models, task, count, batch, workers, threads):
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        (small := Path(folder) / "small").mkdir()
        small_pictures(small, source, preset, models, task, count)
        options, first = [preset, str(models or ""), task, str(batch)], None
        for number in map(int, workers.split(",")):
            output = Path(folder) / f"of-{number}"
            whole, between = run(small, output, options, number, threads or max(1, cores // number))
            rounds = count / number / batch  # of each worker; the first is over when the first picture is written
            rate = (count - number * batch) / between * 60 if rounds > 1 else float("nan")
            click.echo(f"{number} workers: {whole:.0f} s in all, {rate:.1f} pictures a minute once they solve")
            found = {path.name: path.read_bytes() for path in output.glob("*.png")}
            first = first or found
            differing = [name for name in first if found.get(name) != first[name]]
            click.echo(f"{len(found)} of {count} pictures; {len(differing)} differ from those of the first run")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--pipeline"]:
        pipeline(*sys.argv[2:])
    else:
        main()
