"""Scripts of agents: run in the sandbox, each of their calls decided and recorded as the agent's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from druse.front.base import Base
from druse.model import Caller, CallerKind, Json, JsonObject, Outcome, OutcomeStatus, Progress, digest_text
from druse.runtime import EndRun, SandboxHost, ToolCallFailed


class Scripts:
    """Runs the scripts of one workspace; `call` makes one call of theirs."""

    def __init__(
        self, base: Base, host: SandboxHost, call: Callable[[str, JsonObject, Caller], Awaitable[Outcome]]
    ) -> None:
        self._base = base
        self._host = host
        self._call = call

    async def run_code(
        self,
        code: str,
        arguments: JsonObject,
        caller: Caller,
        progress: Progress | None,
        *,
        before_call: Callable[[str], None] | None = None,
    ) -> Outcome:
        """A script in the sandbox; its calls go through the router as the agent's own and are recorded.

        `before_call` is told of each call and may end the script by raising EndRun.
        """
        run_id = await self._base.recorder.run_of(caller)
        await self._base.store.runs.count_request(run_id)
        cause = await self._base.audit.record("code.run", run_id, caller, {"code": digest_text(code)})
        scripted = replace(caller, kind=CallerKind.CODE, run_id=run_id, cause=cause)

        async def call(tool: str, given: JsonObject) -> Json:
            if before_call is not None:
                before_call(tool)
            outcome = await self._call(tool, given, scripted)
            if outcome.ok:
                return outcome.data
            if outcome.status in (OutcomeStatus.PENDING, OutcomeStatus.DENIED):
                raise EndRun(outcome)
            details: JsonObject = {"result": outcome.data}
            raise ToolCallFailed(outcome.message, kind=outcome.kind or "tool_error", details=details)

        result = await self._host.run(code, arguments, call=call, mode="script", progress=progress)
        told: JsonObject = {"calls": result.calls}
        if result.prints:
            told["printed"] = result.prints
        if result.status == "ok":
            return Outcome.of({"result": result.value, **told})
        if result.outcome is not None:
            return replace(result.outcome, details={**told, **result.outcome.details})
        problems = [f"line {part.line}: {part.message}" for part in result.problems]
        error = result.error
        text = "; ".join(problems) or (_traced(code, error.line, error.kind, error.message) if error else result.status)
        return Outcome(
            OutcomeStatus.ERROR, message=f"The code did not finish: {text}", kind=result.status, details=told
        )


def _traced(code: str, line: int, kind: str, message: str) -> str:
    """Where a script stopped, in its own lines."""
    lines = code.splitlines()
    text = lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""
    return f"line {line}{f', `{text}`' if text else ''}: {kind}: {message}"
