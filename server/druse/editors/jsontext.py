"""JSON with comments and trailing commas, edited in place: only the characters that must change do.

A reader that keeps where each value stands, and three edits on its text: `put` a member, `append` an element, `drop`
either. Comments, order, indentation and line ends of everything else stay as they are.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import cast

from druse.model import Json

__all__ = ["append", "drop", "put", "read"]

_TRIVIA = re.compile(r"(?:[ \t\r\n\ufeff]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LITERAL = re.compile(r"-?[0-9][0-9.eE+-]*|true|false|null")
_REST_OF_LINE = re.compile(r"(?:[ \t]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_DEEPEST = 200


@dataclass(slots=True)
class _Node:
    """A value and where it stands: text[start:end]."""

    start: int
    end: int
    value: Json
    members: list[_Member] = field(default_factory=list["_Member"])


@dataclass(slots=True)
class _Member:
    """One member of an object, or one element of an array (then `key` is None)."""

    key: str | None
    start: int
    node: _Node
    comma: int | None = None  # where the comma after it stands


def read(text: str) -> Json:
    """The value; an empty text, or one of comments alone, is an empty object. Raises ValueError with the line."""
    try:
        return json.loads(text.removeprefix("\ufeff"))  # most files have neither comments nor commas too many
    except ValueError:
        root = _Reader(text).document(None)
        return {} if root is None else root.value


def put(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with `value` at `path`; objects on the way are made where they are missing or null."""
    root = _Reader(text).document(path[:-1])
    if root is None:
        return _after_comments(text, _nested(path, value))
    node = root
    for depth, key in enumerate(path):
        if not isinstance(node.value, dict):
            if node.value is not None:
                raise ValueError(f"{'.'.join(path[:depth])} is not an object")
            return _replaced(text, node, _nested(path[depth:], value))
        member = _member(node, key)
        if member is None:
            return _inserted(text, node, key, _nested(path[depth + 1 :], value))
        node = member.node
    return _replaced(text, node, value)


