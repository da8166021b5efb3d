"""Dataclasses and named tuples of tool code: annotated names become a constructor, a text form, equality and order.

The compiler writes the annotated names, in order, into the class as `desugared_fields`; nothing of the real
`dataclasses` is involved, which makes source text and executes it. What a class's fields are is kept here and not on
the class, and a field is a name that tool code may write: so no field can name what attributes may not.
"""

# Values of tool code have no type that could be known here.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false, reportUnknownMemberType=false
# pyright: reportUnknownLambdaType=false, reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from druse_sandbox.guards import FROZEN, Facade, Record, is_private
from druse_sandbox.rows import is_name

_MISSING = object()


class Field:
    """What `field(...)` says of one name."""

    __slots__ = ("compare", "default", "factory", "init", "named_only", "shown")

    def __init__(
        self,
        default: Any,
        factory: Any,
        *,
        init: bool = True,
        shown: bool = True,
        compare: bool = True,
        named_only: bool | None = None,
    ) -> None:
        self.named_only = named_only
        self.default = default
        self.factory = factory
        self.init = init
        self.shown = shown
        self.compare = compare

    @property
    def has_default(self) -> bool:
        """Whether a value need not be given."""
        return self.default is not _MISSING or self.factory is not None


_FIELDS: WeakKeyDictionary[type, dict[str, Field]] = WeakKeyDictionary()


def field(
    *,
    default: Any = _MISSING,
    default_factory: Any = None,
    init: bool = True,
    repr: bool = True,
    compare: bool = True,
    kw_only: bool | None = None,
    metadata: Any = None,
) -> Any:
    """A default that is made anew for each object, or a field left out of constructor, text or comparison."""
    if default is not _MISSING and default_factory is not None:
        raise ValueError("give a default or a default_factory, not both")
    del metadata  # accepted; nothing here reads it
    return Field(default, default_factory, init=bool(init), shown=bool(repr), compare=bool(compare), named_only=kw_only)


def dataclass(
    cls: Any = None,
    /,
    *,
    frozen: bool = False,
    order: bool = False,
    eq: bool = True,
    repr: bool = True,
    kw_only: bool = False,
    slots: bool = False,
) -> Any:
    """The decorator, with or without brackets. Raises TypeError and ValueError as the standard library does.

    `slots` is accepted and changes nothing that tool code could see.
    """
    if cls is None:
        return lambda later: dataclass(later, frozen=frozen, order=order, eq=eq, repr=repr, kw_only=kw_only)
    if type(cls) is not type or not issubclass(cls, Record):
        raise TypeError("dataclass decorates a class")
    fields = _declared(cls, named_only=kw_only)
    own = vars(cls)
    compared = [name for name, part in fields.items() if part.compare]
    made: dict[str, Any] = {"__init__": _initialiser(cls, fields)}
    if repr:
        made["__repr__"] = _representation(fields)
    if eq:
        made["__eq__"] = _comparison(compared, operator.eq)
        # As in the standard library: equal objects that can change have no hash.
        made["__hash__"] = (lambda self: hash(_values(self, compared))) if frozen else None
    if order:
        for name, compare in (
            ("__lt__", operator.lt),
            ("__le__", operator.le),
            ("__gt__", operator.gt),
            ("__ge__", operator.ge),
        ):
            made[name] = _comparison(compared, compare)
    for name, method in made.items():
        # A class that defines __eq__ has a __hash__ of None, put there by the interpreter.
        if name not in own or (name == "__hash__" and own[name] is None):
            setattr(cls, name, method)
    for name, part in fields.items():
        if isinstance(own.get(name), Field):
            delattr(cls, name)
            if part.default is not _MISSING:
                setattr(cls, name, part.default)
    _FIELDS[cls] = fields
    if frozen:
        FROZEN.add(cls)
    return cls


def fields(value: Any, /) -> tuple[Facade, ...]:
    """The fields of a dataclass or of an object of one, each with its `name`."""
    cls = value if type(value) is type else type(value)
    known = next((_FIELDS[base] for base in cls.__mro__ if base in _FIELDS), None)
    if known is None:
        raise TypeError("must be called with a dataclass type or instance")
    return tuple(Facade("field", {"name": name, "init": part.init}) for name, part in known.items())


def is_dataclass(value: Any, /) -> bool:
    """Whether it is a dataclass or an object of one."""
    cls = value if type(value) is type else type(value)
    return any(base in _FIELDS for base in cls.__mro__)


