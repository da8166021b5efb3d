"""Packages whose parts are imported when a name of them is first asked for: a client waits for every start."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


def parts_of(package: str, **names: tuple[str, ...]) -> Callable[[str], Any]:
    """The `__getattr__` of a package: for each of its modules the public names that it holds.

    What it found stands in the package from then on. The package lists the same names in `__all__` and imports them
    under `TYPE_CHECKING`, for those who read.
    """
    modules = {name: module for module, held in names.items() for name in held}

    def found(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        value = getattr(import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return found
