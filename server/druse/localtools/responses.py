"""An HTTP/1.1 response read from a stream within bounds, and its body as text."""

from __future__ import annotations

import asyncio
import codecs
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?")
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n]*)")
_MAX_INTERIM = 8
_TEXT_KINDS = re.compile(
    r"text/.+|application/(json|xml|javascript|ecmascript|yaml|x-yaml|toml|graphql|x-ndjson|x-www-form-urlencoded|sql)"
    r"|[a-z]+/[a-z0-9.+-]+\+(json|xml|yaml)"
)
# Python knows codecs that are no text encodings, or slow on hostile input (idna, punycode): these are not among them.
_ENCODINGS = re.compile(
    r"utf-8|utf-8-sig|utf-16|utf-16-[bl]e|ascii|iso8859-\d+|cp125\d|cp932|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5|"
    r"koi8-[ru]|mac-roman"
)


class BadResponse(Exception):
    """The other side does not speak HTTP/1.1, or what it sent is of no use."""


@dataclass(frozen=True, slots=True)
class Response:
    """Status, headers (names in small letters; of several with one name the first) and up to the wanted bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cut: bool


async def read_response(reader: asyncio.StreamReader, max_bytes: int) -> Response:
    """One response. Raises BadResponse and OSError."""
    try:
        for _ in range(_MAX_INTERIM):
            status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
            if status >= 200:
                break
        else:
            raise BadResponse("the server sends interim answers only")
        body = await _body(reader, status, headers, max_bytes + 1)
    except asyncio.LimitOverrunError as error:
        raise BadResponse("the server's headers are too long") from error
    except (asyncio.IncompleteReadError, ValueError) as error:
        raise BadResponse("the server's answer ends early or is no HTTP") from error
    body, cut = _unpacked(body, headers.get("content-encoding", "").strip().lower(), max_bytes)
    return Response(status, headers, body, cut)


def text_of(response: Response) -> tuple[str, str]:
    """The content type and the body as text. Raises BadResponse for what is no text."""
    kind, _, parameters = response.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind and not _TEXT_KINDS.fullmatch(kind) and response.body:
        raise BadResponse(f"it is {kind[:80]}, which is no text")
    if not kind and b"\0" in response.body:
        raise BadResponse("it is no text")
    charset = re.search(r"charset\s*=\s*\"?([\w.:-]{1,40})", parameters, re.IGNORECASE)
    return kind or "text/plain", response.body.decode(_encoding(charset[1] if charset else ""), "replace")


def _head(data: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = data[:-4].split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise BadResponse("the server does not speak HTTP/1.1")
    headers: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise BadResponse("the server sent a header that is none")
        headers.setdefault(header[1].decode("ascii").lower(), header[2].decode("latin-1").strip())
    return int(status[1]), headers


async def _body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str], most: int) -> bytes:
    if status in (204, 304):
        return b""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return await _chunks(reader, most)
    length = headers.get("content-length")
    if length is None:
        return await _up_to(reader, most)
    if not re.fullmatch(r"[0-9]{1,18}", length):
        raise BadResponse("the server announces no sensible length")
    return await reader.readexactly(min(int(length), most))


async def _chunks(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while len(body) < most:
        size = re.match(rb"[0-9A-Fa-f]{1,8}(?=[;\r\s])", await reader.readuntil(b"\r\n"))
        if size is None:
            raise BadResponse("the server sent a chunk without a size")
        length = int(size[0], 16)
        if length == 0:
            break
        body += await reader.readexactly(min(length, most - len(body)))
        if len(body) < most:
            await reader.readexactly(2)
    return bytes(body)


async def _up_to(reader: asyncio.StreamReader, most: int) -> bytes:
    body = bytearray()
    while len(body) < most and (part := await reader.read(min(65536, most - len(body)))):
        body += part
    return bytes(body)


def _unpacked(body: bytes, encoding: str, max_bytes: int) -> tuple[bytes, bool]:
    """The body without its compression, which we did not ask for, and whether it was cut."""
    if encoding in ("", "identity"):
        return body[:max_bytes], len(body) > max_bytes
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise BadResponse(f"it is packed with {encoding[:40]}")
    try:
        made = zlib.decompressobj(47).decompress(body[:max_bytes], max_bytes + 1)
    except zlib.error as error:
        raise BadResponse("it is packed wrongly") from error
    return made[:max_bytes], len(made) > max_bytes or len(body) > max_bytes


def _encoding(charset: str) -> str:
    try:
        name = codecs.lookup(charset or "utf-8").name
    except LookupError:
        return "utf-8"
    return name if _ENCODINGS.fullmatch(name) else "utf-8"
