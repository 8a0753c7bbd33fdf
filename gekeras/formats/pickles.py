"""A pickle is a program: what it would do is looked at before any of it is done."""

from __future__ import annotations

import pickletools
from collections.abc import Collection
from typing import BinaryIO


def check_operations(stream: BinaryIO, allowed: Collection[str], most: int) -> None:
    """Read the next pickle of a stream without executing it; the stream is left behind it.

    Args:
        allowed: names of the operations that it may have, as `pickletools` calls them.
        most: how many of them, and the largest index into its memo.

    Raises ValueError for another one or for more, and what pickletools raises for what is no pickle.
    """
    for number, (operation, argument, _) in enumerate(pickletools.genops(stream)):
        if operation.name not in allowed:
            raise ValueError(f"it uses the pickle operation {operation.name}, which no file of weights needs; refused")
        # The memo is an array that grows to twice the largest index, so a few bytes could ask for gigabytes.
        if number >= most or (operation.name == "LONG_BINPUT" and (argument or 0) >= most):
            raise ValueError("its pickle is too large for a file of weights")
