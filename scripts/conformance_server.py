"""Serves the profile `conformance` over Druse's HTTP transport for the official suite: `conformance_server.py PORT`.

The suite sends no Authorization header; it is put into each request before Druse's own check of the token sees it.
Works in the current folder.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import uvicorn

from druse.cli.output import workspace_here
from druse.front.application import open_application
from druse.front.http import http_application, read_token
from druse.front.profiles import load_profile
from druse.front.server import Front


async def main(port: int) -> None:
    """Serve until stopped."""
    profile = load_profile("conformance")
    async with open_application(workspace_here(), background=True, profile=profile) as application:
        front = Front(application, profile)
        front.listen_to(application)
        token = application.base.workspace.keys / "http.token"
        guarded = http_application(front, "127.0.0.1", token)
        header = (b"authorization", f"Bearer {read_token(token)}".encode())

        async def served(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                scope = {**scope, "headers": [*scope["headers"], header]}
            await guarded(scope, receive, send)

        config = uvicorn.Config(served, host="127.0.0.1", port=port, log_level="warning", lifespan="on")
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
