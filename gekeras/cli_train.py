"""The commands `gekeras train autoencoder | aegan` and `gekeras export`: from a generator to a preset."""

from __future__ import annotations

from pathlib import Path

import click

from . import config, presets
from .cli_options import FILE, parameter_option, task_option, volume_options_of
from .cli_options import options as shared
from .cli_run import RunCommand, be_deterministic, distribute_option, pictures_argument, strategy_of, train_options

coder_options = shared(
    click.option(
        "--validation",
        type=click.IntRange(min=1),
        default=512,
        show_default=True,
        help="Pictures held out for the validation curve.",
    ),
    click.option("--width", type=click.IntRange(min=1), default=32, show_default=True, help="f of Table 1."),
    click.option("--batch", "batch_size", type=click.IntRange(min=1), default=32, show_default=True),
)


@click.group()
def train():
    """Train the generator, then an autoencoder for each task."""


@train.command("autoencoder", cls=RunCommand)
@pictures_argument
@task_option
@parameter_option
@click.option("--operator", metavar="MODULE:OBJECT", help="A degradation of one's own, for a task of that name.")
@train_options
@distribute_option
@click.option(
    "--generator",
    type=FILE,
    required=True,
    metavar="RUN|PRESET_DIR",
    help="Run folder of the GAN or BEGAN, or a preset with a generator.",
)
@click.option(
    "--from",
    "start",
    type=FILE,
    metavar="RUN|PRESET_DIR",
    help="Start from the weights of another autoencoder.",
)
@coder_options
@click.option("--code-size", type=click.IntRange(min=1), default=256, show_default=True)
@click.option("--images", type=click.IntRange(min=1), default=1_000_000, show_default=True, help="Real images to show.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.0005, show_default=True)
@click.option("--pool", type=click.IntRange(min=1), default=20_000, show_default=True, help="Generated images to draw from.")
@click.option(
    "--validate-every",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Real images between two points of the validation curve.",
)
def train_autoencoder(
    pictures,
    task,
    parameters,
    operator,
    folder,
    minutes,
    save_every,
    deterministic,
    distribute,
    memory,
    bfloat16,
    quiet,
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
    cut = volume_options_of(values)
    options = config.AutoencoderOptions(mixed_precision=bfloat16, **values)
    parameters = {**parameters, **({"operator": operator} if operator else {})}

    from .operators import make_task
    from .training import autoencoder

    be_deterministic(deterministic)
    with strategy_of(distribute) as strategy:
        network, shape = _generator_of(generator)
        sources = _sources(pictures, cut, validation, shape, memory)
        curve = autoencoder.train(
            options,
            make_task(task, shape["resolution"], shape["channels"], **parameters),
            *sources,
            network,
            shape["latent_size"],
            folder,
            latent=shape["latent"],
            start=_weights_of(start, task) if start else None,
            minutes=minutes,
            quiet=quiet,
            save_every=save_every,
            strategy=strategy,
        )
    click.echo(f"{folder}: {curve[-1][0]:,} images shown, validation MSE {curve[-1][1]:.5f}")


def _generator_of(path: Path):
    """G of a run or of a preset, as a callable, and a dict with its resolution, channels, latent_size and latent."""
    if (path / "preset.json").is_file():
        preset = presets.load(str(path.resolve()))  # an absolute path is never another preset's name
        shape = {name: getattr(preset, name) for name in ("resolution", "channels", "latent_size", "latent")}
        return preset.part("generator"), shape

    from .training import generators

    network, latent, *_ = generators.of_run(path)
    return network, {**network.config, "latent": latent}


def _sources(pictures, cut: config.VolumeOptions, validation: int, shape: dict, memory: bool) -> list:
    """The pictures to train on and the last `validation` of them, held out. Raises ValueError if nothing would be left."""
    from . import data

    items = data.entries(*pictures, options=cut)
    if validation >= len(items):
        raise ValueError(f"{validation} pictures cannot be held out of {len(items)}")
    parts = (items[:-validation], items[-validation:])
    return [data.Source(part, shape["resolution"], shape["channels"], memory) for part in parts]


def _weights_of(start: Path, task: str):
    """The autoencoder of a run; or of a preset: the task's, or that of reconstruct where it has none for the task."""
    from .training import checkpoints

    if not (start / "preset.json").is_file():
        return checkpoints.require_latest(start)[0]
    preset = presets.load(str(start.resolve()))  # an absolute path is never another preset's name
    name = task if preset.has(f"encoder-{task}") else "reconstruct"
    parts = ((part, preset.part(f"{part}-{name}")) for part in ("encoder", "decoder"))
    return {k: v for part, loaded in parts for k, v in checkpoints.weights_of_part(part, loaded).items()}


@train.command("aegan", cls=RunCommand)
@pictures_argument
@train_options
@click.option(
    "--gan", "gan_run", type=FILE, required=True, metavar="RUN", help="Run folder of the GAN whose networks are trained on."
)
@coder_options
@click.option("--images", type=click.IntRange(min=1), default=300_000, show_default=True, help="Real images to show.")
@click.option(
    "--learning-rate",
    type=click.FloatRange(min=0, min_open=True),
    default=0.001,
    show_default=True,
    help="Of generator and discriminator.",
)
@click.option("--encoder-learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.0005, show_default=True)
@click.option(
    "--reconstruction-weight",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Of the reconstruction's mean squared error, beside the adversarial loss.",
)
@click.option(
    "--kl-weight",
    type=click.FloatRange(min=0),
    default=0.05,
    show_default=True,
    help="Of the mean KL divergence of a latent dimension from N(0, 1).",
)
@click.option("--average-decay", type=click.FloatRange(0, 1), default=0.999, show_default=True)
def train_aegan(
    pictures, folder, minutes, save_every, deterministic, memory, bfloat16, quiet, gan_run, validation, **values
):
    """Train the AEGAN baseline on PICTURES: a GAN's networks and an encoder, together.

    \b
    Example:
      gekeras train aegan photos/ --gan runs/gan --run runs/aegan --width 16 --bfloat16 --memory
    """
    cut = volume_options_of(values)
    options = config.AEGANOptions(mixed_precision=bfloat16, **values)

    from .training import aegan

    be_deterministic(deterministic)
    _, shape = aegan.read_gan(gan_run)
    sources = _sources(pictures, cut, validation, shape, memory)
    curve = aegan.train(options, *sources, gan_run, folder, minutes=minutes, quiet=quiet, save_every=save_every)
    click.echo(f"{folder}: {curve[-1][0]:,} images shown, validation MSE {curve[-1][1]:.5f}")


@click.command()
@click.argument("folder", type=FILE, metavar="PRESET_DIR")
@click.option("--gan", "gan_run", type=FILE, metavar="RUN", help="Run folder of the GAN or BEGAN.")
@click.option(
    "--autoencoder", "runs", type=FILE, multiple=True, metavar="RUN", help="Run folder of an autoencoder; repeatable."
)
@click.option("--aegan", "aegan_run", type=FILE, metavar="RUN", help="Run folder of the AEGAN baseline.")
@click.option(
    "--about",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="JSON",
    help="Description, data and terms to keep in the preset's record.",
)
def export(folder, gan_run, runs, aegan_run, about):
    """Write trained runs as a preset of SavedModels; parts that are not named stay as they are.

    \b
    Example:
      gekeras export saved_models/my-faces --gan runs/gan --autoencoder runs/superres
    """
    from . import export as exporting

    written = exporting.export(folder, gan_run, runs, about, aegan_run)
    click.echo("\n".join(f"{folder / name}" for name in written))
