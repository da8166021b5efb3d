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

MAX_FRAME = 4 * 1024 * 1024  # what a worker may send
MAX_REPLY = 16 * 1024 * 1024  # what the host may send
MAX_DEPTH = 48
MAX_VALUES = 500_000
MAX_DIGITS = 400
_HEAD = struct.Struct("<I")


class BadFrame(Exception):
    """The other side broke the protocol."""


def text_of(message: Any) -> str:
    """A message as JSON. Raises BadFrame for what JSON cannot carry."""
    try:
        return json.dumps(message, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadFrame(f"not plain data: {error}") from None


def framed(text: str, limit: int = MAX_FRAME) -> bytes:
    """JSON in ASCII as a frame. Raises BadFrame for what is larger than `limit`."""
    body = text.encode("ascii")
    if len(body) > limit:
        raise BadFrame(f"{len(body):,} bytes are over the limit of {limit:,}")
    return _HEAD.pack(len(body)) + body


def encode(message: Any, limit: int = MAX_FRAME) -> bytes:
    """A frame. Raises BadFrame for what JSON cannot carry or what is larger than `limit`."""
    return framed(text_of(message), limit)


def decode(body: bytes | bytearray) -> Any:
    """The message of a frame's body from the other side, which is hostile. Raises BadFrame."""
    _check_size(body)
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refused,
            parse_int=_integer,
            parse_float=_finite,
        )
        if _ESCAPED_SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode("utf-8")  # refuses one that stands alone
        return value
    except (ValueError, RecursionError) as error:
        raise BadFrame(f"not JSON: {error}") from None


def decode_reply(body: bytes) -> Any:
    """The message of a frame's body from the host, which is trusted. Raises BadFrame for what cannot be held."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadFrame(f"{type(error).__name__}: {error}") from None


def length_of(head: bytes, limit: int = MAX_FRAME) -> int:
    """The length a frame's first four bytes announce. Raises BadFrame over the limit."""
    (length,) = _HEAD.unpack(head)
    if length > limit:
        raise BadFrame(f"a frame of {length} bytes is over the limit of {limit}")
    return length


def write(descriptor: int, frame: bytes) -> None:
    """Write one frame, blocking."""
    sent = os.write(descriptor, frame)
    if sent == len(frame):
        return
    data = memoryview(frame)[sent:]
    while data:
        data = data[os.write(descriptor, data) :]


def send(descriptor: int, message: Any, limit: int = MAX_FRAME) -> None:
    """Encode and write one frame, blocking."""
    write(descriptor, encode(message, limit))


def body(descriptor: int, limit: int = MAX_REPLY) -> bytes:
    """The body of one frame, blocking. Nothing follows it before an answer, so one read may take more than the head.

    Raises EOFError at the end of the pipe.
    """
    part = _some(descriptor, 1 << 16)
    while len(part) < 4:
        part += _some(descriptor, 1 << 16)
    missing = length_of(part[:4], limit) - (len(part) - 4)
    if not missing:
        return part[4:]
    parts = [part[4:]]
    while missing > 0:
        part = _some(descriptor, min(missing, 1 << 20))
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def receive(descriptor: int) -> Any:
    """Read one frame of the host, blocking. Raises EOFError at the end of the pipe."""
    return decode_reply(body(descriptor))


def _some(descriptor: int, size: int) -> bytes:
    part = os.read(descriptor, size)
    if not part:
        raise EOFError
    return part


_ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_OTHERS = bytes(set(range(256)) - set(b"[]{}"))


def _check_size(body: bytes | bytearray) -> None:
    """Refuse what would nest too deeply or become too many values, from the bytes alone.

    Searches, counts and cuts at single bytes only: the time is linear and the memory a few times the frame's, whatever
    the bytes are. A regular expression for texts keeps a mark per letter.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in body else body
    if plain.count(b'"') > 2 * MAX_VALUES:
        raise BadFrame(f"more than {MAX_VALUES} texts")
    bare = b"".join(plain.split(b'"')[::2])  # what stands outside texts
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


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError("a number is too large")
    return value
