"""A transcript told as events: calls are held until their answers come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

from druse.past.events import Event, Kind
from druse.past.hooks import run_named
from druse.past.reading import Odd, Tally
from druse.past.tools import Told, known

Line = TypeVar("Line")


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that has no answer yet."""

    told: Told
    at: float


class Telling:
    """One session of a client, event by event. `root` is the workspace that paths are told from."""

    def __init__(self, client: str, root: str, tally: Tally, *, session: str = "") -> None:
        self._client = client
        self._root = root
        self._tally = tally
        self._asked: dict[tuple[str, str], Asked] = {}
        self.session = session
        self.cwd = ""
        self.at = 0.0  # of the newest thing told

    def prompt(self, text: str, at: float, *, key: str = "", session: str = "") -> Event:
        """The user said something."""
        self.at = max(self.at, at)
        return self._event(Kind.PROMPT, at, session, key=key, text=text)

    def stop(self, *, session: str = "", ended: bool = True) -> Event:
        """The agent's turn is over; `ended` where it ended it by itself."""
        return replace(self._event(Kind.STOP, self.at, session), ended=ended)

    def ask(self, key: str, tool: str, arguments: Any, at: float, *, server: str = "", session: str = "") -> None:
        """A tool is called."""
        self.at = max(self.at, at)
        given: Any = {"input": arguments}
        if isinstance(arguments, dict):
            given = cast("dict[str, Any]", arguments)
        self._asked[session or self.session, key] = Asked(Told(tool, given, server=server, cwd=self.cwd), at)

    def answer(self, key: str, result: Any, at: float, *, failed: bool = False, session: str = "") -> Iterator[Event]:
        """The call is answered; nothing where it is not known or no work."""
        self.at = max(self.at, at)
        asked = self._asked.pop((session or self.session, key), None)
        if asked is None:
            self._tally.skipped["an answer to no call"] += 1
            return
        call = known(self._client, replace(asked.told, result=result, failed=failed), self._root)
        if call is None:
            self._tally.skipped["a note of the agent to itself"] += 1
            return
        yield replace(
            self._event(Kind.CALL, asked.at, session, key=key),
            tool=call.tool,
            arguments=call.arguments,
            result=call.result,
            failed=call.failed,
            own=call.own,
            run_id=run_named(call),
        )

    def all_of(self, lines: Iterable[Line], events_of: Callable[[Line], Iterator[Event]]) -> Iterator[Event]:
        """What each line of the transcript tells, and its end. An odd line is counted and left out."""
        for line in lines:
            try:
                yield from events_of(line)
            except Odd as odd:
                self._tally.skipped[str(odd)] += 1
        yield from self.end()

    def end(self) -> Iterator[Event]:
        """The transcript is over."""
        if self._asked:
            self._tally.skipped["a call without an answer"] += len(self._asked)
            self._asked.clear()
        if self.at:
            yield self.stop(ended=False)

    def _event(self, kind: Kind, at: float, session: str, *, key: str = "", text: str = "") -> Event:
        return Event(kind, self._client, session or self.session, at, key=key, text=text, cwd=self.cwd, past=True)
