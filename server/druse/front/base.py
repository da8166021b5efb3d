"""What every command needs of a workspace: its store, rules, approvals and what lies on disk; nothing is called."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from druse.crystal import (
    Shelf,
    VersionFiles,
)
from druse.governance import (
    Adoption,
    Approval,
    Approvals,
    AuditChain,
    Declarations,
    Pins,
    Quotas,
    Rules,
    SigningKey,
    SteadyClock,
    may_elicit,
)
from druse.induction import workflow_key
from druse.jobs import Job, jobs_of
from druse.memory import Notebook, project_hash
from druse.model import (
    Caller,
    CallerKind,
    Invalid,
)
from druse.past import Chronicle, Ingestion, take_quietly
from druse.settings import Config, Workspace, load_config
from druse.skills import SkillDesk, SkillFinder, SkillLibrary, Volumes
from druse.store import Store
from druse.succession import Succession
from druse.traces import Recorder, SecretHandles

_SPOOL_SECONDS = 10.0  # that a command spends on what hooks wrote down before it does its own work


def person(name: str = "cli") -> Caller:
    """The caller of a command: a person of this account."""
    return Caller(CallerKind.PERSON, session="cli", connection="cli", client=f"{_account()} ({name})")


def _account() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid()) if hasattr(os, "getuid") else "somebody"


@dataclass(frozen=True, slots=True)
class Base:
    """What commands need that call nothing: store, approvals, tools on disk."""

    workspace: Workspace
    config: Config
    store: Store
    recorder: Recorder
    audit: AuditChain
    approvals: Approvals
    shelf: Shelf
    rules: Rules
    adoption: Adoption
    quotas: Quotas
    skills: SkillDesk
    declarations: Declarations
    notebook: Notebook
    succession: Succession
    pins: Pins
    chronicle: Chronicle
    ingestion: Ingestion
    clock: Callable[[], float]

    def jobs(self) -> list[Job]:
        """What is done in the background."""
        return jobs_of(
            *(self.store, self.skills, self.notebook, self.audit),
            root=self.workspace.root,
            archive_days=self.config.knobs.archive_days,
            memory=self.config.knobs.memory,
            crystallization=self.config.knobs.crystallization,
            clock=self.clock,
        )

    async def decide(
        self,
        approval_id: str,
        *,
        approve: bool,
        how: str,
        note: str = "",
        scope: str = "once",
        reviewer: tuple[str, str] | None = None,
        looked_at: float | None = None,
    ) -> Approval:
        """A person's decision, and what follows from it: an approved tool is published."""
        caller = person(f"{how} as {reviewer[0]}" if reviewer else how)
        return await self.approvals.decide(
            approval_id,
            caller,
            approve=approve,
            how=how,
            note=note,
            scope=scope,
            reviewer=reviewer,
            looked_at=looked_at,
        )


@asynccontextmanager
async def open_base(workspace: Workspace, *, clock: Callable[[], float] = time.time) -> AsyncGenerator[Base]:
    """Open a workspace's state, made where it is missing. Raises Invalid, StoreDamaged, StoreBusy.

    `clock` gives seconds since the epoch; everything written down takes its time from it.
    """
    load_config(workspace)  # a mistake in it stops the start before anything is made
    _make_state(workspace)
    async with Store.open(workspace.database) as store:
        handles = SecretHandles.from_file(workspace.keys / "secrets.key")
        key = SigningKey.from_file(workspace.keys / "audit.key")
        audit = AuditChain(store, clock=clock, key=key, copy=workspace.state / "audit.roots")
        steady = SteadyClock(clock, time.monotonic if clock is time.time else clock)
        rules = Rules(workspace, key, clock=steady)
        audit.policy = lambda: rules.hash
        config = rules.config
        recorder = Recorder(
            store,
            handles,
            clock=clock,
            new_id=new_id,
            workflow_key=workflow_key,
            owner=f"pid {os.getpid()}",
            idle_seconds=config.knobs.idle_seconds,
        )
        approvals = Approvals(store, audit, clock=steady, new_id=new_id)
        quotas = Quotas(store, clock=steady)
        shelf = Shelf(store, VersionFiles(workspace.generated), audit, clock=clock)
        approvals.trust = rules.trusts
        approvals.people = lambda: rules.fresh().people
        approvals.elicits = lambda approval: may_elicit(approval, rules.fresh().knobs)
        adoption = Adoption(store, audit, approvals, rules, clock=clock)
        approvals.on_decided("tool", shelf.decided)
        approvals.on_decided("retire", shelf.retirement_decided)
        volumes = Volumes(workspace.volumes, account=_account())
        library = SkillLibrary(workspace.skills, volumes)
        finder = SkillFinder(meaning=lambda: config.knobs.skill_embeddings)
        skills = SkillDesk(library, volumes, store, approvals, clock=steady, finder=finder)
        declarations = Declarations(store, audit, clock=clock)
        await declarations.load()
        shelf.serving = config.knobs.crystallization
        project, shown = project_hash(workspace.root), config.knobs.memory
        notebook = Notebook(store, project, clock=steady, shown=shown, audit=audit)
        pins = Pins(store, clock=clock)
        shelf.reloaded += [pins.refresh, declarations.refresh]
        succession = Succession(workspace, store, shelf, approvals, audit, rules, clock=clock)
        chronicle = Chronicle(store, handles, workflow_key=workflow_key)
        ingestion = Ingestion(workspace.spool, workspace.root, store, chronicle)
        await take_quietly(ingestion, seconds=_SPOOL_SECONDS)
        await approvals.settle()
        await adoption.begin(person("first start"))
        await shelf.reload()
        try:
            yield Base(
                workspace,
                config,
                store,
                recorder,
                audit,
                approvals,
                shelf,
                rules,
                adoption,
                quotas,
                skills,
                declarations,
                notebook,
                succession,
                pins,
                chronicle,
                ingestion,
                clock,
            )
        finally:
            await audit.close()


def _make_state(workspace: Workspace) -> None:
    try:
        workspace.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        ignore = workspace.state / ".gitignore"
        if not ignore.exists():
            ignore.write_text("*\n!.gitignore\n!config.toml\n", encoding="utf-8")
    except OSError as error:
        raise Invalid(
            f"Cannot use {workspace.state}: {error.strerror}. Make the folder writable.", where=str(workspace.state)
        ) from error


def new_id() -> str:
    """An id for a record of this workspace."""
    return secrets.token_hex(6)
