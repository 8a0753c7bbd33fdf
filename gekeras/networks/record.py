"""What `preset.json` must say, and in which form: a fault is told when it is read, not in the middle of a solve."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from .. import files
from ..config import LATENTS, SolveOptions, settings
from ..files import PathLike
from ..messages import shown

REQUIRED = ("resolution", "channels", "latent_size", "tasks", "checksums")
FACTS = ("latent", "code_size", "range", "generator", "autoencoders", "starters", "aegan", "scores", "source")


def fault_of(info: dict[str, Any]) -> str:
    """What is wrong with the content of a `preset.json`, "" if nothing is.

    Example:
        >>> fault_of({"resolution": "64", "channels": 3, "latent_size": 256, "tasks": {}, "checksums": {}})
        "resolution must be a whole number above 0; found '64'"
    """
    if missing := [key for key in REQUIRED if key not in info]:
        return f"it lacks {', '.join(missing)}"
    for key, (form, right) in FORMS.items():
        if key in info and not right(info[key]):
            return f"{key} must be {form}; found {shown(info[key])}"
    sets = {"solve": info.get("solve", {})}
    sets |= {f"objectives of {task}": values for task, values in info.get("objectives", {}).items()}
    return next(filter(None, (_options_fault(name, values) for name, values in sets.items())), "")


def _whole(value: Any) -> bool:
    return type(value) is int and value > 0


def _number(value: Any) -> bool:
    return type(value) in (int, float)


def _names(value: Any, right: Callable[[Any], bool]) -> bool:
    return isinstance(value, dict) and all(map(right, value.values()))


def _scored(value: Any) -> bool:
    """Scores of one task: {"methods": {name: {"n": 208, "mse": 0.04, ...}}}."""
    return isinstance(value, dict) and _names(value.get("methods"), _measured)


def _measured(value: Any) -> bool:
    return isinstance(value, dict) and _whole(value.get("n")) and _number(value.get("mse"))


def _trained(value: Any) -> bool:
    """Facts of one starter, whose options have the gamma that it was trained with."""
    options = value.get("options") if isinstance(value, dict) else None
    return isinstance(options, dict) and _number(options.get("decoder_weight", 0.0))


FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "resolution": ("a whole number above 0", _whole),
    "channels": ("1 or 3", lambda value: _whole(value) and value in (1, 3)),
    "latent_size": ("a whole number above 0", _whole),
    "code_size": ("a whole number above 0", _whole),
    "tasks": ("tasks and their parameters", lambda value: _names(value, lambda v: isinstance(v, dict))),
    "checksums": ("files and their checksums", lambda value: _names(value, lambda v: isinstance(v, str))),
    "latent": (f"one of {', '.join(LATENTS)}", lambda value: value in LATENTS),
    "range": ("[-1, 1], in which everything here computes", lambda value: value == [-1, 1]),
    "description": ("text", lambda value: isinstance(value, str)),
    "solve": ("solve options and their values", lambda value: isinstance(value, dict)),
    "objectives": ("tasks and their solve options", lambda value: _names(value, lambda v: isinstance(v, dict))),
    "starters": ("tasks and the facts of their starters", lambda value: _names(value, _trained)),
    "scores": ("tasks and the scores of their methods", lambda value: _names(value, _scored)),
}


def _options_fault(where: str, values: dict[str, Any]) -> str:
    """What is wrong with values over the defaults of `SolveOptions`, "" if nothing is."""
    rules, defaults = settings(SolveOptions), dataclasses.asdict(SolveOptions())
    for name, value in values.items():
        if name not in rules:
            return f"{where} has {name}, which is no option of a solve; there are {', '.join(rules)}"
        kinds = (int, float) if isinstance(defaults[name], float) else (type(defaults[name]),)
        if type(value) not in kinds or not rules[name].allows(value):
            rule = rules[name].rule if type(value) in kinds else f"must be of type {type(defaults[name]).__name__}"
            return f"{where}: {name} {rule}; found {shown(value)}"
    return ""


def read_about(path: PathLike) -> dict[str, Any]:
    """The description, data and terms that a preset's record is to keep, of a JSON file. Raises ValueError as `check_about`,
    and if it is no JSON object."""
    about = files.read_json(path)
    check_about(about, path)
    return about


def check_about(about: Mapping[str, Any], source: object = "about") -> None:
    """Raise ValueError for what the parts themselves say, which would be untrue then, and for values that none can have."""
    if told := [key for key in (*REQUIRED, *FACTS) if key in about]:
        raise ValueError(f"{source} says {', '.join(told)}, which the parts themselves say: leave that out")
    if fault := fault_of({"resolution": 1, "channels": 1, "latent_size": 1, "tasks": {}, "checksums": {}, **about}):
        raise ValueError(f"{source}: {fault}")
