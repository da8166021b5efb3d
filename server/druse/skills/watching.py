"""Noticing within a second that a skill was dropped, edited or taken away (seed id L-42)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from druse.model import DruseError
from druse.skills.library import SkillLibrary

log = logging.getLogger("druse.skills")

LOOK_MS = 500  # how often folders that did not exist are looked for
DEBOUNCE_MS = 100  # for which changes that follow each other are gathered
STEP_MS = 100  # the watching thread wakes this often, also when nothing happens


async def watch_skills(library: SkillLibrary, changed: Callable[[], Awaitable[None]]) -> None:
    """Call `changed` after every change of any layer, until cancelled."""
    from watchfiles import awatch  # pyright: ignore[reportUnknownVariableType]

    stamp = library.stamp()
    while True:
        folders = library.folders()
        if not folders:
            await asyncio.sleep(LOOK_MS / 1000)
        else:
            watching = awatch(
                *folders,
                watch_filter=None,
                debounce=DEBOUNCE_MS,
                step=STEP_MS,
                rust_timeout=LOOK_MS,
                yield_on_timeout=True,
            )
            async for _ in watching:
                if library.folders() != folders or library.stamp() != stamp:
                    break
        try:
            now = library.stamp()
            if now != stamp:
                stamp = now
                await changed()
        except DruseError as error:
            log.warning("skills were not looked at again: %s", error)
