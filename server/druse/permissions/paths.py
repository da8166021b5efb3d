"""Path patterns with the meaning people know from gitignore, on resolved paths.

`//abs/**` is absolute, `~/x/**` in the home folder, `./x` and `/x` at the workspace root, anything else follows
gitignore: `*.md` at any depth, `src/**` anchored. A path is judged both as written and as it resolves through links:
an allow needs both to match, a deny either.
"""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Written by nobody through Druse without a person: what runs code later, or holds credentials.
_PROTECTED_PARTS = {".git", ".vscode", ".claude", ".cursor", ".druse", ".idea", ".husky", ".mcp.json", "mcp.json"}
_OWN = (".druse", "tools/generated")  # what Druse decides by: not even asked for
_STARTUP = {
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile"),
    *(".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".inputrc", ".gitconfig", ".npmrc", ".pypirc", ".netrc"),
    *(".envrc", ".vimrc", ".pythonrc.py"),
}
_CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker/config.json", ".config/gcloud", ".config/gh", ".netrc"),
    *(".npmrc", ".pypirc", ".git-credentials", ".config/git/credentials", ".config/fish", ".config/systemd"),
    *(".config/autostart", ".local/share/keyrings", ".password-store"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """A path as a call names it, made absolute: as written, and with every link followed."""

    written: str
    resolved: str

    @property
    def both(self) -> tuple[str, ...]:
        """The distinct forms."""
        return (self.written,) if self.written == self.resolved else (self.written, self.resolved)


def place_of(text: str, workspace: Path, home: Path, cwd: Path | None = None) -> Place:
    """Where `text` points for a call made in `cwd` (default: the workspace)."""
    if text == "~" or text.startswith("~/"):
        text = str(home) + text[1:]
    absolute = os.path.normpath(os.path.join(cwd or workspace, text))  # noqa: PTH118 - pathlib keeps `..`
    try:
        resolved = os.path.realpath(os.path.join(cwd or workspace, text))  # noqa: PTH118
    except (OSError, ValueError):
        resolved = absolute
    return Place(absolute, resolved)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """One compiled pattern."""

    text: str
    root: str
    spec: Any  # pathspec.GitIgnoreSpec
    folded: Any  # the same without letter case

    @classmethod
    def parse(cls, text: str, workspace: Path, home: Path) -> PathPattern:
        """Compile `text`. Raises ValueError for a pattern that gitignore does not know."""
        import pathspec

        if not text or "\0" in text or "\n" in text:
            raise ValueError("the path pattern is empty or holds a control character")
        if text.startswith("!"):
            raise ValueError("a path pattern cannot begin with `!`")
        if text.startswith("//"):
            root, rest = "/", text[1:]
        elif text == "~" or text.startswith("~/"):
            root, rest = str(home), text[1:] or "/"
        elif text.startswith("./"):
            root, rest = str(workspace), text[1:]
        else:
            root, rest = str(workspace), text
        if ".." in rest.split("/"):
            raise ValueError("a path pattern cannot hold `..`; name the folder itself")
        root = os.path.realpath(root)
        spec = pathspec.GitIgnoreSpec.from_lines([_escaped(rest)])
        return cls(text, root, spec, pathspec.GitIgnoreSpec.from_lines([_folded(_escaped(rest))]))

    def covers(self, place: Place) -> bool:
        """Whether every form of the path matches: what an allow needs."""
        return all(self._matches(path) for path in place.both) and self._matches(place.resolved)

    def touches(self, place: Place) -> bool:
        """Whether any form of the path matches, letter case and Unicode form aside: what a deny needs."""
        return any(self._matches(path) or self._matches(_folded(path), folded=True) for path in place.both)

    def _matches(self, path: str, *, folded: bool = False) -> bool:
        root = _folded(self.root) if folded else self.root
        base = root if root.endswith("/") else root + "/"
        if not path.startswith(base):
            # A written path may go through a link to the root itself.
            return False
        relative = path[len(base) :]
        if not relative:
            return False
        spec = self.folded if folded else self.spec
        return bool(spec.match_file(relative))


def _escaped(pattern: str) -> str:
    # A trailing blank and a leading # mean something to gitignore, nothing in a rule.
    return "\\" + pattern if pattern.startswith("#") else pattern


def _folded(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def inside(place: Place, workspace: Path) -> bool:
    """Whether a path lies in the workspace, links followed."""
    root = os.path.realpath(workspace)
    return place.resolved == root or place.resolved.startswith(root + "/")


def protection(place: Place, workspace: Path, home: Path) -> str:
    """Why a write to this path needs a person whatever the rules say; empty if it does not."""
    root = _folded(os.path.realpath(workspace))
    for path in (_folded(form) for form in place.both):
        relative = path[len(root) + 1 :] if path.startswith(root + "/") else path.lstrip("/")
        if any(relative == own or relative.startswith(own + "/") for own in _OWN):
            return "Druse decides by it"
        parts = relative.split("/")
        if any(part in _PROTECTED_PARTS for part in parts):
            return "it configures tools that run code"
        if parts[-1] in _STARTUP:
            return "it is read at the start of a shell or a tool"
        if path.startswith(("/etc/", "/boot/", "/usr/", "/bin/", "/sbin/", "/lib", "/proc/", "/sys/", "/dev/")):
            return "it belongs to the system"
    return credential(place, home)


def is_own(place: Place, workspace: Path) -> bool:
    """Whether a path is one that Druse itself decides by: approvals, policy, keys, generated tools."""
    root = _folded(os.path.realpath(workspace))
    forms = [_folded(form) for form in place.both]
    return any(form == f"{root}/{own}" or form.startswith(f"{root}/{own}/") for form in forms for own in _OWN)


def credential(place: Place, home: Path) -> str:
    """Why reading this path needs a person whatever the rules say; empty if it does not."""
    base = _folded(os.path.realpath(home))
    for path in (_folded(form) for form in place.both):
        for name in _CREDENTIALS:
            if path == f"{base}/{name}" or path.startswith(f"{base}/{name}/"):
                return "it holds credentials"
        if "/.druse/keys" in path:
            return "it holds keys of Druse"
        if path.startswith("/proc/") and path.endswith("/environ"):
            return "it holds the environment of a process"
    return ""
