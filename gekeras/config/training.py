"""What every kind of training has: the limits of a sitting, and the fields that several options classes share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .rules import require, setting


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


# -------------------------------------------------------------------------------------------------- shared fields


def images(default: int, shown: str = "Real images to show.") -> Any:
    return setting(default, shown, minimum=1)


def batch_size(default: int, help: str = "Real images a step, and as many generated ones.") -> Any:
    return setting(default, help, minimum=1)


def rate(default: float, help: str = "Adam's.") -> Any:
    return setting(default, help, above=0)


def average_decay(**rules: Any) -> Any:
    help = "Decay a step of the moving average of the generator's weights, which is what is exported."
    return setting(0.999, help, minimum=0, **rules)


def coder_width() -> Any:
    return setting(
        32, "f of Table 1, the encoder's first width; 32 beside the paper's generator of 22.9 M weights.", minimum=1
    )


def validate_every() -> Any:
    return setting(20_000, "Real images between two points of the validation curve.", minimum=1)


def r1_every() -> Any:
    return setting(16, "Steps between two R1 penalties; `training.losses.r1_weight` has the weight.", minimum=1)


def mirror() -> Any:
    return setting(True, "Show pictures mirrored half of the time.")


def turn() -> Any:
    return setting(False, "Show pictures turned by quarter turns, too: they have no up.")


def mixed_precision() -> Any:
    return setting(False, "bfloat16 activations over float32 weights.")


def seed() -> Any:
    return setting(1000, "Of weights, latents, data order and mirroring.", minimum=0)


def require_falling(options: Any) -> None:
    rates = (options.final_learning_rate, options.learning_rate)
    require(rates[0] <= rates[1], "final_learning_rate must be above 0 and at most learning_rate", rates)


def require_resolution(resolution: int, least: int) -> None:
    right = least <= resolution <= 1024 and not resolution & (resolution - 1)
    require(right, f"resolution must be a power of two from {least} to 1024", resolution)
