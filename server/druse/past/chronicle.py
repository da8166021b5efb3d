"""Events of clients become runs.

A run is what a client did between two words of its user. Where the agent also called Druse, both halves are one run:
from `dispatch_goal` on, the client's own calls belong to the run of that goal until its outcome is reported, and calls
that opened a run without a goal belong to the work on what the user had said last. Nothing here makes a run a success:
that is told by `report_outcome`, by a person, or by a source that knows (seed id H-34).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace

from druse.model import Run, RunStatus, Step, digest
from druse.past.events import Event, Kind
from druse.store import ClientSession, RunRecord, Store, Transaction
from druse.store.clients import RunHead
from druse.traces import SecretHandles, shape_of

OWNER = "client"  # who keeps these runs open
_UNTOLD = "told by the client itself; nobody said how it went"
_FORGET_SECONDS = 30 * 86400.0
_LONGEST_PROMPT = 20_000  # characters
_LONGEST_NAME = 500
_LOOKING = frozenset(("find_tools", "load_skill", "propose_tool", "run_code"))  # of Druse's tools: no work of its own


class Chronicle:
    """Writes events down. `workflow_key` groups runs (see `druse.induction`)."""

    def __init__(self, store: Store, handles: SecretHandles, *, workflow_key: Callable[[Run], str]) -> None:
        self._store = store
        self._clients = store.clients
        self._handles = handles
        self._workflow_key = workflow_key

    async def write(self, events: Sequence[Event], *, read: tuple[str, int] | None = None) -> int:
        """Write events down in their order, all or none; how many calls were new.

        `read` is a file of the spool and how far it is read with them.
        """
        touched: set[str] = set()

        async def unit(transaction: Transaction) -> int:
            touched.clear()
            new = 0
            for event in events:
                new += await self._write(transaction, _stored(event), touched)
            if read is not None:
                await self._clients.read_on(transaction, *read)
            if events:
                await self._clients.forget(transaction, before=events[-1].at - _FORGET_SECONDS)
            return new

        new = await self._store.database.write(unit)
        for run_id in sorted(touched):
            await self._regroup(run_id)
        return new

    async def knows(self, event: Event) -> bool:
        """Whether a call is written down already."""
        stored = _stored(event)
        return await self._clients.knows(stored.client, stored.session, stored.key)

    async def _regroup(self, run_id: str) -> None:
        """Name the workflow of a closed run anew, as steps came to it."""
        record = await self._store.runs.get(run_id)
        if record is not None and record.run.status in (RunStatus.SUCCESS, RunStatus.FAILURE):
            workflow = self._workflow_key(record.run)
            if workflow != record.workflow:
                await self._store.runs.mark(run_id, record.run.status, workflow)

    async def _write(self, transaction: Transaction, event: Event, touched: set[str]) -> int:
        session = await self._clients.session(transaction, event.client, event.session)
        new = 0
        if event.kind is Kind.PROMPT:
            session = await self._prompt(transaction, session, event)
        elif event.kind is Kind.CALL:
            if not await self._first(transaction, event):
                return 0
            if event.own:
                session = await self._join(transaction, session, event, touched)
            else:
                session = await self._call(transaction, session, event, touched)
                new = 1
        else:
            if event.kind is Kind.OUTCOME:
                touched.add(session.run_id)
            await self._close(transaction, session.run_id, _status_of(event), event)
        await self._clients.save(transaction, replace(session, touched_at=max(session.touched_at, event.at)))
        return new

    async def _first(self, transaction: Transaction, event: Event) -> bool:
        """Whether a call is told for the first time."""
        who = (event.client, event.session)
        if event.key and not await self._clients.know(transaction, *who, event.key):
            return False
        # A session that goes on in another file copies what was before.
        copied = f"{event.key} {event.at:.3f}"
        if event.past and event.key and not await self._clients.know(transaction, event.client, "", copied):
            return False
        # A client that gives its hooks no ids: its first such call is the first one in its transcript, and so on.
        what = digest([event.tool, self._handles.mask_object(event.arguments)])
        if not event.past:
            if not event.key:
                await self._clients.count(transaction, *who, f"told {what}")
            return True
        return not await self._clients.count(transaction, *who, f"same {what}", upto=f"told {what}")

    async def _prompt(self, transaction: Transaction, session: ClientSession, event: Event) -> ClientSession:
        text = self._words(event.text)
        served = await self._served(transaction, session, event.at)
        new = not event.key or await self._clients.know(transaction, event.client, event.session, f"prompt {event.key}")
        if served is None:
            await self._close(transaction, session.run_id, RunStatus.UNFINISHED, event)
        elif new:
            await self._clients.add_turn(transaction, served.id, text, event.at)
        session = replace(session, prompt=text, prompt_key=event.key, prompt_at=event.at, told=served is not None)
        if served is not None:
            return session
        earlier = None if new else await self._own(transaction, _run_id(session))
        return replace(session, run_id=earlier.id if earlier else "", told=earlier is not None)

    async def _join(
        self, transaction: Transaction, session: ClientSession, event: Event, touched: set[str]
    ) -> ClientSession:
        """A call of Druse itself: which run it belongs to tells where the client's own calls belong."""
        run_id = event.run_id or await self._clients.run_of_key(transaction, event.key)
        run = await self._clients.head(transaction, run_id) if run_id else None
        if run is None and event.past:
            return await self._unserved(transaction, session, event, touched)
        if run is None or run.owner == OWNER or run.id == session.run_id:
            return session
        if not run.goal:
            own = await self._own(transaction, session.run_id)
            if own is not None:
                await self._clients.merge(transaction, own.id, run.id)
            if session.prompt and (own is not None or not session.told):
                await self._clients.name_goal(transaction, run.id, session.prompt, shape_of(session.prompt))
            touched.add(run.id)
        else:
            await self._close(transaction, session.run_id, RunStatus.UNFINISHED, event)
        return replace(session, run_id=run.id, told=True)

    async def _unserved(
        self, transaction: Transaction, session: ClientSession, event: Event, touched: set[str]
    ) -> ClientSession:
        """A call of Druse in a transcript, that no run here holds: it was made elsewhere, or its run was deleted."""
        given = event.arguments
        if event.own == "dispatch_goal":
            goal = replace(event, kind=Kind.PROMPT, text=str(given.get("goal") or ""))
            return await self._prompt(transaction, session, goal)
        if event.own == "report_outcome":
            told = replace(
                event, kind=Kind.OUTCOME, success=given.get("success") is True, text=str(given.get("note") or "")
            )
            touched.add(session.run_id)
            await self._close(transaction, session.run_id, _status_of(told), told)
            return session
        if event.own == "run_tool":
            inner = given.get("arguments")
            arguments = inner if isinstance(inner, dict) else {}
            event = replace(event, tool=str(given.get("name") or ""), arguments=arguments, own="")
        elif event.own in _LOOKING:
            return session
        masked = self._handles.mask_object(event.arguments)
        if await self._clients.served(transaction, event.tool, masked, event.at):
            return session
        return await self._call(transaction, session, event, touched)

    async def _call(
        self, transaction: Transaction, session: ClientSession, event: Event, touched: set[str]
    ) -> ClientSession:
        run = await self._served(transaction, session, event.at)
        run = run or await self._own(transaction, session.run_id)
        if run is None:
            session = await self._open(transaction, session, event)
        step = Step(
            _clean(event.tool),
            self._handles.mask_object(event.arguments),
            self._handles.mask(event.result),
            event.failed,
            started_at=event.at,
            duration_ms=event.duration_ms,
        )
        await self._clients.add_step(transaction, session.run_id, step, event.client)
        touched.add(session.run_id)
        return session

    async def _open(self, transaction: Transaction, session: ClientSession, event: Event) -> ClientSession:
        """Begin a run of the client's own for what the user said last."""
        opened_at = min(session.prompt_at or event.at, event.at) if not session.told else event.at
        told: tuple[str, ...] = () if session.prompt_key and not session.told else _told(event)
        if await self._clients.head(transaction, _run_id(session, *told)) is not None:
            told = _told(event)
        run = Run(
            id=_run_id(session, *told),
            goal=session.prompt,
            session=_clean(f"{event.client}:{event.session}"),
            opened_at=opened_at,
            user_turns=((0, session.prompt),) if session.prompt else (),
            source=event.client,
        )
        record = RunRecord(run, client=event.client, shape=shape_of(session.prompt))
        await self._store.runs.open(transaction, record, owner=OWNER)
        return replace(session, run_id=run.id, told=True)

    async def _served(self, transaction: Transaction, session: ClientSession, at: float) -> RunHead | None:
        """The run of Druse's own recording that what happened then belongs to."""
        run = await self._clients.head(transaction, session.run_id) if session.run_id else None
        if run is None or run.owner == OWNER or run.archived or (run.closed_at is not None and at > run.closed_at):
            return None
        return run

    async def _own(self, transaction: Transaction, run_id: str) -> RunHead | None:
        run = await self._clients.head(transaction, run_id) if run_id else None
        return run if run is not None and run.owner == OWNER and not run.archived else None

    async def _close(self, transaction: Transaction, run_id: str, status: RunStatus, event: Event) -> None:
        if await self._own(transaction, run_id):
            note = self._words(event.text) if event.kind is Kind.OUTCOME else _UNTOLD
            closed = await self._store.runs.close(transaction, run_id, status, now=event.at, note=note)
            if not closed and event.kind is Kind.OUTCOME:
                await self._clients.settle(transaction, run_id, str(status), note)

    def _words(self, text: str) -> str:
        cut = text if len(text) <= _LONGEST_PROMPT else text[:_LONGEST_PROMPT] + " …"
        return self._handles.mask_text(_clean(cut))


def _status_of(event: Event) -> RunStatus:
    if event.kind is not Kind.OUTCOME:
        return RunStatus.UNFINISHED
    return RunStatus.SUCCESS if event.success else RunStatus.FAILURE


def _told(event: Event) -> tuple[str, ...]:
    return event.key, repr(event.at), event.tool


def _run_id(session: ClientSession, *more: str) -> str:
    """The same for what the same words of the user led to, by whichever way it is told."""
    told = "\0".join((session.client, session.session, session.prompt_key, *more))
    return f"run-{hashlib.sha256(told.encode('utf-8', 'replace')).hexdigest()[:12]}"


def _stored(event: Event) -> Event:
    """The event with names and keys that can be stored."""
    return replace(
        event,
        client=_clean(event.client),
        session=_clean(event.session)[:_LONGEST_NAME],
        key=_clean(event.key)[:_LONGEST_NAME],
        run_id=_clean(event.run_id)[:_LONGEST_NAME],
    )


def _clean(text: str) -> str:
    """The text without halves of characters, which cannot be stored."""
    return text.encode("utf-8", "replace").decode("utf-8")
