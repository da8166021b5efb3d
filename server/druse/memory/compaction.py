"""Compaction of history beside live calls (seed ids N-13, L-31): old runs go to the archive, a run at a time.

It takes its turn between calls: one short write per run, then a pause several times as long as the work was. What a
run taught is kept first: only runs that the historian has read and that are indexed for search are archived.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from druse.store import Store
from druse.store.archive import CHANGED, pack

REST = 30.0  # pauses are this many times as long as the work before them: fewer than one call in twenty meets it
_MAX_REST = 0.25  # seconds
_BATCH = 200


@dataclass(slots=True)
class Compacted:
    """What one compaction did. Bytes are those of arguments and results, less what the archive takes for them."""

    runs: int = 0
    events: int = 0
    reclaimed_bytes: int = 0
    archive_bytes: int = 0


async def compact(
    store: Store,
    *,
    before: float,
    now: Callable[[], float],
    limit: int = 1_000_000,
    rest: float = REST,
    read: bool = True,
) -> Compacted:
    """Archive runs that were closed before a time (seconds since the epoch). `read`: those the historian has read."""
    done = Compacted()
    passed: set[str] = set()  # changed while they were packed: the next compaction has them again
    while done.runs < limit:
        due = await store.archive.due(before=before, limit=min(_BATCH, limit - done.runs) + len(passed), read=read)
        waiting = [run_id for run_id in due if run_id not in passed]
        if not waiting:
            break
        for run_id in waiting:
            began = time.perf_counter()
            packed = await asyncio.to_thread(pack, run_id, await store.archive.read(run_id))
            gained = await store.archive.keep(packed, now=now())
            if gained == CHANGED:
                passed.add(run_id)
            else:
                done.runs += 1
                done.events += packed.events
                done.reclaimed_bytes += gained
                done.archive_bytes += len(packed.body)
            await asyncio.sleep(min(_MAX_REST, rest * (time.perf_counter() - began)))
    return done
