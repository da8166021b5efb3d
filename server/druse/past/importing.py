"""Past work becomes runs: transcripts read file by file, told to the chronicle, and a report of what was left out."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from druse.model import JsonObject
from druse.past.chronicle import Chronicle
from druse.past.events import Event, Kind
from druse.past.reading import Tally
from druse.past.transcripts import FORMATS

_EVENTS = 200  # written down at once
_UNFIT = (ValueError, TypeError, OverflowError, sqlite3.Error)


@dataclass(slots=True)
class Imported:
    """What an import did. `known` calls were there before; `runs` counts words of the user that led to calls."""

    new: int = 0
    known: int = 0
    prompts: int = 0
    tally: Tally = field(default_factory=Tally)

    def as_dict(self) -> JsonObject:
        """For answers."""
        return {
            "files": self.tally.files,
            "sessions": self.tally.sessions,
            "prompts": self.prompts,
            "calls": self.new,
            "known": self.known,
            "skipped": dict(sorted(self.tally.skipped.items())),
        }


class Importer:
    """Reads one client's transcripts into a workspace.

    `project` is the folder whose work is wanted; `since` in seconds since the epoch. `ended_well` is a person's word: a
    turn that the agent ended by itself, whose last call went well, was a success.
    """

    def __init__(
        self, chronicle: Chronicle, client: str, *, project: Path, since: float = 0.0, ended_well: bool = False
    ) -> None:
        self._chronicle = chronicle
        self._client = client
        self._project = str(project)
        self._since = since
        self._ended_well = ended_well
        self.done = Imported()

    def files(self, home: Path, environment: Mapping[str, str]) -> list[Path]:
        """Where this account's transcripts are."""
        return list(FORMATS[self._client].files(home, dict(environment)))

    async def read(self, path: Path, *, dry: bool = False, report: Callable[[int], None] | None = None) -> None:
        """Read one file; `report` is told how many bytes are done."""
        self.done.tally.files += 1
        batch: list[Event] = []
        try:
            for event in self._wanted(path):
                batch.append(event)
                if len(batch) >= _EVENTS:
                    await self._write(batch, dry=dry)
                    batch = []
        except OSError as error:
            self.done.tally.skipped[f"a file that cannot be read: {error.strerror or type(error).__name__}"] += 1
        await self._write(batch, dry=dry)
        if report is not None:
            report(size_of(path))

    def _wanted(self, path: Path) -> Iterator[Event]:
        told = FORMATS[self._client].events(path, self._project, self.done.tally)
        return self._judged(self._chosen(told))

    def _chosen(self, events: Iterable[Event]) -> Iterator[Event]:
        """Events of the project since the wanted time."""
        sessions: set[str] = set()
        skipped = self.done.tally.skipped
        for event in events:
            call = event.kind is Kind.CALL
            if not _inside(event.cwd, self._project):
                skipped["a call in another project"] += call
            elif event.at < self._since:
                skipped["a call before --since"] += call
            else:
                sessions.add(event.session)
                yield event
        self.done.tally.sessions += len(sessions)
        for reason in [reason for reason, count in skipped.items() if not count]:
            del skipped[reason]

    def _judged(self, events: Iterable[Event]) -> Iterator[Event]:
        """With the person's word that turns which ended well were successes, before each such end."""
        went_well: dict[str, bool] = {}
        for event in events:
            if event.kind is Kind.PROMPT:
                went_well.pop(event.session, None)
            elif event.kind is Kind.CALL:
                went_well[event.session] = not event.failed
            elif event.kind is Kind.STOP and self._ended_well and went_well.pop(event.session, False) and event.ended:
                note = "a person's word for all imported turns whose last call went well"
                yield replace(event, kind=Kind.OUTCOME, success=True, text=note)
            yield event

    async def _write(self, events: list[Event], *, dry: bool) -> None:
        calls = [event for event in events if event.kind is Kind.CALL and not event.own]
        self.done.prompts += sum(event.kind is Kind.PROMPT for event in events)
        if dry:
            new = 0
            for call in calls:
                new += not await self._chronicle.knows(call)
        else:
            new = await self._written(events)
        self.done.new += new
        self.done.known += max(0, len(calls) - new)

    async def _written(self, events: list[Event]) -> int:
        try:
            return await self._chronicle.write(events)
        except _UNFIT:
            new = 0
            for event in events:
                try:
                    new += await self._chronicle.write([event])
                except _UNFIT as error:
                    self.done.tally.skipped[f"an event that cannot be stored: {type(error).__name__}"] += 1
            return new


def size_of(path: Path) -> int:
    """The bytes of a file; 0 where there is none, as behind a link that leads nowhere."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _inside(cwd: str, project: str) -> bool:
    if not cwd:
        return False
    place = os.path.realpath(cwd)
    return place == project or place.startswith(project.rstrip("/") + "/")
