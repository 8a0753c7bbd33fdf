"""What was tried against the solver's own steps and starts, and not kept: on the same pictures, with the same work.

    python benchmarks/trials.py --data faces-train-002.tar --count 32 --budget 14 --budget 140

An evaluation is one pass forward and backward for one picture, a pass forward alone half of one. All minimize the codes'
distance and the decoder's term with the preset's gamma, without a pixel term. Choose on pictures that no score is reported
for.

* halving: candidates get a few steps each, then the better quarter of them a few more.
* corrected starts: the starter R reads m, and what it missed on top.
* Gauss-Newton: (J^T J + mu I) s = -J^T r by conjugate gradients preconditioned with the starter's metric; a product with
  J^T J is a Jacobian-vector and a vector-Jacobian product, two evaluations. mu follows Levenberg and Marquardt.
* coarse first: a part of the steps compare only 8x8 means of G(z) and DC(m); the generator's own heads for low resolutions
  are not trained any more once it has grown, so they draw nothing that could be compared.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click
import numpy as np
import tensorflow as tf
from pictures import last, observe

from gekeras import GenerativeEncoder, SolveOptions, metrics
from gekeras.networks import presets
from gekeras.solve import Solver, Target, starts

CHUNK = 32


class Trial:
    """One task's objective on some pictures, and its solver."""

    def __init__(self, model: GenerativeEncoder, truth: np.ndarray):
        self.model, self.truth = model, truth
        self.options = model.options("fast", pixel_weight=0.0)
        self.y = observe(model, truth)[0]
        self.target = model.target(self.y, self.options)
        self.solver = model.solver(self.options)
        self.start = self._started()
        self.pull, self.push = tf.function(self._pull), tf.function(self._push)

    def _started(self) -> np.ndarray:
        """Where a plain solve begins."""
        none = dataclasses.replace(self.options, steps=0)
        return np.concatenate([self.model.solve(self.y[part], none).latent for part in self.parts()])

    def parts(self) -> list[slice]:
        return [slice(i, i + CHUNK) for i in range(0, len(self.truth), CHUNK)]

    def steps(self, latent, count: int, rows=None, solver: Solver | None = None, target: Target | None = None) -> np.ndarray:
        """The best latents after so many steps of L-BFGS."""
        return self.solved(latent, count, rows, solver, target).latent

    def solved(self, latent, count: int, rows=None, solver=None, target=None):
        target = target or self.target
        rows = np.arange(len(latent)) if rows is None else rows
        options = dataclasses.replace(self.options, steps=count)
        return (solver or self.solver).solve(target.take(rows), self.model.latent_size, options, initial=latent)

    def residual(self, latent, code, decoded):
        """r with ||r||^2 the objective, `[n, k + h w c]`."""
        image = self.model.generator(latent)
        apart = tf.reshape(image - decoded, (tf.shape(image)[0], -1))
        missed = self.model.encoder(self.model.task.forward(image)) - code
        return tf.concat([missed, self.options.decoder_weight**0.5 * apart], axis=1)

    def _pull(self, latent, weight, code, decoded):
        """r, and J^T weight (J^T r where there is no weight)."""
        with tf.GradientTape() as tape:
            tape.watch(latent)
            r = self.residual(latent, code, decoded)
        return r, tape.gradient(r, latent, r if weight is None else weight)

    def _push(self, latent, direction, code, decoded):
        """J direction, as the derivative of w -> (J^T w)^T direction: the pass back is linear in w."""
        weight = tf.zeros_like(self.residual(latent, code, decoded))
        with tf.GradientTape() as outer:
            outer.watch(weight)
            with tf.GradientTape() as inner:
                inner.watch(latent)
                r = self.residual(latent, code, decoded)
            pulled = inner.gradient(r, latent, weight)
        return outer.gradient(pulled, weight, direction)

    def score(self, latent) -> str:
        image = np.concatenate([self.model.generate(latent[part]) for part in self.parts()])
        code = np.asarray(self.target.code)
        reached = np.concatenate([self.model.encoder(self.model.task.forward(image[part])) for part in self.parts()])
        error = metrics.mse(np.clip(image, -1, 1), self.truth)
        return f"{np.median(np.square(reached - code).sum(axis=1)):.3f} | {np.median(error):.4f} | {np.mean(error):.4f}"


