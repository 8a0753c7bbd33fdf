"""Volumes restored slice by slice, and what rock is measured by (Figure 12 of Ong and Yang)."""

from .pipeline import Cut as Cut
from .pipeline import Result as Result
from .pipeline import restore as restore
