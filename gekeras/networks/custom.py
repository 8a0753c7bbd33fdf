"""The networks of a generative encoder that are one's own: which they are, and whether they fit each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..config import LATENTS
from ..messages import reason_of
from .modules import (
    UNIT,
    Module,
    Range,
    adopt,
    as_module,
    check_range,
    describe,
    is_address,
    is_path,
    locate,
    name_of,
    of_saved_model,
    rescale,
)

FAR = 10.0  # no picture in [-1, 1], however far a linear output overshoots, has a value this far from zero


@dataclass(frozen=True)
class CustomNetworks:
    """Networks of one's own in the places of a preset's; what is None stays the preset's.

    Attributes:
        generator, encoder, decoder: as `adopt` takes them. The decoder gives the encoder's pictures from its codes.
        latent_size: d, where the generator does not tell it.
        latent: what the generator's input is drawn from, one of `config.LATENTS`; "normal" by default.
        generator_range: of the generator's pictures, (-1, 1) by default.
        encoder_range: of the pictures that the encoder takes and the decoder gives, (-1, 1) by default.

    Raises:
        ValueError: a path with nothing there, a range or latent that is none, or one of a network that is not given.

    Example:
        >>> own = CustomNetworks(generator=lambda z: z, latent_size=8, generator_range=(0, 1))
        >>> own.complete  # the encoder is still the preset's
        False
    """

    generator: Any = None
    encoder: Any = None
    decoder: Any = None
    latent_size: int | None = None
    latent: str | None = None
    generator_range: Range | None = None
    encoder_range: Range | None = None

    def __post_init__(self):
        for name in ("latent_size", "latent", "generator_range"):
            if getattr(self, name) is not None and self.generator is None:
                raise ValueError(f"{name} belongs to a generator of one's own: give that, too")
        if self.latent not in (None, *LATENTS):
            raise ValueError(f"latent must be one of {', '.join(LATENTS)}; received {self.latent!r}")
        if self.encoder_range is not None and self.encoder is None and self.decoder is None:
            raise ValueError("encoder_range belongs to an encoder of one's own: give that, too")
        for name in ("generator_range", "encoder_range"):
            if getattr(self, name) is not None:
                check_range(name, getattr(self, name))
        for part in self.given().values():
            if is_path(part) and not is_address(part):
                locate(part)

    def given(self) -> dict[str, Any]:
        """Name -> network of those that are given."""
        every = {name: getattr(self, name) for name in ("generator", "encoder", "decoder")}
        return {name: part for name, part in every.items() if part is not None}

    def check_trusted(self, trust: bool) -> None:
        """Raise ValueError for networks in files, unless whoever asks for them trusts those: they are programs.

        Who names a path in Python runs code already. A command takes paths from its user, and asks first.
        """
        paths = [str(part) for part in self.given().values() if is_path(part)]
        if paths and not trust:
            raise ValueError(
                f"{', '.join(paths)}: a network in a file is a program, which can read and write files here as you can; "
                "if you trust where it comes from, add --trust"
            )

    @property
    def complete(self) -> bool:
        """Whether nothing of a preset is needed."""
        return self.generator is not None and self.encoder is not None

    def record(self) -> dict[str, Any]:
        """What a result's record says of them: names without folders, checksums of files, ranges, the latent."""
        ranges = {"generator": self.generator_range, "encoder": self.encoder_range, "decoder": self.encoder_range}
        record_of = {name: {**describe(part), "range": list(ranges[name] or UNIT)} for name, part in self.given().items()}
        if self.generator is not None:
            record_of["generator"]["latent"] = self.latent or "normal"
        return record_of


