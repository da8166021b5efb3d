"""A busy process: writes through the application, four at a time; a line on stdout once one is acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import sys
from pathlib import Path

from druse.front.application import open_application
from druse.model import Caller, CallerKind
from druse.settings import Workspace


async def main(root: Path, prefix: str) -> None:
    numbers = itertools.count()
    caller = Caller(CallerKind.AGENT, session=prefix, connection=prefix, client="busy 1.0")
    async with open_application(Workspace.find(root)) as application:
        opened = await application.serve_call("dispatch_goal", {"goal": f"write files {prefix}"}, caller, None)
        run_id = opened.structured["run_id"] if opened.structured else ""
        print(f"run {run_id}", flush=True)

        async def work() -> None:
            for number in numbers:
                path = f"out/{prefix}-{number}.txt"
                arguments = {"name": "Write", "arguments": {"file_path": path, "content": path}}
                done = await application.serve_call("run_tool", arguments, caller, None)
                print(f"ok {path}" if done.ok else f"failed {done.message}", flush=True)

        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(work())


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
