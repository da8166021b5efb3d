"""Everything of one workspace, put together: what `druse serve` puts on the wire and what the commands use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from mcp.shared.exceptions import MCPError

from druse.capabilities import Capabilities, Workbench
from druse.crystal import (
    Crystallizer,
    CrystalProvider,
    Report,
    candidates,
    due,
    is_whole,
    outgrown,
    propose_retirements,
    signature_of,
    watch,
)
from druse.crystal.candidates import Candidate
from druse.dispatch import Dispatcher
from druse.front.agents import Agents
from druse.front.agenttasks import AgentTasks
from druse.front.base import Base, new_id, open_base
from druse.front.chat import ChatTools
from druse.front.deferred import Deferred
from druse.front.documents import Documents
from druse.front.elicitation import Question, after_decision
from druse.front.profiles import Profile
from druse.front.results import result_of
from druse.front.skilltools import SkillTools
from druse.front.surface import SURFACE
from druse.governance import (
    Approval,
    InService,
    question,
)
from druse.jobs import CommitWatch, Scheduler, Trigger, jobs_of_server
from druse.localtools import LocalTools
from druse.model import (
    Caller,
    CallerKind,
    Decision,
    DruseError,
    Invalid,
    Json,
    JsonObject,
    NotAllowed,
    NotFound,
    Outcome,
    OutcomeStatus,
    Progress,
    Provider,
    Source,
    ToolSpec,
    ToolVersion,
    UpstreamFailure,
    digest_text,
)
from druse.past import take_quietly
from druse.retrieval import Finder, GoalEntry, SkillEntry
from druse.routing import ArgumentCheck, CallConsent, CallJournal, Registry, Router
from druse.runtime import EndRun, SandboxHost, ToolCallFailed
from druse.settings import Workspace
from druse.skills import digest_of, watch_skills
from druse.store import DeferredCall
from druse.upstream import Upstreams, servers_of
from druse.upstream.login import authorization, tokens_of

log = logging.getLogger("druse.front")

_IDLE_CHECK_SECONDS = 30.0
_SPOOL_CHECK_SECONDS = 1.0
_STAGES = ("historian: reading what ended", "evolution: drafting skills", "proposals: looking for tools")  # of learning
_DECISION_SECONDS = 1.0


class Application:
    """A workspace at work. Use `open_application`."""

    def __init__(
        self,
        base: Base,
        upstreams: Upstreams,
        host: SandboxHost,
        environment: Mapping[str, str],
        profile: Profile | None = None,
    ) -> None:
        self.base = base
        self._profile = profile
        self._group: asyncio.TaskGroup | None = None
        self._spawned: set[asyncio.Task[Any]] = set()
        self.upstreams = upstreams
        self.host = host
        self.skills = base.skills.library
        self.documents = Documents(base.skills, base.store, base.notebook, base.shelf, clock=base.clock)
        self.documents.agents = Agents(base.store, base.approvals, base.rules)
        knobs = base.config.knobs
        served = jobs_of_server(
            self._propose_best,
            self._learn,
            propose_seconds=knobs.propose_seconds,
            crystallization=knobs.crystallization,
        )
        jobs = [*base.jobs(), *served]
        owner = f"pid {os.getpid()}"
        self.scheduler = Scheduler(base.store, jobs, clock=base.clock, owner=owner, new_id=new_id)
        self._learner = Caller(CallerKind.JOB, session="job", client="druse")
        self._watching_learning: list[Progress] = []
        self.listeners: list[Callable[[], Awaitable[None]]] = []
        self._surface = {spec.name: spec for spec in SURFACE}
        self._surface_check = ArgumentCheck()
        self._finder = Finder(minilm=base.config.knobs.minilm)
        self._finder_stale = True
        self._environment = environment
        self._skills_seen: tuple[object, ...] = ()
        self.crystal = CrystalProvider(
            base.shelf,
            host,
            base.store,
            specs=self.specs_of,
            clock=base.clock,
            pins=base.pins,
            trust=base.approvals.trust,
        )
        self.deferred = Deferred(
            base.store,
            base.recorder.handles.mask,
            clock=base.clock,
            spawn=self.spawn,
            after=base.config.knobs.task_seconds,
        )
        self.capabilities = Capabilities()
        skills = SkillTools(
            *(base.skills, base.notebook, self.documents_of),
            run_of=self.run_of,
            evolve=self._evolve_skills,
            memory=base.config.knobs.memory,
        )
        self.chat = ChatTools(
            self.documents_of, model=lambda: base.rules.fresh().model, run_of=self.run_of, environment=environment
        )
        self.background = AgentTasks(self, self.scheduler, base.store, base.recorder, new_id=new_id)
        local = LocalTools(base.workspace.root, decide=self._decide, environment=environment)
        # Before learned and upstream tools: none of them can take a capability's name, and with it its class.
        outside: list[Provider] = [profile] if profile else [upstreams]
        own = [self.capabilities, skills, self.chat, self.background, self.crystal]
        inside = [*([] if profile else [local]), *own]
        self.registry = Registry([*inside, *outside], seen_by=self.crystal.spec_for)
        self.router = Router(
            self.registry,
            decide=self._decide,
            consent=CallConsent(base.approvals, base.recorder),
            journal=CallJournal(base.store, base.audit, base.recorder),
            clock=base.clock,
            parallel_reads=base.config.knobs.parallel_reads,
            max_depth=lambda: base.rules.config.self_programming.max_plan_depth,
        )
        self.crystal.router = self.router
        self.crystallizer = Crystallizer(
            base.store,
            host,
            base.approvals,
            specs=self.specs_of,
            clock=base.clock,
            serving=lambda: list(base.shelf.active.values()),
        )
        self.dispatcher = Dispatcher(
            base.store,
            base.shelf,
            base.recorder,
            self,
            host,
            find=lambda goal, caller: self.find(goal, limit=6, caller=caller),
            version_for=self.crystal.version_for,
            suspended=self.crystal.suspended,
            follow_runs=base.config.knobs.candidate_runs,
        )
        self.capabilities.furnish(
            Workbench(
                self,
                *(base.store, base.audit, base.approvals, base.recorder, base.shelf, base.rules, host, self.registry),
                *(self.router, self.dispatcher, self.skills, self.crystallizer),
                *(base.succession, base.clock, new_id, base.workspace.root),
            )
        )

    # what the wire needs

    async def ready(self) -> Application:
        """Itself: it is open."""
        return self

    async def listing(self, caller: Caller) -> Sequence[ToolSpec]:
        """The fixed surface and the first crystallized tools, in the versions that the caller's session began with."""
        await self.begin(caller)
        learned = self.crystal.specs()[: self.base.config.knobs.pinned_tools]
        fixtures = self._profile.specs() if self._profile else ()
        return [*SURFACE, *(self.crystal.spec_for(spec, caller) for spec in learned), *fixtures]

    async def documents_for(self, caller: Caller) -> Documents:
        """Resources and prompts, with the texts of skills that the caller's session began with."""
        await self.begin(caller)
        return self.documents_of(caller)

    def documents_of(self, caller: Caller) -> Documents:
        """The same, for a session that has begun."""
        return self.documents.seen_by(self.base.pins.of(caller))

    async def begin(self, caller: Caller) -> None:
        """Note, at a session's first request, which versions it goes on with (seed id N-09)."""
        if await self.base.pins.begin(caller, self._in_service) and caller.session != caller.connection:
            listed = self.base.pins.of(replace(caller, session=caller.connection))
            begun = self.base.pins.of(caller)
            if listed is not None and begun is not None and listed.tools != begun.tools:
                await self._announce()  # a conversation taken up again: its connection was listed newer versions

    async def _in_service(self) -> InService:
        skills = [skill for skill in await asyncio.to_thread(self.skills.all) if skill.usable]
        return InService(
            {name: version.version for name, version in self.base.shelf.active.items()},
            {skill.name: (skill.origin, digest_of(skill.text), skill.text) for skill in skills},
        )

    @asynccontextmanager
    async def tasks(self) -> AsyncGenerator[None]:
        """Where `spawn` starts its work; at the end of the block the work is stopped."""
        async with asyncio.TaskGroup() as self._group:
            try:
                yield
            finally:
                for task in list(self._spawned):
                    task.cancel()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start work that no request owns; it is stopped with the application. It keeps its errors to itself."""
        assert self._group is not None  # `open_application` entered `tasks`
        task = self._group.create_task(work)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)
        return task

    async def serve_call(self, name: str, arguments: Json, caller: Caller, progress: Progress | None) -> Outcome:
        """One `tools/call`: a tool of the surface, or any other tool by its name."""
        await self.begin(caller)
        spec = self._surface.get(name)
        if spec is None:
            return await self.call(name, arguments, caller, progress=progress)
        try:
            checked = self._surface_check.check(spec, arguments)
            return await self._on_surface(name, checked, caller, progress)
        except DruseError as error:
            return Outcome(_status_of(error), message=str(error), kind=error.kind)

    async def question(self, approval_id: str) -> Question | None:
        """What the client is asked before this is decided; None where its answer may not decide it."""
        approval = await self.base.approvals.get(approval_id)
        if approval.status != "pending" or not self.base.approvals.elicits(approval):
            return None
        seconds = self.base.rules.config.knobs.elicit_seconds
        return Question(approval.id, str(approval.details.get("tool")), question(approval), seconds)

    async def waits_with(self, approval_id: str) -> str:
        """The tool that an approval is for."""
        return str((await self.base.approvals.get(approval_id)).details.get("tool"))

    async def decided(self, approval_id: str) -> str:
        """Wait until an approval is decided or has expired; its status then."""
        while True:
            status = (await self.base.approvals.get(approval_id)).status
            if status != "pending":
                return status
            await asyncio.sleep(_DECISION_SECONDS)  # it is decided by another process, which tells nobody

    async def go_on_with(self, held: DeferredCall, caller: Caller) -> Any:
        """The end of a call that waited for a person when the server ended."""
        name, arguments = str((held.call or {})["name"]), (held.call or {})["arguments"]
        first = Outcome(OutcomeStatus.PENDING, message=held.message, approval_id=held.approval_id)
        try:
            outcome = await after_decision(self, first, partial(self.serve_call, name, arguments, caller, None))
        except DruseError as error:
            outcome = Outcome(_status_of(error), message=str(error), kind=error.kind)
        return result_of(outcome)

    async def answer(self, approval_id: str, caller: Caller, *, approve: bool) -> None:
        """Take the client's answer for a decision. Raises NotAllowed, NotFound, Invalid."""
        await self.base.approvals.answer(approval_id, caller, approve=approve)

    async def call(self, name: str, arguments: Json, caller: Caller, *, progress: Progress | None = None) -> Outcome:
        """One call through the router; the server that owns the tool is connected first where needed."""
        problem = await self._prepare(name)
        outcome = await self.router.call(name, arguments, caller, progress=progress)
        await self.base.declarations.settle()
        broken = self.upstreams.unusable.get(name)
        if outcome.kind == "not_found" and broken:
            problem = (
                f"Cannot call {name}: {broken}. Its server's other tools can be called; report it to its maintainer."
            )
        if outcome.kind == "not_found" and problem:
            return replace(outcome, status=OutcomeStatus.FAILED, message=problem, kind="upstream_failure")
        return outcome

    async def _on_surface(self, name: str, arguments: JsonObject, caller: Caller, progress: Progress | None) -> Outcome:
        if name == "run_tool":
            given = arguments.get("arguments")
            return await self.call(
                str(arguments["name"]), given if given is not None else {}, caller, progress=progress
            )
        if name == "dispatch_goal":
            given = arguments.get("arguments")
            goal = digest_text(self.base.recorder.handles.mask_text(str(arguments["goal"])))
            # The goal itself stands in the run; what the chain says of it cannot be turned back into words.
            cause = await self.base.audit.record("goal.dispatched", caller.session, caller, {"goal": goal})
            if not arguments.get("dry_run") and not given:
                tasks = await self.capabilities.orchestrating.graph_for(
                    str(arguments["goal"]), replace(caller, cause=cause)
                )
                if tasks is not None:
                    return tasks
            return await self.dispatcher.dispatch(
                str(arguments["goal"]),
                replace(caller, cause=cause),
                arguments=given if isinstance(given, dict) else None,
                dry_run=bool(arguments.get("dry_run")),
                replay=bool(arguments.get("replay")),
                progress=progress,
            )
        if name == "find_tools":
            limit, kind = arguments.get("limit"), arguments.get("kind")
            found = await self.find(
                str(arguments["query"]),
                kind=kind if isinstance(kind, str) else None,
                limit=limit if isinstance(limit, int) else 8,
                detail=str(arguments.get("detail") or "schema"),
                caller=caller,
            )
            return Outcome.of({"results": list[Json](found), "call_with": "run_tool"})
        if name == "run_code":
            given = arguments.get("arguments")
            return await self.run_code(
                str(arguments["code"]), given if isinstance(given, dict) else {}, caller, progress
            )
        if name == "propose_tool":
            return await self._propose(arguments, caller)
        if name == "load_skill":
            skill = await self.documents_of(caller).load(str(arguments["name"]))
            await self.documents.used(skill, self.run_of(caller))
            return Outcome(OutcomeStatus.OK, data=skill.text)
        note = arguments.get("note")
        run_id = str(arguments.get("run_id") or self.base.recorder.current(caller))
        told = note if isinstance(note, str) else ""
        cost, tokens = arguments.get("cost"), arguments.get("tokens")
        return await self.report(
            run_id,
            caller,
            success=bool(arguments["success"]),
            note=told,
            cost=float(cost) if isinstance(cost, int | float) else None,
            tokens=tokens if isinstance(tokens, int) else None,
        )

    def run_of(self, caller: Caller) -> str:
        """The run now open in the caller's session, empty where there is none."""
        try:
            return self.base.recorder.current(caller)
        except NotFound:
            return ""

    # use cases

    async def connect_all(self) -> None:
        """Connect every server once, so that its tools are known."""
        if any(not part["connected"] for part in self.upstreams.status()):
            await self.upstreams.connect()

    async def find(
        self,
        query: str,
        *,
        kind: str | None = None,
        limit: int = 8,
        detail: str = "schema",
        caller: Caller | None = None,
    ) -> list[JsonObject]:
        """Tools, skills and past runs that fit a query, as the caller knows them. Connects every server once."""
        await self.connect_all()
        skills_now = self.skills.stamp()
        if self._finder_stale or skills_now != self._skills_seen:
            self._skills_seen = skills_now
            records = await self.base.store.runs.list(status="success", limit=500)
            goals = {
                record.workflow: GoalEntry(record.run.id, record.run.goal) for record in records if record.run.goal
            }
            skills = [SkillEntry(s.name, s.description) for s in self.skills.all() if not s.problem]
            self._finder.fill(self.registry.specs(), skills, list(goals.values()))
            self._finder_stale = False
        found = self._finder.find(
            query, kind=kind, limit=limit, detail=detail, seen=lambda spec: self.crystal.spec_for(spec, caller)
        )
        await self.documents.offer([str(row.get("name")) for row in found if row.get("kind") == "skill"])
        return found

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
        run_id = await self.base.recorder.run_of(caller)
        await self.base.store.runs.count_request(run_id)
        cause = await self.base.audit.record("code.run", run_id, caller, {"code": digest_text(code)})
        scripted = replace(caller, kind=CallerKind.CODE, run_id=run_id, cause=cause)

        async def call(tool: str, given: JsonObject) -> Json:
            if before_call is not None:
                before_call(tool)
            outcome = await self.call(tool, given, scripted)
            if outcome.ok:
                return outcome.data
            if outcome.status in (OutcomeStatus.PENDING, OutcomeStatus.DENIED):
                raise EndRun(outcome)
            details: JsonObject = {"result": outcome.data}
            raise ToolCallFailed(outcome.message, kind=outcome.kind or "tool_error", details=details)

        result = await self.host.run(code, arguments, call=call, mode="script", progress=progress)
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

    async def report(
        self,
        run_id: str,
        caller: Caller,
        *,
        success: bool,
        note: str = "",
        cost: float | None = None,
        tokens: int | None = None,
    ) -> Outcome:
        """How a run went; tells once when its workflow has become a candidate (seed id H-35).

        `cost` in USD and `tokens` as the host knows them; None stays unknown (seed id H-32).
        """
        counts = success or not await self._surroundings_failed(run_id)
        closed = await self.base.recorder.close(
            run_id, success=success, note=note, cost=cost, tokens=tokens, counts=counts
        )
        if closed.changed:
            await self.base.audit.record("run.reported", run_id, caller, {"success": success})
            self.scheduler.poke(Trigger.SESSION_END)
        self._finder_stale = True
        answer: JsonObject = {"run_id": run_id, "status": str(closed.status), "workflow": signature_of(closed.workflow)}
        if not closed.changed:
            answer["note"] = "this run had been reported before; nothing changed"
        if closed.changed and not counts:
            answer["note"] = "the surroundings failed, not the work: this counts neither for nor against anything"
        notice = await self._notice(closed.workflow) if closed.changed and success else ""
        if notice:
            answer["notice"] = notice
        return Outcome.of(answer)

    async def crystallize(
        self, signature: str, caller: Caller, *, name: str | None = None, whole: bool = False
    ) -> Report:
        """Make a proposal of a workflow; where the trust level allows it, put the tool in service at once."""
        await self.spend_synthesis(caller)
        return await self._registered(await self.crystallizer.crystallize(signature, caller, name=name, whole=whole))

    async def have_written(self, signature: str, caller: Caller, *, name: str) -> Report:
        """Have the configured model write the tool of a workflow, through the same gate. Raises Invalid without one."""
        provider = self.base.rules.fresh().model
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
            await self.base.audit.record("model.asked", signature, caller, payload, durable=True)
            return (await llm.ask(provider, system, message, self._environment)).text

        made_by = f"model {provider.model}"
        written = await self.crystallizer.have_written(signature, caller, ask, name=name, made_by=made_by)
        return await self._registered(written)

    async def compose(self, name: str, parts: Sequence[Json], description: str, caller: Caller) -> Report:
        """Propose a tool made of tools; where the trust level allows it, put it in service at once. Raises Invalid."""
        self._check_free(name)
        await self.spend_synthesis(caller)
        return await self._registered(await self.crystallizer.compose(name, parts, description, caller))

    async def offer(self, name: str, code: str, description: str, run_ids: Sequence[str], caller: Caller) -> Report:
        """Propose a tool that came from outside of a session; only a person puts it in service. Raises Invalid."""
        self._check_free(name)
        records = [await self.base.store.runs.get(run_id) for run_id in run_ids]
        known = [record for record in records if record is not None]
        await self.spend_synthesis(caller)
        return await self.crystallizer.propose_source(name, code, description, known, caller, needs_person=True)

    async def take_in(self, version: ToolVersion, origin: JsonObject, caller: Caller) -> Report:
        """Propose a tool that another project exported; only a person puts it in service. Raises Invalid."""
        self._check_free(version.name)
        await self.spend_synthesis(caller)
        return await self.crystallizer.propose_import(version, origin, caller)

    async def improve(self, tool: str, caller: Caller, *, since: float = 0.0) -> Report:
        """Propose the next version of a learned tool; where the trust level allows it, put it in service at once."""
        await self.spend_synthesis(caller)
        return await self._registered(await self.crystallizer.improve(tool, caller, since=since))

    async def tend(self, caller: Caller) -> JsonObject:
        """Propose what the evidence says of the tools in service: new versions, retirements (seed id H-39)."""
        improved: list[Json] = []
        serving = list(self.base.shelf.active.values())
        suspended = await outgrown(self.base.store, serving, self.specs_of, self.base.clock())
        for part in suspended:
            told: JsonObject = {"tool": f"{part.name} v{part.version}", "reason": part.text}
            if part.successes < self.base.config.knobs.candidate_runs:
                wanted = self.base.config.knobs.candidate_runs
                told |= {"status": "waits", "message": f"{part.text} {part.successes} of {wanted} runs since then"}
            else:
                report = await self.improve(part.name, caller, since=part.since)
                told |= {"status": report.status, "message": report.message}
            improved.append(told)
        for version in serving:
            if not is_whole(version) and version.name not in {part.name for part in suspended}:
                # Later runs may show what stood behind the beginning; then the whole replaces it.
                report = await self.crystallizer.improve(version.name, caller, whole=True)
                if report.status == "proposed":
                    report = await self._registered(report)
                    made: JsonObject = {"tool": f"{version.name} v{version.version}", "status": report.status}
                    improved.append(made | {"message": report.message})
        for part in await due(self.base.store):
            if part.name in {other.name for other in suspended}:
                continue
            report = await self.improve(part.name, caller)
            improved.append({**part.as_dict(), "status": report.status, "message": report.message})
        asked = await propose_retirements(self.base.store, self.base.approvals, caller, self.base.clock())
        retiring: list[Json] = [{"approval_id": approval.id, "title": approval.title} for approval in asked]
        return {"improved": improved, "retiring": retiring}

    async def register(self, approval_id: str) -> Approval | None:
        """Put a proposed tool in service where the trust level lets Druse; None where a person has to."""
        granted = await self.base.approvals.grant(approval_id, Caller(CallerKind.JOB, client="druse"))
        if granted is not None:
            await self.base.shelf.reload()
            await self.tools_changed()
            self.base.shelf.files.touch()
        return granted

    async def spend_synthesis(self, caller: Caller) -> None:
        """Count an attempt to make or change a tool. Raises NotAllowed where that is off or the quota used up."""
        if not self.base.config.knobs.crystallization:
            raise NotAllowed(
                'Cannot make a tool: crystallization is switched off. A person can set "crystallization = true" under '
                "[settings] in .druse/config.toml.",
                rule="[settings] crystallization",
            )
        block = self.base.rules.config.self_programming
        if not block.enabled:
            raise NotAllowed(
                'Cannot make a tool: self-programming is off. A person can switch it on with "enabled = true" under '
                '[self_programming] in .druse/config.toml and "druse policy approve".',
                rule="[self_programming] enabled",
            )
        limit = block.max_synthesis_per_session
        await self.base.quotas.spend("synthesis", caller, limit, setting=f"max_synthesis_per_session = {limit + 10}")

    async def _registered(self, report: Report) -> Report:
        """The report of a proposal, carried on by the trust level where that allows it."""
        if report.status != "proposed":
            return report
        granted = await self.register(report.approval_id)
        if granted is None:
            return report
        level = self.base.rules.trust_level
        message = f"{granted.details['name']} is in service by trust level {level}; it rolls back if it keeps failing."
        return replace(report, status="registered", message=message)

    async def specs_of(self, names: Sequence[str]) -> Mapping[str, ToolSpec]:
        """The tools of these names as they are now; their servers are connected."""
        for name in names:
            await self._prepare(name)
        entries = self.registry.entries()
        return {name: entries[name].spec for name in names if name in entries}

    def _check_free(self, name: str) -> None:
        held = self.registry.entries().get(name)
        if name in self._surface or (held is not None and held.spec.source is not Source.CRYSTAL):
            raise Invalid(f"Cannot propose {name}: another tool has that name. Choose a name of its own.", where="name")

    async def _propose(self, arguments: JsonObject, caller: Caller) -> Outcome:
        name = str(arguments["name"])
        self._check_free(name)
        listed = arguments.get("run_ids")
        records = [await self.base.store.runs.get(str(i)) for i in (listed if isinstance(listed, list) else [])]
        known = list({record.run.id: record for record in records if record is not None}.values())
        strange = [
            str(i) for i, record in zip(listed if isinstance(listed, list) else [], records, strict=True) if not record
        ]
        if strange:
            raise NotFound(f"Cannot propose {name}: no recorded run is called {', '.join(strange)}. See find_tools.")
        description = arguments.get("description")
        await self.spend_synthesis(caller)
        report = await self._registered(
            await self.crystallizer.propose_source(
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

    async def _surroundings_failed(self, run_id: str) -> bool:
        record = await self.base.store.runs.get(run_id)
        return record is not None and (await self.capabilities.teaching.diagnosis(record)).environment

    async def _notice(self, workflow: str) -> str:
        if not self.base.config.knobs.crystallization:
            return ""
        kin = await self.candidates(kin_of=workflow)
        found: Candidate | None = next((c for c in kin if workflow in c.workflows), None)
        if found is None:
            return ""
        text = (
            f"Candidate for crystallization! {found.successes} of {found.runs} runs of this workflow went well. "
            f'A person can make it one tool: "druse crystallize {found.signature}".'
        )
        given = await self.base.store.notices.give("candidate", found.signature, text, now=self.base.clock())
        if given:
            log.warning("%s", text)
        return text if given else ""

    async def learn(self, caller: Caller, progress: Progress | None) -> JsonObject:
        """Learn now, or wait for the run that is under way, also in another process; what it did.

        Raises Invalid where it failed.
        """
        if progress is not None:
            self._watching_learning.append(progress)
        try:
            mine = f"agent {new_id()}"
            busy = await self.base.store.jobs.running("learning", now=self.base.clock())
            if busy is None:
                self._learner = caller
            elif progress is not None:
                await progress(0, len(_STAGES), f"waiting for the run that {busy.owner} began")
            run = await self.scheduler.run_now("learning", cause=mine)
        finally:
            if progress is not None:
                self._watching_learning.remove(progress)
        if run.status != "done":
            raise Invalid(
                f"Cannot learn now: {run.report.get('problem', run.status)}. See druse jobs history learning."
            )
        return {**run.report, "run": run.id, "joined": run.cause != mine}

    async def _learn(self) -> JsonObject:
        caller, report = self._learner, dict[str, Json]()
        for number, stage in enumerate(_STAGES):
            await self._tell_learning(number, stage)
            try:
                if stage == _STAGES[-1]:
                    if not self.base.config.knobs.crystallization:
                        report["looked_at"] = []
                        continue
                    report["looked_at"] = list[Json](await self.capabilities.teaching.propose(caller))
                else:
                    name = stage.split(":")[0]
                    if name in self.scheduler.jobs:  # it is switched on
                        report[name] = await self.scheduler.jobs[name].work()
            except DruseError as error:
                if stage == _STAGES[-1]:
                    raise
                report[stage.split(":")[0]] = {"problem": str(error)[:500]}  # without git there are no volumes
        await self._tell_learning(len(_STAGES), "done")
        return report

    async def _propose_best(self) -> JsonObject:
        """The job that proposes the best workflows as tools; a person, or trust level 3, decides (seed id H-37)."""
        if not (self.base.rules.config.self_programming.enabled and self.base.config.knobs.crystallization):
            return {"looked_at": [], "why": "switched off"}
        job = Caller(CallerKind.JOB, session="job", client="druse")
        proposed = list[Json](await self.capabilities.teaching.propose(job))
        return {"looked_at": proposed, "tended": await self.tend(job)}

    async def _tell_learning(self, number: int, text: str) -> None:
        for watching in list(self._watching_learning):
            with contextlib.suppress(OSError, MCPError, anyio.ClosedResourceError, anyio.BrokenResourceError):
                await watching(number, len(_STAGES), text)  # who is gone is not told

    async def _evolve_skills(self) -> JsonObject:
        """Run the job that drafts skills, or join it where it is running (seed id L-22)."""
        run = await self.scheduler.run_now("evolution", cause="asked")
        return {"status": "completed" if run.status == "done" else run.status, **run.report}

    def decide(self, spec: ToolSpec, arguments: JsonObject, caller: Caller) -> Decision:
        """What the one decision function says of something served beside the tools."""
        return self._decide(spec, arguments, caller)

    async def candidates(self, *, kin_of: str = "") -> list[Candidate]:
        """Workflows ready to become tools, by the configured thresholds; only the kin of one, if it is given."""
        knobs = self.base.config.knobs
        return await candidates(
            self.base.store, min_usage=knobs.candidate_runs, min_success=knobs.candidate_success, kin_of=kin_of
        )

    # inside

    async def _prepare(self, name: str) -> str:
        """Connect the server that a name belongs to; the problem if that fails."""
        if name in self.registry.entries():
            return ""
        owner = self.upstreams.owner_of(name)
        problems = await self.upstreams.connect([owner] if owner else None)
        if owner and not problems and name not in self.registry.entries():
            try:
                await self.upstreams.relist(owner)
            except UpstreamFailure as error:
                return str(error)
        return next(iter(problems.values()), "") if owner else ""

    def _decide(self, spec: ToolSpec, arguments: JsonObject, caller: Caller) -> Decision:
        in_sandbox = caller.kind in (CallerKind.TOOL, CallerKind.CODE, CallerKind.REPLAY)
        if in_sandbox and not self.host.holds and not self.base.config.knobs.unconfined_effects:
            caller = replace(caller, unconfined=True)
        return self.base.declarations.checked(spec, self.base.rules.decide(spec, spec.name, arguments, caller))

    async def skills_changed(self) -> None:
        """A skill was added, changed or taken away."""
        self._finder_stale = True
        self.scheduler.poke(Trigger.FILES)
        await self.documents.changed()

    async def tools_changed(self) -> None:
        """Something in the list of tools is different."""
        self.registry.retire(self.base.shelf.retired)
        self.registry.refresh()
        self._finder_stale = True
        await self._announce()

    async def _announce(self) -> None:
        for listener in self.listeners:
            await listener()

    def upstream_changed(self) -> None:
        """A server listed other tools."""
        self.registry.refresh()
        self._finder_stale = True


@asynccontextmanager
async def open_application(
    workspace: Workspace,
    *,
    background: bool = False,
    environment: Mapping[str, str] = os.environ,
    profile: Profile | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncGenerator[Application]:
    """A workspace at work until the block ends. `background` also watches for new versions and closes idle runs.

    `environment` is the client's: mcp.json may name variables of it, and child processes see a harmless part. With a
    profile its tools take the place of the project's servers and local tools. `clock` gives seconds since the epoch.
    """
    async with contextlib.AsyncExitStack() as stack:
        base = await stack.enter_async_context(open_base(workspace, clock=clock))
        knobs = base.config.knobs
        holder: list[Application] = []

        async def questioned(server: str, caller: Caller, action: str) -> None:
            await base.audit.record("upstream.asked", server, caller, {"answer": action})

        upstreams = await stack.enter_async_context(
            Upstreams.open(
                () if profile else servers_of(workspace, environment),
                environment=environment,
                logs=workspace.state / "logs",
                connect_timeout=knobs.connect_timeout,
                call_timeout=knobs.call_timeout,
                on_question=questioned,
                sign=lambda entry: authorization(entry, tokens_of(entry, workspace.keys / "oauth")),
                on_change=lambda: holder[0].upstream_changed() if holder else None,
            )
        )
        host = await stack.enter_async_context(SandboxHost.open())
        application = Application(base, upstreams, host, environment, profile)
        await stack.enter_async_context(application.tasks())
        holder.append(application)
        await application.tools_changed()
        if not background:
            yield application
            return
        workspace.generated.mkdir(parents=True, exist_ok=True)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch(base.shelf, workspace.generated, application.tools_changed))
            idling = group.create_task(_close_idle(base))
            hearing = group.create_task(_hear_hooks(base))
            recovering = group.create_task(application.deferred.run(application.go_on_with))
            reading = group.create_task(watch_skills(application.skills, application.skills_changed))
            working = group.create_task(application.scheduler.run())
            waiting = [job.name for job in application.scheduler.jobs.values() if job.on_commit is not None]
            looking = group.create_task(CommitWatch(workspace.root, base.store, waiting).run())
            application.background.open(group)
            try:
                yield application
            finally:
                application.background.close()
                watching.cancel()
                idling.cancel()
                hearing.cancel()
                recovering.cancel()
                reading.cancel()
                working.cancel()
                looking.cancel()
                await asyncio.shield(base.recorder.close_own())


async def _close_idle(base: Base) -> None:
    while True:
        try:
            await base.recorder.close_idle()
        except DruseError as error:
            log.warning("idle runs were not closed: %s", error)
        await asyncio.sleep(_IDLE_CHECK_SECONDS)


async def _hear_hooks(base: Base) -> None:
    while True:
        await asyncio.sleep(_SPOOL_CHECK_SECONDS)
        await take_quietly(base.ingestion)


def _traced(code: str, line: int, kind: str, message: str) -> str:
    """Where a script stopped, in its own lines."""
    lines = code.splitlines()
    text = lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""
    return f"line {line}{f', `{text}`' if text else ''}: {kind}: {message}"


def _status_of(error: DruseError) -> OutcomeStatus:
    if isinstance(error, NotAllowed):
        return OutcomeStatus.DENIED
    return OutcomeStatus.INVALID if isinstance(error, Invalid | NotFound) else OutcomeStatus.FAILED
