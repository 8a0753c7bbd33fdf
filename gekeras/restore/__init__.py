"""Files in, restored files out: `files` restores photographs with faces, tiles, masks, records and panels."""

from .paths import Outputs as Outputs
from .pipeline import Result as Result
from .pipeline import files as files
