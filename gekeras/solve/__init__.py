"""The solving phase: equation (3) for any generator, encoder and forward map given as callables."""

from .loop import Solution as Solution
from .loop import Solver as Solver
from .objective import Target as Target
