"""`gekeras solve --server`: the options that say where the server is, and those that it does not leave to its clients."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import click
from click.core import ParameterSource

from ..config import PictureOptions
from ..serving.client import BATCH, DEADLINE
from .options import FILE, combined, teller

SERVER = ("server", "rest", "deadline", "tls", "ca", "key_file")
# What a request can say, and what is done here; all else was decided when the models were exported, or needs the networks.
FREE = ("inputs", "task", "output", "preset", "mask", "box", "batch", "seed", "steps", "as_json", "quiet")

server_options = combined(
    click.option(
        "--server",
        metavar="HOST:PORT",
        help="Have it solved by TensorFlow Serving, with models of `gekeras export --serving`.",
    ),
    click.option("--rest", is_flag=True, help="Call the server by REST instead of gRPC."),
    click.option(
        "--deadline",
        type=click.FloatRange(0, min_open=True),
        default=DEADLINE,
        show_default=True,
        metavar="S",
        help="Seconds that each batch may take the server, with all tries.",
    ),
    click.option("--tls", is_flag=True, help="Call the server by TLS."),
    click.option(
        "--ca", type=FILE, metavar="FILE", help="By TLS, with the certificates (PEM) to trust instead of this machine's."
    ),
    click.option("--key-file", type=FILE, metavar="FILE", help="Whose one line is sent to the server, as x-api-key."),
)


class Server(NamedTuple):
    """The values of `server_options`."""

    address: str
    rest: bool
    deadline: float
    tls: bool | Path
    key: str | None


def server_of(context: click.Context, values: dict[str, Any]) -> Server | None:
    """Take the values of `server_options` out of a command's arguments; None where no server is named.

    Raises:
        UsageError: options that need a server without one, or that a server decides with one.
    """
    found = {name: values.pop(name) for name in SERVER}
    given = {p.name: p.opts[-1] for p in context.command.params if _is_given(context, p.name)}
    if found["server"] is None:
        if idle := [flag for name, flag in given.items() if name in SERVER]:
            raise click.UsageError(f"{', '.join(idle)}: for a server, give --server HOST:PORT, too")
        return None
    if decided := [flag for name, flag in given.items() if name not in (*SERVER, *FREE)]:
        raise click.UsageError(
            f"{', '.join(decided)}: not with --server, which solves as its models were exported; leave it out, or solve here"
        )
    return Server(found["server"], found["rest"], found["deadline"], found["ca"] or found["tls"], _key(found["key_file"]))


def restore(server: Server, inputs, task, *, preset, mask, box, batch, output, seed, steps, quiet):
    """As `serving.remote.restore`."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it logs on stderr what it also raises
    from ..serving import remote
    from ..serving.client import Client

    pictures, (address, rest, deadline, tls, key) = PictureOptions(mask=mask, box=box), server
    with Client(address, preset=preset, rest=rest, deadline=deadline, tls=tls, key=key, batch=batch or BATCH) as client:
        return remote.restore(
            inputs, task, client, pictures=pictures, output=output, seed=seed, steps=steps, tell=teller(quiet)
        )


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP, None)


def _key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or 'is no text'}".lower()) from error
    if not key:
        raise ValueError(f"{path}: holds no key")
    return key
