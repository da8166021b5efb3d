"""Named tuples: by call, as a class body over `NamedTuple`, and as the base of a class."""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable
from keyword import iskeyword
from typing import Any


class NamedRow(tuple[Any, ...]):
    """The base of what `namedtuple` and `urlparse` make: a tuple whose elements have names as well."""

    __slots__ = ()
    row_fields: tuple[str, ...] = ()
    row_extras: dict[str, Callable[[Any], Any]] = {}  # noqa: RUF012 (each class of rows has its own, never changed)

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{name}={value!r}" for name, value in zip(self.row_fields, tuple.__iter__(self), strict=True)
        )
        return f"{type(self).__name__}({shown})"


class NamedTuple:
    """What `class Point(NamedTuple)` names as its base."""


def namedtuple(title: str, names: Any, *, defaults: Any = ()) -> type:
    """A class of tuples whose elements have names. Raises ValueError for names that are none."""
    if type(title) is not str or not is_name(title):
        raise ValueError("the name of a named tuple is a plain name")
    listed = names.replace(",", " ").split() if type(names) is str else list(names)
    if not all(type(name) is str and is_name(name) for name in listed) or len(set(listed)) != len(listed):
        raise ValueError("the fields of a named tuple are plain names, each once, without an underscore before them")
    known, given_defaults = tuple(listed), tuple(defaults)
    if len(given_defaults) > len(known):
        raise TypeError("Got more default values than field names")
    preset = dict(zip(known[len(known) - len(given_defaults) :], given_defaults, strict=True))

    def make(cls: Any, *values: Any, **named: Any) -> Any:
        given = {**dict(zip(known, values, strict=False)), **named}
        filled = {**preset, **given}
        if len(values) > len(known) or len(given) != len(values) + len(named) or set(filled) != set(known):
            raise TypeError(f"{title}() takes the fields {', '.join(known)}")
        return tuple.__new__(cls, [filled[name] for name in known])

    extras: dict[str, Callable[[Any], Any]] = {
        "_asdict": lambda row: lambda: dict(zip(known, tuple.__iter__(row), strict=True)),
        "_replace": lambda row: (
            lambda **changes: type(row)(**{**dict(zip(known, tuple.__iter__(row), strict=True)), **changes})
        ),
        "_fields": lambda _: known,
    }
    return type(
        title,
        (NamedRow,),
        {"__slots__": (), "__new__": make, "row_fields": known, "row_extras": extras, "__module__": "tool"},
    )


def declared_row(title: str, members: dict[str, Any]) -> tuple[type, dict[str, Any]]:
    """The tuple that a class body over `NamedTuple` declares, and what of the body is left for a class over it.

    Raises TypeError for a field without a default behind one that has one.
    """
    fields = members.get("desugared_fields", ())
    preset = [name for name in fields if name in members]
    if list(fields[len(fields) - len(preset) :]) != preset:
        raise TypeError("a field without a default follows one that has one")
    left = {key: value for key, value in members.items() if key not in fields and key != "desugared_fields"}
    return namedtuple(title, fields, defaults=[members[name] for name in preset]), left


def of_row(value: NamedRow, name: str) -> Any:
    """An element by its name, or one of the few methods. Raises AttributeError for anything else."""
    kind = type(value)
    if name in kind.row_fields:
        return tuple.__getitem__(value, kind.row_fields.index(name))
    if name in kind.row_extras:
        return kind.row_extras[name](value)
    if name in ("count", "index"):
        return getattr(value, name)
    raise AttributeError(f"{kind.__name__} has no {name} here; it has {', '.join(kind.row_fields)}")


def of_row_class(kind: type[NamedRow], name: str) -> Any:
    """`Point._fields` and `Point._make`."""
    if name == "_fields":
        return kind.row_fields
    if name == "_make":
        return lambda values: kind(*values)
    raise AttributeError(f"{kind.__name__} has no {name} here; it has _fields and _make")


def is_name(name: str) -> bool:
    """Whether a text can be the name of an attribute that tool code may write."""
    return name.isidentifier() and not name.startswith("_") and not iskeyword(name)
