"""The whole way from a workflow to a proposal: retrieve, induce, parse, compile, lint, manifest, replay, propose.

Nothing is written to disk and nothing becomes callable here: a proposal is a request for approval that carries source
and manifest. A failure at any stage leaves files, tables and tool list as they were (seed ids H-14, H-20).
"""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from druse.crystal.candidates import Candidate, family_of, find_candidate, runs_of
from druse.crystal.commands import problems_of
from druse.crystal.composition import MAX_RUNS, Composed, parts_from
from druse.crystal.makers import Aligned, AlignedPart, Draft, HandedIn, Refused, Synthesizer, lacking, parameters_of
from druse.crystal.manifest import manifest_for, permissions_of, style_problems
from druse.crystal.parts import find_part
from druse.crystal.toolsmith import ATTEMPTS, Ask, Toolsmith
from druse.crystal.upkeep import TWIN, nearest
from druse.crystal.verification import Verification, dry_run
from druse.governance import Approval, Approvals
from druse.induction import Induction
from druse.model import (
    Caller,
    Invalid,
    Json,
    JsonObject,
    NotFound,
    ToolSpec,
    ToolVersion,
    VersionStatus,
)
from druse.runtime import SandboxHost
from druse.store import RunRecord, Store, VersionRecord
from druse.traces import HANDLE

_TOLD = ("parameters", "permissions", "economics", "reasons", "ambiguities")
STAGES = ("retrieve", "induce", "parse", "compile", "lint", "manifest", "replay", "propose")


@dataclass(frozen=True, slots=True)
class Report:
    """How far crystallization came. `status` is proposed, refused or failed; `stage` the last one reached."""

    status: str
    stage: str
    message: str
    induction: Induction | None = None
    verification: Verification | None = None
    version: ToolVersion | None = None
    approval_id: str = ""
    notes: tuple[str, ...] = field(default=())

    def as_dict(self) -> JsonObject:
        """For the CLI and for agents."""
        made: JsonObject = {"status": self.status, "stage": self.stage, "message": self.message}
        if self.version is not None:
            manifest = self.version.manifest
            made.update(
                {
                    "tool": self.version.name,
                    "version": self.version.version,
                    "source": self.version.source,
                    "approval_id": self.approval_id,
                    **{
                        key: manifest.get(key)
                        for key in ("parameters", "permissions", "commands", "economics", "reasons", "ambiguities")
                    },
                    **{key: manifest[key] for key in ("disagreements",) if key in manifest},
                }
            )
        elif self.induction is not None:
            made["source"] = self.induction.source
            made["reasons"] = list[Json](self.induction.reasons)
        if self.verification is not None:
            made["verification"] = [part.as_dict() for part in self.verification.left_out]
        if self.notes:
            made["notes"] = list[Json](self.notes)
        return made


