"""The generative encoder: a generator G, an encoder E and a forward map S, and the solve of equation (3).

Ong and Yang, "Generative Imaging and Image Processing via Generative Encoder", Algorithm 1.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .config import FIDELITIES, LATENTS, Z_ALONE, SolveOptions, named_options
from .networks import CustomNetworks, ModelOptions
from .networks.custom import (
    check_square,
    fit,
    for_noise,
    input_size,
    lacking_starter,
    network_arguments,
    picture_shape,
    preset_defaults,
)
from .networks.layers import cut_of, names_of
from .networks.modules import Range, adopt, name_of
from .operators import Task, batch_of, describe_task, full_mask, make_task
from .operators.consistency import consistent
from .solve import Layer, LayerStage, Solution, Solver, Target, joined
from .solve.solver import Callback


class GenerativeEncoder:
    """Restores pictures: x_hat = G(argmin_z ||E(S(G(z))) - E(x_dagger)||^2 + lambda ||z||^2).

    Args:
        generator: G, latent `[n, latent_size]` -> image `[n, h, w, c]`: any callable, a Keras model, or the path of a Keras
            file, a SavedModel, or a TF-Hub module (`modules.load_module`).
        encoder: E, image -> code `[n, k]`, likewise; maps `[n, h, w, k]` of a Keras model or a file are flattened.
        latent_size: d; known where the generator is a Keras model or a file that tells it.
        task: name of a task or a `Task`, which holds S and how measurements become x_dagger.
        decoder: DC, code -> image, likewise, for `decode` and the ConvAE baseline.
        starter: code `[n, k]` -> latent `[n, latent_size]`, for `SolveOptions.start`; its attribute `inverse_curvature`
            `[latent_size, latent_size]`, if it has one, is where L-BFGS starts.
        generator_range, encoder_range: of the pictures that G gives, and that E takes and DC gives; (-1, 1) by default.
        latent: what G's input is drawn from, and with it the starts: "normal", N(0, I), or "uniform" in [-1, 1]^d.

    Attributes:
        shape: (h, w, c) of the pictures, where the generator or the preset tells it.
        starterless: why a preset's networks have no starter; "" where they have one, or are not a preset's.

    Raises:
        ValueError: unknown task or latent, the latent size is neither given nor known, as `modules.adopt`, and for Keras
            models and files as `fit`.

    Example:
        A generator of 2x2 pictures with rows of one brightness, and as a code the mean of each row:

        >>> model = GenerativeEncoder(
        ...     generator=lambda z: z[:, :, None, None] * np.ones((1, 1, 2, 1), np.float32),
        ...     encoder=lambda x: x[:, :, 0, 0] / 2 + x[:, :, 1, 0] / 2,
        ...     latent_size=2,
        ... )
        >>> observation = np.reshape([0.2, 0.4, -0.5, -0.7], (1, 2, 2, 1))
        >>> model.encode(observation).round(3)
        array([[ 0.3, -0.6]], dtype=float32)
        >>> solution = model.solve(observation, model.options(weight=0.0))
        >>> solution.image[0, :, :, 0].round(3)
        array([[ 0.3,  0.3],
               [-0.6, -0.6]], dtype=float32)
    """

    def __init__(
        self,
        generator,
        encoder,
        latent_size: int | None = None,
        task="reconstruct",
        decoder=None,
        *,
        starter=None,
        generator_range: Range | None = None,
        encoder_range: Range | None = None,
        latent: str = "normal",
    ):
        if latent not in LATENTS:
            raise ValueError(f"latent must be one of {', '.join(LATENTS)}; received {latent!r}")
        generator = adopt(generator, "generator", output_range=generator_range)
        encoder = adopt(encoder, "encoder", input_range=encoder_range)
        decoder = None if decoder is None else adopt(decoder, "decoder", output_range=encoder_range)
        self.latent_size, self.latent = input_size(generator, latent_size), latent
        self.generator, self.encoder, self.decoder = fit(generator, encoder, decoder, self.latent_size)
        self.shape = picture_shape(self.generator)
        self.task: Task = make_task(task, *(self.shape or ())[1:]) if isinstance(task, str) else task
        self.custom, self.starter, self.starterless = CustomNetworks(), starter, ""
        self.defaults: dict[str, Any] = {}
        self._solvers: dict[tuple, Solver] = {}
        self._stages: dict[tuple, LayerStage] = {}
        self._metrics: dict[tuple, Any] = {}  # of all of them: what is drawn does not depend on the prior

    @classmethod
    def from_preset(
        cls,
        preset=ModelOptions.preset,
        task: str = "reconstruct",
        models=None,
        *,
        parameters=None,
        forward=None,
        custom: CustomNetworks | None = None,
    ) -> GenerativeEncoder:
        """Load a preset's parts. The generator is loaded once a process, however many tasks use it.

        Args:
            preset: name, folder, or a loaded `presets.Preset`; not looked at if `custom` has both generator and encoder.
            task: one of the preset's tasks; with an encoder of one's own any task.
            models: folder of presets to look in first.
            parameters: of the degradation, over those that the preset's encoder was trained with, as `{"sigma": 0.3}`.
            forward: S instead of the task's, see `Task.with_forward`.
            custom: networks in the places of the preset's. A generator of one's own has its own size and latent, and the
                library's options for a solve; with an encoder of one's own there is no decoder but one's own.

        Raises:
            presets.PresetError (a ValueError): unknown preset or task, missing or damaged part.
            ValueError: unknown parameter, a forward map that is none or whose result is no picture for E, or networks of
                one's own that do not fit, see `custom.fit`.
        """
        custom = custom or CustomNetworks()
        return cls.from_options(ModelOptions(task, preset, models, parameters or {}, forward, custom))

    @classmethod
    def from_options(cls, options: ModelOptions) -> GenerativeEncoder:
        """As `from_preset`, of its arguments as one object."""
        preset, task, custom = options.load_preset(), options.task, options.custom
        known = preset.tasks.get(task, {}) if preset else {}
        model = cls(**network_arguments(preset, task, custom))
        if preset is not None and custom.generator is None:
            model.shape = (preset.resolution, preset.resolution, preset.channels)
            model.defaults = preset_defaults(preset, task, custom)
        check_square(model.image_shape, name_of(model.generator))
        model.custom, model.starterless = custom, lacking_starter(preset, task, custom)
        model.task = describe_task(task, model.image_shape, {**known, **options.parameters}, options.forward)
        model.defaults = for_noise(model.defaults, known, model.task.noise_variance)
        return model

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`shape`, for what cannot do without it. Raises ValueError where it is not known."""
        if self.shape is None:
            raise ValueError("how large its pictures are has to be known of a generator: take a Keras model, or a preset")
        return self.shape

    def with_task(self, task: Task) -> GenerativeEncoder:
        """The same networks for another task, as for observations of another size (`Task.of_size`)."""
        other = copy.copy(self)
        other.task, other._solvers, other._stages, other._metrics = task, {}, {}, {}
        return other

    def options(self, fidelity: str = "fast", **changes: Any) -> SolveOptions:
        """A named set of options, then the preset's values (except for `"paper"`), then `changes` that are not None.

        Without a starter, or a code that it could read, the sets have more steps and screened random starts. A layer is
        searched only where there are pixels to compare with. Raises ValueError as `config.named_options`.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        defaults = {} if fidelity == "paper" else dict(self.defaults)
        coded, pixels = given.get("code_weight") != 0, given.get("pixel_weight") != 0 and self.task.measure is not None
        kept = dict.fromkeys(["layers", "layer_weight", "consistent"], pixels and coded)
        kept |= {"decoder_weight": self.decoder is not None and coded, "pixel_weight": pixels and coded}
        defaults = {name: value for name, value in defaults.items() if kept.get(name, True)}
        if pixels and given.get("layers", Z_ALONE) != Z_ALONE:
            defaults.setdefault("pixel_weight", 1.0)  # features that only a code asks for are no picture's
        return named_options(fidelity, given, defaults, aided=self.starter is not None and coded)

    def note(self, fidelity: str = "fast", **changes: Any) -> str:
        """What a solve with `options` of these arguments has in the place of the starter that the set begins with, and why.

        "" if it has one, if the caller names the start, and of networks of one's own, which never have one; of a generator
        of one's own that there is no layer in which the search could go on.
        """
        whole = self.custom.generator is not None and fidelity != "paper" and not names_of(self.generator)
        alone = f"the generator {name_of(self.generator)} has no layers to search: z alone" if whole else ""
        options, named = self.options(fidelity, **changes), any(changes.get(name) for name in ("start", "starts"))
        why = self.starterless if self.starter is None else "code_weight is 0, and a starter reads the code"
        if named or not why or options.start == FIDELITIES[fidelity].start:
            return alone
        return f"{why}: the best of {options.starts} random starts instead, and {options.steps} steps"

    def encode(self, observation, known=None) -> np.ndarray:
        """m = E(x_dagger): measurements `[n, h, w, c]` -> code `[n, k]`; a low-resolution one is enlarged first.

        Args: as `solve`. Raises ValueError as `solve`.
        """
        return np.asarray(self.encoder(self.task.lift(self._measured(observation, known))))

    def generate(self, latent) -> np.ndarray:
        """G(z): `[n, latent_size]` -> `[n, h, w, c]`."""
        return np.asarray(self.generator(np.asarray(latent, np.float32)))

    def decode(self, code) -> np.ndarray:
        """DC(m), the autoencoder's own picture (the ConvAE baseline). Raises ValueError without a decoder."""
        if self.decoder is None:
            raise ValueError("this GenerativeEncoder has no decoder: there is no picture without a solve")
        return np.asarray(self.decoder(np.asarray(code, np.float32)))

    def solve(
        self,
        observation,
        options: SolveOptions | None = None,
        *,
        known=None,
        initial=None,
        callback: Callback | None = None,
        chunk: int = 0,
        at_once: int | None = None,
    ) -> Solution:
        """Restore a batch of measurements.

        Args:
            observation: P(x), `[n, h, w, c]` in [-1, 1]; for superres the low resolution, of the task's size.
            options: default `self.options()`, the fast set.
            known: for a task with missing pixels the mask `[n, h, w, 1]` or `[h, w]`, 1 where a pixel is known.
            initial, callback, chunk, at_once: see `solve.Solver.solve`.

        Returns:
            `Solution` with `image` `[n, H, W, c]`; each image is what it would be if solved alone.

        Raises:
            ValueError: no batch, one that is not of the task's size, a mask that is missing, not wanted or of another size,
                options as in `check`, or initial latents of another shape.

        Example:
            Super-resolution by a generator that knows one picture, and how bright it is:

            >>> picture = np.arange(4, dtype=np.float32).reshape(1, 2, 2, 1) / 4
            >>> model = GenerativeEncoder(
            ...     generator=lambda z: z[:, :, None, None] * picture,
            ...     encoder=lambda x: x[:, 0, :1, 0],
            ...     latent_size=1,
            ...     task=make_task("superres", factor=2),
            ... )
            >>> solution = model.solve(np.full((1, 1, 1, 1), 0.75), model.options(steps=200, weight=0.0))
            >>> solution.image[0, :, :, 0].round(2)
            array([[0. , 0.5],
                   [1. , 1.5]], dtype=float32)
        """
        options = options or self.options()
        target = self.target(observation, options, known)
        solution = self.solver(options).solve(
            target, self.latent_size, options, initial=initial, callback=callback, chunk=chunk, at_once=at_once
        )
        if options.layers != Z_ALONE:
            stage = self.layer_stage(options)
            found = stage.solve(solution.latent, target, options, callback=callback, chunk=chunk, at_once=at_once)
            solution = joined(solution, found)
        if not options.consistent:
            return solution
        y = self._measured(observation, known)
        return solution._replace(image=consistent(self.task, solution.image, y, target.known))

    def target(self, observation, options: SolveOptions, known=None) -> Target:
        """What the solver is given of a batch of measurements: code, measurement and mask, as far as the options ask.

        Args and Raises: as `solve`.
        """
        self.check(options)
        y = self._measured(observation, known)
        mask = full_mask(known, y.shape) if self.task.masked else None
        code = self.encoder(self.task.lift(y)) if options.code_weight or options.decoder_weight else None
        target = self._decoded(Target(code, y if options.pixel_weight else None, mask), options)
        if target.decoded is None or target.measurement is None or not self.task.exact:
            return target
        return target._replace(decoded=np.clip(consistent(self.task, target.decoded, y, mask), -1, 1))

    def check(self, options: SolveOptions) -> None:
        """Raise ValueError if the options compare with what there is not: a linear measurement, or a decoder's picture."""
        if options.decoder_weight and self.decoder is None:
            raise ValueError("this GenerativeEncoder has no decoder: decoder_weight (gamma) must be 0")
        if options.pixel_weight and self.task.measure is None:
            raise ValueError(f"task {self.task.name} has no linear measurement: pixel_weight (beta) must be 0")
        if options.consistent and not self.task.exact:
            raise ValueError(f"task {self.task.name} has no noise-free partial measurement that a result could agree with")
        if options.layers != Z_ALONE:
            cut_of(self.generator, options.layers)

    def solve_code(
        self, code, options: SolveOptions | None = None, *, callback: Callback | None = None, chunk=0, at_once=None
    ) -> Solution:
        """As `solve`, from the code m alone `[n, k]`: all that a receiver of compressed pictures has.

        Raises ValueError for options that need the measurement itself.
        """
        options = options or self.options(pixel_weight=0.0)
        target = self.code_target(code, options)
        return self.solver(options).solve(target, self.latent_size, options, callback=callback, chunk=chunk, at_once=at_once)

    def code_target(self, code, options: SolveOptions) -> Target:
        """As `target`, of codes. Raises ValueError as `solve_code`."""
        if options.pixel_weight or options.consistent or not (options.code_weight or options.decoder_weight):
            raise ValueError("a code alone has no pixels to compare with: pixel_weight and consistent need the measurement")
        if options.layers != Z_ALONE:
            raise ValueError("a code alone says too little to search a layer's features: layers must be none")
        self.check(options)
        return self._decoded(Target(np.asarray(code, np.float32)), options)

    def _decoded(self, target: Target, options: SolveOptions) -> Target:
        """The target with DC(m) where the objective has that term, and without m where it has no other use for it."""
        decoded = self.decoder(target.code) if options.decoder_weight else None
        read = options.code_weight or options.start == "starter"
        return target._replace(code=target.code if read else None, decoded=decoded)

    def solver(self, options: SolveOptions) -> Solver:
        """The solver that serves these options, compiled when it is first used and kept."""
        key = (options.prior, options.ramp, options.optimizer)
        if key not in self._solvers:
            task = self.task
            self._solvers[key] = Solver(
                self.generator,
                self.encoder,
                task.forward,
                task.measure or task.forward,
                prior=options.prior,
                ramp=options.ramp,
                optimizer=options.optimizer,
                latent=self.latent,
                starter=self.starter,
                metrics=self._metrics,
            )
        return self._solvers[key]

    def layer_stage(self, options: SolveOptions) -> LayerStage:
        """What searches the options' layer once z is found, compiled when it is first used and kept."""
        key = (options.layers, options.ramp)
        if key not in self._stages:
            layer, task = Layer(*cut_of(self.generator, options.layers)), self.task
            parts = self.encoder, task.forward, task.measure or task.forward
            self._stages[key] = LayerStage(layer, self.latent_size, *parts, ramp=options.ramp)
        return self._stages[key]

    def draw(self, point, done: int, options: SolveOptions) -> np.ndarray:
        """The pictures of what a `callback` is called with after so many evaluations: of z, or of a layer's features."""
        return self.generate(point) if done <= options.steps else np.asarray(self.layer_stage(options).draw(point))

    def _measured(self, observation, known) -> np.ndarray:
        """The batch as float32, with zeros where the mask says that nothing is known."""
        y = self.task.checked(batch_of(observation), self.shape)
        if self.task.masked != (known is not None):
            needs = "needs a mask: known, 1 where a pixel is known" if self.task.masked else "takes no mask"
            raise ValueError(f"task {self.task.name} {needs}")
        return y if known is None else y * full_mask(known, y.shape)
