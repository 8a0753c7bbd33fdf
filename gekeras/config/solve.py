"""Options of a solve, and named sets of them."""

from __future__ import annotations

from dataclasses import dataclass

from .rules import require

RAMPS = ("none", "cosine")
PRIORS = ("l2", "sphere", "norm", "box")
OPTIMIZERS = ("adam", "lbfgs")
STARTS = ("random", "starter")
PRECISIONS = ("float32", "bfloat16")
LATENTS = ("normal", "uniform")  # what a generator's input is drawn from: N(0, I), or evenly from [-1, 1]^d


@dataclass(frozen=True)
class SolveOptions:
    """How equation (3) is minimised. The defaults are the paper's (section 4.4); `FIDELITIES` holds named sets.

    Attributes:
        steps: evaluations of the objective's gradient; 0 returns the start.
        optimizer: `"adam"`, the paper's, or `"lbfgs"`, with the averaged curvature of the preset's starter if it has one.
        learning_rate: Adam's; the first step of either is about sqrt(d) times as long.
        ramp: `"none"`, or `"cosine"`: the rate falls to zero along a half cosine over the steps.
        weight: lambda, the prior's weight. The paper does not print it; 0.001 is that of Bora et al. 2017.
        prior: `"l2"` (the paper's ||z||^2), `"sphere"` (z is kept at its typical norm), `"norm"`, or `"box"` (||z||^2, and z
            is kept in [-1, 1]^d, for a generator of uniform latents).
        start: `"random"`, the paper's, or `"starter"`: what the preset's starter predicts from the code.
        starts: of a random start: candidates a picture, drawn from the generator's own distribution, of which the one with
            the lowest objective (without its prior) is the start; 1 is the paper's.
        finalists: so many of the best candidates take the first steps, of which the better go on, until one is left; their
            steps count as the picture's, and take half of `steps` at most.
        probes: of L-BFGS: draws that its metric is taken from, the inverse of the averaged curvature. Each is as much work
            as an evaluation, all of them once for all pictures, and none for less than 20 steps; 0: the starter's metric if
            there is one.
        tolerance: stop a picture when its best objective fell by less than this fraction over `patience` steps; 0: never.
        patience: see `tolerance`.
        seed: of the starts. A picture's result depends on it alone, not on the batch the picture is solved in.
        code_weight: alpha, the weight of ||E(S(G(z))) - m||^2; 0 leaves E out.
        pixel_weight: beta, the weight of ||A G(z) - y||^2, A being the linear part of the degradation; 0 in the paper.
        decoder_weight: gamma, the weight of ||G(z) - DC(m)||^2, DC(m) being the autoencoder's own picture; 0 in the paper.
        precision: of G's and E's convolutions: `"float32"`, or `"bfloat16"` for all steps but the last quarter, which takes
            some 60 % of the time where the processor has it.
        consistent: correct the result to x + A^+(y - A x), so that degrading it gives the measurement; False in the paper.
    """

    steps: int = 1400
    optimizer: str = "adam"
    learning_rate: float = 0.1
    ramp: str = "none"
    weight: float = 0.001
    prior: str = "l2"
    start: str = "random"
    starts: int = 1
    finalists: int = 1
    probes: int = 0
    tolerance: float = 0.0
    patience: int = 20
    seed: int = 0
    code_weight: float = 1.0
    pixel_weight: float = 0.0
    decoder_weight: float = 0.0
    precision: str = "float32"
    consistent: bool = False

    def __post_init__(self):
        require(self.steps >= 0, "steps must be 0 or more", self.steps)
        require(self.learning_rate > 0, "learning_rate must be above 0", self.learning_rate)
        require(self.weight >= 0, "weight (lambda) must be 0 or more", self.weight)
        require(self.code_weight >= 0, "code_weight (alpha) must be 0 or more", self.code_weight)
        require(self.pixel_weight >= 0, "pixel_weight (beta) must be 0 or more", self.pixel_weight)
        require(self.decoder_weight >= 0, "decoder_weight (gamma) must be 0 or more", self.decoder_weight)
        every = (self.code_weight, self.pixel_weight, self.decoder_weight)
        require(any(every), "code_weight, pixel_weight and decoder_weight must not all be 0", every)
        require(self.starts >= 1, "starts must be 1 or more", self.starts)
        require(1 <= self.finalists <= self.starts, "finalists must be 1 or more, and no more than starts", self.finalists)
        require(self.probes >= 0, "probes must be 0 or more", self.probes)
        require(self.tolerance >= 0, "tolerance must be 0 or more", self.tolerance)
        require(self.patience >= 1, "patience must be 1 or more", self.patience)
        require(self.optimizer in OPTIMIZERS, f"optimizer must be one of {', '.join(OPTIMIZERS)}", self.optimizer)
        require(self.start in STARTS, f"start must be one of {', '.join(STARTS)}", self.start)
        require(self.precision in PRECISIONS, f"precision must be one of {', '.join(PRECISIONS)}", self.precision)
        require(self.ramp in RAMPS, f"ramp must be one of {', '.join(RAMPS)}", self.ramp)
        require(self.prior in PRIORS, f"prior must be one of {', '.join(PRIORS)}", self.prior)


# "paper": section 4.4 as printed. The others, chosen by `benchmarks/solve.py` (docs/measurements/quality-against-work.md),
# begin where a starter says; on the sphere, since a progressive GAN does not see |z|.
FIDELITIES = {
    "paper": SolveOptions(),
    "fast": SolveOptions(steps=14, optimizer="lbfgs", start="starter", prior="sphere"),
    "best": SolveOptions(steps=140, optimizer="lbfgs", start="starter", prior="sphere"),
}

# The same where there is no starter, as for networks of one's own, of which nothing is known.
UNAIDED = {
    "paper": SolveOptions(),
    "fast": SolveOptions(steps=100, optimizer="lbfgs", starts=256, finalists=8, probes=128),
    "best": SolveOptions(steps=500, optimizer="lbfgs", starts=256, finalists=8, probes=128),
}
