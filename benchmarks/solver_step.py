"""Seconds a solver step over seconds of a bare forward and backward pass through G, S and E, at the same batch.

Both are taken in turns in one run, so that the ratio holds on a noisy machine. The aim is at most 1.10.

    python benchmarks/solver_step.py --preset faces-64 --task superres --batch 1 --batch 4 --batch 16
"""

from __future__ import annotations

import statistics
import time

import click
import numpy as np
import tensorflow as tf

from gekeras import GenerativeEncoder, SolveOptions
from gekeras.solve.objective import squared_distance


def bare_pass(model: GenerativeEncoder):
    """f(z) = ||E(S(G(z))) - m||^2 and its gradient, compiled, and nothing else."""

    @tf.function
    def value_and_gradient(latent, code):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latent)
            loss = squared_distance(model.encoder(model.task.forward(model.generator(latent))), code)
        return loss, tape.gradient(loss, latent)

    return value_and_gradient


def seconds_of(function) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def measure(model: GenerativeEncoder, batch: int, steps: int, rounds: int) -> tuple[float, float, float]:
    """Median seconds of a bare pass and of a solver step, and the median of their ratios over the rounds."""
    options = SolveOptions(steps=steps)
    latent = tf.random.stateless_normal((batch, model.latent_size), seed=(0, 1))
    code = tf.constant(model.encoder(model.task.forward(model.generator(latent * 0.5 + 0.1))))
    bare = bare_pass(model)

    def run_bare():
        for _ in range(steps):
            found = bare(latent, code)
        return np.asarray(found[1])

    def run_solver():
        return model.solve_code(code, options)

    run_bare(), run_solver()  # trace
    pairs = [(seconds_of(run_bare) / steps, seconds_of(run_solver) / steps) for _ in range(rounds)]
    ratios = [solver / plain for plain, solver in pairs]
    return *(statistics.median(column) for column in zip(*pairs)), statistics.median(ratios)


@click.command()
@click.option("--preset", default="faces-64")
@click.option("--task", default="superres")
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 4, 16), show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(preset, task, batches, steps, rounds):
    model = GenerativeEncoder.from_preset(preset, task)
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    click.echo(f"preset {preset}, task {task}, {steps} steps x {rounds} rounds, {device}, TensorFlow {tf.__version__}")
    click.echo("| batch | bare pass (s) | solver step (s) | ratio |\n|---|---|---|---|")
    for batch in batches:
        plain, solver, ratio = measure(model, batch, steps, rounds)
        click.echo(f"| {batch} | {plain:.4f} | {solver:.4f} | {ratio:.3f} |")


if __name__ == "__main__":
    main()
