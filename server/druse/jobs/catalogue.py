"""The jobs of a workspace: what they do, when, and what lets them run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeAlias

from druse.governance import AuditChain
from druse.jobs.commits import CommitWatch
from druse.jobs.job import Job, Trigger
from druse.memory import Dream, Notebook, compact, dreams, rendered
from druse.model import Caller, CallerKind, DruseError, Invalid, Json, JsonObject
from druse.skills import (
    Message,
    SkillDesk,
    SkillDocument,
    VolumeKind,
    high_use,
    memory_view,
    parse,
    run_team_evolution,
    run_user_evolution,
)
from druse.store import Store

NIGHTLY, WEEKLY, MONTHLY, HOURLY = "30 3 * * *", "0 4 * * 1", "0 5 1 * *", "7 * * * *"
COMMITS = "commits"
_OF_MEMORY = ("historian", "dreamer", COMMITS)
_OF_CRYSTALLIZATION = ("dreamer", "evolution", "team-evolution")
MAX_VIEWED = 1000  # memories in the readable view


Work: TypeAlias = "Callable[[], Awaitable[JsonObject]]"


def job_caller(name: str) -> Caller:
    """A job as a caller."""
    return Caller(CallerKind.JOB, session=f"job-{name}", connection="jobs", client=f"job {name}")


def jobs_of(
    store: Store,
    desk: SkillDesk,
    notebook: Notebook,
    audit: AuditChain,
    *,
    root: Path,
    archive_days: int = 90,
    memory: bool = True,
    crystallization: bool = True,
    clock: Callable[[], float],
) -> list[Job]:
    """The jobs over one workspace's parts; `root` is its folder. Runs are archived after so many days, 0: never."""
    watch = CommitWatch(root, store, (COMMITS,))

    async def historian() -> JsonObject:
        done = await notebook.remember()
        await store.events.index()
        report: JsonObject = {**asdict(done)}
        held = await notebook.list(limit=MAX_VIEWED)
        if held or desk.volumes.exists(desk.volumes.layers()[0]):
            try:
                report["view"] = await memory_view(desk, rendered(held, notebook.project), notebook.project)
            except DruseError as error:  # without git there is no volume; what was kept is kept
                report["no_view"] = str(error)[:300]
        return report

    async def dreamer() -> JsonObject:
        made: list[str] = []
        for dream in await dreams(store, notebook.project, now=clock()):
            name = await _draft(desk, dream)
            if name:
                made.append(name)
        return {"drafts": [*made]}

    async def evolution() -> JsonObject:
        caller = job_caller("evolution")
        actor = desk.volumes.me(as_agent="Druse evolution")
        return (await run_user_evolution(desk, store, actor, caller)).as_dict()

    async def retirement() -> JsonObject:
        await store.skills.seen([f"{s.origin}/{s.name}" for s in desk.library.every() if s.usable], now=clock())
        return {"asked": [row.skill for row in await desk.retirements(job_caller("retirement"))]}

    async def team() -> JsonObject:
        return await run_team_evolution(desk, store, job_caller("team-evolution"))

    async def promotion() -> JsonObject:
        return {"asked": [*await high_use(desk, store, job_caller("promotion"), VolumeKind.USER)]}

    async def system() -> JsonObject:
        return {"asked": [*await high_use(desk, store, job_caller("system-promotion"), VolumeKind.TEAM)]}

    async def check() -> JsonObject:
        broken = [skill for skill in desk.library.every() if skill.problem]
        for skill in broken:
            await store.notices.give("skill", f"{skill.uri} {skill.problem}"[:500], skill.problem, now=clock())
        return {"broken": [skill.uri for skill in broken]}

    async def seal() -> JsonObject:
        root = await audit.seal()
        return {"size": root.size if root is not None else None}

    async def archive() -> JsonObject:
        if not archive_days:
            return {"runs": 0, "why": "archive_days = 0"}
        return asdict(await compact(store, before=clock() - archive_days * 86400, now=clock, read=memory))

    async def commit(commit: str) -> JsonObject:
        text = await asyncio.to_thread(watch.read, commit)
        # Others' words come in with a pull: they are no instructions of this user's.
        kept = await notebook.remember_commit(commit, text.message) if text.own else 0
        return {"commit": commit, "memories": kept, "own": text.own}

    async def commits() -> JsonObject:
        await watch.look()
        kept: list[Json] = []
        while waiting := await store.commits.next(COMMITS):
            kept.append(await commit(waiting))
            await store.commits.done(COMMITS, waiting)
        return {"commits": kept}

    jobs = [
        Job("historian", "Keep what ended runs taught, and index them.", historian, HOURLY, (Trigger.SESSION_END,)),
        Job("dreamer", "Draft skills of patterns seen in three sessions.", dreamer, "45 3 * * *"),
        Job("evolution", "Draft skills of work that recurs and that no tool does.", evolution, NIGHTLY),
        Job("team-evolution", "Propose skills of work that several members of your team do.", team, "15 4 * * 1"),
        Job("promotion", "Propose your skills for the team that are used often and help.", promotion, WEEKLY),
        Job(
            "system-promotion", "Propose the team's skills for everybody that are used often and help.", system, MONTHLY
        ),
        Job("retirement", "Ask about skills that nobody was offered for 30 days.", retirement, MONTHLY),
        Job("check-skills", "Tell of skills that became unreadable.", check, "", (Trigger.FILES,)),
        Job("archive", "Compress what runs of long ago were called with.", archive, "15 4 * * *", budget=3600.0),
        Job(COMMITS, "Keep what your commit messages decide.", commits, "", (Trigger.COMMIT,), on_commit=commit),
        Job("audit-root", "Sign the root of the audit chain.", seal, "17 * * * *"),
    ]
    off = (() if memory else _OF_MEMORY) + (() if crystallization else _OF_CRYSTALLIZATION)
    return [job for job in jobs if job.name not in off]


