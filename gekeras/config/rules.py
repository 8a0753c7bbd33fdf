"""What an option means and which values it takes, said once: for its class's docstring, for its check, and for commands."""

from __future__ import annotations

import dataclasses
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """Of one field of an options dataclass.

    Attributes:
        help: what it means.
        minimum, above, maximum, below: bounds of a number; `above` and `below` are open.
        choices: the values that there are.
        symbol: the paper's letter.
        items: type of the numbers in a tuple.

    Example:
        >>> Setting("Decay a step.", minimum=0, below=1).rule
        'must be from 0 to below 1'
    """

    help: str
    minimum: float | None = None
    above: float | None = None
    maximum: float | None = None
    below: float | None = None
    choices: tuple = ()
    symbol: str = ""
    items: type = float

    def allows(self, value: Any) -> bool:
        """False for NaN, too, where there is a bound."""
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.above is None or value > self.above)
            and (self.maximum is None or value <= self.maximum)
            and (self.below is None or value < self.below)
            and (not self.choices or value in self.choices)
        )

    @property
    def rule(self) -> str:
        """`must be 0 or more`, `must be from 0 to below 1`, `must be one of a, b`."""
        if self.choices:
            return f"must be one of {', '.join(map(str, self.choices))}"
        end = (
            f" to {self.maximum}"
            if self.maximum is not None
            else f" to below {self.below}"
            if self.below is not None
            else ""
        )
        if end:
            return f"must be from {self.minimum}{end}"
        return f"must be above {self.above}" if self.above is not None else f"must be {self.minimum} or more"


def setting(default: Any, help: str, **rules: Any) -> Any:
    """A field of an options dataclass; `rules` are the attributes of `Setting`."""
    return field(default=default, metadata={"setting": Setting(help, **rules)})


def settings(options: Any) -> dict[str, Setting]:
    """Name -> `Setting` of the fields of an options dataclass, or of an object of one."""
    return {f.name: f.metadata["setting"] for f in dataclasses.fields(options) if "setting" in f.metadata}


def check(options: Any) -> None:
    """Raise ValueError, with the rule and what was received, for a value that its setting does not allow."""
    for name, its in settings(options).items():
        letter = f" ({its.symbol})" if its.symbol else ""
        require(its.allows(getattr(options, name)), f"{name}{letter} {its.rule}", getattr(options, name))


def documented(cls: type) -> type:
    """Class decorator: what the settings say, as the `Attributes` of the docstring."""
    lines = [
        textwrap.fill(f"{name}: {its.help}", 120, initial_indent=" " * 8, subsequent_indent=" " * 12)
        for name, its in settings(cls).items()
    ]
    cls.__doc__ = "\n".join([(cls.__doc__ or "").rstrip(), "", "    Attributes:", *lines, "    "])
    return cls


def as_paths(options: Any, *names: str) -> None:
    """Make `Path`s of the fields of these names that hold text."""
    for name in names:
        if isinstance(value := getattr(options, name), str):
            object.__setattr__(options, name, Path(value))


def require(condition: bool, rule: str, received: Any) -> None:
    """Raise ValueError, with the rule and what was received, unless the condition holds."""
    if not condition:
        raise ValueError(f"{rule}; received {received!r}")
