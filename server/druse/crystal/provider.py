"""Crystallized tools as a provider: run in the sandbox, every call back through the router."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

from druse.crystal.commands import TOOL, commands_of
from druse.crystal.drift import drift_of, suspended_text
from druse.crystal.manifest import remaining_after
from druse.crystal.shelf import Shelf
from druse.governance import Action, Pins
from druse.model import (
    CallContext,
    Caller,
    CallerKind,
    Json,
    JsonObject,
    Outcome,
    OutcomeStatus,
    Source,
    ToolSpec,
    ToolVersion,
    Verdict,
)
from druse.runtime import EndRun, SandboxHost, SandboxResult, ToolCallFailed
from druse.store import Store

log = logging.getLogger("druse.crystal")

FAILURES = 3  # in a row, until a version that no person approved goes out of service
_OUTSIDE = (OutcomeStatus.PENDING, OutcomeStatus.DENIED, OutcomeStatus.FAILED)


class Calls(Protocol):
    """The router, as a tool reaches it."""

    async def call(self, name: str, arguments: Json, caller: Caller) -> Outcome:
        """One call through the same decision as everybody's."""
        ...


class CrystalProvider:
    """Carries out calls of crystallized tools. `router` is set once the router exists."""

    def __init__(
        self,
        shelf: Shelf,
        host: SandboxHost,
        store: Store,
        *,
        specs: Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]],
        clock: Callable[[], float],
        pins: Pins,
        trust: Callable[[Action, str], Verdict] = lambda action, client: Verdict.ASK,
        up_to_date: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._up_to_date = up_to_date  # sees what other processes put in or out of service
        self._trust = trust
        self._pins = pins
        self._shelf = shelf
        self._host = host
        self._store = store
        self._specs = specs
        self._clock = clock
        self.router: Calls | None = None

    def specs(self) -> Sequence[ToolSpec]:
        """The tools in service."""
        return [_spec(version) for _, version in sorted(self._shelf.active.items())]

    def version_for(self, version: ToolVersion, caller: Caller | None) -> ToolVersion:
        """The version that the caller's session began with, where that may still run; else the given one."""
        number = self._pins.version(version.name, caller)
        pinned = self._shelf.version(version.name, number) if number is not None else None
        return pinned or version

    def spec_for(self, spec: ToolSpec, caller: Caller | None) -> ToolSpec:
        """A tool as the caller's session knows it: with the version that the session began with."""
        serving = self._shelf.get(spec.name) if spec.source is Source.CRYSTAL else None
        version = self.version_for(serving, caller) if serving is not None else None
        return _spec(version, newest=spec.version) if version is not None and version != serving else spec

    async def call(self, spec: ToolSpec, arguments: JsonObject, context: CallContext) -> Outcome:
        """Run a tool. The version is taken at the start, so a swap meanwhile does not touch it (D14)."""
        version = self._shelf.version(spec.name, spec.version or 0)
        if version is None:
            message = f"{spec.name} v{spec.version} was not run: it went out of service just now. See find_tools."
            return Outcome(OutcomeStatus.FAILED, message=message, kind="suspended")
        suspended = await self.suspended(version, context.caller)
        if suspended:
            told = f"{suspended} {await self._instead(version, context.caller)}"
            return Outcome(OutcomeStatus.FAILED, message=told, kind="suspended")
        run = _Run(version, context, cast("Calls", self.router), standing=self._standing)
        result = await self._host.run(version.source, arguments, call=run.call, progress=context.progress)
        outcome = run.outcome(result)
        failed_in_a_row = await self._store.tools.count_use(
            version.name,
            version.version,
            outcome.status,
            now=self._clock(),
            wall_ms=result.wall_ms,
            steps_saved=max(0, len(run.done) - 1),
            own_failure=not run.stopped_from_outside,
        )
        if failed_in_a_row >= FAILURES and not self._shelf.approved_by_person(version.name, version.version):
            await self._give_up(version)
        return outcome

    async def _standing(self, version: ToolVersion, client: str) -> bool | None:
        """Whether what a version calls was approved with it, at this moment; None where it is out of service by now.

        Nobody but a person's yes, or the highest trust level, answers for what a tool calls.
        """
        if self._up_to_date is not None:
            await self._up_to_date()
        if self._shelf.version(version.name, version.version) is None:
            return None
        by_person = self._shelf.approved_by_person(version.name, version.version)
        return by_person or self._trust(Action.EXECUTE, client) is Verdict.ALLOW

    async def _give_up(self, version: ToolVersion) -> None:
        """What the trust level put in service and keeps failing goes out of service by itself (seed id S-23)."""
        reason = f"failed {FAILURES} times in a row"
        done = await self._shelf.give_up(version.name, version.version, Caller(CallerKind.JOB, client="druse"), reason)
        subject = f"{version.name} v{version.version}"
        if await self._store.notices.give("rolled_back", subject, done, now=self._clock()):
            log.warning("%s", done)

    async def suspended(self, version: ToolVersion, caller: Caller | None) -> str:
        """Why a version may not run: an upstream schema is no longer the approved one (D9). Empty if it may."""
        approved = version.manifest.get("upstream_schemas")
        known = await self._specs(list(approved) if isinstance(approved, dict) else [])
        drift = drift_of(version, {name: self.spec_for(spec, caller) for name, spec in known.items()})
        if drift is None:
            return ""
        if not drift.gone:
            await drift.noticed(self._store, version, self._clock())
        return suspended_text(version, drift)

    async def _instead(self, version: ToolVersion, caller: Caller) -> str:
        """What to do in place of a suspended version; a session held to it is let go."""
        serving = self._shelf.get(version.name)
        if serving is None or serving.version == version.version:
            return "Do the work by hand; Druse proposes a new version when it has runs."
        await self._pins.let_go(caller, version.name)
        return (
            f"This session began with it and goes on with v{serving.version}, which is in service: see its arguments "
            "with find_tools, then call it."
        )


