"""`contextlib` and `copy` for tool code."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false

from __future__ import annotations

import collections
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any

from druse_sandbox.guards import DATA_TYPES, Listed, Record
from druse_sandbox.rows import NamedRow


class _Managed(Record):
    """A `with` over a generator that yields once."""

    def __init__(self, generator: Generator[Any, None, None]) -> None:
        self.__held__ = generator  # a name that tool code cannot write

    def __enter__(self) -> Any:
        for value in self.__held__:
            return value
        raise RuntimeError("generator didn't yield")

    def __exit__(self, _kind: Any, error: BaseException | None, _trace: Any) -> bool:
        if error is None:
            for _ in self.__held__:
                raise RuntimeError("generator didn't stop")
            return False
        try:
            self.__held__.throw(error)
        except StopIteration as stop:
            return stop is not error
        except RuntimeError as raised:
            if raised is error or (isinstance(error, StopIteration) and raised.__cause__ is error):
                return False
            raise
        except Exception as raised:
            if raised is error:
                return False
            raise
        raise RuntimeError("generator didn't stop after throw()")


def contextmanager(function: Callable[..., Any]) -> Any:
    """The decorator of a generator that yields once."""

    def manager(*args: Any, **named: Any) -> Any:
        made = function(*args, **named)
        if type(made) is not GeneratorType:
            raise TypeError("contextmanager decorates a generator function")
        return _Managed(made)

    return Listed(getattr(function, "__name__", "contextmanager"), manager)


class NullContext(Record):
    """A `with` that does nothing."""

    def __init__(self, result: Any = None) -> None:
        self.__result__ = result

    def __enter__(self) -> Any:
        return self.__result__

    def __exit__(self, *_: object) -> None:
        return None


def suppressing(check: Callable[[], None]) -> type:
    """The class `suppress`; `check` ends the run where the error was a limit, which no code may go on after."""

    class Suppress(Record):
        def __init__(self, *kinds: Any) -> None:
            if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
                raise TypeError("suppress takes classes of exceptions")
            self.__kinds__ = kinds

        def __enter__(self) -> None:
            return None

        def __exit__(self, kind: Any, _error: Any, _trace: Any) -> bool:
            check()
            return kind is not None and issubclass(kind, self.__kinds__)

    Suppress.__name__ = Suppress.__qualname__ = "suppress"
    return Suppress


_ATOMS = (type(None), bool, int, float, complex, str, bytes, range)
_FLAT = (list, set, frozenset, collections.deque)
_MAPPINGS = (dict, collections.OrderedDict, collections.Counter, collections.defaultdict)


def copy(value: Any, /) -> Any:
    """A new container, or a new object of a class of tool code, with the same things in it."""
    kind = type(value)
    if kind in _FLAT or kind in _MAPPINGS:
        return value.copy()
    if kind is collections.ChainMap:
        return value.copy()
    if isinstance(value, Record) and kind.__module__ == "tool" and not isinstance(value, (Exception, tuple)):
        made = object.__new__(kind)
        vars(made).update(vars(value))
        return made
    if value is None or kind in DATA_TYPES or isinstance(value, (NamedRow, Exception)) or callable(value):
        return value
    raise TypeError(f"cannot copy {kind.__name__} here")


def deepcopy(value: Any, /) -> Any:
    """The same with copies of everything inside; what cannot change is kept."""
    return _deep(value, {})


def _deep(value: Any, done: dict[int, Any]) -> Any:
    if type(value) in _ATOMS:
        return value
    if id(value) in done:
        return done[id(value)]
    kind = type(value)
    if kind is tuple:
        made = tuple(_deep(item, done) for item in value)
    elif isinstance(value, NamedRow):
        made = tuple.__new__(kind, [_deep(item, done) for item in tuple.__iter__(value)])
    elif kind in _MAPPINGS:
        made = done[id(value)] = value.copy()
        made.clear()
        for key, item in value.items():
            made[_deep(key, done)] = _deep(item, done)
    elif kind is list or kind is collections.deque:
        made = done[id(value)] = copy(value)
        made.clear()
        made.extend(_deep(item, done) for item in value)
    elif kind in _FLAT:
        made = kind(_deep(item, done) for item in value)
    else:
        made = done[id(value)] = copy(value)
        if made is not value:
            held = vars(made)
            for name, item in list(held.items()):
                held[name] = _deep(item, done)
    done[id(value)] = made
    return made