def append(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with `value` as the last element of the array at `path`, which is made where it is missing."""
    root = _Reader(text).document(path)
    node = root and _at(root, path)
    if node is None or node.value is None:
        return put(text, path, [value])
    if not isinstance(node.value, list):
        raise ValueError(f"{'.'.join(path)} is not a list")
    return _inserted(text, node, None, value)


def drop(text: str, path: tuple[str | int, ...]) -> str:
    """The text without the member or element at `path`; unchanged where there is none."""
    root = _Reader(text).document(path[:-1])
    node = root and _at(root, path[:-1])
    if node is None:
        return text
    last = path[-1]
    if isinstance(last, int):
        index = last if isinstance(node.value, list) and last < len(node.members) else None
    else:
        index = next((i for i in reversed(range(len(node.members))) if node.members[i].key == last), None)
        if index is not None and sum(member.key == last for member in node.members) > 1:
            return drop(_removed(text, node, index), path)  # else the one before would count
    return text if index is None else _removed(text, node, index)


_Path = tuple[str | int, ...]
_DECODER = json.JSONDecoder(strict=False)


class _Reader:
    """Keeps places along a path; what is beside it is read fast where it is plain JSON."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0

    def document(self, path: _Path | None) -> _Node | None:
        """The value with the members of every container on the path."""
        at = self._skip(0)
        if at == len(self._text):
            return None
        root = self._value(at, path)
        if self._skip(root.end) != len(self._text):
            raise self._wrong(self._skip(root.end), "something stands after the end")
        return root

    def _value(self, at: int, path: _Path | None) -> _Node:
        letter = self._text[at : at + 1]
        if letter in ("{", "["):
            if path is None and (plain := self._plain(at)):
                return plain
            return self._container(at, "}" if letter == "{" else "]", path)
        match = (_STRING if letter == '"' else _LITERAL).match(self._text, at)
        if match is None:
            raise self._wrong(at, "a value is expected")
        try:
            return _Node(at, match.end(), json.loads(match[0], strict=False))
        except ValueError as error:
            raise self._wrong(at, str(error)) from error

    def _plain(self, at: int) -> _Node | None:
        try:
            value, end = _DECODER.raw_decode(self._text, at)
        except (ValueError, RecursionError):
            return None  # comments, or a mistake that the slow way names
        return _Node(at, end, value)

    def _container(self, start: int, closing: str, path: _Path | None) -> _Node:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong(start, "it is nested too deeply")
        members: list[_Member] = []
        at = self._skip(start + 1)
        while self._text[at : at + 1] != closing:
            if members and members[-1].comma is None:
                raise self._wrong(at, "a comma or the end is missing")
            member = self._member(at, path, keyed=closing == "}", index=len(members))
            members.append(member)
            at = self._skip(member.node.end)
            if self._text[at : at + 1] == ",":
                member.comma = at
                at = self._skip(at + 1)
        self._depth -= 1
        value: Json
        if closing == "}":
            value = {member.key: member.node.value for member in members if member.key is not None}
        else:
            value = [member.node.value for member in members]
        return _Node(start, at + 1, value, members)

    def _member(self, at: int, path: _Path | None, *, keyed: bool, index: int) -> _Member:
        if not keyed:
            return _Member(None, at, self._value(at, path[1:] if path and path[0] == index else None))
        match = _STRING.match(self._text, at)
        if match is None:
            raise self._wrong(at, "a name in double quotes is expected")
        colon = self._skip(match.end())
        if self._text[colon : colon + 1] != ":":
            raise self._wrong(colon, "a colon is missing")
        try:
            key = cast("str", json.loads(match[0], strict=False))
        except ValueError as error:
            raise self._wrong(at, str(error)) from error
        return _Member(key, at, self._value(self._skip(colon + 1), path[1:] if path and path[0] == key else None))

    def _skip(self, at: int) -> int:
        match = _TRIVIA.match(self._text, at)
        return match.end() if match else at

    def _wrong(self, at: int, problem: str) -> ValueError:
        return ValueError(f"line {self._text.count(chr(10), 0, at) + 1}: {problem}")


def _member(node: _Node, key: str) -> _Member | None:
    """The member of that name; of several the last, which is what readers of JSON take."""
    return next((member for member in reversed(node.members) if member.key == key), None)


def _at(root: _Node, path: tuple[str | int, ...]) -> _Node | None:
    node = root
    for part in path:
        if isinstance(part, int):
            if not isinstance(node.value, list) or part >= len(node.members):
                return None
            node = node.members[part].node
        else:
            member = _member(node, part) if isinstance(node.value, dict) else None
            if member is None:
                return None
            node = member.node
    return node


def _nested(path: tuple[str, ...], value: Json) -> Json:
    for key in reversed(path):
        value = {key: value}
    return value


# how it is written


def newline_of(text: str) -> str:
    """The line end of a text: that of its first line."""
    at = text.find("\n")
    return "\r\n" if at > 0 and text[at - 1] == "\r" else "\n"


def _unit(text: str) -> str:
    """One step of indentation: the shortest that occurs, else two spaces."""
    if re.search(r"^\t+[\"\]}\[{]", text, re.MULTILINE):
        return "\t"
    steps = [len(match[1]) for match in re.finditer(r"^( +)[\"\[{]", text, re.MULTILINE)]
    return " " * min(steps) if steps else "  "


def _rendered(text: str, value: Json, indent: str, *, flat: bool) -> str:
    if flat:
        return json.dumps(value, ensure_ascii=False)
    lines = json.dumps(value, ensure_ascii=False, indent=_unit(text)).split("\n")
    return (newline_of(text) + indent).join(lines)


def _indent_at(text: str, at: int) -> str:
    """The white space that the line of a place begins with."""
    line = text[max(text.rfind("\n", 0, at), text.rfind("\r", 0, at)) + 1 : at]
    return line[: len(line) - len(line.lstrip(" \t"))].lstrip("\ufeff")


def _flat(text: str, node: _Node) -> bool:
    """Whether a container is written on one line, as far as it has members."""
    if node.members:
        return "\n" not in text[node.start : node.members[0].start]
    # An empty one in a file of one line stays on it, but `{}` alone is nobody's layout.
    return "\n" not in text.strip() and text.strip() != text[node.start : node.end]


def _after_comments(text: str, value: Json) -> str:
    lines = _rendered(text, value, "", flat=False)
    separator = newline_of(text) if text.strip("\ufeff \t\r\n") and not text.endswith("\n") else ""
    return f"{text}{separator}{lines}{newline_of(text)}"


def _replaced(text: str, node: _Node, value: Json) -> str:
    there = text[node.start : node.end]
    flat = "\n" not in text.strip() or ("\n" not in there and there.strip("{}[] ") != "" and there[0] in "{[")
    lines = _rendered(text, value, _indent_at(text, node.start), flat=flat)
    return text[: node.start] + lines + text[node.end :]


def _inserted(text: str, node: _Node, key: str | None, value: Json) -> str:
    flat = _flat(text, node)
    newline = newline_of(text)
    head = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    if not node.members:
        indent = _indent_at(text, node.start)
        inner = text[node.start + 1 : node.end - 1]
        closing = node.end - 1
        if flat:
            before = " " if inner and not inner.endswith((" ", "\n")) else ""
            return text[:closing] + before + head + _rendered(text, value, "", flat=True) + text[closing:]
        member = indent + _unit(text) + head + _rendered(text, value, indent + _unit(text), flat=False)
        kept = inner.rstrip(" \t\r\n")
        return f"{text[: node.start + 1]}{kept}{newline}{member}{newline}{indent}{text[closing:]}"
    last = node.members[-1]
    after = last.node.end if last.comma is None else last.comma + 1
    comma, closing_comma = (",", "") if last.comma is None else ("", ",")
    if flat:
        member = f"{comma} {head}{_rendered(text, value, '', flat=True)}{closing_comma}"
        return text[:after] + member + text[after:]
    first_on_line = next((m for m in reversed(node.members) if not text[: m.start].rstrip(" \t").endswith(",")), last)
    indent = _indent_at(text, first_on_line.start)
    rest = _REST_OF_LINE.match(text, after)
    line_end = rest.end() if rest else after
    line_end -= len(text[after:line_end]) - len(text[after:line_end].rstrip(" \t"))
    member = newline + indent + head + _rendered(text, value, indent, flat=False) + closing_comma
    return text[:after] + comma + text[after:line_end] + member + text[line_end:]


def _removed(text: str, node: _Node, index: int) -> str:
    member = node.members[index]
    start, end = member.start, (member.node.end if member.comma is None else member.comma + 1)
    before = text[: member.start].rstrip(" \t")
    rest = text[end:].partition("\n")[0]
    if before.endswith("\n") and rest.strip():
        end += len(rest) - len(rest.lstrip(" \t"))  # the line above may end in a comment: it must not reach over this
    elif before.endswith("\n"):  # the line goes with it
        start = len(before) - (2 if before.endswith("\r\n") else 1)
    elif index > 0:
        start = len(before)
    elif index + 1 < len(node.members):
        end = max(end, node.members[index + 1].start if "\n" not in text[end : node.members[index + 1].start] else end)
    head, tail = text[:start], text[end:]
    if index == len(node.members) - 1 and index > 0 and member.comma is None:
        comma = node.members[index - 1].comma
        if comma is not None:
            head = head[:comma] + head[comma + 1 :]
    if len(node.members) == 1:
        inner = text[node.start + 1 : start] + text[end : node.end - 1]
        if not inner.strip():
            return text[: node.start + 1] + text[node.end - 1 :]
    return head + tail


def comments(text: str) -> list[str]:
    """The comments of a text, in their order."""
    pieces = re.finditer(r'"(?:[^"\\]|\\.)*"|(//[^\r\n]*|/\*.*?\*/)', text, re.DOTALL)
    return [piece[1] for piece in pieces if piece[1] is not None]
