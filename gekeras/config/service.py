"""Options of `gekeras serve`, the package's own page and HTTP service."""

from __future__ import annotations

from dataclasses import dataclass

from .rules import check, documented, require, setting


@documented
@dataclass(frozen=True)
class ServiceOptions:
    """Where the service listens, and what it accepts.

    Raises:
        ValueError: a value that its attribute does not allow, or no host.

    Example:
        >>> ServiceOptions(port=8080).host
        '127.0.0.1'
        >>> ServiceOptions(wait_ms=-1)
        Traceback (most recent call last):
        ValueError: wait_ms must be from 0 to 10000; received -1
    """

    host: str = setting(
        "127.0.0.1",
        "Name or address to listen on. There is no authentication: others than 127.0.0.1 are for all who reach it.",
    )
    port: int = setting(8000, "Port to listen on; 0 takes a free one, which is printed.", minimum=0, maximum=65535)
    max_bytes: int = setting(2**24, "Largest body of a request, in bytes; a larger one is refused.", minimum=1)
    max_pixels: int = setting(
        16_000_000,
        "Largest picture, in pixels; told from its header, before it is decoded.",
        minimum=4,
        maximum=64_000_000,  # what is read at all
    )
    wait_ms: int = setting(
        5, "Milliseconds that a request waits for others, to be solved together with them.", minimum=0, maximum=10_000
    )
    queue: int = setting(64, "Requests that are read, wait or are solved at one time; more are refused.", minimum=1)

    def __post_init__(self):
        check(self)
        require(bool(self.host), "host must be a name or an address", self.host)
