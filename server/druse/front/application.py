"""Everything of one workspace, put together: what `druse serve` puts on the wire and what the commands use."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from druse.capabilities import Capabilities, Workbench
from druse.crystal import (
    Crystallizer,
    CrystalProvider,
    candidates,
    reload_once,
    signature_of,
)
from druse.crystal.candidates import Candidate
from druse.dispatch import Dispatcher
from druse.front.agents import Agents
from druse.front.agenttasks import AgentTasks
from druse.front.background import at_work, works_of
from druse.front.base import Base, new_id, open_base
from druse.front.chat import ChatTools
from druse.front.deferred import Deferred
from druse.front.documents import Documents
from druse.front.elicitation import Question, after_decision
from druse.front.finding import Finding
from druse.front.learning import Learning
from druse.front.profiles import Profile
from druse.front.results import result_of
from druse.front.scripts import Scripts
from druse.front.skilltools import SkillTools
from druse.front.surface import SURFACE
from druse.front.toolmaking import Toolmaking
from druse.governance import (
    InService,
    question,
)
from druse.jobs import Trigger
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
    UpstreamFailure,
    digest_text,
)
from druse.routing import ArgumentCheck, CallConsent, CallJournal, Registry, Router
from druse.runtime import SandboxHost
from druse.settings import Workspace
from druse.skills import digest_of
from druse.store import DeferredCall
from druse.upstream import Upstreams, servers_of
from druse.upstream.login import signing

log = logging.getLogger("druse.front")

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
        self.listeners: list[Callable[[], Awaitable[None]]] = []
        self._surface = {spec.name: spec for spec in SURFACE}
        self._surface_check = ArgumentCheck()
        self.crystal = CrystalProvider(
            base.shelf,
            host,
            base.store,
            specs=self.specs_of,
            clock=base.clock,
            pins=base.pins,
            trust=base.approvals.trust,
            up_to_date=self.up_to_date,
        )
        self.deferred = Deferred(
            base.store,
            base.recorder.handles.mask,
            clock=base.clock,
            spawn=self.spawn,
            after=base.config.knobs.task_seconds,
        )
        self.crystallizer = Crystallizer(
            base.store,
            host,
            base.approvals,
            specs=self.specs_of,
            clock=base.clock,
            serving=lambda: list(base.shelf.active.values()),
        )
        self.making = Toolmaking(
            base,
            self.crystallizer,
            specs_of=self.specs_of,
            taken=self._is_taken,
            changed=self.tools_changed,
            environment=environment,
        )
        self.capabilities = Capabilities()
        self.learning = Learning(base, self.capabilities, self.making)
        self.scheduler = self.learning.scheduler
        self.scripts = Scripts(base, host, self.call)
        skills = SkillTools(
            *(base.skills, base.notebook, self.documents_of),
            run_of=self.run_of,
            evolve=self._evolve_skills,
            memory=base.config.knobs.memory,
        )
        self.chat = ChatTools(
            self.documents_of, model=lambda: base.rules.fresh().model, run_of=self.run_of, environment=environment
        )
        self.background = AgentTasks(self.scripts, self.scheduler, base.store, base.recorder, new_id=new_id)
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
        self.finding = Finding(
            base, self.registry, self.documents, connect=self.connect_all, seen_by=self.crystal.spec_for
        )
        self.dispatcher = Dispatcher(
            base.store,
            base.shelf,
            base.recorder,
            self,
            host,
            find=lambda goal, caller: self.finding.find(goal, limit=6, caller=caller),
            version_for=self.crystal.version_for,
            suspended=self.crystal.suspended,
            follow_runs=base.config.knobs.candidate_runs,
        )
        self.capabilities.furnish(
            Workbench(
                *(self, self.making),
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

    async def up_to_date(self) -> None:
        """Take up what another process put in service or took out of it, if there is anything."""
        if self.base.shelf.stale:
            await reload_once(self.base.shelf, self.tools_changed)

    async def begin(self, caller: Caller) -> None:
        """Note, at a session's first request, which versions it goes on with (seed id N-09).

        What a person approved, replaced or retired in another process is in force for this request already.
        """
        await self.up_to_date()
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
            found = await self.finding.find(
                str(arguments["query"]),
                kind=kind if isinstance(kind, str) else None,
                limit=limit if isinstance(limit, int) else 8,
                detail=str(arguments.get("detail") or "schema"),
                caller=caller,
            )
            return Outcome.of({"results": list[Json](found), "call_with": "run_tool"})
        if name == "run_code":
            given = arguments.get("arguments")
            return await self.scripts.run_code(
                str(arguments["code"]), given if isinstance(given, dict) else {}, caller, progress
            )
        if name == "propose_tool":
            return await self.making.propose(arguments, caller)
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
        self.finding.stale = True
        answer: JsonObject = {"run_id": run_id, "status": str(closed.status), "workflow": signature_of(closed.workflow)}
        if not closed.changed:
            answer["note"] = "this run had been reported before; nothing changed"
        if closed.changed and not counts:
            answer["note"] = "the surroundings failed, not the work: this counts neither for nor against anything"
        notice = await self._notice(closed.workflow) if closed.changed and success else ""
        if notice:
            answer["notice"] = notice
        return Outcome.of(answer)

    async def specs_of(self, names: Sequence[str]) -> Mapping[str, ToolSpec]:
        """The tools of these names as they are now; their servers are connected."""
        for name in names:
            await self._prepare(name)
        entries = self.registry.entries()
        return {name: entries[name].spec for name in names if name in entries}

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
        """Learn now, or wait for the run that is under way; what it did. Raises Invalid where it failed."""
        return await self.learning.learn(caller, progress)

    def _is_taken(self, name: str) -> bool:
        held = self.registry.entries().get(name)
        return name in self._surface or (held is not None and held.spec.source is not Source.CRYSTAL)

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
        self.finding.stale = True
        self.scheduler.poke(Trigger.FILES)
        await self.documents.changed()

    async def tools_changed(self) -> None:
        """Something in the list of tools is different."""
        self.registry.retire(self.base.shelf.retired)
        self.registry.refresh()
        self.finding.stale = True
        await self._announce()

    async def _announce(self) -> None:
        for listener in self.listeners:
            await listener()

    def upstream_changed(self) -> None:
        """A server listed other tools."""
        self.registry.refresh()
        self.finding.stale = True


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
                sign=signing(workspace.keys),
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
        try:
            async with at_work(works_of(application)) as group:
                application.background.open(group)
                try:
                    yield application
                finally:
                    application.background.close()
        finally:
            await asyncio.shield(base.recorder.close_own())


def _status_of(error: DruseError) -> OutcomeStatus:
    if isinstance(error, NotAllowed):
        return OutcomeStatus.DENIED
    return OutcomeStatus.INVALID if isinstance(error, Invalid | NotFound) else OutcomeStatus.FAILED
