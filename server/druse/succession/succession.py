"""From a verdict to a change: only APPROVE is put before a person, and only the person's yes applies it (N-43)."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, cast

from druse.crystal import Shelf, permissions_of, schema_of
from druse.crystal.commands import commands_of
from druse.crystal.manifest import call_sites
from druse.governance import Approval, Approvals, AuditChain, Rules
from druse.model import (
    Caller,
    Invalid,
    Json,
    JsonObject,
    NeedsApproval,
    NotFound,
    ToolSpec,
    ToolVersion,
    VersionStatus,
    digest,
    digest_text,
)
from druse.settings import Workspace
from druse.store import Store, VersionRecord
from druse.succession.fork import fork_successor
from druse.succession.verdict import APPROVE, Budget, Patch, Verdict, passes

KIND = "successor"
_TOOLS_KNOWN = 500  # runs whose tools are looked up for a change of the rules


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict, and the request that waits for a person where it is APPROVE."""

    verdict: Verdict
    approval_id: str = ""

    def as_dict(self) -> JsonObject:
        """For the CLI and for agents."""
        told = self.verdict.as_dict()
        if self.approval_id:
            told["approval_id"] = self.approval_id
            told["next"] = f'A person reads and applies it: "druse approvals show {self.approval_id}", then approve it.'
        return told


