"""Wire names: `<server>__<tool>` in `[a-z0-9_]{1,40}`, which every client passes on unchanged (D4)."""

from __future__ import annotations

import hashlib
import re

MAX_NAME = 40


def wire_name(server: str, tool: str) -> str:
    """The wire name of a tool; one that does not fit ends in a short hash of the full name, always the same."""
    plain = f"{_plain(server)}__{_plain(tool)}"
    if len(plain) <= MAX_NAME:
        return plain
    return _hashed(plain, f"{server}\0{tool}")


def distinct_name(server: str, tool: str) -> str:
    """The wire name to use where another tool has the plain one already."""
    return _hashed(f"{_plain(server)}__{_plain(tool)}", f"{server}\0{tool}")


def _plain(text: str) -> str:
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text)
    return re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_") or "x"


def _hashed(plain: str, full: str) -> str:
    mark = hashlib.sha256(full.encode("utf-8", "surrogatepass")).hexdigest()[:6]
    return f"{plain[: MAX_NAME - 7].rstrip('_')}_{mark}"
