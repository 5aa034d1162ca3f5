"""ONNX files with our entries in `metadata_props`, and a checksum at their end.

A file of protocol buffers may be continued: what is appended to a model is read as further fields
of it. So entries are added without a library, and the last one is the checksum of all before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from ..core.errors import ModelError

PREFIX = "strip_defects."
CHECKSUM_KEY = b"strip_defects.sha256"
# Numbers of fields in onnx.proto.
METADATA_PROPS = 14
KEY, VALUE = 1, 2
# Fields that hold further messages, by kind of message.
INNER = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {
        **{5: "tensor", 6: "graph", 10: "tensor", 11: "graph"},
        **{22: "sparse", 23: "sparse"},
    },
    "sparse": {1: "tensor", 2: "tensor"},
}
EXTERNAL_DATA, DATA_LOCATION = 13, 14
DEEPEST = 20
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
Field = tuple[int, int, "int | memoryview"]


def with_entries(model: bytes, entries: Mapping[str, str]) -> bytes:
    """Return a model with entries, and their checksum."""
    parts = [model]
    parts += [_entry((PREFIX + name).encode(), text.encode()) for name, text in entries.items()]
    content = b"".join(parts)
    return content + _checksum_entry(content)


def read_entries(content: bytes, origin: str) -> dict[str, str]:
    """Return the entries of a file without their prefix.

    Raises:
        ModelError: the file is cut off, changed, no ONNX model, or refers to other files.
    """
    body, tail = memoryview(content)[:-CHECKSUM_BYTES], content[-CHECKSUM_BYTES:]
    if CHECKSUM_KEY not in tail:
        raise ModelError(
            f"{origin} ends without the checksum of an exported classifier: it is cut off, or was "
            "not written by this project. Copy the file again, or export the model again."
        )
    if _checksum_entry(body) != tail:
        raise ModelError(
            f"{origin} is damaged: its checksum does not match. Copy the file again, or export the "
            "model again."
        )
    try:
        found = {}
        for number, _, value in _fields(body):
            if number == METADATA_PROPS and isinstance(value, memoryview):
                pair = {n: bytes(v) for n, _, v in _fields(value) if isinstance(v, memoryview)}
                key = pair.get(KEY, b"").decode()
                if key.startswith(PREFIX):
                    found[key.removeprefix(PREFIX)] = pair.get(VALUE, b"").decode()
        _refuse_other_files(body, "model", 0)
    except ValueError as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{origin} is not an ONNX model: {error}. Export the model again."
        ) from None
    return found


def _refuse_other_files(message: memoryview, kind: str, depth: int) -> None:
    """Refuse tensors that lie in other files, whose paths may lead anywhere.

    Raises:
        ValueError: there is one, or messages are nested too deeply.
    """
    if depth > DEEPEST:
        raise ValueError("it is nested too deeply")
    inner = INNER.get(kind, {})
    for number, _, value in _fields(message):
        if kind == "tensor" and number in (EXTERNAL_DATA, DATA_LOCATION) and value != 0:
            raise ValueError("it refers to weights in another file")
        if number in inner and isinstance(value, memoryview):
            _refuse_other_files(value, inner[number], depth + 1)


def _fields(message: memoryview) -> Iterator[Field]:
    """Yield number, kind and value of each field of a message.

    Raises:
        ValueError: the message is damaged.
    """
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, kind, value
            continue
        length = {EIGHT_BYTES: 8, FOUR_BYTES: 4}.get(kind)
        if kind == BYTES:
            length, at = _varint(message, at)
        if length is None or at + length > len(message):
            raise ValueError("a field is damaged")
        yield number, kind, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where the next one begins."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise ValueError("it is cut off")
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    raise ValueError("a number is damaged")


def _number(value: int) -> bytes:
    """Return a number of variable length."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def _field(number: int, content: bytes) -> bytes:
    return _number(number << 3 | BYTES) + _number(len(content)) + content


def _entry(key: bytes, value: bytes) -> bytes:
    return _field(METADATA_PROPS, _field(KEY, key) + _field(VALUE, value))


def _checksum_entry(content: bytes | memoryview) -> bytes:
    return _entry(CHECKSUM_KEY, hashlib.sha256(content).hexdigest().encode())


CHECKSUM_BYTES = len(_checksum_entry(b""))
