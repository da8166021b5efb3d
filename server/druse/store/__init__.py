"""SQLite through aiosqlite; all SQL of Druse is in this room."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from druse.store.approvals import ApprovalRepository
from druse.store.archive import ArchiveRepository
from druse.store.audit import AuditRepository, AuditRow, RootRow
from druse.store.clients import ClientRepository, ClientSession
from druse.store.commits import CommitRepository
from druse.store.consents import ConsentRepository
from druse.store.counters import CounterRepository
from druse.store.database import Database, StoreBusy, StoreFull, Transaction
from druse.store.days import DayCount, DayRepository
from druse.store.declarations import DeclarationRepository
from druse.store.deferred import DeferredCall, DeferredRepository
from druse.store.events import EventRepository
from druse.store.httpkeys import HttpKey, HttpKeyRepository
from druse.store.jobs import JobRepository
from druse.store.memories import MemoryRepository
from druse.store.notices import NoticeRepository
from druse.store.pins import Pinned, PinRepository
from druse.store.plans import ExecutedStep, Execution, KeptInverse, PlanRepository, StoredPlan
from druse.store.policies import Adopted, PolicyRepository
from druse.store.runs import ModeCount, RunRecord, RunRepository, WorkflowCount
from druse.store.skills import SkillCount, SkillRepository
from druse.store.tasks import Task, TaskRepository
from druse.store.tools import ToolDay, ToolRepository, VersionRecord

__all__ = [
    "Adopted",
    "AuditRow",
    "ClientSession",
    "Database",
    "DayCount",
    "DeferredCall",
    "ExecutedStep",
    "Execution",
    "HttpKey",
    "KeptInverse",
    "ModeCount",
    "Pinned",
    "RootRow",
    "RunRecord",
    "RunRepository",
    "SkillCount",
    "SkillRepository",
    "Store",
    "StoreBusy",
    "StoreFull",
    "StoredPlan",
    "Task",
    "ToolDay",
    "ToolRepository",
    "Transaction",
    "VersionRecord",
    "WorkflowCount",
]


class Store:
    """One repository per aggregate over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.runs = RunRepository(database)
        self.clients = ClientRepository(database)
        self.skills = SkillRepository(database)
        self.memories = MemoryRepository(database)
        self.jobs = JobRepository(database)
        self.commits = CommitRepository(database)
        self.archive = ArchiveRepository(database)
        self.days = DayRepository(database)
        self.consents = ConsentRepository(database)
        self.events = EventRepository(database)
        self.tools = ToolRepository(database)
        self.notices = NoticeRepository(database)
        self.approvals = ApprovalRepository(database)
        self.audit = AuditRepository(database)
        self.declarations = DeclarationRepository(database)
        self.counters = CounterRepository(database)
        self.policies = PolicyRepository(database)
        self.pins = PinRepository(database)
        self.plans = PlanRepository(database)
        self.deferred = DeferredRepository(database)
        self.tasks = TaskRepository(database)
        self.http_keys = HttpKeyRepository(database)

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncGenerator[Store]:
        """Open the database at `path`, made and migrated where needed. Raises StoreDamaged, StoreBusy, StoreFull."""
        async with Database.open(path) as database:
            yield cls(database)
