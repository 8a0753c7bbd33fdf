"""Options as plain values and back, for run folders, checkpoints and result records."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from .generators import Stage


def to_dict(options: Any) -> dict[str, Any]:
    """Options as plain dicts, lists and numbers, ready for JSON."""
    return dataclasses.asdict(options)


def from_dict(cls: type, values: dict[str, Any]):
    """Options of class `cls` from `to_dict`'s output. Raises ValueError for a name that `cls` does not have."""
    known = {field.name for field in dataclasses.fields(cls)}
    if unknown := sorted(set(values) - known):
        raise ValueError(f"unknown option {', '.join(unknown)}; {cls.__name__} has {', '.join(sorted(known))}")
    values = {k: _tuples(v) for k, v in values.items()}
    if "stages" in values:
        values["stages"] = tuple(s if isinstance(s, Stage) else Stage(**s) for s in values["stages"])
    return cls(**values)


def _tuples(value: Any) -> Any:
    """Lists, which is what JSON makes of tuples, as tuples, at every depth."""
    return tuple(_tuples(v) for v in value) if isinstance(value, (list, tuple)) else value


def to_json(options: Any) -> str:
    return json.dumps(to_dict(options), indent=2)
