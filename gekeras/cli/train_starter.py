"""The command `gekeras train starter`: where a task's solves begin."""

from __future__ import annotations

import functools

import click

from .. import config
from .options import FILE, VOLUME, parameter_option, task_option, teller, volume_options_of
from .runs import (
    RunCommand,
    be_deterministic,
    generator_option,
    limits_of,
    pictures_argument,
    refuse_idle,
    train_options,
    validation_option,
)

FIELDS = (
    "width",
    "blocks",
    "batch_size",
    "images",
    "learning_rate",
    "final_learning_rate",
    "decoder_weight",
    "pairs",
    "fit_steps",
    "probes",
)


@click.command("starter", cls=RunCommand)
@functools.partial(pictures_argument, required=False)
@task_option
@parameter_option
@train_options(config.StarterOptions, *FIELDS, turn=False)
@generator_option
@click.option("--autoencoder", type=FILE, required=True, metavar="RUN|PRESET_DIR", help="Whose encoder is used.")
@validation_option(256)
@click.pass_obj
def train_starter(
    arguments, pictures, task, parameters, folder, deterministic, memory, generator, autoencoder, validation, **values
):
    """Train a task's starter: where a solve begins, from the code alone. Generator and encoder are all that it needs;
    half of its codes are those of PICTURES where there are any.

    \b
    Example:
      gekeras train starter photos/ --task superres --generator runs/gan --autoencoder runs/superres --run runs/start
    """
    cut, limits = volume_options_of(values), limits_of(arguments, values)
    options = config.StarterOptions(**values)
    if not pictures:
        refuse_idle(("memory", "validation", "mirror", *VOLUME), "without PICTURES all codes are of generated ones")

    from ..operators import make_task
    from ..training import sources, starter
    from ..training.problem import Problem

    be_deterministic(deterministic)
    gan = sources.generator_of(generator, options.mixed_precision)
    coder = sources.autoencoder_of(autoencoder, task, parameters, options.mixed_precision)
    sizes = gan.resolution, gan.channels
    problem = Problem(
        gan.network,
        coder.encoder,
        make_task(task, *sizes, **coder.parameters),
        gan.latent_size,
        gan.latent,
        *sizes,
        coder.decoder,
    )
    shown, held_out = None, None
    if pictures:
        shown, held_out = sources.held_out(pictures, *sizes, validation, cut=cut, memory=memory, tell=teller(limits.quiet))
    error = starter.train(options, problem, folder, source=shown, held_out=held_out, limits=limits)
    click.echo(f"{folder}: median objective {error:.3f} of the starts, without a step")
