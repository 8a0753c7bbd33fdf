"""Options of training; no option lives anywhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .rules import check, documented, require, setting

# Minibatch per resolution of the progressive GAN's single-GPU configuration.
MINIBATCH = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8, 512: 4, 1024: 4}
LEARNING_RATE = {1024: 0.0015}  # of the same configuration, 0.001 elsewhere
LOSSES = ("wgan-gp", "nonsaturating")


@dataclass(frozen=True)
class Stage:
    """One resolution of the progressive schedule: `fade` images while alpha rises from 0 to 1, then `stable` images.

    Example:
        >>> Stage(16, fade=20_000, stable=50_000).resolution
        16
    """

    resolution: int
    fade: int
    stable: int

    def __post_init__(self):
        if self.fade < 0 or self.stable < 0 or self.fade + self.stable == 0:
            raise ValueError(f"a stage needs fade >= 0 and stable >= 0 images, not both zero; received {self}")


def paper_stages(resolution: int, start: int = 4, images: int = 600_000) -> tuple[Stage, ...]:
    """The original's schedule: `images` of fade-in, then as many stable ones, a resolution; the first has no fade.

    Example:
        >>> paper_stages(8)
        (Stage(resolution=4, fade=0, stable=600000), Stage(resolution=8, fade=600000, stable=600000))
    """
    sizes = [2**k for k in range(start.bit_length() - 1, resolution.bit_length())]
    return tuple(Stage(size, images if i else 0, images) for i, size in enumerate(sizes))


@dataclass(frozen=True)
class Limits:
    """What may differ from start to start of a run without changing what is trained.

    Attributes:
        minutes: stop, with a checkpoint, after so long; 0 for no limit.
        quiet: no progress lines on stderr; the log has them all the same.
        save_every: seconds between two checkpoints.
        arguments: what the command was given, kept as `arguments.json` for `--resume`; None leaves what is there.

    Example:
        >>> Limits(minutes=30).save_every
        120.0
    """

    minutes: float = 0.0
    quiet: bool = False
    save_every: float = 120.0
    arguments: dict[str, Any] | None = None


# ------------------------------------------------------------------------------- what several kinds of training have


def _images(default: int, shown: str = "Real images to show.") -> Any:
    return setting(default, shown, minimum=1)


def _batch_size(default: int, help: str = "Real images a step, and as many generated ones.") -> Any:
    return setting(default, help, minimum=1)


def _rate(default: float, help: str = "Adam's.") -> Any:
    return setting(default, help, above=0)


def _average_decay(**rules: Any) -> Any:
    help = "Decay a step of the moving average of the generator's weights, which is what is exported."
    return setting(0.999, help, minimum=0, **rules)


def _coder_width() -> Any:
    return setting(
        32, "f of Table 1, the encoder's first width; 32 beside the paper's generator of 22.9 M weights.", minimum=1
    )


def _validate_every() -> Any:
    return setting(20_000, "Real images between two points of the validation curve.", minimum=1)


def _r1_every() -> Any:
    return setting(16, "Steps between two R1 penalties; `training.losses.r1_weight` has the weight.", minimum=1)


def _mirror() -> Any:
    return setting(True, "Show pictures mirrored half of the time.")


def _turn() -> Any:
    return setting(False, "Show pictures turned by quarter turns, too: they have no up.")


def _mixed_precision() -> Any:
    return setting(False, "bfloat16 activations over float32 weights.")


def _seed() -> Any:
    return setting(1000, "Of weights, latents, data order and mirroring.", minimum=0)


def _require_falling(options: Any) -> None:
    rates = (options.final_learning_rate, options.learning_rate)
    require(rates[0] <= rates[1], "final_learning_rate must be above 0 and at most learning_rate", rates)


def _require_resolution(resolution: int, least: int) -> None:
    right = least <= resolution <= 1024 and not resolution & (resolution - 1)
    require(right, f"resolution must be a power of two from {least} to 1024", resolution)


# --------------------------------------------------------------------------------------------------------- the kinds


@documented
@dataclass(frozen=True)
class GANOptions:
    """How a progressive GAN is built and trained; defaults are the original's (Karras et al. 2018).

    Raises:
        ValueError: a value that its attribute does not allow, or stages that do not double up to the resolution.

    Example:
        >>> GANOptions(resolution=16, stages=(Stage(8, 0, 1000), Stage(16, 500, 500)), loss="nonsaturating").latent_size
        512
    """

    resolution: int = setting(128, "Side of the pictures, a power of two.")
    channels: int = setting(3, "1 for gray, 3 for color.", choices=(1, 3))
    latent_size: int = setting(512, "Numbers of the latent.", minimum=1)
    fmap_base: int = setting(8192, "Channels at a resolution r: min(2 base / r, max).", minimum=1)
    fmap_max: int = setting(512, "See fmap_base.", minimum=1)
    stages: tuple[Stage, ...] = setting((), "The schedule, in images, smallest resolution first; by default the original's.")
    loss: str = setting("wgan-gp", "wgan-gp, the original's, or nonsaturating, with the lazy R1 penalty.", choices=LOSSES)
    batch_size: int = setting(0, "Images a step at every resolution; by default (0) the original's table.", minimum=0)
    batch_sizes: tuple[tuple[int, int], ...] = setting((), "Images a step at a resolution.")
    learning_rate: float = setting(
        0.0, "Adam's, of both networks; by default (0) the original's, 0.001, and 0.0015 at 1024 px.", minimum=0
    )
    learning_rates: tuple[tuple[int, float], ...] = setting((), "Adam's rate at a resolution.")
    beta_1: float = setting(0.0, "Adam's.", minimum=0, below=1)
    beta_2: float = setting(0.99, "Adam's.", minimum=0, below=1)
    average_decay: float = _average_decay(maximum=1)
    gradient_penalty: float = setting(10.0, "Of WGAN-GP: its weight.", minimum=0)
    penalty_target: float = setting(1.0, "Of WGAN-GP: the norm that a gradient should have.", above=0)
    drift: float = setting(0.001, "Of WGAN-GP: the weight of D(x)^2.", minimum=0)
    r1_every: int = _r1_every()
    mirror: bool = _mirror()
    turn: bool = _turn()
    mixed_precision: bool = _mixed_precision()
    seed: int = _seed()

    def __post_init__(self):
        check(self)
        _require_resolution(self.resolution, 4)
        stages = self.stages or paper_stages(self.resolution)
        sizes = [stage.resolution for stage in stages]
        if sizes[-1] != self.resolution or any(b != 2 * a for a, b in zip(sizes, sizes[1:])):
            raise ValueError(f"stages must double up to resolution {self.resolution}; received {sizes}")
        for name in ("batch_sizes", "learning_rates"):
            pairs = getattr(self, name)
            right = all(resolution in sizes and value > 0 for resolution, value in pairs)
            require(right, f"{name} must be pairs of a stage's resolution and a value above 0", pairs)
        object.__setattr__(self, "stages", tuple(stages))


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

    width: int = _coder_width()
    code_size: int = setting(256, "Length of m = E(x).", minimum=1)
    images: int = _images(1_000_000, "Real images to show, and as many generated ones.")
    batch_size: int = _batch_size(32)
    learning_rate: float = _rate(0.0005)
    final_learning_rate: float = _rate(0.00001, "Where the rate ends.")
    pool: int = setting(
        20_000, "Generated images that are made once and drawn from: they cost more than the step itself.", minimum=1
    )
    validate_every: int = _validate_every()
    mirror: bool = _mirror()
    turn: bool = _turn()
    mixed_precision: bool = _mixed_precision()
    seed: int = _seed()

    def __post_init__(self):
        check(self)
        _require_falling(self)


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

    width: int = _coder_width()
    images: int = _images(300_000)
    batch_size: int = _batch_size(32, "Real images a step, as many samples G(z) and as many reconstructions G(E(x)).")
    learning_rate: float = _rate(0.001, "Adam's, of generator and discriminator.")
    beta_1: float = setting(0.0, "Adam's, of generator and discriminator.", minimum=0, below=1)
    beta_2: float = setting(0.99, "Adam's, of generator and discriminator.", minimum=0, below=1)
    encoder_learning_rate: float = _rate(
        0.0005, "Of the encoder's own Adam, whose weights, unlike the others', are not scaled at run time."
    )
    reconstruction_weight: float = setting(
        10.0, "Of the mean over pixels of (x - G(E(x)))^2, beside the adversarial loss.", minimum=0
    )
    kl_weight: float = setting(0.05, "Of the mean over latent dimensions of KL(N(mean, variance) || N(0, 1)).", minimum=0)
    average_decay: float = _average_decay(maximum=1)
    r1_every: int = _r1_every()
    validate_every: int = _validate_every()
    mirror: bool = _mirror()
    turn: bool = _turn()
    mixed_precision: bool = _mixed_precision()
    seed: int = _seed()

    def __post_init__(self):
        check(self)


@documented
@dataclass(frozen=True)
class BEGANOptions:
    """How a boundary equilibrium GAN is built and trained; defaults are those of its public implementation, whose steps of
    16 images are counted in images here (Berthelot et al. 2017).

    Raises:
        ValueError: a value that its attribute does not allow, or a rate that would rise.

    Example:
        >>> BEGANOptions(width=64, gamma=0.7).resolution
        64
    """

    resolution: int = setting(64, "Side of the pictures, a power of two.")
    channels: int = setting(3, "1 for gray, 3 for color.", choices=(1, 3))
    latent_size: int = setting(64, "Numbers of the latent.", minimum=1)
    width: int = setting(128, "n, the channels at a scale.", minimum=1)
    skip: bool = setting(False, "Skip connections from the 8x8 tensor to every scale of generator and decoder.")
    images: int = _images(8_000_000)
    batch_size: int = _batch_size(16)
    learning_rate: float = _rate(0.00008, "Adam's, of both networks.")
    final_learning_rate: float = _rate(0.00002, "Where the halving ends.")
    halve_every: int = setting(1_600_000, "Images between two halvings of the rate.", minimum=1)
    beta_1: float = setting(0.5, "Adam's.", minimum=0, below=1)
    beta_2: float = setting(0.999, "Adam's.", minimum=0, below=1)
    gamma: float = setting(
        0.5, "Diversity ratio: less is sharper, more is more varied; 0.3 to 0.7 in the paper.", minimum=0, maximum=1
    )
    lambda_k: float = setting(0.001, "Gain of k, the weight that keeps that ratio.", minimum=0)
    average_decay: float = _average_decay(below=1)
    mirror: bool = _mirror()
    turn: bool = _turn()
    mixed_precision: bool = _mixed_precision()
    seed: int = _seed()

    def __post_init__(self):
        check(self)
        _require_resolution(self.resolution, 8)
        _require_falling(self)


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
    images: int = _images(100_000, "Codes to show after the fit, half of them of real pictures where there are any.")
    batch_size: int = _batch_size(32, "Codes a step; even where there are real pictures.")
    decoder_weight: float = setting(
        0.0,
        "gamma of ||G(z) - DC(m)||^2 in the solves that it starts; a preset's default for them is its starter's.",
        minimum=0,
        symbol="gamma",
    )
    learning_rate: float = _rate(0.001)
    final_learning_rate: float = _rate(0.00001, "Where the rate ends.")
    mirror: bool = _mirror()
    mixed_precision: bool = _mixed_precision()
    seed: int = _seed()

    def __post_init__(self):
        check(self)
        _require_falling(self)
