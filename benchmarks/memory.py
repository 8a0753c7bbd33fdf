"""What a solver step is estimated to need against the growth of the peak resident memory, for several batches.

    python benchmarks/memory.py --preset faces-64 --task superres
    python benchmarks/memory.py --preset faces-64 --task superres --layers 16

The first is of a step for z, the second of one for a layer's features. Each batch is measured in a process of its own, in a
few steps after everything is loaded and compiled, so that nothing that an earlier batch has freed is used again. What grows
with the batch is what the estimate is of; the process' threads, caches and scratch are in the measured numbers, too. Linux
only.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import tensorflow as tf

from gekeras import GenerativeEncoder, config
from gekeras.networks import presets
from gekeras.restore import memory
from gekeras.solve import Target
from gekeras.solve.descent import make_parameters


def resident(name: str) -> int:
    """VmRSS, what the process holds, or VmHWM, the most since the counter was cleared, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def measure(model: GenerativeEncoder, options: config.SolveOptions, batch: int, steps: int) -> tuple[int, memory.Need]:
    """(Growth of the peak during a few steps, the estimate)."""
    latent = tf.random.stateless_normal((batch, model.latent_size), (0, 1))
    code = model.encoder(model.task.forward(model.generator(latent[:1])))
    target = Target(tf.repeat(code, batch, axis=0))
    if options.layers == config.Z_ALONE:
        solver, start = model.solver(options), latent
    else:
        stage = model.layer_stage(options)
        solver, start, options = stage.solver, stage.start(latent), stage.options(options)
        target = target._replace(anchor=start)
    run = solver.compiled(target, start.shape[1], options)
    parameters = make_parameters(options, solver.metric.matrix(target, start.shape[1], options))
    state = solver.descent.begin(start)
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # sets VmHWM to what is held now
    solver.advance(state, target, parameters, tf.constant(steps))[1].numpy()
    return resident("VmHWM") - before, memory.need_of(run)


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", default="superres", show_default=True)
@click.option("--optimizer", type=click.Choice(config.OPTIMIZERS), default="lbfgs", show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 4, 16, 64), show_default=True)
@click.option("--layers", default=config.Z_ALONE, show_default=True, help="The layer whose features are searched.")
@click.option("--steps", default=3, show_default=True)
def main(preset, task, optimizer, batches, layers, steps):
    if len(batches) > 1:
        what = f"{optimizer}, layers {layers}, {steps} steps"
        click.echo(f"preset {preset}, task {task}, {what}, CPU, TensorFlow {tf.__version__}\n")
        click.echo("| batch | estimated (MB) | measured (MB) |\n|---|---|---|")
        common = [sys.executable, __file__, "--preset", preset, "--task", task, "--optimizer", optimizer]
        common += ["--layers", layers]
        for batch in batches:
            alone = subprocess.run(
                [*common, "--steps", str(steps), "--batch", str(batch)], stdout=subprocess.PIPE, text=True
            )
            click.echo(alone.stdout, nl=False)
        return
    model = GenerativeEncoder.from_preset(preset, task)
    # The steps alone: a metric is drawn once for all batches.
    options = model.options("best", optimizer=optimizer, layers=layers, probes=0)
    grown, need = measure(model, options, batches[0], steps)
    estimated = batches[0] * need.picture + need.fixed
    click.echo(f"| {batches[0]} | {estimated / 1e6:.0f} | {grown / 1e6:.0f} |")


if __name__ == "__main__":
    main()
