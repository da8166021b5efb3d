"""Druse as a package of a client: an MCPB bundle, a Claude Code plugin, install links, the registry's server.json."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import io
import json
import shlex
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from druse import __version__
from druse.editors.clients import NAME, client_named
from druse.editors.machine import hook_command, serve_arguments
from druse.model import Invalid, JsonObject

__all__ = ["cursor_link", "mcpb", "plugin", "server_json", "vscode_link"]

_TITLE = "Druse"
_SHORT = "Turns an agent's repeated work into verified, sandboxed tools."
_LONG = """\
Druse stands between an agent and its other MCP servers. It decides each call by permission rules, records it, finds
workflows that recur, and offers a program for them that was proved by replay in a sandbox. A person approves each tool.
"""
_SITE = "https://github.com/druse/druse"
_REGISTRY_NAME = "io.github.druse/druse"
_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
# Of a bundle every byte is decided by its content: the same release gives the same file.
_EPOCH = (1980, 1, 1, 0, 0, 0)


def cursor_link() -> str:
    """A link that asks Cursor to install Druse of this machine."""
    entry = client_named("cursor").entry(serve_arguments(client_named("cursor").variable), ())
    return f"cursor://anysphere.cursor-deeplink/mcp/install?name={NAME}&config={quote(_base64(entry), safe='')}"


def vscode_link() -> str:
    """A link that asks VS Code to install Druse of this machine."""
    entry: JsonObject = {
        "name": NAME,
        **client_named("vscode").entry(serve_arguments(client_named("vscode").variable), ()),
    }
    return "vscode:mcp/install?" + quote(json.dumps(entry, separators=(",", ":")), safe="")


def server_json() -> JsonObject:
    """What the MCP registry wants to know. The package's README must name `mcp-name: io.github.druse/druse`."""
    return {
        "$schema": _SCHEMA,
        "name": _REGISTRY_NAME,
        "title": _TITLE,
        "description": _SHORT,
        "version": __version__,
        "websiteUrl": _SITE,
        "repository": {"url": _SITE, "source": "github"},
        "packages": [
            {
                "registryType": "pypi",
                "registryBaseUrl": "https://pypi.org",
                "identifier": "druse",
                "version": __version__,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "packageArguments": [{"type": "positional", "value": "serve"}],
            }
        ],
    }


def mcpb(target: Path) -> str:
    """Write the bundle for Claude Desktop: Druse itself, installed by the host with uv; its SHA-256.

    Nothing of this machine is in it. Raises Invalid where it cannot be written.
    """
    files = {
        "manifest.json": _encoded(_manifest()),
        "pyproject.toml": _project().encode(),
        "README.md": f"# {_TITLE}\n\n{_LONG}".encode(),
        **{f"src/{name}": content for name, content in _packages()},
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, files[name])
    content = written.getvalue()
    _written(target, content)
    return hashlib.sha256(content).hexdigest()


