"""Every callable tool by its wire name, whoever provides it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from druse.model import Caller, NotFound, Provider, ToolSpec


@dataclass(frozen=True, slots=True)
class Entry:
    """A tool and who carries it out."""

    spec: ToolSpec
    provider: Provider


class Registry:
    """Resolves names over all providers. Earlier providers win a clash; clashes are kept in `clashes` for `status`."""

    def __init__(
        self,
        providers: Sequence[Provider] = (),
        *,
        seen_by: Callable[[ToolSpec, Caller | None], ToolSpec] = lambda spec, caller: spec,
    ) -> None:
        self._providers: list[Provider] = list(providers)
        self._seen_by = seen_by  # which version of a tool a caller's session goes on with (seed id N-09)
        self._entries: dict[str, Entry] | None = None
        self._retired: dict[str, str] = {}
        self.clashes: tuple[str, ...] = ()

    def add(self, provider: Provider) -> None:
        """Append a provider; its tools are visible at the next look-up."""
        self._providers.append(provider)
        self.refresh()

    def refresh(self) -> None:
        """Forget the table of names; called whenever a provider's tools changed."""
        self._entries = None

    def retire(self, names: Mapping[str, str]) -> None:
        """Tell what became of tools that are gone (name -> sentence), so that a late call learns it (seed id N-16)."""
        self._retired = dict(names)

    def entries(self) -> Mapping[str, Entry]:
        """All tools by wire name, in the order of the providers."""
        if self._entries is None:
            self._entries = self._collect()
        return self._entries

    def specs(self, caller: Caller | None = None) -> list[ToolSpec]:
        """All tools, in a stable order, as this caller's session knows them."""
        return [self._seen_by(entry.spec, caller) for entry in self.entries().values()]

    def resolve(self, name: str, caller: Caller | None = None) -> Entry:
        """The tool called `name` (wire name or dotted alias). Raises NotFound with the nearest names."""
        entries = self.entries()
        entry = entries.get(name)
        if entry is not None:
            seen = self._seen_by(entry.spec, caller) if caller is not None else entry.spec
            return entry if seen is entry.spec else Entry(seen, entry.provider)
        for candidate in entries.values():
            if candidate.spec.alias and candidate.spec.alias == name:
                return candidate
        if name in self._retired:
            raise NotFound(f"Cannot call {name}: {self._retired[name]} Look for another with find_tools.")
        nearest = difflib.get_close_matches(name, list(entries), n=3, cutoff=0.5)
        hint = f"; the nearest are {', '.join(nearest)}" if nearest else ""
        raise NotFound(
            f"Cannot call {name[:80]!r}: no tool has that name{hint}. Search with find_tools.", nearest=nearest
        )

    def _collect(self) -> dict[str, Entry]:
        entries: dict[str, Entry] = {}
        clashes: list[str] = []
        for provider in self._providers:
            for spec in provider.specs():
                if spec.name in entries:
                    clashes.append(spec.name)
                else:
                    entries[spec.name] = Entry(spec, provider)
        self.clashes = tuple(clashes)
        return entries