class Succession:
    """Forks successors of one workspace and applies what a person approved. Registers itself for those decisions."""

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        shelf: Shelf,
        approvals: Approvals,
        audit: AuditChain,
        rules: Rules,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._workspace = workspace
        self._store = store
        self._shelf = shelf
        self._approvals = approvals
        self._audit = audit
        self._rules = rules
        self._clock = clock
        approvals.on_decided(KIND, self._decided)

    async def fork(
        self,
        patch: Patch,
        task: str,
        budget: Budget,
        caller: Caller,
        *,
        specs: Callable[[Sequence[str]], Awaitable[Mapping[str, ToolSpec]]],
    ) -> Answer:
        """Try a patch; APPROVE becomes a request for a person. `task`: in words, what it is for.

        Raises NotFound where no such tool is in service, Invalid.
        """
        serving = self._serving(patch.tool) if patch.tool else None
        old = serving.source if serving else self._config_text()
        lines = difflib.unified_diff(old.splitlines(), patch.text.splitlines(), "in service", "successor", lineterm="")
        self._rules.refresh()
        tools: Mapping[str, ToolSpec] = {} if patch.tool else await specs(await self._recorded_tools(budget))
        approved = self._rules.record.content.as_json()
        verdict = await fork_successor(
            self._workspace, self._store, patch, budget, approved=approved, tools=tools, diff="\n".join(lines)
        )
        approval = await self._proposed(patch, task, verdict, serving, old, caller) if verdict.word == APPROVE else None
        told: JsonObject = {
            "verdict": verdict.word,
            "patch": digest(patch.as_dict()),
            "kind": patch.kind,
            "tests": len(verdict.tests),
            "denied": len(verdict.denied),
            "cost": verdict.cost,
            "parent": verdict.parent,
            "approval": approval.id if approval else "",
        }
        await self._audit.record("successor.judged", patch.tool or "config.toml", caller, told, cause=caller.cause)
        return Answer(verdict, approval.id if approval else "")

    async def apply(self, approval_id: str, caller: Caller) -> Approval:
        """The request, applied; where no person said yes, NeedsApproval or Invalid is raised and the chain says so."""
        try:
            approval = await self._approvals.get(approval_id)
            if approval.kind != KIND:
                raise Invalid(f"Cannot apply {approval.id}: it asks for a {approval.kind}, not for a successor.")
            if approval.status == "pending":
                raise NeedsApproval(
                    f'Cannot apply {approval.title}: only a person does, with "druse approvals approve {approval.id}".',
                    approval_id=approval.id,
                )
            if approval.status != "approved" or approval.applied_at is None:
                raise Invalid(f"Cannot apply {approval.title}: it is {approval.status} and not in force. Fork again.")
        except (Invalid, NeedsApproval, NotFound) as error:
            await self._audit.record("successor.refused", approval_id[:80], caller, {"why": str(error)})
            raise
        return approval

    # inside

    def _serving(self, name: str) -> ToolVersion:
        version = self._shelf.active.get(name)
        if version is None:
            raise NotFound(f'Cannot fork a successor of {name!r}: no such tool is in service. See "druse tools list".')
        return version

    def _config_text(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._workspace.config.read_text(encoding="utf-8")
        return ""

    async def _recorded_tools(self, budget: Budget) -> list[str]:
        found: set[str] = set()
        for kept in await self._store.runs.list(status="success", limit=min(budget.runs, _TOOLS_KNOWN)):
            record = await self._store.runs.get(kept.run.id)
            found.update(step.tool for step in (record.run.steps if record else ()))
        return sorted(found)

    async def _proposed(
        self, patch: Patch, task: str, verdict: Verdict, serving: ToolVersion | None, old: str, caller: Caller
    ) -> Approval:
        evidence = [test.run for test in verdict.tests]
        told: JsonObject = {"task": task, "verdict": verdict.as_dict(), "base": digest_text(old)}
        if serving is None:
            subject = digest({"config": patch.text, "base": digest_text(old)})
            title = f"Change of config.toml, tried on {len(evidence)} runs: {task or 'no task was named'}"
            details: JsonObject = {**told, "config": patch.text}
            return await self._approvals.request(KIND, subject, title, details, caller, evidence=evidence)
        records = {record.version: record for record in await self._store.tools.versions(serving.name)}
        workflow = records[serving.version].workflow
        version = _next(serving, patch.text, await self._store.tools.next_version(serving.name), verdict)
        title = (
            f"{version.name} v{version.version}, a successor tried on {len(evidence)} runs: {task or 'no task named'}"
        )
        details = {
            **told,
            "name": version.name,
            "version": version.version,
            "source": version.source,
            "manifest": version.manifest,
            "workflow": workflow,
        }
        approval = await self._approvals.request(KIND, version.approval_hash, title, details, caller, evidence=evidence)
        if approval.status == "pending" and approval.details.get("version") == version.version:
            now, tried = self._clock(), len(evidence)
            made = VersionRecord(
                *(version.name, version.version, VersionStatus.PROPOSED, version.approval_hash, workflow, now, now, ""),
                *(tried, tried),
                last_verified_at=now,
            )
            async with self._store.database.transaction() as transaction:
                await self._store.tools.add(transaction, made)
        return approval

    async def _decided(self, approval: Approval, caller: Caller) -> None:
        """What follows from a person's decision; doing it twice does no harm."""
        tool = "source" in approval.details
        if approval.status != "approved":
            if tool:
                await self._shelf.reject(approval, caller)
            return
        verdict = approval.details.get("verdict")
        if not isinstance(verdict, dict) or not passes(verdict):
            await self._refuse(approval, caller, "not every test of it passed")
        if tool:
            await self._put_in_service(approval, caller)
        else:
            await self._write_config(approval, caller)
        payload: JsonObject = {"approval": approval.id, "kind": "tool" if tool else "config"}
        subject = str(approval.details.get("name") or "config.toml")
        await self._audit.record("successor.applied", subject, caller, payload, cause=approval.decided_entry)

    async def _put_in_service(self, approval: Approval, caller: Caller) -> None:
        name, number = str(approval.details["name"]), approval.details["version"]
        await self._shelf.reload()
        serving = self._serving(name)
        if serving.version != number and digest_text(serving.source) != approval.details.get("base"):
            await self._refuse(approval, caller, f"{name} is another version by now than the one it was compared with")
        await self._shelf.publish(approval, caller)

    async def _write_config(self, approval: Approval, caller: Caller) -> None:
        text, now = str(approval.details["config"]), self._config_text()
        if digest({"config": text, "base": approval.details.get("base")}) != approval.subject_hash:
            await self._refuse(approval, caller, "the approval is for another text")
        if now == text:
            return
        if digest_text(now) != approval.details.get("base"):
            await self._refuse(approval, caller, "config.toml was changed since")
        waiting = self._workspace.config.with_name(f".config.{os.getpid()}")
        waiting.write_text(text, encoding="utf-8")
        waiting.replace(self._workspace.config)
        self._rules.refresh()

    async def _refuse(self, approval: Approval, caller: Caller, why: str) -> NoReturn:
        async with self._store.database.transaction(durable=True) as transaction:
            await self._store.approvals.set_status(transaction, approval.id, "expired", before="approved")
            await self._audit.append(transaction, "successor.refused", approval.id, caller, {"why": why})
        raise Invalid(f"Cannot apply {approval.title}: {why}. Fork a successor again.")


def _next(serving: ToolVersion, source: str, number: int, verdict: Verdict) -> ToolVersion:
    schema = schema_of(source)
    given, held = schema.get("properties"), serving.manifest.get("input_schema")
    properties = held.get("properties") if isinstance(held, dict) else None
    # The version in service knows its inputs better than annotations say, as long as they are the same.
    same = isinstance(given, dict) and isinstance(properties, dict) and set(given) == set(properties)
    manifest: JsonObject = {
        **serving.manifest,
        "version": number,
        "input_schema": held if same else schema,
        "output_schema": None,  # what the patch returns was not compared
        "permissions": list[Json](permissions_of(source)),
        "commands": [template.as_dict() for template in commands_of(source).templates],
        "steps": list[Json](call_sites(source)),
        "made_from": [test.run for test in verdict.tests],
        "made_by": "successor",
        "verification": [
            {"run": test.run, "calls": test.calls, "result": test.result, "detail": test.detail}
            for test in verdict.tests
        ],
        "sha256": digest_text(source),
    }
    schemas = manifest.get("upstream_schemas")
    known = cast("JsonObject", schemas) if isinstance(schemas, dict) else {}
    manifest["upstream_schemas"] = {tool: known.get(tool) for tool in sorted(permissions_of(source))}
    return ToolVersion(serving.name, number, source, manifest)
