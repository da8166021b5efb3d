"""What a person does by a command, in the audit chain: one entry before the effect, one after it.

What has entries of its own (approvals, tools, rules, memories, keys, checkpoints) is not told twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from druse.model import DruseError, JsonObject

if TYPE_CHECKING:
    from druse.front.base import Base


@asynccontextmanager
async def act(base: Base, command: str, **about: str) -> AsyncGenerator[JsonObject]:
    """Around the effect of a command. What is put into the given object stands in the entry after it."""
    from druse.front.base import person

    told: JsonObject = {name: base.recorder.handles.mask(value) for name, value in about.items() if value}
    cause = await base.audit.record("command.begin", command, person(), told, durable=True)
    outcome: JsonObject = {"status": "done"}
    try:
        yield outcome
    except DruseError as error:
        outcome = {"status": "failed", "kind": error.kind}
        raise
    except BaseException:
        outcome = {"status": "failed"}
        raise
    finally:
        await base.audit.record("command.end", command, person(), outcome, cause=cause)
