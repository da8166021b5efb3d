"""What a command line may run, seen two ways.

A line whose meaning is plain (see `words`) is read exactly; that is all an allow ever looks at. Anything else has
`obstacles`, and is searched as widely as possible for what a deny or ask speaks of: by tree-sitter through
substitutions, functions and compound commands, and, because no parser but bash reads bash, by its bare words in any
order (`suspects`).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from string import ascii_letters
from typing import TYPE_CHECKING

from druse.commandline import Command, NotPlain, Redirect, Word, has_order, plain_commands

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

MAX_COMMAND = 64 * 1024
_MAX_NESTING = 60
_DEPTH_OF_SHELLS = 4  # bash -c inside bash -c ...


@dataclass(slots=True)
class Script:
    """What a command line runs."""

    visible: list[Command] = field(default_factory=list[Command])
    hidden: list[Command] = field(default_factory=list[Command])
    obstacles: list[str] = field(default_factory=list[str])
    suspects: list[Command] = field(default_factory=list[Command])
    ordered: bool = False  # it may hold `if`, loops or `!`

    @property
    def commands(self) -> list[Command]:
        """All commands, wherever they stand."""
        return [*self.visible, *self.hidden]

    @property
    def reached(self) -> list[Command]:
        """Everything that could be started: the commands, what they start in turn, and bare words."""
        reached = [*(inner for command in self.commands for inner in unwrapped(command)), *self.suspects]
        if any(_reads_commands(command) for command in self.commands):
            # What a shell reads may be what another command of the line writes.
            for command in self.commands:
                for word in command.words[1:]:
                    reached.extend(_suspects(word.text))
        return reached


_TRANSPARENT = {
    "program",
    "list",
    "pipeline",
    "if_statement",
    "elif_clause",
    "else_clause",
    "while_statement",
    "for_statement",
    "do_group",
    "redirected_statement",
    "negated_command",
    "case_statement",
    "case_item",
}
_HIDING = {
    "subshell": "a subshell",
    "compound_statement": "a brace group",
    "command_substitution": "a command substitution",
    "process_substitution": "a process substitution",
    "function_definition": "a function definition",
    "c_style_for_statement": "an arithmetic loop",
    "coproc_statement": "a coprocess",
}


@lru_cache(maxsize=2048)
def read_command(text: str) -> Script:
    """Parse one command line. Never raises: what cannot be read is an obstacle."""
    script = Script(ordered=has_order(text))
    problem = _unreadable(text)
    if problem:
        script.obstacles.append(problem)
        return script
    try:
        script.visible.extend(plain_commands(text))
        return script
    except NotPlain as reason:
        script.obstacles.append(str(reason))
    script.suspects.extend(_suspects(text))
    source = text.encode("utf-8")
    tree = _parser().parse(_in_ascii(text))
    if tree.root_node.has_error:
        script.obstacles.append("it is not a complete shell command")
    _Walk(script, source).visit(tree.root_node, hidden=False, depth=0)
    return script


_MAX_SUSPECTS = 400
_SHELLS = frozenset(("sh", "bash", "zsh", "dash", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "ash"))


def _reads_commands(command: Command) -> bool:
    """Whether a command is a shell that reads what it runs from its input."""
    texts = command.texts
    return bool(texts) and any(program_of(text) in _SHELLS for text in texts) and "-c" not in texts


def _suspects(text: str) -> Iterator[Command]:
    """Each place where a command could begin in a text that is not read exactly, with quotes aside and as borders."""
    for letters in (r"[\s;&|<>(){}`,=$]+", r"[\s;&|<>(){}`,=$'\"]+"):
        bare = re.sub(r"\\(.)", r"\1", re.sub(r"\\\n", "", text), flags=re.DOTALL)
        words = tuple(
            Word(re.sub(r"['\"]", "", part), literal=False) for part in re.split(letters, bare)[:_MAX_SUSPECTS] if part
        )
        for index in range(len(words)):
            yield Command(words[index : index + 12])


def _unreadable(text: str) -> str:
    if len(text) > MAX_COMMAND:
        return f"it is longer than {MAX_COMMAND} characters"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if "\0" in text:
        return "it holds a NUL character"
    if re.search(r"[\x01-\x08\x0b\x0c\x0d\x0e-\x1f\x7f\x85\u2028\u2029]", text):
        return "it holds control characters"
    if re.search(r"<<-?\s*\S*[^\x00-\x7f]", text):
        return "its here-document ends with characters beyond ASCII"
    return ""


def _in_ascii(text: str) -> bytes:
    """The text for the grammar: characters beyond ASCII, which shells take as parts of words, as letters.

    The grammar's own tables have no such characters and end the process on some of them. Places stay what they were.
    """
    if text.isascii():
        return text.encode("ascii")
    return "".join(one if one.isascii() else _letters(ord(one), len(one.encode("utf-8"))) for one in text).encode()


def _letters(number: int, length: int) -> str:
    # As many values as there are characters of that length in UTF-8: different characters stay different.
    found = ""
    for _ in range(length):
        number, digit = divmod(number, len(ascii_letters))
        found += ascii_letters[digit]
    return found


@lru_cache(maxsize=1)
def _parser() -> Parser:
    # Imported here: only a decision on a command needs the grammar.
    import tree_sitter_bash
    from tree_sitter import Language, Parser

    return Parser(Language(tree_sitter_bash.language()))


class _Walk:
    def __init__(self, script: Script, source: bytes) -> None:
        self._script = script
        self._source = source

    def visit(self, node: Node, *, hidden: bool, depth: int) -> None:
        if depth > _MAX_NESTING:
            self._obstacle("it is nested too deeply")
            return
        kind = node.type
        if kind == "command":
            self._command(node, (), hidden=hidden, depth=depth)
            return
        if kind == "redirected_statement":
            self._redirected(node, hidden=hidden, depth=depth)
            return
        if kind in ("declaration_command", "unset_command"):
            words = tuple(self.word(child) for child in node.children)
            self._add(Command(words), hidden=hidden)
            self._inner(node, depth=depth)
            return
        if kind in ("variable_assignment", "variable_assignments"):
            self._obstacle("it sets a shell variable")
            self._inner(node, depth=depth)
            return
        if kind == "test_command":
            self._inner(node, depth=depth)
            return
        if kind in _HIDING:
            self._obstacle(f"it holds {_HIDING[kind]}")
            hidden = True
        elif node.is_named and kind not in _TRANSPARENT and kind not in ("comment", "heredoc_body", "ERROR"):
            self._inner(node, depth=depth)
            return
        for child in node.children:
            if child.type == "&":
                self._obstacle("it runs something in the background")
            elif child.is_named:
                self.visit(child, hidden=hidden, depth=depth + 1)

    def _redirected(self, node: Node, *, hidden: bool, depth: int) -> None:
        redirects: list[Redirect] = []
        for child in node.children:
            if child.type in ("file_redirect", "herestring_redirect", "heredoc_redirect"):
                redirects.extend(self._redirect(child, depth=depth))
        for child in node.children:
            if child.type == "command":
                self._command(child, tuple(redirects), hidden=hidden, depth=depth)
                redirects = []
            elif child.is_named and not child.type.endswith("_redirect"):
                self.visit(child, hidden=hidden, depth=depth + 1)
        if redirects:  # of a group or a pipeline: they belong to no single command
            self._add(Command((), redirects=tuple(redirects)), hidden=hidden)

    def _redirect(self, node: Node, *, depth: int) -> Iterator[Redirect]:
        self._inner(node, depth=depth)
        if node.type == "heredoc_redirect":
            for child in node.children:
                if child.type in ("file_redirect", "herestring_redirect"):
                    yield from self._redirect(child, depth=depth)
                elif child.is_named and child.type in ("pipeline", "list", "command"):
                    self.visit(child, hidden=False, depth=depth + 1)
            return
        if node.type == "herestring_redirect":
            return
        operator = next((child.type for child in node.children if not child.is_named), "")
        target = next((child for child in reversed(node.children) if child.is_named), None)
        if target is None or target.type == "file_descriptor":
            return
        word = self.word(target)
        if operator in (">&", "<&") and word.literal and re.fullmatch(r"\d+|-", word.text):
            return
        if word.literal and word.text == "/dev/null":
            return
        yield Redirect(word, writes=operator not in ("<", "<&"))

    def _command(self, node: Node, redirects: tuple[Redirect, ...], *, hidden: bool, depth: int) -> None:
        words: list[Word] = []
        assignments: list[str] = []
        own = list(redirects)
        for child in node.children:
            if child.type == "variable_assignment":
                name = child.child_by_field_name("name")
                assignments.append(self._text(name) if name is not None else "")
            elif child.type.endswith("_redirect"):
                own.extend(self._redirect(child, depth=depth))
            elif child.is_named or child.type not in ("&",):
                words.append(self.word(child))
        self._add(Command(tuple(words), tuple(assignments), tuple(own)), hidden=hidden)
        self._inner(node, depth=depth)

    def _inner(self, node: Node, *, depth: int) -> None:
        """Commands inside words: substitutions, wherever they hide."""
        for child in node.children:
            if child.type in _HIDING:
                self.visit(child, hidden=True, depth=depth + 1)
            elif depth < _MAX_NESTING:
                self._inner(child, depth=depth + 1)
            else:
                self._obstacle("it is nested too deeply")

    def _add(self, command: Command, *, hidden: bool) -> None:
        (self._script.hidden if hidden else self._script.visible).append(command)

    def _obstacle(self, reason: str) -> None:
        if reason not in self._script.obstacles:
            self._script.obstacles.append(reason)

    def _text(self, node: Node) -> str:
        return self._source[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def word(self, node: Node) -> Word:
        """A word node after quote removal."""
        kind = node.type
        raw = self._text(node)
        if kind in ("command_name", "concatenation", "string"):
            if kind == "string":
                return self._string(node)
            if not node.children:
                return self._plain(raw)
            parts = [self.word(child) for child in node.children]
            # Braces that span several parts of one word expand too.
            braces = "{" in raw and "}" in raw and any(not part.quoted and "{" in part.text for part in parts)
            return Word(
                "".join(part.text for part in parts),
                all(part.literal for part in parts) and not braces,
                any(part.glob for part in parts),
                any(part.quoted for part in parts),
            )
        if kind == "raw_string":
            return Word(raw[1:-1], quoted=True)
        if kind == "ansi_c_string":
            return Word(raw[2:-1], quoted=True)
        if kind in ("word", "number", "regex", "extglob_pattern") or not node.is_named:
            return self._plain(raw)
        return Word(raw, literal=False)

    def _string(self, node: Node) -> Word:
        literal = all(child.type in ('"', "string_content") for child in node.children)
        body = self._text(node)[1:-1]
        return Word(re.sub(r"\\\n", "", re.sub(r'\\([$`"\\])', r"\1", body)), literal, quoted=True)

    def _plain(self, raw: str) -> Word:
        glob = bool(re.search(r"(?<!\\)[*?\[]", raw))
        dynamic = (
            bool(re.search(r"(?<!\\)(?:\$|`|\{[^}]*(?:,|\.\.)[^}]*\})", raw)) or re.match(r"~[^/]", raw) is not None
        )
        text = re.sub(r"\\(?:\n|(.))", lambda match: match[1] or "", raw, flags=re.DOTALL)
        return Word(text, not dynamic, glob, "\\" in raw)


def program_of(text: str) -> str:
    """The program's name without its folder."""
    return posixpath.basename(text.rstrip("/")) if "/" in text else text


