"""Frames on the one pipe: four bytes of length, then JSON. Read and written only with `read` and `write`.

Everything from the other side is hostile until proved to be small, shallow, plain data: size and depth are checked
before the parser sees a byte; duplicate keys, NaN, huge integers and lone surrogates are refused.
"""

from __future__ import annotations

import json
import os
import re
import struct
from typing import Any

MAX_FRAME = 4 * 1024 * 1024
MAX_DEPTH = 48
MAX_VALUES = 500_000
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
    _check_size(body)
    try:
        value = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refused, parse_int=_integer)
        if _ESCAPED_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses one that stands alone
        return value
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


_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def _check_size(body: bytes) -> None:
    """Refuse what would nest too deeply or become too many values, from the bytes alone."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    bare = _TEXTS.sub(b"", body)
    if bare.count(b",") + bare.count(b"[") + bare.count(b"{") > MAX_VALUES:
        raise BadFrame(f"more than {MAX_VALUES} values")
    brackets = bare.translate(None, _OTHERS)
    for _ in range(MAX_DEPTH):  # each pass takes the innermost pairs away
        if not brackets:
            return
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise BadFrame(f"nested deeper than {MAX_DEPTH}, or not closed")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("an integer is too long")
    return int(digits)
