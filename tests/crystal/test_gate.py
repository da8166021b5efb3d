"""Every stage of the gate refuses what does not belong behind it."""

from __future__ import annotations

import pytest

from druse.crystal.commands import commands_of, problems_of
from druse.crystal.manifest import call_sites, permissions_of, remaining_after, style_problems

GOOD = '''"""Good."""


def run(call, *, user: str) -> list:
    found = call("a__get", user=user)
    done = []
    for order in found["orders"]:
        done.append(call("a__read", id=order))
        call("a__close", id=order)
    return call("a__end")
'''


@pytest.mark.requirement("H-13", "H-14")
@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (GOOD.replace('"""Good."""', ""), "no docstring"),
        (GOOD.replace(" -> list", ""), "line 4: `run` has no return annotation"),
        (GOOD.replace("user: str", "user"), "line 4: parameter `user` has no annotation"),
        (GOOD.replace("def run", "def go"), "no function `run`"),
        (GOOD.replace("run(call, *", "run(x, *"), "must be `call`"),
    ],
)
def test_a_source_without_docstring_or_annotations_is_refused_with_its_line(source: str, problem: str) -> None:
    assert style_problems(GOOD) == []
    assert any(problem in found for found in style_problems(source))


@pytest.mark.requirement("H-12")
def test_permissions_are_read_off_the_code_and_cannot_be_under_declared() -> None:
    assert permissions_of(GOOD) == ["a__close", "a__end", "a__get", "a__read"]
    with pytest.raises(ValueError, match="must be written as a text"):
        permissions_of(GOOD.replace('"a__end"', "user"))


def test_what_remains_is_what_stands_behind_the_line_and_the_rest_of_the_loop() -> None:
    sites = list(call_sites(GOOD))
    assert [site["tool"] for site in remaining_after(sites, 6)] == ["a__read", "a__close", "a__end"]
    assert [site["tool"] for site in remaining_after(sites, 9)] == ["a__read", "a__close", "a__end"]
    assert [site["tool"] for site in remaining_after(sites, 10)] == ["a__end"]


@pytest.mark.requirement("H-12")
@pytest.mark.parametrize(
    "written",
    [
        'f"git tag {user}"',
        '"git tag " + user',
        "user",
        "command(*user)",
        "command(user)",
        '"git tag a | cat"',
        '"! true"',
    ],
)
def test_a_command_whose_words_cannot_be_told_is_refused_with_its_line(written: str) -> None:
    source = GOOD.replace('call("a__end")', f'call("Bash", command={written})')
    assert [text.split(":")[0] for text in problems_of(source)] == ["line 10"]
    assert not commands_of(source).covers("git tag a")


@pytest.mark.requirement("H-12")
def test_a_bare_value_in_a_command_is_one_word_that_is_no_option() -> None:
    found = commands_of(GOOD.replace('call("a__end")', 'call("Bash", command=command("git", "tag", user))'))
    assert found.covers("git tag 'a b'")
    assert not found.covers("git tag -d") and not found.covers("git tag a b") and not found.covers("git tag $USER")
