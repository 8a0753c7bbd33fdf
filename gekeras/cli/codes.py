"""The commands `gekeras encode | decode`: pictures as codes, and back."""

from __future__ import annotations

import click

from ..config import PictureOptions
from .options import FILE, OUTPUT, batch_option, option_of, preset_options, progress_bar, solve_options, teller


@click.command()
@click.argument("inputs", nargs=-1, required=True, type=FILE)
@click.option("-o", "--output", type=OUTPUT, required=True, metavar="CODE.npz")
@click.option("--bits", type=click.Choice(["32", "16", "8"]), help="Bits a number of the code.  [default: 32]")
@click.option(
    "--bytes",
    "size",
    type=int,
    help="Bytes a picture: instead of its code the latent that fits into them, 16 to 1024, searched by the picture itself.",
)
@click.option("--align", type=click.Choice(["face"]), help="Take the largest face of each photograph.")
@option_of(PictureOptions, "skip_faceless")
@option_of(PictureOptions, "levels", metavar="LOW,HIGH")
@preset_options
@click.option("--quiet", is_flag=True)
def encode(inputs, output, bits, size, align, skip_faceless, levels, preset, models, quiet):
    """Compress pictures: the code of each, 256 numbers with the shipped presets, in one file.

    \b
    Example:
      gekeras encode photo.png -o code.npz --bits 8
      gekeras encode photo.png -o code.npz --bytes 64
    """
    from .. import restore

    encoded = restore.encode(
        inputs,
        output,
        preset=preset,
        models=models,
        bits=bits and int(bits),
        size=size,
        align=align == "face",
        skip_faceless=skip_faceless,
        levels=levels,
        tell=teller(quiet),
    )
    if not quiet:
        click.echo(encoded.summary())


@click.command()
@click.argument("code", type=FILE)
@click.option(
    "-o",
    "--output",
    type=OUTPUT,
    required=True,
    metavar="FILE|DIR",
    help="A folder for several codes: its name has no suffix, or a slash at its end.",
)
@click.option("--preview", is_flag=True, help="The autoencoder's own picture, at once, without solving.")
@preset_options
@solve_options
@batch_option
@click.option("--quiet", is_flag=True)
def decode(code, output, preview, preset, models, quiet, fidelity, batch, **changes):
    """Pictures from their codes: the receiver needs the preset and the code, nothing else.

    \b
    Example:
      gekeras decode code.npz -o photo.png
    """
    from .. import restore

    with progress_bar("solving", quiet or preview) as tick:
        paths = restore.decode(
            code,
            output,
            preset=preset,
            models=models,
            fidelity=fidelity,
            changes=changes,
            preview=preview,
            batch=batch,
            tell=teller(quiet),
            progress=lambda done, total: tick(done, total),
        )
    if not quiet:
        click.echo("\n".join(map(str, paths)))
