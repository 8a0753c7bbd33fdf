"""gekeras beside deepinv on one generator and the same pictures: quality against evaluations and seconds.

    pip install torch torchvision deepinv
    python benchmarks/peers.py --preset faces-64 --task superres --data faces-test-000.tar --choose faces-train-002.tar

A progressive GAN's weights are carried over to PyTorch, and both networks' pictures compared before anything is solved; so
are the measurements. deepinv's CSGM (Bora et al. 2017) minimizes ||A G(z) - y||^2 by Adam, as it is there, but for latents
from N(0, I), which the generator takes; its FISTA has the total variation as a prior, with the weight that is best for the
pictures of --choose. Every solver gets one picture at a time, after one that is not counted; gekeras' also get all at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import click
import deepinv
import numpy as np
import tensorflow as tf
import torch
from pictures import last, observe
from torch.nn import functional

from gekeras import GenerativeEncoder, metrics, perceptual
from gekeras.evaluation.methods import classical, pixels_only
from gekeras.models.layers import fused_upsampling_kernel
from gekeras.networks import presets
from gekeras.restore.batches import evaluations

WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)  # of the total variation
GAIN = 2**0.5


class Generator(torch.nn.Module):
    """A preset's progressive GAN generator: `[n, nz, 1, 1]` -> `[n, c, h, w]`, counting its calls."""

    def __init__(self, preset: presets.Preset):
        super().__init__()
        saved = preset.part("generator").network
        layers = [saved[f"layer_with_weights-{k}"] for k in range(len(saved))]
        weights = [[layer[name].numpy() for name in ("kernel", "bias") if name in layer] for layer in layers]
        (first, bias), self.nz = (weights[0][0], weights[1][0]), preset.latent_size
        self.dense, self.bias = self._keep(first * (GAIN / 4 / self.nz**0.5)), self._keep(bias)
        self.convolutions, self.calls = [], 0
        for k, (kernel, bias) in enumerate(weights[2:-1]):
            kernel = kernel * (GAIN / np.prod(kernel.shape[:3]) ** 0.5)
            up = k % 2 == 1  # 4x4 has one, each block one that enlarges and one that does not
            axes = (3, 2, 0, 1)
            spread = fused_upsampling_kernel(tf.constant(kernel)).numpy() if up else kernel
            self.convolutions.append((up, self._keep(spread.transpose(axes)), self._keep(bias)))
        kernel, bias = weights[-1]
        self.to_rgb = self._keep((kernel / kernel.shape[2] ** 0.5).transpose(3, 2, 0, 1)), self._keep(bias)

    @staticmethod
    def _keep(values: np.ndarray) -> torch.Tensor:
        return torch.tensor(np.ascontiguousarray(values, np.float32))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        self.calls += len(z)
        x = _normal(z.flatten(1)) @ self.dense
        x = x.reshape(len(z), 4, 4, -1).permute(0, 3, 1, 2)  # as Keras, channels last
        x = _active(x + self.bias[:, None, None])
        for up, kernel, bias in self.convolutions:
            convolve = functional.conv_transpose2d if up else functional.conv2d
            x = _active(convolve(x, kernel, bias, stride=2 if up else 1, padding=1))
        return functional.conv2d(x, *self.to_rgb)


def _normal(x: torch.Tensor) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)


def _active(x: torch.Tensor) -> torch.Tensor:
    return _normal(functional.leaky_relu(x, 0.2))


class CSGM(deepinv.models.CSGMGenerator):
    """deepinv's, with the latents that a progressive GAN was trained with."""

    def random_latent(self, device, requires_grad=True):
        return torch.randn(1, self.backbone_generator.nz, 1, 1, device=device, requires_grad=requires_grad)


def to_torch(pictures: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(pictures, np.float32).transpose(0, 3, 1, 2).copy())


def to_numpy(pictures: torch.Tensor) -> np.ndarray:
    return pictures.detach().numpy().transpose(0, 2, 3, 1)


def physics_of(model: GenerativeEncoder, known: np.ndarray | None) -> tuple[deepinv.physics.LinearPhysics, float]:
    """(A of one picture, the largest eigenvalue of A^T A)."""
    if model.task.name == "superres":
        factor = model.task.factor
        spread = torch.nn.Upsample(scale_factor=factor, mode="nearest")
        physics = deepinv.physics.LinearPhysics(
            A=lambda x, **_: functional.avg_pool2d(x, factor), A_adjoint=lambda y, **_: spread(y) / factor**2
        )
        return physics, 1 / factor**2
    if known is not None:
        mask = to_torch(known)
        return deepinv.physics.LinearPhysics(A=lambda x, **_: x * mask, A_adjoint=lambda y, **_: y * mask), 1.0
    return deepinv.physics.LinearPhysics(A=lambda x, **_: x, A_adjoint=lambda y, **_: y), 1.0


def total_variation(weight: float, physics, norm: float) -> Callable:
    solver = deepinv.optim.FISTA(
        data_fidelity=deepinv.optim.L2(),
        prior=deepinv.optim.TVPrior(n_it_max=50),
        lambda_reg=weight,
        stepsize=1 / norm,
        max_iter=100,
        early_stop=True,
    )
    with torch.no_grad():
        return lambda y: to_numpy(solver(to_torch(y), physics))


