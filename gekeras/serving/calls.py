"""What the two ways to a server have in common: its address, what can go wrong with a call, and how that is told."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from ..messages import LIMIT, plain

ENCODED = "encoded"  # the signature of files
LARGEST = 2**28  # bytes of an answer
PORTS = {"gRPC": 8500, "REST": 8501}  # those of TensorFlow Serving, unless it is told otherwise
# Kinds of `CallError`: the first is worth another try, the second says what is wrong with the inputs.
UNAVAILABLE, REFUSED, MISSING, LATE, DENIED = "unavailable", "refused", "missing", "late", "denied"
BROKEN, OTHER = "broken", "other"  # no such server answered; it answered something else


class CallError(Exception):
    """A call without an answer: what kind of fault that is, and the server's or the system's words, in one line."""

    def __init__(self, kind: str, text: str):
        super().__init__(text)
        self.kind, self.text = kind, text


class Address(NamedTuple):
    """Of a server."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Access:
    """How a server is reached.

    Attributes:
        tls: True for certificates that this machine trusts, or a file of those to trust (PEM).
        key: sent as `x-api-key` with every call.
    """

    address: Address
    tls: bool | Path
    key: str | None

    def certificates(self) -> bytes | None:
        """Those to trust; None for this machine's own. Raises ValueError for a file that cannot be read, or has none."""
        if isinstance(self.tls, bool):
            return None
        try:
            data = self.tls.read_bytes()
        except OSError as error:
            raise ValueError(f"{self.tls}: {(error.strerror or type(error).__name__).lower()}") from error
        try:
            ssl.create_default_context(cadata=data.decode("ascii", "ignore"))
        except (ssl.SSLError, ValueError) as error:
            raise ValueError(f"{self.tls}: holds no certificates in PEM's form ({plain(str(error))})") from error
        return data


class Way(Protocol):
    """To a server."""

    name: str

    def predict(self, model: str, inputs: dict[str, list], seconds: float) -> dict[str, list]:
        """The outputs of the signature `encoded`, a list each. Raises CallError."""

    def serves(self, model: str, seconds: float) -> bool:
        """Whether the server has a model. Raises CallError."""

    def close(self) -> None:
        """Give up what is open."""


def parse_address(text: str, way: str) -> Address:
    """HOST:PORT, or [IPv6]:PORT.

    Raises:
        ValueError: anything else.

    Example:
        >>> parse_address("localhost:8500", "gRPC")
        Address(host='localhost', port=8500)
    """
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)):([0-9]{1,5})", text)
    if not found or not 0 < int(found[3]) < 65536:
        raise ValueError(f"the server must be HOST:PORT, as localhost:{PORTS[way]}; received {text!r}")
    return Address(found[1] or found[2], int(found[3]))


def check_key(key: str | None) -> None:
    """Raise ValueError, without the key in it, for one that cannot be sent."""
    if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise ValueError("the key must be one word of printable ASCII characters")


def words_of(text: str) -> str:
    """A server's message without the names of what it ran.

    Example:
        >>> words_of("assertion failed: [steps must be 0 to 10,000]\\n\\t [[{{node Assert/Assert}}]]")
        'steps must be 0 to 10,000'
        >>> words_of("Expected image. \\n\\t [[{{node map/image_bytes_must_be_a_whole_PNG_or_JPEG_of_4x4_pixels}}]]")
        'image_bytes must be a whole PNG or JPEG of 4x4 pixels'
    """
    if found := re.search(r"(?:image|mask)_bytes_must_be_a_whole_PNG_or_JPEG_of_\d+x\d+_pixels", text):
        name, rest = found[0].split("_bytes_", 1)
        return f"{name}_bytes {rest.replace('_', ' ')}"
    if found := re.search(r"assertion failed: \[(.*?)\](?: \[.*)?\s*(?:\[\[|\{\{|$)", text, re.DOTALL):
        return plain(found[1])
    return plain(re.sub(r"\[\[.*?\]\]|\{\{.*?\}\}", "", text, flags=re.DOTALL))[:LIMIT] or "no reason given"
