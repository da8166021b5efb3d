"""The rules in force: what the configuration files say, as far as a person approved it (seed ids S-25, S-26).

An edit of the files alone widens nothing. What narrows (a deny or ask rule, an allow taken away, a lower trust level)
holds from the moment the file is saved; what widens waits for the approval of its hash, and until then the rules
approved before go on to govern. Files that cannot be read mean that everything asks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from druse.governance.trust import HIGHEST
from druse.model import Invalid, Json, JsonObject, digest
from druse.permissions import Layer, Policy
from druse.settings import AgentRules, Config, Knobs, People, SelfProgramming, narrower, widened

_KINDS = ("allow", "ask", "deny")
_ELICITED = {
    "elicit": "a client's answer approves calls that only read",
    "elicit_writes": "a client's answer approves calls that change something, with elicit",
}  # settings that a person has to approve, and what they permit


@dataclass(frozen=True, slots=True)
class Content:
    """What governs, without where it stands."""

    allow: frozenset[str] = frozenset()
    ask: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()
    self_programming: SelfProgramming = field(default_factory=SelfProgramming)
    elicited: frozenset[str] = frozenset()  # which of the settings elicit and elicit_writes are on
    model: str = ""  # the language model that may be asked: it is sent context and paid for
    people: People = field(default_factory=People, hash=False)  # what binds agents, and who decides
    oauth: str = ""  # whose tokens let their bearers in over HTTP, and in which role

    @classmethod
    def of(cls, config: Config) -> Content:
        """What the configuration files say."""
        rules = {kind: frozenset(text for text, _ in _placed(config.policy, kind)) for kind in _KINDS}
        elicited = frozenset(name for name in _ELICITED if getattr(config.knobs, name))
        model = str(config.model) if config.model is not None else ""
        oauth = str(config.oauth) if config.oauth is not None else ""
        allow, ask, deny = (rules[kind] for kind in _KINDS)
        return cls(allow, ask, deny, config.self_programming, elicited, model, _bare(config.people), oauth)

    @classmethod
    def from_json(cls, data: JsonObject) -> Content:
        """What was approved. Raises Invalid."""
        block = data.get("self_programming")
        try:
            rules = [frozenset(map(str, cast("list[Json]", data[kind]))) for kind in _KINDS]
            made = SelfProgramming(**cast("dict[str, Any]", block))
            elicited = frozenset(map(str, cast("list[Json]", data.get("elicited", []))))
        except (KeyError, TypeError) as error:
            raise Invalid("Cannot read the approved rules: a part is missing. Approve the rules anew.") from error
        model = str(data.get("model", ""))
        people = _people_from(cast("JsonObject", data.get("people") or {}))
        oauth = str(data.get("oauth", ""))
        return cls(rules[0], rules[1], rules[2], made, elicited & frozenset(_ELICITED), model, people, oauth)

    def as_json(self) -> JsonObject:
        """For the store; the hash is over this."""
        rules: JsonObject = {kind: list[Json](sorted(cast("frozenset[str]", getattr(self, kind)))) for kind in _KINDS}
        if self.elicited:  # rules without it keep the hash under which they were approved
            rules["elicited"] = list[Json](sorted(self.elicited))
        if self.model:
            rules["model"] = self.model
        if self.people != People():
            rules["people"] = _people_as_json(self.people)
        if self.oauth:
            rules["oauth"] = self.oauth
        return {**rules, "self_programming": cast("JsonObject", asdict(self.self_programming))}

    @property
    def hash(self) -> str:
        """What an approval of these rules binds to."""
        return digest(self.as_json())


def gains(approved: Content, wanted: Content) -> list[str]:
    """What `wanted` permits beyond `approved`, the weightiest first; empty where it only narrows."""
    was, now = approved.self_programming, wanted.self_programming
    found: list[str] = []
    if now.trust_level > was.trust_level:
        found.append(f"trust level {was.trust_level} -> {now.trust_level}")
    if now.enabled and not was.enabled:
        found.append("self-programming is switched on")
    found += [f"no longer denied: {rule}" for rule in sorted(approved.deny - wanted.deny)]
    found += [f"no longer asked about: {rule}" for rule in sorted(approved.ask - wanted.ask)]
    found += [f"allowed: {rule}" for rule in sorted(wanted.allow - approved.allow)]
    found += [_ELICITED[name] for name in sorted(wanted.elicited - approved.elicited)]
    if wanted.model and wanted.model != approved.model:
        found.append(f"a model is asked and sent context: {wanted.model}")
    if wanted.oauth and wanted.oauth != approved.oauth:
        found.append(f"whoever has a token is let in over HTTP: {wanted.oauth}")
    found += widened(approved.people, wanted.people)
    for name in ("max_synthesis_per_session", "max_plan_depth"):
        if getattr(now, name) > getattr(was, name):
            found.append(f"{name} {getattr(was, name)} -> {getattr(now, name)}")
    return found


def losses(approved: Content, wanted: Content) -> list[str]:
    """What `approved` permits beyond `wanted`."""
    return gains(wanted, approved)


def first_content(config: Config, *, cloned: bool) -> Content:
    """What comes into force when a workspace is opened for the first time.

    Never a trust level: that is raised by an act of its own. `cloned`: the project's file came with the project, so
    that somebody else may have written it; then it narrows what the user's own file says and widens nothing.
    """
    wanted, plain = Content.of(config), SelfProgramming()
    block = replace(wanted.self_programming, trust_level=0)
    if not cloned:
        return replace(wanted, self_programming=block)
    own = {text for layer in config.policy.layers if layer.name != "project" for text, _ in layer.rules["allow"]}
    return replace(
        wanted,
        allow=wanted.allow & own,
        self_programming=_narrower(block, plain),
        elicited=frozenset[str](),
        people=replace(wanted.people, reviewers={}),
        oauth=wanted.oauth if config.oauth is not None and config.oauth.layer != "project" else "",
    )


def in_force(config: Config, approved: Content) -> Config:
    """The configuration as far as it is approved."""
    layers = [
        Layer(
            layer.name,
            {
                kind: [one for one in layer.rules.get(kind, ()) if kind != "allow" or one[0] in approved.allow]
                for kind in _KINDS
            },
        )
        for layer in config.policy.layers
    ]
    wanted = Content.of(config)
    kept = {
        kind: [(rule, "the approved rules") for rule in sorted(getattr(approved, kind) - getattr(wanted, kind))]
        for kind in ("ask", "deny")
    }
    if any(kept.values()):
        layers.append(Layer.parse("approved", kept))
    policy = Policy(tuple(layers), config.policy.workspace, config.policy.home, config.policy.restricted)
    block = _narrower(approved.self_programming, wanted.self_programming)
    knobs = _elicits(config, approved.elicited & wanted.elicited)
    model = config.model if wanted.model == approved.model else None
    people = narrower(approved.people, config.people)
    oauth = config.oauth if wanted.oauth == approved.oauth else None
    return replace(config, policy=policy, self_programming=block, knobs=knobs, model=model, people=people, oauth=oauth)


def restricted(config: Config, why: str) -> Config:
    """The configuration where the rules cannot be read: everything asks, nothing is trusted."""
    policy = Policy.most_restrictive(config.policy.workspace, config.policy.home, why)
    block = replace(config.self_programming, trust_level=0)
    knobs = _elicits(config, frozenset())
    return replace(config, policy=policy, self_programming=block, knobs=knobs, model=None, oauth=None)


def _bare(people: People) -> People:
    """Without what an agent merely prefers: changing that needs nobody's approval."""
    agents = {name: replace(rules, llm_model="", risk_tolerance="") for name, rules in people.agents.items()}
    return replace(people, agents={name: rules for name, rules in agents.items() if rules != AgentRules()})


