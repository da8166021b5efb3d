"""What rules decide: one table a topic, through the same function and command that everything else uses."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from druse.cli import main
from druse.model import Caller, CallerKind, Effect, Invalid, Source, ToolSpec
from druse.permissions import Policy, decide

HERE = Path(os.path.realpath("/tmp"))


def verdict(
    tool: str, argument: str, *, workspace: Path | None = None, home: Path | None = None, **rules: list[str]
) -> str:
    root = workspace or HERE / "druse-no-such-workspace"
    policy = Policy.from_lists(rules, workspace=root, home=home or HERE / "druse-no-such-home")
    key = {"Bash": "command", "WebFetch": "url"}.get(tool, "file_path")
    return str(decide(policy, tool, {key: argument}).verdict)


ALLOWED_BY_GIT = [
    *("git --no-pager log --oneline", "git diff --text", "git commit --amend --no-edit", "git pull --rebase"),
    *("git log --all --graph --format=%h", "git branch --contains x", "git tag --list", "git diff --stat --cached"),
    *("git status", "git", "git  status", '"git" status', "g\\it status", "git status && echo hi", "git status | cat"),
    *("git log -3 --oneline", "git add -A; git commit -m 'fix: it'", "git diff 2>/dev/null", "timeout 5 git status"),
    *("nice git status", "nohup git status", "if true; then git status; fi", "git status # comment"),
    *("git push -u origin main", "git switch -c new", "git commit -m 'a > b'", "git config --get user.name"),
    *("git checkout -- src/a.py", "git fetch origin", "git stash pop", "git branch -a", "git show HEAD~1:README.md"),
]
ASKED_UNDER_GIT = [
    *("git grep --open=x y", "git grep --ope x", "git clone --u x y", "git fetch --upload x", "git log --outp=x"),
    *("git clone --conf a=b u", "git ls-remote --exec=x", "git push --rec x", "git init --temp=x"),
    *("gitk", "git-lfs version", "git status & rm x", "git status; rm x", "git $(x)", "git `x`", "git status > out"),
    *("git -c alias.x='!sh' x", "git -C /etc status", "git status\nrm x", "env git status", "X=1 git status"),
    *(
        "sudo git status",
        "bash -c 'git status'",
        "/usr/bin/git status",
        "./git status",
        "(git status)",
        "{ git status; }",
    ),
    *("git --exec-path=/tmp status", "git log --output=x", "git clone -c a=b u", "git rebase -x 'rm y' main"),
    *("git config alias.x '!rm y'", "git submodule foreach rm y", "git bisect run ./x", "git clone ext::sh y"),
    *("git fetch --upload-pack=/tmp/x o", "git push --receive-pack x", "git grep -Oless x", "git diff --ext-diff"),
    *("git status <(x)", "git status || rm x", "git difftool -x rm", "git log $HOME", "git add /etc/passwd", "git 'a"),
    *("git status\r\nrm x", "git\0status", "git status\u2028rm x", "gіt status", "git archive -o x HEAD", "git -p log"),
]


@pytest.mark.requirement("N-17")
@pytest.mark.parametrize("command", ALLOWED_BY_GIT)
def test_a_git_rule_allows_ordinary_git(command: str) -> None:
    assert verdict("Bash", command, allow=["Bash(git:*)"]) == "allow"


@pytest.mark.requirement("N-17", "X-06")
@pytest.mark.parametrize("command", ASKED_UNDER_GIT)
def test_a_git_rule_does_not_allow_what_git_could_be_made_to_do(command: str) -> None:
    assert verdict("Bash", command, allow=["Bash(git:*)"]) == "ask"


@pytest.mark.requirement("N-17", "X-06")
@pytest.mark.parametrize(
    "command",
    [
        *(
            "rm x",
            "/bin/rm x",
            "./rm x",
            "sudo rm x",
            "env rm x",
            "A=1 rm x",
            "timeout 5 rm x",
            "nice rm x",
            "echo $(rm x)",
        ),
        *(
            "bash -c 'rm x'",
            'sh -c "rm x"',
            "bash -lc 'cd a && rm x'",
            "echo `rm x`",
            "(rm x)",
            "{ rm x; }",
            "true && rm x",
        ),
        *("true | rm x", "rm x &", "xargs rm", "find . -exec rm {} ;", "eval rm x", "command rm x", "\\rm x", "'rm' x"),
        *("r\\m x", "$'rm' x", "cat <<E\n$(rm x)\nE", "f() { rm x; }; f", "for f in *; do rm $f; done", "nohup rm x"),
        *(
            "bash -c 'bash -c \"rm x\"'",
            "if rm x; then :; fi",
            "! rm x",
            "time rm x",
            "busybox rm x",
            "RM x",
            "exec rm x",
        ),
        *("sudo -u bob rm x", "env -i rm x", "watch rm x", "rm x > /dev/null", "echo ${x:-$(rm y)}", "diff <(rm x) y"),
    ],
)
def test_a_deny_looks_through_every_wrapper(command: str) -> None:
    assert verdict("Bash", command, allow=["Bash"], deny=["Bash(rm:*)"]) == "deny"


@pytest.mark.parametrize(
    "rule",
    ["Bash(python3:*)", "Bash(bash *)", "Bash(find:*)", "Bash(xargs:*)", "Bash(npm:*)", "Bash(make *)", "Bash(ssh:*)"],
)
def test_a_wildcard_on_a_program_that_executes_anything_is_refused_or_narrow(rule: str) -> None:
    try:
        assert verdict("Bash", rule[5:].split(":")[0].split(" ")[0] + " . -exec rm {} ;", allow=[rule]) == "ask"
    except Invalid as error:
        assert "can execute" in str(error) or "execute anything" in str(error)


@pytest.mark.parametrize(
    ("rule", "command", "expected"),
    [
        ("Bash(npm run test)", "npm run test", "allow"),
        ("Bash(npm run test)", "npm run test -- --x", "ask"),
        ("Bash(npm run test:*)", "npm run test -- --x", "allow"),
        ("Bash(npm run *)", "npm run build", "allow"),
        ("Bash(git * main)", "git push origin main", "allow"),
        ("Bash(git * main)", "git main", "ask"),
        ("Bash(git * main)", "git push origin main x", "ask"),
        ("Bash(* --version)", "node --version", "allow"),
        ("Bash(* --version)", "python3 -c 'x' --version", "ask"),
        ("Bash(touch *)", "touch a b", "allow"),
        ("Bash(touch *)", "touch /outside", "ask"),
        ("Bash(touch *)", "touch $HOME/x", "ask"),
        ("Bash(touch *)", "touch ../x", "ask"),
        ("Bash(python3 -V)", "python3 -V", "allow"),
        ("Bash(ls:*)", "ls -la src", "allow"),
        ("Bash(touch *)", "touch .git/hooks/x", "ask"),
        ("Bash(cp:*)", "cp a.txt b.txt", "allow"),
        ("Bash(cp:*)", "cp a.txt .druse/config.toml", "ask"),
        ("Bash", "druse approvals approve x --yes", "deny"),
        ("Bash", "python3 -m druse approvals approve x --yes", "deny"),
        ("Bash", "echo hi > .git/hooks/pre-commit", "ask"),
    ],
)
def test_bash_rules(rule: str, command: str, expected: str) -> None:
    assert verdict("Bash", command, allow=[rule]) == expected


@pytest.mark.requirement("X-08")
def test_a_path_in_a_bash_rule_allows_that_place_only(tmp_path: Path) -> None:
    home = tmp_path / "home"
    rules = {"allow": ["Bash(chmod:~/.tool/**)", "Bash(chmod +x ~/.tool/*)"]}
    policy = Policy.from_lists({"allow": rules["allow"][1:]}, workspace=tmp_path / "w", home=home)

    assert decide(policy, "Bash", {"command": f"chmod +x {home}/.tool/run"}).verdict != "deny"
    assert decide(policy, "Bash", {"command": "chmod +x /etc/passwd"}).verdict == "ask"


@pytest.mark.requirement("H-19")
@pytest.mark.parametrize(
    ("tool", "path", "rules", "expected"),
    [
        ("Edit", "n.md", {"allow": ["FileEdit(*.md)"]}, "allow"),
        ("Write", "sub/n.md", {"allow": ["Edit(*.md)"]}, "allow"),
        ("Edit", "n.py", {"allow": ["FileEdit(*.md)"]}, "ask"),
        ("Edit", "../n.md", {"allow": ["Edit(./**)"]}, "ask"),
        ("Edit", "a/../../n.md", {"allow": ["Edit"]}, "ask"),
        ("Read", "src/a.py", {}, "allow"),
        ("Read", "/etc/hostname", {}, "ask"),
        ("Read", ".env", {"deny": ["Read(.env)"]}, "deny"),
        ("Read", "sub/.env", {"deny": ["Read(.env)"]}, "deny"),
        ("Read", ".ENV", {"deny": ["Read(.env)"]}, "deny"),
        ("Read", "secret/k.txt", {"deny": ["Read(./secret/**)"]}, "deny"),
        ("Write", ".git/hooks/x", {"allow": ["Write", "Edit(./**)"]}, "ask"),
        ("Write", ".druse/config.toml", {"allow": ["Write", "Edit(./**)"]}, "deny"),
        ("Write", "tools/generated/x/v1.py", {"allow": ["Write", "Edit(./**)"]}, "deny"),
        ("Write", "mcp.json", {"allow": ["Write", "Edit(./**)"]}, "ask"),
        ("Read", "x\0y", {"allow": ["Read"]}, "deny"),
    ],
)
def test_paths(tool: str, path: str, rules: dict[str, list[str]], expected: str, tmp_path: Path) -> None:
    assert verdict(tool, path, workspace=tmp_path, home=None, **rules) == expected


@pytest.mark.requirement("H-19")
def test_a_link_out_of_the_workspace_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()

    assert verdict("Write", "out/x.md", workspace=work, allow=["Edit(./**)"]) == "ask"
    assert verdict("Bash", "cat out/x", workspace=work) == "ask"


@pytest.mark.parametrize(
    ("rule", "tool", "arguments", "expected"),
    [
        ("shop__get_*", "shop__get_user", {}, "allow"),
        ("mcp__shop__get_user", "shop__get_user", {}, "allow"),
        ("mcp__shop", "shop__refund", {}, "allow"),
        ("*__get_user", "shop__get_user", {}, "ask"),
        ("shop__*", "shopify__x", {}, "ask"),
        ("shop__refund(amount<=100)", "shop__refund", {"amount": 100}, "allow"),
        ("shop__refund(amount<=100)", "shop__refund", {"amount": 101}, "ask"),
        ("shop__refund(amount<=100)", "shop__refund", {"amount": "50"}, "ask"),
        ("shop__refund(amount<=100)", "shop__refund", {}, "ask"),
        ("shop__*(email:*@x.io)", "shop__find", {"email": "a@x.io"}, "allow"),
        ("shop__*(email:*@x.io)", "shop__find", {"email": "a@x.io.evil"}, "ask"),
    ],
)
def test_tools_of_servers_and_their_arguments(
    rule: str, tool: str, arguments: dict[str, object], expected: str
) -> None:
    policy = Policy.from_lists({"allow": [rule]}, workspace=HERE, home=HERE)
    assert decide(policy, tool, arguments).verdict == expected  # type: ignore[arg-type]


def test_a_deny_on_an_argument_holds_where_the_argument_cannot_be_compared() -> None:
    policy = Policy.from_lists({"allow": ["shop__*"], "deny": ["shop__refund(amount>100)"]}, workspace=HERE, home=HERE)

    assert decide(policy, "shop__refund", {"amount": "500"}).verdict == "deny"
    assert decide(policy, "shop__refund", {"amount": 50}).verdict == "allow"


def test_read_only_is_what_druse_knows_and_not_what_a_server_claims() -> None:
    policy = Policy.from_lists({"allow": ["*(readonly)"]}, workspace=HERE, home=HERE)
    claimed = ToolSpec("shop__x", Source.UPSTREAM, read_only_hint=True, server="shop")
    known = ToolSpec("shop__y", Source.UPSTREAM, effect=Effect.READ, server="shop")

    assert decide(policy, "shop__x", {}, spec=claimed).verdict == "ask"
    assert decide(policy, "shop__y", {}, spec=known).verdict == "allow"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://x.io/a", "allow"),
        ("https://x.io.evil.com/", "ask"),
        ("https://evil.com/x.io", "ask"),
        ("https://x.io@evil.com/", "ask"),
        ("file:///etc/passwd", "ask"),
        ("https://x.io\\@evil.com", "ask"),
        ("https://X.IO/", "allow"),
    ],
)
def test_hosts(url: str, expected: str) -> None:
    assert verdict("WebFetch", url, allow=["WebFetch(domain:x.io)"]) == expected


@pytest.mark.requirement("N-18")
def test_deny_beats_ask_beats_allow_whatever_is_more_specific() -> None:
    allow, ask = ["Bash(git status)"], ["Bash(git *)"]
    assert verdict("Bash", "git status", allow=allow, ask=ask) == "ask"
    assert verdict("Bash", "git status", allow=allow, ask=ask, deny=["Bash(git:*)"]) == "deny"


def test_what_a_person_approved_with_a_tool_never_outranks_a_deny_or_an_ask() -> None:
    caller = Caller(CallerKind.TOOL, tool="t", version=1, grants=("shop__pay", "shop__buy"))
    policy = Policy.from_lists({"ask": ["shop__buy"], "deny": []}, workspace=HERE, home=HERE)

    assert decide(policy, "shop__pay", {}, caller=caller).verdict == "allow"
    assert decide(policy, "shop__buy", {}, caller=caller).verdict == "ask"
    assert decide(policy, "shop__sell", {}, caller=caller).verdict == "ask"


@given(st.text(max_size=300))
def test_no_text_makes_a_decision_fail_or_allows_by_itself(text: str) -> None:
    assert verdict("Bash", text, allow=["Bash(git status)"], deny=["Bash(rm:*)"]) in ("allow", "ask", "deny")
    assert verdict("Read", text or "x", deny=["Read(.env)"]) in ("allow", "ask", "deny")


@given(st.sampled_from(ASKED_UNDER_GIT), st.sampled_from(ALLOWED_BY_GIT))
def test_joining_a_dangerous_command_to_an_allowed_one_never_allows_it(bad: str, good: str) -> None:
    assert verdict("Bash", f"{good}\n{bad}", allow=["Bash(git:*)"]) != "allow"


@pytest.mark.requirement("N-18")
def test_explain_prints_the_deciding_rule_with_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".druse").mkdir()
    (tmp_path / ".druse" / "config.toml").write_text(
        '[permissions]\nallow = ["Bash(git:*)"]\ndeny = [\n  "Bash(git push:*)",\n]\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))

    result = CliRunner().invoke(main, ["permissions", "explain", "Bash(git push --force)", "--json"])

    assert json.loads(result.output)["verdict"] == "deny"
    assert json.loads(result.output)["origin"].endswith("config.toml:4")


def test_check_answers_every_line_and_never_crashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [
        json.dumps({"rules": {"allow": ["Bash(git:*)"]}, "tool": "Bash", "args": {"command": "git status"}}),
        "{broken",
        json.dumps({"rules": {"deny": ["Bash("]}, "tool": "Bash", "args": {"command": "ls"}}),
        json.dumps({"tool": 5}),
    ]

    result = CliRunner().invoke(main, ["permissions", "check", "--json"], input="\n".join(lines) + "\n")

    answers = [json.loads(line)["verdict"] for line in result.output.splitlines()]
    assert answers == ["allow", "deny", "ask", "deny"]


def test_the_observed_decisions_of_a_real_client_are_kept_or_made_stricter(tmp_path: Path) -> None:
    data = os.environ.get("DRUSE_PERMISSION_DECISIONS")
    if not data or not Path(data).is_file():
        pytest.skip("set DRUSE_PERMISSION_DECISIONS to the file of observed decisions")
    order = ["allow", "ask", "deny"]
    observed = {"ran": "allow", "ran(err)": "allow", "needs-approval": "ask", "blocked": "deny"}
    stricter = []
    for line in Path(data).read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        arguments = {
            key: value.replace("{WORK}", str(tmp_path)).replace("{HOME}", str(tmp_path / "h"))
            if isinstance(value, str)
            else value
            for key, value in row["args"].items()
        }
        policy = Policy.from_lists(row["rules"], workspace=tmp_path, home=tmp_path / "h")
        ours, theirs = str(decide(policy, row["tool"], arguments).verdict), observed[row["verdict"]]
        assert order.index(ours) >= order.index(theirs), row
        if ours != theirs:
            stricter.append(arguments.get("command"))
    assert set(stricter) == {
        "xargs git status",
        "bash -c 'git status'",
        "python3 -c 'print(open(\".env\").read())'",
    }


def test_a_huge_command_asks() -> None:
    assert verdict("Bash", "git " + "a" * 1_000_000, allow=["Bash(git:*)"]) == "ask"


@pytest.mark.parametrize(
    "text", ["{\U0007b251\x91S\xfc\\\xc5\U000b55a1", "n\U00031acd\xb2{\U0010d136\n", "$\U0010d136"]
)
def test_characters_beyond_the_tables_of_the_grammar_do_not_end_the_process(text: str) -> None:
    assert verdict("Bash", f"git commit -m {text}", allow=["Bash(git:*)"]) in ("allow", "ask")


def test_characters_beyond_ascii_are_words_as_they_stand() -> None:
    assert verdict("Bash", "git commit -m 'größer — 日本 🎉'", allow=["Bash(git:*)"]) == "allow"
    assert verdict("Bash", "echo é; git push", allow=["Bash(echo:*)"], deny=["Bash(git push:*)"]) == "deny"
    assert verdict("Bash", "touch größe", allow=["Bash(touch größe)"]) == "allow"
    assert verdict("Bash", "cat <<é\nab\n'\né\nrm -rf x\n'", allow=["Bash(cat:*)"]) == "ask"
