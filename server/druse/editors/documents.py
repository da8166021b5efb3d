"""A configuration file as changes to its data: made in its text, checked against its data, and taken back.

Whatever an edit does to the text, what the file means afterwards must be what it meant before plus the changes; an
edit that cannot promise this is refused, and the file stays as it is.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from druse.model import Invalid, Json, JsonObject

__all__ = ["Change", "Format", "apply", "decoded", "found_at", "meaning_is_same", "read", "says", "text_without"]

Format = Literal["json", "toml", "yaml"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `put` sets a value, `append` adds an element to a list, `take` removes a member or an element.

    `value` is what is put, added or taken; `previous` what a put replaced; `made` how many of the containers on its
    way it made.
    """

    kind: Literal["put", "append", "take"]
    path: tuple[str, ...]
    value: Json = None
    previous: Json = None
    replaced: bool = False
    made: int = 0
    index: int | None = None  # of an element of a list that was taken

    def as_dict(self) -> JsonObject:
        """For the receipt."""
        return {
            "kind": self.kind,
            "path": list(self.path),
            "value": self.value,
            "previous": self.previous,
            "replaced": self.replaced,
            "made": self.made,
            "index": self.index,
        }

    @classmethod
    def from_dict(cls, data: Any) -> Change:
        """From a receipt. Raises TypeError or KeyError where it is none."""
        given: dict[str, Any] = dict(data)
        given["path"] = tuple(given["path"])
        return cls(**given)


