"""Hot reload: what changes in `tools/generated` or in the store is in service within a second, without a restart."""

from __future__ import annotations

import asyncio
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
    """One reload; a failing one is logged and the tools in service stay."""
    try:
        # The writer of a file changes the store right after; a short pause lets it finish.
        for _ in range(10):
            if await shelf.reload():
                await changed()
                return
            await asyncio.sleep(0.05)
    except DruseError as error:
        log.warning("tools were not reloaded: %s", error)
