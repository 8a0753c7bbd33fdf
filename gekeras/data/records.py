"""TFRecord shards as pictures, read at random by the offsets of their records.

A record is a length (uint64), its masked CRC-32C, the bytes and theirs. The bytes are a `tf.train.Example` with an encoded
picture (`image/encoded`, `image` or `image_raw`), or, as the progressive GAN's own shards have it, with `data`, raw uint8
`[channels, height, width]`, and `shape`.
"""

from __future__ import annotations

import io
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from .. import images

SUFFIXES = (".tfrecord", ".tfrecords")
ENCODED = ("image/encoded", "image", "image_raw")
_HEAD = struct.Struct("<QI")  # length and its checksum
_TAIL = struct.Struct("<I")  # checksum of the data
_LEVEL = re.compile(r"(.*)-r(\d\d)\.tfrecords?")  # of the progressive GAN's shards: one file for each power of two
_CHUNK = 4096  # bytes whose checksum is computed at once


@dataclass(frozen=True)
class Record:
    """One `tf.train.Example` of `length` bytes at `offset` of a shard."""

    name: str
    path: Path
    offset: int
    length: int

    def picture(self) -> Image.Image:
        """The picture as `images.read` sees it, mode L or RGB. Raises OSError if the record is damaged or holds none, and
        ImageError."""
        import tensorflow as tf

        with self.path.open("rb") as file:
            file.seek(self.offset)
            raw, tail = file.read(self.length), file.read(_TAIL.size)
        if tail != _TAIL.pack(masked_crc32c(raw)):
            raise OSError("its bytes do not have their checksum")
        try:
            feature = tf.train.Example.FromString(raw).features.feature
        except Exception as error:  # protobuf's DecodeError, whose module moved between its versions
            raise OSError(f"no tf.train.Example: {error}") from error
        for name in ENCODED:
            if name in feature and feature[name].bytes_list.value:
                return images.eight_bits(self.name, io.BytesIO(feature[name].bytes_list.value[0]))
        if "shape" in feature and "data" in feature and feature["data"].bytes_list.value:
            return _raw(feature["data"].bytes_list.value[0], tuple(feature["shape"].int64_list.value))
        raise OSError(f"the example has no picture; it has {', '.join(sorted(feature)) or 'nothing'}")


def _raw(data: bytes, shape: tuple[int, ...]) -> Image.Image:
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1 or len(data) != math.prod(shape):
        raise OSError(f"{len(data)} raw bytes do not have the shape {list(shape)} (channels, height, width)")
    pixels = np.frombuffer(data, np.uint8).reshape(shape).transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(pixels if shape[0] == 3 else pixels[..., 0]))


def largest(shards: list[Path]) -> list[Path]:
    """Of shards `name-r02.tfrecords` to `name-r10.tfrecords`, which hold the same pictures at 4 to 1024 px, the last."""
    best: dict[str, int] = {}
    for level in filter(None, (_LEVEL.fullmatch(shard.name) for shard in shards)):
        best[level[1]] = max(best.get(level[1], 0), int(level[2]))
    levels = ((shard, _LEVEL.fullmatch(shard.name)) for shard in shards)
    return [shard for shard, level in levels if not level or int(level[2]) == best[level[1]]]


def listing(path: Path) -> list[Record]:
    """The records of a shard, without reading them. Raises ValueError for a file that is no (whole) TFRecord."""
    found: list[Record] = []
    size, offset = path.stat().st_size, 0
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            head = file.read(_HEAD.size)
            length, checksum = _HEAD.unpack(head) if len(head) == _HEAD.size else (size, 0)
            begin = offset + _HEAD.size
            if begin + length + _TAIL.size > size or checksum != masked_crc32c(head[:8]):
                raise ValueError(f"{path} is no whole TFRecord file: record {len(found)} at byte {offset} is damaged")
            found.append(Record(f"{path.name}[{len(found)}]", path, begin, length))
            offset = begin + length + _TAIL.size
    return found


def masked_crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), rotated and offset as TFRecords store it.

    A checksum is linear in the bits: it is the exclusive or of what each bit that is set contributes. The checksum so far is
    added to the next four bytes.
    """
    crc = 0xFFFFFFFF
    for begin in range(0, len(data), _CHUNK):
        chunk = np.frombuffer(data[begin : begin + _CHUNK], np.uint8).copy()
        count = min(4, len(chunk))
        chunk[:count] ^= np.frombuffer(struct.pack("<I", crc), np.uint8)[:count]
        bits = np.unpackbits(chunk, bitorder="little")
        contributed = _CONTRIBUTIONS[-len(bits) :] * bits
        every = np.bitwise_xor.reduce(contributed)  # type: ignore[call-overload]  # NumPy 2.5's types lack it
        crc = crc >> 8 * count ^ int(every)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _contributions() -> np.ndarray:
    """What each bit of a chunk adds to the checksum, the last bit last."""
    found, crc = [], 1
    for _ in range(8 * _CHUNK):
        crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
        found.append(crc)
    return np.array(found[::-1], np.uint32)


_CONTRIBUTIONS = _contributions()
