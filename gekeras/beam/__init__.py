"""Bulk restoration: `Restore` as a transform of Apache Beam, for the Direct, Flink, Spark and Dataflow runners.

https://beam.apache.org/documentation/programming-guide
"""

try:
    import apache_beam as _apache_beam  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "apache_beam":
        raise
    raise ImportError("gekeras.beam needs Apache Beam: pip install 'gekeras[beam]'") from None

from .sources import Pictures as Pictures
from .transform import Outcome as Outcome
from .transform import Restore as Restore
from .transform import counts as counts
