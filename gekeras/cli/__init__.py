"""The command line: `gekeras solve | encode | decode | eval | study | train | import | export | presets | serve | ...`.

TensorFlow is imported inside the commands, so that `--help` is immediate. Exit codes: 0; 2 with one line on stderr for a
user's mistake; 1 for anything else.
"""

from __future__ import annotations

import os
import sys

import click

from .._version import __version__
from . import quiet
from .codes import decode, encode
from .demo import demo
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .import_generator import import_generator
from .presets import list_presets
from .serve import serve
from .solve import solve
from .study import study
from .train import train
from .volume import volume

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", quiet.NONE)  # TensorFlow logs its plug-in registration as errors


class OneLineErrors(click.Group):
    """Turns what the library refuses (ValueError) and what click refuses into one line on stderr and exit code 2."""

    def invoke(self, ctx):
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if str(error):  # it has something to say, before which click would put the empty line of a bare Ctrl-C
                raise click.Abort() from error
            raise

    def main(self, args=None, prog_name=None, complete_var=None, standalone_mode=True, **extra):
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(args, prog_name, complete_var, standalone_mode=False, **extra) or 0)
        except getattr(click.exceptions, "NoArgsIsHelpError", ()) as error:  # click 8.1, for Python 3.9, has none
            click.echo(error.format_message())
            sys.exit(2)
        except click.ClickException as error:
            _fail(error.format_message(), 2)
        except ValueError as error:
            _fail(str(error), 2)
        except OSError as error:  # a folder that cannot be made, a disk that is full or read-only
            if error.filename is None:
                raise
            _fail(f"{error.filename}: {(error.strerror or type(error).__name__).lower()}", 2)
        except (click.Abort, KeyboardInterrupt) as error:  # click turns the second into the first
            _fail(str(error.__cause__ or "") or "stopped", 1)


def _fail(message: str, code: int) -> None:
    click.echo(f"gekeras: {' '.join(message.split())}", err=True)
    sys.exit(code)


@click.group(cls=OneLineErrors)
@click.version_option(__version__, prog_name="gekeras")
def cli():
    """Restore images with one pretrained generator and an encoder a task (Ong and Yang's generative encoder).

    \b
    Examples:
      gekeras demo
      gekeras solve --task superres small.png
      gekeras solve --task superres --simulate portrait.jpg --panel panel.png
    """


def main() -> None:
    quiet.install()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="surrogateescape")  # it may show a file's name that is not in the user's encoding
    cli(prog_name="gekeras")


for command in (
    *(solve, volume, demo, encode, decode, evaluate, study, train),
    *(export, import_generator, list_presets, serve, doctor),
):
    cli.add_command(command)
