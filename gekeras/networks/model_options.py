"""Which networks are put together for which task: all that a `GenerativeEncoder` is loaded by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..files import PathLike
from .custom import CustomNetworks
from .presets import DEFAULT, Preset, load


@dataclass(frozen=True)
class ModelOptions:
    """The arguments of `GenerativeEncoder.from_preset`, to be checked before TensorFlow is imported.

    Attributes:
        task: one of the preset's tasks; with an encoder of one's own any task.
        preset: name, folder, or a loaded `Preset`; not looked at if `custom` has both generator and encoder.
        models: folder of presets to look in first.
        parameters: of the degradation, over those that the preset's encoder was trained with, as `{"sigma": 0.3}`.
        forward: S instead of the task's, see `operators.Task.with_forward`.
        custom: networks in the places of the preset's.

    Example:
        >>> ModelOptions("superres").load_preset().resolution
        64
    """

    task: str
    preset: PathLike | Preset = DEFAULT
    models: PathLike | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    forward: str | None = None
    custom: CustomNetworks = field(default_factory=CustomNetworks)

    def loaded(self) -> ModelOptions:
        """The same with the preset itself in the place of its name: what is read later is what was found now.

        Raises PresetError as `load_preset`.
        """
        preset = self.load_preset()
        return self if preset is None else replace(self, preset=preset)

    def load_preset(self) -> Preset | None:
        """The preset; None where nothing of one is needed. Raises PresetError if there is none, or none for the task."""
        return None if self.custom.complete else self.named_preset()

    def named_preset(self) -> Preset:
        """The preset, whatever is needed of it. Raises PresetError as `load_preset`."""
        preset = self.preset if isinstance(self.preset, Preset) else load(self.preset, self.models)
        if self.custom.encoder is None:
            preset.task_parameters(self.task)
        return preset

    def generators_preset(self) -> Preset | None:
        """The preset whose generator it is; None where that is one's own. Raises PresetError as `load_preset`."""
        return self.load_preset() if self.custom.generator is None else None
