"""Reading page after page, as a part of longer runs."""

from __future__ import annotations

from typing import Any

from benchmarks.fold import proof

from druse.induction import mine
from druse.model import Run, RunStatus, Step
from workflows import record

SIZES = {"red": 5, "green": 3, "blue": 1, "black": 4, "white": 0, "pink": 7}


def archive(size: int = 2) -> Any:
    def server(tool: str, a: dict[str, Any]) -> Any:
        if tool == "list_files":
            start = int(a.get("cursor", "c0")[1:])
            names = [f"{a['folder']}-{n * 37}" for n in range(SIZES[a["folder"]])]
            page: dict[str, Any] = {"files": [{"id": name} for name in names[start : start + size]]}
            if start + size < len(names):
                page["next_cursor"] = f"c{start + size}"
            return page
        return {"done": a}

    return server


def listing(call: Any, folder: str) -> list[Any]:
    page = call("list_files", folder=folder)
    found = list(page["files"])
    while page.get("next_cursor"):
        page = call("list_files", folder=folder, cursor=page["next_cursor"])
        found += page["files"]
    return found


def list_only(call: Any, folder: str) -> None:
    listing(call, folder)


def test_a_part_that_reads_all_pages_is_found_in_longer_runs() -> None:
    runs: list[Run] = []
    for number, folder in enumerate(SIZES):
        [read] = record(list_only, archive, [{"folder": folder}])
        other = Step(f"other_{number}", {"note": folder}, "ok", turn=len(read.steps) + 1)
        turns = ((0, f"tidy up {folder}"),)
        runs.append(Run(folder, "", RunStatus.SUCCESS, (*read.steps, other), turns, task=folder))

    sources = [part.induction.source for part in mine(runs, prove=proof)]

    assert any("def run(call, *, folder: str)" in source and "while files.get" in source for source in sources)
