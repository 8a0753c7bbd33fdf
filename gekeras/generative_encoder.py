"""The generative encoder: a generator G, an encoder E and a forward map S, and the solve of equation (3).

Ong and Yang, "Generative Imaging and Image Processing via Generative Encoder", Algorithm 1.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from . import presets
from .config import FIDELITIES, SolveOptions
from .operators import Task, make_task
from .solve import Solution, Solver
from .solve.loop import Callback


class GenerativeEncoder:
    """Restores pictures: x_hat = G(argmin_z ||E(S(G(z))) - E(x_dagger)||^2 + lambda ||z||^2).

    Args:
        generator: G, any callable latent `[n, latent_size]` -> image `[n, h, w, c]` in [-1, 1].
        encoder: E, any callable image -> code `[n, k]`.
        latent_size: d; read from the generator's input shape if it is a Keras model.
        task: name of a task or a `Task`, which holds S and how measurements become x_dagger.
        decoder: DC, code -> image, for `decode` and the ConvAE baseline.

    Raises:
        ValueError: unknown task, or the latent size is neither given nor known.
    """

    def __init__(self, generator, encoder, latent_size: int | None = None, task="reconstruct", decoder=None):
        self.generator, self.encoder, self.decoder = generator, encoder, decoder
        self.task: Task = make_task(task) if isinstance(task, str) else task
        self.latent_size = latent_size or _input_size(generator)
        self.defaults: dict[str, Any] = {}
        self._solvers: dict[tuple, Solver] = {}

    @classmethod
    def from_preset(cls, preset="faces-64", task: str = "reconstruct", models=None) -> GenerativeEncoder:
        """Load a preset's parts. The generator is loaded once a process, however many tasks use it.

        Args:
            preset: name, folder, or a loaded `presets.Preset`.
            task: one of the preset's tasks.
            models: folder of presets to look in first.

        Raises:
            presets.PresetError (a ValueError): unknown preset or task, missing or damaged part.
        """
        if not isinstance(preset, presets.Preset):
            preset = presets.load(preset, models)
        description = make_task(task, **preset.task_parameters(task))
        parts = [preset.part(name) for name in ("generator", f"encoder-{task}", f"decoder-{task}")]
        model = cls(parts[0], parts[1], preset.latent_size, description, parts[2])
        model.defaults = preset.info.get("solve", {})
        return model

    def options(self, fidelity: str = "fast", **changes: Any) -> SolveOptions:
        """A named set of options, then the preset's values (except for `"paper"`), then `changes` that are not None.

        Raises ValueError for an unknown fidelity or option value.
        """
        if fidelity not in FIDELITIES:
            raise ValueError(f"unknown fidelity {fidelity!r}; there are {', '.join(FIDELITIES)}")
        given = {name: value for name, value in changes.items() if value is not None}
        defaults = {} if fidelity == "paper" else self.defaults
        return dataclasses.replace(FIDELITIES[fidelity], **{**defaults, **given})

    def encode(self, observation) -> np.ndarray:
        """m = E(x_dagger): measurements `[n, h, w, c]` -> code `[n, k]`; a low-resolution one is enlarged first."""
        return np.asarray(self.encoder(self.task.lift(_batch(observation))))

    def generate(self, latent) -> np.ndarray:
        """G(z): `[n, latent_size]` -> `[n, h, w, c]`."""
        return np.asarray(self.generator(np.asarray(latent, np.float32)))

    def decode(self, code) -> np.ndarray:
        """DC(m), the autoencoder's own picture (the ConvAE baseline). Raises ValueError without a decoder."""
        if self.decoder is None:
            raise ValueError("this GenerativeEncoder has no decoder")
        return np.asarray(self.decoder(np.asarray(code, np.float32)))

    def solve(
        self, observation, options: SolveOptions | None = None, *, callback: Callback | None = None, chunk=0
    ) -> Solution:
        """Restore a batch of measurements.

        Args:
            observation: P(x), `[n, h, w, c]` in [-1, 1]; for superres the low resolution.
            options: default `self.options()`, the fast set.
            callback, chunk: see `solve.Solver.solve`.

        Returns:
            `Solution` with `image` `[n, H, W, c]`; each image is what it would be if solved alone.
        """
        return self.solve_code(self.encode(observation), options, callback=callback, chunk=chunk)

    def solve_code(
        self, code, options: SolveOptions | None = None, *, callback: Callback | None = None, chunk=0
    ) -> Solution:
        """As `solve`, from the code m alone: all that a receiver of compressed pictures has."""
        options = options or self.options()
        solver = self._solver(options)
        return solver.solve(code, self.latent_size, options, callback=callback, chunk=chunk)

    def _solver(self, options: SolveOptions) -> Solver:
        key = (options.prior, options.ramp)
        if key not in self._solvers:
            self._solvers[key] = Solver(
                self.generator, self.encoder, self.task.forward, prior=options.prior, ramp=options.ramp
            )
        return self._solvers[key]


def _batch(images) -> np.ndarray:
    images = np.asarray(images, np.float32)
    if images.ndim != 4:
        raise ValueError(f"expected a batch [n, h, w, c]; received shape {list(images.shape)}")
    return images


def _input_size(generator) -> int:
    if hasattr(generator, "input_shape"):
        return generator.input_shape[-1]
    raise ValueError("latent_size is needed: the generator is not a Keras model that tells it")