def _people_as_json(people: People) -> JsonObject:
    return {
        "agents": {
            name: {
                "max_autonomy_level": rules.max_autonomy_level,
                "require_approval_domains": list[Json](sorted(rules.require_approval_domains)),
            }
            for name, rules in sorted(people.agents.items())
        },
        "domains": {name: list[Json](sorted(globs)) for name, globs in sorted(people.domains.items())},
        "high_needs": people.high_needs,
        "reviewers": dict[str, Json](sorted(people.reviewers.items())),
    }


def _people_from(data: JsonObject) -> People:
    try:
        agents = {
            name: AgentRules(int(rules["max_autonomy_level"]), frozenset(rules["require_approval_domains"]))
            for name, rules in cast("dict[str, Any]", data.get("agents") or {}).items()
        }
        domains = {name: frozenset(globs) for name, globs in cast("dict[str, Any]", data.get("domains") or {}).items()}
        reviewers = {name: str(key) for name, key in cast("dict[str, Any]", data.get("reviewers") or {}).items()}
        return People(agents, domains, int(cast("int", data.get("high_needs", 1))), reviewers)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Invalid("Cannot read the approved rules: a part is missing. Approve the rules anew.") from error


def _elicits(config: Config, names: frozenset[str]) -> Knobs:
    return replace(config.knobs, elicit="elicit" in names, elicit_writes="elicit_writes" in names)


def _narrower(one: SelfProgramming, other: SelfProgramming) -> SelfProgramming:
    return SelfProgramming(
        enabled=one.enabled and other.enabled,
        trust_level=min(one.trust_level, other.trust_level, HIGHEST),
        max_synthesis_per_session=min(one.max_synthesis_per_session, other.max_synthesis_per_session),
        max_plan_depth=min(one.max_plan_depth, other.max_plan_depth),
    )


def _placed(policy: Policy, kind: str) -> list[tuple[str, str]]:
    return [placed for layer in policy.layers for placed in layer.rules.get(kind, ())]
