"""The one decision function. deny > ask > allow over all layers, on what is really called; unknown = ask."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import cast

from druse.model import Caller, CallerKind, Decision, Effect, JsonObject, Source, ToolSpec, Verdict
from druse.permissions.addresses import own_host
from druse.permissions.commands import forbidding, permitting, self_approval
from druse.permissions.hosts import host_fits, host_of
from druse.permissions.operands import Line
from druse.permissions.paths import credential, inside, is_own, place_of, protection
from druse.permissions.policy import Policy
from druse.permissions.rulebook import RuleBook
from druse.permissions.rules import PATH_TOOLS, Rule, canonical_tool
from druse.permissions.stars import star_fits

_READING = frozenset(("Read", "Grep", "Glob", "LS", "NotebookRead"))
_FETCH = "WebFetch"  # reads, but a URL carries data out: no allowance for reading covers it
_PATH_KEYS = ("file_path", "path", "notebook_path")
_SEARCHING = frozenset(("Grep", "Glob", "LS"))
_WRITING = frozenset(("Edit", "Write", "MultiEdit", "NotebookEdit"))


def decide(
    policy: Policy,
    tool: str,
    arguments: JsonObject,
    *,
    spec: ToolSpec | None = None,
    caller: Caller | None = None,
) -> Decision:
    """Allow, ask or deny one call. Never raises for any tool name or arguments."""
    name = canonical_tool(tool)
    try:
        subject = _Subject(policy, name, arguments, spec)
        decided = _decided(policy, tool, name, subject, spec, caller)
        return replace(decided, place=subject.place, names_host=subject.names_host)
    except (RecursionError, MemoryError, OSError, ValueError, OverflowError) as error:
        # Whoever sends what cannot be judged gets nothing.
        return Decision(Verdict.DENY, why=f"it cannot be judged: {type(error).__name__}", origin="built in")


def _decided(
    policy: Policy, tool: str, name: str, subject: _Subject, spec: ToolSpec | None, caller: Caller | None
) -> Decision:
    forbidden = subject.never(caller)
    if forbidden:
        return Decision(Verdict.DENY, why=forbidden, origin="built in", rule="(protected)")
    for verdict, rules in ((Verdict.DENY, policy.deny), (Verdict.ASK, policy.ask)):
        found = subject.forbidding(rules)
        if found:
            rule, why = found
            return Decision(verdict, rule.text, rule.origin, why)
    if policy.restricted:
        return Decision(Verdict.ASK, why=policy.restricted)
    protected = subject.protected()
    if protected:
        return Decision(Verdict.ASK, "(protected)", "built in", protected)
    rule, why = subject.permitting(policy.allow)
    if rule is not None:
        return Decision(Verdict.ALLOW, rule.text, rule.origin, why)
    if spec is not None and spec.source is Source.CRYSTAL:
        # In service means that a person approved it with what it calls; each of those calls is decided again.
        return Decision(Verdict.ALLOW, f"(approved tool {spec.name} v{spec.version})", "approval")
    if spec is not None and spec.source is Source.CAPABILITY and spec.effect is Effect.READ and not spec.action:
        return Decision(Verdict.ALLOW, "(served to every client)", "built in", "it reads what resources show as well")
    if caller is not None and _granted(caller, tool, name, spec):
        return Decision(Verdict.ALLOW, f"(approved with {caller.tool} v{caller.version})", "approval", "")
    return Decision(Verdict.ASK, why=why or "no rule allows it", how_to_allow=subject.narrowest())


def _granted(caller: Caller, tool: str, name: str, spec: ToolSpec | None) -> bool:
    """A person approved the calling tool with the tools it calls; that answers "no rule matched", nothing more."""
    if caller.kind not in (CallerKind.TOOL, CallerKind.REPLAY) or name == _FETCH:
        return False  # a host is allowed by a rule that names it
    wire = spec.name if spec is not None else tool
    return wire in caller.grants or name in caller.grants


class _Subject:
    """One call, seen the way rules see it."""

    def __init__(self, policy: Policy, name: str, arguments: JsonObject, spec: ToolSpec | None) -> None:
        self._policy = policy
        self._name = name
        self._arguments = arguments
        self._spec = spec
        paths = _paths(name, arguments)
        self._places = [place_of(text, policy.workspace, policy.home) for text in paths if "\0" not in text]
        self._unreadable = any("\0" in text for text in paths) or _no_texts(name, arguments)

    @property
    def place(self) -> str:
        """Where the path that the call names leads at this moment; empty where it names none."""
        named = any(isinstance(self._arguments.get(key), str) for key in _PATH_KEYS)
        return self._places[0].resolved if named and self._places else ""

    @cached_property
    def _line(self) -> Line:
        return Line(self._command, self._policy)

    @property
    def _command(self) -> str:
        command = self._arguments.get("command")
        return command if isinstance(command, str) else ""

    def never(self, caller: Caller | None) -> str:
        """Why the call is out of the question for anyone but a person at the CLI."""
        if self._unreadable:
            return "the path or command is no plain text"
        if caller is not None and caller.kind is CallerKind.PERSON:
            return ""
        if caller is not None and caller.unconfined and not self._only_reads():
            return (
                "the sandbox does not hold on this machine (tier T0), so code in it may only read; "
                "see druse sandbox status, or set unconfined_effects = true"
            )
        if self._name in _WRITING and any(
            is_own(place, self._policy.workspace, self._policy.home) for place in self._places
        ):
            return "Druse decides by these files; only a person edits them, outside of Druse"
        if self._name == "Bash" and any(self_approval(part) for part in self._line.reached):
            return (
                "only a person decides approvals and runs this command of Druse; agents have run_tool, dispatch_goal "
                "and report_outcome"
            )
        return ""

    def forbidding(self, rules: RuleBook) -> tuple[Rule, str] | None:
        """The first deny or ask rule that applies."""
        if self._name == "Bash":
            found = forbidding(rules, self._line)
            return (found.rule, found.why) if found and found.rule else None
        for rule in self._candidates(rules, strict=False):
            if self._concerns(rule, strict=False) and self._applies(rule):
                return rule, ""
        return None

    def _candidates(self, rules: RuleBook, *, strict: bool) -> Iterator[Rule]:
        """The rules that could speak of this call: by its tool, and by the folders of its paths."""
        yield from rules.of_tool(self._name)
        if not strict and self._name in _WRITING - {"Edit"}:
            yield from rules.of_tool("Edit")
        for place in self._places:
            yield from rules.near(place)
            if self._name in _SEARCHING:
                yield from rules.below(place)

    def _applies(self, rule: Rule) -> bool:
        if rule.bare:
            return True
        if rule.readonly:
            return self._name == _FETCH or self._only_reads()
        if rule.path is not None:
            pattern, searched = rule.path, self._name in _SEARCHING
            return any(pattern.touches(place) or (searched and pattern.covers_folder(place)) for place in self._places)
        if rule.domain:
            return host_fits(rule.domain, self._host, subdomains=True)
        return all(condition.holds(self._arguments) is not False for condition in rule.conditions)

    def permitting(self, rules: RuleBook) -> tuple[Rule | None, str]:
        """The rule that allows the call, or None and why."""
        if self._name == "Bash":
            found = permitting(rules, self._line)
            return found.rule, found.why
        if self._name == _FETCH and not self.names_host:
            own = own_host(self._host)
            if own:
                return None, f"{self._host} is {own}, and no rule names it exactly"
        for rule in self._candidates(rules, strict=True):
            if self._concerns(rule, strict=True) and self._covered(rule):
                return rule, ""
        if self._name in _READING and self._inside():
            return Rule("(reads)", "built in", self._name, readonly=True), "it reads in the workspace"
        if self._name in _READING | _WRITING and not self._inside():
            return None, "it is outside the workspace and no rule allows it"
        return None, ""

    def _covered(self, rule: Rule) -> bool:
        if rule.readonly:
            return self._reads()
        if rule.path is not None:
            pattern = rule.path
            searched = self._name in _SEARCHING
            return bool(self._places) and all(
                pattern.covers(place) or (searched and pattern.covers_folder(place)) for place in self._places
            )
        if rule.domain:
            return host_fits(rule.domain, self._host, subdomains=False)
        if rule.conditions:
            return all(condition.holds(self._arguments) is True for condition in rule.conditions)
        # A bare rule on files stays in the workspace; beyond it a rule must name the place.
        return self._name not in PATH_TOOLS or self._inside()

    def _concerns(self, rule: Rule, *, strict: bool) -> bool:
        """Whether a rule speaks of this tool. An allow never reaches a server through a glob over its name."""
        if rule.path is not None:
            if not strict and rule.tool in _WRITING:
                return self._name in _WRITING  # whichever tool writes there
            return self._name in PATH_TOOLS.get(rule.tool, frozenset())
        if rule.tool == self._name:
            return True
        if rule.tool == "Edit" and self._name in _WRITING and not strict:
            return True
        if "*" not in rule.tool:
            return False
        if not strict:
            return star_fits(rule.tool, self._name)
        server, separator, rest = rule.tool.partition("__")
        if not separator:
            capability = self._spec is not None and self._spec.source is Source.CAPABILITY
            named = capability and "_" in rule.tool.partition("*")[0]  # planner_*, never p*
            return (rule.readonly or named) and star_fits(rule.tool, self._name)
        if "*" in server:
            return False
        known = self._spec.server if self._spec is not None and self._spec.source is Source.UPSTREAM else ""
        own_server, _, own_rest = self._name.partition("__")
        if known and re.sub(r"[^a-z0-9_]", "_", known.lower()) != server and known != server:
            return False
        return own_server == server and star_fits(rest, own_rest)

    def _only_reads(self) -> bool:
        return self._name in _READING or (self._spec is not None and self._spec.effect is Effect.READ)

    def _reads(self) -> bool:
        if self._name in _READING:
            return self._inside()
        return self._spec is not None and self._spec.effect is Effect.READ and self._spec.source is not Source.LOCAL

    def _inside(self) -> bool:
        return all(inside(place, self._policy.workspace) for place in self._places)

    def protected(self) -> str:
        """Why a person is asked whatever the rules allow."""
        for place in self._places:
            why = credential(place, self._policy.home)
            if not why and self._name in _WRITING:
                why = protection(place, self._policy.workspace, self._policy.home)
            if why:
                return f"{place.written} is protected: {why}"
        return ""

    @property
    def _host(self) -> str:
        return host_of(self._arguments.get("url"))

    @property
    def names_host(self) -> bool:
        """Whether an allow rule names exactly the host of the call: it may then be one in a private network."""
        host = self._host
        return bool(host) and any(
            rule.tool == self._name and "*" not in rule.domain and host_fits(rule.domain, host, subdomains=False)
            for rule in self._policy.allow
            if rule.domain
        )

    def narrowest(self) -> str:
        """The narrowest rule that covers this call; empty where none should."""
        if self._name == "Bash":
            script = self._line.script
            plain = not script.obstacles and len(script.commands) == 1 and not script.commands[0].redirects
            return f"Bash({self._command})" if plain and "*" not in self._command and "\n" not in self._command else ""
        if self._name in PATH_TOOLS and self._places:
            place = self._places[0]
            rule = "Edit" if self._name in _WRITING else "Read"
            if inside(place, self._policy.workspace):
                root = str(self._policy.workspace)
                relative = place.written[len(root) :] if place.written.startswith(root + "/") else ""
                return f"{rule}(.{relative})" if relative else rule
            return f"{rule}(/{place.written})"
        if self._name == _FETCH:
            host = f"[{self._host}]" if ":" in self._host else self._host
            return f"WebFetch(domain:{host})" if host else ""
        return self._name


def _paths(name: str, arguments: JsonObject) -> list[str]:
    if name not in PATH_TOOLS:
        return []
    named = [arguments.get(key) for key in _PATH_KEYS]
    paths = [text for text in named if isinstance(text, str) and text]
    pattern = arguments.get("pattern" if name == "Glob" else "glob") if name in ("Glob", "Grep") else None
    if isinstance(pattern, str):
        lead = re.split(r"[*?\[{]", pattern)[0]
        if re.search(r"[{,](?:/|~|\.\.)", pattern):
            paths.append("/")
        if pattern.startswith(("/", "~")) or ".." in pattern.split("/"):
            paths.append(lead or "/")
        elif "/" in lead:
            base = paths[0] if paths else "."
            paths.append(f"{base}/{lead.rsplit('/', 1)[0]}")
    return paths or ["."]


def _no_texts(name: str, arguments: JsonObject) -> bool:
    """Whether an argument that should be a path or a command is none, or is missing where nothing goes without it."""
    if name == "Bash":
        return not isinstance(arguments.get("command"), str)
    if name not in PATH_TOOLS:
        return False
    if name not in _SEARCHING and not any(isinstance(arguments.get(key), str) for key in _PATH_KEYS):
        return True
    return any(key in arguments and not isinstance(arguments[key], str | None) for key in _PATH_KEYS)


def explain_call(text: str) -> tuple[str, JsonObject]:
    """`Bash(git push)` or `shop__refund({"amount": 5})` as a tool and its arguments. Raises ValueError."""
    match = re.fullmatch(r"\s*([A-Za-z][\w.-]*)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise ValueError("write it as Tool(argument), for example 'Bash(git push)' or 'Read(src/a.py)'")
    tool, inner = canonical_tool(match[1]), (match[2] or "").strip()
    if inner.startswith("{"):
        loaded = json.loads(inner)
        if not isinstance(loaded, dict):
            raise ValueError("the arguments are not a JSON object")
        return tool, cast("JsonObject", loaded)
    key = "command" if tool == "Bash" else "url" if tool == "WebFetch" else "file_path" if tool in PATH_TOOLS else ""
    if not key and inner:
        raise ValueError("give the arguments as a JSON object")
    return tool, {key: inner} if inner else {}
