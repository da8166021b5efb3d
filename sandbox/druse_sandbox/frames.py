"""Frames on the one pipe: four bytes of length, then JSON. Read and written only with `read` and `write`.

Everything from the other side is hostile until proved to be small, shallow, plain data: size and depth are checked
before the parser sees a byte; duplicate keys, NaN, huge integers and lone surrogates are refused.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

MAX_FRAME = 4 * 1024 * 1024
MAX_DEPTH = 48
MAX_DIGITS = 400
_HEAD = struct.Struct("<I")


class BadFrame(Exception):
    """The other side broke the protocol."""


def encode(message: Any, limit: int = MAX_FRAME) -> bytes:
    """A frame. Raises BadFrame for what JSON cannot carry or what is larger than `limit`."""
    try:
        body = json.dumps(message, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise BadFrame(f"not plain data: {error}") from None
    if len(body) > limit:
        raise BadFrame(f"{len(body)} bytes are over the limit of {limit}")
    return _HEAD.pack(len(body)) + body


def decode(body: bytes) -> Any:
    """The message of a frame's body. Raises BadFrame."""
    _check_depth(body)
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {error}") from None


def length_of(head: bytes, limit: int = MAX_FRAME) -> int:
    """The length a frame's first four bytes announce. Raises BadFrame over the limit."""
    (length,) = _HEAD.unpack(head)
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is over the limit of {limit}")
    return length


def send(descriptor: int, message: Any, limit: int = MAX_FRAME) -> None:
    """Write one frame, blocking."""
    data = memoryview(encode(message, limit))
    while data:
        data = data[os.write(descriptor, data) :]


def receive(descriptor: int, limit: int = MAX_FRAME) -> Any:
    """Read one frame, blocking. Raises EOFError at the end of the pipe."""
    return decode(_exactly(descriptor, length_of(_exactly(descriptor, 4), limit)))


def _exactly(descriptor: int, size: int) -> bytes:
    parts: list[bytes] = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _check_depth(body: bytes) -> None:
    """Count in one pass over the bytes how deep brackets outside of strings nest."""
    depth = 0
    quoted = False
    skip = False
    for byte in body if (body.count(b"[") + body.count(b"{")) > MAX_DEPTH else b"":
        if skip:
            skip = False
        elif quoted:
            skip = byte == 0x5C
            quoted = byte != 0x22
        elif byte == 0x22:
            quoted = True
        elif byte in (0x5B, 0x7B):
            depth += 1
            if depth > MAX_DEPTH:
                raise BadFrame(f"nested deeper than {MAX_DEPTH}")
        elif byte in (0x5D, 0x7D):
            depth -= 1


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    for key, value in pairs:
        if any(isinstance(text, str) and _surrogates(text) for text in (key, value)):
            raise ValueError("a text holds a lone surrogate")
    return made


def _surrogates(text: str) -> bool:
    if text.isascii():
        return False
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("an integer is too long")
    return int(digits)