def decoded(raw: bytes, where: str) -> str:
    """The text of a file. Raises Invalid where it is not UTF-8."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Invalid(
            f"Cannot edit {where}: it is not UTF-8 (byte {error.start}). Save it as UTF-8 and try again.",
            where=where,
            problem=str(error),
        ) from error


def read(text: str, form: Format, where: str) -> Json:
    """What a configuration file means. Raises Invalid with the line."""
    try:
        return _module(form).read(text)
    except (ValueError, RecursionError) as error:
        raise Invalid(
            f"Cannot edit {where}: it cannot be read ({error}). Correct that line; nothing was changed.",
            where=where,
            problem=str(error),
        ) from error


def apply(text: str, form: Format, changes: Sequence[Change], where: str) -> tuple[str, list[Change]]:
    """The text with these changes, and the changes with what they replaced. Raises Invalid; nothing is half done."""
    done: list[Change] = []
    before = read(text, form, where)
    for change in changes:
        if _says(before, change):
            continue
        after = _along(before, change.path)
        try:
            full = _carried_out(after, change)
            made = _edited(text, form, change, before)
            found = _module(form).read(made)
        except (ValueError, TypeError, RecursionError) as error:
            raise _unedited(where, str(error)) from error
        if not _same(found, after, but_empty=change.kind == "take"):
            raise _unedited(where, f"what is at {'.'.join(change.path)} is written in a way that is not understood")
        text, before = made, found
        done.append(full)
    return text, done


def text_without(text: str, form: Format, changes: Sequence[Change], where: str) -> str:
    """The text with these changes taken back, as far as they are still there. Raises Invalid."""
    data = read(text, form, where)
    for change in reversed(changes):
        expected = _along(data, change.path)
        for undo in _undoing(data, change):
            try:
                _carried_out(expected, undo)
                text = _edited(text, form, undo, data)
                data = _module(form).read(text)
            except (ValueError, TypeError, RecursionError) as error:
                raise _unedited(where, str(error)) from error
        if not _same(data, expected, but_empty=True):
            raise _unedited(where, f"what is at {'.'.join(change.path)} is written in a way that is not understood")
    return text


def meaning_is_same(text: str, other: str, form: Format, where: str, changes: Sequence[Change] = ()) -> bool:
    """Whether two texts mean the same, empty containers aside, and the order in lists that these changes took from."""
    try:
        found = [_pruned(read(one, form, where)) for one in (text, other)]
    except Invalid:
        return False
    for path in {change.path for change in changes if change.index is not None}:
        found = [_sorted(data, path) for data in found]
    return found[0] == found[1]


def _sorted(data: Json, path: tuple[str, ...]) -> Json:
    data = _along(data, path)
    listed = found_at(data, path)
    if isinstance(listed, list):
        listed.sort(key=repr)
    return data


def says(text: str, form: Format, changes: Sequence[Change], where: str) -> bool:
    """Whether a file is already as all these changes want it. Raises Invalid."""
    data = read(text, form, where)
    return all(_says(data, change) for change in changes)


def found_at(data: Json, path: Sequence[str | int]) -> Json:
    """The value at a path; None where there is none."""
    for part in path:
        if isinstance(data, dict) and isinstance(part, str):
            data = data.get(part)
        elif isinstance(data, list) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data


def _module(form: Format) -> Any:
    import importlib

    module: ModuleType = importlib.import_module(f"druse.editors.{form}text")
    return module


def _unedited(where: str, problem: str) -> Invalid:
    return Invalid(
        f"Cannot edit {where}: {problem}. Nothing was changed; add the entry by hand (druse mcp-json prints it).",
        where=where,
        problem=problem,
    )


def _same(found: Json, expected: Json, *, but_empty: bool = False) -> bool:
    if but_empty:
        return _pruned(found) == _pruned(expected)
    return found == expected


def _pruned(value: Json) -> Json:
    """Without empty containers: where the last element goes, some formats lose the container."""
    if isinstance(value, dict):
        kept = {key: _pruned(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in ({}, [], None)}
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _says(data: Json, change: Change) -> bool:
    """Whether the file is already as the change wants it."""
    found = found_at(data, change.path)
    if change.kind == "put":
        return found == change.value and found is not None
    if change.kind == "append":
        return isinstance(found, list) and change.value in found
    if change.index is None:
        return found is None
    return not isinstance(found, list) or (change.value is not None and change.value not in found)


def _edited(text: str, form: Format, change: Change, before: Json) -> str:
    module = _module(form)
    if change.kind == "put":
        return module.put(text, change.path, change.value)
    if change.kind == "append":
        return module.append(text, change.path, change.value)
    if change.index is None:
        return module.drop(text, change.path)
    return module.drop(text, (*change.path, _position(found_at(before, change.path), change)))


def _carried_out(data: Json, change: Change) -> Change:
    """Make the change in the data; the change with what it replaced."""
    made = 0
    if change.kind == "take":
        holder: Any = found_at(data, change.path[:-1] if change.index is None else change.path)
        key: Any = change.path[-1] if change.index is None else _position(holder, change)
        taken = holder.pop(key)
        return Change("take", change.path, taken, index=change.index)
    for key in change.path[:-1]:
        if not isinstance(data, dict):
            raise ValueError(f"{key!r} cannot be found: what holds it is no object")
        if data.get(key) is None:
            data[key] = {}
            made += 1
        data = data[key]
    last = change.path[-1]
    if not isinstance(data, dict):
        raise ValueError(f"{'.'.join(change.path[:-1])} is not an object")
    if change.kind == "append":
        if data.get(last) is None:
            data[last] = []
            made += 1
        found = data[last]
        if not isinstance(found, list):
            raise ValueError(f"{'.'.join(change.path)} is not a list")
        found.append(copy.deepcopy(change.value))
        return Change("append", change.path, change.value, made=made)
    replaced = last in data
    previous = data.get(last)
    data[last] = copy.deepcopy(change.value)
    return Change("put", change.path, change.value, previous, replaced, made)


def _along(data: Json, path: Sequence[str | int]) -> Json:
    """A copy in which what stands along the path may be changed; the rest is shared."""
    made: Json = dict(data) if isinstance(data, dict) else list(data) if isinstance(data, list) else data
    if path and isinstance(made, dict) and isinstance(path[0], str) and path[0] in made:
        made[path[0]] = _along(made[path[0]], path[1:])
    return made


def _position(found: Any, change: Change) -> int:
    """Where the element to take stands; its number may have changed since the change was thought out."""
    if change.value is not None and change.value in found:
        return found.index(change.value)
    return change.index or 0


def _undoing(data: Json, change: Change) -> list[Change]:
    """What takes a change back in data that somebody may have changed since."""
    path = change.path
    if change.kind == "take":
        there = found_at(data, path)
        if change.index is not None:
            return [] if isinstance(there, list) and change.value in there else [Change("append", path, change.value)]
        return [] if there is not None else [Change("put", path, change.value)]
    undo: list[Change] = []
    found = found_at(data, path)
    if found is None:
        return undo
    if change.kind == "put":
        if change.replaced:
            return [Change("put", path, change.previous)]
        undo.append(Change("take", path))
        emptied = path[:-1]
    else:
        index = _element(found, change.value)
        if index is None:
            return undo
        undo.append(Change("take", path, index=index))
        emptied = path
    # Containers that were made for it go when nothing else is in them.
    after = _along(data, path)
    _carried_out(after, undo[0])
    for _ in range(change.made):
        if not emptied or found_at(after, emptied) not in ({}, []):
            break
        undo.append(Change("take", emptied))
        _carried_out(after, undo[-1])
        emptied = emptied[:-1]
    return undo


def _element(found: Json, value: Json) -> int | None:
    """Which element is ours: the equal one, else the one that starts the same commands."""
    if not isinstance(found, list):
        return None
    if value in found:
        return found.index(value)
    commands = _commands(value)
    return next((i for i, item in enumerate(found) if commands and _commands(item) == commands), None)


def _commands(value: Json) -> set[str]:
    if isinstance(value, list):
        return {text for item in value for text in _commands(item)}
    if isinstance(value, dict):
        own = {item for key, item in value.items() if key in ("command", "bash") and isinstance(item, str)}
        return own.union(*(_commands(item) for item in value.values()))
    return set()
