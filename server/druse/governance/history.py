"""Why something is as it is: from an entry of the audit chain back to the person or the recorded runs behind it."""

from __future__ import annotations

from druse.governance.audit import AuditChain
from druse.governance.entries import seq_of
from druse.model import JsonObject, NotFound

_STEPS = 100  # no chain of causes is longer; a forged one that runs in a circle ends here


async def why_tool(chain: AuditChain, tool: str) -> list[JsonObject]:
    """The entries that brought a tool into service, newest first. Raises NotFound."""
    found = await chain.newest(1, {"action": "tool.*", "subject": f"{_literal(tool)} v[0-9]*"})
    if not found:
        raise NotFound(
            f'Cannot say why there is a tool {tool!r}: nothing in the audit chain is about it. See "druse tools list".'
        )
    return await causes(chain, found[0])


async def causes(chain: AuditChain, entry: JsonObject) -> list[JsonObject]:
    """An entry, the one that caused it, and so on to the first."""
    found = [entry]
    while (cause := str(found[-1].get("cause") or "")) and len(found) < _STEPS:
        before = await chain.get(seq_of(cause))
        if before is None:
            break
        found.append(before)
    return found


def _literal(text: str) -> str:
    """A text as a glob that matches nothing else."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
