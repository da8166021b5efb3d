"""`scripts/bench compaction`: calls of a tool while 10,000 old events are compacted, and the same calls alone.

Both run in one process and in turn, several times; a call goes through permission, audit and trace, as for a client.
The ratio of the 95th percentiles is the number that counts (goal: at most 1.2).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.growth import Catalogue
from benchmarks.memory import Language, fill
from druse.front.application import Application, open_application
from druse.memory import compact
from druse.model import Caller, CallerKind
from druse.settings import Workspace

_CALLS = 2000  # alone, in each part
_CALLER = Caller(CallerKind.AGENT, session="bench", connection="bench", client="bench 1")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench compaction", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000, help="events that are compacted")
    parser.add_argument("--parts", type=int, default=5, help="turns of calls alone and calls beside compaction")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    found = asyncio.run(measure(options.events, options.parts))
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print(
        f"{found['events']} events in {found['seconds']:.1f} s: p95 alone {found['alone_p95_ms']:.2f} ms, beside "
        f"{found['beside_p95_ms']:.2f} ms, ratio {found['ratio']:.2f}; {found['reclaimed_bytes']:,} bytes gained"
    )


async def measure(events: int, parts: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace.find(Path(folder), environment={"XDG_CONFIG_HOME": str(Path(folder) / "none")})
        workspace.state.mkdir(mode=0o700)
        workspace.config.write_text('[permissions]\nallow = ["many__*"]\n', encoding="utf-8")
        async with open_application(workspace) as application:
            application.registry.add(Catalogue(10))
            store = application.base.store
            await fill(store, events, Language())
            await store.events.index()
            while (await application.base.notebook.remember()).runs:
                pass
            alone: list[float] = []
            beside: list[float] = []
            runs = events // 10
            gained = compacted = 0
            spent = 0.0
            for part in range(parts):
                alone += [await _call(application, n) for n in range(_CALLS)]
                began = time.perf_counter()
                before = float(runs * (part + 1) // parts)
                working = asyncio.ensure_future(compact(store, before=before, now=time.time))
                while not working.done():
                    beside.append(await _call(application, len(beside)))
                done = await working
                spent += time.perf_counter() - began
                gained, compacted = gained + done.reclaimed_bytes, compacted + done.events
            ninety_five = [statistics.quantiles(times, n=20)[18] * 1000 for times in (alone, beside)]
            return {
                "events": compacted,
                "seconds": spent,
                "calls": [len(alone), len(beside)],
                "alone_p95_ms": ninety_five[0],
                "beside_p95_ms": ninety_five[1],
                "ratio": ninety_five[1] / ninety_five[0],
                "reclaimed_bytes": gained,
            }


async def _call(application: Application, number: int) -> float:
    tool = application.registry.specs()[-1].name
    began = time.perf_counter()
    outcome = await application.call(tool, {"n": number}, _CALLER)
    if not outcome.ok:
        raise SystemExit(outcome.message)
    return time.perf_counter() - began
