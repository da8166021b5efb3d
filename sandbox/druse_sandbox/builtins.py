"""The names every tool sees without an import, and the guards of the pipe's own calls."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NoReturn

from druse_sandbox import bounds, commands
from druse_sandbox.facades import build
from druse_sandbox.guards import (
    DATA_TYPES,
    Listed,
    Record,
    get_attribute,
    is_private,
    make_class,
    super_attribute,
    write_to,
)
from druse_sandbox.plain import sendable
from druse_sandbox.rows import NamedRow

_PLAIN = (
    "abs all any ascii bin bool bytes callable chr complex dict divmod enumerate filter float frozenset hash hex int "
    "isinstance issubclass iter len list map max min next oct ord range repr reversed round set slice sorted str sum "
    "tuple zip True False None ArithmeticError AssertionError AttributeError Exception IndexError KeyError LookupError "
    "NameError NotImplementedError OverflowError RuntimeError StopIteration TypeError UnicodeDecodeError "
    "UnicodeEncodeError UnicodeError ValueError ZeroDivisionError FloatingPointError "
    "RecursionError OSError IOError FileNotFoundError FileExistsError PermissionError TimeoutError ConnectionError "
    "EOFError property staticmethod classmethod"
)


class Diverged(BaseException):
    """A guard did not hold. Not an Exception: tool code cannot catch it."""


# In a worker: reports the divergence and ends the process there and then, so that no `finally`, no `__exit__` and no
# generator of tool code can go on as if nothing had happened.
at_divergence: Callable[[str], None] | None = None
# The same for an error that says a limit was reached.
at_limit: Callable[[BaseException], None] | None = None


def diverge(reason: str) -> NoReturn:
    """End the run as diverged."""
    if at_divergence is not None:
        at_divergence(reason)
    raise Diverged(reason)


class ToolError(Exception):
    """A called tool failed. `kind` and `details` are plain data."""

    def __init__(self, message: str = "", kind: str = "tool_error", details: Any = None) -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
        self.details = details


def names_for(call: Callable[..., Any], call_all: Callable[..., Any], report: Callable[..., Any]) -> dict[str, Any]:
    """The globals of tool code."""
    facades = build(_check_limits)

    def importer(name: str, _g: Any = None, _l: Any = None, fromlist: Any = (), level: int = 0) -> Any:
        if type(fromlist) is list:
            # No statement says a list: the interpreter itself asks so, for `time` in `strftime`, and takes the module
            # from those that are loaded. Nothing of it reaches tool code.
            return None
        if level or name not in facades:
            available = ", ".join(sorted(facades))
            raise ImportError(f"{str(name)[:60]} is not available here; there are {available}")
        if "." in name and not fromlist:
            return facades[name.split(".")[0]]
        facade = facades[name]
        for wanted in fromlist or ():
            if wanted not in facade.members:
                raise ImportError(f"{name} has no {str(wanted)[:60]} here")
        return _Imported(facade.members) if fromlist else facade

    plain = {name: getattr(builtins, name) for name in _PLAIN.split() if hasattr(builtins, name)}
    plain.update({"True": True, "False": False, "None": None})
    plain.update(
        {
            "__import__": importer,
            "object": object,
            "NotImplemented": NotImplemented,
            "type": _type_of,
            "pow": bounds.power,
            "format": bounds.formatted,
            "getattr": _getattr,
            "hasattr": _hasattr,
            "setattr": _setattr,
            "sorted": sorted,
            "ToolError": ToolError,
            "ImportError": ImportError,
            "__build_class__": builtins.__build_class__,
        }
    )
    names: dict[str, Any] = {
        "__builtins__": plain,
        "__name__": "tool",
        "__metaclass__": make_class,
        "_getattr_": get_attribute,
        "_write_": write_to,
        "_inplacevar_": bounds.inplace,
        "_power_": bounds.power,
        "_shift_": bounds.shift,
        "_times_": bounds.times,
        "_modulo_": bounds.modulo,
        "_format_": bounds.formatted,
        "_super_": super_attribute,
        "_type_name_": lambda value: type(value).__name__,
        "_limits_": _check_limits,
        "print": _printer(report),
        "call": call,
        "call_all": call_all,
        "expect": expect,
        "require": require,
        "one": one,
        "command": command,
        "word": word,
        "progress": _progress(report),
    }
    for visible in (plain, names):
        for name, member in visible.items():
            if name.isidentifier() and not name.startswith("_") and type(member) in _PYTHON:
                visible[name] = Listed(name, member)
    return names


_PYTHON = (FunctionType, MethodType)


def _progress(report: Callable[..., Any]) -> Callable[..., None]:
    def progress(done: Any, total: Any = None, message: Any = "") -> None:
        for number in (done, total):
            if number is not None and (type(number) not in (int, float) or not -1e15 < number < 1e15):
                raise ValueError("write progress(done, total, message) with numbers of a reasonable size")
        report("progress", [done, total, sendable(str(message)[:500])])

    return progress


class _Imported:
    """What `from x import a` reads its names from; lives for the length of the statement."""

    def __init__(self, members: dict[str, Any]) -> None:
        self.__dict__.update(members)


def _printer(report: Callable[..., Any]) -> Callable[..., None]:
    def show(*values: Any, sep: Any = None, end: Any = None, **_: Any) -> None:
        between, behind = " " if sep is None else str(sep), "\n" if end is None else str(end)
        report("print", between.join(str(value) for value in values) + behind)

    return show


def _type_of(value: Any) -> type:
    kind = type(value)
    if kind in DATA_TYPES or value is None or isinstance(value, Record | Exception | NamedRow):
        return kind
    raise TypeError("the type of this value is not available here")


def _getattr(value: Any, name: Any, *default: Any) -> Any:
    try:
        return get_attribute(value, name)
    except AttributeError:
        if default:
            return default[0]
        raise


def _hasattr(value: Any, name: Any) -> bool:
    try:
        get_attribute(value, name)
    except AttributeError:
        return False
    return True


def _setattr(value: Any, name: Any, new: Any) -> None:
    plain_name = type(name) is str and (not name.startswith("_") or is_private(name))
    if not plain_name or name.startswith("desugared_") or not isinstance(write_to(value), Record):
        raise AttributeError("this attribute cannot be set here")
    setattr(value, name, new)


def _check_limits() -> None:
    """End the run if the error being handled is a limit: a guard may have been cut short by it."""
    error = sys.exception()
    if isinstance(error, RecursionError | MemoryError) and at_limit is not None:
        at_limit(error)


def _sure(guard: Callable[..., Any]) -> Callable[..., Any]:
    """The guard, which holds or ends the run: an error on the way to an answer is no answer."""

    def checked(*args: Any, **named: Any) -> Any:
        try:
            return guard(*args, **named)
        except (RecursionError, MemoryError):
            raise  # nothing goes on after these, see _check_limits
        except Exception as error:
            return diverge(f"a guard could not be checked: {type(error).__name__}")

    return checked


def _require(condition: Any, reason: Any = "a condition did not hold") -> None:
    """End the run as diverged unless the condition holds."""
    if not condition:
        diverge(_text(reason)[:1000])


def _one(items: Any, key: str, value: Any) -> Any:
    """The only element whose `key` equals `value` by type and value; none or several ends the run as diverged."""
    if type(items) is not list:
        diverge(f"expected a list to look up {_short(key)} in, got {_kind(items)}")
    found = [item for item in items if type(item) is dict and key in item and _equal(item[key], value)]
    if len(found) != 1:
        diverge(f"{len(found)} elements have {_text(key)} = {_short(value)}; exactly one was expected")
    return found[0]


def _expect(value: Any, shape: Any, where: str = "") -> None:
    """End the run as diverged unless `value` has the shape (see docs/sandbox-language.md)."""
    problem = mismatch(value, shape, where)
    if problem:
        diverge(f"{problem}; no run had that")


def _word(value: Any, kind: Any = "text") -> str:
    """The value as one word of a command; the run ends as diverged unless it is of the kind."""
    text = commands.written(value)
    if text is None or not commands.fits(text, kind):
        diverge(f"{_short(value)} is no {_text(kind)} that this command takes")
    return text


def _command(*words: Any) -> str:
    """The words as a command line in which each of them stays one word."""
    texts = [commands.written(value) for value in words]
    for value, text in zip(words, texts, strict=True):
        if text is None or "\0" in text:
            diverge(f"{_short(value)} is no word of a command; words are texts and whole numbers")
    if not texts or not texts[0]:
        diverge("a command begins with a program")
    return commands.quoted([text for text in texts if text is not None])


require, one, expect = _sure(_require), _sure(_one), _sure(_expect)
word, command = _sure(_word), _sure(_command)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a text form of tool code that fails
        return f"<{type(value).__name__}>"


def mismatch(value: Any, shape: Any, where: str) -> str:
    """The first difference between a value and a shape; empty if there is none."""
    place = where or "the result"
    if isinstance(shape, str):
        if shape == "any" or any(_fits(value, name) for name in shape.split("|")):
            return ""
        return f"{place} is {_kind(value)} ({_short(value)}), expected {shape}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{place} is {_kind(value)} ({_short(value)}), expected a list"
        mark = shape[1] if len(shape) > 1 else ""
        if mark == "+" and not value:
            return f"{place} is empty"
        if mark == "1" and len(value) != 1:
            return f"{place} has {len(value)} elements, expected one"
        return next((p for i, item in enumerate(value) if (p := mismatch(item, shape[0], f"{where}[{i}]"))), "")
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{place} is {_kind(value)} ({_short(value)}), expected an object"
        for key, inner in shape.items():
            optional = key.endswith("?") and key not in value
            name = key[:-1] if optional else key
            if name not in value:
                if not optional:
                    return f"{place} has no {name!r}"
                continue
            problem = mismatch(value[name], inner, f"{where}.{name}" if where else name)
            if problem:
                return problem
        return ""
    return f"{place} was compared with something that is no shape"


def _fits(value: Any, name: str) -> bool:
    kind = type(value)
    if name == "number":
        return kind in (int, float)
    known = {"str": str, "int": int, "float": float, "bool": bool, "null": type(None), "list": list, "dict": dict}
    return kind is known.get(name)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:  # a text form of tool code that fails
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 60 else text[:60] + "…"


def _equal(left: Any, right: Any) -> bool:
    return type(left) is type(right) and left == right
