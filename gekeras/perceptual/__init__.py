"""LPIPS: how different two pictures look, measured in the features of a network that was trained to name objects."""

from .lpips import LPIPS as LPIPS
from .lpips import check as check
from .weights import Weights as Weights
from .weights import read as read
