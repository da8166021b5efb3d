"""The successor itself: `python -m druse.succession.child`, an order on stdin, lines of JSON on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from druse.runtime import SandboxHost
from druse.store import Store
from druse.succession.guard import confine
from druse.succession.trials import Order, Trials


def main() -> None:
    """Carry out one order. Ends with exit code 0 once the last line is out."""
    order = Order.of(json.loads(sys.stdin.buffer.readline()))
    denied = confine(order.copy)
    asyncio.run(_try(order, denied))


async def _try(order: Order, denied: list[str]) -> None:
    async with Store.open(order.workspace.database) as store, SandboxHost.open(ready=1) as host:
        trials = Trials(order, store, host)
        async for test in trials.run():
            _tell({"test": test.as_dict()})
        _tell(
            {
                "done": True,
                "changes": trials.changes,
                "denied": [*trials.denied, *denied],
                "stopped": trials.stopped,
                "cpu_seconds": round(time.process_time(), 3),
            }
        )


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
