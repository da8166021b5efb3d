"""What the official MCP conformance suite needs of a server and of a client; nothing of it is in ordinary starts.

`druse serve --profile conformance` serves the suite's fixtures through Druse's own server, transport, router, rules
and audit chain. `scripts/conformance` runs the suite against it.
"""

from __future__ import annotations

from druse.conformance.profile import Fixtures

__all__ = ["Fixtures"]
