"""What the chain says of rows in other tables, held against those rows: approvals, rules, tools, runs, plans, payloads.

An entry names a request by its hash, a tool by what was approved of it, a call by the digests of its arguments and its
result. A row that says something else was changed by hand, and so was one that no entry speaks of; the entry it
contradicts is named. What a person deleted or set back through Druse is in the chain as well.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from druse.governance.entries import TILE, entry_id
from druse.governance.merkle import root_of
from druse.model import Json, JsonObject, RunStatus, StoreDamaged, ToolVersion, digest
from druse.store import Store

_NOTHING = digest(None)
_DECIDED = {"approval.approved": "approved", "approval.rejected": "rejected"}
_LATER = {"approved": ("approved", "used", "expired"), "rejected": ("rejected", "expired"), "": ("pending", "expired")}
_PAGE = 2000


@dataclass(slots=True)
class _Asked:
    """A request as the chain has it."""

    seq: int
    kind: str
    subject: str
    decided: str = ""
    decided_seq: int = 0
    used: bool = False
    until: Json = None  # when the request, or by now the decision, expires
    how: Json = None
    scope: Json = None


@dataclass(slots=True)
class _Call:
    """A recorded call as the chain has it."""

    seq: int
    tool: str
    arguments: str
    result: str


@dataclass(slots=True)
class References:
    """Takes the entries in order, then is held against the tables. Raises StoreDamaged naming the first bad entry."""

    asked: dict[str, _Asked] = field(default_factory=dict[str, _Asked])
    rules: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    tools: dict[tuple[str, int], tuple[int, str]] = field(default_factory=dict[tuple[str, int], tuple[int, str]])
    serving: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])  # 0: none is in service
    calls: defaultdict[str, list[_Call]] = field(default_factory=lambda: defaultdict(list))
    words: dict[str, tuple[int, bool]] = field(default_factory=dict[str, tuple[int, bool]])
    memories: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    deleted: set[str] = field(default_factory=set[str])
    restored: int = 0  # the newest entry of going back to a checkpoint: what was learned before it may be gone
    _begun: dict[str, str] = field(default_factory=dict[str, str])
    _found: list[tuple[int, str, str]] = field(default_factory=list[tuple[int, str, str]])

    def feed(self, seq: int, entry: JsonObject) -> None:
        """The next entry, which was found whole."""
        action, subject, payload = str(entry.get("action")), str(entry.get("subject")), entry.get("payload")
        told: Mapping[str, Json] = payload if isinstance(payload, dict) else {}
        if action == "call.begin":
            self._begun[entry_id(seq)] = str(told.get("arguments"))
        elif action == "call.end":
            begun = self._begun.pop(str(entry.get("cause")), "")
            if told.get("run"):
                self.calls[str(told["run"])].append(_Call(seq, subject, begun, str(told.get("result"))))
        elif action == "approval.requested":
            self.asked[subject] = _Asked(seq, str(told.get("kind")), str(told.get("subject")), until=told.get("until"))
        elif action in _DECIDED and subject in self.asked:
            asked = self.asked[subject]
            asked.decided, asked.decided_seq, asked.until = _DECIDED[action], seq, told.get("until")
            asked.how, asked.scope = told.get("how"), told.get("scope")
        elif action == "approval.used" and subject in self.asked:
            self.asked[subject].used = True
        elif action == "policy.adopted":
            self.rules[int(subject.rpartition(" ")[2])] = seq, str(told.get("new"))
        elif action == "tool.published":
            name, _, number = subject.rpartition(" v")
            self.tools[name, int(number)] = seq, str(told.get("hash"))
            self.serving[name] = seq, int(number)
        elif action in ("tool.rolled_back", "tool.retired"):
            name, _, number = subject.rpartition(" v")
            self.serving[name] = seq, int(number) if action == "tool.rolled_back" else 0
        elif action == "run.reported":
            self.words[subject] = seq, bool(told.get("success"))
        elif action in ("run.feedback", "run.marked"):
            self.words[subject] = seq, told.get("outcome") == "success"
        elif action in ("memory.kept", "memory.forgotten"):
            self.memories[int(subject)] = seq, str(told.get("hash"))
        elif action == "run.deleted":
            self.deleted.add(subject)
        elif action == "checkpoint.restored":
            self.restored = seq

    async def check(
        self, store: Store, tile_roots: Mapping[int, bytes], steps: Callable[[int], None] = lambda _: None
    ) -> None:
        """Hold the tables against the entries. `tile_roots`: the root over the entries at each multiple of TILE.

        `steps` is told now and then how many steps of runs were compared.
        """
        await self._check_tiles(store, tile_roots)
        await self._check_approvals(store)
        await self._check_rules(store)
        await self._check_tools(store)
        await self._check_runs(store, steps)
        await self._check_memories(store)
        await self._check_contents(store)
        if self._found:
            seq, name, what = min(self._found)
            _damaged(name or entry_id(seq), what)

    # inside

    def _contradicts(self, seq: int, what: str) -> None:
        self._found.append((seq, entry_id(seq), f"entry {entry_id(seq)} {what}"))

    def _unknown(self, name: str, what: str) -> None:
        self._found.append((1 << 62, name, what))

    async def _check_tiles(self, store: Store, roots: Mapping[int, bytes]) -> None:
        kept: list[bytes] = []
        for number, tile in await store.audit.tiles():
            first = number * TILE + 1
            if number != len(kept):
                break  # a tile that is missing is made anew when it is needed
            kept.append(tile)
            whole = roots.get(len(kept) * TILE)
            if whole is not None and root_of(kept) != whole:
                self._contradicts(first, f"and the {TILE - 1} behind it are not what audit_tile {number} says")
                return

    async def _check_approvals(self, store: Store) -> None:
        rows = {row.id: row for row in await store.approvals.list(limit=-1)}
        for name, asked in self.asked.items():
            row = rows.pop(name, None)
            if row is None:
                self._contradicts(asked.seq, f"asks for approval {name}, which was deleted")
                continue
            if (row.kind, row.subject_hash) != (asked.kind, asked.subject):
                self._contradicts(asked.seq, f"asks for another thing than approval {name} says")
            elif _content_hash(row.kind, row.details) not in ("", asked.subject):
                self._contradicts(asked.seq, f"asks for other content than approval {name} shows")
            last = max(asked.seq, asked.decided_seq)
            if row.status not in _LATER[asked.decided]:
                said = asked.decided or "not decided"
                self._contradicts(last, f"is the last word on approval {name}: {said}; the table says {row.status}")
            elif asked.decided and (row.decided_how, row.scope) != (asked.how, asked.scope):
                self._contradicts(last, f"decides approval {name} in another way or scope than the table says")
            elif asked.used and (row.kind, row.scope, row.status) == ("call", "once", "approved"):
                self._contradicts(last, f"gave approval {name} for one call, which was made; the table gives it again")
            elif isinstance(asked.until, int | float) and abs(row.expires_at - asked.until) > 0.01:
                self._contradicts(last, f"lets approval {name} expire at another time than the table says")
        for name in rows:
            self._unknown(f"approval {name}", f"approval {name} stands in the table and no entry asks for it")

    async def _check_rules(self, store: Store) -> None:
        rows = {row.number: row for row in await store.policies.all()}
        for number, (seq, new) in self.rules.items():
            row = rows.pop(number, None)
            if row is None or row.hash != new or digest(row.content) != new:
                self._contradicts(seq, f"puts other rules in force than policy {number} in the table has")
        for number in rows:
            self._unknown(f"policy {number}", f"policy {number} stands in the table and no entry puts it in force")

    async def _check_tools(self, store: Store) -> None:
        rows = {(row.name, row.version): row for row in await store.tools.all()}
        active = {row.name: row.version for row in rows.values() if row.status == "active"}
        for name, (seq, number) in self.serving.items():
            if seq > self.restored and active.get(name, 0) != number and rows.get((name, number)) is not None:
                self._contradicts(seq, f"has v{number} of {name} in service; the table says another one")
            elif seq > self.restored and not number and name in active:
                self._contradicts(seq, f"takes {name} out of service; the table has v{active[name]} in service")
        for key, (seq, approved) in self.tools.items():
            row = rows.pop(key, None)
            named = f"{key[0]} v{key[1]}"
            if row is None:
                if seq > self.restored:
                    self._contradicts(seq, f"puts {named} in service, which was deleted")
            elif row.approval_hash != approved:
                self._contradicts(seq, f"puts another {named} in service than the table says")
        for (name, number), row in rows.items():
            if row.status in ("active", "superseded"):
                self._unknown(f"{name} v{number}", f"{name} v{number} is {row.status} and no entry put it in service")

    async def _check_runs(self, store: Store, steps: Callable[[int], None]) -> None:
        known = await store.runs.statuses()
        for run_id, (seq, success) in self.words.items():
            if run_id in known and seq > self.restored and (known[run_id] is RunStatus.SUCCESS) is not success:
                self._contradicts(seq, f"says how run {run_id} went; the table says {known[run_id]}")
        pending: dict[str, list[_Call]] = {}
        for run_id, calls in self.calls.items():
            if run_id in known:
                pending[run_id] = list(calls)
            elif run_id not in self.deleted and calls[-1].seq > self.restored:
                self._contradicts(calls[0].seq, f"belongs to run {run_id}, which was deleted by hand")
        compared = 0
        async for run_id, tool, arguments, result, failed in store.runs.every_step(_PAGE):
            compared += 1
            if compared % _PAGE == 0:
                steps(compared)
            if run_id not in pending:
                continue
            calls, given, got = pending[run_id], digest(arguments), digest(result)
            fits = [
                call
                for call in calls
                if (call.tool, call.arguments) == (tool, given)
                and (call.result == got or (failed and call.result == _NOTHING))
            ]
            if fits:
                calls.remove(fits[0])
                continue
            near = next((call for call in calls if call.tool == tool), None)
            if near is not None:
                calls.remove(near)
                self._contradicts(near.seq, f"is another call of {tool} than run {run_id} holds")
            else:
                self._unknown(f"run {run_id}", f"run {run_id} holds a call of {tool} that no entry speaks of")
        for run_id, calls in pending.items():
            for call in calls:
                if call.seq > self.restored:
                    self._contradicts(call.seq, f"is a call of {call.tool} that was taken out of run {run_id}")

    async def _check_memories(self, store: Store) -> None:
        pending = {number: word for number, word in self.memories.items() if word[0] > self.restored}
        first = min(self.memories, default=0)  # what is older was kept before memories had entries
        async for memory in store.memories.every(_PAGE):
            seq, told = pending.pop(memory.id, (0, ""))
            if seq and memory.hash != told:
                self._contradicts(seq, f"is the last word on memory {memory.id}; the table says something else")
            elif memory.id not in self.memories and 0 < first < memory.id and not self.restored:
                self._unknown(
                    f"memory {memory.id}", f"memory {memory.id} stands in the table and no entry speaks of it"
                )
        for number, (seq, _) in pending.items():
            self._contradicts(seq, f"keeps memory {number}, which was deleted")

    async def _check_contents(self, store: Store) -> None:
        for plan in await store.plans.all():
            if digest(plan.content) != plan.hash:
                self._unknown(f"plan {plan.hash[:23]}", f"plan {plan.hash[:23]} is not what its hash says")
        async for name, body in store.runs.payloads(_PAGE):
            if "sha256:" + hashlib.sha256(body).hexdigest() != name:
                self._unknown(name, f"payload {name[:23]} is not what its digest says")


def _content_hash(kind: str, details: JsonObject) -> str:
    """The hash of what a request carries, where it carries what it is about; else empty."""
    if kind == "policy":
        return digest(details.get("content"))
    source, manifest = details.get("source"), details.get("manifest")
    if kind in ("tool", "successor") and isinstance(source, str) and isinstance(manifest, dict):
        return ToolVersion("", 0, source, manifest).approval_hash
    return ""


def _damaged(first_bad: str, what: str) -> NoReturn:
    raise StoreDamaged(
        f"The tables that the audit chain speaks of do not fit it: {what}. Keep the file as it is and compare it with "
        "a copy.",
        first_bad=first_bad,
    )