class _Run:
    """One run of one version: its calls, and what to tell when it stops."""

    def __init__(
        self,
        version: ToolVersion,
        context: CallContext,
        router: Calls,
        *,
        standing: Callable[[ToolVersion, str], Awaitable[bool | None]],
    ) -> None:
        self._version = version
        self._standing = standing  # asked before each call: it may change while the tool runs
        permissions = version.manifest.get("permissions")
        self._permissions = tuple(map(str, permissions)) if isinstance(permissions, list) else ()
        self.stopped_from_outside = False  # by a server that failed or a rule, not by the tool's own code
        caller = context.caller
        self._caller = Caller(
            CallerKind.TOOL,
            session=caller.session,
            connection=caller.connection,
            client=caller.client,
            client_side=caller.client_side,
            shared=caller.shared,
            run_id=caller.run_id,
            tool=version.name,
            version=version.version,
            depth=caller.depth + 1,
            cause=context.cause,
            identity=caller.identity,
            role=caller.role,
        )
        # A grant of Bash is one of the commands that stand in the code.
        self._commands = commands_of(version.source)
        self._router = router
        self.done: list[JsonObject] = []
        self._failed: JsonObject | None = None
        self._caught: JsonObject | None = None  # the last call, where it failed and the code may go on
        self._why = ""

    async def call(self, tool: str, arguments: JsonObject) -> Json:
        """The broker: permissions as approved, then the router."""
        if tool not in self._permissions:
            text = f"{tool} is not among the permissions approved with {self._version.name}"
            raise EndRun(Outcome(OutcomeStatus.DENIED, message=text, kind="not_allowed"))
        if self._caught is not None:  # the code took the failure of the call before for an answer
            self.done.append(self._caught)
            self._caught = self._failed = None
            self._why = ""
        granted = await self._standing(self._version, self._caller.client)
        if granted is None:
            text = f"{self._version.name} v{self._version.version} went out of service while it ran"
            self._failed = {"tool": tool, "arguments": arguments}
            self._why = text
            raise EndRun(Outcome(OutcomeStatus.DENIED, message=text, kind="suspended"))
        outcome = await self._router.call(tool, arguments, self._caller_of(tool, arguments, granted=granted))
        if outcome.ok:
            self.done.append({"tool": tool, "arguments": arguments, "result": outcome.data})
            return outcome.data
        self._failed = {"tool": tool, "arguments": arguments}
        self._why = outcome.message
        self.stopped_from_outside = outcome.status in _OUTSIDE
        if outcome.status is OutcomeStatus.ERROR:
            details: JsonObject = {"result": outcome.data}
            self._caught = {"tool": tool, "arguments": arguments, **details}
            raise ToolCallFailed(outcome.message, kind=outcome.kind or "tool_error", details=details)
        raise EndRun(outcome)

    def _caller_of(self, tool: str, arguments: JsonObject, *, granted: bool) -> Caller:
        """Who calls: with the tool's grants where they cover the call."""
        if tool != TOOL or self._commands.covers(arguments.get("command")):
            return replace(self._caller, grants=self._permissions) if granted else self._caller
        if self._commands.free:
            return self._caller  # approved before commands were written as words: the rules decide
        text = (
            f"{TOOL}({str(arguments.get('command'))[:200]!r}) is not among the commands approved with "
            f"{self._version.name}; see druse tools show {self._version.name}"
        )
        self._failed = {"tool": tool, "arguments": arguments}
        self._why = text
        raise EndRun(Outcome(OutcomeStatus.DENIED, message=text, kind="not_allowed"))

    def outcome(self, result: SandboxResult) -> Outcome:
        """The result of the run, or where it stopped and what remains."""
        if result.status == "ok":
            value = result.value
            structured = value if isinstance(value, dict) else None
            return Outcome(OutcomeStatus.OK, data=value, structured=structured)
        if result.status == "rejected":
            return Outcome(OutcomeStatus.FAILED, message="; ".join(p.message for p in result.problems), kind="rejected")
        if result.status == "diverged" and self._caught is not None:  # a guard looked at the failure, and stopped
            self.done.append(self._caught)
            self._failed, self._why = None, ""
        line = result.error.line if result.error else 0
        reason = self._why or (result.error.message if result.error else "")
        approval_id = ""
        if result.outcome is not None:
            reason, approval_id = result.outcome.message, result.outcome.approval_id
        steps = self._version.manifest.get("steps")
        sites = steps if isinstance(steps, list) else []
        if line == 0 and self._failed is not None:
            line = _line_of_call(sites, self._failed["tool"])
        remaining = remaining_after(sites, line)
        failed = self._failed or {"line": line, "text": _line_text(self._version.source, line)}
        if self._failed is not None and remaining and remaining[0]["tool"] == self._failed["tool"]:
            remaining = remaining[1:]
        payload: JsonObject = {
            "status": "diverged",
            "tool": f"{self._version.name} v{self._version.version}",
            "done": list[Json](self.done),
            "failed_step": failed,
            "reason": reason,
            "remaining": list[Json](remaining),
        }
        if approval_id:
            payload["approval_id"] = approval_id
        return Outcome(OutcomeStatus.DIVERGED, data=payload, message=reason, kind="diverged", approval_id=approval_id)


def _line_of_call(sites: Sequence[Json], tool: Json) -> int:
    for site in sites:
        if isinstance(site, dict) and site.get("tool") == tool and isinstance(site.get("line"), int):
            return int(str(site["line"]))
    return 0


def _line_text(source: str, line: int) -> str:
    lines = source.splitlines()
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def _spec(version: ToolVersion, *, newest: int | None = None) -> ToolSpec:
    manifest = version.manifest
    description = f"{manifest.get('description') or version.name}"
    permissions = manifest.get("permissions")
    calls = ", ".join(map(str, permissions)) if isinstance(permissions, list) else ""
    schema = manifest.get("input_schema")
    later = f", the version this session began with, v{newest} is for new ones" if newest is not None else ""
    told = f" [learned tool v{version.version}{later}; calls {calls}]"[:400]
    return ToolSpec(
        version.name,
        Source.CRYSTAL,
        description=f"{description[: 600 - len(told)]}{told}",
        input_schema=schema if isinstance(schema, dict) else json.loads('{"type": "object"}'),
        version=version.version,
    )
