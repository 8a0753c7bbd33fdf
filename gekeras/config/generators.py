"""Options of the two kinds of generators, and the progressive schedule."""

from __future__ import annotations

from dataclasses import dataclass

from . import training
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
    bilinear_from: int = setting(
        0, "Side of the first block that doubles features bilinearly; 0 for none, as the original.", minimum=0
    )
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
    average_decay: float = training.average_decay(maximum=1)
    gradient_penalty: float = setting(10.0, "Of WGAN-GP: its weight.", minimum=0)
    penalty_target: float = setting(1.0, "Of WGAN-GP: the norm that a gradient should have.", above=0)
    drift: float = setting(0.001, "Of WGAN-GP: the weight of D(x)^2.", minimum=0)
    r1_every: int = training.r1_every()
    mirror: bool = training.mirror()
    turn: bool = training.turn()
    mixed_precision: bool = training.mixed_precision()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)
        training.require_resolution(self.resolution, 4)
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
    images: int = training.images(8_000_000)
    batch_size: int = training.batch_size(16)
    learning_rate: float = training.rate(0.00008, "Adam's, of both networks.")
    final_learning_rate: float = training.rate(0.00002, "Where the halving ends.")
    halve_every: int = setting(1_600_000, "Images between two halvings of the rate.", minimum=1)
    beta_1: float = setting(0.5, "Adam's.", minimum=0, below=1)
    beta_2: float = setting(0.999, "Adam's.", minimum=0, below=1)
    gamma: float = setting(
        0.5, "Diversity ratio: less is sharper, more is more varied; 0.3 to 0.7 in the paper.", minimum=0, maximum=1
    )
    lambda_k: float = setting(0.001, "Gain of k, the weight that keeps that ratio.", minimum=0)
    average_decay: float = training.average_decay(below=1)
    mirror: bool = training.mirror()
    turn: bool = training.turn()
    mixed_precision: bool = training.mixed_precision()
    seed: int = training.seed()

    def __post_init__(self):
        check(self)
        training.require_resolution(self.resolution, 8)
        training.require_falling(self)
