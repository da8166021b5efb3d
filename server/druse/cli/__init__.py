"""The `druse` command. Each subcommand lives in its own module and is imported only when it is called."""

from __future__ import annotations

import importlib

import click

from druse import __version__

# command -> "module:attribute"; a command stands here only when its module exists.
_COMMANDS: dict[str, str] = {
    "agents": "druse.cli.agents:agents",
    "approvals": "druse.cli.approvals:approvals",
    "audit": "druse.cli.audit:audit",
    "bundle": "druse.cli.bundle:bundle",
    "candidates": "druse.cli.crystal:candidates_command",
    "checkpoint": "druse.cli.checkpoint:checkpoint",
    "crystallize": "druse.cli.crystal:crystallize",
    "daemon": "druse.cli.daemon:daemon",
    "dispatch": "druse.cli.work:dispatch",
    "dashboard": "druse.cli.dashboard:dashboard",
    "doctor": "druse.cli.doctor:doctor",
    "find": "druse.cli.work:find",
    "hook": "druse.cli.hook:hook",
    "import": "druse.cli.past:import_command",
    "init": "druse.cli.project:init",
    "install": "druse.cli.editors:install",
    "jobs": "druse.cli.jobs:jobs",
    "keys": "druse.cli.keys:keys",
    "mcp-json": "druse.cli.editors:mcp_json",
    "login": "druse.cli.login:login",
    "memory": "druse.cli.memory:memory",
    "permissions": "druse.cli.permissions:permissions",
    "pins": "druse.cli.pins:pins",
    "plans": "druse.cli.plans:plans",
    "policy": "druse.cli.policy:policy",
    "run": "druse.cli.work:run",
    "sandbox": "druse.cli.sandbox:sandbox",
    "serve": "druse.cli.serve:serve",
    "skills": "druse.cli.skills:skills",
    "stats": "druse.cli.project:stats",
    "status": "druse.cli.project:status",
    "successor": "druse.cli.successor:successor",
    "tools": "druse.cli.crystal:tools",
    "traces": "druse.cli.traces:traces",
    "uninstall": "druse.cli.editors:uninstall",
    "volumes": "druse.cli.volumes:volumes",
}


class _LazyGroup(click.Group):
    """Keeps start-up short: `druse serve` never imports what `druse stats` needs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        target = _COMMANDS.get(cmd_name)
        if target is None:
            return None
        module, attribute = target.split(":")
        return getattr(importlib.import_module(module), attribute)


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="druse")
def main() -> None:
    """Druse turns an agent's repeated work into verified, sandboxed tools."""