class Crystallizer:
    """Makes proposals. `specs` answers with the tools known now, connecting servers where needed."""

    def __init__(
        self,
        store: Store,
        host: SandboxHost,
        approvals: Approvals,
        *,
        specs: Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]],
        clock: Callable[[], float],
        serving: Callable[[], Iterable[ToolVersion]] = tuple,
    ) -> None:
        self._serving = serving  # the tools in service now
        self._numbering = asyncio.Lock()  # from the choice of a version's number until it is taken
        self._store = store
        self._host = host
        self._approvals = approvals
        self._specs = specs
        self._clock = clock

    async def crystallize(
        self, signature: str, caller: Caller, *, name: str | None = None, whole: bool = False
    ) -> Report:
        """Make a tool of a workflow and ask for its approval; with `whole` none that does only its beginning."""
        candidate = await find_candidate(self._store, signature)
        if candidate is not None:
            records = await runs_of(self._store, candidate)
            return await self._through_gate(Aligned(candidate, records, name, whole=whole), caller)
        recurring = await find_part(self._store, signature)
        if recurring is not None:
            return await self._through_gate(AlignedPart(recurring, name), caller)
        raise NotFound(
            f'Cannot crystallize {signature!r}: no recorded workflow has that signature. List them with "druse '
            'candidates --min-usage 1".'
        )

    async def improve(
        self, name: str, caller: Caller, *, propose: bool = True, since: float = 0.0, whole: bool = False
    ) -> Report:
        """The next version of a tool in service, made of its runs and of those it did not fit. Raises NotFound.

        Only of runs that began after `since`, where the ones before were made with other servers.
        Status `suggested` where it is not to be proposed, `refused` where nothing better can be made.
        """
        serving = [r for r in await self._store.tools.versions(name) if r.status is VersionStatus.ACTIVE]
        if not serving:
            raise NotFound(f'Cannot improve {name!r}: no such tool is in service. See "druse tools list".')
        family = await family_of(self._store, serving[0].workflow)
        records = [r for r in await runs_of(self._store, family) if r.run.opened_at > since]
        maker = Aligned(family, records, name, next_version=True, whole=whole)
        return await self._through_gate(maker, caller, propose=propose)

    async def have_written(self, signature: str, caller: Caller, ask: Ask, *, name: str, made_by: str) -> Report:
        """Have a model write the tool of a workflow, told once what the gate refused. Raises NotFound."""
        candidate = await find_candidate(self._store, signature)
        if candidate is None:
            raise NotFound(
                f"Cannot have a tool of {signature!r} written: no recorded workflow has that signature. List them with "
                '"druse candidates --min-usage 1".'
            )
        records = await runs_of(self._store, candidate)
        maker = Toolsmith(candidate, records, await self._free_name(name, candidate), ask, made_by)
        report = await self._through_gate(maker, caller)
        for _ in range(ATTEMPTS - 1):
            if report.status == "proposed" or report.induction is None:
                return report
            maker = maker.again(report.induction.source, f"stage {report.stage}: {report.message}")
            report = await self._through_gate(maker, caller)
        return report

    async def propose_source(
        self,
        name: str,
        source: str,
        description: str,
        records: Sequence[RunRecord],
        caller: Caller,
        *,
        needs_person: bool = False,
    ) -> Report:
        """A tool handed in by an agent, through the same gate: its runs must replay equal (X-03).

        `needs_person`: no trust level puts it in service.
        """
        maker = HandedIn(name, source, description, records)
        return await self._through_gate(maker, caller, needs_person=needs_person)

    async def compose(self, name: str, listed: Sequence[Json], description: str, caller: Caller) -> Report:
        """A tool made of tools, through the same gate (see `druse.crystal.composition`). Raises Invalid."""
        parts = parts_from(listed)
        kept = await self._store.runs.list(status="success", limit=MAX_RUNS)
        records = [await self._store.runs.get(record.run.id) for record in reversed(kept)]
        known = [record for record in records if record is not None]
        return await self._through_gate(Composed(name, parts, known, description), caller)

    async def _through_gate(
        self, maker: Synthesizer, caller: Caller, *, propose: bool = True, needs_person: bool = False
    ) -> Report:
        """The one way from a draft to a proposal, whoever made the draft (seed id H-10)."""
        draft = await maker.draft(self._specs)
        if isinstance(draft, Refused):
            return Report("refused", draft.stage, draft.message, draft.induction)
        if draft.may_rename:
            free = await self._free_name(draft.induction.name, draft.candidate)
            draft = replace(draft, induction=replace(draft.induction, name=free))
        problem = await source_problem(self._host, draft.induction.source)
        if problem:
            return Report("failed", problem[0], problem[1], draft.induction)
        lack = lacking(draft.records, parameters_of(draft.induction.source))
        if lack:
            return Report("refused", "replay", lack, draft.induction)
        verification = await draft.prove(self._host, draft.induction)
        if verification.suspect and draft.otherwise is not None:
            other = draft.otherwise(verification.suspect)
            second = await self._through_gate(other, caller, propose=propose, needs_person=needs_person)
            if second.status in ("proposed", "suggested"):
                return second
        if not verification.passed:
            return Report("refused", "replay", verification.failure, draft.induction, verification)
        if not propose:
            message = f"{len(draft.records)} runs are reproduced"
            return Report("suggested", "replay", message, draft.induction, verification)
        return await self._propose(draft, verification, caller, needs_person=needs_person)

    async def propose_import(self, version: ToolVersion, origin: JsonObject, caller: Caller) -> Report:
        """A tool from another project: checked like any source, then put before a person. Nothing is in service."""
        problem = await source_problem(self._host, version.source)
        if problem:
            return Report("failed", problem[0], problem[1])
        if version.manifest.get("permissions") != permissions_of(version.source):
            return Report("failed", "manifest", "its manifest names other permissions than its code has")
        async with self._numbering:
            return await self._propose_import(version, origin, caller)

    async def _propose_import(self, version: ToolVersion, origin: JsonObject, caller: Caller) -> Report:
        number = await self._store.tools.next_version(version.name)
        manifest: JsonObject = {**version.manifest, "version": number, "imported": origin}
        made = ToolVersion(version.name, number, version.source, manifest)
        workflow = f"imported {made.name}"
        details: JsonObject = {
            "name": made.name,
            "version": number,
            "workflow": workflow,
            "source": made.source,
            "manifest": manifest,
            "needs_person": True,  # it was not proved here
        }
        title = f"Imported tool {made.name} v{number} by {origin['instance']}, not proved here: " + str(
            manifest.get("description") or ""
        )
        approval = await self._approvals.request("tool", made.approval_hash, title, details, caller)
        if approval.status != "pending":
            return Report("refused", "propose", f"exactly this tool is {approval.status} already: {approval.id}")
        if approval.details.get("version") == number:
            recorded = await self._record(made, Candidate("", (workflow,), "", 0, 0, None), [])
            if not recorded:
                return await self._overtaken(approval, made)
        message = f'{made.name} v{number} waits for a person: "druse approvals show {approval.id}", then approve it.'
        return Report("proposed", "propose", message, version=made, approval_id=approval.id)

    async def _propose(self, draft: Draft, verification: Verification, caller: Caller, *, needs_person: bool) -> Report:
        async with self._numbering:
            return await self._numbered(draft, verification, caller, needs_person=needs_person)

    async def _numbered(
        self, draft: Draft, verification: Verification, caller: Caller, *, needs_person: bool
    ) -> Report:
        candidate, records, induction = draft.candidate, draft.records, draft.induction
        number = await self._store.tools.next_version(induction.name)
        held = await self._held(induction.name, induction.source)
        number = held or number
        manifest = manifest_for(
            induction,
            number,
            records,
            draft.specs,
            verification,
            made_by=draft.made_by,
            disagreements=draft.disagreements,
        )
        aside = [str(part) for part in draft.disagreements if part.set_aside]
        version = ToolVersion(induction.name, number, induction.source, manifest)
        twin, alike = nearest(version, self._serving())
        if twin is not None and alike >= TWIN:
            message = (
                f"it is {alike:.0%} the same as {twin.name} v{twin.version}, which is in service; two tools that do "
                f"nearly the same are not kept. Improve {twin.name} instead: druse tools improve {twin.name}."
            )
            return Report("refused", "propose", message, induction, verification)
        details: JsonObject = {
            **({"disagreement": aside[0]} if aside else {}),
            "name": version.name,
            "version": number,
            "workflow": candidate.workflows[0],
            "source": version.source,
            "manifest": manifest,
            "dry_run": await dry_run(self._host, version.source, draft.inputs, records[-1].run),
            "needs_person": needs_person or bool(aside),
            "most_alike": {"tool": twin.name, "likeness": round(alike, 2)} if twin is not None else None,
        }
        title = f"New tool {version.name} v{number}: {induction.description}"
        if aside:
            title = f"ONE RUN DISAGREES. {title}"
        evidence = [record.run.id for record in records]
        approval = await self._approvals.request(
            "tool", version.approval_hash, title, details, caller, evidence=evidence
        )
        if approval.status == "rejected":
            said = f": {approval.note}" if approval.note else ""
            message = (
                f"a person rejected exactly this tool{said}. If they changed their mind, they run "
                f'"druse approvals approve {approval.id}".'
            )
            return Report("refused", "propose", message, induction, verification)
        waits = publishable(approval.details)  # another one where the very same code waits already
        own = (waits.name, waits.version) == (version.name, version.version)
        if held is None and own and not await self._record(version, candidate, records):
            return await self._overtaken(approval, version)
        message = (
            f'{waits.name} v{waits.version} waits for a person: "druse approvals show {approval.id}", then approve it.'
        )
        return Report("proposed", "propose", message, induction, verification, version, approval.id)

    async def _held(self, name: str, source: str) -> int | None:
        """The number of a proposal that waits already with this very source."""
        for approval in await self._approvals.list(open_only=True, limit=-1):
            details = approval.details
            if approval.kind == "tool" and (details.get("name"), details.get("source")) == (name, source):
                return publishable(details).version
        return None

    async def _overtaken(self, approval: Approval, version: ToolVersion) -> Report:
        """Another process gave the number to other code: nobody can approve this under it."""
        await self._approvals.withdraw("tool", only=approval.id)
        message = f"another {version.name} v{version.version} was proposed at the same moment. Propose it again."
        return Report("refused", "propose", message)

    async def _record(self, version: ToolVersion, candidate: Candidate, records: Sequence[RunRecord]) -> bool:
        """Note the version; False where other code has its number."""
        now = self._clock()
        runs = candidate.runs or len(records)
        record = VersionRecord(
            version.name,
            version.version,
            VersionStatus.PROPOSED,
            version.approval_hash,
            candidate.workflows[0],
            now,
            now,
            "",
            runs,
            candidate.successes or len(records),
            last_verified_at=now,
        )
        async with self._store.database.transaction() as transaction:
            there = await self._store.tools.get(version.name, version.version, transaction)
            if there is not None:
                return there.approval_hash == record.approval_hash
            await self._store.tools.add(transaction, record)
        return True

    async def _free_name(self, name: str, candidate: Candidate) -> str:
        """The name, unless a tool made of another workflow has it."""
        taken = {record.name for record in await self._store.tools.all() if record.workflow != candidate.workflows[0]}
        if name not in taken:
            return name
        number = next(number for number in range(2, 1000) if f"{name[:37]}_{number}" not in taken)
        return f"{name[:37]}_{number}"