def asdict(value: Any) -> dict[str, Any]:
    """The fields as a dictionary, records inside included."""
    return {name: _plain(item, asdict) for name, item in _items(value)}


def astuple(value: Any) -> tuple[Any, ...]:
    """The fields as a tuple, records inside included."""
    return tuple(_plain(item, astuple) for _, item in _items(value))


def replace(value: Any, /, **changes: Any) -> Any:
    """A copy with some fields changed."""
    known = _fields_of(value)
    kept = {name: item for name, item in _items(value) if known[name].init}
    return type(value)(**{**kept, **changes})


def _fields_of(value: Any) -> dict[str, Field]:
    for base in type(value).__mro__:
        if base in _FIELDS:
            return _FIELDS[base]
    raise TypeError("this is no object of a dataclass")


def _items(value: Any) -> list[tuple[str, Any]]:
    return list(zip(known := _fields_of(value), _values(value, known), strict=True))


def _values(value: Any, known: Any) -> tuple[Any, ...]:
    """The fields of an object, from the object alone: no property and no attribute of a class is read."""
    held = vars(value)
    for name in known:
        if name not in held:
            raise AttributeError(f"{type(value).__name__} has no value for {name}")
    return tuple(held[name] for name in known)


def _plain(value: Any, how: Callable[[Any], Any]) -> Any:
    if isinstance(value, Record) and any(base in _FIELDS for base in type(value).__mro__):
        return how(value)
    if type(value) is list:
        return [_plain(item, how) for item in value]
    if type(value) is tuple:
        return tuple(_plain(item, how) for item in value)
    if type(value) is dict:
        return {key: _plain(item, how) for key, item in value.items()}
    return value


def _declared(cls: type, *, named_only: bool) -> dict[str, Field]:
    """Every field, those of the bases first."""
    fields: dict[str, Field] = {}
    for base in reversed(cls.__mro__[1:]):
        fields.update(_FIELDS.get(base, {}))
    own = vars(cls)
    for name in own.get("desugared_fields", ()):
        if type(name) is not str or not (is_name(name) or (is_private(name) and name.isidentifier())):
            raise TypeError("a field is a plain name, or one with one underscore before it")
        given = own.get(name, _MISSING)
        if type(given) in (list, dict, set):
            kind = type(given).__name__
            raise ValueError(f"mutable default {kind} for field {name}: write field(default_factory={kind})")
        fields[name] = given if isinstance(given, Field) else Field(given, None)
        if fields[name].named_only is None:
            fields[name].named_only = named_only
    optional = ""
    for name, part in fields.items():
        if part.named_only:
            continue
        if part.init and part.has_default:
            optional = name
        elif part.init and optional:
            raise TypeError(f"the field {name} without a default follows {optional}, which has one")
    return fields


def _initialiser(cls: type, fields: dict[str, Field]) -> Callable[..., None]:
    title = cls.__name__
    accepted = [name for name, part in fields.items() if part.init and not part.named_only]
    by_name = {name for name, part in fields.items() if part.init}

    def initialise(self: Any, *values: Any, **named: Any) -> None:
        if not isinstance(self, cls):
            raise TypeError(f"__init__ of {title} needs an object of it")
        if len(values) > len(accepted):
            raise TypeError(f"{title}() takes {len(accepted)} values but {len(values)} were given")
        given = dict(zip(accepted, values, strict=False))
        for name, value in named.items():
            if name not in by_name or name in given:
                raise TypeError(f"{title}() got an unexpected value for {name!r}")
            given[name] = value
        held = vars(self)
        for name, part in fields.items():
            if name in given:
                held[name] = given[name]
            elif part.has_default:
                held[name] = part.factory() if part.factory is not None else part.default
            elif part.init:
                raise TypeError(f"{title}() misses a value for {name!r}")
        after = getattr(type(self), "__post_init__", None)
        if after is not None:
            after(self)

    return initialise


def _representation(fields: dict[str, Field]) -> Callable[[Any], str]:
    shown = [name for name, part in fields.items() if part.shown]

    def represent(self: Any) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in zip(shown, _values(self, shown), strict=True))
        return f"{type(self).__name__}({told})"

    return represent


def _comparison(names: list[str], compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], Any]:
    def compared(self: Any, other: Any) -> Any:
        if type(self) is not type(other):
            return NotImplemented
        return compare(_values(self, names), _values(other, names))

    return compared