def network_arguments(preset: Any, task: str, custom: CustomNetworks) -> dict[str, Any]:
    """What `GenerativeEncoder` takes: one's own networks or the preset's, whose decoder reads its own encoder's codes only.

    Args:
        preset: a `presets.Preset`; None if `custom` is complete.
    """

    def pick(mine, name: str, **ranges):
        if mine is not None:
            return as_module(adopt(mine, name.partition("-")[0], **ranges))
        loaded = preset.part(name)
        return of_saved_model(loaded, f"of preset {preset.name}") if custom.given() else loaded

    if custom.generator is None:
        arguments = {"latent_size": preset.latent_size, "latent": preset.latent}
    else:
        arguments = {"latent_size": custom.latent_size, "latent": custom.latent or "normal"}
    arguments["generator"] = pick(custom.generator, "generator", output_range=custom.generator_range)
    arguments["encoder"] = pick(custom.encoder, f"encoder-{task}", input_range=custom.encoder_range)
    if custom.encoder is None and custom.generator is None and preset.has(f"starter-{task}"):
        arguments["starter"] = preset.part(f"starter-{task}")
    if custom.encoder is None or custom.decoder is not None:
        arguments["decoder"] = pick(custom.decoder, f"decoder-{task}", output_range=custom.encoder_range)
    return arguments


def lacking_starter(preset: Any, task: str, custom: CustomNetworks) -> str:
    """Why a preset's own networks have no starter, "" if they have one; other networks never have one."""
    if preset is None or custom.generator is not None or custom.encoder is not None or preset.has(f"starter-{task}"):
        return ""
    lacks = "lacks the starter that it records" if task in preset.info.get("starters", {}) else "has no starter"
    return f"preset {preset.name!r} {lacks} for {task}"


def preset_defaults(preset: Any, task: str, custom: CustomNetworks) -> dict[str, Any]:
    """What the preset prefers to the library's options: its own, its starter's gamma, the task's objective.

    The weights of an objective are measured with the preset's encoder, and go with it.
    """
    defaults = dict(preset.info.get("solve", {}))
    if custom.encoder is not None:
        measured = ("decoder_weight", "pixel_weight", "layers", "consistent")
        return {name: value for name, value in defaults.items() if name not in measured}
    starter = preset.info.get("starters", {}).get(task, {})
    gamma = {"decoder_weight": starter["options"].get("decoder_weight", 0.0)} if starter else {}
    return {**defaults, **gamma, **preset.info.get("objectives", {}).get(task, {})}


def for_noise(defaults: dict[str, Any], trained: dict[str, Any], variance: float | None) -> dict[str, Any]:
    """A preset's options for noise of that variance, which may be another than the one its encoder was trained with: a
    measured value counts by the reciprocal of it, as in a likelihood. None: there is no noise, and nothing changes."""
    if variance is None or "pixel_weight" not in defaults or "sigma" not in trained:
        return defaults
    return {**defaults, "pixel_weight": defaults["pixel_weight"] * trained["sigma"] ** 2 / variance}


def input_size(generator: Callable, given: int | None = None) -> int:
    """d, the length of the generator's latent. Raises ValueError if it is not known, or not the given one."""
    shape = generator.input_shape if isinstance(generator, Module) else None
    if shape and len(shape) != 2:
        raise ValueError(f"the generator {name_of(generator)} takes {_size(shape)}; a latent is [n, d]")
    known = shape[1] if shape else None
    if known and given and known != given:
        raise ValueError(f"latent_size is {given}, but the generator {name_of(generator)} takes {known} numbers")
    size = given or known
    if not size:
        raise ValueError("latent_size is needed: the generator does not tell it")
    return size


def picture_shape(generator: Callable) -> tuple[int, int, int] | None:
    """(h, w, c) of the generator's pictures, None where it does not tell them."""
    shape = generator.output_shape if isinstance(generator, Module) else None
    height, width, channels = shape[1:] if shape and len(shape) == 4 else (None, None, None)
    return None if height is None or width is None or channels is None else (height, width, channels)


def check_square(shape: tuple[int, int, int], name: str) -> None:
    """Raises ValueError for pictures that are not square, or neither gray nor RGB: no file could be restored with them."""
    height, width, channels = shape
    if height != width or channels not in (1, 3):
        raise ValueError(
            f"the generator {name} gives {_size((None, *shape))} pictures; square ones of 1 or 3 channels, last, work"
        )


