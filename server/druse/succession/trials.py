"""The trials of a patch, in the child, on the copy: recorded runs replayed, recorded calls decided anew."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from druse.crystal import candidates
from druse.crystal.candidates import family_of, runs_of
from druse.crystal.crystallize import source_problem
from druse.crystal.makers import inputs_for, parameters_of
from druse.crystal.verification import replay_source
from druse.crystal.versions import VersionFiles
from druse.governance import Content, losses
from druse.governance.policy import gains, in_force
from druse.induction import bind, learn
from druse.model import Decision, Effect, Invalid, Json, JsonObject, Run, Source, ToolSpec, Verdict, VersionStatus
from druse.permissions import Policy, decide
from druse.runtime import SandboxHost
from druse.settings import Config, Workspace, load_config
from druse.store import Store
from druse.succession.verdict import Budget, Patch, Test

_RANK = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.DENY: 2}
_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Order:
    """What the parent asks of its successor. `root` and `home`: names of places, for rules; not read."""

    copy: Path
    root: Path
    home: Path
    patch: Patch
    budget: Budget
    approved: JsonObject  # the rules in force
    tools: Mapping[str, JsonObject]  # what the parent knows of the tools that recorded calls name

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Order:
        """From the parent's message."""
        return cls(
            Path(data["copy"]),
            Path(data["root"]),
            Path(data["home"]),
            Patch.of(data["patch"]),
            Budget(**data["budget"]),
            data["approved"],
            data["tools"],
        )

    @property
    def workspace(self) -> Workspace:
        """The copy."""
        return Workspace(self.copy, self.copy / "user" / "druse" / "config.toml")


class Trials:
    """Tries one patch. `changes`, `denied` and `stopped` are complete when `run` has ended."""

    def __init__(self, order: Order, store: Store, host: SandboxHost) -> None:
        self._order = order
        self._store = store
        self._host = host
        self._until = time.monotonic() + order.budget.seconds
        self.changes: JsonObject = {}
        self.denied: list[str] = []
        self.stopped = ""

    async def run(self) -> AsyncGenerator[Test]:
        """Every test as it is done."""
        tried = self._tool() if self._order.patch.tool else self._config()
        async for test in tried:
            yield test

    def _spent(self, done: int) -> bool:
        if time.monotonic() >= self._until:
            self.stopped = f"its {self._order.budget.seconds:g} seconds were over after {done} runs"
        return bool(self.stopped)

    async def _tool(self) -> AsyncGenerator[Test]:
        name, source, budget = self._order.patch.tool, self._order.patch.text, self._order.budget
        problem = await source_problem(self._host, source)
        if problem:
            yield Test("the source", "wrong", f"{problem[0]}: {problem[1]}")
            return
        (record,) = [r for r in await self._store.tools.versions(name) if r.status is VersionStatus.ACTIVE]
        serving = VersionFiles(self._order.workspace.generated).read(name, record.version)
        runs = [kept.run for kept in await runs_of(self._store, await family_of(self._store, record.workflow))]
        learned = learn(runs, name=name)
        shown, known = learned.induction, {run.id: run for run in learned.runs}
        runs = [known.get(run.id, run) for run in runs]
        wanted = set(parameters_of(source))
        if len(runs) > budget.runs:
            self.changes["runs_not_tried"] = len(runs) - budget.runs
        for done, run in enumerate(reversed(runs[-budget.runs :])):
            if self._spent(done):
                return
            inputs = (bind(shown, run) if shown.source else None) or inputs_for(serving.source, run)
            before = await replay_source(self._host, serving.source, inputs, run)
            given = {key: value for key, value in inputs.items() if key in wanted}
            given = {**{k: v for k, v in inputs_for(source, run).items() if k not in inputs}, **given}
            after = await replay_source(self._host, source, given, run)
            if after.result == "wrong" and after.detail.startswith("step "):
                self.denied.append(f"run {run.id}, {after.detail}")
            yield Test(run.id, after.result, after.detail, before.result, after.calls)

    async def _config(self) -> AsyncGenerator[Test]:
        order, workspace = self._order, self._order.workspace
        approved = Content.from_json(order.approved)
        now = in_force(load_config(workspace), approved)
        workspace.config.write_text(order.patch.text, encoding="utf-8")
        try:
            wanted = load_config(workspace)
        except Invalid as error:
            yield Test("config.toml", "wrong", str(error).replace(str(workspace.config), "config.toml"))
            return
        self.changes |= {
            "gains": list[Json](gains(approved, Content.of(wanted))),
            "losses": list[Json](losses(approved, Content.of(wanted))),
            "settings": _settings(now, wanted),
            "candidates": await self._candidates(now, wanted),
        }
        old, new = self._placed(now.policy), self._placed(wanted.policy)
        eased: list[Json] = []
        for done, kept in enumerate(await self._store.runs.list(status="success", limit=order.budget.runs)):
            if self._spent(done):
                return
            record = await self._store.runs.get(kept.run.id)
            if record is not None and record.run.steps:
                yield self._decided(record.run, old, new, eased)
        self.changes["no_longer_asked"] = eased[:_SHOWN]

    def _placed(self, policy: Policy) -> Policy:
        """The rules as they hold in the parent's folder."""
        return replace(policy, workspace=self._order.root, home=self._order.home)

    def _decided(self, run: Run, old: Policy, new: Policy, eased: list[Json]) -> Test:
        worst, detail, worst_before = Verdict.ALLOW, "", Verdict.ALLOW
        for number, step in enumerate(run.steps, 1):
            spec = _spec(step.tool, self._order.tools.get(step.tool))
            was, now = (decide(policy, step.tool, dict(step.arguments), spec=spec) for policy in (old, new))
            if _RANK[now.verdict] < _RANK[was.verdict]:
                eased.append(f"run {run.id}, step {number}: {step.tool}: {was.verdict} -> {now.verdict}")
            if _RANK[now.verdict] > max(_RANK[was.verdict], _RANK[worst]):
                worst, worst_before = now.verdict, was.verdict
                detail = f"step {number}: {step.tool}: {was.verdict} -> {now.verdict} ({_because(now)})"
        result = {Verdict.ALLOW: "right", Verdict.ASK: "asks", Verdict.DENY: "wrong"}[worst]
        return Test(run.id, result, detail, str(worst_before) if detail else "", len(run.steps))

    async def _candidates(self, now: Config, wanted: Config) -> JsonObject:
        found = [
            {
                c.signature: c.goal
                for c in await candidates(
                    self._store, min_usage=knobs.candidate_runs, min_success=knobs.candidate_success
                )
            }
            for knobs in (now.knobs, wanted.knobs)
        ]
        return {
            "gained": {key: goal for key, goal in found[1].items() if key not in found[0]},
            "lost": {key: goal for key, goal in found[0].items() if key not in found[1]},
        }


def _settings(now: Config, wanted: Config) -> JsonObject:
    from dataclasses import asdict

    old, new = asdict(now.knobs), asdict(wanted.knobs)
    return {key: [old[key], new[key]] for key in old if old[key] != new[key]}


def _spec(name: str, known: JsonObject | None) -> ToolSpec | None:
    if known is None:
        return None
    return ToolSpec(
        name,
        Source(str(known["source"])),
        effect=Effect(str(known["effect"])),
        server=str(known["server"]),
        upstream_name=str(known["upstream_name"]),
        version=cast("int | None", known["version"]),
    )


def _because(decision: Decision) -> str:
    return decision.rule or decision.why
