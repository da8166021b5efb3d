"""One value of an argument, as explanations see it."""

from __future__ import annotations

from dataclasses import dataclass

from druse.induction.values import Env
from druse.model import Json


@dataclass(frozen=True, slots=True)
class Instance:
    """One value of the argument, what was known before it, and the run it is from."""

    value: Json
    env: Env
    run: int
