"""The HTTP API of llmos-lite's table, over one application.

Each operation is decided by the same function as every call: what has an effect is a capability and goes through the
router, what only reads is decided under a name of its own. Nothing here decides an approval.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from druse.front.application import Application
from druse.front.guests import Guest
from druse.front.http import TurnedAway
from druse.model import DruseError, Invalid, NotAllowed, NotFound, visible
from druse.skills import VISIBLE
from druse.store import StoreBusy, StoreFull
from druse.web import shapes
from druse.web.admission import Admission
from druse.web.chatting import chat
from druse.web.guard import LARGEST_BODY, answer, body_of, refusal_of
from druse.web.openapi import Operation, document
from druse.web.reading import get_trace, list_traces, volume_history, volume_stats
from druse.web.skills import create_skill, evolve, get_skill, list_skills, promote_skill
from druse.web.tools import register_tool
from druse.web.visit import Refused, Reply, RoleTooLow, Visit
from druse.web.visitors import Visitor

log = logging.getLogger("druse.web")

Handler = Callable[[Visit], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Served:
    """An operation and who carries it out."""

    operation: Operation
    handler: Handler


def _served(
    method: str,
    path: str,
    decides: str,
    summary: str,
    handler: Handler,
    answers: Mapping[int, type[BaseModel]],
    *,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
) -> Served:
    return Served(Operation(method, path, summary, decides, answers, query, body), handler)


# In this order: /skills/promote is no skill's id.
TABLE: tuple[Served, ...] = (
    _served(
        *("POST", "/chat", "chat_ask", "Ask the model, with the skills and the memory that fit", chat),
        {200: shapes.ChatResponse, 202: shapes.Pending, 503: shapes.Problem},
        body=shapes.ChatRequest,
    ),
    _served(
        *("GET", "/skills", "skills_list", "The skills in service", list_skills),
        {200: shapes.SkillList},
        query=shapes.SkillQuery,
    ),
    _served(
        *("POST", "/skills", "skills_create", "Propose a skill; administrators may write one into a volume"),
        create_skill,
        {201: shapes.SkillCreated, 202: shapes.Pending},
        body=shapes.SkillCreate,
    ),
    _served(
        *("POST", "/skills/promote", "skills_promote", "Propose a skill of the user's for its team", promote_skill),
        {200: shapes.SkillPromoted, 202: shapes.Pending},
        body=shapes.SkillPromote,
    ),
    _served(
        *("GET", "/skills/{skill_id}", "skills_read", "One skill with its text", get_skill),
        {200: shapes.SkillDetail},
        query=shapes.OwnerQuery,
    ),
    _served(
        *("POST", "/evolve", "skills_evolve", "Draft skills of work that recurs; joins a search under way", evolve),
        {200: shapes.EvolveResponse},
        body=shapes.EvolveRequest,
    ),
    _served(
        *(
            "POST",
            "/tools",
            "tools_register",
            "Hand in a tool; it lands unapproved at every trust level",
            register_tool,
        ),
        {202: shapes.Pending},
        body=shapes.ToolRegister,
    ),
    _served(
        *("GET", "/traces", "traces_list", "Recorded runs, newest first", list_traces),
        {200: shapes.TraceList},
        query=shapes.TraceQuery,
    ),
    _served(
        *("GET", "/traces/{trace_id}", "traces_read", "One recorded run with its steps", get_trace),
        {200: shapes.TraceDetail},
        query=shapes.OwnerQuery,
    ),
    _served(
        *("GET", "/volumes/stats", "volumes_stats", "Counts of the user's, the team's and the system volume"),
        volume_stats,
        {200: shapes.VolumeStats},
        query=shapes.OwnerQuery,
    ),
    _served(
        *("GET", "/volumes/history", "volumes_history", "The changes of a volume, newest first", volume_history),
        {200: shapes.VolumeHistory},
        query=shapes.HistoryQuery,
    ),
)
_FIRST = frozenset(row.operation.path.split("/")[1] for row in TABLE)
DOCUMENT = "/openapi.json"
_ASKING = ("GET", "HEAD", "OPTIONS")
_FOR_PAGES = {  # clients in a browser read the metadata before they have a token
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET",
    "access-control-allow-headers": "mcp-protocol-version",
}


class HttpApi:
    """Serves the table beside MCP (see `druse.front.http.Beside`)."""

    def __init__(self, application: Application, admission: Admission, hosts: frozenset[str] | None) -> None:
        self._application = application
        self._admission = admission
        self._hosts = hosts
        by_path: dict[str, list[Served]] = {}
        for row in TABLE:
            by_path.setdefault(row.operation.path, []).append(row)
        routes = [
            Route(path, self._endpoint(rows), methods=[row.operation.method for row in rows])
            for path, rows in by_path.items()
        ]
        self._described = document([row.operation for row in TABLE])
        self._starlette = Starlette(
            routes=[*routes, Route(DOCUMENT, self._document, methods=["GET"])],
            exception_handlers={HTTPException: _http_problem},
        )

    def owns(self, path: str) -> bool:
        """Whether a path is one of the table's, or that of the metadata."""
        first = path.split("/")[1:2]
        return path == DOCUMENT or (first != [] and first[0] in _FIRST) or self._admission.metadata(path) is not None

    @property
    def names(self) -> Sequence[str]:
        """Names by which this server is known beside the address it is bound to."""
        return self._admission.names

    async def admit(self, headers: Iterable[tuple[bytes, bytes]]) -> Guest | TurnedAway:
        """Whose request for MCP this is."""
        return await self._admission.admit(headers)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One ASGI request."""
        metadata = self._admission.metadata(scope["path"])
        if metadata is not None:  # public, for whoever wants to know where tokens come from
            await answer(send, 200 if scope["method"] in _ASKING else 405, metadata, _FOR_PAGES)
            return
        hosts = self._hosts | frozenset(self.names) if self._hosts is not None else None
        refused = refusal_of(scope, hosts)
        if refused is not None:
            await answer(send, refused[0], {"detail": refused[1], "kind": "not_allowed"})
            return
        if scope["path"] != DOCUMENT:
            visitor = await self._admission.visitor(scope["headers"])
            if isinstance(visitor, TurnedAway):
                problem = {"detail": visitor.detail, "kind": visitor.kind}
                await answer(send, visitor.status, problem, visitor.headers)
                return
            scope = {**scope, "druse.visitor": visitor}
        await self._starlette(scope, receive, send)

    def _endpoint(self, rows: list[Served]) -> Callable[[Request], Awaitable[Response]]:
        by_method = {row.operation.method: row for row in rows}

        async def endpoint(request: Request) -> Response:
            row = by_method["GET" if request.method == "HEAD" else request.method]
            return await self._carried_out(row, request)

        return endpoint

    async def _carried_out(self, row: Served, request: Request) -> Response:
        visitor: Visitor = request.scope["druse.visitor"]
        try:
            visit = Visit(
                self._application,
                visitor,
                row.operation.decides,
                query=_read_query(row.operation, request),
                body=await _read_body(row.operation, request),
                path=dict(request.path_params),
            )
            reply = await row.handler(visit)
            expected = row.operation.answers[reply.status]
            assert isinstance(reply.content, expected)
            return _json(reply.status, reply.content)
        except Refused as refused:
            return _json(refused.status, refused.problem)
        except RoleTooLow as error:
            more = self._admission.needs(error.needed, "A token of a higher role may do this.")
            problem = shapes.Problem(detail=str(error), kind=error.kind)
            return _json(403, problem, more if visitor.by_token else {})
        except DruseError as error:
            return _json(_status_of(error), shapes.Problem(detail=str(error), kind=error.kind))
        except Exception:  # top handler of HTTP requests: the client gets an id, the log the traceback
            incident = uuid.uuid4().hex[:8]
            log.exception("incident %s: %s %s failed", incident, request.method, row.operation.path)
            text = f"{row.operation.path} failed inside Druse (incident {incident}); see the server's log."
            return _json(500, shapes.Problem(detail=text, kind="internal"))

    async def _document(self, request: Request) -> Response:
        return JSONResponse(self._described)


def _read_query(operation: Operation, request: Request) -> Any:
    if operation.query is None:
        return None
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given:
            raise Invalid(f"Cannot read the request: {name} is given twice.", where=name)
        given[name] = value
    try:
        return operation.query.model_validate(given)
    except ValidationError as error:
        raise _wrong(error) from error


async def _read_body(operation: Operation, request: Request) -> Any:
    if operation.body is None:
        return None
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "Send the request as application/json.", "invalid")
    body = await body_of(request.receive)  # pyright: ignore[reportArgumentType]
    if body is None:
        raise Refused(413, f"The request is larger than {LARGEST_BODY} bytes.", "invalid")
    try:
        return operation.body.model_validate(json.loads(body))
    except ValidationError as error:
        raise _wrong(error) from error
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"The request is no JSON: {str(error)[:200]}.", "invalid") from error


def _wrong(error: ValidationError) -> Refused:
    parts = [f"{'.'.join(map(str, part['loc'])) or 'the body'}: {_said(part)}" for part in error.errors()[:5]]
    return Refused(422, visible(f"Cannot read the request: {'; '.join(parts)}."), "invalid")


def _said(part: Any) -> str:
    """What is wrong with one field, in words."""
    if part["type"] == "string_pattern_mismatch" and part["ctx"]["pattern"] == VISIBLE:
        hidden = next((letter for letter in part["input"] if not re.match(VISIBLE, letter)), "")
        return f"It holds the invisible character U+{ord(hidden):04X}" if hidden else "It holds an invisible character"
    return str(part["msg"])


def _status_of(error: DruseError) -> int:
    if isinstance(error, NotAllowed):
        return 403
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Invalid):
        return 422
    if error.kind == "conflict":
        return 409
    return 503 if isinstance(error, StoreBusy | StoreFull) else 500


def _json(status: int, content: BaseModel, more: Mapping[str, str] | None = None) -> Response:
    plain = content.model_dump(mode="json", by_alias=True, exclude_none=isinstance(content, shapes.Problem))
    told = {"cache-control": "no-store", "x-content-type-options": "nosniff", **(more or {})}
    return JSONResponse(plain, status, told)


async def _http_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    problem = {"detail": f"{request.method} {request.url.path}: {error.detail}.", "kind": "http"}
    return JSONResponse(problem, error.status_code, error.headers)
