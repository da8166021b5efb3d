"""Where clients keep their transcripts, and how each tells what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from druse.past.events import Event
from druse.past.reading import Tally
from druse.past.transcripts import claude_code, cline, codex, copilot, gemini, opencode


@dataclass(frozen=True, slots=True)
class Format:
    """How one client's transcripts are found and read."""

    files: Callable[[Path, dict[str, str]], Iterator[Path]]
    events: Callable[[Path, str, Tally], Iterator[Event]]


FORMATS: Mapping[str, Format] = {
    module.CLIENT: Format(module.files, module.events)
    for module in (claude_code, codex, gemini, opencode, copilot, cline)
}

__all__ = ["FORMATS", "Format"]
