"""Options of data and of training; no option lives anywhere else."""

from __future__ import annotations

from dataclasses import dataclass

from .rules import require

# Minibatch per resolution of the progressive GAN's single-GPU configuration.
MINIBATCH = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
LEARNING_RATE = {1024: 0.0015}  # of the same configuration, 0.001 elsewhere


@dataclass(frozen=True)
class Stage:
    """One resolution of the progressive schedule: `fade` images while alpha rises from 0 to 1, then `stable` images."""

    resolution: int
    fade: int
    stable: int

    def __post_init__(self):
        if self.fade < 0 or self.stable < 0 or self.fade + self.stable == 0:
            raise ValueError(f"a stage needs fade >= 0 and stable >= 0 images, not both zero; received {self}")


def paper_stages(resolution: int, start: int = 4, images: int = 600_000) -> tuple[Stage, ...]:
    """The original's schedule: `images` of fade-in, then as many stable ones, a resolution; the first has no fade."""
    sizes = [2**k for k in range(start.bit_length() - 1, resolution.bit_length())]
    return tuple(Stage(size, images if i else 0, images) for i, size in enumerate(sizes))


@dataclass(frozen=True)
class VolumeOptions:
    """How a volume becomes pictures, see `gekeras.data.volumes`.

    Attributes:
        axes: along which it is sliced; (0,) for a stack of plain pictures.
        crop: side of the squares cut from a slice; 0 takes the largest.
        stride: from one square to the next; 0 takes the one in the middle, as the paper does.
        shape, dtype: of a raw file, slowest axis first; dtype as NumPy names it, `"<u2"` for little-endian 16 bits.
        levels: values that become black and white; empty takes 0 and 255 for 8 bits, else the volume's own range.
    """

    axes: tuple[int, ...] = (0, 1, 2)
    crop: int = 0
    stride: int = 0
    shape: tuple[int, ...] = ()
    dtype: str = "uint8"
    levels: tuple[float, ...] = ()

    def __post_init__(self):
        right = bool(self.axes) and set(self.axes) <= {0, 1, 2} and len(set(self.axes)) == len(self.axes)
        require(right, "axes must be some of 0, 1, 2, each once", self.axes)
        require(self.crop >= 0 and self.stride >= 0, "crop and stride must be 0 or more", (self.crop, self.stride))
        require(len(self.shape) in (0, 3) and all(n > 0 for n in self.shape), "shape must be three sizes", self.shape)
        require(
            not self.levels or (len(self.levels) == 2 and self.levels[0] < self.levels[1]), "levels must rise", self.levels
        )


@dataclass(frozen=True)
class GANOptions:
    """How a progressive GAN is built and trained; defaults are the original's (Karras et al. 2018).

    Attributes:
        resolution, channels, latent_size, fmap_base, fmap_max: see `gekeras.models.pgan.Generator`.
        stages: the schedule, in images shown; empty means `paper_stages(resolution)`.
        loss: `"wgan-gp"` (the original's) or `"nonsaturating"` (with the lazy R1 penalty).
        batch_size: images a step at every resolution; 0 means the original's table `MINIBATCH`.
        learning_rate: Adam's, for both networks, at every resolution; 0 means the original's, 0.001 and `LEARNING_RATE`.
        batch_sizes, learning_rates: pairs (resolution, value) that override the two above.
        beta_1, beta_2: Adam's.
        average_decay: decay a step of the moving average of the generator's weights.
        gradient_penalty, penalty_target, drift: WGAN-GP's weight, its gradient norm, and the weight of D(x)^2.
        r1_every: steps between two R1 penalties (`training.losses.r1_weight` has the weight).
        mirror: show each image mirrored half of the time.
        turn: show each image turned by 0, 90, 180 or 270 degrees, for pictures without an up.
        mixed_precision: bfloat16 activations over float32 weights.
        seed: of weights, latents, data order and mirroring.
    """

    resolution: int = 128
    channels: int = 3
    latent_size: int = 512
    fmap_base: int = 8192
    fmap_max: int = 512
    stages: tuple[Stage, ...] = ()
    loss: str = "wgan-gp"
    batch_size: int = 0
    batch_sizes: tuple[tuple[int, int], ...] = ()
    learning_rate: float = 0.0
    learning_rates: tuple[tuple[int, float], ...] = ()
    beta_1: float = 0.0
    beta_2: float = 0.99
    average_decay: float = 0.999
    gradient_penalty: float = 10.0
    penalty_target: float = 1.0
    drift: float = 0.001
    r1_every: int = 16
    mirror: bool = True
    turn: bool = False
    mixed_precision: bool = False
    seed: int = 1000

    def __post_init__(self):
        if self.loss not in ("wgan-gp", "nonsaturating"):
            raise ValueError(f"loss must be 'wgan-gp' or 'nonsaturating'; received {self.loss!r}")
        right = 4 <= self.resolution <= 1024 and not self.resolution & (self.resolution - 1)
        require(right, "resolution must be a power of two from 4 to 1024", self.resolution)
        stages = self.stages or paper_stages(self.resolution)
        sizes = [stage.resolution for stage in stages]
        if sizes[-1] != self.resolution or any(b != 2 * a for a, b in zip(sizes, sizes[1:])):
            raise ValueError(f"stages must double up to resolution {self.resolution}; received {sizes}")
        for name in ("batch_sizes", "learning_rates"):
            pairs = getattr(self, name)
            right = all(resolution in sizes and value > 0 for resolution, value in pairs)
            require(right, f"{name} must be pairs of a stage's resolution and a value above 0", pairs)
        object.__setattr__(self, "stages", tuple(stages))


