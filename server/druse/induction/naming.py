"""Names that a person would have chosen: from tools, arguments and keys, the same for the same runs."""

from __future__ import annotations

import keyword
import re

_VERBS = frozenset(
    (
        *("get", "find", "list", "fetch", "read", "search", "lookup", "look", "query", "show", "describe", "retrieve"),
        *("load", "check", "resolve", "create", "make", "add", "update", "set", "send", "post", "modify", "cancel"),
        *("delete", "remove", "book", "open", "close", "return", "exchange", "calculate", "compute", "all", "the"),
    )
)
# Names with a meaning in the sandbox's language; a variable of that name would hide it.
_TAKEN = frozenset(
    (
        *("call", "call_all", "expect", "require", "one", "progress", "print", "run", "item", "list", "dict", "str"),
        *("int", "float", "bool", "len", "sum", "object", "round", "command", "word", "error", "ToolError"),
        *("date", "datetime", "timedelta"),
    )
)


def identifier(text: str) -> str:
    """`text` as a Python name in snake case."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    name = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_") or "value"
    if name[0].isdigit():
        name = f"n{name}"
    return name + "_" if keyword.iskeyword(name) else name


def result_name(tool: str) -> str:
    """What the result of a tool is called: its noun."""
    words = identifier(tool.rpartition("__")[2]).split("_")
    if "by" in words[1:]:
        words = words[: words.index("by", 1)]
    if len(words) > 1 and words[0] in _VERBS:
        words = words[1:]
    return identifier("_".join(words))


def singular(text: str) -> str:
    """The name of one element of a list called `text`."""
    name = identifier(text)
    if name.endswith("ies") and len(name) > 4:
        return name[:-3] + "y"
    if name.endswith(("sses", "shes", "ches", "xes")):
        return name[:-2]
    if name.endswith("s") and not name.endswith("ss") and len(name) > 2:
        return name[:-1]
    return f"{name}_item"


def plural(name: str) -> str:
    """The name of a collection of things called `name`."""
    name = name.rstrip("_")
    if name.endswith("s"):
        return f"{name}_list"
    return name[:-1] + "ies" if name.endswith("y") and name[-2:-1] not in "aeiou" else f"{name}s"


class Names:
    """Hands out distinct names."""

    def __init__(self, taken: frozenset[str] = _TAKEN) -> None:
        self._used: set[str] = set(taken)

    @property
    def reserved(self) -> frozenset[str]:
        """Names that are in use."""
        return frozenset(self._used)

    def take(self, wanted: str, *fallbacks: str) -> str:
        """`wanted`, else the first fallback that is free, else `wanted` with a number."""
        for name in (wanted, *fallbacks):
            if name not in self._used and not keyword.iskeyword(name):
                self._used.add(name)
                return name
        number = 2
        while f"{wanted}_{number}" in self._used:
            number += 1
        self._used.add(f"{wanted}_{number}")
        return f"{wanted}_{number}"
