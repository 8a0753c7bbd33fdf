"""ONNX files as onnxruntime wants them: older exporters list weights among the inputs, and tools leave unused ones there.

ONNX is Protocol Buffers: fields of a number and a kind, one after another. What is not taken out stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

GRAPH = 7  # of ModelProto; the others are of the messages in it
NODE, INITIALIZER, INPUT = 1, 5, 11  # of GraphProto
NODE_INPUT, TENSOR_NAME, INPUT_NAME = 1, 8, 1  # names, of NodeProto, TensorProto and ValueInfoProto
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # kinds of fields


class Field(NamedTuple):
    number: int
    whole: bytes  # with its number and length
    content: bytes  # of a field that has a length, else empty


def fields(data: bytes) -> Iterator[Field]:
    """The fields of a message. Raises ValueError for what is none."""
    place = 0
    while place < len(data):
        start = place
        key, place = _varint(data, place)
        kind, length = key & 7, 0
        if kind == VARINT:
            _, place = _varint(data, place)
        elif kind == LENGTH:
            length, place = _varint(data, place)
        elif kind in (FIXED64, FIXED32):
            place += 8 if kind == FIXED64 else 4
        else:
            raise ValueError("it is not made of Protocol Buffers")
        end = place + length
        if end > len(data):
            raise ValueError("it ends in the middle of a field")
        yield Field(key >> 3, data[start:end], data[place:end])
        place = end


def with_needed_inputs(model: bytes) -> bytes:
    """The model with those of its inputs that a node takes and that it does not hold itself.

    Raises ValueError for what is no model.
    """
    parts, graphs = [], 0
    for field in fields(model):
        if field.number != GRAPH:
            parts.append(field.whole)
            continue
        graphs += 1
        graph = _cleared(field.content)
        parts.append(_to_varint(GRAPH << 3 | LENGTH) + _to_varint(len(graph)) + graph)
    if graphs != 1:
        raise ValueError("it holds no graph")
    return b"".join(parts)


def _cleared(graph: bytes) -> bytes:
    every = list(fields(graph))
    taken = {name for field in every if field.number == NODE for name in _texts(field.content, NODE_INPUT)}
    held = {name for field in every if field.number == INITIALIZER for name in _texts(field.content, TENSOR_NAME)}
    needed = taken - held
    kept = (field for field in every if field.number != INPUT or needed.issuperset(_texts(field.content, INPUT_NAME)))
    return b"".join(field.whole for field in kept)


def _texts(message: bytes, number: int) -> list[bytes]:
    return [field.content for field in fields(message) if field.number == number]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """(The number that begins there, seven bits a byte, the lowest first; where it ends.)"""
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("it is not made of Protocol Buffers")


def _to_varint(value: int) -> bytes:
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])
