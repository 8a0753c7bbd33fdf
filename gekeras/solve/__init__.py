"""The solving phase: equation (3) for any generator, encoder and forward map given as callables."""

from .layers import Layer as Layer
from .layers import LayerStage as LayerStage
from .layers import joined as joined
from .objective import Target as Target
from .solver import Solution as Solution
from .solver import Solver as Solver
