"""Commands are compared word by word, and what is no value never becomes one."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from druse.commandline import NotPlain, plain_commands
from druse.crystal.commands import commands_of, undo_of_command
from druse.induction import Induction, Replay, Unrecorded, bind, induce, workflow_key
from druse.induction.induce import macro_of
from druse.induction.mining import inputs, mine
from druse.model import Run, RunStatus, Step
from druse_sandbox.builtins import command as command_line
from workflows import Diverged, execute

NAMES = ["parser", "lexer", "writer", "reader", "printer"]
DONE = {"stdout": "", "stderr": "", "exit_code": 0}


def runs_of(commands: list[list[str]], goals: list[str] | None = None) -> list[Run]:
    """One run for each list of commands; every call has a description of its own, as clients write them."""
    return [
        Run(
            f"r{number}",
            goals[number] if goals else " ".join(own),
            RunStatus.SUCCESS,
            tuple(
                Step("Bash", {"command": text, "description": f"{number} {place}"}, dict(DONE), turn=place + 1)
                for place, text in enumerate(own)
            ),
        )
        for number, own in enumerate(commands)
    ]


def taught(*templates: str) -> Induction:
    commands = [[text.replace("@", name) for text in templates] for name in NAMES]
    return induce(runs_of(commands, [f"work on {name}" for name in NAMES]))


def called(induction: Induction, **values: Any) -> list[str]:
    return [str(step.arguments["command"]) for step in execute(induction, lambda tool, arguments: dict(DONE), values)]


@pytest.mark.requirement("H-10", "H-13")
def test_a_word_that_varies_is_an_input_and_the_command_is_built_of_words() -> None:
    found = taught("git checkout -q -b fix-@", "mkdir @")
    assert found.status == "induced", found.reasons
    assert [template.shown for template in commands_of(found.source).templates] == [
        "git checkout -q -b fix-<name>",
        "mkdir <name>",
    ]
    assert called(found, name="scanner") == ["git checkout -q -b fix-scanner", "mkdir scanner"]


@pytest.mark.requirement("H-13")
@pytest.mark.parametrize(
    "value", ["x; rm -rf y", "$(id)", "`id`", "a 'b' \"c\"", "a\nb", "a && b", "*", "~root", "{a,b}", "é|ü", "#x", "!!"]
)
def test_every_value_stays_one_word_of_its_command(value: str) -> None:
    found = induce(runs_of([[f"git commit -m {shlex.quote(name + ' is fixed')}"] for name in NAMES]))
    (text,) = called(found, message=value)
    (command,) = plain_commands(text)
    assert command.texts == ("git", "commit", "-m", value)
    assert all(word.literal and not word.glob for word in command.words)
    assert shlex.split(text) == ["git", "commit", "-m", value]


@pytest.mark.requirement("H-13")
@pytest.mark.parametrize(
    "value", ["--amend", "-rf", "", "a\0b", "../x", "/etc/passwd", "~/x", "a b/../../c", 1.5, None, ["a"]]
)
def test_a_value_that_could_be_an_option_or_leave_the_workspace_is_refused(value: Any) -> None:
    found = induce(runs_of([[f"rm src/{a}/{b}.py"] for a, b in zip(NAMES, reversed(NAMES), strict=True)]))
    with pytest.raises(Diverged):
        called(found, name=value)


@pytest.mark.parametrize(
    ("commands", "reason"),
    [
        (["python3 -c @"], "what it is to run differs"),
        (["bash -c 'echo @'"], "what it is to run differs"),
        (["bash @"], "what it is to run differs"),
        (["sudo rm @"], "what it is to run differs"),
        (["python3 @"], "what it is to run differs"),
        (["git -c core.pager=@ log"], "part ways"),
        (["git @ origin"], "part ways"),
        (["@ --version"], "part ways"),
        (["cat @ | wc -l"], "a pipe"),
        (["echo @ > out.txt"], "redirects"),
        (["make @; make clean"], "whatever the first"),
        (["test -f @ || make"], "only where the first command failed"),
        (["cd @ && make"], "inside of a shell only"),
        (["! grep -q @ a && make"], "a condition"),
        (["X=@ make"], "sets variables"),
        (["cat $HOME/@"], "a variable or a wildcard"),
        (["cat @/*.py"], "a variable or a wildcard"),
        (["echo $(cat @)"], "substitution"),
        (["git add @", "cat @ | wc -l"], "a pipe"),
    ],
)
@pytest.mark.requirement("H-10")
def test_what_a_value_may_not_be_and_what_a_tool_cannot_run_is_refused_with_the_reason(
    commands: list[str], reason: str
) -> None:
    found = taught(*commands)
    assert found.status == "refused" and reason in "; ".join(found.reasons), (found.reasons, found.source)


LETTERS = st.sampled_from("ab-=~*?[]{},'\"\\$`;&|<>()!#% \n\t\r:/.é\u2028\x7f")


@given(st.lists(st.text(LETTERS, max_size=8), max_size=4))
def test_words_of_any_letters_read_back_as_themselves_or_not_at_all(words: list[str]) -> None:
    text = command_line("git", *words)
    assert shlex.split(text) == ["git", *words]
    try:
        (command,) = plain_commands(text)
    except NotPlain:
        return  # refused before it runs
    assert command.texts == ("git", *words) and not command.redirects and not command.assignments
    assert all(word.literal and not word.glob for word in command.words)


def test_commands_joined_by_and_become_calls_of_their_own_and_replay_equal() -> None:
    runs = runs_of([[f"git add src/{name}.py && git commit -m {name}"] for name in NAMES])
    found = induce(runs)
    for run in runs:
        values = bind(found, run) or {}
        replay = Replay(macro_of(run))
        execute(found, replay.call, values)
        assert replay.complete
    with pytest.raises(Unrecorded):
        Replay(macro_of(runs[0])).call("Bash", {"command": "git add src/lexer.py"})


def test_a_pipeline_in_which_nothing_varies_is_learned_from_three_runs_as_it_is() -> None:
    found = induce(runs_of([["ruff check . && python3 -m unittest -q && git status --short"]] * 3, ["check"] * 3))
    assert called(found) == ["ruff check .", "python3 -m unittest -q", "git status --short"]
    assert commands_of(found.source).templates[0].rule[0] == "Bash(ruff check .)"


def test_a_command_that_failed_in_every_run_is_left_out_and_named() -> None:
    runs = runs_of([["grep -q x a", f"git tag {name}"] for name in NAMES])
    runs = [replace(run, steps=(replace(run.steps[0], failed=True), run.steps[1])) for run in runs]
    found = induce(runs)
    assert called(found, tag="v1") == ["git tag v1"]
    assert found.reasons == ("`grep -q _ _` failed in every run, and the runs went on: the tool leaves it out",)


def test_only_like_commands_are_of_one_workflow() -> None:
    keys = {
        workflow_key(run) for run in runs_of([["git add a"], ["git add b"], ["git add -A"], ["git push a"], ["ls b"]])
    }
    assert keys == {"git add _(command)", "git add -A(command)", "git push _(command)", "ls _(command)"}


def test_an_option_with_its_value_in_one_word_varies_in_the_value_only() -> None:
    found = induce(runs_of([[f"git log --author={shlex.quote(n)} --oneline"] for n in ("Ann Lee", "Bo", "Cy", "Di")]))
    assert called(found, author="x --all") == ["git log '--author=x --all' --oneline"]
    with pytest.raises(Diverged):
        called(found, author="--all")


def test_a_command_that_fits_no_template_is_not_covered() -> None:
    commands = commands_of(taught("git checkout -b fix-@").source)
    assert commands.covers("git checkout -b fix-new") and commands.covers("git 'checkout' -b \"fix-new\"")
    for text in (
        *("git checkout -b", "git checkout -b fix-new main", "git checkout -b other", "git checkout -b 'fix-a b'"),
        *("git checkout -b fix-a && id", "git checkout -b fix-$(id)", "git checkout -b fix-*", "git checkout -B fix-a"),
        *("X=1 git checkout -b fix-a", "git checkout -b fix-a > x", "git checkout -b fix-a # b", 3, None),
    ):
        assert not commands.covers(text) or text == "git checkout -b fix-a # b", text


def test_what_takes_a_command_back_is_told_where_it_is_known() -> None:
    assert undo_of_command("git checkout -q -b a") == "git switch - && git branch -D a"
    assert undo_of_command("mkdir 'a b'") == "rmdir 'a b'"
    assert undo_of_command("git tag v1") == "git tag -d v1"
    for text in ("git push origin main", "rm a", "git branch -D a", "mkdir -p a/b", "git tag -d v1", "a | b"):
        assert undo_of_command(text) == ""


def ended(commands: list[list[tuple[str, int]]], goals: list[str]) -> list[Run]:
    """Runs of commands with the exit code that each ended with."""
    return [
        replace(
            run,
            steps=tuple(
                replace(step, result={**DONE, "exit_code": code}, failed=code != 0)
                for step, (_, code) in zip(run.steps, own, strict=True)
            ),
        )
        for run, own in zip(runs_of([[text for text, _ in own] for own in commands], goals), commands, strict=True)
    ]


GOALS = [f"publish {name}" for name in NAMES]


def exits(*codes: int) -> Any:
    """A shell in which the first command ends with these codes, one a run, as its tool says so: by failing."""
    from druse_sandbox.builtins import ToolError

    left = list(codes)

    def answer(tool: str, arguments: dict[str, Any]) -> Any:
        result = {**DONE, "exit_code": left.pop(0) if left else 0}
        if result["exit_code"]:
            raise ToolError("it ended badly", "exit_code", {"result": result})
        return result

    return answer


@pytest.mark.requirement("H-10")
def test_a_program_that_answers_by_its_exit_code_is_kept_and_must_answer_the_same() -> None:
    own = [[(f"diff -q old/{name}.txt new/{name}.txt", 1), (f"git add new/{name}.txt", 0)] for name in NAMES]
    found = induce(ended(own, GOALS))
    assert found.status == "induced", found.reasons
    assert 'require(diff["exit_code"] == 1' in found.source
    made = execute(found, exits(1), {"name": "scanner"})
    assert [step.arguments["command"] for step in made] == ["git add new/scanner.txt"]  # what failed is no step of it
    for code in (0, 2, 127):  # equal files were never seen, and trouble is no answer
        with pytest.raises(Diverged):
            execute(found, exits(code), {"name": "scanner"})


@pytest.mark.requirement("H-10")
def test_what_follows_only_one_of_two_answers_hangs_on_the_exit_code() -> None:
    codes = [1, 0, 1, 0, 1]
    own = [
        [
            (f"grep -q TODO src/{name}.py", code),
            *([(f"git add src/{name}.py", 0)] if code else []),
            (f"git tag v-{name}", 0),
        ]
        for name, code in zip(NAMES, codes, strict=True)
    ]
    found = induce(ended(own, GOALS))
    assert found.status == "induced", found.reasons
    assert "exit_code" in found.source and "if " in found.source, found.source
    assert len(execute(found, exits(1), {"name": "scanner"})) == 2
    assert len(execute(found, exits(0), {"name": "scanner"})) == 2  # the search itself, and the tag
    with pytest.raises(Diverged):
        execute(found, exits(2), {"name": "scanner"})


@pytest.mark.requirement("H-10")
@pytest.mark.parametrize(
    ("command", "code"),
    [("gcc @.c", 1), ("diff a @", 2), ("grep x @", 127), ("git diff @", 1), ("pytest -q test_@.py", 1)],
)
def test_an_exit_code_that_is_no_answer_is_a_failure(command: str, code: int) -> None:
    own = [[(command.replace("@", name), code), (f"git add {name}", 0), (f"git tag v-{name}", 0)] for name in NAMES]
    found = induce(ended(own, GOALS))
    assert [template.shown.split()[1] for template in commands_of(found.source).templates] == ["add", "tag"]
    assert any("failed in every run" in reason for reason in found.reasons)


@pytest.mark.requirement("H-10")
def test_a_search_that_was_tried_until_it_found_something_is_a_retry() -> None:
    own = [[(f"grep -n wrong {name}", 1), (f"grep -n right {name}", 0), (f"git add {name}", 0)] for name in NAMES]
    found = induce(ended(own, GOALS))
    assert "wrong" not in found.source and found.source.count("call(") == 2


def longer(number: int, name: str) -> Run:
    """Different work around the same three commands, and a shell's pipe that no tool can make."""
    around = [[f"ls {name}"], [f"cat notes/{name}.md | head"], []][number % 3]
    behind = ["git push", "git log --oneline", f"rm -r build/{name}"][number % 3]
    files = [f"git add src/{name}_{place}.py" for place in range(1 + number % 3)]
    own = [*around, f"python3 -m pytest -q tests/test_{name}.py", *files, f"git commit -m 'Fix {name}'", behind]
    (run,) = runs_of([own], [""])
    return replace(run, id=f"r{number}", task=f"t{number}", user_turns=((0, f"Please fix the {name}"),))


