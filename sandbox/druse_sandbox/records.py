"""Dataclasses of tool code: the annotated names of a class become a constructor, a text form and equality.

The compiler writes the annotated names, in order, into the class as `desugared_fields`; nothing of the real
`dataclasses` is involved, which would make source text and execute it.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from druse_sandbox.guards import Record

_MISSING = object()


class Field:
    """What `field(...)` says of one name."""

    __slots__ = ("default", "factory", "init")

    def __init__(self, default: Any, factory: Any, init: bool) -> None:
        self.default = default
        self.factory = factory
        self.init = init


def field(
    *, default: Any = _MISSING, default_factory: Any = None, init: bool = True, repr: bool = True, compare: bool = True
) -> Any:
    """A default that is made anew for each object. `repr` and `compare` are accepted and always on."""
    return Field(default, default_factory, bool(init))


def dataclass(cls: Any = None, *, frozen: bool = False, order: bool = False, **_: Any) -> Any:
    """The decorator, with or without brackets. Options beside `frozen` and `order` are accepted and change nothing."""
    if cls is None:
        return lambda later: dataclass(later, frozen=frozen, order=order)
    if not isinstance(cls, type) or not issubclass(cls, Record):
        raise TypeError("dataclass decorates a class")
    fields = _fields(cls)
    own = vars(cls)
    target: Any = cls
    made: dict[str, Callable[..., Any]] = {
        "__init__": _initialiser(cls.__name__, fields),
        "__repr__": _representation(fields),
        "__eq__": _equality(fields),
    }
    if frozen:
        made["__hash__"] = lambda self: hash(tuple(getattr(self, name) for name in fields))
    if order:
        made["__lt__"] = _ordering(fields)
    for name, method in made.items():
        if name not in own or name == "__hash__":
            setattr(cls, name, method)
    for name, given in fields.items():
        # As in the standard library, a plain default stays readable on the class.
        if isinstance(given, Field) and name in own:
            delattr(cls, name)
    target.desugared_defaults = dict(fields)
    target.desugared_frozen = bool(frozen)
    return cls


def asdict(value: Any) -> dict[str, Any]:
    """The fields as a dictionary, records inside included."""
    return {name: _plain(getattr(value, name), asdict) for name in _names(value)}


def astuple(value: Any) -> tuple[Any, ...]:
    """The fields as a tuple, records inside included."""
    return tuple(_plain(getattr(value, name), astuple) for name in _names(value))


def replace(value: Any, **changes: Any) -> Any:
    """A copy with some fields changed."""
    return type(value)(**{**{name: getattr(value, name) for name in _names(value)}, **changes})


def _names(value: Any) -> list[str]:
    known = getattr(type(value), "desugared_defaults", None) if isinstance(value, Record) else None
    if type(known) is not dict:
        raise TypeError("this is no object of a dataclass")
    return list(known)


def _plain(value: Any, how: Callable[[Any], Any]) -> Any:
    if isinstance(value, Record) and type(getattr(type(value), "desugared_defaults", None)) is dict:
        return how(value)
    if type(value) is list:
        return [_plain(item, how) for item in value]
    if type(value) is tuple:
        return tuple(_plain(item, how) for item in value)
    if type(value) is dict:
        return {key: _plain(item, how) for key, item in value.items()}
    return value


def _fields(cls: type) -> dict[str, Any]:
    """Every field with its default (or _MISSING), those of the bases first."""
    fields: dict[str, Any] = {}
    for base in reversed(cls.__mro__[1:]):
        inherited = vars(base).get("desugared_defaults")
        if type(inherited) is dict:
            fields.update(inherited)
    own = vars(cls)
    for name in own.get("desugared_fields", ()):
        fields[name] = own.get(name, _MISSING)
    return fields


def _initialiser(title: str, fields: dict[str, Any]) -> Callable[..., None]:
    accepted = [name for name, given in fields.items() if not isinstance(given, Field) or given.init]

    def initialise(self: Any, *values: Any, **named: Any) -> None:
        if len(values) > len(accepted):
            raise TypeError(f"{title}() takes {len(accepted)} values but {len(values)} were given")
        given = dict(zip(accepted, values, strict=False))
        for name, value in named.items():
            if name not in accepted or name in given:
                raise TypeError(f"{title}() got an unexpected value for {name!r}")
            given[name] = value
        for name, default in fields.items():
            if name in given:
                value = given[name]
            elif isinstance(default, Field):
                value = default.factory() if default.factory is not None else default.default
            else:
                value = default
            if value is _MISSING:
                raise TypeError(f"{title}() misses a value for {name!r}")
            vars(self)[name] = value
        after = getattr(type(self), "post_init", None)
        if after is not None:
            after(self)

    return initialise


def _representation(fields: dict[str, Any]) -> Callable[[Any], str]:
    def represent(self: Any) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in fields)
        return f"{type(self).__name__}({shown})"

    return represent


def _equality(fields: dict[str, Any]) -> Callable[[Any, Any], Any]:
    def equal(self: Any, other: Any) -> Any:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in fields)

    return equal


def _ordering(fields: dict[str, Any]) -> Callable[[Any, Any], Any]:
    def less(self: Any, other: Any) -> Any:
        if type(self) is not type(other):
            return NotImplemented
        return tuple(getattr(self, name) for name in fields) < tuple(getattr(other, name) for name in fields)

    return less
