"""The command `gekeras train aegan`: a baseline."""

from __future__ import annotations

import click

from .. import config
from .options import FILE, teller, volume_options_of
from .runs import RunCommand, be_deterministic, limits_of, pictures_argument, train_options, validation_option

FIELDS = (
    "width",
    "batch_size",
    "images",
    "learning_rate",
    "encoder_learning_rate",
    "reconstruction_weight",
    "kl_weight",
    "average_decay",
)


@click.command("aegan", cls=RunCommand)
@pictures_argument
@train_options(config.AEGANOptions, *FIELDS)
@click.option(
    "--gan", "gan_run", type=FILE, required=True, metavar="RUN", help="Run folder of the GAN whose networks are trained on."
)
@validation_option(512)
@click.pass_obj
def train_aegan(arguments, pictures, folder, deterministic, memory, gan_run, validation, **values):
    """Train the AEGAN baseline on PICTURES: a GAN's networks and an encoder, together.

    \b
    Example:
      gekeras train aegan photos/ --gan runs/gan --run runs/aegan --width 16 --bfloat16 --memory
    """
    cut, limits = volume_options_of(values), limits_of(arguments, values)
    options = config.AEGANOptions(**values)

    from ..training import aegan, sources

    be_deterministic(deterministic)
    _, shape = aegan.read_gan(gan_run)
    sizes = shape["resolution"], shape["channels"]
    shown, held_out = sources.held_out(pictures, *sizes, validation, cut=cut, memory=memory, tell=teller(limits.quiet))
    curve = aegan.train(options, shown, held_out, gan_run, folder, limits=limits)
    click.echo(f"{folder}: {curve[-1][0]:,} images shown, validation MSE {curve[-1][1]:.5f}")
