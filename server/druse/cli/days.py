"""The work of each day: how it was done, and how many requests it took an agent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from druse.cli.output import table, workspace_here

if TYPE_CHECKING:
    from druse.store import DayCount


async def last_days(count: int) -> dict[str, Any]:
    """The last `count` days (UTC) that have closed runs."""
    from druse.front.base import open_base

    async with open_base(workspace_here()) as base:
        return {"days": days_of(await base.store.days.since((base.clock() // 86400 - count + 1) * 86400))}


def days_of(counts: Sequence[DayCount]) -> list[dict[str, Any]]:
    """The counts of each day put together; `requests_per_run` is None where they were not counted."""
    days: dict[str, dict[str, Any]] = {}
    counted: dict[str, int] = {}
    for count in counts:
        empty: dict[str, Any] = {"day": count.day, "runs": 0, "successes": 0, "failures": 0, "modes": {}, "requests": 0}
        day = days.setdefault(count.day, empty)
        day["modes"][count.mode] = count.runs
        day["runs"] += count.runs
        day["successes"] += count.successes
        day["failures"] += count.failures
        day["requests"] += count.asked
        counted[count.day] = counted.get(count.day, 0) + count.counted
    for name, day in days.items():
        day["requests_per_run"] = day["requests"] / counted[name] if counted[name] else None
    return list(days.values())


def days_table(days: Sequence[dict[str, Any]]) -> str:
    """Days as rows: runs, how many went well, the share of each mode, and requests per run."""
    modes = sorted({mode for day in days for mode in day["modes"]})
    rows = [
        [
            *(day["day"], str(day["runs"]), str(day["successes"]), str(day["failures"])),
            *(f"{day['modes'].get(mode, 0) / day['runs']:.0%}" for mode in modes),
            "unknown" if day["requests_per_run"] is None else f"{day['requests_per_run']:.2f}",
        ]
        for day in days
    ]
    return table(rows, ["day", "runs", "well", "failed", *modes, "requests per run"])
