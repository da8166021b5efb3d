"""What is of class high may need two people (N-45)."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from capabilities.desk import SELF, Desk, run_tool, worked
from druse.cli import main
from druse.governance import Action
from druse.model import Caller, CallerKind, DruseError, Verdict


def said(desk: Desk, *arguments: str, user: str = "ada") -> Any:
    """A person's command, in this process."""
    environment = {**desk.environment, "USER": user, "LOGNAME": user}
    with contextlib.chdir(desk.root):
        done = CliRunner(env=environment).invoke(main, [*arguments, "--json"])
    return json.loads(done.stdout)


@pytest.mark.requirement("N-45")
async def test_an_action_of_class_high_needs_two_people_where_the_rules_say_so(desk: Desk, tmp_path: Path) -> None:
    import asyncio

    from druse.front.base import open_base
    from druse.settings import Workspace

    def cli(*arguments: str, user: str = "ada") -> Any:
        return asyncio.to_thread(said, desk, *arguments, user=user)

    keys = {name: str(tmp_path / f"{name}.key") for name in ("bob", "cid", "eve")}
    made_keys = {name: (await cli("approvals", "key", name, "--file", path))["public"] for name, path in keys.items()}
    reviewers = "".join(f'{name} = "{made_keys[name]}"\n' for name in ("bob", "cid"))
    desk.configure(f"{SELF}[approvals]\nhigh_needs = 2\n[approvals.reviewers]\n{reviewers}")
    async with desk.client() as client:
        for number in range(1, 6):
            await worked(client, number)
        made = await run_tool(client, "planner.synthesize_capability", goal="Note the city of u7@x.io")
        asked = made["approval_id"]
        approve = ("approvals", "approve", asked, "--yes")

        assert (await cli(*approve))["status"] == "pending"
        # not the same person twice, whatever the environment says, nor one whom the rules do not name
        for again, why in (
            (cli(*approve), "said yes already"),
            (cli(*approve, user="mallory"), "said yes already"),
            (cli(*approve, "--as", "eve", "--key", keys["eve"]), "no such reviewer"),
            (cli(*approve, "--as", "bob", "--key", keys["eve"]), "the key is another one"),
        ):
            assert why in (await again)["error"]["message"]
        # no agent, no answer of a client, no trust level
        async with open_base(Workspace.find(desk.root)) as base:
            agent = Caller(CallerKind.AGENT, "s", "s", "agent 1")
            base.approvals.elicits = lambda approval: True
            base.approvals.trust = lambda action, client: Verdict.ALLOW
            for door in (
                base.approvals.decide(asked, agent, approve=True, how="cli"),
                base.approvals.answer(asked, agent, approve=True),
            ):
                with pytest.raises(DruseError):
                    await door
            assert await base.approvals.grant(asked, agent) is None
            assert base.rules.trusts(Action.REGISTER) is Verdict.ASK
        denied = await run_tool(client, "Bash", command=f"druse approvals approve {asked} --as bob --key bob.key")
        assert denied["status"] == "denied"
        assert not (desk.root / "tools" / "generated" / made["tool"]).exists()

        # a no voids what was said before it
        assert (await cli("approvals", "reject", asked))["status"] == "rejected"
        assert (await cli(*approve, "--as", "bob", "--key", keys["bob"]))["status"] == "rejected"
        assert (await cli(*approve, "--as", "cid", "--key", keys["cid"]))["status"] == "approved"
        assert (await cli("tools", "show", made["tool"]))["version"] == 1

        # fewer people is more: that needs two as well; what is not of class high needs one
        desk.configure(f"{SELF}[approvals]\nhigh_needs = 1\n[approvals.reviewers]\n{reviewers}")
        assert "in place of 2" in str((await cli("policy", "show"))["waiting"])
        await cli("policy", "approve", "--yes")
        assert "in place of 2" in str((await cli("policy", "show"))["waiting"])
    votes = (await cli("audit", "show", "--action", "approval.seconded"))["entries"]
    assert [entry["payload"]["identity"].split()[0] for entry in votes] == ["account", "key", "key", "account"]
    assert (await cli("audit", "verify"))["ok"]
