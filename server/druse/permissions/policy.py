"""Layers of rules: user, project, session. deny > ask > allow over all of them; specificity never matters (D7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from druse.model import Invalid
from druse.permissions.rulebook import RuleBook
from druse.permissions.rules import Rule, parse_rule

KINDS = ("allow", "ask", "deny")


@dataclass(frozen=True, slots=True)
class Layer:
    """The rules of one file, as texts with their places; `Policy` parses them against its workspace."""

    name: str
    rules: Mapping[str, Sequence[tuple[str, str]]]  # kind -> [(rule, origin)]

    @classmethod
    def parse(cls, name: str, rules: Mapping[str, Sequence[tuple[str, str]]]) -> Layer:
        """A layer of rule texts with origins (`file:line`)."""
        return cls(name, {kind: tuple(rules.get(kind, ())) for kind in KINDS})


@dataclass(frozen=True)
class Policy:
    """All layers, parsed. Raises Invalid with file and line for a rule that cannot be used."""

    layers: tuple[Layer, ...]
    workspace: Path
    home: Path
    restricted: str = ""  # why everything asks, where the policy could not be read
    allow: RuleBook = field(init=False)
    ask: RuleBook = field(init=False)
    deny: RuleBook = field(init=False)

    def __post_init__(self) -> None:
        for kind in KINDS:
            rules = RuleBook(
                self._rule(text, origin, kind) for layer in self.layers for text, origin in layer.rules.get(kind, ())
            )
            object.__setattr__(self, kind, rules)

    @classmethod
    def from_lists(
        cls, rules: Mapping[str, Sequence[str]], *, workspace: Path, home: Path, origin: str = "given"
    ) -> Policy:
        """A policy of one layer from plain lists."""
        placed = {kind: [(text, origin) for text in rules.get(kind, ())] for kind in KINDS}
        return cls((Layer.parse(origin, placed),), workspace, home)

    @classmethod
    def most_restrictive(cls, workspace: Path, home: Path, why: str) -> Policy:
        """Where rules are missing or unreadable: everything asks."""
        return cls((), workspace, home, restricted=why)

    def _rule(self, text: str, origin: str, kind: str) -> Rule:
        try:
            return parse_rule(text, origin, self.workspace, self.home, allows=kind == "allow")
        except ValueError as error:
            raise Invalid(
                f"Cannot use the {kind} rule {text!r} at {origin}: {error}. Correct or remove it.",
                where=origin,
                problem=str(error),
            ) from error
