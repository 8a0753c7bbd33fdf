"""Seconds a solver step over seconds of a bare forward and backward pass through G, S and E, at several batches.

Both are taken in turns in one run, so that the ratio holds on a noisy machine. The aim is at most 1.05. The end of a solve,
which evaluates the last iterate and draws the best one's picture, is counted in and shared by the steps; `loop` is the ratio
without it. L-BFGS multiplies by its metric as with a starter, even if the preset has none: then by a random one.

    python benchmarks/solver_step.py --preset faces-64 --task superres --optimizer lbfgs --batch 1 --batch 16
    python benchmarks/solver_step.py --layers 16

The second is of the steps for a layer's features, which are Adam's, and of bare passes through what is above the layer.
"""

from __future__ import annotations

import statistics
import time

import click
import numpy as np
import tensorflow as tf

from gekeras import GenerativeEncoder, SolveOptions
from gekeras.config import OPTIMIZERS, Z_ALONE
from gekeras.networks import presets
from gekeras.solve import Solver, Target
from gekeras.solve.objective import squared_distance


def bare_pass(model: GenerativeEncoder, generator):
    """f(z) = ||E(S(G(z))) - m||^2 and its gradient, compiled, and nothing else; G may be what is above a layer."""

    @tf.function(reduce_retracing=True)
    def value_and_gradient(point, code):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            loss = squared_distance(model.encoder(model.task.forward(generator(point))), code)
        return loss, tape.gradient(loss, point)

    return value_and_gradient


class Metric:
    """In a starter's place: an inverse curvature like those of the shipped encoders, eigenvalues from 0.001 to 1."""

    def __init__(self, size: int):
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(size, size)))[0]
        self.inverse_curvature = tf.constant((turn * np.logspace(-3, 0, size)) @ turn.T, tf.float32)

    def __call__(self, code):
        raise NotImplementedError("nothing here starts with it")


def solver_of(model: GenerativeEncoder, optimizer: str) -> Solver:
    starter = model.starter or Metric(model.latent_size)
    return Solver(
        model.generator,
        model.encoder,
        model.task.forward,
        prior="sphere",
        optimizer=optimizer,
        latent=model.latent,
        starter=starter,
    )


def seconds_of(function) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


class Timed:
    """A compiled function, and the seconds of its last call."""

    def __init__(self, function):
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments):
        begin = time.perf_counter()
        results = self.function(*arguments)
        np.asarray(results[-1])  # waits for a GPU
        self.seconds = time.perf_counter() - begin
        return results


def measure(solver: Solver, bare, start, code, anchor, options: SolveOptions, rounds: int):
    """Median seconds of a bare pass and of a solver step, and the medians of their ratios, with and without the end."""
    target = Target(code, anchor=anchor)

    def run_bare():
        for _ in range(options.steps):
            _, gradient = bare(start, code)
        return np.asarray(gradient)

    def run_solver():
        return solver.solve(target, start.shape[1], options, initial=start)

    run_bare(), run_solver()  # trace
    rows = []
    for _ in range(rounds):
        plain, solved = seconds_of(run_bare), seconds_of(run_solver)
        rows.append(
            (plain / options.steps, solved / options.steps, solved / plain, (solved - solver.finish.seconds) / plain)
        )
    return [statistics.median(column) for column in zip(*rows)]


@click.command()
@click.option("--preset", default=presets.DEFAULT)
@click.option("--task", default="superres")
@click.option("--optimizer", type=click.Choice(OPTIMIZERS), default="lbfgs", show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 4, 16, 64), show_default=True)
@click.option("--layers", default=Z_ALONE, show_default=True, help="The layer whose features are searched.")
@click.option("--steps", default=20, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def main(preset, task, optimizer, batches, layers, steps, rounds):
    model = GenerativeEncoder.from_preset(preset, task)
    searched = layers != Z_ALONE
    options = SolveOptions(
        steps=steps, optimizer="adam" if searched else optimizer, prior="sphere", layers=layers, layer_steps=steps
    )
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    click.echo(
        f"preset {preset}, task {task}, layers {layers}, {options.optimizer}, {steps} steps x {rounds} rounds, {device}, "
        f"TensorFlow {tf.__version__}"
    )
    click.echo("| batch | bare pass (s) | solver step (s) | ratio | loop | step a picture (s) | pictures' steps a second |")
    click.echo("|---|---|---|---|---|---|---|")
    if searched:
        stage = model.layer_stage(options)
        solver, options = stage.solver, stage.options(options)
    else:
        solver = solver_of(model, optimizer)
    bare = bare_pass(model, solver.generator)
    solver.finish = Timed(solver.finish)
    for batch in batches:
        latent = tf.random.stateless_normal((batch, model.latent_size), seed=(0, 1))
        code = tf.constant(model.encoder(model.task.forward(model.generator(latent * 0.5 + 0.1))))
        start = stage.start(latent) if searched else latent
        plain, step, ratio, loop = measure(solver, bare, start, code, start if searched else None, options, rounds)
        click.echo(
            f"| {batch} | {plain:.4f} | {step:.4f} | {ratio:.3f} | {loop:.3f} | {step / batch:.4f} | {batch / step:.1f} |"
        )


if __name__ == "__main__":
    main()
