"""Generators trained elsewhere: read without executing anything of their files, and written as presets."""

from .importer import build as build
from .importer import import_generator as import_generator
from .importer import read as read
from .weights import ImportedGenerator as ImportedGenerator
