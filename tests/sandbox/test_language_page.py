"""The page on the language says what the compiler does."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from druse.cli import main

PAGE = Path(__file__).parents[2] / "docs" / "sandbox-language.md"


def test_the_page_on_the_language_is_what_the_tables_say() -> None:
    result = CliRunner().invoke(main, ["sandbox", "language"])

    assert result.exit_code == 0, result.output
    assert PAGE.read_text(encoding="utf-8") == result.output, (
        "write it anew: druse sandbox language > docs/sandbox-language.md"
    )


def test_the_page_names_what_tools_ask_for_most() -> None:
    page = PAGE.read_text(encoding="utf-8")

    for word in ("`call(", "`require(", "**re**", "`namedtuple`", "**dict**", "`AsyncFunctionDef`"):
        assert word in page, word
