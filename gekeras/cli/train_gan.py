"""The command `gekeras train gan`: a progressive generator from pictures."""

from __future__ import annotations

import click

from .. import config
from .options import option_of, teller, volume_options_of
from .runs import (
    RunCommand,
    be_deterministic,
    distribute_option,
    limits_of,
    pictures_argument,
    refuse_idle,
    strategy_of,
    train_options,
)


def _at(kind: type):
    """`("64:32", ...)` -> `((64, 32), ...)`, the second a number of that kind."""

    def read(_context, _parameter, values) -> tuple[tuple[int, float], ...]:
        try:
            return tuple((int(size), kind(value)) for size, value in (text.split(":") for text in values))
        except ValueError:
            raise click.BadParameter("expected RESOLUTION:VALUE, as 64:32") from None

    return read


def _stage(_context, _parameter, values) -> tuple[config.Stage, ...]:
    stages = [value.split(":") for value in values]
    if not all(len(parts) == 3 and all(part.isdecimal() for part in parts) for parts in stages):
        raise click.BadParameter("a stage is RESOLUTION:FADE:STABLE, in images, as 16:20000:50000")
    return tuple(config.Stage(*map(int, parts)) for parts in stages)


FIELDS = (
    "resolution",
    "channels",
    "latent_size",
    "fmap_base",
    "fmap_max",
    "bilinear_from",
    "loss",
    "batch_size",
    "learning_rate",
    "average_decay",
)


@click.command("gan", cls=RunCommand)
@pictures_argument
@train_options(config.GANOptions, *FIELDS)
@distribute_option
@option_of(
    config.GANOptions,
    "stages",
    "--stage",
    multiple=True,
    default=(),
    callback=_stage,
    metavar="RES:FADE:STABLE",
    help="The schedule, in images: one resolution, repeated, smallest first. Default: the original's, see --kimg.",
)
@click.option(
    "--kimg",
    type=click.FloatRange(min=0, min_open=True),
    help="Thousands of images of each fade and of each stable part that follows, from 4 px up; 600 by default.",
)
@option_of(
    config.GANOptions,
    "batch_sizes",
    "--batch-at",
    multiple=True,
    default=(),
    callback=_at(int),
    metavar="RES:N",
)
@option_of(
    config.GANOptions,
    "learning_rates",
    "--learning-rate-at",
    multiple=True,
    default=(),
    callback=_at(float),
    metavar="RES:RATE",
)
@click.option(
    "--dry-run", is_flag=True, help="Print the schedule and, from 20 steps of each stage, the time; train nothing."
)
@click.pass_obj
def train_gan(arguments, pictures, folder, distribute, deterministic, memory, kimg, dry_run, **values):
    """Train a progressive GAN on PICTURES: folders, tar or TFRecord shards, volumes.

    \b
    Examples:
      gekeras train gan photos/ --run runs/gan --resolution 64 --fmap-base 2048 --fmap-max 128 --latent-size 256 \\
        --loss nonsaturating --batch 32 \\
        --stage 8:0:25000 --stage 16:20000:50000 --stage 32:15000:45000 --stage 64:15000:100000
      gekeras train gan photos/ --run runs/gan --resolution 128 --kimg 100 --dry-run
      gekeras train gan --run runs/gan --resume
      gekeras train gan --run runs/rock scan.npy --channels 1 --crop 128 --stride 64 --turn
    """
    cut, limits = volume_options_of(values), limits_of(arguments, values)
    tell = teller(limits.quiet)
    if kimg:
        if values["stages"]:
            raise click.UsageError("--kimg scales the original's schedule; leave out --stage")
        values["stages"] = config.paper_stages(values["resolution"], images=round(1000 * kimg))
    options = config.GANOptions(**values)
    if dry_run and distribute not in ("auto", "none"):
        refuse_idle(("distribute",), "--dry-run measures one device")

    from .. import data

    items = data.entries(*pictures, options=cut)
    for line in data.notes(*pictures, items=items):
        tell(line)
    be_deterministic(deterministic)
    if dry_run:
        _print_estimate(options, items, memory)
        return

    from ..training import gan

    with strategy_of(distribute) as strategy:
        seen = gan.train(options, items, folder, memory=memory, limits=limits, strategy=strategy)
    click.echo(f"{folder}: {seen:,} images shown")


def _print_estimate(options: config.GANOptions, items: list, memory: bool) -> None:
    """The schedule as a table, a row as soon as it is measured, and the sum."""
    from ..training import estimate

    click.echo("resolution       fade     stable  batch     rate  images/s  input      time")
    seconds = 0.0
    for row in estimate.of_gan(options, items, memory):
        seconds += row.seconds
        speed = f"{row.speed.rate:>8.1f}  {100 * row.speed.waiting:>3.0f} %  {estimate.clock(row.seconds):>8}"
        click.echo(
            f"{row.resolution:>10} {row.fade:>10,} {row.stable:>10,} {row.batch_size:>6} {row.learning_rate:>8g}  {speed}"
        )
    total = sum(stage.fade + stage.stable for stage in options.stages)
    click.echo(f"{total:,} images in all: about {estimate.clock(seconds)} on this machine")
