"""The command `gekeras serve`: a page and an HTTP service for one preset."""

from __future__ import annotations

import importlib.util

import click

from ..config.service import ServiceOptions
from ..networks import presets
from .options import batch_option, option_of, options_of, preset_options, teller

EXTRA = ("starlette", "uvicorn")


@click.command()
@preset_options
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="TASK",
    help="Serve this task alone; repeatable. By default all of the preset's are loaded and served.",
)
@option_of(ServiceOptions, "host")
@option_of(ServiceOptions, "port")
@batch_option
@options_of(ServiceOptions, "wait_ms", "queue", "max_bytes", "max_pixels")
def serve(preset, models, tasks, batch, **values):
    """Restore pictures in the browser, or over HTTP.

    Needs `pip install 'gekeras[serve]'`. Ctrl-C, or SIGTERM, stops it: what was accepted by then is still answered.

    \b
    Examples:
      gekeras serve
      gekeras serve --preset rock-128 --task superres --task denoise --port 8080
      curl --data-binary @small.png -H 'Content-Type: image/png' -o large.png http://127.0.0.1:8000/v1/solve/superres
    """
    _check_extra()
    options = ServiceOptions(**values)
    loaded = presets.load(preset, models)
    chosen = list(dict.fromkeys(tasks)) or list(loaded.tasks)
    if not chosen:
        raise ValueError(f"preset {loaded.name!r} has no tasks yet: there is nothing to serve")
    for task in chosen:
        loaded.task_parameters(task)

    from ..service import address

    listener, tell = address.bind(options.host, options.port), teller()
    if not address.is_private(listener):
        tell(f"gekeras: {options.host} is open to other machines, and there is no authentication: put a proxy in front")

    from ..service.server import serve as run  # TensorFlow, which takes seconds

    click.echo(f"{loaded.name} at {address.url_of(listener)}, Ctrl-C stops it")
    run(listener, loaded, chosen, options, batch, tell)


def _check_extra() -> None:
    lacking = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if lacking:
        raise click.ClickException(f"{' and '.join(lacking)} needed to serve: pip install 'gekeras[serve]'")