@dataclass(frozen=True)
class AutoencoderOptions:
    """How an autoencoder is built and trained (Algorithm 1 step 2, Table 1).

    Attributes:
        width: f of Table 1, the encoder's first width (the paper's is 32 beside its 22.9 M parameter generator).
        code_size: length of m = E(x).
        images: real images shown; as many generated ones are shown with them.
        batch_size: real images a step; as many generated ones are added.
        learning_rate, final_learning_rate: Adam's rate falls from one to the other along a half cosine.
        pool: how many generated images are made once and drawn from (they cost more than the training step itself).
        validate_every: real images between two points of the validation curve.
        mirror, turn, mixed_precision, seed: as in `GANOptions`.
    """

    width: int = 32
    code_size: int = 256
    images: int = 1_000_000
    batch_size: int = 32
    learning_rate: float = 0.0005
    final_learning_rate: float = 0.00001
    pool: int = 20_000
    validate_every: int = 20_000
    mirror: bool = True
    turn: bool = False
    mixed_precision: bool = False
    seed: int = 1000


@dataclass(frozen=True)
class AEGANOptions:
    """How the AEGAN baseline is trained (equation (6), section 4.5 c); its generator and discriminator are a GAN run's.

    Attributes:
        width: f of Table 1, the encoder's first width.
        images: real images shown; a step shows as many samples G(z) and as many reconstructions G(E(x)).
        batch_size: real images a step.
        learning_rate, beta_1, beta_2: Adam's, for generator and discriminator.
        encoder_learning_rate: of the encoder's own Adam, whose weights, unlike the others', are not scaled at run time.
        reconstruction_weight: of the mean over pixels of (x - G(E(x)))^2, beside the adversarial loss.
        kl_weight: of the mean over latent dimensions of KL(N(mean, variance) || N(0, 1)). With k beside the weight w of n
            values a picture and h dimensions, this is a variational autoencoder that takes k n / (2 w h) as the variance
            of a value, and a draw costs about k / (2 w) of MSE over the mean: 0.0025 with the defaults.
        average_decay, r1_every, mirror, turn, mixed_precision, seed: as in `GANOptions`; the average is of G and of E.
        validate_every: real images between two points of the validation curve.
    """

    width: int = 32
    images: int = 300_000
    batch_size: int = 32
    learning_rate: float = 0.001
    beta_1: float = 0.0
    beta_2: float = 0.99
    encoder_learning_rate: float = 0.0005
    reconstruction_weight: float = 10.0
    kl_weight: float = 0.05
    average_decay: float = 0.999
    r1_every: int = 16
    validate_every: int = 20_000
    mirror: bool = True
    turn: bool = False
    mixed_precision: bool = False
    seed: int = 1000

    def __post_init__(self):
        require(self.reconstruction_weight >= 0, "reconstruction_weight must be 0 or more", self.reconstruction_weight)
        require(self.kl_weight >= 0, "kl_weight must be 0 or more", self.kl_weight)
        require(self.r1_every >= 1, "r1_every must be 1 or more", self.r1_every)


