"""Options as frozen dataclasses that turn into JSON and back; no option lives anywhere else.

`to_json(options)` is what a run folder and a result record hold; `from_dict(cls, values)` refuses unknown names.
"""

from .coders import AEGANOptions as AEGANOptions
from .coders import AutoencoderOptions as AutoencoderOptions
from .coders import StarterOptions as StarterOptions
from .generators import LEARNING_RATE as LEARNING_RATE
from .generators import MINIBATCH as MINIBATCH
from .generators import BEGANOptions as BEGANOptions
from .generators import GANOptions as GANOptions
from .generators import Stage as Stage
from .generators import paper_stages as paper_stages
from .pictures import PictureOptions as PictureOptions
from .records import from_dict as from_dict
from .records import to_dict as to_dict
from .records import to_json as to_json
from .rules import Setting as Setting
from .rules import as_paths as as_paths
from .rules import settings as settings
from .service import ServiceOptions as ServiceOptions
from .slices import SliceOptions as SliceOptions
from .solve import FIDELITIES as FIDELITIES
from .solve import LATENTS as LATENTS
from .solve import OPTIMIZERS as OPTIMIZERS
from .solve import PRIORS as PRIORS
from .solve import RAMPS as RAMPS
from .solve import STARTS as STARTS
from .solve import UNAIDED as UNAIDED
from .solve import Z_ALONE as Z_ALONE
from .solve import SolveOptions as SolveOptions
from .solve import check_effect as check_effect
from .solve import named_options as named_options
from .study import DetectorOptions as DetectorOptions
from .study import StudyOptions as StudyOptions
from .training import Limits as Limits
from .volumes import VolumeOptions as VolumeOptions
