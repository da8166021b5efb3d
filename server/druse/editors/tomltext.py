"""TOML edited in place: new tables are appended, ours are cut out again; the rest keeps every character.

What cannot be said by another table (a file that writes `mcp_servers = { ... }` inline) goes through tomlkit, which
keeps comments and order as well.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from druse.editors.jsontext import newline_of
from druse.model import Json, JsonObject

__all__ = ["append", "drop", "put", "read"]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_NAN = float("nan")  # one for all, as it equals itself only by identity


@dataclass(frozen=True, slots=True)
class _Statement:
    """One header or one assignment with its lines: text[start:end]. `array` is set for `[[...]]`."""

    start: int
    end: int
    path: tuple[str, ...]
    header: bool
    array: bool = False


def read(text: str) -> Json:
    """The value. Raises ValueError with the line."""
    return cast("Json", tomllib.loads(text.removeprefix("\ufeff").replace("\r\n", "\n"), parse_float=_number))


def _number(text: str) -> float:
    return _NAN if "nan" in text else float(text)


def put(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with a table of these values at `path`, in place of one that stands there."""
    expected = read(text)
    _set(expected, path, value)
    at = next((s.start for s in _statements(text) if s.header and s.path[: len(path)] == path), None)
    if isinstance(value, dict):
        block = _table(path, value)
        if at is None:
            made = _appended(text, block)
        else:
            rest = drop(text, path)
            at = min(at, len(rest))
            made = rest[:at] + newline_of(text).join(block) + newline_of(text) + rest[at:]
        if _reads_as(made, expected):
            return made

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document.setdefault(key, {})
        document[path[-1]] = value

    return _through_tomlkit(text, expected, change)


