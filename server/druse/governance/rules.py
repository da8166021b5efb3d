"""The rules as a running process knows them: files and approvals, looked at again before each decision.

What a person approved is kept in the store; `policy.json` beside it is a copy that a running server can read without
waiting, under a code that only this instance can make.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import cast

from druse.governance.policy import Content, first_content, gains, in_force, restricted
from druse.governance.signing import SigningKey
from druse.governance.trust import HIGHEST, PROPOSING, Action, allowed
from druse.model import Caller, CallerKind, Decision, Invalid, JsonObject, Source, ToolSpec, Verdict, canonical
from druse.permissions import decide
from druse.settings import Config, Workspace, agent_of, load_config
from druse.settings.textfile import text_of

log = logging.getLogger("druse.governance")

ASKS_MODEL = "chat.ask"  # the capability that sends context to the configured model
HTTP_API = "http-api"  # the connection of everybody who comes over the HTTP API


@dataclass(frozen=True, slots=True)
class Record:
    """What a person approved. `number` counts up; `confirmed_until` is when a confirmed level 4 ends."""

    number: int = 0
    content: Content = field(default_factory=Content)
    confirmed_until: float = 0.0


class Rules:
    """The configuration in force. Not for several threads."""

    def __init__(self, workspace: Workspace, key: SigningKey | None, *, clock: Callable[[], float]) -> None:
        """Read files and record. Raises Invalid with file and line for a configuration that is not understood."""
        self._workspace = workspace
        self._key = key
        self._clock = clock
        self.path = workspace.state / "policy.json"
        self._watched = [str(path) for path in (workspace.user_config, workspace.config, self.path)]
        self._stamp = self._stamped()
        self.wanted: Config = load_config(workspace)
        self.record = self._read() or Record()
        self.problem = ""  # why everything asks, if it does
        self.config: Config = in_force(self.wanted, self.record.content)

    @property
    def waiting(self) -> list[str]:
        """What the files permit beyond what a person approved; it is not in force."""
        return gains(self.record.content, Content.of(self.wanted)) if not self.problem else []

    @property
    def hash(self) -> str:
        """The hash of the approved rules."""
        return self.record.content.hash

    @property
    def trust_level(self) -> int:
        """The level in force. The highest counts only while a person has confirmed it lately."""
        level = self.config.self_programming.trust_level
        return level if level < HIGHEST or self._clock() < self.record.confirmed_until else HIGHEST - 1

    def level_of(self, client: str) -> int:
        """The level in force for what an agent asks for: no higher than its own autonomy (seed id S-43)."""
        if not client:
            return self.trust_level
        return min(self.trust_level, self.config.people.binding(agent_of(client)).max_autonomy_level)

    def trusts(self, action: Action, client: str = "") -> Verdict:
        """Whether Druse does this to itself without a person, at the level in force now for the agent who asks."""
        self.refresh()
        return allowed(self.level_of(client), action, enabled=self.config.self_programming.enabled)

    def decide(self, spec: ToolSpec | None, tool: str, arguments: JsonObject, caller: Caller | None) -> Decision:
        """The one decision function, under the rules in force at this moment."""
        decision = self._decided(spec, tool, arguments, caller)
        if decision.verdict is not Verdict.ALLOW or caller is None or caller.kind is CallerKind.PERSON:
            return decision
        domain = self._asked_domain(spec, tool, agent_of(caller.client))
        if not domain:
            return decision
        why = f"{agent_of(caller.client)} asks before whatever is of the domain {domain}"
        asks = f"require_approval_domains {domain}"
        return replace(decision, verdict=Verdict.ASK, rule=asks, origin="[agents]", why=why, how_to_allow="")

    def _asked_domain(self, spec: ToolSpec | None, tool: str, agent: str) -> str:
        """The domain of a tool in which this agent must ask; empty where it need not."""
        people = self.config.people
        for domain in sorted(people.binding(agent).require_approval_domains):
            names = {tool, spec.name if spec is not None else tool, spec.alias if spec is not None else tool}
            first = {tool.partition("__")[0]} if "__" in tool else set[str]()
            if spec is not None:
                first |= {spec.server, spec.alias.partition(".")[0]}
            globs = people.domains.get(domain, frozenset[str]())
            if domain in first or any(fnmatchcase(name, glob) for name in names for glob in globs):
                return domain
        return ""

    def _decided(self, spec: ToolSpec | None, tool: str, arguments: JsonObject, caller: Caller | None) -> Decision:
        """The one decision function, under the rules in force at this moment."""
        self.refresh()
        decision = decide(self.config.policy, tool, arguments, spec=spec, caller=caller)
        if spec is not None and spec.action and not decision.rule and not self.problem:
            return self._by_trust(Action(spec.action), decision, caller)
        if spec is not None and spec.alias == ASKS_MODEL and not decision.rule and not self.problem:
            return self._by_provider(decision, caller)
        own = spec is not None and spec.source is Source.CAPABILITY and not spec.action and bool(spec.security)
        if own and decision.verdict is Verdict.ASK and not decision.rule and not self.problem:
            return Decision(Verdict.ALLOW, "(it only keeps book)", "built in")
        if decision.verdict is not Verdict.ASK or not self.waiting:
            return decision
        wanted = decide(self.wanted.policy, tool, arguments, spec=spec, caller=caller)
        if wanted.verdict is not Verdict.ALLOW:
            return decision
        waits = f'the rule {wanted.rule} in {wanted.origin} waits for a person: "druse policy approve"'
        return replace(decision, why=waits, how_to_allow="")

    def _by_provider(self, decision: Decision, caller: Caller | None) -> Decision:
        """A question to the model: what a person approved as [model] answers for what comes over the HTTP API."""
        over_http = caller is not None and caller.connection == HTTP_API
        if self.config.model is None or not over_http:
            return decision
        return Decision(Verdict.ALLOW, f"(model {self.config.model.model})", "[model]")

    def _by_trust(self, action: Action, decision: Decision, caller: Caller | None) -> Decision:
        """What the trust level says of a capability that no rule speaks of."""
        block = self.config.self_programming
        # Transformations come here only with code that the sandbox gives nothing.
        agent = caller is not None and caller.kind is not CallerKind.PERSON
        level = self.level_of(caller.client) if agent and caller is not None else self.trust_level
        verdict = allowed(level, action, enabled=block.enabled, permissions=0)
        if verdict is Verdict.DENY:
            return Decision(verdict, "enabled = false", "[self_programming]", "self-programming is off")
        if verdict is Verdict.ALLOW:
            return Decision(verdict, f"(trust level {level})", "[self_programming]")
        if action in PROPOSING:
            return Decision(Verdict.ALLOW, "(it only proposes)", "[self_programming]")
        why = f"at trust level {level} a person is asked before Druse may {action}"
        return replace(decision, why=why)

    def fresh(self) -> Config:
        """The configuration in force at this moment."""
        self.refresh()
        return self.config

    def refresh(self) -> None:
        """Take up what changed in the files since the last look."""
        stamp = self._stamped()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        record = self._read()
        # An older record put back in place of a newer one changes nothing.
        if record is not None and record.number >= self.record.number:
            self.record = record
        try:
            self.wanted, self.problem = load_config(self._workspace), ""
            self.config = in_force(self.wanted, self.record.content)
        except Invalid as error:
            self.problem = str(error)
            self.config = restricted(self.wanted, self.problem)

    def take_over(self, record: Record) -> None:
        """Put approved rules in force, for every process of this workspace."""
        self.record = record
        self._write(record)
        self.config = in_force(self.wanted, record.content) if not self.problem else self.config

    def look_ahead(self) -> None:
        """Show, in this process only, what the first start of the workspace puts in force."""
        self.record = Record(0, first_content(self.wanted, cloned=self.cloned()))
        self.config = in_force(self.wanted, self.record.content)

    def cloned(self) -> bool:
        """Whether the project's file is part of a git repository's content: then it may be another person's."""
        root = self._workspace.root
        if (
            not any((folder / ".git").exists() for folder in (root, *root.parents))
            or not self._workspace.config.exists()
        ):
            return False
        command = ["git", "-C", str(root), "ls-files", "--error-unmatch", "--", str(self._workspace.config)]
        try:
            return subprocess.run(command, check=False, capture_output=True, timeout=10).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            return True  # nobody can say

    # inside

    def _stamped(self) -> tuple[tuple[int, int, int], ...]:
        return tuple([_stamp(path) for path in self._watched])  # looked at before every call

    def _read(self) -> Record | None:
        """The record on disk; None where there is none that this instance wrote."""
        if self._key is None:
            return None
        try:
            loaded = cast("JsonObject", json.loads(text_of(self.path)))
            code = loaded.pop("mac")
            if code != self._key.mac(canonical(loaded)):
                raise ValueError("its code is wrong")
            number, until = loaded["number"], loaded["confirmed_until"]
            if not isinstance(number, int) or not isinstance(until, int | float):
                raise ValueError("a number is none")
            return Record(number, Content.from_json(cast("JsonObject", loaded["content"])), float(until))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, Invalid) as error:
            log.warning("%s is not used: %s. What was approved before goes on to govern.", self.path, error)
            return None

    def _write(self, record: Record) -> None:
        if self._key is None:
            return
        made: JsonObject = {
            "number": record.number,
            "content": record.content.as_json(),
            "confirmed_until": record.confirmed_until,
        }
        text = json.dumps({**made, "mac": self._key.mac(canonical(made))}, indent=1)
        waiting = self.path.with_name(f".policy.{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            waiting.unlink()
        descriptor = os.open(waiting, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        waiting.replace(self.path)
        self._stamp = self._stamped()


def rules_of(workspace: Workspace) -> Rules:
    """The rules in force in a workspace, for a look at them: makes nothing, not even the key.

    Before the first start: those that the first start puts in force.
    """
    path = workspace.keys / "audit.key"
    rules = Rules(workspace, SigningKey.from_file(path) if path.exists() else None, clock=time.time)
    if not path.exists() and not workspace.database.exists():
        rules.look_ahead()
    return rules


def _stamp(path: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - twice as fast as the method of a Path
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
