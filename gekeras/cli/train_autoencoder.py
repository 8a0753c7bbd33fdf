"""The command `gekeras train autoencoder`: an encoder for a task, and its decoder."""

from __future__ import annotations

import click

from .. import config
from .options import FILE, TASKS, parameter_option, task_option, teller, volume_options_of
from .runs import (
    RunCommand,
    be_deterministic,
    distribute_option,
    generator_option,
    limits_of,
    pictures_argument,
    strategy_of,
    train_options,
    validation_option,
)

FIELDS = ("width", "batch_size", "code_size", "images", "learning_rate", "final_learning_rate", "pool", "validate_every")


@click.command("autoencoder", cls=RunCommand)
@pictures_argument
@task_option
@parameter_option
@click.option("--operator", metavar="MODULE:OBJECT", help="A degradation of one's own, for a task of that name.")
@train_options(config.AutoencoderOptions, *FIELDS)
@distribute_option
@generator_option
@click.option(
    "--from",
    "start",
    type=FILE,
    metavar="RUN|PRESET_DIR",
    help="Start from the weights of another autoencoder.",
)
@validation_option(512)
@click.pass_obj
def train_autoencoder(
    arguments,
    pictures,
    task,
    parameters,
    operator,
    folder,
    distribute,
    deterministic,
    memory,
    generator,
    start,
    validation,
    **values,
):
    """Train a task's autoencoder on PICTURES and as many generated ones.

    \b
    Example:
      gekeras train autoencoder photos/ --task superres --generator runs/gan --run runs/superres --width 16
    """
    cut, limits = volume_options_of(values), limits_of(arguments, values)
    options = config.AutoencoderOptions(**values)
    parameters = {**parameters, **({"operator": operator} if operator else {})}
    if task not in TASKS and "operator" not in parameters:
        raise click.UsageError(f"unknown task {task!r}; tasks are {', '.join(TASKS)}, or one's own with --operator")

    from ..operators import make_task
    from ..training import autoencoder, sources

    be_deterministic(deterministic)
    with strategy_of(distribute) as strategy:
        gan = sources.generator_of(generator)
        sizes = gan.resolution, gan.channels
        shown, held_out = sources.held_out(pictures, *sizes, validation, cut=cut, memory=memory, tell=teller(limits.quiet))
        curve = autoencoder.train(
            options,
            make_task(task, *sizes, **parameters),
            shown,
            held_out,
            gan.network,
            gan.latent_size,
            folder,
            latent=gan.latent,
            start=sources.autoencoder_weights(start, task, teller(limits.quiet)) if start else None,
            limits=limits,
            strategy=strategy,
        )
    click.echo(f"{folder}: {curve[-1][0]:,} images shown, validation MSE {curve[-1][1]:.5f}")
