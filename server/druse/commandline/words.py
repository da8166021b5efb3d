"""A command line read the way bash reads it, for the part of its grammar whose meaning is plain before it runs.

Every character is accounted for: simple commands joined by `&&`, `||`, `;`, `|` and line ends, quoted and plain words,
redirections from and to files. Anything else (substitutions, here-documents, subshells, compound commands, background,
functions, expansions with operators) is not read but named, so that an allow never rests on a guess. Sources: the Bash
reference manual, chapters 3.1 to 3.7.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

_MAX_BRACES = 64
_RESERVED = frozenset((*("for", "case", "esac", "select", "function", "coproc", "in", "{", "}", "[[", "]]"),))
# These only order the commands around them, each of which is judged by itself.
_TRANSPARENT = frozenset(("if", "then", "elif", "else", "fi", "while", "until", "do", "done", "!"))
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?:\[[^\]]*\])?\+?=", re.DOTALL)
# A line continued anywhere but between plain letters or after a blank.
_TORN = re.compile(r"[^\sA-Za-z0-9_./=:,@%+-]\\\n|\\\n[^\sA-Za-z0-9_./=:,@%+'\"-]|[0-9]\\\n[<>]")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "v": "\v"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word after quote removal. `literal` is False where its value is known only when it runs."""

    text: str
    literal: bool = True
    glob: bool = False  # holds an unquoted *, ? or [
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection to or from a file; duplications such as `2>&1` and /dev/null are left out."""

    target: Word
    writes: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A simple command: its words, the names of assignments before them, its redirections."""

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    joined: str = ""  # the operator before it: "", "&&", "||", ";", "|"
    ordered: bool = False  # `!`, `if` or their like stands before it: whether it is run, or what its end means, differs

    @property
    def texts(self) -> tuple[str, ...]:
        """The words' texts."""
        return tuple(word.text for word in self.words)


class NotPlain(Exception):
    """The line holds something whose effect is not plain; the message says what."""


def plain_commands(text: str) -> list[Command]:
    """The simple commands of a line, in order. Raises NotPlain."""
    return _Reader(text).commands()


def has_order(text: str) -> bool:
    """Whether words such as `if`, `while` or `!` may stand in a line: then its commands need not run one by one."""
    return any(word in _TRANSPARENT for word in re.split(r"[\s;&|<>()]+", text))


