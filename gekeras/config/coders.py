"""Options of what is trained for a generator: autoencoders, the AEGAN baseline, starters."""

from __future__ import annotations

from dataclasses import dataclass

from . import training
from .rules import check, documented, setting


@documented
@dataclass(frozen=True)
class AutoencoderOptions:
    """How an autoencoder is built and trained (Algorithm 1 step 2, Table 1).

    Adam's rate falls from `learning_rate` to `final_learning_rate` along a half cosine.

    Raises:
        ValueError: a value that its attribute does not allow, or a rate that would rise.

    Example:
        >>> AutoencoderOptions(width=16).code_size
        256
        >>> AutoencoderOptions(width=0)
        Traceback (most recent call last):
        ValueError: width must be 1 or more; received 0
    """

    width: int = training.coder_width()
    code_size: int = setting(256, "Length of m = E(x).", minimum=1)
    images: int = training.images(1_000_000, "Real images to show, and as many generated ones.")
    batch_size: int = training.batch_size(32)
    learning_rate: float = training.rate(0.0005)
    final_learning_rate: float = training.rate(0.00001, "Where the rate ends.")
    pool: int = setting(
        20_000, "Generated images that are made once and drawn from: they cost more than the step itself.", minimum=1
    )
    validate_every: int = training.validate_every()
    mirror: bool = training.mirror()
    turn: bool = training.turn()
    mixed_precision: bool = training.mixed_precision()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)
        training.require_falling(self)


@documented
@dataclass(frozen=True)
class AEGANOptions:
    """How the AEGAN baseline is trained (equation (6), section 4.5 c); its generator and discriminator are a GAN run's.

    With k beside the weight w of n values a picture and h dimensions, this is a variational autoencoder that takes
    k n / (2 w h) as the variance of a value, and a draw costs about k / (2 w) of MSE over the mean: 0.0025 by default.

    Raises:
        ValueError: a value that its attribute does not allow.

    Example:
        >>> AEGANOptions(width=16).kl_weight
        0.05
    """

    width: int = training.coder_width()
    images: int = training.images(300_000)
    batch_size: int = training.batch_size(
        32, "Real images a step, as many samples G(z) and as many reconstructions G(E(x))."
    )
    learning_rate: float = training.rate(0.001, "Adam's, of generator and discriminator.")
    beta_1: float = setting(0.0, "Adam's, of generator and discriminator.", minimum=0, below=1)
    beta_2: float = setting(0.99, "Adam's, of generator and discriminator.", minimum=0, below=1)
    encoder_learning_rate: float = training.rate(
        0.0005, "Of the encoder's own Adam, whose weights, unlike the others', are not scaled at run time."
    )
    reconstruction_weight: float = setting(
        10.0, "Of the mean over pixels of (x - G(E(x)))^2, beside the adversarial loss.", minimum=0
    )
    kl_weight: float = setting(0.05, "Of the mean over latent dimensions of KL(N(mean, variance) || N(0, 1)).", minimum=0)
    average_decay: float = training.average_decay(maximum=1)
    r1_every: int = training.r1_every()
    validate_every: int = training.validate_every()
    mirror: bool = training.mirror()
    turn: bool = training.turn()
    mixed_precision: bool = training.mixed_precision()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)


@documented
@dataclass(frozen=True)
class StarterOptions:
    """How a starter is built and trained; see `gekeras.training.starter`.

    Adam's rate falls from `learning_rate` to `final_learning_rate` along a half cosine.

    Raises:
        ValueError: a value that its attribute does not allow, or a rate that would rise.

    Example:
        >>> StarterOptions(images=1000).blocks
        3
    """

    width: int = setting(256, "Of the starter's blocks.", minimum=1)
    blocks: int = setting(3, "See `gekeras.models.starter.Starter`.", minimum=0)
    pairs: int = setting(24_576, "Free pairs of the first fit, before a gradient of G and E is seen.", minimum=1)
    fit_steps: int = setting(3_000, "Steps of the first fit, 256 pairs each.", minimum=0)
    probes: int = setting(1_024, "Gradients that the averaged curvature is made of.", minimum=1)
    images: int = training.images(100_000, "Codes to show after the fit, half of them of real pictures where there are any.")
    batch_size: int = training.batch_size(32, "Codes a step; even where there are real pictures.")
    decoder_weight: float = setting(
        0.0,
        "gamma of ||G(z) - DC(m)||^2 in the solves that it starts; a preset's default for them is its starter's.",
        minimum=0,
        symbol="gamma",
    )
    learning_rate: float = training.rate(0.001)
    final_learning_rate: float = training.rate(0.00001, "Where the rate ends.")
    mirror: bool = training.mirror()
    mixed_precision: bool = training.mixed_precision()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)
        training.require_falling(self)
