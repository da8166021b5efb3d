"""WebFetch from the wire and from the sandbox's command: one server of this machine, allowed by its name."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from .conftest import Project  # type: ignore[import-not-found]


class Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = f"you asked {self.headers['Host']} for {self.path}".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def port() -> Generator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield int(server.server_address[1])
        server.shutdown()
        thread.join()


async def test_an_agent_fetches_from_a_named_host_and_waits_for_a_person_elsewhere(project: Project, port: int) -> None:
    project.configure(servers={}, config='[permissions]\nallow = ["WebFetch(domain:localhost)"]\n')
    url = f"http://localhost:{port}/a"
    async with project.client() as client:
        named = await client.call_tool("run_tool", {"name": "WebFetch", "arguments": {"url": url}})
        other = await client.call_tool(
            "run_tool", {"name": "WebFetch", "arguments": {"url": f"http://127.0.0.1:{port}/a"}}
        )

    assert named.is_error is False and named.structured_content is not None
    assert named.structured_content["content"] == f"you asked localhost:{port} for /a"
    assert other.structured_content is not None and other.structured_content["status"] == "pending"
    shown = await project.druse("traces", "list")
    step = (await project.druse("traces", "show", shown["runs"][0]["id"]))["steps"][0]
    assert step["tool"] == "WebFetch" and step["err"] is False


async def test_code_in_the_sandbox_fetches_only_what_a_rule_allows(project: Project, port: int) -> None:
    file = project.root / "fetch.py"
    file.write_text(f"def run(call):\n    return call('WebFetch', url='http://localhost:{port}/b')['content']\n")

    async def run(rule: str) -> Any:
        return await project.druse("sandbox", "run", str(file), "--args-json", "{}", "--allow", rule)

    allowed, wide, other = await asyncio.gather(
        run("WebFetch(domain:localhost)"), run("WebFetch"), run("WebFetch(domain:example.org)")
    )

    assert (allowed["status"], allowed["value"]) == ("ok", f"you asked localhost:{port} for /b")
    assert wide["status"] == other["status"] == "denied"
