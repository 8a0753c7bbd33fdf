"""The command `gekeras import`: a generator trained elsewhere as a preset."""

from __future__ import annotations

import click

from ..networks import presets, record
from .options import FILE


@click.command("import")
@click.argument("checkpoint", type=FILE)
@click.argument("folder", type=FILE, metavar="PRESET_DIR")
@click.option(
    "--about",
    type=FILE,
    metavar="JSON",
    help="Description, data and terms to keep in the preset's record.",
)
@click.option("--force", is_flag=True, help="Replace the generator that the preset has; its scores go.")
def import_generator(checkpoint, folder, about, force):
    """Write the progressive GAN generator of CHECKPOINT as a preset that autoencoders can be trained for.

    CHECKPOINT is a file of PyTorch's GAN zoo, or an .npz of the variables of Karras' TensorFlow network. Nothing in it is
    executed, and PyTorch is not needed.

    \b
    Example:
      gekeras import celebaCropped_s5_i83000-2b0acc76.pth saved_models/celeba-128 --about about.json
      gekeras train autoencoder photos/ --task superres --generator saved_models/celeba-128 --run runs/superres
      gekeras export saved_models/celeba-128 --autoencoder runs/superres
    """
    presets.check_target(folder)
    described = record.read_about(about) if about else {}

    from .. import importing

    info = importing.import_generator(checkpoint, folder, described, force)
    size = f"{info['resolution']}x{info['resolution']}x{info['channels']}"
    note = f"; {info['source']['note']}" if "note" in info["source"] else ""
    click.echo(f"{folder / 'generator'}: {size}, {info['generator']['parameters']:,} parameters{note}")