async def source_problem(host: SandboxHost, source: str) -> tuple[str, str] | None:
    """The first stage that the source does not pass, and why."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError) as error:
        return "parse", str(error)
    report = await host.check(source)
    if not report.ok:
        return "compile", "; ".join(f"line {part.line}: {part.message}" for part in report.problems)
    problems = style_problems(source)
    try:
        permissions_of(source)
    except ValueError as error:
        problems.append(str(error))
    problems += problems_of(source)
    if any(isinstance(node, ast.Constant) and _is_secret(node.value) for node in ast.walk(tree)):
        problems.append("the handle of a secret stands in the code; a secret must be an input")
    return ("lint", "; ".join(problems)) if problems else None


def _is_secret(value: object) -> bool:
    return isinstance(value, str) and HANDLE.search(value) is not None


def publishable(details: JsonObject) -> ToolVersion:
    """The version that an approval of kind `tool` carries. Raises Invalid where it carries none."""
    name, number, source, manifest = (details.get(key) for key in ("name", "version", "source", "manifest"))
    if not (
        isinstance(name, str) and isinstance(number, int) and isinstance(source, str) and isinstance(manifest, dict)
    ):
        raise Invalid("Cannot publish: the approval carries no tool.", where="approval", problem="no tool")
    return ToolVersion(name, number, source, manifest)
