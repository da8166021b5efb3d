"""YAML edited in place: lines are put in and cut out where the parser says that nodes stand; the rest keeps every
character.

Block style gets block style, flow style (`{}`, `[]`) gets flow style. What is written is JSON where a scalar or an
empty collection needs quotes, which YAML reads as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, cast

import yaml

from druse.editors.jsontext import newline_of
from druse.model import Json, JsonObject

__all__ = ["append", "drop", "put", "read"]

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null", "y", "n"))


class _Values(yaml.SafeLoader):
    """Reads values; one with a tag of some program's own (`!vault`) is an object that says both."""

    def construct_undefined(self, node: Any) -> Any:
        """A value whose tag is not known here."""
        if isinstance(node, yaml.MappingNode):
            value: Any = self.construct_mapping(node, deep=True)
        elif isinstance(node, yaml.SequenceNode):
            value = self.construct_sequence(node, deep=True)
        else:
            value = self.construct_scalar(node)
        return {str(node.tag): value}


_Values.add_constructor(None, _Values.construct_undefined)  # type: ignore[arg-type]


class _Places(yaml.SafeLoader):
    """Composes nodes that stand where they are written, also those that only name another (`*alias`)."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """The next node."""
        loader: Any = self  # the parser's methods come without types
        if loader.check_event(yaml.AliasEvent):
            event: Any = loader.get_event()
            return yaml.ScalarNode("alias", event.anchor, event.start_mark, event.end_mark)
        return super().compose_node(parent, index)


def read(text: str) -> Json:
    """The value of the first document; an empty text is an empty object. Raises ValueError with the line."""
    try:
        loaded = yaml.load(text.removeprefix("\ufeff"), Loader=_Values)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ValueError(f"line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    return {} if loaded is None else loaded


def put(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with `value` at `path`; mappings on the way are made where they are missing or null."""
    return _kept_bom(text, lambda body: _put(body, path, value))


def append(text: str, path: tuple[str, ...], value: Json) -> str:
    """The text with `value` as the last item of the list at `path`, which is made where it is missing."""
    return _kept_bom(text, lambda body: _append(body, path, value))


def drop(text: str, path: tuple[str | int, ...]) -> str:
    """The text without the member or item at `path`; unchanged where there is none."""
    return _kept_bom(text, lambda body: _drop(body, path))


def _kept_bom(text: str, change: Callable[[str], str]) -> str:
    bom = "\ufeff" if text.startswith("\ufeff") else ""
    return bom + change(text.removeprefix(bom))


def _put(text: str, path: tuple[str, ...], value: Json) -> str:
    root = _root(text)
    if root is None:
        return _at_end(text, _lines(_nested(path, value)))
    node = root
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise ValueError(f"{'.'.join(path[:depth]) or 'the document'} is not a mapping")
        pair = _pair(node, key)
        if pair is None:
            return _added(text, node, f"{_scalar(key)}:", _nested(path[depth + 1 :], value))
        if depth == len(path) - 1 or _is_null(pair[1]):
            made = _dropped(text, node, _index(node, key), keep_empty=False)
            return _put(made, path, value)
        node = pair[1]
    return text


def _append(text: str, path: tuple[str, ...], value: Json) -> str:
    node = _at(_root(text), path)
    if node is None or _is_null(node):
        return _put(text, path, [value])
    if not isinstance(node, yaml.SequenceNode):
        raise ValueError(f"{'.'.join(path)} is not a list")
    return _added(text, node, "-", value)


def _drop(text: str, path: tuple[str | int, ...]) -> str:
    node = _at(_root(text), path[:-1])
    last = path[-1]
    if isinstance(node, yaml.SequenceNode) and isinstance(last, int) and last < len(node.value):
        return _dropped(text, node, last)
    if isinstance(node, yaml.MappingNode) and isinstance(last, str) and _pair(node, last) is not None:
        return _dropped(text, node, _index(node, last))
    return text


# where nodes stand


def _root(text: str) -> Any:
    try:
        documents: list[Any] = list(yaml.compose_all(text, Loader=_Places))  # type: ignore[no-untyped-call]
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if len(documents) > 1:
        raise ValueError("it holds several documents")
    return None if not documents or _is_null(documents[0]) else documents[0]


def _is_null(node: Any) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _pair(node: Any, key: str) -> tuple[Any, Any] | None:
    return next((pair for pair in reversed(node.value) if pair[0].value == key), None)


def _index(node: Any, key: str) -> int:
    return next(i for i in reversed(range(len(node.value))) if node.value[i][0].value == key)


def _at(root: Any, path: tuple[str | int, ...]) -> Any:
    node = root
    for part in path:
        if isinstance(part, int):
            node = node.value[part] if isinstance(node, yaml.SequenceNode) and part < len(node.value) else None
        else:
            pair = _pair(node, part) if isinstance(node, yaml.MappingNode) else None
            node = pair[1] if pair else None
    return node


def _end(text: str, node: Any) -> int:
    """Where a node's last character stands, without the comments and blank lines after it."""
    if isinstance(node, yaml.ScalarNode):
        if node.style not in ("|", ">"):
            return node.end_mark.index
        written = text[node.start_mark.index : node.end_mark.index]
        if "+" in written.partition("\n")[0].partition("#")[0]:  # the blank lines after it belong to it
            return node.start_mark.index + len(written.rstrip(" \t").removesuffix("\n"))
        return node.start_mark.index + len(written.rstrip())
    if node.flow_style or not node.value:
        return node.end_mark.index
    last = node.value[-1]
    return _end(text, last[1] if isinstance(node, yaml.MappingNode) else last)


