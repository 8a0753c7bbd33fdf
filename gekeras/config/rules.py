"""How an option is refused."""

from __future__ import annotations

from typing import Any


def require(condition: bool, rule: str, received: Any) -> None:
    """Raise ValueError, with the rule and what was received, unless the condition holds."""
    if not condition:
        raise ValueError(f"{rule}; received {received!r}")
