"""Skills that a server behind Druse offers (`io.modelcontextprotocol/skills`, SEP-2640): listed, fetched when asked.

Listing fetches nothing. What is fetched counts only if size, digest and front matter are those that the server listed.
The `allowed-tools` of such a skill are not taken over: a server grants nothing.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import TypeAlias
from urllib.parse import unquote

from druse.model import Invalid, Json, JsonObject, typed_equal
from druse.skills.document import fields_of
from druse.skills.exchange import Incoming, adapt
from druse.skills.volume import MAX_FILES, check_path, check_portable

MAX_OFFERED = 1000
MAX_BYTES = 16 * 1024 * 1024

Ask: TypeAlias = Callable[[str, JsonObject], Awaitable[JsonObject]]  # a method and its params to the result


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an offered skill: its path in the skill's folder, and what its bytes must be."""

    path: str
    uri: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Offered:
    """One skill as its server lists it. `problem` says why it cannot be fetched."""

    uri: str
    name: str
    description: str
    frontmatter: JsonObject
    parts: tuple[Part, ...] = ()
    problem: str = ""


async def list_offered(ask: Ask) -> list[Offered]:
    """Every skill of a server; no file of any is fetched. Raises UpstreamFailure."""
    found: list[Offered] = []
    cursor: Json = None
    while True:
        page = await ask("skills/list", {"cursor": cursor} if cursor else {})
        rows = page.get("skills")
        found += [_offered(row) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        following = page.get("nextCursor")
        if not following or following == cursor or len(found) >= MAX_OFFERED:
            return found[:MAX_OFFERED]
        cursor = following


async def fetch(ask: Ask, server: str, skill: Offered) -> Incoming:
    """A listed skill with its files, or why it is not taken. Raises UpstreamFailure where the server fails."""
    source = f"{server}: {skill.uri}"
    try:
        if skill.problem:
            raise Invalid(skill.problem, problem=skill.problem)
        text = await _text(ask, skill)
        # The other files are wanted only of a skill whose first one is what was listed.
        beside = [(part.path, await _bytes(ask, part)) for part in skill.parts if part.path != "SKILL.md"]
        document = adapt(text, fallback=skill.name, where=skill.uri)
    except Invalid as error:
        return Incoming(source, None, skipped=error.problem or str(error))
    return Incoming(source, replace(document, allowed_tools=""), tuple(beside))


async def _text(ask: Ask, skill: Offered) -> str:
    first = next(part for part in skill.parts if part.path == "SKILL.md")
    body = await _bytes(ask, first)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _refused(f"its SKILL.md is not UTF-8 at byte {error.start}") from error
    fields, _ = fields_of(text, skill.uri)
    if not typed_equal(fields, skill.frontmatter):
        different = sorted(
            key
            for key in fields.keys() | skill.frontmatter.keys()
            if not typed_equal(fields.get(key), skill.frontmatter.get(key))
        )
        raise _refused(f"the front matter of its SKILL.md is not what the server listed: {', '.join(different)}")
    return text


async def _bytes(ask: Ask, part: Part) -> bytes:
    result = await ask("resources/read", {"uri": part.uri})
    contents = result.get("contents")
    body = _body(next((c for c in contents if isinstance(c, dict)), None)) if isinstance(contents, list) else None
    if body is None:
        raise _refused(f"the server gave no content for {part.path}")
    if len(body) != part.size:
        raise _refused(f"{part.path} has {len(body)} bytes, the server listed {part.size}")
    if "sha256:" + hashlib.sha256(body).hexdigest() != part.digest:
        raise _refused(f"{part.path} is not what the server listed (another digest)")
    return body


def _body(content: JsonObject | None) -> bytes | None:
    if content is None:
        return None
    text, blob = content.get("text"), content.get("blob")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(blob, validate=True) if isinstance(blob, str) else None
    except binascii.Error:
        return None


def _offered(row: JsonObject) -> Offered:
    uri, given, resources = row.get("uri"), row.get("frontmatter"), row.get("resources")
    fields = given if isinstance(given, dict) else {}
    name, description = (str(fields.get(key) or "") for key in ("name", "description"))
    made = Offered(str(uri or ""), name, description, fields)
    try:
        if not isinstance(uri, str) or not uri.endswith("/SKILL.md"):
            raise _refused("its URI does not end in /SKILL.md")
        if not isinstance(resources, list):
            raise _refused("the server does not list its files, so they cannot be checked")
        return replace(made, parts=_parts(uri.removesuffix("SKILL.md"), resources))
    except Invalid as error:
        return replace(made, problem=error.problem)


def _parts(root: str, resources: list[Json]) -> tuple[Part, ...]:
    if len(resources) > MAX_FILES:
        raise _refused(f"it has more than {MAX_FILES} files")
    parts: list[Part] = []
    for resource in resources:
        row = resource if isinstance(resource, dict) else {}
        uri, digest, size = row.get("uri"), row.get("digest"), row.get("size")
        if not isinstance(uri, str) or not isinstance(digest, str) or not isinstance(size, int) or size < 0:
            raise _refused("the server lists a file without uri, digest and size")
        path = unquote(uri.removeprefix(root))
        if not uri.startswith(root) or not _inside(path):
            raise _refused(f"it lists {uri!r}, which is not inside the skill")
        parts.append(Part(path, uri, digest, size))
    if sum(part.size for part in parts) > MAX_BYTES:
        raise _refused(f"its files are larger than {MAX_BYTES} bytes")
    if len({part.path for part in parts}) != len(parts) or "SKILL.md" not in {part.path for part in parts}:
        raise _refused("the server does not list its SKILL.md, or lists a file twice")
    return tuple(parts)


def _inside(path: str) -> bool:
    """Whether a volume takes a file of that path in a skill's folder."""
    try:
        check_path(f"skills/skill/{path}")
        check_portable(path)
    except Invalid:
        return False
    return True


def _refused(problem: str) -> Invalid:
    return Invalid(f"Cannot take the skill: {problem}.", problem=problem)