def _ends_in_block_text(node: Any) -> bool:
    while isinstance(node, yaml.MappingNode | yaml.SequenceNode) and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return isinstance(node, yaml.ScalarNode) and node.style in ("|", ">")


def _line_end(text: str, at: int, *, with_break: bool) -> int:
    end = text.find("\n", at)
    if end < 0:
        return len(text)
    if with_break:
        return end + 1
    return end - 1 if text[end - 1] == "\r" else end


def _line_start(text: str, at: int) -> int:
    return text.rfind("\n", 0, at) + 1


# the edits


def _at_end(text: str, lines: list[str]) -> str:
    newline = newline_of(text)
    separator = newline if text.strip() and not text.endswith("\n") else ""
    return text + separator + newline.join(lines) + newline


def _added(text: str, node: Any, head: str, value: Json) -> str:
    if node.flow_style:
        if not node.value and (block := _as_block(text, node, head, value)):
            return block
        closing = node.end_mark.index - 1
        member = json.dumps(value, ensure_ascii=False) if head == "-" else f"{head} {json.dumps(value)}"
        inner = text[node.start_mark.index + 1 : closing].rstrip()
        last: Any = node.value[-1] if node.value else node
        behind: int = (last[1] if isinstance(node, yaml.MappingNode) and node.value else last).end_mark.index
        comma = "," in re.sub(r"#.*", "", text[behind:closing])
        separator = "" if not node.value or comma else ", "
        at = node.start_mark.index + 1 + len(inner) if "#" not in inner else closing
        return text[:at] + separator + member + text[at:]
    first = node.value[0][0] if isinstance(node, yaml.MappingNode) else node
    indent = " " * first.start_mark.column
    newline = newline_of(text)
    at = _line_end(text, _end(text, node), with_break=True)
    lines = [indent + line for line in _entry(head, value)]
    if not text[:at].endswith("\n") and _ends_in_block_text(node):
        at = _line_start(text, first.start_mark.index)  # a line end added behind it belongs to that text
    separator = "" if not at or text[:at].endswith("\n") else newline
    return text[:at] + separator + newline.join(lines) + newline + text[at:]


def _as_block(text: str, node: Any, head: str, value: Json) -> str | None:
    """The first entry of an empty `{}` or `[]` on lines of its own, where nothing else stands behind it."""
    start, end = node.start_mark.index, node.end_mark.index
    line = text[_line_start(text, start) : start]
    indent = line[: len(line) - len(line.lstrip(" "))]
    plain = line.rstrip().endswith(":") and line.count(":") == 1 and not line.lstrip().startswith(("-", "?", "{", "["))
    if not plain or text[end : _line_end(text, end, with_break=False)].strip():
        return None
    newline = newline_of(text)
    lines = [f"{indent}  {line}" for line in _entry(head, value)]
    return text[:start].rstrip(" ") + newline + newline.join(lines) + text[end:]


def _dropped(text: str, node: Any, index: int, *, keep_empty: bool = True) -> str:
    if node.flow_style:
        return _dropped_from_flow(text, node, index)
    item = node.value[index]
    key, value = item if isinstance(node, yaml.MappingNode) else (None, item)
    start = key.start_mark.index if key is not None else text.rfind("-", 0, value.start_mark.index)
    end = _line_end(text, _end(text, value), with_break=True)
    line = _line_start(text, start)
    if text[line:start].strip():  # `- name: x`: the first key of an item stands behind its dash
        raise ValueError("a key that stands behind a dash cannot be taken out alone")
    if len(node.value) > 1 or not keep_empty:
        return text[:line] + text[end:]
    empty = "{}" if isinstance(node, yaml.MappingNode) else "[]"
    if node.start_mark.column == 0 and isinstance(node, yaml.MappingNode) and not text[:line].strip():
        return text[:line] + text[end:]
    before = text[:line].rstrip()
    if before.endswith(":"):
        return before + " " + empty + text[len(before) : line] + text[end:]
    return text[:line] + text[end:]


def _dropped_from_flow(text: str, node: Any, index: int) -> str:
    spans = [
        (item[0].start_mark.index, item[1].end_mark.index)
        if isinstance(node, yaml.MappingNode)
        else (item.start_mark.index, item.end_mark.index)
        for item in node.value
    ]
    start, end = spans[index]
    if index > 0:
        start = spans[index - 1][1]
    elif len(spans) > 1:
        end = spans[1][0]
    return text[:start] + text[end:]


# how it is written


def _nested(path: tuple[str, ...], value: Json) -> Json:
    for key in reversed(path):
        value = {key: value}
    return value


def _entry(head: str, value: Json) -> list[str]:
    """A member or an item. What is below a dash begins on its line."""
    if isinstance(value, dict) and value:
        lines = _lines(value)
        if head == "-":
            return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]
        return [head, *(f"  {line}" for line in lines)]
    if isinstance(value, list) and value:
        lines = [line for item in value for line in _entry("-", item)]
        return (
            [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]
            if head == "-"
            else [
                head,
                *(f"  {line}" for line in lines),
            ]
        )
    return [f"{head} {_scalar(value)}"]


def _lines(value: Json) -> list[str]:
    return [line for key, item in cast("JsonObject", value).items() for line in _entry(f"{_scalar(key)}:", item)]


def _scalar(value: Json) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
