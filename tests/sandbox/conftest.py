"""A sandbox that the tests of one module share."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest_asyncio

from druse.runtime import Limits, SandboxHost


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host() -> AsyncGenerator[SandboxHost]:
    async with SandboxHost.open(Limits(cpu_seconds=1, memory_bytes=256 << 20, wall_seconds=20), ready=1) as opened:
        yield opened
