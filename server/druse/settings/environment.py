"""What child processes see of our environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from druse.settings.textfile import text_of

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL", "TZ", "SYSTEMROOT")

# What decides by itself how a client's tools behave; two clients that differ in these are served apart.
_DECIDING = ("PATH", "HOME", "XDG_CONFIG_HOME")


def named_variables(*servers: Path) -> list[str]:
    """The variables that these files (mcp.json) name, in their order."""
    named: list[str] = []
    for path in servers:
        try:
            named += re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)", text_of(path))
        except (OSError, UnicodeDecodeError):
            continue
    return list(dict.fromkeys(named))


def needed_environment(own: Mapping[str, str], *servers: Path) -> dict[str, str]:
    """Of a client's environment: the harmless variables and those that `servers` (mcp.json) name, nothing else."""
    named = named_variables(*servers)
    return {name: own[name] for name in (*_PASSED_ON, *_DECIDING, *named) if name in own}


def likeness(environment: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Equal for environments under which tools behave alike."""
    passed = frozenset(_PASSED_ON) - frozenset(_DECIDING)
    return tuple(sorted((name, value) for name, value in environment.items() if name not in passed))


def child_environment(own: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """A few harmless variables of ours and what was named for the child: clients hand us their API keys (D20)."""
    return {name: own[name] for name in _PASSED_ON if name in own} | dict(named)
