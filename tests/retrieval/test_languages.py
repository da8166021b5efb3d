"""Goals in other languages than English: what reads as known is known, and nothing is bound with what limits it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from druse.retrieval import Taught, match_goal

REPLAYED = 0.8  # no replay below it


def taught(pattern: str, *examples: str) -> Taught:
    schema = {"type": "object", "properties": {"it": {"type": "string"}}, "required": ["it"]}
    return Taught((pattern,), schema, {"it": examples})


ENGLISH = taught("Note the city of {it}", "Ada", "Bob Miller")
GERMAN = taught("Notiere die Stadt von {it}", "Ada", "Bob Miller")
SPANISH = taught("Anota la ciudad de {it}", "Ada", "Bob Miller")
CHINESE = taught("记录{it}的城市", "小明", "小红")
JAPANESE = taught("{it}の都市を記録する", "太郎", "花子")
ORDERS = taught("Storniere die Bestellung {it}", "#W1", "#W20")
RUSSIAN = taught("Отмени заказ {it}", "#W1", "#W20")


@pytest.mark.requirement("N-06")
@pytest.mark.parametrize(
    ("known", "goal", "value"),
    [
        (ENGLISH, "Note the city of Cleo van Dyk.", "Cleo van Dyk"),
        (GERMAN, "notiere die stadt von Carl", "Carl"),
        (SPANISH, "Anota la ciudad de María de la Cruz", "María de la Cruz"),
        (CHINESE, "记录小刚的城市", "小刚"),
        (JAPANESE, "次郎の都市を記録する", "次郎"),
        (ORDERS, "Storniere die Bestellung #W300!", "#W300"),
        (RUSSIAN, "Отмени заказ #W300", "#W300"),
        (
            taught("Note that {it}", "the order of Ada came today", "it rains"),
            "Note that Bob is not in",
            "Bob is not in",
        ),
        (taught('Write "{it}" down', "hello", "two words"), 'Write "not now, but then" down', "not now, but then"),
    ],
)
def test_a_goal_that_reads_as_a_known_one_is_known_in_any_language(known: Taught, goal: str, value: str) -> None:
    found = match_goal(goal, known, {})
    assert (found.exact, found.arguments) == (True, {"it": value}), found


LIMITED: Sequence[tuple[Taught, Sequence[str]]] = (
    (ENGLISH, ("of Carl but not Dora", "of all except Carl", "of Carl and Dora", "of nobody", "of Carl, if he likes")),
    (
        GERMAN,
        ("von Carl nicht", "von Carl, wenn er will", "von allen außer Carl", "von Carl und Dora", "von niemandem"),
    ),
    (SPANISH, ("de Carl si quiere", "de todos menos Carl", "de Carl pero no la de Dora", "de Carl y Dora", "de nadie")),
)


@pytest.mark.requirement("N-06")
@pytest.mark.parametrize(
    ("known", "goal"),
    [
        *((known, f"{known.patterns[0].rsplit(' ', 2)[0]} {end}") for known, ends in LIMITED for end in ends),
        *((CHINESE, goal) for goal in ("不要记录小刚的城市", "记录除了小刚以外所有人的城市", "记录小刚和小李的城市")),
        *((JAPANESE, goal) for goal in ("次郎以外の都市を記録する", "次郎の都市を記録しない")),
        *((ORDERS, f"Storniere {end}") for end in ("die Bestellung #W300 nicht", "nicht die Bestellung #W300")),
        (ORDERS, "Storniere die Bestellung #W300, aber nur wenn sie offen ist"),
        (ORDERS, "Storneire die Bestelung #W300"),
        (RUSSIAN, "Не отменяй заказ #W300"),
    ],
)
def test_what_limits_a_goal_is_bound_as_no_value_in_any_language(known: Taught, goal: str) -> None:
    found = match_goal(goal, known, {})
    assert not found.exact and (found.confidence < REPLAYED or found.missing), found