def lbfgs(trial: Trial, budget: int) -> np.ndarray:
    return trial.steps(trial.start, budget)


def corrected(trial: Trial, budget: int, factor: float, times: int = 1) -> np.ndarray:
    """From R(m + factor (m - E(S(G(R(m)))))), a pass forward each time."""
    aim, code = trial.target.code, trial.target.code
    for _ in range(times):
        image = trial.model.generate(trial.model.starter(aim))
        aim += factor * (code - trial.model.encoder(trial.model.task.forward(image)))
    start = trial.solver.prior.project(trial.model.starter(aim))
    return trial.steps(start, budget - (times + 1) // 2)


def halving(trial: Trial, initial: np.ndarray, budget: float, first: int = 3) -> np.ndarray:
    """Candidates `[n, k, d]`: `first` steps each, then twice as many for the better quarter, until one is left."""
    n, k, d = initial.shape
    while k > 1 and budget > k * first:
        rows = np.repeat(np.arange(n), k)
        solution = trial.solved(initial.reshape(-1, d), first, rows)
        budget -= k * first
        kept = max(1, k // 4)
        best = np.argsort(solution.loss.reshape(n, k), axis=1)[:, :kept]
        initial = np.take_along_axis(solution.latent.reshape(n, k, d), best[:, :, None], axis=1)
        k, first = kept, 2 * first
    return trial.steps(initial[:, 0], max(0, int(budget)))


def random_candidates(trial: Trial, count: int, kept: int) -> np.ndarray:
    """The `kept` best of `count` draws for each picture, by the objective forward."""
    drawn = trial.solver.prior.project(starts.draw(0, count, trial.model.latent_size, trial.model.latent))
    shown = starts.pictures(trial.solver.starts.generate, drawn)
    weights = (1.0, 0.0, trial.options.decoder_weight)
    best = starts.nearest(trial.solver.starts.compare, shown, trial.target, weights, kept=kept)
    return drawn.numpy()[best.numpy()]


def turned(trial: Trial, count: int, t: float = 0.3) -> np.ndarray:
    """The start, and `count - 1` turned by arctan t at random: `[n, count, d]`."""
    n, d = trial.start.shape
    noise = np.random.default_rng(0).standard_normal((n, count, d)).astype(np.float32)
    noise[:, 0] = 0
    return np.asarray([trial.solver.prior.project(tf.constant(z + t * noise[i])) for i, z in enumerate(trial.start)])


def gauss_newton(trial: Trial, budget: int, inner: int) -> np.ndarray:
    metric, project = np.asarray(trial.model.starter.inverse_curvature), trial.solver.prior.project
    code, decoded = trial.target.code, trial.target.decoded
    z, spent = tf.constant(trial.start), 0
    r, gradient = trial.pull(z, None, code, decoded)
    loss, spent = tf.reduce_sum(r * r, axis=1), spent + 1
    scale = tf.reduce_mean(tf.square(gradient), axis=1) / tf.reduce_mean(loss)  # of J^T J, roughly
    mu = 0.1 * scale
    while spent + 2 * inner + 1 <= budget:
        step, rest = tf.zeros_like(z), -gradient
        ready = tf.matmul(rest, metric)
        direction, power = ready, tf.reduce_sum(rest * ready, axis=1)
        for _ in range(inner):
            pushed = trial.push(z, direction, code, decoded)
            product = trial.pull(z, pushed, code, decoded)[1] + mu[:, None] * direction
            length = power / (tf.reduce_sum(direction * product, axis=1) + 1e-20)
            step, rest = step + length[:, None] * direction, rest - length[:, None] * product
            ready = tf.matmul(rest, metric)
            before, power = power, tf.reduce_sum(rest * ready, axis=1)
            direction = ready + (power / (before + 1e-20))[:, None] * direction
        trying = project(z + step)
        new_r, new_gradient = trial.pull(trying, None, code, decoded)
        new_loss = tf.reduce_sum(new_r * new_r, axis=1)
        better = new_loss < loss
        z, gradient = (tf.where(better[:, None], new, old) for new, old in ((trying, z), (new_gradient, gradient)))
        loss, mu = tf.minimum(new_loss, loss), tf.where(better, mu / 3, mu * 4)
        spent += 2 * inner + 1
    return z.numpy()


def coarse_first(trial: Trial, budget: int, share: float) -> np.ndarray:
    """The first steps see only means of 8x8 pixels of G(z) and DC(m)."""
    size = trial.target.decoded.shape[1] // 8
    pool = lambda x: tf.nn.avg_pool2d(x, size, size, "VALID")  # noqa: E731
    coarse = Solver(
        trial.model.generator,
        lambda x: tf.reshape(pool(x), (tf.shape(x)[0], -1)),
        prior="sphere",
        optimizer="lbfgs",
        starter=trial.model.starter,
        latent=trial.model.latent,
    )
    seen = Target(tf.reshape(pool(trial.target.decoded), (len(trial.start), -1)))
    count = int(share * budget)
    return trial.steps(trial.steps(trial.start, count, solver=coarse, target=seen), budget - count)


def adam(trial: Trial, budget: int, rate: float) -> np.ndarray:
    options = SolveOptions(
        steps=budget, learning_rate=rate, ramp="cosine", prior="sphere", decoder_weight=trial.options.decoder_weight
    )
    return trial.model.solver(options).solve(trial.target, trial.model.latent_size, options, initial=trial.start).latent


def trials(trial: Trial, budget: int):
    """name -> what runs it; the work of each is `budget` evaluations at most."""
    yield "L-BFGS from the starter, as shipped", lambda: lbfgs(trial, budget)
    if budget < 50:
        for factor in (0.25, 0.5, 1.0):
            yield f"the same, corrected by {factor:g} of what was missed", lambda f=factor: corrected(trial, budget, f)
        yield "the same, corrected twice", lambda: corrected(trial, budget, 0.5, 2)
    yield "Adam 0.1 with a cosine ramp", lambda: adam(trial, budget, 0.1)
    yield "Adam 0.03 with a cosine ramp", lambda: adam(trial, budget, 0.03)
    for inner in (2, 5, 10):
        if 2 * inner + 2 <= budget:
            yield f"Gauss-Newton, {inner} inner steps", lambda inner=inner: gauss_newton(trial, budget, inner)
    yield "coarse first, a quarter of the steps", lambda: coarse_first(trial, budget, 0.25)
    count = 4 if budget > 50 else 2
    yield (
        f"halving, {count} starts around the starter's",
        lambda: halving(trial, turned(trial, count), budget, 2),
    )
    if budget > 50:
        yield "halving, 8 of 64 random starts", lambda: halving(trial, random_candidates(trial, 64, 8), budget - 32)
        yield "best of 64 random starts", lambda: trial.steps(random_candidates(trial, 64, 1)[:, 0], budget - 32)


@click.command()
@click.option("--preset", default=presets.DEFAULT, show_default=True)
@click.option("--task", default="superres", show_default=True, help="One without a mask, that has a starter.")
@click.option("--data", "folder", required=True)
@click.option("--count", default=32, show_default=True, help="The last so many pictures are used.")
@click.option("--budget", "budgets", type=int, multiple=True, default=(14, 140), show_default=True)
@click.option("--only", default="", help="Methods with this in their names.")
def main(preset, task, folder, count, budgets, only):
    loaded = presets.load(preset)
    truth = last(folder, count, loaded.resolution, loaded.channels)
    trial = Trial(GenerativeEncoder.from_preset(loaded, task), truth)
    click.echo(f"Preset {loaded.name}, {task}, N {len(truth)} of {Path(folder).name}.\n")
    click.echo("| evaluations | method | objective of the codes, median | MSE, median | MSE, mean |\n|---|---|---|---|---|")
    for budget in budgets:
        for name, solve in trials(trial, budget):
            if only not in name:
                continue
            click.echo(f"| {budget} | {name} | {trial.score(solve())} |")


if __name__ == "__main__":
    main()