def chosen_weight(model: GenerativeEncoder, truth: np.ndarray) -> float:
    """Of the total variation: the one of the lowest mean MSE on these pictures."""
    y, known = observe(model, truth)

    def error(weight):
        solve = each(lambda k: total_variation(weight, *physics_of(model, part(known, k))), y)[0]
        return metrics.mse(np.clip(solve, -1, 1), truth).mean()

    return min(WEIGHTS, key=error)


def part(arrays, k: int):
    return None if arrays is None else arrays[k : k + 1]


def each(made: Callable, y: np.ndarray) -> tuple[np.ndarray, float]:
    """(pictures, seconds a picture) of `made(k)` applied to each measurement, once before the clock runs."""
    made(0)(y[:1])
    begin = time.perf_counter()
    found = [made(k)(y[k : k + 1]) for k in range(len(y))]
    return np.concatenate(found), (time.perf_counter() - begin) / len(y)


def equal(name: str, ours, theirs: torch.Tensor, most: float) -> None:
    """Raise SystemExit where both are further apart."""
    apart = float(np.abs(np.asarray(ours) - to_numpy(theirs)).max())
    if apart > most:
        raise SystemExit(f"{name} differ by {apart:.3g}")
    click.echo(f"{name} differ by at most {apart:.2g}")


@click.command(context_settings={"show_default": True})
@click.option("--preset", default=presets.DEFAULT)
@click.option("--task", type=click.Choice(["superres", "denoise", "inpaint"]), default="superres")
@click.option("--data", required=True, help="Folder, shard or volume; its last pictures are restored.")
@click.option("--choose", required=True, help="The same of pictures that the weight of the total variation is chosen on.")
@click.option("--count", type=click.IntRange(2), default=16)
@click.option("--iterations", type=int, multiple=True, default=(100, 2500), help="Most of deepinv's CSGM.")
@click.option("--lpips", help="A file of LPIPS' weights, as `gekeras eval --lpips` takes it.")
def main(preset, task, data, choose, count, iterations, lpips):
    model = GenerativeEncoder.from_preset(preset, task)
    truth = last(data, count, *model.shape[1:])
    y, known = observe(model, truth)
    generator = Generator(presets.load(preset))
    z = np.random.default_rng(0).normal(size=(4, model.latent_size)).astype(np.float32)
    with torch.no_grad():
        equal("pictures of both generators", model.generate(z), generator(torch.tensor(z)[..., None, None]), 1e-3)
        measured = torch.cat([physics_of(model, part(known, k))[0].A(to_torch(truth[k : k + 1])) for k in range(count)])
    if task != "denoise":
        equal("measurements", y, measured, 1e-5)
    meter = perceptual.LPIPS(perceptual.read(lpips)) if lpips else None
    weight = chosen_weight(model, last(choose, 8, *model.shape[1:]))

    click.echo(f"\n{task}, {preset}, last {count} pictures of {data}\n")
    click.echo("| method | evaluations | s alone | s in a batch | MSE | PSNR (dB) | SSIM |" + (" LPIPS |" if meter else ""))
    click.echo("|---|---|---|---|---|---|---|" + ("---|" if meter else ""))

    def row(name, pictures, work, alone, together=None):
        pictures = np.clip(pictures, -1, 1)
        scores = [metrics.mse(pictures, truth), metrics.psnr(pictures, truth), metrics.ssim(pictures, truth)]
        forms = ["{:.4f}", "{:.2f}", "{:.3f}"] + ["{:.3f}"] * bool(meter)
        scores += [meter(pictures, truth)] if meter else []
        means = " | ".join(form.format(np.mean(score)) for form, score in zip(forms, scores))
        batch = "" if together is None else f"{together:.2f}"
        click.echo(f"| {name} | {work} | {alone:.2f} | {batch} | {means} |")

    fast = model.options("fast")
    for name, options in {"GE": fast, "gekeras' CSGM": pixels_only(fast)}.items():
        pictures, alone = each(lambda k, o=options: lambda m: model.solve(m, o, known=part(known, k)).image, y)
        model.solve(y, options, known=known)
        begin = time.perf_counter()
        model.solve(y, options, known=known)
        row(name, pictures, evaluations(options), alone, (time.perf_counter() - begin) / count)
    for most in iterations:
        torch.manual_seed(0)
        solver = CSGM(generator, inf_max_iter=most).eval()
        physics = [physics_of(model, part(known, k))[0] for k in range(count)]
        generator.calls = 0
        pictures, alone = each(lambda k, s=solver, p=physics: lambda m: to_numpy(s(to_torch(m), p[k])), y)
        row(f"deepinv's CSGM, {most}", pictures, round(generator.calls / (count + 1)), alone)
    pictures, alone = each(lambda k: total_variation(weight, *physics_of(model, part(known, k))), y)
    row(f"deepinv's TV, {weight}", pictures, "", alone)
    for name, function in classical(model).items():
        if name not in ("input", "TV"):
            pictures, alone = each(lambda k, f=function: lambda m: f(m, part(known, k)), y)
            row(name, pictures, "", alone)


if __name__ == "__main__":
    main()
