"""Rules found by what a call names, so that a thousand of them cost no more than a few."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from druse.permissions.paths import Place, folded
from druse.permissions.rules import Rule


class RuleBook(Sequence[Rule]):
    """All rules of one verdict, in their order, with an index by program, tool and folder."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = tuple(rules)
        self._by_words: dict[tuple[str, str], list[int]] = {}
        self._any_program: list[int] = []
        self._by_folder: dict[str, list[int]] = {}
        self._by_tool: dict[str, list[int]] = {}
        self._by_server: dict[str, list[int]] = {}
        self._any_tool: list[int] = []
        self.every_command: Rule | None = None  # the first rule that speaks of all of Bash
        for number, rule in enumerate(self._rules):
            self._enter(number, rule)

    def _enter(self, number: int, rule: Rule) -> None:
        if rule.bare and rule.tool in ("Bash", "*") and self.every_command is None:
            self.every_command = rule
        if rule.words is not None:
            first, second = (*rule.words.words[:2], "*", "*")[:2]
            if "*" in first:
                self._any_program.append(number)
            else:
                # The second word narrows further where the rule fixes it.
                key = (first, "" if "*" in second else second)
                self._by_words.setdefault(key, []).append(number)
        elif rule.path is not None:
            self._by_folder.setdefault(folded(rule.path.lead), []).append(number)
        elif "*" in rule.tool:
            server, separator, _ = rule.tool.partition("__")
            if separator and "*" not in server:
                self._by_server.setdefault(server, []).append(number)
            else:
                self._any_tool.append(number)
        else:
            self._by_tool.setdefault(rule.tool, []).append(number)

    def __getitem__(self, index: int) -> Rule:  # type: ignore[override]
        return self._rules[index]

    def __len__(self) -> int:
        return len(self._rules)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self._rules)

    def of_words(self, words: Sequence[str]) -> Iterator[Rule]:
        """Rules whose first two words are these, as far as the rules fix them."""
        first, second = (*words[:2], "", "")[:2]
        narrow = self._by_words.get((first, second), ()) if second else ()
        return self._in_order({*narrow, *self._by_words.get((first, ""), ()), *self._any_program})

    @property
    def on_words(self) -> Iterator[Rule]:
        """All rules on the words of commands."""
        return (rule for rule in self._rules if rule.words is not None)

    @property
    def names_commands(self) -> bool:
        """Whether any rule speaks of the words of commands."""
        return bool(self._by_words or self._any_program)

    @property
    def on_paths(self) -> bool:
        """Whether any rule speaks of paths."""
        return bool(self._by_folder)

    def near(self, place: Place) -> Iterator[Rule]:
        """Rules on paths whose pattern begins in a folder above the place: all that could match it."""
        found: set[int] = set()
        for form in place.both:
            folder = folded(form)
            while True:
                found.update(self._by_folder.get(folder, ()))
                above = os.path.dirname(folder)  # noqa: PTH120 - texts, not files
                if above == folder:
                    break
                folder = above
        return self._in_order(found)

    def below(self, place: Place) -> Iterator[Rule]:
        """Rules on paths whose pattern begins in this folder or in one below it."""
        forms = [folded(form) for form in place.both]
        found: set[int] = set()
        for lead, numbers in self._by_folder.items():
            if any(lead == form or lead.startswith(f"{form}/") for form in forms):
                found.update(numbers)
        return self._in_order(found)

    def of_tool(self, tool: str) -> Iterator[Rule]:
        """Rules without a path or words that name this tool, or a pattern of names."""
        server = self._by_server.get(tool.partition("__")[0], ())
        return self._in_order({*self._by_tool.get(tool, ()), *server, *self._any_tool})

    def _in_order(self, numbers: Iterable[int]) -> Iterator[Rule]:
        return (self._rules[number] for number in sorted(numbers))
