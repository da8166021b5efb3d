"""The MCP extensions that the server declares, and what they ask of a request."""

from __future__ import annotations

from mcp.shared.exceptions import MCPError

from druse.model import JsonObject

SKILLS = "io.modelcontextprotocol/skills"
TASKS = "io.modelcontextprotocol/tasks"
HEADER_MISMATCH = -32020
MISSING_CAPABILITY = -32021


def takes_tasks(capabilities: JsonObject) -> bool:
    """Whether these capabilities declare the tasks extension."""
    extensions = capabilities.get("extensions")
    return isinstance(extensions, dict) and TASKS in extensions


def require_tasks(capabilities: JsonObject) -> None:
    """Raises MCPError -32021 where a client did not declare the extension with its request."""
    if not takes_tasks(capabilities):
        data: JsonObject = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
        raise MCPError(MISSING_CAPABILITY, f"Missing required client capability: the extension {TASKS}", data)


def check_task_header(named: str | None, task_id: str) -> None:
    """Raises MCPError -32020 where the Mcp-Name header of a request about a task names another."""
    if named is not None and named != task_id:
        raise MCPError(HEADER_MISMATCH, "The Mcp-Name header does not match the request's taskId.")
