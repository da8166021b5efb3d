"""Rules and trust levels come into force only through a person; what narrows holds at once."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.governance import Action, Adoption, Rules, allowed
from druse.governance.policy import Content, gains, in_force
from druse.model import Invalid, JsonObject, NotAllowed, Verdict
from druse.permissions import Policy
from druse.settings import Config, SelfProgramming, Workspace
from governance.bench import AGENT, PERSON, Bench

FIRST = '[permissions]\nallow = ["Bash(git:*)"]\ndeny = ["Bash(git push:*)"]\n'


@dataclass
class Project:
    """A workspace whose files a person edits, and the governance over it."""

    bench: Bench
    workspace: Workspace
    rules: Rules
    adoption: Adoption

    def write(self, text: str) -> None:
        self.workspace.config.write_text(text)

    def verdict(self, command: str) -> str:
        arguments: JsonObject = {"command": command}
        return str(self.rules.decide(None, "Bash", arguments, AGENT).verdict)

    async def approve(self) -> None:
        for asked in await self.adoption.ask():
            await self.bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")


@pytest.fixture
async def project(bench: Bench) -> AsyncGenerator[Project]:
    async with opened(bench) as made:
        yield made


@asynccontextmanager
async def opened(bench: Bench, text: str | None = "") -> AsyncGenerator[Project]:
    """The project as a process sees it that starts now."""
    workspace = Workspace(bench.folder, bench.folder / "user.toml")
    workspace.state.mkdir(exist_ok=True)
    if text:
        workspace.config.write_text(text)
    rules = Rules(workspace, bench.chain.key, clock=bench.clock)
    bench.chain.policy = lambda: rules.hash
    bench.approvals.trust = rules.trusts
    adoption = Adoption(bench.store, bench.chain, bench.approvals, rules, clock=bench.clock)
    await adoption.begin()
    yield Project(bench, workspace, rules, adoption)


@pytest.mark.requirement("S-26")
async def test_an_edit_widens_nothing_until_its_hash_is_approved(project: Project) -> None:
    project.write(FIRST)
    assert project.verdict("git commit -m x") == "ask"
    assert project.rules.waiting == ["allowed: Bash(git:*)"]
    decision = project.rules.decide(None, "Bash", {"command": "git commit -m x"}, AGENT)
    assert decision.why.endswith('waits for a person: "druse policy approve"') and "config.toml:2" in decision.why
    await project.approve()
    assert project.verdict("git commit -m x") == "allow"
    assert project.rules.waiting == []


@pytest.mark.requirement("S-26")
async def test_the_old_rules_go_on_to_govern_while_new_ones_wait(project: Project) -> None:
    project.write(FIRST)
    await project.approve()
    project.write('[permissions]\nallow = ["Bash(git:*)", "Bash(touch:*)"]\n')
    assert project.verdict("git commit -m x") == "allow"
    assert project.verdict("touch x") == "ask"
    assert project.verdict("git push") == "deny"  # taken out of the file, still denied
    assert project.rules.waiting == ["no longer denied: Bash(git push:*)", "allowed: Bash(touch:*)"]


async def test_what_narrows_holds_from_the_moment_the_file_is_saved(project: Project) -> None:
    project.write(FIRST)
    await project.approve()
    project.write('[permissions]\nallow = []\ndeny = ["Bash(git push:*)", "Bash(git fetch:*)"]\n')
    assert project.verdict("git commit -m x") == "ask"
    assert project.verdict("git fetch") == "deny"
    assert project.rules.waiting == []
    assert await project.adoption.ask() == []


@pytest.mark.requirement("S-25")
async def test_a_file_that_cannot_be_read_makes_everything_ask(project: Project) -> None:
    project.write('[permissions]\nallow = ["Bash(git:*)"]\n[self_programming]\ntrust_level = 3\n')
    await project.approve()
    assert project.rules.trust_level == 3
    project.write("[permissions\n")
    assert project.verdict("git commit -m x") == "ask"
    assert "config.toml:1" in project.rules.problem
    assert project.rules.trust_level == 0
    project.workspace.config.unlink()
    assert project.verdict("git commit -m x") == "ask"
    project.write('[permissions]\nallow = ["Bash(git:*)"]\n')
    assert project.verdict("git commit -m x") == "allow"


async def test_a_file_that_cannot_be_read_stops_the_start(bench: Bench) -> None:
    with pytest.raises(Invalid, match=r"config\.toml:1"):
        async with opened(bench, "[nonsense]\n"):
            pass


async def test_approved_rules_survive_a_restart_and_reach_processes_that_run(bench: Bench) -> None:
    async with opened(bench, FIRST) as one, opened(bench) as two:
        assert (one.verdict("git commit -m x"), two.verdict("git commit -m x")) == ("ask", "ask")
        await two.approve()
        assert (one.verdict("git commit -m x"), two.verdict("git commit -m x")) == ("allow", "allow")
    async with opened(bench) as later:
        assert later.verdict("git commit -m x") == "allow"


@pytest.mark.requirement("S-26", "X-07")
async def test_a_forged_or_an_old_record_of_approved_rules_is_not_believed(bench: Bench) -> None:
    async with opened(bench, FIRST) as project:
        await project.approve()
        path = project.rules.path
        old = path.read_text()
        project.write('[permissions]\nallow = ["Bash(git:*)", "Bash(*)"]\n')
        forged = json.loads(old)
        forged["content"]["allow"].append("Bash(*)")
        forged["number"] = 99
        path.write_text(json.dumps(forged))
        assert project.verdict("rm x") == "ask"
        path.unlink()
        assert project.verdict("rm x") == "ask"
        assert project.verdict("git commit -m x") == "allow"
        project.write('[permissions]\nallow = ["Bash(touch:*)"]\n')
        await project.approve()
        path.write_text(old)  # a genuine one, from before
        project.write(FIRST)
        assert project.verdict("git commit -m x") == "ask"
    async with opened(bench) as project:
        assert project.verdict("git commit -m x") == "ask"
        assert json.loads(project.rules.path.read_text())["number"] == 2


async def test_an_approval_for_other_rules_than_it_shows_is_refused(project: Project) -> None:
    details: JsonObject = {"gains": [], "content": Content(allow=frozenset(("Bash(*)",))).as_json()}
    asked = await project.bench.approvals.request("policy", Content().hash, "harmless", details, AGENT)
    with pytest.raises(Invalid, match="for others"):
        await project.bench.approvals.decide(asked.id, PERSON, approve=True, how="cli")
    assert project.rules.record.number == 0


async def test_requests_for_earlier_forms_of_the_file_are_withdrawn(project: Project) -> None:
    project.write(FIRST)
    project.rules.refresh()
    (first,) = await project.adoption.ask()
    project.write('[permissions]\nallow = ["Bash(touch:*)"]\n')
    project.rules.refresh()
    (second,) = await project.adoption.ask()
    assert [held.id for held in await project.bench.approvals.list(open_only=True)] == [second.id]
    with pytest.raises(Invalid, match="expired"):
        await project.bench.approvals.decide(first.id, PERSON, approve=True, how="cli")


@pytest.mark.requirement("N-38")
async def test_a_change_of_rules_is_in_the_chain_signed_under_the_old_ones(project: Project) -> None:
    project.write(FIRST)
    project.rules.refresh()
    old = project.rules.hash
    await project.approve()
    (change,) = await project.bench.chain.newest(1, {"action": "policy.adopted"})
    payload = change["payload"]
    assert isinstance(payload, dict)
    assert (payload["old"], payload["new"]) == (old, project.rules.hash)
    (root,) = await project.bench.store.audit.roots()
    assert root.size == change["seq"]
    assert json.loads(root.statement)["policy"] == old
    await project.bench.write(1)
    await project.bench.chain.seal()
    assert json.loads((await project.bench.store.audit.roots())[-1].statement)["policy"] == project.rules.hash


# trust


@pytest.mark.requirement("S-20", "S-21", "S-22", "S-23", "S-24")
@pytest.mark.parametrize(
    ("action", "least"),
    [
        (Action.INTROSPECT, 1),
        (Action.TRANSFORM, 2),
        (Action.SYNTHESIZE, 3),
        (Action.REGISTER, 3),
        (Action.EXECUTE, 4),
    ],
)
def test_each_action_needs_nobody_from_its_level_on(action: Action, least: int) -> None:
    for level in range(5):
        expected = Verdict.ALLOW if level >= least else Verdict.ASK
        assert allowed(level, action, permissions=0) is expected
        assert allowed(level, action, enabled=False, permissions=0) is Verdict.DENY


@pytest.mark.requirement("S-22")
@pytest.mark.parametrize("permissions", [None, 1, 7])
def test_a_transformation_that_was_granted_something_is_an_execution(permissions: int | None) -> None:
    assert allowed(3, Action.TRANSFORM, permissions=permissions) is Verdict.ASK
    assert allowed(4, Action.TRANSFORM, permissions=permissions) is Verdict.ALLOW


@pytest.mark.requirement("S-19")
async def test_a_fresh_project_trusts_nothing_and_an_edit_alone_raises_nothing(project: Project) -> None:
    assert project.rules.trust_level == 0
    project.write("[self_programming]\ntrust_level = 3\n")
    project.rules.refresh()
    assert project.rules.trust_level == 0
    assert project.rules.waiting == ["trust level 0 -> 3"]
    await project.approve()
    assert project.rules.trust_level == 3
    (entry,) = await project.bench.chain.newest(1, {"action": "policy.adopted"})
    assert (entry["actor"], entry["client"]) == ("person", PERSON.client)
    project.write("[self_programming]\ntrust_level = 1\n")
    assert project.rules.trusts(Action.REGISTER) is Verdict.ASK
    assert project.rules.trusts(Action.INTROSPECT) is Verdict.ALLOW


@pytest.mark.requirement("S-24")
async def test_the_highest_level_needs_a_confirmation_that_lasts_twelve_hours(bench: Bench) -> None:
    async with opened(bench, "[self_programming]\ntrust_level = 4\n") as project:
        await project.approve()  # the rules
        assert project.rules.trust_level == 3
        await project.approve()  # the confirmation
        assert project.rules.trust_level == 4
        bench.clock.now += 12 * 3600 + 1
        assert project.rules.trust_level == 3
        await project.approve()
        assert project.rules.trust_level == 4
        project.write("[self_programming]\ntrust_level = 4\nmax_plan_depth = 6\n")
        project.rules.refresh()
        await project.approve()
        assert project.rules.trust_level == 3  # other rules, another confirmation


@pytest.mark.requirement("S-23")
@pytest.mark.parametrize(("level", "status"), [(0, "pending"), (2, "pending"), (3, "approved")])
async def test_only_the_level_in_force_says_yes_in_a_persons_stead(project: Project, level: int, status: str) -> None:
    project.write(f"[self_programming]\ntrust_level = {level}\n")
    project.rules.refresh()
    asked = await project.bench.approvals.request("tool", "h", "New tool", {}, AGENT)
    assert await project.bench.approvals.grant(asked.id, AGENT) is None
    await project.approve()
    await project.bench.approvals.grant(asked.id, AGENT)
    found = await project.bench.approvals.get(asked.id)
    assert found.status == status
    assert found.decided_how == ("trust" if status == "approved" else None)


async def test_no_level_says_yes_to_calls_rules_or_what_a_person_rejected(project: Project) -> None:
    project.write("[self_programming]\ntrust_level = 3\n")
    project.rules.refresh()
    await project.approve()
    approvals = project.bench.approvals
    for kind in ("call", "policy", "trust"):
        asked = await approvals.request(kind, "h", "x", {}, AGENT)
        assert await approvals.grant(asked.id, AGENT) is None
    tool = await approvals.request("tool", "h", "x", {}, AGENT)
    await approvals.decide(tool.id, PERSON, approve=False, how="cli")
    assert await approvals.grant(tool.id, AGENT) is None


# the algebra of rules

RULES = st.frozensets(st.sampled_from(["Bash(git:*)", "Bash(touch:*)", "Read", "shop__get", "shop__*"]), max_size=4)
BLOCKS = st.builds(
    SelfProgramming,
    enabled=st.booleans(),
    trust_level=st.integers(0, 4),
    max_synthesis_per_session=st.integers(0, 20),
    max_plan_depth=st.integers(1, 9),
)
CONTENTS = st.builds(Content, allow=RULES, ask=RULES, deny=RULES, self_programming=BLOCKS)


def config_of(content: Content) -> Config:
    rules = {kind: sorted(getattr(content, kind)) for kind in ("allow", "ask", "deny")}
    policy = Policy.from_lists(rules, workspace=Path("/w"), home=Path("/h"))
    return Config(policy, content.self_programming)


@given(CONTENTS, CONTENTS)
def test_what_is_in_force_never_permits_more_than_what_was_approved_nor_than_the_files(
    wanted: Content, approved: Content
) -> None:
    force = Content.of(in_force(config_of(wanted), approved))
    assert gains(approved, force) == []
    assert gains(wanted, force) == []
    if not gains(approved, wanted):
        assert gains(force, wanted) == []  # nothing waits: the files govern as they are


@given(CONTENTS)
def test_contents_survive_the_store_and_gain_nothing_over_themselves(content: Content) -> None:
    again = Content.from_json(json.loads(json.dumps(content.as_json())))
    assert (again, again.hash, gains(content, again)) == (content, content.hash, [])


def test_unreadable_contents_are_refused() -> None:
    for data in ({}, {"allow": [], "ask": [], "deny": [], "self_programming": {"x": 1}}):
        with pytest.raises(Invalid):
            Content.from_json(data)


async def test_nobody_but_a_person_puts_rules_in_force(project: Project) -> None:
    project.write(FIRST)
    project.rules.refresh()
    (asked,) = await project.adoption.ask()
    with pytest.raises(NotAllowed):
        await project.bench.approvals.decide(asked.id, AGENT, approve=True, how="cli")
    assert project.verdict("git commit -m x") == "ask"
