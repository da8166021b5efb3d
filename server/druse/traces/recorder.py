"""Recording: opens, fills and closes runs.

A run is opened by `dispatch_goal`, or by the first call after a pause; it is closed by `report_outcome`, by the next
goal of the same session, or by idleness. Only a reported outcome makes it a success or a failure: a run that merely
ended, or whose process died, is `unfinished` and never counts (seed id H-34).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from druse.model import Caller, Json, NotFound, Run, RunStatus, Step, ToolSpec
from druse.store import Store
from druse.store.database import Transaction
from druse.store.runs import RunRecord
from druse.traces.secrets import SecretHandles
from druse.traces.shapes import shape_of

IDLE_SECONDS = 30 * 60.0


@dataclass(frozen=True, slots=True)
class Closed:
    """What closing a run led to."""

    run_id: str
    status: RunStatus
    workflow: str
    changed: bool  # False: it had been closed before


class Recorder:
    """The recording of one process. `workflow_key` groups runs (see `druse.induction`)."""

    def __init__(
        self,
        store: Store,
        handles: SecretHandles,
        *,
        clock: Callable[[], float],
        new_id: Callable[[], str],
        workflow_key: Callable[[Run], str],
        owner: str,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._store = store
        self.handles = handles
        self._clock = clock
        self._new_id = new_id
        self._workflow_key = workflow_key
        self._owner = owner
        self._idle_seconds = idle_seconds
        self._open: dict[str, tuple[str, float]] = {}  # session -> (run id, time of the last call)

    async def open(self, goal: str, caller: Caller, *, inputs: Mapping[str, Json] | None = None, mode: str = "") -> str:
        """Begin a run for a goal; the session's previous run, if still open, is closed as unfinished."""
        await self._close_previous(caller.session)
        now = self._clock()
        masked = self.handles.mask_text(goal)
        run = Run(
            id=f"run-{self._new_id()}",
            goal=masked,
            session=caller.session,
            opened_at=now,
            inputs=self.handles.mask_object(inputs or {}),
            user_turns=((0, masked),) if masked else (),
        )
        record = RunRecord(run, mode=mode, client=caller.client, shape=shape_of(masked))
        async with self._store.database.transaction() as transaction:
            await self._store.runs.open(transaction, record, owner=self._owner, asked=int(bool(goal)))
        self._open[caller.session] = (run.id, now)
        return run.id

    async def run_of(self, caller: Caller) -> str:
        """The run that a call belongs to; opened here if there is none, or after a pause."""
        if caller.run_id:
            return caller.run_id
        held = self._open.get(caller.session)
        if held is not None and self._clock() - held[1] < self._idle_seconds:
            self._open[caller.session] = (held[0], self._clock())
            return held[0]
        return await self.open("", caller)

    def held(self, caller: Caller) -> str:
        """The open run of the caller's session; empty where there is none."""
        return self._open.get(caller.session, ("", 0.0))[0]

    def current(self, caller: Caller) -> str:
        """The open run of the caller's session. Raises NotFound where there is none."""
        held = self._open.get(caller.session)
        if held is None:
            raise NotFound("Cannot report an outcome: no run is open in this session. Begin one with dispatch_goal.")
        return held[0]

    async def add(
        self, transaction: Transaction, run_id: str, step: Step, spec: ToolSpec, *, asked: bool = False
    ) -> None:
        """Append a step, masked, inside the caller's transaction; `asked` by an agent, one request for this step."""
        await self.add_masked(transaction, run_id, self.masked(step, spec), asked=asked)

    def masked(self, step: Step, spec: ToolSpec) -> Step:
        """The step as it may be stored."""
        return replace(
            step,
            arguments=self.handles.mask_object(step.arguments, spec.input_schema),
            result=self.handles.mask(step.result),
        )

    async def add_masked(self, transaction: Transaction, run_id: str, step: Step, *, asked: bool = False) -> bool:
        """Append a step that was masked; False where the run is gone (then `forget` it)."""
        return await self._store.runs.add_step(transaction, run_id, step, now=self._clock(), asked=asked) >= 0

    async def close(
        self,
        run_id: str,
        *,
        success: bool,
        note: str = "",
        cost: float | None = None,
        tokens: int | None = None,
        counts: bool = True,
    ) -> Closed:
        """Report how a run went. Reporting twice changes nothing. Raises NotFound for an unknown run.

        `counts` is False for a failure of the surroundings: then it is neither a success nor a failure (X-05).
        """
        status = RunStatus.SUCCESS if success else RunStatus.FAILURE if counts else RunStatus.UNFINISHED
        record = await self._store.runs.get(run_id)
        if record is None:
            raise NotFound(
                f"Cannot report on run {run_id!r}: there is none of that id. Use the run_id that dispatch_goal gave."
            )
        if record.run.status is not RunStatus.OPEN:
            return Closed(run_id, record.run.status, record.workflow, changed=False)
        workflow = self._workflow_key(record.run)
        async with self._store.database.transaction() as transaction:
            changed = await self._store.runs.close(
                transaction,
                run_id,
                status,
                now=self._clock(),
                note=self.handles.mask_text(note),
                workflow=workflow,
                cost=cost,
                tokens=tokens,
            )
        self.forget(run_id)
        return Closed(run_id, status, workflow, changed)

    async def close_own(self) -> None:
        """Close what this process holds open, as it ends: without a report these are unfinished."""
        for run_id, _ in list(self._open.values()):
            await self._end_unreported(run_id, "closed when the client left, without report_outcome")

    async def close_session(self, session: str) -> None:
        """Close what a session holds open, as its client leaves: without a report it is unfinished."""
        held = self._open.get(session)
        if held is not None:
            await self._end_unreported(held[0], "closed when the client left, without report_outcome")

    async def close_idle(self) -> list[str]:
        """Close what nobody touched for the idle time, also runs of processes that died; their ids."""
        closed = await self._store.runs.idle(before=self._clock() - self._idle_seconds)
        for run_id in closed:
            await self._end_unreported(run_id, "closed after a pause, without report_outcome")
        return closed

    async def mark(self, run_id: str, *, success: bool, counts: bool = True) -> None:
        """A later word on a closed run; `counts` as in `close`. Raises NotFound."""
        record = await self._store.runs.get(run_id)
        status = RunStatus.SUCCESS if success else RunStatus.FAILURE if counts else RunStatus.UNFINISHED
        if record is None or not await self._store.runs.mark(run_id, status, self._workflow_key(record.run)):
            raise NotFound(f"Cannot mark run {run_id!r}: no closed run has that id. List them with druse traces list.")

    async def _close_previous(self, session: str) -> None:
        held = self._open.pop(session, None)
        if held is not None:
            await self._end_unreported(held[0], "closed by the next goal, without report_outcome")

    async def end(self, run_id: str, note: str, *, tokens: int | None = None) -> None:
        """Close a run of which nobody has said how it went; a person or a later report can (see `mark`)."""
        await self._end_unreported(run_id, note, tokens)

    async def _end_unreported(self, run_id: str, note: str, tokens: int | None = None) -> None:
        async with self._store.database.transaction() as transaction:
            await self._store.runs.close(
                transaction, run_id, RunStatus.UNFINISHED, now=self._clock(), note=note, tokens=tokens
            )
        self.forget(run_id)

    def forget(self, run_id: str) -> None:
        """The run takes no more steps: the next call of its session begins another."""
        for session, (held, _) in list(self._open.items()):
            if held == run_id:
                del self._open[session]