@dataclass(frozen=True)
class BEGANOptions:
    """How a boundary equilibrium GAN is built and trained; defaults are those of its public implementation, whose steps of
    16 images are counted in images here (Berthelot et al. 2017).

    Attributes:
        resolution, channels, latent_size, width, skip: see `gekeras.models.began.BEGANGenerator`.
        images: real images shown, 500,000 steps.
        batch_size: real images a step, and as many generated ones.
        learning_rate, final_learning_rate: Adam's rate, for both networks, is halved every `halve_every` images until it is
            the final one.
        halve_every: images, 100,000 steps.
        beta_1, beta_2: Adam's.
        gamma: the diversity ratio that is kept between the losses of generated and real images: less is sharper and less
            varied, more the reverse; 0.3 to 0.7 in the paper.
        lambda_k: the gain of k, the weight that keeps that ratio.
        average_decay: decay a step of the moving average of the generator's weights, which is what is exported; 0 for
            none, as the original.
        mirror, turn, mixed_precision, seed: as in `GANOptions`.
    """

    resolution: int = 64
    channels: int = 3
    latent_size: int = 64
    width: int = 128
    skip: bool = False
    images: int = 8_000_000
    batch_size: int = 16
    learning_rate: float = 0.00008
    final_learning_rate: float = 0.00002
    halve_every: int = 1_600_000
    beta_1: float = 0.5
    beta_2: float = 0.999
    gamma: float = 0.5
    lambda_k: float = 0.001
    average_decay: float = 0.999
    mirror: bool = True
    turn: bool = False
    mixed_precision: bool = False
    seed: int = 1000

    def __post_init__(self):
        right = 8 <= self.resolution <= 1024 and not self.resolution & (self.resolution - 1)
        require(right, "resolution must be a power of two from 8 to 1024", self.resolution)
        rates = (self.final_learning_rate, self.learning_rate)
        require(0 < rates[0] <= rates[1], "final_learning_rate must be above 0 and at most learning_rate", rates)
        require(self.halve_every >= 1, "halve_every must be 1 image or more", self.halve_every)
        require(0 <= self.gamma <= 1, "gamma must be from 0 to 1", self.gamma)
        require(self.lambda_k >= 0, "lambda_k must be 0 or more", self.lambda_k)
        require(0 <= self.average_decay < 1, "average_decay must be from 0 to below 1", self.average_decay)


@dataclass(frozen=True)
class StarterOptions:
    """How a starter is built and trained; see `gekeras.training.starter`.

    Attributes:
        width, blocks: see `gekeras.models.starter.Starter`.
        pairs: latents whose codes are computed once; the starter is fitted to them before it sees a gradient of G and E.
        fit_steps: steps of that fit, 256 pairs each.
        probes: random directions of the code space whose gradients make the averaged curvature.
        images: codes shown after the fit, half of them of real pictures where there are any.
        batch_size: codes a step; even where there are real pictures.
        decoder_weight: gamma of the objective that the starter is trained for, see `SolveOptions`.
        learning_rate, final_learning_rate: Adam's rate falls from one to the other along a half cosine.
        mirror, mixed_precision, seed: as in `GANOptions`.
    """

    width: int = 256
    blocks: int = 3
    pairs: int = 24_576
    fit_steps: int = 3_000
    probes: int = 1_024
    images: int = 100_000
    batch_size: int = 32
    decoder_weight: float = 0.0
    learning_rate: float = 0.001
    final_learning_rate: float = 0.00001
    mirror: bool = True
    mixed_precision: bool = False
    seed: int = 1000

    def __post_init__(self):
        for name in ("width", "pairs", "probes", "images", "batch_size"):
            require(getattr(self, name) >= 1, f"{name} must be 1 or more", getattr(self, name))
        for name in ("blocks", "fit_steps"):
            require(getattr(self, name) >= 0, f"{name} must be 0 or more", getattr(self, name))
        require(self.decoder_weight >= 0, "decoder_weight (gamma) must be 0 or more", self.decoder_weight)
        rates = (self.final_learning_rate, self.learning_rate)
        require(0 < rates[0] <= rates[1], "final_learning_rate must be above 0 and at most learning_rate", rates)