def jobs_of_server(propose: Work, learn: Work, *, propose_seconds: float, crystallization: bool = True) -> list[Job]:
    """The jobs that need a serving Druse, as they call tools."""
    every = float(propose_seconds) if crystallization else 0.0
    return [
        Job("crystallization", "Propose the best workflows as tools, and tend those in service.", propose, every=every),
        Job("learning", "Keep memories, draft skills and propose tools, when somebody asks.", learn),
    ]


async def _draft(desk: SkillDesk, dream: Dream) -> str:
    """A dream as a draft, or as an edit of the skill it is nearly a copy of; empty where it is known already."""
    caller = job_caller("dreamer")
    actor = desk.volumes.me(as_agent="Druse dreamer")
    held = [s for s in desk.library.every() if s.document is not None]
    if any(dream.patterns[0] in s.raw for s in held) or any(s.name == dream.name for s in held):
        return ""
    lines = ["", f"# {dream.name.replace('-', ' ').capitalize()}", "", "## When to Use", "", dream.description, ""]
    lines += ["## Approach", "", *(f"- {text}" for text in dream.patterns), "", "## Sources", ""]
    lines += [f"- {run_id}: {quote}" for run_id, quote in dream.quotes[:20]]
    description = dream.description.replace("<", "(").replace(">", ")")
    document = SkillDocument(dream.name, description, "\n".join(lines) + "\n").with_own(origin="dreamer")
    subject = f"Evolution: Create skill {dream.name} from {len(dream.runs)} traces"
    message = Message(subject, "\n".join(dream.runs[:200]))
    try:
        await desk.draft(document, actor, caller, message=message, evidence=dream.runs[:20])
        return dream.name
    except Invalid as error:
        near = error.problem.removeprefix("near-copy of ")
        skill = next((s for s in held if s.name == near and s.usable and s.ref == desk.volumes.layers()[0]), None)
        if near == error.problem or skill is None:
            return ""
        before = parse(skill.raw, where=skill.uri)
        added = before.body.rstrip("\n") + "\n\n" + "\n".join(f"- {text}" for text in dream.patterns) + "\n"
        edited = SkillDocument(before.name, before.description, added, metadata=before.metadata)
        await desk.draft(edited, actor, caller, message=Message(f"Evolution: Edit skill {near}"), evidence=dream.runs)
        return near
