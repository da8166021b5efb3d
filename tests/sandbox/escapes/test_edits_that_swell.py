"""Way out: an edit that makes a small file into one that fills the memory of the host."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

from druse.localtools import LocalTools
from druse.model import CallContext, Caller, CallerKind
from druse.runtime import SandboxHost


async def test_an_edit_is_refused_before_the_text_is_made(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("a" * 1500)
    tools = LocalTools(tmp_path)
    edit = next(spec for spec in tools.specs() if spec.name == "Edit")
    arguments = {"file_path": "x.txt", "old_string": "a", "new_string": "b" * 2_000_000, "replace_all": True}
    tracemalloc.start()
    try:
        outcome = await tools.call(edit, arguments, CallContext(Caller(CallerKind.CODE, session="x")))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert not outcome.ok and "over the limit" in outcome.message
    assert peak < 20_000_000
    assert (tmp_path / "x.txt").read_text() == "a" * 1500


async def test_the_text_form_of_call_tells_no_address() -> None:
    async with SandboxHost.open(ready=0) as host:
        result = await host.run("def run(call):\n    return [str(call), repr(call_all), f'{print}']", {})

    assert result.value == ["<function call>", "<function call_all>", "<function print>"]
