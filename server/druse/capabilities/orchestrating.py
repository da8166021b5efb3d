"""`orchestrator.*`: goals of several independent parts as tasks for the client's sub-agents (H-28, S-44)."""

from __future__ import annotations

import re

from druse.capabilities.workbench import Handler, Workbench
from druse.dispatch import MIXED_FROM
from druse.model import Caller, Json, JsonObject, NotAllowed, NotFound, Outcome
from druse.planner import words_of
from druse.store import Task

LEASE_SECONDS = 600.0
# Of a long gap the blanks next to a joint are enough: any number of them takes the cube of the gap's length.
_JOINTS = re.compile(r"\s{0,4}(?:;|\n{1,4}|,?\s{1,4}and\s{1,4})\s{0,4}", re.IGNORECASE)
_ENDS = " .,\t\r\n\f\v\xa0"
_LINKING = frozenset(("then", "it", "them", "its", "their", "that", "this", "after", "afterwards", "result"))


class Orchestrating:
    """Makes task graphs and hands out their tasks."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        self.handlers: dict[str, Handler] = {
            "orchestrator.claim": self._claim,
            "orchestrator.finish": self._finish,
            "orchestrator.graph": self._graph,
        }

    async def graph_for(self, goal: str, caller: Caller) -> Outcome | None:
        """The task graph of a goal with at least two independent parts that are each known by themselves, else None."""
        parts = parts_in(goal)
        linked = _LINKING & set(re.findall(r"[a-z]+", goal.lower()))
        if not 2 <= len(parts) <= 50 or linked:
            return None
        whole = (await self._bench.dispatcher.known(goal, {})).match
        if whole.exact or (whole.confidence >= MIXED_FROM and whole.arguments and not whole.missing):
            return None  # it is one piece of known work
        graph, tasks = f"graph-{self._bench.new_id()}", list[Task]()
        for number, part in enumerate(parts, 1):
            known = await self._bench.dispatcher.known(part, {})
            if known.match.confidence < MIXED_FROM or known.match.missing:
                return None
            about: JsonObject = {
                "arguments": known.match.arguments,
                "evidence": [known.tool.name] if known.tool else [record.run.id for record in known.records],
                "skills": self._skills_for(part),
            }
            masked = self._bench.recorder.handles.mask_text(part)
            tasks.append(Task(graph, f"task{number:02}", masked, self._bench.recorder.handles.mask_object(about)))
        await self._bench.store.tasks.add(tasks)
        await self._bench.audit.record("tasks.made", graph, caller, {"tasks": len(tasks)}, cause=caller.cause)
        return Outcome.of(
            {
                "mode": "ORCHESTRATOR",
                "graph": graph,
                "tasks": [_shown(task) for task in tasks],
                "next": "Give each sub-agent this graph. It takes a task with orchestrator.claim, works on the task's "
                "goal with dispatch_goal, and hands the result in with orchestrator.finish.",
            }
        )

    def _skills_for(self, part: str) -> list[Json]:
        wanted = words_of(part)
        return [
            skill.name
            for skill in self._bench.skills.all()
            if not skill.problem and len(wanted & words_of(f"{skill.name} {skill.description}")) * 2 > len(wanted)
        ]

    async def _claim(self, arguments: JsonObject, caller: Caller) -> Outcome:
        graph, holder = str(arguments["graph"]), str(arguments.get("as") or caller.session)
        seconds = arguments.get("seconds")
        lasts = float(seconds) if isinstance(seconds, int | float) else LEASE_SECONDS
        tasks = self._bench.store.tasks
        task = await tasks.claim(graph, holder, now=self._bench.clock(), seconds=lasts)
        left = await self._known(graph)
        if task is None:
            return Outcome.of({"task": None, "held": sum(one.status == "held" for one in left), "tasks": len(left)})
        return Outcome.of({"task": _shown(task), "as": holder, "lease_until": task.lease_until})

    async def _finish(self, arguments: JsonObject, caller: Caller) -> Outcome:
        graph, task, holder = (
            str(arguments["graph"]),
            str(arguments["task"]),
            str(arguments.get("as") or caller.session),
        )
        await self._known(graph)
        result = self._bench.recorder.handles.mask(arguments.get("result"))
        if not await self._bench.store.tasks.finish(graph, task, holder, result):
            raise NotAllowed(
                f"Cannot finish {task} of {graph}: {holder} does not hold it (any more). Look at orchestrator.graph "
                "and claim another."
            )
        return await self._graph(arguments, caller)

    async def _graph(self, arguments: JsonObject, caller: Caller) -> Outcome:
        tasks = await self._known(str(arguments["graph"]))
        done = all(task.status == "done" for task in tasks)
        shown = [{**_shown(task), "holder": task.holder, "result": task.result} for task in tasks]
        return Outcome.of({"graph": str(arguments["graph"]), "done": done, "tasks": list[Json](shown)})

    async def _known(self, graph: str) -> list[Task]:
        tasks = await self._bench.store.tasks.of_graph(graph)
        if not tasks:
            raise NotFound(f"Cannot find task graph {graph!r}. A graph is made by dispatch_goal in mode ORCHESTRATOR.")
        return tasks


def _shown(task: Task) -> JsonObject:
    return {"id": task.id, "goal": task.goal, "status": task.status, **task.about}


def parts_in(goal: str) -> list[str]:
    """What a goal sets side by side."""
    return [part.strip(_ENDS) for part in _JOINTS.split(goal) if part.strip(_ENDS)]
