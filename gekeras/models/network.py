"""What all networks here share: they are functional Keras models that remember their constructor's arguments."""

from __future__ import annotations

from typing import Any

import keras


class Network(keras.Model):
    """A functional model made by its constructor; `config` is what the constructor needs to make it again."""

    def __init__(self, inputs, outputs, config: dict[str, Any], **kwargs):
        super().__init__(inputs, outputs, **kwargs)
        self._arguments = config

    @property
    def cuts(self) -> dict[str, str]:
        """Where a search can go on: name for a user -> layer that all paths go through; none by default."""
        return {}

    @property
    def config(self) -> dict[str, Any]:
        return dict(self._arguments)

    def get_config(self):
        return {**self.config, "name": self.name}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
