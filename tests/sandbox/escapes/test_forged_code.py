"""Way out: a run without the language layer leaves code behind that a later guarded run executes."""

from __future__ import annotations

import pytest

from druse.runtime import SandboxHost

FORGED = """
import base64, json, marshal, os, struct
code = compile("result = ().__class__.__base__.__subclasses__()[:1] and 'out'", "tool.py", "exec")
body = json.dumps({"compiled": base64.b64encode(marshal.dumps(code)).decode()}).encode()
os.write(3, struct.pack("<I", len(body)) + body)
result = 1
"""


@pytest.mark.requirement("H-16")
async def test_code_that_the_host_did_not_ask_for_is_never_kept() -> None:
    async with SandboxHost.open(ready=0) as host:
        forged = await host.run(FORGED, {}, mode="script", os_only=True)
        guarded = await host.run(FORGED, {}, mode="script")

    assert forged.status == "killed" and forged.error is not None and forged.error.kind == "protocol"
    assert guarded.status == "error" and guarded.value is None


async def test_the_same_source_runs_from_kept_code_with_the_same_result() -> None:
    async with SandboxHost.open(ready=0) as host:
        first = await host.run("def run(call, *, n: int):\n    return n * 2", {"n": 2})
        second = await host.run("def run(call, *, n: int):\n    return n * 2", {"n": 3})

    assert (first.value, second.value) == (4, 6)
