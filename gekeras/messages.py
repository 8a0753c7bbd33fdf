"""What an exception says, in one line that a user can read."""

from __future__ import annotations

import re
from typing import Any

LIMIT = 300  # characters
ADDRESS = re.compile(r" (?:object )?at 0x[0-9a-fA-F]+")
NODES = re.compile(r" for '\{\{node [^']*'|\{\{.*?\}\}\s*|\s*\[Op:\w+\].*$", re.DOTALL)  # TensorFlow's names of what it ran
CONFIG = re.compile(r" using config=.*?(?=Exception encountered: )", re.DOTALL)  # Keras' whole configurations


def reason_of(error: BaseException, limit: int = LIMIT) -> str:
    """An exception's message without line breaks, addresses in memory, names of graph nodes and what is beyond `limit`.

    Example:
        >>> reason_of(ValueError("no gradient for <Dense object at 0x7f00>\\nof the model"))
        'no gradient for <Dense> of the model'
        >>> reason_of(KeyError("name"))
        "KeyError: 'name'"
    """
    text = str(error)
    if "in user code:" in text:  # AutoGraph: a traceback, then the message, indented
        text = re.split(r"\n\s*\n\s*(?=\w)", text.strip())[-1]
    text = plain(CONFIG.sub(". ", NODES.sub("", ADDRESS.sub("", text))))
    if isinstance(error, KeyError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= limit else f"{text[:limit]} ..."


def plain(text: str) -> str:
    """One line."""
    return " ".join(text.split())


def shown(value: Any) -> str:
    """A value as a message quotes it: a short one as it is, of anything else its type."""
    if not isinstance(value, (str, int, float, list, tuple, dict, type(None))):
        return f"an object of type {type(value).__name__}"
    text = ADDRESS.sub("", repr(value))
    return text if len(text) <= 60 else f"{text[:60]} ..."
