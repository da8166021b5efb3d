"""How tools come to be: made of recorded work, written, composed or taken in; proposed; in service where allowed."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from druse.crystal import Crystallizer, Report, due, is_whole, outgrown, propose_retirements
from druse.front.base import Base
from druse.governance import Approval
from druse.model import (
    Caller,
    CallerKind,
    Invalid,
    Json,
    JsonObject,
    NotAllowed,
    NotFound,
    Outcome,
    OutcomeStatus,
    ToolSpec,
    ToolVersion,
    digest_text,
)


class Toolmaking:
    """The making of tools in one workspace. `changed` is told when another tool is in service.

    `taken` says whether a name is that of a tool which was not learned.
    """

    def __init__(
        self,
        base: Base,
        crystallizer: Crystallizer,
        *,
        specs_of: Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]],
        taken: Callable[[str], bool],
        changed: Callable[[], Awaitable[None]],
        environment: Mapping[str, str],
    ) -> None:
        self._base = base
        self._crystallizer = crystallizer
        self._taken = taken
        self._specs_of = specs_of
        self._changed = changed
        self._environment = environment

    async def crystallize(
        self, signature: str, caller: Caller, *, name: str | None = None, whole: bool = False
    ) -> Report:
        """Make a proposal of a workflow; where the trust level allows it, put the tool in service at once."""
        await self.spend_synthesis(caller)
        return await self._carried_on(await self._crystallizer.crystallize(signature, caller, name=name, whole=whole))

    async def have_written(self, signature: str, caller: Caller, *, name: str) -> Report:
        """Have the configured model write the tool of a workflow, through the same gate. Raises Invalid without one."""
        provider = self._base.rules.fresh().model
        if provider is None:
            raise Invalid(
                "Cannot have a tool written: no model is in force. Name one under [model] in your own config.toml, "
                'then run "druse policy approve".',
                where="model",
            )
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name):
            raise Invalid(
                f"Cannot call a tool {name!r}: a name is a-z, 0-9 and _, at most 40 characters.", where="name"
            )
        self._check_free(name)
        await self.spend_synthesis(caller)

        async def ask(system: str, message: str) -> str:
            from druse import llm

            payload: JsonObject = {"model": str(provider), "asked": digest_text(message)}
            await self._base.audit.record("model.asked", signature, caller, payload, durable=True)
            return (await llm.ask(provider, system, message, self._environment)).text

        made_by = f"model {provider.model}"
        written = await self._crystallizer.have_written(signature, caller, ask, name=name, made_by=made_by)
        return await self._carried_on(written)

    async def compose(self, name: str, parts: Sequence[Json], description: str, caller: Caller) -> Report:
        """Propose a tool made of tools; where the trust level allows it, put it in service at once. Raises Invalid."""
        self._check_free(name)
        await self.spend_synthesis(caller)
        return await self._carried_on(await self._crystallizer.compose(name, parts, description, caller))

    async def offer(self, name: str, code: str, description: str, run_ids: Sequence[str], caller: Caller) -> Report:
        """Propose a tool that came from outside of a session; only a person puts it in service. Raises Invalid."""
        self._check_free(name)
        records = [await self._base.store.runs.get(run_id) for run_id in run_ids]
        known = [record for record in records if record is not None]
        await self.spend_synthesis(caller)
        return await self._crystallizer.propose_source(name, code, description, known, caller, needs_person=True)

    async def take_in(self, version: ToolVersion, origin: JsonObject, caller: Caller) -> Report:
        """Propose a tool that another project exported; only a person puts it in service. Raises Invalid."""
        self._check_free(version.name)
        await self.spend_synthesis(caller)
        return await self._crystallizer.propose_import(version, origin, caller)

    async def improve(self, tool: str, caller: Caller, *, since: float = 0.0) -> Report:
        """Propose the next version of a learned tool; where the trust level allows it, put it in service at once."""
        await self.spend_synthesis(caller)
        return await self._carried_on(await self._crystallizer.improve(tool, caller, since=since))

    async def tend(self, caller: Caller) -> JsonObject:
        """Propose what the evidence says of the tools in service: new versions, retirements (seed id H-39)."""
        improved: list[Json] = []
        serving = list(self._base.shelf.active.values())
        suspended = await outgrown(self._base.store, serving, self._specs_of, self._base.clock())
        for part in suspended:
            told: JsonObject = {"tool": f"{part.name} v{part.version}", "reason": part.text}
            if part.successes < self._base.config.knobs.candidate_runs:
                wanted = self._base.config.knobs.candidate_runs
                told |= {"status": "waits", "message": f"{part.text} {part.successes} of {wanted} runs since then"}
            else:
                report = await self.improve(part.name, caller, since=part.since)
                told |= {"status": report.status, "message": report.message}
            improved.append(told)
        for version in serving:
            if not is_whole(version) and version.name not in {part.name for part in suspended}:
                # Later runs may show what stood behind the beginning; then the whole replaces it.
                report = await self._crystallizer.improve(version.name, caller, whole=True)
                if report.status == "proposed":
                    report = await self._carried_on(report)
                    made: JsonObject = {"tool": f"{version.name} v{version.version}", "status": report.status}
                    improved.append(made | {"message": report.message})
        for part in await due(self._base.store):
            if part.name in {other.name for other in suspended}:
                continue
            report = await self.improve(part.name, caller)
            improved.append({**part.as_dict(), "status": report.status, "message": report.message})
        asked = await propose_retirements(self._base.store, self._base.approvals, caller, self._base.clock())
        retiring: list[Json] = [{"approval_id": approval.id, "title": approval.title} for approval in asked]
        return {"improved": improved, "retiring": retiring}

    async def register(self, approval_id: str) -> Approval | None:
        """Put a proposed tool in service where the trust level lets Druse; None where a person has to."""
        granted = await self._base.approvals.grant(approval_id, Caller(CallerKind.JOB, client="druse"))
        if granted is not None:
            await self._base.shelf.reload()
            await self._changed()
        return granted

    async def spend_synthesis(self, caller: Caller) -> None:
        """Count an attempt to make or change a tool. Raises NotAllowed where that is off or the quota used up."""
        if not self._base.config.knobs.crystallization:
            raise NotAllowed(
                'Cannot make a tool: crystallization is switched off. A person can set "crystallization = true" under '
                "[settings] in .druse/config.toml.",
                rule="[settings] crystallization",
            )
        block = self._base.rules.config.self_programming
        if not block.enabled:
            raise NotAllowed(
                'Cannot make a tool: self-programming is off. A person can switch it on with "enabled = true" under '
                '[self_programming] in .druse/config.toml and "druse policy approve".',
                rule="[self_programming] enabled",
            )
        limit = block.max_synthesis_per_session
        await self._base.quotas.spend("synthesis", caller, limit, setting=f"max_synthesis_per_session = {limit + 10}")

    async def _carried_on(self, report: Report) -> Report:
        """The report of a proposal, carried on by the trust level where that allows it."""
        if report.status != "proposed":
            return report
        granted = await self.register(report.approval_id)
        if granted is None:
            return report
        level = self._base.rules.trust_level
        message = f"{granted.details['name']} is in service by trust level {level}; it rolls back if it keeps failing."
        return replace(report, status="registered", message=message)

    def _check_free(self, name: str) -> None:
        if self._taken(name):
            raise Invalid(f"Cannot propose {name}: another tool has that name. Choose a name of its own.", where="name")

    async def propose(self, arguments: JsonObject, caller: Caller) -> Outcome:
        """Propose a tool that an agent wrote in its session (`propose_tool`). Raises Invalid, NotFound, NotAllowed."""
        name = str(arguments["name"])
        self._check_free(name)
        given = arguments.get("run_ids")
        listed = [str(one) for one in given] if isinstance(given, list) else []
        records = [await self._base.store.runs.get(run_id) for run_id in listed]
        known = list({record.run.id: record for record in records if record is not None}.values())
        strange = [run_id for run_id, record in zip(listed, records, strict=True) if not record]
        if strange:
            raise NotFound(f"Cannot propose {name}: no recorded run is called {', '.join(strange)}. See find_tools.")
        description = arguments.get("description")
        await self.spend_synthesis(caller)
        report = await self._carried_on(
            await self._crystallizer.propose_source(
                name,
                str(arguments["code"]),
                description if isinstance(description, str) else "",
                known,
                caller,
            )
        )
        status = OutcomeStatus.PENDING if report.status == "proposed" else OutcomeStatus.INVALID
        if report.status == "registered":
            return Outcome.of(report.as_dict())
        return Outcome(
            status, message=report.message, kind=report.status, approval_id=report.approval_id, details=report.as_dict()
        )
