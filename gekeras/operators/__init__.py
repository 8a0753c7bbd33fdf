"""Degradations P and forward maps S as objects on batches `[n, h, w, c]`, and the tasks that are made of them.

`gaussian` blurs and the like are linear and know their adjoint; noise and JPEG are not. See `base.Operator`.
"""

from .base import Adjoint as Adjoint
from .base import Compose as Compose
from .base import Function as Function
from .base import Identity as Identity
from .base import Operator as Operator
from .base import correction as correction
from .base import deserialize as deserialize
from .base import load as load
from .base import register as register
from .base import serialize as serialize
from .checks import check_adjoint as check_adjoint
from .linear import Downsample as Downsample
from .linear import GaussianBlur as GaussianBlur
from .linear import Measure as Measure
from .linear import MotionBlur as MotionBlur
from .linear import Resize as Resize
from .linear import Upsample as Upsample
from .linear import bicubic as bicubic
from .linear import repeat as repeat
from .masks import BlockMask as BlockMask
from .masks import Mask as Mask
from .masks import full_mask as full_mask
from .noise import JPEG as JPEG
from .noise import ClippedMean as ClippedMean
from .noise import MultiplicativeNoise as MultiplicativeNoise
from .noise import Noise as Noise
from .tasks import TASKS as TASKS
from .tasks import Task as Task
from .tasks import batch_of as batch_of
from .tasks import describe_task as describe_task
from .tasks import make_task as make_task