@dataclass(slots=True)
class _Letters:
    """A word while it is read: characters, each with whether it was quoted."""

    items: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    literal: bool = True
    started: bool = False
    quoted: bool = False

    def add(self, text: str, *, quoted: bool) -> None:
        self.started = True
        self.items.extend((letter, quoted) for letter in text)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._commands: list[Command] = []
        self._words: list[Word] = []
        self._assignments: list[str] = []
        self._redirects: list[Redirect] = []
        self._joined = ""
        self._ordered = False  # a word such as `fi` stands where a command could begin

    def commands(self) -> list[Command]:
        # bash takes continued lines together before it looks for operators.
        if _TORN.search(self._text):
            raise NotPlain("it continues a line inside of an operator")
        while self._at < len(self._text):
            self._step()
        self._end("")
        if self._joined in ("&&", "||", "|"):
            raise NotPlain("it is not a complete shell command")
        return self._commands

    # one token after the other

    def _step(self) -> None:
        letter = self._text[self._at]
        if letter in " \t":
            self._at += 1
        elif self._text.startswith("\\\n", self._at):
            self._at += 2
        elif letter == "\n":
            self._at += 1
            self._end(";")
        elif letter == "#":
            end = self._text.find("\n", self._at)
            self._at = len(self._text) if end < 0 else end
        elif letter in ";&|":
            self._operator()
        elif letter in "<>":
            self._redirect()
        elif letter in "()":
            raise NotPlain("it holds a subshell")
        else:
            self._word()

    def _operator(self) -> None:
        for operator, joined in (("&&", "&&"), ("||", "||"), ("|&", "|")):
            if self._text.startswith(operator, self._at):
                self._at += 2
                return self._end(joined, required=True)
        if self._text.startswith("&>", self._at):
            return self._redirect()
        if self._text.startswith(("&", ";;", ";&"), self._at):
            raise NotPlain("it runs something in the background" if self._text[self._at] == "&" else "it holds a case")
        joined = self._text[self._at]
        self._at += 1
        return self._end(joined, required=True)

    def _end(self, joined: str, *, required: bool = False) -> None:
        """The command ends here; `joined` is what stands between it and the next."""
        if self._words or self._redirects:
            words = tuple(self._words)
            self._commands.append(
                Command(words, tuple(self._assignments), tuple(self._redirects), self._joined, self._ordered)
            )
            self._words, self._assignments, self._redirects = [], [], []
            self._joined, self._ordered = joined, False
        elif self._assignments:
            raise NotPlain("it sets a shell variable")
        elif self._ordered:
            self._joined = joined
        elif required or (joined == "" and self._joined in ("&&", "||", "|")):
            raise NotPlain("it is not a complete shell command")
        elif self._joined not in ("&&", "||", "|"):
            self._joined = joined

    def _redirect(self) -> None:
        match = re.compile(r"&>>|&>|>>|>\||>&|<&|<<<|<<|<>|<\(|>\(|>|<").match(self._text, self._at)
        operator = match[0] if match else ""
        if operator in ("<<", "<<<"):
            raise NotPlain("it holds a here-document")
        if operator in ("<(", ">("):
            raise NotPlain("it holds a process substitution")
        self._at += len(operator)
        while self._at < len(self._text) and self._text[self._at] in " \t":
            self._at += 1
        words = self._read_words()
        if len(words) != 1:
            raise NotPlain("it redirects to no single file")
        target = words[0]
        if operator in (">&", "<&") and re.fullmatch(r"\d+-?|-", target.text) and target.literal:
            return
        if operator == "<>":
            raise NotPlain("it opens a file for reading and writing")
        if target.literal and not target.glob and target.text == "/dev/null":
            return
        self._redirects.append(Redirect(target, writes=operator not in ("<", "<&")))

    def _word(self) -> None:
        first = self._at
        words = self._read_words()
        raw = self._text[first : self._at].replace("\\\n", "")
        following = self._text[self._at : self._at + 1]
        if following and following in "<>" and (raw.isdigit() or re.fullmatch(r"\{\w+\}", raw)):
            if not raw.isdigit():
                raise NotPlain("it opens a descriptor by name")
            return  # the number of a descriptor belongs to the redirection that follows
        if not self._words:
            if raw in _TRANSPARENT and not self._assignments and not self._redirects:
                self._ordered = True
                return
            if raw in _RESERVED:
                raise NotPlain("it holds a compound command")
            assignment = _ASSIGNMENT.match(raw)
            if assignment:
                self._assignments.append(assignment[1])
                return
        self._words.extend(words)

    def _read_words(self) -> list[Word]:
        """One word, or several where braces expand."""
        letters = _Letters()
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter in " \t\n;&|<>()":
                break
            if letter == "'":
                end = self._text.find("'", self._at + 1)
                if end < 0:
                    raise NotPlain("it is not a complete shell command")
                letters.add(self._text[self._at + 1 : end], quoted=True)
                letters.started = letters.quoted = True
                self._at = end + 1
            elif letter == '"':
                self._double_quoted(letters)
            elif letter == "\\":
                if self._at + 1 >= len(self._text):
                    raise NotPlain("it is not a complete shell command")
                escaped = self._text[self._at + 1]
                if escaped != "\n":
                    letters.add(escaped, quoted=True)
                    letters.quoted = True
                self._at += 2
            elif letter == "`":
                raise NotPlain("it holds a command substitution")
            elif letter == "$":
                self._dollar(letters, inside=False)
            else:
                letters.add(letter, quoted=False)
                self._at += 1
        return _expanded(letters)

    def _double_quoted(self, letters: _Letters) -> None:
        letters.started = letters.quoted = True
        self._at += 1
        while self._at < len(self._text):
            letter = self._text[self._at]
            if letter == '"':
                self._at += 1
                return
            if letter == "`":
                raise NotPlain("it holds a command substitution")
            if letter == "$":
                self._dollar(letters, inside=True)
            elif letter == "\\" and self._text[self._at + 1 : self._at + 2] in ("$", "`", '"', "\\", "\n"):
                escaped = self._text[self._at + 1]
                if escaped != "\n":
                    letters.add(escaped, quoted=True)
                self._at += 2
            else:
                letters.add(letter, quoted=True)
                self._at += 1
        raise NotPlain("it is not a complete shell command")

    def _dollar(self, letters: _Letters, *, inside: bool) -> None:
        rest = self._text[self._at + 1 :]
        if rest.startswith("(") or rest.startswith("["):
            raise NotPlain("it holds a command substitution" if rest[0] == "(" else "it holds arithmetic")
        if rest.startswith("'") and not inside:
            return self._ansi_c(letters)
        if rest.startswith('"') and not inside:
            raise NotPlain("it holds a translated text")
        name = re.match(r"[A-Za-z_][A-Za-z0-9_]*|[0-9@*#?$!-]|\{(?:[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-])\}", rest)
        if name:
            letters.add("$" + name[0], quoted=True)
            letters.literal = False
            self._at += 1 + name.end()
            return None
        if rest.startswith("{"):
            raise NotPlain("it holds an expansion with an operator")
        letters.add("$", quoted=True)
        self._at += 1
        return None

    def _ansi_c(self, letters: _Letters) -> None:
        match = re.compile(r"\$'((?:[^'\\]|\\.)*)'", re.DOTALL).match(self._text, self._at)
        if match is None:
            raise NotPlain("it is not a complete shell command")
        letters.add(_unescaped(match[1]), quoted=True)
        letters.started = letters.quoted = True
        self._at = match.end()