def append(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with one more element in the array of tables at `path`."""
    expected = read(text)
    _listed(expected, path).append(value)
    if isinstance(value, dict):
        made = _appended(text, _element(path, value))
        if _reads_as(made, expected):
            return made

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document.setdefault(key, {})
        document.setdefault(path[-1], []).append(value)

    return _through_tomlkit(text, expected, change)


def drop(text: str, path: tuple[str | int, ...]) -> str:
    """The text without what stands at `path`; comments around it stay. Unchanged where there is nothing."""
    expected = read(text)
    if not _unset(expected, path):
        return text
    cuts = list(_spans(text, path))
    made = text
    for start, end in reversed(cuts):
        made = made[:start] + made[end:]
    if cuts:
        at = cuts[0][0]
        head = made[:at].replace("\r\n", "\n")
        # The blank line that parted it from what stood before goes with it.
        if head.endswith("\n\n") and (not made[at:].strip() or made[at:].lstrip(" \t").startswith(("\n", "\r"))):
            at -= len(newline_of(text))
            made = made[:at] + made[cuts[0][0] :]
    if _reads_as(made, expected, but_empty=True):
        return made

    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        del document[path[-1]]

    return _through_tomlkit(text, expected, change)


def _reads_as(text: str, expected: Json, *, but_empty: bool = False) -> bool:
    """`but_empty`: tables that have nothing in them any more may be gone."""
    try:
        found = read(text)
    except ValueError:
        return False
    return found == expected or (but_empty and _pruned(found) == _pruned(expected))


def _pruned(value: Json) -> Json:
    if not isinstance(value, dict):
        return value
    kept = {key: _pruned(item) for key, item in value.items()}
    return {key: item for key, item in kept.items() if item not in ({}, [])}


def _through_tomlkit(text: str, expected: Json, change: Any) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    bom = "\ufeff" if text.startswith("\ufeff") else ""
    try:
        document = tomlkit.parse(text.removeprefix(bom))
        change(document)
        made = bom + tomlkit.dumps(document)
    except (TOMLKitError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its tables are written in a way that cannot be edited: {error}") from error
    if not _reads_as(made, expected, but_empty=True):
        raise ValueError("its tables are written in a way that cannot be edited")
    return made


# the text as statements


def _statements(text: str) -> Iterator[_Statement]:
    """Headers and assignments in their order; comments and blank lines between them are left out."""
    at, table = 1 if text.startswith("\ufeff") else 0, ()
    while at < len(text):
        line_end = _line_end(text, at)
        line = text[at:line_end].strip()
        if not line or line.startswith("#"):
            at = line_end
            continue
        if line.startswith("["):
            array = line.startswith("[[")
            inner_start = text.index("[", at) + (2 if array else 1)
            inner_end = _unquoted(text, inner_start, "]")
            table = _key(text[inner_start:inner_end])
            yield _Statement(at, line_end, table, header=True, array=array)
            at = line_end
            continue
        equals = _unquoted(text, at, "=")
        end = _line_end(text, _value_end(text, equals + 1))
        yield _Statement(at, end, (*table, *_key(text[at:equals])), header=False)
        at = end


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _key(text: str) -> tuple[str, ...]:
    found: Any = tomllib.loads(f"{text.strip()} = 0")
    keys: list[str] = []
    while isinstance(found, dict):
        key, found = next(iter(cast("dict[str, Any]", found).items()))
        keys.append(key)
    return tuple(keys)


def _unquoted(text: str, at: int, letter: str) -> int:
    """Where `letter` stands outside of quotes."""
    while at < len(text) and text[at] != letter:
        at = _quoted_end(text, at) if text[at] in "\"'" else at + 1
    return at


def _quoted_end(text: str, at: int) -> int:
    quote = text[at]
    if text.startswith(quote * 3, at):
        end = at + 3
        while end < len(text) and not text.startswith(quote * 3, end):
            end += 2 if quote == '"' and text[end] == "\\" else 1
        end += 3
        while text[end : end + 1] == quote:  # up to two quotes may stand before the closing three
            end += 1
        return end
    end = at + 1
    while end < len(text) and text[end] != quote:
        end += 2 if quote == '"' and text[end] == "\\" else 1
    return end + 1


def _value_end(text: str, at: int) -> int:
    """The end of the value that begins there: of its line, or of the line that closes its brackets."""
    depth = 0
    while at < len(text):
        letter = text[at]
        if letter in "\"'":
            at = _quoted_end(text, at)
            continue
        if letter == "#":
            at = text.find("\n", at)
            if at < 0:
                return len(text)
            continue
        if letter in "[{":
            depth += 1
        elif letter in "]}":
            depth -= 1
        elif letter == "\n" and depth <= 0:
            return at
        at += 1
    return at


def _spans(text: str, path: tuple[str | int, ...]) -> Iterator[tuple[int, int]]:
    """The lines of what stands at `path`: tables with what is below them, and assignments by dotted names."""
    wanted, number = (path[:-1], path[-1]) if isinstance(path[-1], int) else (path, None)
    counted, inside = -1, False
    for statement in _statements(text):
        below = statement.path[: len(wanted)] == wanted
        if number is None:
            taken = below
        else:
            if statement.header and statement.array and statement.path == wanted:
                counted += 1
            if statement.header:
                inside = below and counted == number
            taken = inside
        if taken:
            yield statement.start, statement.end


# how it is written


def _appended(text: str, block: list[str]) -> str:
    newline = newline_of(text)
    separator = ""
    if text.strip("\ufeff \t\r\n"):
        separator = newline if text.endswith("\n") else newline * 2
    return text + separator + newline.join(block) + newline


def _table(path: tuple[str, ...], value: JsonObject) -> list[str]:
    plain = {key: item for key, item in value.items() if not isinstance(item, dict)}
    lines = [f"[{_dotted(path)}]", *(f"{_dotted((key,))} = {_literal(item)}" for key, item in plain.items())]
    for key, item in value.items():
        if isinstance(item, dict):
            lines += ["", *_table((*path, key), item)]
    return lines


def _element(path: tuple[str, ...], value: JsonObject) -> list[str]:
    lines = [f"[[{_dotted(path)}]]"]
    tables: list[str] = []
    for key, item in value.items():
        if isinstance(item, list) and item and all(isinstance(part, dict) for part in item):
            for part in item:
                tables += ["", *_element((*path, key), cast("JsonObject", part))]
        else:
            lines.append(f"{_dotted((key,))} = {_literal(item)}")
    return lines + tables


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(key if _BARE.fullmatch(key) else _text(key) for key in path)


def _text(value: str) -> str:
    if "\\" in value and "'" not in value and value.isprintable():
        return f"'{value}'"  # a Windows path stays readable
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _literal(value: Json) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return f"[{', '.join(_literal(item) for item in value)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_dotted((key,))} = {_literal(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if value is None:
        raise ValueError("TOML has no null")
    return json.dumps(value)


# the same on values


def _set(data: Json, path: tuple[str, ...], value: Json) -> None:
    for key in path[:-1]:
        if not isinstance(data, dict):
            raise ValueError(f"{key} is not in a table")
        data = data.setdefault(key, {})
    if not isinstance(data, dict):
        raise ValueError(f"{'.'.join(path[:-1])} is not a table")
    data[path[-1]] = value


def _listed(data: Json, path: tuple[str, ...]) -> list[Json]:
    for key in path[:-1]:
        data = data.setdefault(key, {}) if isinstance(data, dict) else None
    found = data.setdefault(path[-1], []) if isinstance(data, dict) else None
    if not isinstance(found, list):
        raise ValueError(f"{'.'.join(path)} is not a list of tables")
    return found


def _unset(data: Any, path: tuple[str | int, ...]) -> bool:
    try:
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]
    except (KeyError, IndexError, TypeError):
        return False
    return True