def fit(generator: Callable, encoder: Callable, decoder: Callable | None, latent_size: int) -> tuple:
    """(G, E, DC) after two latents have gone through them and the gradient back: what does not fit is refused here.

    Args:
        generator, encoder, decoder: functions or `Module`s; where neither G nor E is a Module they are given back untried.

    Returns:
        The same, the Modules among them with their shapes known; an encoder's maps are flattened to `[n, k]`.

    Raises:
        ValueError: sizes that differ, a code that is none, pictures far out of their range, or no gradient.
    """
    if not (isinstance(generator, Module) or isinstance(encoder, Module)):
        return generator, encoder, decoder
    import tensorflow as tf

    latent = tf.random.stateless_uniform((2, latent_size), (0, 0), -1, 1)
    with tf.GradientTape() as tape:
        tape.watch(latent)
        image = _pictures(generator, latent)
        _check_takes(encoder, "encoder", image.shape, f"the generator {name_of(generator)} gives")
        code = _call(encoder, "encoder", image)
    if code.shape.rank in (None, 0, 1) or code.shape[0] != 2:
        raise ValueError(
            f"the encoder {name_of(encoder)} gives {list(code.shape)} for 2 pictures; a code each, [n, k], is needed"
        )
    _check_gradient(tape, latent, code, (generator, encoder))
    encoder = _with_output_shape(encoder, code, flat=code.shape.rank > 2)
    if decoder is not None:
        code = tf.reshape(code, (2, -1))
        _check_takes(decoder, "decoder", code.shape, f"the encoder {name_of(encoder)} gives")
        drawn = _call(decoder, "decoder", code)
        if drawn.shape != image.shape:
            raise ValueError(
                f"the decoder {name_of(decoder)} gives {_size(drawn.shape)} pictures, the generator {_size(image.shape)}"
            )
        decoder = _with_output_shape(decoder, drawn)
    return _with_output_shape(generator, image), encoder, decoder


def _pictures(generator: Callable, latent):
    """G's pictures of two latents. Raises ValueError for another shape or values far out of its range."""
    image, name = _call(generator, "generator", latent), name_of(generator)
    if image.shape.rank != 4 or image.shape[0] != 2:
        raise ValueError(f"the generator {name} gives {list(image.shape)} for 2 latents; pictures are [n, h, w, c]")
    if not np.abs(image).max() < FAR:
        span = generator.output_range if isinstance(generator, Module) else UNIT
        low, high = (float(rescale(end(image), UNIT, span)) for end in (np.min, np.max))
        raise ValueError(
            f"the generator {name} gives values from {low:.3g} to {high:.3g}, far out of {list(span)}: name its range"
        )
    return image


def _check_takes(part: Callable, what: str, shape: Sequence[int | None], who: str) -> None:
    known = part.input_shape if isinstance(part, Module) else None
    if known and (len(known) != len(shape) or any(a and a != b for a, b in zip(known[1:], shape[1:]))):
        raise ValueError(f"the {what} {name_of(part)} takes {_size(known)}, {who} {_size(shape)}: they must be of one size")


def _check_gradient(tape, latent, code, parts) -> None:
    try:
        gradient = tape.gradient(code, latent)
    except LookupError:  # an operation without a registered gradient
        gradient = None
    if gradient is None:
        names = " through ".join(name_of(part) for part in reversed(parts))
        raise ValueError(f"no gradient passes back through {names}: equation (3) cannot be solved with them")


def _call(part: Callable, what: str, x):
    import tensorflow as tf

    try:
        return tf.convert_to_tensor(part(x))
    except Exception as error:  # whatever a network of somebody's raises
        raise ValueError(f"the {what} {name_of(part)} does not take {_size(x.shape)}: {reason_of(error)}") from error


def _with_output_shape(part: Callable, result, flat: bool = False) -> Callable:
    """A Module with its output's shape, as it was just seen."""
    if not isinstance(part, Module) or part.flat:
        return part
    return dataclasses.replace(part, output_shape=(None, *result.shape[1:]), flat=flat)


def _size(shape: Sequence[int | None]) -> str:
    """`64x64x3` of pictures, `[n, 256]` of anything else; ? where a side is not known."""
    sides = ["?" if side is None else str(side) for side in list(shape)[1:]]
    return "x".join(sides) if len(sides) == 3 else f"[{', '.join(['n', *sides])}]"
