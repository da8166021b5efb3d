"""Finding tools, skills and past runs; what is searched is gathered again after it changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from druse.front.base import Base
from druse.front.documents import Documents
from druse.model import Caller, JsonObject, ToolSpec
from druse.retrieval import Finder, GoalEntry, SkillEntry
from druse.routing import Registry


class Finding:
    """What `find_tools` finds in one workspace. `stale` says that something it searches has changed."""

    def __init__(
        self,
        base: Base,
        registry: Registry,
        documents: Documents,
        *,
        connect: Callable[[], Awaitable[None]],
        seen_by: Callable[[ToolSpec, Caller | None], ToolSpec],
    ) -> None:
        self.stale = True
        self._base = base
        self._registry = registry
        self._documents = documents
        self._connect = connect
        self._seen_by = seen_by
        self._skills = base.skills.library
        self._finder = Finder(minilm=base.config.knobs.minilm)
        self._skills_seen: tuple[object, ...] = ()

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
        await self._connect()
        skills_now = self._skills.stamp()
        if self.stale or skills_now != self._skills_seen:
            self._skills_seen = skills_now
            records = await self._base.store.runs.list(status="success", limit=500)
            goals = {
                record.workflow: GoalEntry(record.run.id, record.run.goal) for record in records if record.run.goal
            }
            skills = [SkillEntry(s.name, s.description) for s in self._skills.all() if not s.problem]
            self._finder.fill(self._registry.specs(), skills, list(goals.values()))
            self.stale = False
        found = self._finder.find(
            query, kind=kind, limit=limit, detail=detail, seen=lambda spec: self._seen_by(spec, caller)
        )
        await self._documents.offer([str(row.get("name")) for row in found if row.get("kind") == "skill"])
        return found
