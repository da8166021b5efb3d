"""Ways around rules, and the ordinary calls that must stay allowed beside them: one line each in attacks.jsonl."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from druse.commandline import Command, NotPlain, plain_commands
from druse.permissions import Policy, decide

CASES = [json.loads(line) for line in (Path(__file__).parent / "attacks.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("attacked") / "workspace"
    for folder in ("src", "scripts", "build", "secrets", ".git/hooks", ".druse", "dst", "sub"):
        (root / folder).mkdir(parents=True)
    for name in ("a.txt", "b.txt", "secrets/key", ".env", ".druse/config.toml", "scripts/x.sh", "package.lock"):
        (root / name).write_text("x\n", encoding="utf-8")
    (root / "pwlink").symlink_to("/etc/passwd")
    return root


@pytest.mark.requirement("N-17", "N-18")
@pytest.mark.parametrize("case", CASES, ids=[f"{c['group']}-{i}" for i, c in enumerate(CASES)])
def test_no_known_way_around_a_rule_is_open_and_no_ordinary_call_is_refused(
    case: dict[str, Any], workspace: Path, tmp_path: Path
) -> None:
    usable: dict[str, list[str]] = {}
    for kind, texts in case["rules"].items():
        for text in texts:
            try:
                Policy.from_lists({kind: [text]}, workspace=workspace, home=tmp_path)
                usable.setdefault(kind, []).append(text)
            except Exception:  # a rule refused at load allows nothing; a refused deny is a failure of the case
                assert kind == "allow"
    decision = decide(Policy.from_lists(usable, workspace=workspace, home=Path("/root")), case["tool"], case["args"])
    assert str(decision.verdict) in case["expect"].split("|"), decision


def test_a_number_that_is_none_keeps_a_deny_in_force(workspace: Path) -> None:
    policy = Policy.from_lists({"allow": ["s__*"], "deny": ["s__pay(amount>5)"]}, workspace=workspace, home=workspace)
    assert str(decide(policy, "s__pay", {"amount": math.nan}).verdict) == "deny"


PIECES = [
    *(
        "a",
        "b",
        "x=",
        "1",
        "2",
        "-",
        ".",
        ":",
        ",",
        "#",
        "!",
        "@",
        "=",
        "~",
        "/",
        "\\",
        "'",
        '"',
        "$",
        "{",
        "}",
        "[",
        "]",
    ),
    *("*", "?", " ", "  ", "\t", "\n", "\\\n", "$'", "\\n", "..", "&&", "||", ";", "|", "&", ">", "<"),
]
HEAD = """set -f
p() { printf '%s\\0' p "$@"; printf '\\1\\0'; }
command_not_found_handle() { printf '%s\\0' "$@"; printf '\\1\\0'; return 0; }
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash to compare with")
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_words_that_are_read_are_the_words_that_bash_runs(pieces: list[str]) -> None:
    text = "p " + "".join(pieces)
    try:
        commands = plain_commands(text)
    except NotPlain:
        return  # never allowed by a rule
    if not all(_comparable(command) for command in commands):
        return
    done = subprocess.run(
        ["/bin/bash", "--noprofile", "--norc", "-c", HEAD + text],
        capture_output=True,
        env={"HOME": "/home/of", "PATH": "/nowhere"},
        cwd="/",
        check=False,
    )
    ran = [part.split("\0")[:-1] for part in done.stdout.decode("utf-8", "replace").split("\1\0") if part]
    if b"syntax error" in done.stderr:
        assert ran == []  # nothing ran at all
        return
    assert ran == [list(command.texts) for command in commands]


def _comparable(command: Command) -> bool:
    """Left out: what runs differently by its operator, real programs and folders, and expansions of `~`."""
    first = command.texts[0] if command.words else "/"
    named = "/" not in first and first not in ("", ":", ".", "..", "!", "[") and not first.startswith("~")
    literal = all(word.literal and not word.glob and not word.text.startswith("~") for word in command.words)
    return named and literal and not command.redirects and command.joined in ("", ";", "&&")


WORDS = st.sampled_from(["tool-a", "tool-b", "one", "two", "three", "-x"])
RULE = st.tuples(st.lists(WORDS, min_size=1, max_size=3), st.booleans())


def naive(rules: dict[str, list[tuple[list[str], bool]]], line: list[list[str]]) -> str:
    """The documented meaning, word for word: deny > ask > allow, and an allow needs each command of the line."""

    def fits(rule: tuple[list[str], bool], words: list[str]) -> bool:
        fixed, tail = rule
        return words[: len(fixed)] == fixed and (tail or len(words) == len(fixed))

    for kind in ("deny", "ask"):
        if any(fits(rule, words) for rule in rules[kind] for words in line):
            return kind
    return "allow" if all(any(fits(rule, words) for rule in rules["allow"]) for words in line) else "ask"


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({kind: st.lists(RULE, max_size=3) for kind in ("allow", "ask", "deny")}),
    st.lists(st.tuples(st.sampled_from(["tool-a", "tool-b"]), st.lists(WORDS, max_size=3)), min_size=1, max_size=3),
)
def test_rules_on_words_mean_what_the_documentation_says(
    rules: dict[str, list[tuple[list[str], bool]]], line: list[tuple[str, list[str]]]
) -> None:
    commands = [[program, *words] for program, words in line]
    if any(words[1:2] == ["-x"] for words in commands):
        return  # options before a subcommand: a deny looks behind them, see attacks.jsonl
    texts = {
        kind: [f"Bash({' '.join(fixed)}{':*' if tail else ''})" for fixed, tail in listed]
        for kind, listed in rules.items()
    }
    policy = Policy.from_lists(texts, workspace=Path("/nowhere"), home=Path("/nowhere"))
    text = " && ".join(" ".join(words) for words in commands)
    assert str(decide(policy, "Bash", {"command": text}).verdict) == naive(rules, commands)


COSTLY: list[tuple[dict[str, list[str]], str, dict[str, Any]]] = [
    ({}, "Bash", {"command": "echo " + "{" * 20000}),
    ({}, "Bash", {"command": "ls /*/*/*/*/*/zzq"}),
    ({}, "Bash", {"command": "cat ../../../*/*/*/*/zzq"}),
    ({}, "Bash", {"command": "cd a; cd b; cd c; cd d; cat " + "a " * 5000}),
    ({}, "Bash", {"command": "cat " + "x/y:" * 10000}),
    ({"deny": ["Bash(rm:*)"]}, "Bash", {"command": "env " * 40 + "ls"}),
    ({"allow": ["Bash"], "deny": ["Bash(git * --force * main)"]}, "Bash", {"command": "git " + "--force " * 3000}),
    ({"allow": ["shop__x(email:*@*.x.io)"]}, "shop__x", {"email": "@" * 60000}),
    ({}, "Bash", {"command": "git log '" + "@{" * 30000 + "'"}),
    ({}, "Bash", {"command": "cat " + "a" * 300}),
    ({}, "Read", {"file_path": "a" * 300}),
    ({"allow": ["Read(//**)"]}, "Read", {"file_path": "~/.ssh/\ud800"}),
    ({"deny": ["shop__x(a.²=1)"]}, "shop__x", {"a": [1]}),
]


@pytest.mark.parametrize("number", range(len(COSTLY)))
def test_no_call_makes_a_decision_fail_or_take_long(number: int, workspace: Path) -> None:
    rules, tool, arguments = COSTLY[number]
    policy = Policy.from_lists(rules, workspace=workspace, home=workspace.parent)
    assert str(decide(policy, tool, arguments).verdict) in ("allow", "ask", "deny")
