"""Which features of pictures G and E represent: the latent-space study of sections 3.1 and 5.5 of Ong and Yang."""

from .detector import recorded as recorded
from .pipeline import run as run
from .pipeline import train_detector as train_detector
from .tables import to_markdown as to_markdown
