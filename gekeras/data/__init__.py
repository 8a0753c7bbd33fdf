"""Pictures for training and measuring: `entries` lists them, a `Source` hands them out, a `stream` never ends."""

from .files import SUFFIXES, Entry, entries, load, load_all, notes
from .stream import Source, batches, epoch_order, positions, stream

__all__ = [
    "SUFFIXES",
    "Entry",
    "Source",
    "batches",
    "entries",
    "epoch_order",
    "load",
    "load_all",
    "notes",
    "positions",
    "stream",
]
