"""What GE is compared with, each method a function from measurements (and masks) to pictures.

ConvAE is DC(E(x_dagger)). invertGAN is equation (4), argmin_z ||G(z) - x_dagger||^2 + lambda ||z||^2, and CSGM (Bora et al.
2017) its kin that knows the degradation, argmin_z ||A G(z) - y||^2 + lambda ||z||^2; both are solved with GE's own options
and starts (section 4.5). AEGAN is G'(E'(x)). The rest is what scikit-image and bicubic interpolation give for free.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ..config import UNAIDED, Z_ALONE, SolveOptions
from ..generative_encoder import GenerativeEncoder
from ..networks.presets import Preset
from ..operators import GaussianBlur, Identity, Noise, bicubic
from ..operators.consistency import consistent
from ..restore import codes
from ..solve import Solver, Target
from . import baselines

# Pictures `[n, h, w, c]` by name, from measurements `[n, ...]`, masks `[n, h, w, 1]` or None, and how many the memory holds
# (`at_once` of `Solver.solve`).
Group = Callable[..., dict[str, np.ndarray]]


def groups(
    model: GenerativeEncoder, options: SolveOptions, preset: Preset | None = None, bits: tuple[int, ...] = ()
) -> dict[tuple[str, ...], Group]:
    """The methods that suit the task, those that share their work in one group under the names of its results.

    Args:
        options: of every solve.
        preset: where AEGAN's parts are, if it has them.
        bits: also GE and ConvAE from codes stored at so many bits.
    """
    task = model.task
    table: dict[tuple[str, ...], Group] = {}
    if task.exact:
        table["GE", "GE consistent"] = lambda y, known, at_once=None: _ge_twice(model, options, y, known, at_once)
    else:
        table[("GE",)] = lambda y, known, at_once=None: {"GE": model.solve(y, options, known=known, at_once=at_once).image}
    if options.layers != Z_ALONE:
        alone = dataclasses.replace(options, layers=Z_ALONE, consistent=False)
        table[("GE z",)] = lambda y, known, at_once=None: {"GE z": model.solve(y, alone, known=known, at_once=at_once).image}
    if model.decoder is not None:
        names = ("ConvAE", "ConvAE consistent")[: 1 + task.exact]
        table[names] = lambda y, known, at_once=None: _decoded(model, y, known)
    table[("invertGAN",)] = _invert_gan(model, options)
    if task.exact:  # elsewhere A is the identity, a mean, or not known, and this is invertGAN
        pixels = pixels_only(options)
        table[("CSGM",)] = lambda y, known, at_once=None: {
            "CSGM": model.solve(y, pixels, known=known, at_once=at_once).image
        }
    if preset is not None and preset.has("aegan-encoder") and isinstance(task.degrade, Identity):
        table[("AEGAN",)] = _aegan(preset)
    for count in bits:
        table[(f"GE {count} bit", f"ConvAE {count} bit")[: 1 + (model.decoder is not None)]] = _coded(model, options, count)
    table.update({(name,): _named(name, function) for name, function in classical(model).items()})
    return table


def names_in(table: dict[tuple[str, ...], Group]) -> tuple[str, ...]:
    """Of all methods that `groups` gave."""
    return tuple(name for group in table for name in group)


def check_names(given: tuple[str, ...], offered: Sequence[str]) -> None:
    """Raise ValueError for a method that is not among those offered."""
    if unknown := set(given) - set(offered):
        raise ValueError(f"unknown method {', '.join(sorted(unknown))}; there are {', '.join(offered)}")


def classical(model: GenerativeEncoder) -> dict[str, Callable]:
    """name -> function (y, known) of the methods without a network; `input` is the observation as it is."""
    task = model.task
    table: dict[str, Callable] = {}
    if task.factor > 1:
        table["bicubic"] = lambda y, known: bicubic(y, task.factor).numpy()
    if isinstance(task.degrade, Noise):
        sigma = task.degrade.sigma
        table["TV"] = lambda y, known: baselines.total_variation(y, sigma)
        table["NLM"] = lambda y, known: baselines.non_local_means(y, sigma)
    if isinstance(task.degrade, GaussianBlur):
        kernel = task.degrade.kernel
        table["Wiener"] = lambda y, known: baselines.wiener(y, kernel)
        table["Richardson-Lucy"] = lambda y, known: baselines.richardson_lucy(y, kernel, iterations=300)
    if task.masked:
        table["biharmonic"] = baselines.biharmonic
    if not isinstance(task.degrade, Identity):
        table["input"] = lambda y, known: np.asarray(task.lift(y))
    return table


def _named(name: str, function: Callable) -> Group:
    return lambda y, known, at_once=None: {name: function(y, known)}


def _ge_twice(model: GenerativeEncoder, options: SolveOptions, y, known, at_once) -> dict[str, np.ndarray]:
    """GE's picture, and the same one corrected to agree with the measurement."""
    plain = model.solve(y, dataclasses.replace(options, consistent=False), known=known, at_once=at_once).image
    return {"GE": plain, "GE consistent": consistent(model.task, plain, y, known)}


def _decoded(model: GenerativeEncoder, y, known) -> dict[str, np.ndarray]:
    """The decoder's picture; where there is a measurement to agree with, also made to."""
    plain = model.decode(model.encode(y, known))
    return {"ConvAE": plain} | ({"ConvAE consistent": consistent(model.task, plain, y, known)} if model.task.exact else {})


def pixels_only(options: SolveOptions) -> SolveOptions:
    """The options of invertGAN and CSGM beside those of GE: a starter needs a code, so that they get what GE would have
    without one, screened starts and no fewer steps."""
    changes: dict[str, Any] = dict(code_weight=0.0, pixel_weight=1.0, decoder_weight=0.0, consistent=False, layers=Z_ALONE)
    if options.start == "starter":
        unaided = UNAIDED["fast"]
        changes |= {name: getattr(unaided, name) for name in ("start", "starts", "finalists", "probes")}
        changes["steps"] = max(options.steps, unaided.steps)
    return dataclasses.replace(options, **changes)


def _invert_gan(model: GenerativeEncoder, options: SolveOptions) -> Group:
    """Equation (4): x_dagger as it is, whatever happened to it."""
    options = pixels_only(options)
    solver = Solver(
        model.generator,
        prior=options.prior,
        ramp=options.ramp,
        optimizer=options.optimizer,
        latent=model.latent,
        starter=model.starter,
    )

    def solve(y, known, at_once=None):
        lifted = model.task.lift(tf.constant(y))
        return {"invertGAN": solver.solve(Target(measurement=lifted), model.latent_size, options, at_once=at_once).image}

    return solve


def _aegan(preset: Preset) -> Group:
    encoder, generator = preset.part("aegan-encoder"), preset.part("aegan-generator")
    return lambda y, known, at_once=None: {"AEGAN": np.asarray(generator(encoder(y)))}


def _coded(model: GenerativeEncoder, options: SolveOptions, bits: int) -> Group:
    options = dataclasses.replace(options, pixel_weight=0.0, layers=Z_ALONE)  # a receiver of codes has no pixels

    def restore(y, known, at_once=None):
        code = codes.dequantize(codes.quantize(model.encode(y), bits))
        pictures = {f"GE {bits} bit": model.solve_code(code, options, at_once=at_once).image}
        return {**pictures, f"ConvAE {bits} bit": model.decode(code)} if model.decoder is not None else pictures

    return restore
