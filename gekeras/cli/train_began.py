"""The command `gekeras train began`: a second kind of generator from pictures."""

from __future__ import annotations

import click

from .. import config
from .options import teller, volume_options_of
from .runs import RunCommand, be_deterministic, limits_of, pictures_argument, train_options

FIELDS = (
    "resolution",
    "channels",
    "latent_size",
    "width",
    "skip",
    "images",
    "batch_size",
    "learning_rate",
    "final_learning_rate",
    "halve_every",
    "gamma",
    "lambda_k",
    "average_decay",
)


@click.command("began", cls=RunCommand)
@pictures_argument
@train_options(config.BEGANOptions, *FIELDS)
@click.pass_obj
def train_began(arguments, pictures, folder, deterministic, memory, **values):
    """Train a boundary equilibrium GAN on PICTURES: folders, tar or TFRecord shards, volumes.

    Its run may be named wherever a GAN's is: to train autoencoders and to export a preset.

    \b
    Examples:
      gekeras train began photos/ --run runs/began --resolution 64 --width 64 --memory
      gekeras train began --run runs/began --resume
    """
    cut, limits = volume_options_of(values), limits_of(arguments, values)
    tell = teller(limits.quiet)
    options = config.BEGANOptions(**values)

    from .. import data
    from ..training import began

    be_deterministic(deterministic)
    items = data.entries(*pictures, options=cut)
    for line in data.notes(*pictures, items=items):
        tell(line)
    seen = began.train(options, items, folder, memory=memory, limits=limits)
    click.echo(f"{folder}: {seen:,} images shown")
