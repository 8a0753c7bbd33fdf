"""Files in, restored files out: `files` restores photographs with faces, tiles, masks, records and panels."""

from .compression import decode as decode
from .compression import encode as encode
from .paths import Outputs as Outputs
from .pipeline import Result as Result
from .pipeline import files as files
