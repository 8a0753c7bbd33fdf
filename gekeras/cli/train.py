"""The commands `gekeras train autoencoder | starter | aegan` and `gekeras export`: from a generator to a preset."""

from __future__ import annotations

import functools
from pathlib import Path

import click

from .. import config
from ..networks import presets
from .options import FILE, parameter_option, task_option, volume_options_of
from .options import options as shared
from .runs import RunCommand, be_deterministic, distribute_option, pictures_argument, strategy_of, train_options

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

    from ..operators import make_task
    from ..training import autoencoder

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


def _generator_of(path: Path, bfloat16: bool = False):
    """G of a run or of a preset, as a callable, and a dict with its resolution, channels, latent_size and latent.

    That of a run can compute in bfloat16; what a preset holds computes in float32.
    """
    if (path / "preset.json").is_file():
        preset = presets.load(str(path.resolve()))  # an absolute path is never another preset's name
        shape = {name: getattr(preset, name) for name in ("resolution", "channels", "latent_size", "latent")}
        return preset.part("generator"), shape

    from ..models import precision
    from ..training import generators

    network, latent, *_ = generators.of_run(path)
    if bfloat16:
        network = precision.rebuilt(network, precision.training_policy(True))
    return network, {**network.config, "latent": latent}


def _sources(pictures, cut: config.VolumeOptions, validation: int, shape: dict, memory: bool) -> list:
    """The pictures to train on and the last `validation` of them, held out. Raises ValueError if nothing would be left."""
    from .. import data

    items = data.entries(*pictures, options=cut)
    if validation >= len(items):
        raise ValueError(f"{validation} pictures cannot be held out of {len(items)}")
    parts = (items[:-validation], items[-validation:])
    return [data.Source(part, shape["resolution"], shape["channels"], memory) for part in parts]


def _weights_of(start: Path, task: str):
    """The autoencoder of a run; or of a preset: the task's, or that of reconstruct where it has none for the task."""
    from ..training import checkpoints

    if not (start / "preset.json").is_file():
        return checkpoints.require_latest(start)[0]
    preset = presets.load(str(start.resolve()))  # an absolute path is never another preset's name
    name = task if preset.has(f"encoder-{task}") else "reconstruct"
    parts = ((part, preset.part(f"{part}-{name}")) for part in ("encoder", "decoder"))
    return {k: v for part, loaded in parts for k, v in checkpoints.weights_of_part(part, loaded).items()}


@train.command("starter", cls=RunCommand)
@functools.partial(pictures_argument, required=False)
@task_option
@parameter_option
@train_options
@click.option("--generator", type=FILE, required=True, metavar="RUN|PRESET_DIR", help="As for the autoencoder.")
@click.option(
    "--autoencoder",
    type=FILE,
    required=True,
    metavar="RUN|PRESET_DIR",
    help="Whose encoder is used.",
)
@click.option(
    "--validation",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Pictures held out, of PICTURES where there are any.",
)
@click.option("--width", type=click.IntRange(min=1), default=256, show_default=True, help="Of the starter's blocks.")
@click.option("--blocks", type=click.IntRange(min=0), default=3, show_default=True)
@click.option("--batch", "batch_size", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--images", type=click.IntRange(min=1), default=100_000, show_default=True, help="Codes to show.")
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True), default=0.001, show_default=True)
@click.option(
    "--decoder-weight",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="gamma of ||G(z) - DC(m)||^2 in the solves that it starts; a preset's default for them is its starter's.",
)
@click.option("--pairs", type=click.IntRange(min=1), default=24_576, show_default=True, help="Free pairs of the first fit.")
@click.option("--fit-steps", type=click.IntRange(min=0), default=3_000, show_default=True, help="Steps of the first fit.")
@click.option(
    "--probes", type=click.IntRange(min=1), default=1_024, show_default=True, help="Gradients that the curvature is made of."
)
def train_starter(
    pictures,
    task,
    parameters,
    folder,
    minutes,
    save_every,
    deterministic,
    memory,
    bfloat16,
    quiet,
    turn,
    generator,
    autoencoder,
    validation,
    **values,
):
    """Train a task's starter: where a solve begins, from the code alone. Generator and encoder are all that it needs;
    half of its codes are those of PICTURES where there are any.

    \b
    Example:
      gekeras train starter photos/ --task superres --generator runs/gan --autoencoder runs/superres --run runs/start
    """
    if turn:
        raise ValueError("a starter sees codes: --turn has no meaning here")
    cut = volume_options_of(values)
    options = config.StarterOptions(mixed_precision=bfloat16, **values)

    from ..operators import make_task
    from ..training import starter

    be_deterministic(deterministic)
    network, shape = _generator_of(generator, bfloat16)
    encoder, decoder, parameters = _coder_of(autoencoder, task, parameters, bfloat16)
    side, channels = shape["resolution"], shape["channels"]
    problem = starter.Problem(
        network,
        encoder,
        make_task(task, side, channels, **parameters),
        shape["latent_size"],
        shape["latent"],
        side,
        channels,
        decoder,
    )
    source, held_out = _sources(pictures, cut, validation, shape, memory) if pictures else (None, None)
    limits = dict(minutes=minutes, quiet=quiet, save_every=save_every)
    error = starter.train(options, problem, folder, source=source, validation=held_out, **limits)
    click.echo(f"{folder}: median objective {error:.3f} of the starts, without a step")


def _coder_of(path: Path, task: str, parameters: dict, bfloat16: bool):
    """E and DC of a run or of a preset's task, as callables, and the parameters that its degradation was trained with, those
    given over them. Raises ValueError for the run of another task."""
    if (path / "preset.json").is_file():
        preset = presets.load(str(path.resolve()))
        found = {**preset.task_parameters(task), **parameters}
        return preset.part(f"encoder-{task}"), preset.part(f"decoder-{task}"), found

    from ..models.precision import rebuilt, training_policy
    from ..training import autoencoder

    networks, record = autoencoder.networks_of(path)
    if record["task"] != task:
        raise ValueError(f"{path} is an autoencoder for {record['task']}, not for {task}")
    policy = training_policy(bfloat16)
    return rebuilt(networks.encoder, policy), rebuilt(networks.decoder, policy), {**record["parameters"], **parameters}


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

    from ..training import aegan

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
@click.option("--starter", "starter_runs", type=FILE, multiple=True, metavar="RUN", help="Of a starter; repeatable.")
@click.option("--aegan", "aegan_run", type=FILE, metavar="RUN", help="Run folder of the AEGAN baseline.")
@click.option(
    "--about",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="JSON",
    help="Description, data and terms to keep in the preset's record.",
)
def export(folder, gan_run, runs, starter_runs, aegan_run, about):
    """Write trained runs as a preset of SavedModels; parts that are not named stay as they are.

    \b
    Example:
      gekeras export saved_models/my-faces --gan runs/gan --autoencoder runs/superres
    """
    from ..training import export as exporting

    written = exporting.export(folder, gan_run, runs, about, aegan_run, starter_runs)
    click.echo("\n".join(f"{folder / name}" for name in written))
