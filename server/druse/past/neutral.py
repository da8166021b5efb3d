"""Runs in the neutral trace format (see `druse.model.runs`): whole runs, with how they went where the line says so."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from druse.model import Invalid, Run, run_from_neutral
from druse.past.reading import Tally, lines_of
from druse.store import RunRecord, Store
from druse.traces import SecretHandles, shape_of


class NeutralImporter:
    """Reads such files into a workspace. A run that is known by its id is left as it is."""

    def __init__(self, store: Store, handles: SecretHandles, *, workflow_key: Callable[[Run], str]) -> None:
        self._store = store
        self._handles = handles
        self._workflow_key = workflow_key
        self.imported = 0
        self.known = 0
        self.tally = Tally()
        self.wrong: list[str] = []  # lines that tell no run, with the reason; the first hundred

    async def read(self, path: Path, *, dry: bool = False, report: Callable[[int], None] | None = None) -> None:
        """Read one file; `report` is told of bytes as they are done. Raises OSError."""
        self.tally.files += 1
        for number, line in enumerate(lines_of(path, self.tally), 1):
            try:
                await self._line(line, number, dry=dry)
            except (ValueError, AttributeError, TypeError, OverflowError, RecursionError, Invalid) as error:
                self.tally.skipped["a line that tells no run"] += 1
                if len(self.wrong) < 100:
                    self.wrong.append(f"line {number}: {error}")
            if report is not None:
                report(len(line))

    async def _line(self, line: str, number: int, *, dry: bool) -> None:
        # A run without an id is told by what stands in the line, so that the same line is the same run.
        own = hashlib.sha256(line.strip().encode("utf-8", "replace")).hexdigest()[:12]
        loaded = json.loads(line)
        run = run_from_neutral(loaded, default_id=f"import-{own}")
        self.tally.calls += len(run.steps)
        if await self._store.runs.told(run.id):
            self.known += 1
            return
        if not dry:
            await self._store_run(run, float(number))
            consent = loaded.get("consent")
            if isinstance(consent, bool):
                await self._store.consents.say([run.id], given=consent, by="import", now=time.time())
        self.imported += 1

    async def _store_run(self, run: Run, at: float) -> None:
        handles = self._handles
        goal = handles.mask_text(run.goal)
        opened = run.opened_at or at
        turns = tuple((turn, handles.mask_text(text)) for turn, text in run.user_turns)
        masked = replace(run, goal=goal, user_turns=turns, opened_at=opened, closed_at=run.closed_at or opened)
        record = RunRecord(masked, workflow=self._workflow_key(run), shape=shape_of(goal))
        async with self._store.database.transaction() as transaction:
            await self._store.runs.open(transaction, record, owner="import")
            for step in run.steps:
                clean = replace(step, arguments=handles.mask_object(step.arguments), result=handles.mask(step.result))
                await self._store.runs.add_step(transaction, run.id, clean, now=at)
