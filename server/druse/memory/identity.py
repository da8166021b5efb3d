"""Which project a memory belongs to (seed id N-21): equal for every clone, worktree and spelling of one remote.

The hash is the first 16 hex digits of sha256 over `remote:HOST/PATH` in lower case without user, port of the scheme,
`.git` and slashes at the end; without a remote over `path:` and the resolved root of the repository or the folder.
"""

from __future__ import annotations

import configparser
import hashlib
import re
from pathlib import Path

_SCHEME = re.compile(
    r"^(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^@/]*@)?(?P<host>\[[^\]]+\]|[^:/]+)(?::(?P<port>\d+))?/(?P<path>.*)$"
)
_SCP = re.compile(r"^(?:[^@/\s]+@)?(?P<host>[^:/\s]+):(?!//)(?P<path>.+)$")
_PORTS = {"ssh": "22", "https": "443", "http": "80", "git": "9418"}


def project_hash(root: Path) -> str:
    """The hash of the project at a folder. Never raises: an unreadable repository counts as none."""
    folders = git_folders(root)
    common = folders[1] if folders else None
    remote = _remote(common) if common else ""
    if remote:
        named = f"remote:{normal_remote(remote, common.parent if common else None)}"
    else:
        named = f"path:{(common.parent if common and common.name == '.git' else root).resolve()}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def normal_remote(url: str, base: Path | None = None) -> str:
    """`HOST/PATH` of a remote's URL, the same for its ssh, scp and https forms; a path is resolved."""
    url = url.strip()
    found = _SCHEME.match(url.lower() if "://" in url else "")
    if found and found["scheme"] != "file":
        port = found["port"] or ""
        host = found["host"] + (f":{port}" if port and port != _PORTS.get(found["scheme"]) else "")
        return f"{host}/{_trim(found['path'])}"
    scp = _SCP.match(url)
    if scp and not found and len(scp["host"]) > 1:
        return f"{scp['host'].lower()}/{_trim(scp['path'].lower())}"
    path = Path(url.removeprefix("file://"))
    try:
        return str(((base or Path.cwd()) / path.expanduser()).resolve()).removesuffix(".git")
    except (OSError, RuntimeError, ValueError):  # of an unknown user, through a loop of links, or no path at all
        return f"path {path}"


def _trim(path: str) -> str:
    return path.strip("/").removesuffix(".git").strip("/")


def git_folders(root: Path) -> tuple[Path, Path] | None:
    """The git folder of a worktree and the one all worktrees share; a linked worktree's `.git` is a file.

    None where there is no repository that can be read.
    """
    for folder in (root, *root.parents):
        dot = folder / ".git"
        try:
            if dot.is_dir():
                return dot, dot
            if dot.is_file():
                target = folder / dot.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
                shared = target / "commondir"
                if not shared.is_file():
                    return target, target
                return target, (target / shared.read_text(encoding="utf-8").strip()).resolve()
        except (OSError, ValueError, RuntimeError):
            return None
    return None


def _remote(common: Path) -> str:
    """The URL of origin, else of the first remote by name."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True, delimiters=("=",))
    try:
        text = "\n".join(line.strip() for line in (common / "config").read_text(encoding="utf-8").splitlines())
        parser.read_string(text)
    except (OSError, ValueError, configparser.Error):
        return ""
    remotes = {
        name.removeprefix("remote ").strip('"'): parser.get(name, "url", fallback="") or ""
        for name in parser.sections()
        if name.startswith('remote "')
    }
    chosen = remotes.get("origin") or next((remotes[name] for name in sorted(remotes) if remotes[name]), "")
    return chosen.strip().strip('"')
