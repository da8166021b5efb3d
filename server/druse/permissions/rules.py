"""One rule: `Tool`, `Tool(pattern)` or `server__tool(conditions)`, as people know them from Claude Code.

Bash(git:*)  Bash(git * main)  Bash(npm run test)      words of a command
Read(./src/**)  Edit(*.md)  Write(//tmp/**)            paths; FileEdit means Edit
WebFetch(domain:example.com)                           hosts
shop__get_user  shop__*  mcp__shop__get_user           tools of an upstream server
shop__refund(amount<=100)                              conditions on arguments
*(readonly)                                            what Druse itself knows to be a read
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from druse.permissions.paths import PathPattern
from druse.permissions.predicates import Condition, parse_conditions
from druse.permissions.programs import refusal_at_load
from druse.permissions.stars import star_fits

# Which tools a rule on paths speaks of.
PATH_TOOLS: dict[str, frozenset[str]] = {
    "Read": frozenset(("Read", "Grep", "Glob", "NotebookRead", "LS")),
    "Grep": frozenset(("Grep",)),
    "Glob": frozenset(("Glob",)),
    "Edit": frozenset(("Edit", "Write", "MultiEdit", "NotebookEdit")),
    "Write": frozenset(("Write",)),
    "MultiEdit": frozenset(("MultiEdit",)),
    "NotebookEdit": frozenset(("NotebookEdit",)),
    "NotebookRead": frozenset(("NotebookRead",)),
    "LS": frozenset(("LS",)),
}
_ALIASES = {"FileEdit": "Edit", "FileWrite": "Write", "FileRead": "Read"}
_RULE = re.compile(r"([A-Za-z0-9_*.-]+)(?:\((.*)\))?", re.DOTALL)
_TOOL = re.compile(r"[A-Za-z*][A-Za-z0-9_*.-]*")


@dataclass(frozen=True, slots=True)
class WordPattern:
    """A pattern over the words of one command. `tail` means that any further words may follow."""

    words: tuple[str, ...]  # each may hold `*`; a word that is `*` alone stands for one or more words
    tail: bool = False
    joined: bool = False  # `git*`: the last word has no border

    def matches(self, words: Sequence[str], *, allows: bool = False) -> bool:
        """Whether the words of a command fit. For an allow a wildcard inside a path never stands for `..`."""
        in_paths = allows and any("*" in part and "/" in part for part in self.words)
        if in_paths and any(".." in word.split("/") for word in words):
            return False
        return _fits(self.words, tuple(words), tail=self.tail)

    @property
    def wildcard(self) -> bool:
        """Whether it covers more than one command."""
        return self.tail or any("*" in word for word in self.words)


@dataclass(frozen=True, slots=True)
class Rule:
    """One parsed rule and where it stands."""

    text: str
    origin: str
    tool: str  # canonical name or glob
    words: WordPattern | None = None
    path: PathPattern | None = None
    domain: str = ""
    conditions: tuple[Condition, ...] = ()
    readonly: bool = False

    @property
    def bare(self) -> bool:
        """Whether it speaks of every call of its tool."""
        return not (self.words or self.path or self.domain or self.conditions or self.readonly)


def canonical_tool(name: str) -> str:
    """`FileEdit` is Edit, `mcp__shop__get` is `shop__get`, `mcp__shop` every tool of that server."""
    name = _ALIASES.get(name, name)
    while name.startswith("mcp__"):
        rest = name[len("mcp__") :]
        if "__" not in rest:
            return f"{rest}__*"
        name = rest
    return name


def parse_rule(text: str, origin: str, workspace: Path, home: Path, *, allows: bool) -> Rule:
    """Read one rule. Raises ValueError that says what is wrong with it; `allows` adds what an allow must not be."""
    stripped = text.strip()
    match = _RULE.fullmatch(stripped)
    if match is None or not _TOOL.fullmatch(match[1]):
        raise ValueError("it is not `Tool` or `Tool(pattern)`")
    tool, inner = canonical_tool(match[1]), match[2]
    if inner is None:
        if allows and tool.replace("*", "") == "":
            raise ValueError("it allows every tool; name the tools, or use `*(readonly)`")
        return Rule(text, origin, tool)
    if not inner.strip():
        raise ValueError("the brackets are empty; write the tool's name alone for every call of it")
    if inner.strip() == "readonly":
        return Rule(text, origin, tool, readonly=True)
    if tool == "Bash":
        if inner.strip() in ("*", ":*"):
            return Rule(text, origin, tool)
        pattern = _word_pattern(inner)
        refused = refusal_at_load(_leading(pattern), wildcard=pattern.wildcard) if allows else ""
        if refused:
            raise ValueError(refused)
        return Rule(text, origin, tool, words=pattern)
    if tool in PATH_TOOLS:
        pattern_text = inner.strip()
        if pattern_text in ("*", "**"):
            pattern_text = "./**"
        return Rule(text, origin, tool, path=PathPattern.parse(pattern_text, workspace, home))
    if tool in ("WebFetch", "WebSearch"):
        return Rule(text, origin, tool, domain=_domain(inner))
    return Rule(text, origin, tool, conditions=parse_conditions(inner))


def _leading(pattern: WordPattern) -> list[str]:
    """The words that the rule itself fixes."""
    fixed: list[str] = []
    for word in pattern.words:
        if "*" in word:
            # `git*` still names a program closely enough to refuse `bash*`.
            if not fixed and word.rstrip("*"):
                fixed.append(word.rstrip("*"))
            break
        fixed.append(word)
    return fixed


def _word_pattern(inner: str) -> WordPattern:
    if any(letter in inner for letter in "\0\r"):
        raise ValueError("the command holds a control character")
    tail = False
    body = inner.strip()
    if body.endswith(":*") or body.endswith(" *"):
        body, tail = body[:-2].rstrip(), True
    from druse.permissions.shell import read_command

    # Stars are kept apart from the shell's own meaning while the words are read.
    script = read_command(body.replace("*", "\ue000"))
    if script.obstacles or len(script.commands) != 1 or not script.commands[0].words:
        raise ValueError("it is not one plain command with words")
    if script.commands[0].redirects or script.commands[0].assignments:
        raise ValueError("a rule cannot hold redirects or assignments")
    words = tuple(word.replace("\ue000", "*") for word in script.commands[0].texts)
    return WordPattern(words, tail)


def _domain(inner: str) -> str:
    name, _, host = inner.partition(":")
    if name.strip() != "domain" or not host.strip():
        raise ValueError("it must be `domain:host`")
    host = host.strip().lower().rstrip(".")
    if not re.fullmatch(r"(?:\*\.)?[a-z0-9.-]+|\[[0-9a-f:]+\]|\*", host):
        raise ValueError(f"{host!r} is not a host name")
    return host


def _fits(pattern: tuple[str, ...], words: tuple[str, ...], *, tail: bool) -> bool:
    """Match word by word; `*` alone stands for one or more words. The time grows with the product of the lengths."""
    if pattern and pattern[-1].endswith("*") and pattern[-1] != "*":
        tail = True  # `git*` has no border: it also covers what follows
    reached: set[int] = {0}  # how many words the pattern may have used so far
    for part in pattern:
        if part == "*":
            reached = set(range(min(reached) + 1, len(words) + 1)) if reached else set()
        else:
            reached = {used + 1 for used in reached if used < len(words) and star_fits(part, words[used])}
        if not reached:
            return False
    return tail or len(words) in reached
