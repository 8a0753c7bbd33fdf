"""The socket that a service listens on, and its address as a browser writes it. Needs no TensorFlow."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket

BACKLOG = 128


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens: whoever connects from now on is answered once the service runs.

    Raises:
        ValueError: a name or an address that is not this machine's, or a port that is taken or reserved.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"host: {host!r} is no name or address that is known here") from error
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if os.name == "posix":  # else the port stays taken for a minute after a restart; on Windows it would be shared
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ValueError(_refusal(host, port, error)) from error
    return listener


def _refusal(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is taken: end what listens there, or name another one with --port"
    if error.errno == errno.EACCES:
        return f"port {port} of {host} is reserved: name one above 1023 with --port"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"host: {host} is no address of this machine"
    return f"{host}:{port}: cannot listen there ({(error.strerror or str(error)).lower()})"


def url_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8000/`."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
