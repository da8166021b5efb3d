"""What clients read besides tools: skills as resources and prompts, volumes and runs as resources.

Skills are served at `skill://{origin}/{name}/...`, where origin is project, user, team, system or druse, and through
the official extension `io.modelcontextprotocol/skills`. Drafts, retired, unapproved and broken skills are not served.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import hashlib
import json
import mimetypes
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import mcp_types as types
from mcp.shared.exceptions import MCPError

from druse.crystal import Shelf
from druse.front.agents import Agents
from druse.front.context import DEFAULT_TOKENS, SKILLS, Context, build_context
from druse.front.pinned import told
from druse.memory import Notebook
from druse.model import DruseError, Invalid, NotFound, run_to_neutral
from druse.skills import Skill, SkillDesk, VolumeRef, as_of, digest_of, fields_of
from druse.store import Pinned, Store

PAGE = 100
_NOT_FOUND = -32602
_FRESH: dict[str, Any] = {"ttlMs": 0, "cacheScope": "private", "resultType": "complete"}

TEMPLATES = (
    ("skill://{origin}/{name}/SKILL.md", "skill", "A skill of project, user, team, system or druse.", "text/markdown"),
    (
        "druse://traces{?goal,tool,status,since,until,limit,offset}",
        "traces",
        "Recorded runs, newest first; goal and tool are words in them, times are seconds since the epoch.",
        "application/json",
    ),
    ("druse://context{?query,tokens}", "context", "Memory markers and the skills that fit.", "text/markdown"),
    ("agent://{id}", "agent", "What one agent owns, did and learned, and what binds it.", "application/json"),
    ("druse://memory{?query,limit}", "memory", "Project memory, most relevant first.", "application/json"),
    ("druse://traces/{run_id}", "trace", "One recorded run with its steps.", "application/json"),
    ("druse://volumes/{kind}/{id}/history{?limit}", "history", "The changes of a volume.", "application/json"),
)


class Documents:
    """Resources and prompts of one workspace."""

    def __init__(
        self, desk: SkillDesk, store: Store, notebook: Notebook, shelf: Shelf, *, clock: Callable[[], float]
    ) -> None:
        self._desk = desk
        self._shelf = shelf
        self._clock = clock
        self._store = store
        self._notebook = notebook
        self._pinned: Pinned | None = None
        self.listeners: list[Callable[[], Awaitable[None]]] = []
        self.agents: Agents | None = None

    def seen_by(self, pinned: Pinned | None) -> Documents:
        """The same for a session: with the texts of skills that it began with (seed id N-09)."""
        if pinned is None:
            return self
        seen = copy.copy(self)
        seen._pinned = pinned
        return seen

    async def load(self, name: str) -> Skill:
        """One skill by name, or by `ORIGIN/NAME`. Raises NotFound, Invalid."""
        skill = await asyncio.to_thread(self._desk.library.load, name)
        return (await self._as_begun([skill], named="/" in name))[0]

    async def changed(self) -> None:
        """Skills were added, changed or taken away: tell every client."""
        for listener in self.listeners:
            await listener()

    # resources

    async def resources(self, cursor: str | None) -> types.ListResourcesResult:
        """One page of the resources."""
        listed = [_resource(skill) for skill in await self._usable()]
        if not cursor:
            await self._offered([resource.uri for resource in listed[:PAGE]])
        listed += [
            types.Resource(uri=_CONTEXT, name=_NAME, description=_ABOUT_CONTEXT, mime_type="text/markdown"),
            types.Resource(uri="druse://memory", name="memory", description="What is remembered.", **_JSON),
            types.Resource(uri="druse://pins", name="pins", description="Versions this session goes on with.", **_JSON),
            types.Resource(uri="druse://volumes", name="volumes", description="Volumes and their counts.", **_JSON),
            types.Resource(uri="druse://traces", name="traces", description="Recorded runs, newest first.", **_JSON),
        ]
        page, following = _page(listed, cursor)
        return types.ListResourcesResult(resources=page, next_cursor=following, ttl_ms=0, cache_scope="private")

    def templates(self) -> types.ListResourceTemplatesResult:
        """What can be read by a URI with values filled in."""
        listed = [
            types.ResourceTemplate(uri_template=uri, name=name, description=description, mime_type=mime)
            for uri, name, description, mime in TEMPLATES
        ]
        return types.ListResourceTemplatesResult(resource_templates=listed, ttl_ms=0, cache_scope="private")

    async def read(self, uri: str, run_id: str) -> types.ReadResourceResult:
        """One resource. Raises MCPError -32602 for what is not there."""
        try:
            content = await (
                self._read_skill(uri, run_id) if uri.startswith("skill://") else self._read_own(uri, run_id)
            )
        except DruseError as error:
            raise _missing(uri, str(error)) from error
        return types.ReadResourceResult(contents=[content], ttl_ms=0, cache_scope="private")

    async def _read_skill(self, uri: str, run_id: str) -> types.TextResourceContents | types.BlobResourceContents:
        skill, inside = await self._skill_of(uri)
        files = await asyncio.to_thread(self._desk.library.files_of, skill)
        if inside not in files:
            raise NotFound(f"{skill.name} has no file {inside!r}")
        if inside == "SKILL.md":
            await self.used(skill, run_id)
        body, mime = files[inside], _mime(inside)
        try:
            return types.TextResourceContents(uri=uri, mime_type=mime, text=body.decode("utf-8"))
        except UnicodeDecodeError:
            return types.BlobResourceContents(uri=uri, mime_type=mime, blob=base64.b64encode(body).decode())

    async def _read_own(self, uri: str, run_id: str) -> types.TextResourceContents:
        parts = urlsplit(uri)
        path = [parts.netloc, *(unquote(part) for part in parts.path.strip("/").split("/") if part)]
        asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        if parts.scheme == "druse" and path == [_NAME]:
            context = await self.context(asked.get("query", ""), _count(asked.get("tokens"), DEFAULT_TOKENS), run_id)
            return types.TextResourceContents(uri=uri, mime_type="text/markdown", text=context.text)
        data = await self._own(path, asked) if parts.scheme == "druse" else None
        if parts.scheme == "agent" and len(path) == 1 and path[0] and self.agents is not None:
            data = await self.agents.memory(path[0])
        if data is None:
            raise NotFound(f"nothing is served at {uri[:200]}")
        text = json.dumps(data, ensure_ascii=False, indent=1)
        return types.TextResourceContents(uri=uri, mime_type="application/json", text=text)

    async def _own(self, path: Sequence[str], asked: dict[str, str]) -> Any:
        volumes = self._desk.volumes
        match path:
            case ["volumes"]:
                return {
                    "volumes": [
                        await asyncio.to_thread(volumes.open(ref).stats, volumes.observer(ref))
                        for ref in volumes.existing()
                    ]
                }
            case ["volumes", kind, name, "history"]:
                ref = VolumeRef.parse(f"{kind}:{name}")
                if not volumes.exists(ref):
                    return {"commits": []}
                limit = _count(asked.get("limit"), 50)
                log = await asyncio.to_thread(lambda: volumes.open(ref).get_git_log(limit, volumes.me()))
                return {"commits": [asdict(commit) for commit in log]}
            case ["memory"]:
                query, limit = asked.get("query", ""), min(_count(asked.get("limit"), 50), 500)
                held = self._notebook
                found = await (held.search(query, limit=limit) if query else held.list(limit=limit))
                return {"project_hash": held.project, "memories": [asdict(memory) for memory in found]}
            case ["pins"]:
                return await self._session()
            case ["traces"]:
                return await self._traces(asked)
            case ["traces", run_id]:
                record = await self._store.runs.get(run_id)
                if record is None:
                    return None
                return {**run_to_neutral(record.run), "mode": record.mode, "skills": await self._used_in(run_id)}
            case _:
                return None

    async def _session(self) -> Any:
        sessions = [self._pinned.session] if self._pinned is not None else []
        rows = await told(self._store, self._shelf, self._desk.library, sessions)
        return rows[0] if rows else {"session": None, "tools": {}, "skills": {}, "behind": []}

    async def _traces(self, asked: dict[str, str]) -> Any:
        offset, limit = _count(asked.get("offset"), 0), min(_count(asked.get("limit"), 50), 500)
        records = await self._store.runs.filtered(
            goal=asked.get("goal", ""),
            tool=asked.get("tool", ""),
            status=asked.get("status", ""),
            since=_time(asked.get("since"), 0.0),
            until=_time(asked.get("until"), 1e12),
            limit=limit + 1,
            offset=offset,
        )
        rows = [
            {
                "id": record.run.id,
                "goal": record.run.goal,
                "status": str(record.run.status),
                "mode": record.mode,
                "opened_at": record.run.opened_at,
                "uri": f"druse://traces/{record.run.id}",
            }
            for record in records[:limit]
        ]
        return {"traces": rows, "next_offset": offset + limit if len(records) > limit else None}

    async def _used_in(self, run_id: str) -> list[str]:
        return await self._store.skills.used_in(run_id)

    # the skills extension

    async def skills(self, cursor: str | None) -> dict[str, Any]:
        """`skills/list`: every skill with front matter and complete digests."""
        page, following = _page(await self._usable(), cursor)
        entries = [entry for skill in page if (entry := await self._entry(skill)) is not None]
        await self._offered([skill.uri for skill in page])
        more = {"nextCursor": following} if following else {}
        return {"skills": entries, **more, **_FRESH}

    async def skill(self, uri: str) -> dict[str, Any]:
        """`skills/get`. Raises MCPError -32602."""
        for skill in await self._usable():
            if skill.uri == uri:
                entry = await self._entry(skill)
                if entry is not None:
                    return {"skill": entry, **_FRESH}
        raise _missing(uri, f"No skill is served at {uri[:200]}")

    async def directory(self, uri: str) -> dict[str, Any]:
        """`resources/directory/read`: the direct children of a folder of a skill. Raises MCPError -32602."""
        plain = uri.rstrip("/")
        parts = plain.removeprefix("skill://").split("/") if plain.startswith("skill://") else []
        usable = await self._usable()
        if len(parts) == 1 and parts[0] in {skill.origin for skill in usable}:
            children = [_directory(f"{plain}/{skill.name}") for skill in usable if skill.origin == parts[0]]
        else:
            try:
                skill, inside = await self._skill_of(plain)
                files = await asyncio.to_thread(self._desk.library.files_of, skill)
            except DruseError as error:
                raise _missing(uri, str(error)) from error
            children = _children(plain, files, inside, skill)
            if not children:
                raise _missing(uri, f"{uri[:200]} is no folder")
        return {
            "resources": [child.model_dump(by_alias=True, exclude_none=True, mode="json") for child in children],
            "resultType": "complete",
        }

    async def _entry(self, skill: Skill) -> dict[str, Any] | None:
        try:
            files = await asyncio.to_thread(self._desk.library.files_of, skill)
        except Invalid:
            return None  # too large or too many files: what cannot be served whole is not listed
        root = skill.uri.removesuffix("SKILL.md")
        listed = [
            {"uri": root + name, "digest": "sha256:" + hashlib.sha256(body).hexdigest(), "size": len(body)}
            for name, body in sorted(files.items())
        ]
        return {"uri": skill.uri, "frontmatter": fields_of(skill.text, skill.uri)[0], "resources": listed}

    # prompts

    async def prompts(self, cursor: str | None) -> types.ListPromptsResult:
        """Every skill as a prompt: clients show them as slash commands."""
        usable = await self._usable()
        listed = [
            types.Prompt(
                name=skill.name,
                title=skill.document.title if skill.document else skill.name,
                description=skill.description,
                arguments=[types.PromptArgument(name="arguments", description="What to do it with.", required=False)],
            )
            for skill in usable
        ]
        asked = [
            types.PromptArgument(name="query", description="What you are about to do.", required=False),
            types.PromptArgument(name="tokens", description="At most so many tokens.", required=False),
        ]
        own = types.Prompt(name=_NAME, title="Project context", description=_ABOUT_CONTEXT, arguments=asked)
        page, following = _page([own, *(prompt for prompt in listed if prompt.name != _NAME)], cursor)
        await self._offered([f"skill://{skill.origin}/{skill.name}/SKILL.md" for skill in usable[:PAGE]])
        return types.ListPromptsResult(prompts=page, next_cursor=following, ttl_ms=0, cache_scope="private")

    async def prompt(self, name: str, arguments: dict[str, str], run_id: str) -> types.GetPromptResult:
        """A skill's text as a message. Raises MCPError -32602 for an unknown name."""
        if name == _NAME:
            tokens = _count(arguments.get("tokens"), DEFAULT_TOKENS)
            context = await self.context(arguments.get("query", ""), tokens, run_id)
            text = context.text or "Nothing is remembered of this project, and there are no skills."
            said = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
            return types.GetPromptResult(description=_ABOUT_CONTEXT, messages=[said])
        skill = next((skill for skill in await self._usable() if skill.name == name), None)
        if skill is None or skill.document is None:
            raise MCPError(_NOT_FOUND, f"There is no prompt {name[:80]!r}.", {"name": name[:80]})
        await self.used(skill, run_id)
        given = arguments.get("arguments", "").strip()
        text = skill.document.body.strip() + (f"\n\nArguments: {given}" if given else "")
        message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
        return types.GetPromptResult(description=skill.description, messages=[message])

    async def context(self, query: str, tokens: int, run_id: str, *, most: int = SKILLS) -> Context:
        """Markers and at most so many skills within a budget; the skills whose text is in it count as used."""
        usable = await self._usable()
        made = await build_context(self._notebook, usable, query, tokens=tokens, finder=self._desk.finder, most=most)
        await self._offered([skill.uri for skill in made.skills])
        for skill in made.skills:
            await self.used(skill, run_id)
        return made

    # counting

    async def used(self, skill: Skill, run_id: str) -> None:
        """An agent reads a skill, in a run if one is open."""
        await self._store.skills.used(f"{skill.origin}/{skill.name}", run_id, now=self._clock())

    async def offer(self, names: Sequence[str]) -> None:
        """An agent was shown skills of these names."""
        known = {skill.name: skill.uri for skill in await self._usable()}
        await self._offered([known[name] for name in names if name in known])

    async def _offered(self, uris: Sequence[str]) -> None:
        keys = [uri.removeprefix("skill://").removesuffix("/SKILL.md") for uri in uris if uri.startswith("skill://")]
        if keys:
            await self._store.skills.offered(keys, now=self._clock())

    async def _usable(self) -> list[Skill]:
        skills = [skill for skill in await asyncio.to_thread(self._desk.library.all) if skill.usable]
        return await self._as_begun(skills)

    async def _as_begun(self, skills: list[Skill], *, named: bool = False) -> list[Skill]:
        """Skills that may be used, each with the text that the session began with.

        `named`: asked for by their layer, so a pin on another layer says nothing of them.
        """
        pins: Mapping[str, tuple[str, str]] = self._pinned.skills if self._pinned is not None else {}
        changed = [
            (number, skill, pins[skill.name][0], pins[skill.name][1])
            for number, skill in enumerate(skills)
            if skill.name in pins and pins[skill.name] != (skill.origin, digest_of(skill.text))
        ]
        if not changed:
            return skills
        texts = await self._store.pins.texts(digest for _, _, _, digest in changed)
        seen = list(skills)
        for number, skill, origin, digest in changed:
            begun = skill
            if origin != skill.origin:
                if named:
                    continue
                try:
                    begun = await asyncio.to_thread(self._desk.library.load, f"{origin}/{skill.name}")
                except DruseError:
                    continue  # gone, retired or broken there: the one in service is all there is
            if digest_of(begun.text) != digest and digest not in texts:
                continue
            seen[number] = begun if digest_of(begun.text) == digest else as_of(begun, texts[digest])
        return seen

    async def _skill_of(self, uri: str) -> tuple[Skill, str]:
        parts = uri.removeprefix("skill://").split("/")
        for skill in await self._usable():
            if parts[:2] == [skill.origin, skill.name]:
                return skill, "/".join(parts[2:])
        raise NotFound(f"No skill is served at {uri[:200]}")


