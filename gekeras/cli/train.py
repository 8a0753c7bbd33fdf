"""The group of commands `gekeras train`: the generator, then an autoencoder and a starter for each task."""

from __future__ import annotations

import click

from .train_aegan import train_aegan
from .train_autoencoder import train_autoencoder
from .train_began import train_began
from .train_gan import train_gan
from .train_starter import train_starter


@click.group()
def train():
    """Train the generator, then an autoencoder for each task."""


for command in (train_gan, train_began, train_autoencoder, train_starter, train_aegan):
    train.add_command(command)
