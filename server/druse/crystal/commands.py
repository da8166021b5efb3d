"""The commands a tool can run, read off its code: what a grant covers, what a person is shown, how to take it back.

A command is written as `command("git", "checkout", "-b", word(branch, "branch"))` or as one literal text. Whatever the
code makes of its inputs, a grant of `Bash` covers commands whose words fit one of these templates and no others.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias, cast

from druse.commandline import NotPlain, plain_commands
from druse.model import Json, JsonObject
from druse.permissions import parse_rule
from druse_sandbox.commands import fits

TOOL = "Bash"


@dataclass(frozen=True, slots=True)
class Slot:
    """A word with values in it: literal texts around values (None), the kind of each value and of the whole word."""

    parts: tuple[str | None, ...]
    kinds: tuple[str, ...]  # "" is no kind: the whole word has one then
    kind: str
    shown: str

    def fits(self, word: str) -> bool:
        """Whether a word can stand here."""
        pattern = "".join("(.*)" if part is None else re.escape(part) for part in self.parts)
        found = re.fullmatch(pattern, word, re.DOTALL)
        if found is None or (self.kind and not fits(word, self.kind)):
            return False
        if not {"path", "name", "test"}.isdisjoint(self.kinds) and ".." in word.split("/"):
            return False
        return all(not kind or fits(text, kind) for text, kind in zip(found.groups(), self.kinds, strict=True))


Word: TypeAlias = "str | Slot"


@dataclass(frozen=True, slots=True)
class Template:
    """One command of a tool, at a line of its source."""

    line: int
    words: tuple[Word, ...]

    def covers(self, words: Sequence[str]) -> bool:
        """Whether these words are this command with values of the right kinds."""
        return len(words) == len(self.words) and all(
            own == word if isinstance(own, str) else own.fits(word) for own, word in zip(self.words, words, strict=True)
        )

    @property
    def shown(self) -> str:
        """The command for people: `git checkout -b <branch>`."""
        return " ".join(map(_written, self.words))

    def as_dict(self) -> JsonObject:
        """For the manifest."""
        rule, why = self.rule
        made: JsonObject = {"line": self.line, "command": self.shown, "rule": rule, "undo": undo_of(self.words)}
        return made | ({"no_rule": why} if why else {})

    @property
    def rule(self) -> tuple[str, str]:
        """The narrowest permission rule that covers the command, or why there is none."""
        if any("*" in word for word in self.words if isinstance(word, str)):
            return "", "it holds a `*`, which a rule takes for a wildcard"
        parts = [shlex.quote(word) if isinstance(word, str) else _starred(word) for word in self.words]
        text = " ".join(parts)
        text = f"{text.removesuffix(' *')}:*" if text.endswith(" *") else text
        rule = f"{TOOL}({text})"
        try:
            parse_rule(rule, "", Path("/"), Path("/"), allows=True)
        except ValueError as error:
            return "", str(error)
        return rule, ""


@dataclass(frozen=True, slots=True)
class Commands:
    """All commands of a source. `free` are lines where one is made in another way: nothing covers those."""

    templates: tuple[Template, ...]
    free: tuple[int, ...]

    def covers(self, command: Json) -> bool:
        """Whether a command line is one plain command that fits a template."""
        words = _words_of(command)
        return words is not None and any(template.covers(words) for template in self.templates)


@lru_cache(maxsize=512)
def commands_of(source: str) -> Commands:
    """The commands that a source can run. Raises SyntaxError for what is no Python."""
    templates: list[Template] = []
    free: list[int] = []
    sites = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call) and _is_bash(node)]
    for site in sorted(sites, key=lambda node: node.lineno):
        given = next((part.value for part in site.keywords if part.arg == "command"), None)
        words = _template(given)
        if words:
            templates.append(Template(site.lineno, words))
        else:
            free.append(site.lineno)
    return Commands(tuple(templates), tuple(free))


def problems_of(source: str) -> list[str]:
    """Commands of a source whose words cannot be told before it runs."""
    return [
        f'line {line}: write the command as one text, or as command("program", ..., value), which keeps each value '
        "one word"
        for line in commands_of(source).free
    ]


def _written(word: Word) -> str:
    """One word of a command for people; where it holds blanks, it is seen to be one."""
    if isinstance(word, str):
        return shlex.quote(word)
    return f"'{word.shown}'" if re.search(r"\s", word.shown) else word.shown


def undo_of(words: Sequence[Word]) -> str:
    """How a person takes a command back, where that is known; empty where it is not. Nothing does so by itself."""
    shown = [_written(word) for word in words]
    for pattern, inverse in _INVERSES:
        values = _bound(pattern.split(), words, shown)
        if values is not None:
            return inverse.format(*values)
    return ""


def undo_of_command(command: Json) -> str:
    """The same for a command line with its values."""
    words = _words_of(command)
    return undo_of(words) if words else ""


# What takes a command back. `_` is one word, which `{0}`, `{1}` name in order, `-q` may stand anywhere.
_INVERSES = (
    ("git checkout -b _", "git switch - && git branch -D {0}"),
    ("git switch -c _", "git switch - && git branch -D {0}"),
    ("git branch _", "git branch -D {0}"),
    ("git tag _", "git tag -d {0}"),
    ("git tag -a _ -m _", "git tag -d {0}"),
    ("git add _", "git restore --staged {0}"),
    ("git commit -m _", "git reset --soft HEAD~1"),
    ("git mv _ _", "git mv {1} {0}"),
    ("git stash", "git stash pop"),
    ("git stash push", "git stash pop"),
    ("git remote add _ _", "git remote remove {0}"),
    ("git worktree add _", "git worktree remove {0}"),
    ("git checkout _", "git switch -"),
    ("git switch _", "git switch -"),
    ("git revert _", "git revert HEAD"),
    ("mkdir _", "rmdir {0}"),
)


def _bound(pattern: Sequence[str], words: Sequence[Word], shown: Sequence[str]) -> list[str] | None:
    left = [(word, text) for word, text in zip(words, shown, strict=True) if word not in ("-q", "--quiet")]
    if len(left) != len(pattern):
        return None
    values: list[str] = []
    for part, (word, text) in zip(pattern, left, strict=True):
        if part == "_" and not text.startswith("-"):
            values.append(text)
        elif part != word:
            return None
    return values


def _words_of(command: Json) -> tuple[str, ...] | None:
    """The words of a text that is one plain command; None for any other."""
    if not isinstance(command, str):
        return None
    try:
        commands = plain_commands(command)
    except NotPlain:
        return None
    if len(commands) != 1 or commands[0].redirects or commands[0].assignments or commands[0].ordered:
        return None
    if not all(word.literal and not word.glob for word in commands[0].words):
        return None
    return commands[0].texts or None


def _is_bash(site: ast.Call) -> bool:
    name = site.args[0] if site.args else None
    called = isinstance(site.func, ast.Name) and site.func.id == "call"
    return called and isinstance(name, ast.Constant) and name.value == TOOL


def _template(given: ast.expr | None) -> tuple[Word, ...]:
    if isinstance(given, ast.Constant):
        return _words_of(cast("Json", given.value)) or ()
    if not (isinstance(given, ast.Call) and isinstance(given.func, ast.Name) and given.func.id == "command"):
        return ()
    if given.keywords or not given.args or any(isinstance(part, ast.Starred) for part in given.args):
        return ()
    words = tuple(_word(part) for part in given.args)
    return words if isinstance(words[0], str) else ()


def _word(node: ast.expr) -> Word:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | int) and not isinstance(node.value, bool):
        return str(node.value)
    kind = _kind(node)
    if kind is not None:
        inner = cast("ast.Call", node).args[0]
        parts = _pieces(inner)
        return Slot(parts, ("",) * parts.count(None), kind, _shown(inner))
    if isinstance(node, ast.JoinedStr):
        values = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
        return Slot(_pieces(node), tuple(_kind(value) or "text" for value in values), "text", _shown(node))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.left, ast.Constant):
        option, behind = str(node.left.value), _kind(node.right)
        if behind is not None:
            inner = cast("ast.Call", node.right).args[0]
            return Slot((option, None), (behind,), "", option + _shown(inner))
    return Slot((None,), ("text",), "", _shown(node))


def _kind(node: ast.expr) -> str | None:
    """The kind that `word(value, "kind")` names."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "word" and node.args):
        return None
    if len(node.args) == 1:
        return "text"
    second = node.args[1]
    return second.value if isinstance(second, ast.Constant) and isinstance(second.value, str) else None


def _pieces(node: ast.expr) -> tuple[str | None, ...]:
    if not isinstance(node, ast.JoinedStr):
        return (None,)
    return tuple(str(part.value) if isinstance(part, ast.Constant) else None for part in node.values)


def _shown(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else _shown(cast("ast.FormattedValue", part).value)
            for part in node.values
        )
    inner = cast("ast.Call", node).args[0] if _kind(node) is not None else node
    return f"<{ast.unparse(inner)}>"


def _starred(slot: Slot) -> str:
    text = "".join("*" if part is None else part for part in slot.parts)
    return text if not re.search(r"[\s'\"\\$`;&|<>(){}\[\]?!#~]", text) else "*"