def unwrapped(command: Command, depth: int = 0) -> Iterator[Command]:
    """`command` and every command it could start through wrappers and shells: what a deny rule looks at.

    Options of a wrapper may take values, so each later word may be the program, and each word that itself reads like a
    command line is one.
    """
    yield command
    words = command.words
    program = program_of(words[0].text).casefold() if words else ""
    if INTERPRETERS.fullmatch(program):
        for word in words[1:]:
            yield from _suspects(word.text)
    if program not in STARTERS:
        return
    for index in range(1, min(len(words), _MAX_SUSPECTS)):
        yield Command(words[index:])
        for body in _command_lines(words[index].text):
            if depth >= _DEPTH_OF_SHELLS:
                yield from _suspects(body)
            else:
                for inner in read_command(body).commands:
                    yield from unwrapped(inner, depth + 1)
                yield from read_command(body).suspects


def _command_lines(text: str) -> Iterator[str]:
    for body in (text, text.partition("=")[2], text[2:] if text.startswith("-") else ""):
        if re.search(r"[\s;&|<>$`(){}]", body):
            yield body.removeprefix("--")


# Programs whose arguments may be code in another language: its bare words are looked at.
INTERPRETERS = re.compile(r"(?:python|pypy|perl|ruby|node|php|lua|deno|bun|tclsh|osascript|[gmn]?awk)[\d.]*")
# Programs and builtins that start what their arguments say.
STARTERS = frozenset(
    (
        *("env", "sudo", "doas", "su", "runuser", "timeout", "nice", "ionice", "nohup", "time", "command", "builtin"),
        *("exec", "xargs", "parallel", "stdbuf", "setsid", "watch", "strace", "ltrace", "chroot", "unshare", "nsenter"),
        *("flock", "script", "busybox", "toybox", "taskset", "chrt", "setarch", "systemd-run", "firejail", "bwrap"),
        *("gdb", "valgrind", "perf", "entr", "noglob", "nocorrect", "proot", "fakeroot", "torsocks", "proxychains"),
        *("bash", "sh", "zsh", "dash", "ksh", "mksh", "ash", "fish", "rbash", "csh", "tcsh", "eval", "trap", "coproc"),
        *("find", "fd", "fdfind", "pkexec", "setpriv", "ssh", "npx", "bunx", "pnpx", "uvx", "pipx", "uv", "poetry"),
        *("docker", "podman", "kubectl", "tmux", "screen", "at", "batch", "alias", "mapfile", "readarray", "sshpass"),
        *("faketime", "unbuffer", "expect", "rlwrap", "catchsegv", "dbus-run-session", "xvfb-run", "start-stop-daemon"),
    )
)
