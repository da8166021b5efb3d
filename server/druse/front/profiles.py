"""Profiles: tools, resources and prompts that `druse serve --profile NAME` serves beside the fixed surface.

A profile comes from an entry point of the group `druse.profiles`. With one, the project's servers and local tools are
left out. The one that comes with Druse, `conformance`, holds the fixtures of the official MCP conformance suite.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol, cast

from druse.model import Counterpart, Invalid, JsonObject, Provider

GROUP = "druse.profiles"


class Profile(Provider, Protocol):
    """What a profile serves, as it stands on the wire."""

    announce: Callable[[str], Awaitable[None]]  # set by the server; told "tools" or "prompts" when they changed

    def resources(self) -> Sequence[JsonObject]:
        """The resources it lists."""
        ...

    def templates(self) -> Sequence[JsonObject]:
        """The resource templates it lists."""
        ...

    def read(self, uri: str) -> JsonObject | None:
        """The contents of a resource; None where there is none."""
        ...

    def prompts(self) -> Sequence[JsonObject]:
        """The prompts it lists."""
        ...

    async def prompt(self, name: str, arguments: Mapping[str, str], side: Counterpart | None) -> JsonObject | None:
        """A `GetPromptResult`; None where there is no such prompt."""
        ...


def load_profile(name: str) -> Profile:
    """The profile of that name. Raises Invalid with the names there are."""
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise Invalid(
            f"Cannot serve the profile {name!r}: no installed package brings one of that name. There are: "
            f"{', '.join(sorted(found)) or 'none'}.",
            where="--profile",
            problem=name,
        )
    return cast("Profile", found[name].load()())
