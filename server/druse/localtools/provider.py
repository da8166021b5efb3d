"""Bash, Read, Edit, Write, Glob, Grep and WebFetch as tools, so that tools can be made of them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from druse.localtools.files import MAX_WRITE, read_text, resolve, write_text
from druse.localtools.search import Shows, glob_files, grep_files
from druse.localtools.shell import run_command
from druse.localtools.web import DEFAULT_BYTES, DEFAULT_SECONDS, MOST_BYTES, Web
from druse.model import (
    CallContext,
    Caller,
    CallerKind,
    Decision,
    Effect,
    Invalid,
    Json,
    JsonObject,
    NotAllowed,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    Verdict,
    object_schema,
)
from druse.permissions import host_of, own_host

_Tool: TypeAlias = "Callable[[JsonObject, CallContext], Awaitable[Outcome]]"
DEFAULT_TIMEOUT = 120.0
_DECISION_SECONDS = 5.0
MAX_TIMEOUT = 600.0


def _spec(
    name: str, summary: str, effect: Effect, required: list[str], properties: JsonObject, alias: str = ""
) -> ToolSpec:
    hint = effect is Effect.READ
    return ToolSpec(
        name,
        Source.LOCAL,
        summary,
        object_schema(properties, required),
        effect=effect,
        read_only_hint=hint,
        alias=alias,
    )


_TEXT: JsonObject = {"type": "string"}
_COUNT: JsonObject = {"type": "integer", "minimum": 0}
_FLAG: JsonObject = {"type": "boolean"}
_SECONDS: JsonObject = {"type": "number", "description": "At most 600.", "exclusiveMinimum": 0, "maximum": 600}
SPECS: tuple[ToolSpec, ...] = (
    _spec(
        "Bash",
        "Run a shell command in the workspace. Answers stdout, stderr and exit_code.",
        Effect.WRITE,
        ["command"],
        {"command": _TEXT, "timeout": _SECONDS, "description": _TEXT},
    ),
    _spec(
        "Read",
        "Read a text file.",
        Effect.READ,
        ["file_path"],
        {"file_path": _TEXT, "offset": _COUNT, "limit": _COUNT},
    ),
    _spec(
        "Edit",
        "Replace a text in a file; old_string must occur once unless replace_all.",
        Effect.WRITE,
        ["file_path", "old_string", "new_string"],
        {"file_path": _TEXT, "old_string": _TEXT, "new_string": _TEXT, "replace_all": _FLAG},
        alias="FileEdit",
    ),
    _spec(
        "Write", "Write a whole file.", Effect.WRITE, ["file_path", "content"], {"file_path": _TEXT, "content": _TEXT}
    ),
    _spec(
        "Glob",
        "Find files by a pattern such as **/*.py.",
        Effect.READ,
        ["pattern"],
        {"pattern": _TEXT, "path": _TEXT},
    ),
    _spec(
        "Grep",
        "Find lines by a regular expression.",
        Effect.READ,
        ["pattern"],
        {"pattern": _TEXT, "path": _TEXT, "glob": _TEXT, "ignore_case": _FLAG},
    ),
    _spec(
        "WebFetch",
        "GET a web page or an API's answer as text. A redirect to another host is answered, not followed.",
        Effect.READ,
        ["url"],
        {
            "url": {"type": "string", "description": "http or https.", "maxLength": 8000},
            "max_bytes": {"type": "integer", "minimum": 1, "maximum": MOST_BYTES, "description": "Default 512 KiB."},
            "timeout": {"type": "number", "exclusiveMinimum": 0, "maximum": 120, "description": "Seconds; 30."},
        },
    ),
)
_Decide: TypeAlias = "Callable[[ToolSpec, JsonObject, Caller], Decision]"


class LocalTools:
    """Carries out the workspace's own tools."""

    def __init__(
        self,
        workspace: Path,
        *,
        decide: _Decide | None = None,
        web: Web | None = None,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self._environment = environment  # of the client; commands see a harmless part of it
        self._decide = decide  # asked again for each redirect; without it none is followed
        self._web = web or Web()
        self._workspace = Path(os.path.realpath(workspace))
        self._tools: dict[str, _Tool] = {
            "Bash": self._bash,
            "Read": self._read,
            "Edit": self._edit,
            "Write": self._write,
            "Glob": self._glob,
            "Grep": self._grep,
            "WebFetch": self._fetch,
        }

    def specs(self) -> Sequence[ToolSpec]:
        """The local tools; Edit answers to FileEdit as well."""
        return SPECS

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Carry out one decided call."""
        try:
            return await self._tools[spec.name](arguments, context)
        except NotAllowed as error:
            return Outcome(OutcomeStatus.DENIED, message=str(error), kind=error.kind)
        except Invalid as error:
            return Outcome(OutcomeStatus.ERROR, message=str(error), kind="tool_error", data=str(error))
        except OSError as error:  # names that are too long, files that vanish: whatever the system says of a path
            told = f"Cannot do {spec.name} as asked: {error.strerror or type(error).__name__}. Check the path."
            return Outcome(OutcomeStatus.ERROR, message=told, kind="tool_error", data=told)

    async def _bash(self, arguments: JsonObject, context: CallContext) -> Outcome:
        timeout = arguments.get("timeout", DEFAULT_TIMEOUT)
        seconds = min(float(timeout), MAX_TIMEOUT) if isinstance(timeout, int | float) else DEFAULT_TIMEOUT
        shell = context.caller.kind in (CallerKind.AGENT, CallerKind.PERSON)
        done = await run_command(
            str(arguments["command"]), self._workspace, timeout=seconds, shell=shell, environment=self._environment
        )
        data: JsonObject = {"stdout": done.stdout, "stderr": done.stderr, "exit_code": done.exit_code}
        if done.cut:
            data["note"] = "the output was cut"
        if done.timed_out:
            return Outcome(
                OutcomeStatus.ERROR,
                data,
                f"The command was stopped after {seconds:.0f} s. Give a longer timeout.",
                "timeout",
            )
        if done.exit_code:
            return Outcome(
                OutcomeStatus.ERROR, data, f"The command ended with exit code {done.exit_code}.", "exit_code"
            )
        return Outcome(OutcomeStatus.OK, data)

    async def _read(self, arguments: JsonObject, context: CallContext) -> Outcome:
        text = await asyncio.to_thread(read_text, self._place(arguments["file_path"], context))
        offset, limit = arguments.get("offset"), arguments.get("limit")
        if isinstance(offset, int) or isinstance(limit, int):
            lines = text.splitlines(keepends=True)
            first = offset if isinstance(offset, int) else 0
            text = "".join(lines[first : first + limit] if isinstance(limit, int) else lines[first:])
        return Outcome(OutcomeStatus.OK, data=text)

    async def _edit(self, arguments: JsonObject, context: CallContext) -> Outcome:
        path = self._place(arguments["file_path"], context)
        old, new = str(arguments["old_string"]), str(arguments["new_string"])
        text = await asyncio.to_thread(read_text, path)
        count = text.count(old) if old else 0
        if not count or (count > 1 and not arguments.get("replace_all")):
            problem = "does not occur in it" if not count else f"occurs {count} times in it"
            raise Invalid(f"Cannot edit {path.name}: old_string {problem}. Give a longer, exact piece of the file.")
        size = len(text) + count * (len(new) - len(old))
        if size > MAX_WRITE:  # before a text of that size is made
            raise Invalid(f"Cannot edit {path.name}: {size:,} characters are over the limit of {MAX_WRITE:,}.")
        await asyncio.to_thread(write_text, path, text.replace(old, new))
        return Outcome(OutcomeStatus.OK, data={"file_path": str(arguments["file_path"]), "replaced": count})

    async def _write(self, arguments: JsonObject, context: CallContext) -> Outcome:
        path = self._place(arguments["file_path"], context)
        new = await asyncio.to_thread(write_text, path, str(arguments["content"]))
        return Outcome(OutcomeStatus.OK, data={"file_path": str(arguments["file_path"]), "created": new})

    async def _glob(self, arguments: JsonObject, context: CallContext) -> Outcome:
        root = self._place(arguments.get("path"), context)
        shows = self._shown(root, context)
        found = await asyncio.to_thread(glob_files, str(arguments["pattern"]), root, shows=shows)
        return Outcome(OutcomeStatus.OK, data=_noted({"files": list[Json](found.files)}, found.note))

    async def _grep(self, arguments: JsonObject, context: CallContext) -> Outcome:
        glob = arguments.get("glob")
        root = self._place(arguments.get("path"), context)
        found = await asyncio.to_thread(
            grep_files,
            str(arguments["pattern"]),
            root,
            shows=self._shown(root, context),
            glob=glob if isinstance(glob, str) else "",
            ignore_case=bool(arguments.get("ignore_case")),
        )
        matches: list[Json] = [dict[str, Json](match) for match in found.matches]
        return Outcome(OutcomeStatus.OK, data=_noted({"matches": matches}, found.note))

    def _shown(self, root: Path, context: CallContext) -> Shows:
        """Whether a search tells of a file: what a rule denies or asks about is left out of searches above it."""

        decide, loop = self._decide, asyncio.get_running_loop()

        async def decided(relative: str) -> bool:
            assert decide is not None
            found = decide(_READ, {"file_path": str(root / relative)}, context.caller)
            return found.verdict is Verdict.ALLOW or (found.verdict is Verdict.ASK and not found.rule)

        def shows(relative: str) -> bool:
            if decide is None or not relative:
                return True  # the file itself is what was decided
            # The search runs in a thread; decisions are made where all others are.
            return asyncio.run_coroutine_threadsafe(decided(relative), loop).result(_DECISION_SECONDS)

        return shows

    async def _fetch(self, arguments: JsonObject, context: CallContext) -> Outcome:
        size, timeout = arguments.get("max_bytes"), arguments.get("timeout")
        # No wide rule covers a URL that itself shows an address of a private network: a rule or a person named it.
        decided = context.decision
        private = decided is not None and (decided.names_host or bool(own_host(host_of(arguments["url"]))))

        def follows(url: str) -> bool:
            """Whether the rules allow the place a redirect leads to, as a call of its own."""
            if self._decide is None:
                return False
            return self._decide(_FETCH, {**arguments, "url": url}, context.caller).verdict is Verdict.ALLOW

        page = await self._web.fetch(
            str(arguments["url"]),
            follows=follows,
            private=private,
            max_bytes=size if isinstance(size, int) else DEFAULT_BYTES,
            seconds=float(timeout) if isinstance(timeout, int | float) else DEFAULT_SECONDS,
        )
        data: JsonObject = {"url": page.url, "status": page.status, "type": page.kind, "content": page.text}
        if page.redirect:
            data["redirect"] = page.redirect
            data["note"] = "it redirects; to follow, call WebFetch with that url"
        elif page.cut:
            data["note"] = "the content was cut; a higher max_bytes gives more"
        if page.status >= 400:
            message = f"The server answered {page.status}. Check the URL, or try later."
            return Outcome(OutcomeStatus.ERROR, data, message, "http_status")
        return Outcome(OutcomeStatus.OK, data)

    def _place(self, text: Json, context: CallContext) -> Path:
        """The path the call was decided for. Resolving it anew could follow a link that was put there since."""
        if not isinstance(text, str) or not text:
            return self._workspace
        decided = context.decision.place if context.decision is not None else ""
        return Path(decided) if decided else resolve(text, self._workspace)


_READ, _FETCH = (next(spec for spec in SPECS if spec.name == name) for name in ("Read", "WebFetch"))


def _noted(data: JsonObject, note: str) -> JsonObject:
    return {**data, "note": note} if note else data
