"""What child processes see of our environment."""

from __future__ import annotations

from collections.abc import Mapping

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TERM", "TMPDIR", "USER", "LOGNAME", "SHELL", "TZ", "SYSTEMROOT")


def child_environment(own: Mapping[str, str], named: Mapping[str, str]) -> dict[str, str]:
    """A few harmless variables of ours and what was named for the child: clients hand us their API keys (D20)."""
    return {name: own[name] for name in _PASSED_ON if name in own} | dict(named)
