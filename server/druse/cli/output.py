"""How commands speak: text for people, one JSON document for machines, errors on stderr with exit code 1."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, NoReturn

import click

from druse.model import DruseError, visible
from druse.settings import Workspace

_HALVES = re.compile("[\ud800-\udfff]")

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def workspace_here() -> Workspace:
    """The workspace of the current folder."""
    return Workspace.find(Path.cwd())


def emit(data: Any, *, as_json: bool, render: Callable[[], str]) -> None:
    """Print `data` as JSON, or the text that `render` makes of it.

    On a terminal nothing in the text can move the cursor, hide or turn what stands around it.
    """
    # Half of a surrogate pair, as a cut text of a tool can hold, has no bytes in UTF-8: JSON writes its escape.
    text = json.dumps(data, ensure_ascii=False, indent=2) if as_json else render()
    if not as_json and sys.stdout.isatty():
        text = visible(text)
    click.echo(_HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}" if as_json else "\ufffd", text))


def fail(error: DruseError, *, as_json: bool) -> NoReturn:
    """Report an error the way the caller reads and end the command with exit code 1."""
    if as_json:
        click.echo(json.dumps({"error": {"kind": error.kind, "message": str(error)}}, ensure_ascii=False))
    else:
        told = visible(str(error)) if sys.stderr.isatty() else str(error)
        click.secho(f"Error: {told}", err=True, fg="red" if sys.stderr.isatty() else None)
    sys.exit(1)


def finish(work: Coroutine[Any, Any, Any], *, as_json: bool) -> Any:
    """Run the command's work; errors of ours become messages, Ctrl-C an exit code."""
    try:
        return asyncio.run(work)
    except DruseError as error:
        fail(error, as_json=as_json)
    except BaseExceptionGroup as group:
        ours = _first_of_ours(group)
        if ours is not None:
            fail(ours, as_json=as_json)
        raise
    except KeyboardInterrupt:
        sys.exit(130)


def _first_of_ours(group: BaseExceptionGroup[BaseException]) -> DruseError | None:
    """The first error of ours in a group of them."""
    for error in group.exceptions:
        if isinstance(error, DruseError):
            return error
        if isinstance(error, BaseExceptionGroup):
            found = _first_of_ours(error)  # pyright: ignore[reportUnknownArgumentType]
            if found is not None:
                return found
    return None


def table(rows: list[list[str]], head: list[str]) -> str:
    """Rows under a head, columns as wide as they need."""
    if not rows:
        return "(none)"
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(line.rstrip() for line in lines)
