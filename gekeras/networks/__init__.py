"""Networks from files: presets of trained parts, networks of one's own, and whether they fit each other."""

from . import custom as custom
from . import modules as modules
from . import presets as presets
from .custom import CustomNetworks as CustomNetworks
from .model_options import ModelOptions as ModelOptions
