"""The command `gekeras train began`: a second kind of generator from pictures."""

from __future__ import annotations

import click

from .. import config
from .options import volume_options_of
from .runs import RunCommand, be_deterministic, pictures_argument, train_options

RATE = click.FloatRange(min=0, min_open=True)


@click.command("began", cls=RunCommand)
@pictures_argument
@train_options
@click.option("--resolution", type=int, default=64, show_default=True, help="Side of the pictures, a power of two.")
@click.option("--channels", type=click.Choice(["1", "3"]), default="3", show_default=True)
@click.option("--latent-size", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--width", type=click.IntRange(min=1), default=128, show_default=True, help="n, the channels at a scale.")
@click.option("--skip", is_flag=True, help="Skip connections from the 8x8 tensor to every scale of generator and decoder.")
@click.option("--images", type=click.IntRange(min=1), default=8_000_000, show_default=True, help="Real images to show.")
@click.option("--batch", "batch_size", type=click.IntRange(min=1), default=16, show_default=True, help="Images a step.")
@click.option("--learning-rate", type=RATE, default=0.00008, show_default="0.00008", help="Adam's, of both networks.")
@click.option("--final-learning-rate", type=RATE, default=0.00002, show_default="0.00002", help="Where the halving ends.")
@click.option(
    "--halve-every", type=click.IntRange(min=1), default=1_600_000, show_default=True, help="Images between two halvings."
)
@click.option(
    "--gamma",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Diversity ratio: less is sharper, more is more varied; 0.3 to 0.7 in the paper.",
)
@click.option("--lambda-k", type=click.FloatRange(min=0), default=0.001, show_default=True, help="Gain of the balance k.")
@click.option(
    "--average-decay",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.999,
    show_default=True,
    help="Of the generator's moving average, which is exported; 0 for none.",
)
def train_began(pictures, folder, minutes, save_every, deterministic, memory, bfloat16, quiet, channels, **values):
    """Train a boundary equilibrium GAN on PICTURES: folders, tar or TFRecord shards, volumes.

    Its run may be named wherever a GAN's is: to train autoencoders and to export a preset.

    \b
    Examples:
      gekeras train began photos/ --run runs/began --resolution 64 --width 64 --memory
      gekeras train began --run runs/began --resume
    """
    cut = volume_options_of(values)
    options = config.BEGANOptions(channels=int(channels), mixed_precision=bfloat16, **values)

    from .. import data
    from ..training import began

    be_deterministic(deterministic)
    items = data.entries(*pictures, options=cut)
    seen = began.train(options, items, folder, memory=memory, minutes=minutes, quiet=quiet, save_every=save_every)
    click.echo(f"{folder}: {seen:,} images shown")
