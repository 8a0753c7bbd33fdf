"""Milliseconds of an evaluation for one picture, forward and backward through G, S and E: as loaded, with XLA, frozen, in
bfloat16.

All are taken in turns in one run, the best of the rounds of each, so that their ratios hold on a noisy machine. Also how far
the gradient in bfloat16 points away from that in float32.

    python benchmarks/precision.py --preset faces-64 --task superres
"""

from __future__ import annotations

import time

import click
import numpy as np
import tensorflow as tf

from gekeras import GenerativeEncoder
from gekeras.networks.frozen import frozen
from gekeras.solve.objective import squared_distance

PASSES = 16  # pictures a round, at least


def evaluation(model: GenerativeEncoder, generator, encoder, xla: bool | None = None):
    """||E(S(G(z))) - m||^2 and its gradient, compiled."""

    @tf.function(reduce_retracing=not xla, jit_compile=xla)
    def value_and_gradient(latent, code):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(latent)
            loss = squared_distance(encoder(model.task.forward(generator(latent))), code)
        return loss, tape.gradient(loss, latent)

    return value_and_gradient


def milliseconds(function, latent, code) -> float:
    times, begin = max(1, PASSES // len(latent)), time.perf_counter()
    for _ in range(times):
        function(latent, code)[1].numpy()
    return 1e3 * (time.perf_counter() - begin) / times / len(latent)


@click.command()
@click.option("--preset", default="faces-64", show_default=True)
@click.option("--task", default="superres", show_default=True)
@click.option("--batch", "batches", type=int, multiple=True, default=(1, 4, 16, 64), show_default=True)
@click.option("--rounds", default=6, show_default=True)
def main(preset, task, batches, rounds):
    model = GenerativeEncoder.from_preset(preset, task)
    networks = {"as loaded": (model.generator, model.encoder)}
    for name in ("float32", "bfloat16"):
        networks[f"frozen, {name}"] = (
            frozen(model.generator, [model.latent_size], name),
            frozen(model.encoder, model.shape, name),
        )
    functions = {name: evaluation(model, *parts) for name, parts in networks.items()}
    functions["frozen, XLA"] = evaluation(model, *networks["frozen, float32"], xla=True)
    latent = tf.random.stateless_normal((max(batches), model.latent_size), (0, 1))
    code = tf.constant(model.encoder(model.task.forward(model.generator(latent[::-1]))))
    exact, half = (functions[name](latent, code)[1].numpy() for name in ("as loaded", "frozen, bfloat16"))
    cosine = float((exact * half).sum() / np.linalg.norm(exact) / np.linalg.norm(half))
    device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    click.echo(
        f"preset {preset}, task {task}, {device}, TensorFlow {tf.__version__}; cosine of the gradients {cosine:.3f}\n"
    )
    click.echo(f"| batch | {' | '.join(functions)} |\n{'|---' * (len(functions) + 1)}|")
    for batch in batches:
        some = latent[:batch], code[:batch]
        for function in functions.values():
            function(*some)  # traces
        found = [[milliseconds(function, *some) for function in functions.values()] for _ in range(rounds)]
        click.echo(f"| {batch} | {' | '.join(f'{best:.1f}' for best in np.min(found, axis=0))} |")


if __name__ == "__main__":
    main()
