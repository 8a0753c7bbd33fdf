"""Options of a solve, and named sets of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from .rules import check, documented, require, setting

RAMPS = ("none", "cosine")
PRIORS = ("l2", "sphere", "norm", "box")
OPTIMIZERS = ("adam", "lbfgs")
STARTS = ("random", "starter")
Z_ALONE = "none"  # of layers: the paper's solve
FEWEST = 20  # steps below which drawing the metric of lbfgs does not pay
LATENTS = ("normal", "uniform")  # what a generator's input is drawn from: N(0, I), or evenly from [-1, 1]^d


@documented
@dataclass(frozen=True)
class SolveOptions:
    """How equation (3) is minimized. The defaults are the paper's (section 4.4); `FIDELITIES` holds named sets.

    Raises:
        ValueError: a value that its attribute does not allow, no term to minimize, or more finalists than starts.

    Example:
        >>> SolveOptions(steps=100, ramp="cosine").learning_rate
        0.1
        >>> SolveOptions(steps=-1)
        Traceback (most recent call last):
        ValueError: steps must be 0 or more; received -1
    """

    steps: int = setting(1400, "Evaluations of the objective and its gradient; 0 gives the start itself.", minimum=0)
    optimizer: str = setting(
        "adam",
        "adam, the paper's, or lbfgs, with the averaged curvature of the preset's starter if it has one.",
        choices=OPTIMIZERS,
    )
    learning_rate: float = setting(0.1, "Adam's; the first step of either is about sqrt(d) times as long.", above=0)
    ramp: str = setting("none", "cosine: Adam's rate falls to zero along half a cosine over the steps.", choices=RAMPS)
    weight: float = setting(
        0.001,
        "lambda, of the prior. The paper does not print it; 0.001 is that of Bora et al. 2017.",
        minimum=0,
        symbol="lambda",
    )
    prior: str = setting(
        "l2",
        "On the latent: l2, the paper's ||z||^2; sphere, z is kept at its typical norm; norm, softly so; box, ||z||^2, and "
        "z is kept in [-1, 1]^d, for a generator of uniform latents.",
        choices=PRIORS,
    )
    start: str = setting(
        "random",
        "Where to begin: at random, as the paper, or as the preset's starter predicts from the code.",
        choices=STARTS,
    )
    starts: int = setting(
        1,
        "Random candidates a picture, of which the one with the lowest objective (without its prior) is the start.",
        minimum=1,
    )
    finalists: int = setting(
        1,
        "So many of the best candidates take the first steps, of which the better go on, until one is left; their steps "
        "count as the picture's, and take half of them at most.",
        minimum=1,
    )
    probes: int = setting(
        0,
        "Draws that the metric of lbfgs, the inverse of the averaged curvature, is measured with, once for all pictures, "
        "each as much work as an evaluation; none for less than 20 steps. 0: the starter's metric if there is one.",
        minimum=0,
    )
    tolerance: float = setting(
        0.0,
        "Stop a picture when its best objective fell by less than this fraction over `patience` steps; 0: never.",
        minimum=0,
    )
    patience: int = setting(20, "See tolerance.", minimum=1)
    seed: int = setting(
        0,
        "Of the starts: same seed, same result. A picture's result does not depend on the batch that it is solved in.",
        minimum=0,
        maximum=2**31 - 1,
    )
    code_weight: float = setting(
        1.0, "alpha, of ||E(S(G(z))) - m||^2; 1 in the paper, 0 leaves E out.", minimum=0, symbol="alpha"
    )
    pixel_weight: float = setting(
        0.0,
        "beta, of ||A G(z) - y||^2, A being the linear part of the degradation; 0 in the paper.",
        minimum=0,
        symbol="beta",
    )
    decoder_weight: float = setting(
        0.0,
        "gamma, of ||G(z) - DC(m)||^2, DC(m) being the autoencoder's own picture; 0 in the paper.",
        minimum=0,
        symbol="gamma",
    )
    layers: str = setting(
        "none",
        "Layer of the generator whose features are searched once z is found, as 8 or 16 (pixels a side) of a preset, or a "
        "layer's name of a Keras model; none: z alone, as in the paper.",
    )
    layer_steps: int = setting(
        40, "Evaluations that the search of the features has, each of the layers above and E.", minimum=0
    )
    layer_rate: float = setting(0.045, "Adam's, on the features.", above=0)
    layer_weight: float = setting(
        0.001,
        "mu, of ||h - h(z)||^2: how far the features may go from what z gives.",
        minimum=0,
        symbol="mu",
    )
    consistent: bool = setting(
        False, "Correct the result to x + A^+(y - A x), so that degrading it gives the measurement; off in the paper."
    )

    def __post_init__(self):
        check(self)
        every = (self.code_weight, self.pixel_weight, self.decoder_weight)
        require(any(every), "code_weight, pixel_weight and decoder_weight must not all be 0", every)
        require(bool(self.layers), "layers must name a layer, or be none", self.layers)
        require(self.finalists <= self.starts, "finalists must be 1 or more, and no more than starts", self.finalists)


def check_effect(options: SolveOptions, given: Collection[str]) -> None:
    """Raise ValueError for a value that a caller gave and that a solve with these options does not look at.

    Args:
        given: names of the fields.

    Example:
        >>> check_effect(SolveOptions(prior="sphere", weight=0.1), ["weight"])
        Traceback (most recent call last):
        ValueError: weight would change nothing: the prior sphere has none; take l2, norm or box, or leave weight out
    """
    lbfgs, steps, patience = options.optimizer == "lbfgs", options.steps, options.patience
    most = steps if options.layers == Z_ALONE else max(steps, options.layer_steps)
    idle = {  # name -> (the value that asks for nothing, whether another one would do nothing, why)
        "weight": (0, options.prior == "sphere", "the prior sphere has none; take l2, norm or box"),
        "ramp": ("none", lbfgs, "lbfgs finds its own steps; take adam"),
        "probes": (0, not lbfgs or steps < FEWEST, f"they are for lbfgs and {FEWEST} steps or more"),
        "tolerance": (0, most <= patience, f"it looks back over {patience} steps, and there are {most}"),
        "patience": (SolveOptions.patience, not options.tolerance, "it is for a tolerance; give one"),
        "starts": (1, options.start == "starter", "the starter gives the start; take random"),
    }
    names = ("layer_steps", "layer_rate", "layer_weight")
    idle |= {name: (None, options.layers == Z_ALONE, "no layer is searched; name one by layers") for name in names}
    for name, (nothing, unused, why) in idle.items():
        if unused and name in given and getattr(options, name) != nothing:
            raise ValueError(f"{name} would change nothing: {why}, or leave {name} out")


# "paper": section 4.4 as printed. The others, chosen by `benchmarks/solve.py` (docs/measurements/quality-against-work.md),
# begin where a starter says; on the sphere, since a progressive GAN does not see |z|.
FIDELITIES = {
    "paper": SolveOptions(),
    "fast": SolveOptions(steps=14, optimizer="lbfgs", start="starter", prior="sphere"),
    "best": SolveOptions(steps=140, optimizer="lbfgs", start="starter", prior="sphere"),
}

# What they have where a layer is searched, too: "best" the same evaluations in all, those beyond 40 for z, since features
# that are searched for longer learn the noise (docs/measurements/layers.md). Without a starter z needs all its steps.
LAYERED: dict[str, dict[str, Any]] = {"fast": {"layer_steps": 40}, "best": {"steps": 100, "layer_steps": 40}}

# The same where there is no starter, as for networks of one's own, of which nothing is known.
UNAIDED = {
    "paper": SolveOptions(),
    "fast": SolveOptions(steps=100, optimizer="lbfgs", starts=256, finalists=8, probes=128),
    "best": SolveOptions(steps=500, optimizer="lbfgs", starts=256, finalists=8, probes=128),
}


def named_options(fidelity: str, given: dict[str, Any], defaults: dict[str, Any], *, aided: bool) -> SolveOptions:
    """The options of a name, then what a preset prefers, then what a caller gave.

    Args:
        fidelity: one of `FIDELITIES`.
        given, defaults: fields of `SolveOptions`.
        aided: whether there is a starter, and a code that it reads.

    Raises:
        ValueError: an unknown fidelity or option value, and as `check_effect`.

    Example:
        >>> options = named_options("best", {"seed": 3}, {"layers": "16"}, aided=True)
        >>> options.steps, options.layers, options.layer_steps
        (100, '16', 40)
    """
    if fidelity not in FIDELITIES:
        raise ValueError(f"unknown fidelity {fidelity!r}; there are {', '.join(FIDELITIES)}")
    given = dict(given)
    if "starts" in given:
        given.setdefault("start", "random")
    chosen = (FIDELITIES if aided else UNAIDED)[fidelity]
    if {**defaults, **given}.get("layers", Z_ALONE) != Z_ALONE:
        own = LAYERED.get(fidelity, {})
        chosen = replace(chosen, **{name: value for name, value in own.items() if aided or name != "steps"})
    if given.get("starts", chosen.starts) < chosen.finalists:
        given.setdefault("finalists", given["starts"])
    options = replace(chosen, **{**defaults, **given})
    check_effect(options, [name for name, value in given.items() if value != getattr(chosen, name)])
    return options
