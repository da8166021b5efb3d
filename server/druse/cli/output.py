"""How commands speak: text for people, one JSON document for machines, errors on stderr with exit code 1."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import click

from druse.model import DruseError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of text.")


def emit(data: Any, *, as_json: bool, render: Callable[[], str]) -> None:
    """Print `data` as JSON, or the text that `render` makes of it."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2) if as_json else render())


def fail(error: DruseError, *, as_json: bool) -> NoReturn:
    """Report an error the way the caller reads and end the command with exit code 1."""
    if as_json:
        click.echo(json.dumps({"error": {"kind": error.kind, "message": str(error)}}, ensure_ascii=False))
    else:
        click.secho(f"Error: {error}", err=True, fg="red" if sys.stderr.isatty() else None)
    sys.exit(1)
