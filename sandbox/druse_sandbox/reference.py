"""The page on the language of tool code, written from the tables that the compiler and the guards use themselves."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false

from __future__ import annotations

import textwrap
from typing import Any

from druse_sandbox import bounds, frames
from druse_sandbox.builtins import names_for
from druse_sandbox.facades import build
from druse_sandbox.guards import METHODS_BY_TYPE, Facade
from druse_sandbox.language import INSTEAD, MAX_LITERAL, MAX_NESTING, MAX_SOURCE, METHODS

_HEAD = """# The language of tool code

Python, as it is written every day, over plain data. Code is compiled by a policy and then runs behind the wall of the
operating system (see sandbox.md). This page is made by `druse sandbox language`; a test compares it.

A tool defines `run`; everything it may reach outside comes through `call`:

```python
def run(call, *, paths: list[str]) -> dict:
    texts = {path: call("Read", file_path=path) for path in paths}
    require(texts, "there was nothing to read")
    return {path: len(text.splitlines()) for path, text in texts.items()}
```

Annotations are for the reader and for the schema; they are never evaluated.
"""
_OWN = {
    "call": '`call("tool", name=value)` calls a tool by its name and gives its result',
    "call_all": '`call_all([("tool", {"name": value}), ...])` makes calls side by side; their results in order',
    "require": "`require(condition, reason)` ends the run as diverged unless the condition holds",
    "one": "`one(items, key, value)` is the only element whose `key` equals `value`; none or several ends the run",
    "command": '`command("git", "tag", name)` is a command line in which each word given stays one word',
    "word": "`word(value, kind)` is the value as one word; the run ends unless it is of the kind",
    "expect": "`expect(value, shape)` ends the run unless the value has the shape",
    "progress": "`progress(done, total, message)` tells whoever waits",
    "print": "`print(...)` is kept with the result, up to 256 KiB",
    "ToolError": "`ToolError` is raised by a call that failed; it has `message`, `kind` and `details`",
}
_SHAPES = """A shape is a text (`"str"`, `"int"`, `"float"`, `"number"`, `"bool"`, `"null"`, `"list"`, `"dict"`,
`"any"`, several joined by `|`), a list `[shape]` (`[shape, "+"]`: not empty, `[shape, "1"]`: exactly one), or a
dictionary of shapes, where a key that ends in `?` may be missing.
"""
_BEYOND = (
    ("`super().name(...)`, `super().__init__(...)` and `Base.__init__(self, ...)`", "`super` by itself"),
    ("`_name` for variables, functions, attributes and methods of your own", "`__name`, and names of Python's own"),
    ("`@dataclass` with `frozen`, `order`, `eq`, `slots`", "`kw_only`, `InitVar`"),
    ("`collections.namedtuple`; `class Row(TypedDict)`", "`class Row(NamedTuple)`, `enum`: write constants in a class"),
    ("`match` on values, sequences, mappings and plain types such as `int()`", "class patterns with attributes"),
    ("`type(x).__name__`, `function.__name__`", "every other name with two underscores"),
    ("`from __future__ import annotations`, `import a.b as c`", "`import *`, relative imports"),
    ("`try`, `except Exception`, `finally`, `with`", "a bare `except:`; going on after the limit of memory or depth"),
)
_LATER = {"itertools": {"batched": "Python 3.12"}}  # by the version that brought it


def language_page() -> str:
    """The whole page as Markdown."""
    names = names_for(lambda *_: None, lambda *_: [], lambda *_: None)
    parts = [_HEAD, "## What a tool calls\n", *(f"- {text}" for text in _OWN.values()), "", _SHAPES]
    plain = sorted(name for name in names["__builtins__"] if not name.startswith("_") and name not in _OWN)
    parts += ["## Built-in names\n", _wrapped(plain), ""]
    parts += ["## Modules\n", "Only these can be imported, with only these names.\n"]
    parts += [_module(name, facade) for name, facade in sorted(build().items())]
    parts += ["", "## Methods and attributes by type\n"]
    parts += [f"- **{kind.__name__}**: {_wrapped(sorted(listed))}" for kind, listed in _types()]
    parts += ["", "## Statements\n", "| Available | Not available |", "|---|---|"]
    parts += [f"| {available} | {refused} |" for available, refused in _BEYOND]
    parts += ["", "Refused, and what to write instead:\n"]
    parts += [f"- `{kind}`: {instead}" for kind, instead in sorted(INSTEAD.items())]
    parts += ["", "Methods with two underscores that a class may define:\n", _wrapped(sorted(METHODS)), ""]
    parts += ["## Bounds\n", *(f"- {line}" for line in _bounds())]
    return "\n".join(parts).rstrip() + "\n"


def _module(name: str, facade: Facade) -> str:
    later = _LATER.get(name, {})
    text = _wrapped(sorted({*facade.members} - {*later}))
    return f"- **{name}**: {text}" + "".join(f", `{part}` ({version})" for part, version in later.items())


def _types() -> list[tuple[type, Any]]:
    return sorted(METHODS_BY_TYPE.items(), key=lambda item: item[0].__name__)


def _wrapped(names: list[str]) -> str:
    return textwrap.fill(", ".join(f"`{name}`" for name in names), 118, break_long_words=False, subsequent_indent="  ")


def _bounds() -> list[str]:
    return [
        f"a source: {MAX_SOURCE:,} characters, {MAX_NESTING} levels of brackets or blocks",
        f"a text in a source: {MAX_LITERAL:,} characters; a text that is padded: {bounds.MAX_WIDTH:,}",
        f"a whole number that is computed: {bounds.MAX_BITS:,} bits; one that is sent: {frames.MAX_DIGITS} digits",
        f"a repetition such as `'x' * n`: {bounds.MAX_REPEATED:,} elements",
        f"what is sent at once: {frames.MAX_FRAME:,} bytes; what a call answers: {frames.MAX_REPLY:,} bytes",
        f"a value that is sent: {frames.MAX_DEPTH - 4} levels deep; dates, decimals and fractions go as their text",
    ]