def plugin(folder: Path) -> list[Path]:
    """Write a Claude Code plugin with the server of this machine, the recording hooks and the skills; its files.

    Raises Invalid where the folder holds something else.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / ".claude-plugin" / "plugin.json").exists():
        raise Invalid(
            f"Cannot write the plugin to {folder}: it holds something else. Name a folder that is new.",
            where=str(folder),
        )
    command = serve_arguments()
    about: JsonObject = {
        "name": NAME,
        "version": __version__,
        "description": _SHORT,
        "author": {"name": "The Druse authors"},
        "homepage": _SITE,
        "license": "Apache-2.0",
        "keywords": ["mcp", "tools", "workflows", "sandbox"],
    }
    files = {
        ".claude-plugin/plugin.json": _encoded(about),
        ".mcp.json": _encoded({"mcpServers": {NAME: {"command": command[0], "args": list(command[1:])}}}),
        "hooks/hooks.json": _encoded({"description": "Tells Druse what was done.", "hooks": _plugin_hooks()}),
        "README.md": f"# {_TITLE}\n\n{_LONG}\n{_PLUGIN_NOTE}".encode(),
        "LICENSE": _licence(),
        **{f"skills/{name}": content for name, content in _skills()},
    }
    for name, content in files.items():
        _written(folder / name, content)
    return [folder / name for name in files]


_PLUGIN_NOTE = """\
This plugin was written by `druse bundle plugin` for one machine: it starts Druse with that machine's Python. It brings
the server, hooks that record what Claude Code does with its own tools (never its answers to you), and the skill that
explains Druse to the agent. Write it again after Python or Druse moved.
"""


def _plugin_hooks() -> JsonObject:
    hooks: JsonObject = {}
    for event in ("UserPromptSubmit", "PostToolUse", "PostToolUseFailure", "Stop", "SessionEnd"):
        line = shlex.join(hook_command("claude-code", event))
        inner: JsonObject = {"type": "command", "command": line, "timeout": 5}
        hooks[event] = [{"matcher": "*", "hooks": [inner]} if "Tool" in event else {"hooks": [inner]}]
    return hooks


def _manifest() -> JsonObject:
    folder = "${__dirname}"
    return {
        "manifest_version": "0.4",
        "name": NAME,
        "display_name": _TITLE,
        "version": __version__,
        "description": _SHORT,
        "long_description": _LONG,
        "author": {"name": "The Druse authors", "url": _SITE},
        "homepage": _SITE,
        "license": "Apache-2.0",
        "keywords": ["mcp", "tools", "workflows", "sandbox"],
        "server": {
            "type": "uv",
            "entry_point": "src/druse/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": [
                    *("run", "--directory", folder, "python", "-m", "druse"),
                    *("serve", "--workspace", "${user_config.workspace}"),
                ],
            },
        },
        "tools_generated": True,
        "user_config": {
            "workspace": {
                "type": "directory",
                "title": "Folder to work in",
                "description": "Druse keeps its rules, traces and tools in .druse of this folder.",
                "required": True,
            }
        },
        "compatibility": {"platforms": ["darwin", "linux", "win32"], "runtimes": {"python": ">=3.11,<3.15"}},
    }


def _project() -> str:
    """What uv reads to install the bundle: Druse's own dependencies, Druse's own code."""
    needs = [need for need in importlib.metadata.requires("druse") or [] if "extra ==" not in need]
    listed = "".join(f"    {json.dumps(need)},\n" for need in sorted(needs))
    return (
        '[build-system]\nrequires = ["hatchling>=1.27"]\nbuild-backend = "hatchling.build"\n\n'
        f'[project]\nname = "druse"\nversion = "{__version__}"\ndescription = {json.dumps(_SHORT)}\n'
        f'requires-python = ">=3.11,<3.15"\ndependencies = [\n{listed}]\n\n'
        '[project.scripts]\ndruse = "druse.__main__:main"\n\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["src/druse", "src/druse_sandbox"]\n'
    )


def _packages() -> Iterator[tuple[str, bytes]]:
    """Our own files, by their names below the folder of packages."""
    import druse
    import druse_sandbox

    for module in (druse, druse_sandbox):
        folder = Path(module.__file__ or "").parent
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder.parent).as_posix()
            if path.is_file() and "__pycache__" not in path.parts and "_bundled" not in path.parts:
                yield name, path.read_bytes()
    for name, content in _skills():
        yield f"druse/_bundled/skills/{name}", content


def _skills() -> Iterator[tuple[str, bytes]]:
    from druse.skills.library import bundled_skills

    folder = bundled_skills()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _licence() -> bytes:
    files = importlib.metadata.files("druse") or []
    named: Sequence[Path] = [Path(str(file.locate())) for file in files if file.name == "LICENSE"]
    beside = Path(__file__).resolve().parents[3] / "LICENSE"  # of a checkout
    path = next((path for path in (*named, beside) if path.is_file()), None)
    if path is None:
        raise Invalid("Cannot write the plugin: the text of the licence is not beside the package. Install it again.")
    return path.read_bytes()


def _encoded(value: JsonObject) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _base64(value: JsonObject) -> str:
    return base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode()


def _written(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise Invalid(f"Cannot write {path}: {error.strerror}. Name another place.", where=str(path)) from error