@pytest.mark.requirement("H-11", "H-13")
def test_commands_in_parts_of_longer_runs_are_compared_by_their_words() -> None:
    many = [*NAMES, "scanner", "loader", "tracer", "mapper"]
    found = mine([longer(number, name) for number, name in enumerate(many)], min_tasks=3)
    keys = [part.key for part in found]
    assert not any("|" in key or "cat" in key for key in keys)
    whole = next(part for part in found if part.key.startswith("python3 -m pytest") and "git commit" in part.key)
    shown = [template.shown for template in commands_of(whole.induction.source).templates]
    assert shown[0] == "python3 -m pytest -q tests/test_<name>.py" and "git commit -m 'Fix <name>'" in shown
    for part in found:
        for occurrence in part.covers:
            replay = Replay(occurrence.steps)
            execute(part.induction, replay.call, inputs(part.induction, occurrence) or {})
            assert replay.complete


@pytest.mark.requirement("H-13")
@pytest.mark.parametrize("value", ["--amend", "a b; rm -rf x", "$(id)"])
def test_in_a_part_too_a_value_stays_one_word_and_no_option(value: str) -> None:
    found = mine([longer(number, name) for number, name in enumerate(NAMES)], min_tasks=3)
    part = next(part for part in found if part.key == "python3 -m pytest -q _(command) > git add _(command)")
    (name,) = (parameter.name for parameter in part.induction.parameters)
    try:
        made = execute(part.induction, lambda tool, arguments: dict(DONE), {name: value})
    except Diverged:
        return
    for step in made:
        (command,) = plain_commands(str(step.arguments["command"]))
        assert sum(value in text for text in command.texts) == 1 and not command.joined


def test_an_input_is_never_named_after_letters_that_are_several_options() -> None:
    found = induce(ended([[(f"grep -rn {name} src", 0)] for name in NAMES], GOALS))
    assert [part.name for part in found.parameters] == ["pattern"]
    found = induce(ended([[(f"git push origin fix/{name}", 0)] for name in NAMES], GOALS))
    assert "word(" in found.source and "git_push_path" not in found.source