def _unescaped(body: str) -> str:
    def plain(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU" and len(code) > 1:
            value = int(code[1:], 16)
        elif code[0] in "01234567":
            value = int(code, 8) & 0xFF
        elif code[0] == "c":
            raise NotPlain("it holds control characters")
        else:
            return _ESCAPES.get(code, code if code in "\\'\"?" else "\\" + code)
        # A NUL ends the word for bash; bytes over 127 and surrogates are no characters of their own.
        if value == 0 or (code[0] not in "uU" and value > 0x7F) or value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
            raise NotPlain("it holds control characters")
        return chr(value)

    pattern = r"\\(x[0-9a-fA-F]{1,2}|u[0-9a-fA-F]{1,4}|U[0-9a-fA-F]{1,8}|[0-7]{1,3}|c.|.)"
    return re.sub(pattern, plain, body, flags=re.DOTALL)


def _expanded(letters: _Letters) -> list[Word]:
    """The words that brace expansion makes of one; the braces of `@{1}` and `{}` are plain characters."""
    try:
        return [_finished(items, letters) for items in _braces(letters.items)]
    except OverflowError:
        return [_finished(letters.items, letters, literal=False)]


def _finished(items: list[tuple[str, bool]], letters: _Letters, *, literal: bool = True) -> Word:
    text = "".join(letter for letter, _ in items)
    glob = any(letter in "*?[" and not quoted for letter, quoted in items)
    # `~user` and `~+` are looked up when it runs; so is a tilde after `=` or `:` that a variable's value may begin.
    tilde = bool(items) and items[0] == ("~", False) and len(text) > 1 and text[1] != "/"
    later = any(
        letter == "~" and not quoted and items[index - 1][0] in "=:" and text[index + 1 : index + 2] not in ("/", "")
        for index, (letter, quoted) in enumerate(items)
        if index
    )
    return Word(text, literal and letters.literal and not tilde and not later, glob, letters.quoted)


def _braces(items: list[tuple[str, bool]], depth: int = 0) -> list[list[tuple[str, bool]]]:
    """`a{b,c}d` as `abd`, `acd`. Raises OverflowError for ranges, deep nesting and too many words."""
    if depth > 6 or sum(item == ("{", False) for item in items) > _MAX_BRACES:
        raise OverflowError
    found = _first_braces(items)
    if found is None:
        return [items]
    start, end, parts = found
    made: list[list[tuple[str, bool]]] = []
    rests = _braces(items[end + 1 :], depth + 1)
    for part in parts:
        for middle in _braces(part, depth + 1):
            made.extend([*items[:start], *middle, *rest] for rest in rests)
    if len(made) > _MAX_BRACES:
        raise OverflowError
    return made


def _first_braces(items: list[tuple[str, bool]]) -> tuple[int, int, list[list[tuple[str, bool]]]] | None:
    """Where the first braces with a comma between them stand, and what stands between the commas."""
    for start, item in enumerate(items):
        if item != ("{", False):
            continue
        level, commas = 0, [start]
        for index in range(start, len(items)):
            here = items[index]
            if here == ("{", False):
                level += 1
            elif here == (",", False) and level == 1:
                commas.append(index)
            elif here == ("}", False):
                level -= 1
                if level == 0:
                    inner = "".join(letter for letter, _ in items[start:index])
                    if len(commas) > 1:
                        borders = [*commas, index]
                        return start, index, [items[a + 1 : b] for a, b in itertools.pairwise(borders)]
                    if ".." in inner:
                        raise OverflowError
                    break
    return None
