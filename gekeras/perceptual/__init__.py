"""Networks that look as people do: LPIPS between pictures, FID's Inception for sets of them, recognizers for identity."""

from .identity import Identity as Identity
from .inception import Inception as Inception
from .lpips import LPIPS as LPIPS
from .lpips import check as check
from .weights import Weights as Weights
from .weights import read as read
