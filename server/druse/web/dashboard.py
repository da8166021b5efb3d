"""The page of `druse dashboard`: what there is, live, and where a person decides (D8).

It is a door of its own: nothing here calls a tool, and a decision goes through the one function that the command line
uses. To decide takes the secret of an opened page (see `passes`), a request of this very page as browsers mark it, and
the hash of what was shown.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from druse.crystal import signature_of
from druse.front.base import Base
from druse.front.http import bearer_of
from druse.front.overview import overview
from druse.front.review import compared, reviewed, text_of
from druse.introspect import capability_graph
from druse.model import DruseError, Invalid, NotFound, StoreDamaged, VersionStatus, visible
from druse.store import StoreBusy
from druse.web.guard import answer, body_of, refusal_of
from druse.web.passes import Passes

log = logging.getLogger("druse.web")

LOOK_SECONDS = 0.5  # between two looks at whether something changed
_QUIET_SECONDS = 15.0  # after which a line is sent all the same, so that a broken connection is found out
_STREAMS = 16
_ONCE_IN_SERVICE = frozenset(VersionStatus) - {VersionStatus.PROPOSED, VersionStatus.REJECTED}
_SPENT = (
    "This link was used before, or a newer one took its place. If it was used and not by you, somebody else was here: "
    "end druse dashboard, and see what was decided with druse audit show."
)
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/parts.js": ("parts.js", "text/javascript; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/graph.js": ("graph.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}

Endpoint = Callable[[Request], Awaitable[Response]]


class Dashboard:
    """The ASGI application. `told` is called with a line for the terminal when something was decided."""

    def __init__(self, base: Base, passes: Passes, hosts: frozenset[str], *, told: Callable[[str], None]) -> None:
        self._base = base
        self._passes = passes
        self._hosts = hosts
        self._told = told
        self._streams = 0
        self._newest: tuple[object, str] = (None, "")  # the numbers as they were last told, and of which state
        self._counting = asyncio.Lock()
        self._rest = LOOK_SECONDS
        self._over = asyncio.Event()
        routes = [Route(path, self._file, methods=["GET"]) for path in _FILES]
        for path, endpoint in (
            ("/api/overview", self._overview),
            ("/api/approvals/{id}", self._approval),
            ("/api/tools/{name}", self._tool),
            ("/api/audit", self._audit),
            ("/api/audit/verify", self._verify),
            ("/api/graph", self._graph),
            ("/api/events", self._events),
        ):
            routes.append(Route(path, self._looked(endpoint), methods=["GET"]))
        routes.append(Route("/api/session", self._caught(self._session), methods=["POST"]))
        routes.append(Route("/api/approvals/{id}/decide", self._caught(self._decide), methods=["POST"]))
        self._starlette = Starlette(routes=routes, exception_handlers={HTTPException: _nothing_there})
        self._starlette.router.redirect_slashes = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        if scope["type"] != "http":
            await self._starlette(scope, receive, send)
            return
        refused = refusal_of(scope, self._hosts)
        if refused is not None:
            await answer(send, refused[0], {"detail": refused[1]}, HEADERS)
            return
        await self._starlette(scope, receive, send)

    def end(self) -> None:
        """Let go of the pages that listen."""
        self._over.set()

    def _looked(self, endpoint: Endpoint) -> Endpoint:
        async def guarded(request: Request) -> Response:
            if not self._passes.may_look(bearer_of(request.scope["headers"])):
                return _json(401, {"detail": "Open the newest link that druse dashboard printed."})
            return await endpoint(request)

        return self._caught(guarded)

    def _caught(self, endpoint: Endpoint) -> Endpoint:
        async def caught(request: Request) -> Response:
            try:
                return await endpoint(request)
            except DruseError as error:
                status = 404 if isinstance(error, NotFound) else 503 if isinstance(error, StoreBusy) else 409
                return _json(status, {"detail": str(error), "kind": error.kind})

        return caught

    async def _file(self, request: Request) -> Response:
        name, kind = _FILES[request.url.path]
        content = files("druse.web").joinpath("static", name).read_bytes()
        return Response(content, headers=HEADERS | {"content-type": kind})

    async def _session(self, request: Request) -> Response:
        given = await _sent(request)
        opened = self._passes.exchange(given["pass"]) if given and isinstance(given.get("pass"), str) else None
        if opened is None:
            return _json(403, {"detail": _SPENT})
        self._told("The page was opened." if opened.decide else "The page was opened to look.")
        return _json(200, {"look": opened.look, "decide": opened.decide})

    async def _decide(self, request: Request) -> Response:
        if not self._passes.may_decide(bearer_of(request.scope["headers"])):
            return _json(403, {"detail": "This page may only look. To decide, open a new link of druse dashboard."})
        given = await _sent(request)
        choice = given.get("approve") if given else None
        if not given or not isinstance(choice, bool):
            return _json(400, {"detail": "Say whether it is approved."})
        approval = await self._base.approvals.get(request.path_params["id"])
        if given.get("seen") != approval.subject_hash:
            return _json(409, {"detail": "This is not what was shown. Look at it again."})
        if given.get("status", approval.status) != approval.status:
            return _json(409, {"detail": f"It is {approval.status} by now. Look at it again."})
        decided = await self._base.decide(
            approval.id,
            approve=choice,
            how="page",
            note=str(given.get("note") or "")[:1000].encode("utf-8", "replace").decode(),  # JSON can hold half a letter
            scope="session" if given.get("scope") == "session" else "once",
        )
        self._told(visible(f"{decided.id} is {decided.status}: {decided.title[:100]}"))
        return _json(200, {"id": decided.id, "status": decided.status})

    # looking

    async def _overview(self, request: Request) -> Response:
        return _json(200, await self._numbers())

    async def _numbers(self) -> dict[str, Any]:
        await self._base.shelf.reload()
        self._base.rules.refresh()
        return await overview(self._base)

    async def _approval(self, request: Request) -> Response:
        data = await reviewed(self._base, request.path_params["id"])
        return _json(200, {**data, "text": text_of(data)})

    async def _tool(self, request: Request) -> Response:
        """A version that is or was in service, with what it changed against the one before it."""
        name, asked = request.path_params["name"], request.query_params.get("version", "")
        known = [record for record in await self._base.store.tools.versions(name) if record.status in _ONCE_IN_SERVICE]
        serving = self._base.shelf.active.get(name)
        if not known:
            raise NotFound(f"Cannot show {name[:80]!r}: no such tool is or was in service.")
        latest = serving.version if serving else known[-1].version
        number = int(asked) if asked.isdecimal() and len(asked) < 10 else latest
        record = next((one for one in known if one.version == number), None)
        if record is None:
            raise NotFound(f"Cannot show {name} v{number}: it is or was not in service.")
        version = await asyncio.to_thread(self._base.shelf.files.read, name, number)
        told = {"name": name, "version": number, "source": version.source, "manifest": version.manifest}
        told |= {"status": str(record.status), "before": None, "problem": ""}
        if version.approval_hash != record.approval_hash:
            told["problem"] = f"The files of {name} v{number} are not what was approved."
        earlier = [one.version for one in known if one.version < number]
        if earlier:
            try:
                before = await asyncio.to_thread(self._base.shelf.files.read, name, earlier[-1])
            except Invalid as error:  # the version itself is still worth showing
                told["problem"] = told["problem"] or str(error)
            else:
                told |= {"before": before.version, **compared(before, version)}
        return _json(200, told)

    async def _audit(self, request: Request) -> Response:
        limit = request.query_params.get("limit", "")
        count = max(1, min(int(limit), 1000)) if limit.isdecimal() and len(limit) < 5 else 100
        return _json(200, {"entries": [*reversed(await self._base.audit.newest(count))]})

    async def _verify(self, request: Request) -> Response:
        try:
            return _json(200, (await self._base.audit.verify()).as_dict())
        except StoreDamaged as error:
            return _json(200, {"ok": False, "detail": str(error), "first_bad": error.first_bad})

    async def _graph(self, request: Request) -> Response:
        store = self._base.store
        workflows = await store.runs.workflows()
        library = self._base.skills.library
        skills = [skill.name for skill in await asyncio.to_thread(library.all) if not skill.problem]
        signatures = {count.workflow: signature_of(count.workflow) for count in workflows}
        graph = capability_graph(await store.tools.all(), self._base.shelf.active, workflows, skills, signatures)
        return _json(200, graph.as_dict())

    async def _events(self, request: Request) -> Response:
        if self._streams >= _STREAMS:
            return _json(503, {"detail": f"{_STREAMS} pages are listening already. Close one."})
        headers = HEADERS | {"content-type": "text/event-stream; charset=utf-8"}
        return StreamingResponse(self._stream(), headers=headers)

    async def _stream(self) -> AsyncIterator[str]:
        """The numbers, and again whenever something changed; server-sent events."""
        self._streams += 1
        try:
            sent = ""
            spoke = time.monotonic()
            while not self._over.is_set():
                text = await self._told_numbers()
                if text != sent:
                    sent, spoke = text, time.monotonic()
                    yield f"event: overview\ndata: {text}\n\n"
                if time.monotonic() - spoke > _QUIET_SECONDS:
                    spoke = time.monotonic()
                    yield ": still here\n\n"
                try:
                    async with asyncio.timeout(self._rest):
                        await self._over.wait()
                except TimeoutError:
                    continue
        except DruseError as error:
            yield f"event: problem\ndata: {json.dumps({'detail': str(error)})}\n\n"
        finally:
            self._streams -= 1

    async def _told_numbers(self) -> str:
        """The numbers as JSON; counted once for all pages, and over a large store not all the time."""
        async with self._counting:
            now = await self._stamp()
            if now != self._newest[0]:
                began = time.monotonic()
                self._newest = (now, json.dumps(_shown(await self._numbers()), ensure_ascii=False))
                self._rest = max(LOOK_SECONDS, 4 * (time.monotonic() - began))
            return self._newest[1]

    async def _stamp(self) -> object:
        """Changes whenever another connection wrote to the store, and each minute, as what waits expires."""
        row = await self._base.store.database.one("PRAGMA data_version")
        return row, time.time() // 60


def _shown(data: Mapping[str, Any]) -> Any:
    """Data with every text in it as it may be shown: nothing can hide, or run in another direction."""

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return visible(value)
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
        if isinstance(value, dict):
            return {visible(str(key)): plain(part) for key, part in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        return value

    return plain(dict(data))


async def _sent(request: Request) -> dict[str, Any] | None:
    """The JSON object of a request that this very page made; None for any other."""
    headers = request.headers
    own = headers.get("origin", "").lower() == f"http://{headers.get('host', '').lower()}"
    if not own or headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return None
    if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        return None
    body = await body_of(request.receive)  # pyright: ignore[reportArgumentType]
    try:
        loaded: Any = json.loads(body or b"")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", loaded) if isinstance(loaded, dict) else None


async def _nothing_there(request: Request, error: Exception) -> Response:
    """Another path or method than those of the page."""
    assert isinstance(error, HTTPException)
    answer = _json(error.status_code, {"detail": f"{request.method} {request.url.path[:200]}: {error.detail}."})
    answer.headers.update(error.headers or {})
    return answer


def _json(status: int, content: Mapping[str, Any]) -> Response:
    return JSONResponse(_shown(content), status, HEADERS)
