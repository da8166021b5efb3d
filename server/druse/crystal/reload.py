"""Hot reload: what changes in `tools/generated` or in the store is in service within a second, without a restart."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from druse.crystal.shelf import Shelf
from druse.model import DruseError

log = logging.getLogger("druse.crystal")

_DEBOUNCE_MS = 100
_STEP_MS = 100  # the watching thread wakes this often, also when nothing happens


async def watch(shelf: Shelf, root: Path, changed: Callable[[], Awaitable[None]]) -> None:
    """Reload whenever a file under `root` changes, until cancelled; `changed` hears of every swap."""
    from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

    async for _ in awatch(root, debounce=_DEBOUNCE_MS, step=_STEP_MS, recursive=True):
        await reload_once(shelf, changed)


async def reload_once(shelf: Shelf, changed: Callable[[], Awaitable[None]]) -> None:
    """One reload, which is told of before anybody else reloads; a failing one is logged and the tools in service stay.

    Whoever changes the store after the files touches the folder once more when it is done.
    """
    try:
        async with shelf.turn:
            if await shelf.reload():
                await changed()
    except DruseError as error:
        log.warning("tools were not reloaded: %s", error)
