"""Methods, pictures and scores: what restores better, and by how much."""

from .pipeline import evaluate as evaluate
from .report import report as report
from .tables import to_markdown as to_markdown
