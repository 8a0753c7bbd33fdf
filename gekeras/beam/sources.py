"""`Pictures`: the pictures of folders, globs, tar shards and TFRecord shards, read by Beam's own sources."""

from __future__ import annotations

import io
import logging
import os
import re
import tarfile
from collections.abc import Iterator
from functools import partial

import apache_beam as beam
import numpy as np
from apache_beam.io import fileio
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.tfrecordio import ReadAllFromTFRecord
from apache_beam.metrics import Metrics
from PIL import Image

from .. import images
from ..data import records
from ..files import PathLike
from ..messages import reason_of
from .shelf import NAMESPACE, digest, is_remote

TFRECORDS = (*records.SUFFIXES, *(f"{suffix}.gz" for suffix in records.SUFFIXES))
FILE_NAMES = ("image/filename", "filename")  # features of an example
_WILD = re.compile(r"[*?\[{]")
_SIDE_FILE = "._"  # begins the name of what macOS keeps beside a file: attributes, no picture
_LOG = logging.getLogger(__name__)


class Pictures(beam.PTransform):
    """(name, bytes of the file) of every picture in the places.

    A folder is searched with all below it; so is whatever a glob names, tar shards and TFRecord shards are opened. Names
    are relative to the folder: `2024/a.jpg`; of what a shard holds `SHARD/MEMBER`, or, of an example that tells no
    `image/filename`, `SHARD/DIGEST`. Other files are left out, each with a line in the log and in the counter `left_out`.

    Args:
        places: folders (a remote one with a slash at its end), files and globs.

    Raises:
        ValueError: no place, or one in which there is nothing.

    Example:
        >>> Pictures("photos/", "shards/*.tar")  # doctest: +SKIP
    """

    def __init__(self, *places: PathLike):
        super().__init__()
        if not places:
            raise ValueError("Pictures is of one place or more: folders, files, globs")
        self.patterns = [_pattern(os.fspath(place)) for place in places]
        for place, (_, pattern) in zip(places, self.patterns):
            if not FileSystems.match([pattern], limits=[1])[0].metadata_list:
                raise ValueError(f"{place}: no such file, or nothing is there")

    @property
    def folders(self) -> list[str]:
        """Those that are searched with all below them."""
        return [base for base, pattern in self.patterns if "**" in pattern]

    def expand(self, begin):
        found = []
        for k, (base, pattern) in enumerate(self.patterns):
            paths = begin | f"Match {k}" >> fileio.MatchFiles(pattern) | f"Path {k}" >> beam.Map(lambda match: match.path)
            paths |= f"Spread {k}" >> beam.Reshuffle()
            shards = paths | f"Shards {k}" >> beam.Filter(_is_records)
            examples = shards | f"Records {k}" >> ReadAllFromTFRecord(with_filename=True)
            found.append(examples | f"Examples {k}" >> beam.Map(partial(_of_example, base)))
            found.append(paths | f"Files {k}" >> beam.FlatMap(partial(_of_file, base)))
        return found | "All" >> beam.Flatten()


def _pattern(place: str) -> tuple[str, str]:
    """(what names are relative to, the glob) of a place."""
    if (not is_remote(place) and os.path.isdir(place)) or place.endswith("/"):
        folder = place.rstrip("/") or "/"
        return folder, FileSystems.join(folder, "**")
    fixed = _WILD.split(place)[0]
    return fixed.rpartition("/")[0], place


def _relative(base: str, path: str) -> str:
    return path[len(base) :].lstrip("/") if path.startswith(base) else path


def _is_records(path: str) -> bool:
    return path.lower().endswith(TFRECORDS)


def _left_out(name: str) -> None:
    Metrics.counter(NAMESPACE, "left_out").inc()
    _LOG.warning("left out: %s: no picture by its name", name)


def _of_file(base: str, path: str) -> Iterator[tuple[str, bytes]]:
    """The pictures of a file that holds one, or of a tar shard; nothing of a TFRecord shard, which is read elsewhere."""
    name = _relative(base, path)
    if _is_records(path) or os.path.basename(path).startswith(_SIDE_FILE):
        return
    if path.lower().endswith(".tar"):
        yield from _members(name, path)
    elif path.lower().endswith(images.READABLE):
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            yield name, file.read()
    else:
        _left_out(name)


def _members(name: str, path: str) -> Iterator[tuple[str, bytes]]:
    shard = name[: -len(".tar")]
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            with tarfile.open(fileobj=file, mode="r|") as tar:
                for member in tar:
                    content = tar.extractfile(member) if member.isfile() else None
                    if content is None or os.path.basename(member.name).startswith(_SIDE_FILE):
                        continue
                    if member.name.lower().endswith(images.READABLE):
                        yield f"{shard}/{member.name}", content.read()
                    else:
                        _left_out(f"{shard}/{member.name}")
    except tarfile.TarError as error:
        raise ValueError(f"{path} is not a readable tar file: {reason_of(error)}") from error


def _of_example(base: str, record: tuple[str, bytes]) -> tuple[str, bytes]:
    """Name and picture of a `tf.train.Example`, which has it as `data.records` says; of another one the example itself,
    which will be refused as no picture."""
    import tensorflow as tf

    path, raw = record
    shard = re.sub(r"\.tfrecords?(\.gz)?$", "", _relative(base, path), flags=re.IGNORECASE)
    name = f"{shard}/{digest(raw)[:20]}"
    try:
        feature = tf.train.Example.FromString(raw).features.feature
    except Exception as error:  # protobuf's DecodeError, whose module moved between its versions
        _LOG.warning("%s: no tf.train.Example: %s", name, reason_of(error))
        return name, raw

    def first(key):
        return feature[key].bytes_list.value[0] if key in feature and feature[key].bytes_list.value else None

    given = next(filter(None, map(first, FILE_NAMES)), b"").decode("utf-8", "replace")
    name = f"{shard}/{given}" if given else name
    if encoded := next(filter(None, map(first, records.ENCODED)), None):
        return name, encoded
    if (data := first("data")) and "shape" in feature:
        return name, _png_of(data, tuple(feature["shape"].int64_list.value)) or raw
    _LOG.warning("%s: the example has no picture; it has %s", name, ", ".join(sorted(feature)) or "nothing")
    return name, raw


def _png_of(data: bytes, shape: tuple[int, ...]) -> bytes | None:
    """Raw uint8 `[channels, height, width]` as a PNG file, as the progressive GAN's shards have it; None if it is not."""
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1 or len(data) != np.prod(shape):
        return None
    pixels, buffer = np.frombuffer(data, np.uint8).reshape(shape).transpose(1, 2, 0), io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels if shape[0] == 3 else pixels[..., 0])).save(buffer, "PNG")
    return buffer.getvalue()
