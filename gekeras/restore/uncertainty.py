"""What a restoration is not sure of: the spread of several solves of one picture that begin at different places.

Equation (3) has many minima, and a code leaves much of a picture open. Where solves from different starts agree, the
observation has decided; where they differ, the generator has chosen. The spread sees this alone: an error that all solves
share, as one of the generator or of the encoder, leaves no trace in it.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any, NamedTuple

import numpy as np

from ..config import Z_ALONE, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..operators import full_mask
from ..solve import Solution, starts
from . import batches, memory

SAMPLES = 8
PERTURBATION = 0.5  # an angle of about 27 degrees between the starter's latent and a sample's start
SCALE = 0.2  # the deviation of a picture of confidence 1/2
WHITE = 0.5  # the deviation that is drawn white: near that of values drawn evenly from [-1, 1], 0.58


class Ensemble(NamedTuple):
    """Several solves of each of n pictures; arrays are NumPy's.

    Attributes:
        solution: of each picture the sample with the lowest objective; no history, and the seconds of all samples.
        deviation: standard deviation of each pixel over the samples `[n, h, w]`, see `deviation_of`.
        confidence: `[n]` in (0, 1], see `confidence_of`.
        latents: of all samples `[n, samples, d]`; the first sample is the plain solve.
        losses: their objectives `[n, samples]`.
    """

    solution: Solution
    deviation: np.ndarray
    confidence: np.ndarray
    latents: np.ndarray
    losses: np.ndarray

    @property
    def image(self) -> np.ndarray:
        """The best sample of each picture `[n, h, w, c]`, about [-1, 1]."""
        return self.solution.image


def solve_ensemble(
    model: GenerativeEncoder,
    observation,
    options: SolveOptions | None = None,
    *,
    known=None,
    samples: int = SAMPLES,
    perturbation: float = PERTURBATION,
    batch: int | None = None,
    progress: batches.Progress = batches.no_progress,
) -> Ensemble:
    """Solve each picture several times, and compare the results.

    Args:
        observation, known: as `GenerativeEncoder.solve`.
        options: default `model.options()`, the fast set; without `finalists`, since the samples are what competes.
        samples: solves a picture, 2 or more.
        perturbation: t of `first_latents`, for a start by the starter.
        batch: solves at once; None: what the memory holds.
        progress: called with (steps done, steps in all, mean objective).

    Returns:
        `Ensemble`; each picture's is what it would be alone, and a function of the options' seed.

    Raises:
        ValueError: fewer than 2 samples, a perturbation that is not above 0, or as `GenerativeEncoder.solve`.
    """
    if samples < 2:
        raise ValueError(f"samples must be 2 or more: one solve has no spread; received {samples}")
    if not 0 < perturbation < np.inf:
        raise ValueError(f"perturbation must be above 0 and finite; received {perturbation}")
    began, options = time.perf_counter(), dataclasses.replace(options or model.options(), finalists=1)
    y = np.asarray(observation, np.float32)
    known = None if known is None else full_mask(known, y.shape)
    if batch is None:
        target = model.target(y[:1], options, None if known is None else known[:1])
        batch = memory.for_solve(model, options, target).size
    initial = first_latents(model, y, options, known=known, samples=samples, perturbation=perturbation, batch=batch)
    rounds, compared = memory.slices(len(y), max(1, batch // samples)), []
    for i, part in enumerate(rounds):

        def tell(done, total, loss, i=i):
            progress(i * total + done, len(rounds) * total, loss)

        repeated = np.repeat(y[part], samples, axis=0)
        masks = None if known is None else np.repeat(known[part], samples, axis=0)
        begin = np.concatenate(initial[part])
        solution = batches.solve_batches(model, repeated, masks, options, batch, initial=begin, progress=tell)
        compared.append(_compare(solution, samples))
    solutions, deviations, latents, losses = zip(*compared)
    solution = batches.merge_solutions(solutions)._replace(seconds=time.perf_counter() - began)
    deviation = np.concatenate(deviations)
    return Ensemble(solution, deviation, confidence_of(deviation), np.concatenate(latents), np.concatenate(losses))


def first_latents(
    model: GenerativeEncoder,
    y,
    options: SolveOptions,
    *,
    known=None,
    samples: int = SAMPLES,
    perturbation: float = PERTURBATION,
    batch: int = memory.MOST,
) -> np.ndarray:
    """Where the samples of each picture begin, `[n, samples, d]`; the first is where the plain solve does.

    Sample k of a random start has the candidates of seed + k. That of a starter's prediction z begins at

        |z| unit(unit(z) + t unit(u)),    u the generator's input drawn with seed + k, the same for every picture,

    which in many dimensions, where z and u are about orthogonal, is an angle arctan(t) away from z.

    Args:
        y: measurements `[n, ...]`.
        known: their masks `[n, h, w, 1]`.
        perturbation: t.
        batch: pictures at once.
    """
    seeds = [(options.seed + k) % 2**31 for k in range(samples)]

    def start(seed):  # a solve of no steps returns its start
        none = dataclasses.replace(options, steps=0, seed=seed, consistent=False, layers=Z_ALONE)
        return batches.solve_batches(model, y, known, none, batch).latent

    if options.start == "random":
        return np.stack([start(seed) for seed in seeds], axis=1)
    z = start(options.seed)[:, None]
    drawn = np.stack([starts.draw(seed, 1, model.latent_size, model.latent).numpy() for seed in seeds[1:]], axis=1)
    others = np.linalg.norm(z, axis=-1, keepdims=True) * _unit(_unit(z) + perturbation * _unit(drawn))
    return np.concatenate([z, others], axis=1)


def deviation_of(samples) -> np.ndarray:
    """sqrt(mean over c of sum_k (x_k - mean x)^2 / (K - 1)): K pictures `[n, K, h, w, c]`, cut to [-1, 1] -> `[n, h, w]`."""
    variance = np.var(np.clip(samples, -1, 1), axis=1, ddof=1, dtype=np.float64)
    return np.sqrt(variance.mean(axis=-1)).astype(np.float32)


def confidence_of(deviation) -> np.ndarray:
    """1 / (1 + (r / SCALE)^2), r the root mean square of a picture's deviation: `[n, ...]` -> `[n]` in (0, 1].

    It orders pictures as r does, from 1 where all samples are equal; it is no probability.
    """
    return 1 / (1 + np.square(rms(deviation) / SCALE))


def rms(values) -> np.ndarray:
    """Root mean square of each picture, `[n, ...]` -> `[n]`."""
    values = np.asarray(values, np.float64)
    return np.sqrt(np.square(values).reshape(len(values), -1).mean(axis=1))


def gray(deviation) -> np.ndarray:
    """A deviation as the gray of a picture: 0 -> -1, black; `WHITE` and above -> 1."""
    return np.clip(2 * np.asarray(deviation) / WHITE - 1, -1, 1)


def describe(deviation: np.ndarray, samples: int) -> dict[str, Any]:
    """The numbers of one picture's deviation `[...]`, for its record."""
    return {
        "samples": samples,
        "deviation": float(np.mean(deviation)),
        "rms": float(rms(deviation[None])[0]),
        "confidence": float(confidence_of(deviation[None])[0]),
        "white": WHITE,
    }


def _compare(solution: Solution, samples: int) -> tuple[Solution, np.ndarray, np.ndarray, np.ndarray]:
    """The best sample of each picture, the deviation, latents and losses, of samples that follow picture by picture."""
    latents, pictures, losses = (
        array.reshape(-1, samples, *array.shape[1:]) for array in (solution.latent, solution.image, solution.loss)
    )
    best = samples * np.arange(len(losses)) + losses.argmin(axis=1)
    arrays = {name: getattr(solution, name)[best] for name in ("latent", "image", "loss", "steps")}
    if solution.features is not None:
        arrays["features"] = solution.features[best]
    return solution._replace(**arrays), deviation_of(pictures), latents, losses


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-12)