_NAME = "context"
_CONTEXT = f"druse://{_NAME}"
_ABOUT_CONTEXT = "What this project remembers, and the skills that fit what you are about to do."
_JSON: dict[str, Any] = {"mime_type": "application/json"}


def _resource(skill: Skill) -> types.Resource:
    size = len(skill.text.encode())
    return types.Resource(
        uri=skill.uri, name=skill.name, description=skill.description, mime_type="text/markdown", size=size
    )


def _directory(uri: str) -> types.Resource:
    return types.Resource(uri=uri, name=uri.rsplit("/", 1)[-1], mime_type="inode/directory")


def _children(root: str, files: dict[str, bytes], inside: str, skill: Skill) -> list[types.Resource]:
    prefix = f"{inside}/" if inside else ""
    found: dict[str, types.Resource] = {}
    for path, body in sorted(files.items()):
        if not path.startswith(prefix):
            continue
        name, deeper, _ = path.removeprefix(prefix).partition("/")
        uri = f"{root}/{name}"
        if deeper:
            found.setdefault(name, _directory(uri))
        elif path == "SKILL.md":
            found[name] = _resource(skill)
        else:
            found[name] = types.Resource(uri=uri, name=name, mime_type=_mime(path), size=len(body))
    return list(found.values())


def _mime(path: str) -> str:
    return "text/markdown" if path.endswith(".md") else mimetypes.guess_type(path)[0] or "application/octet-stream"


def _page(listed: Sequence[Any], cursor: str | None) -> tuple[list[Any], str | None]:
    start = int(cursor) if cursor and cursor.isdigit() else 0
    if cursor and (not cursor.isdigit() or start > len(listed)):
        raise MCPError(_NOT_FOUND, "That cursor was not given by this server.", {"cursor": cursor[:80]})
    end = start + PAGE
    return list(listed[start:end]), str(end) if end < len(listed) else None


def _count(text: str | None, default: int) -> int:
    return int(text) if text and text.isdigit() and len(text) < 9 else default


def _time(text: str | None, default: float) -> float:
    try:
        return float(text) if text else default
    except ValueError:
        return default


def _missing(uri: str, why: str) -> MCPError:
    return MCPError(_NOT_FOUND, f"Resource not found: {why}"[:600], {"uri": uri[:300]})
