"""Path patterns with the meaning people know from gitignore, on resolved paths.

`//abs/**` is absolute, `~/x/**` in the home folder, `./x` and `/x` at the workspace root, anything else follows
gitignore: `*.md` at any depth, `src/**` anchored. A path is judged both as written and as it resolves through links:
an allow needs both to match, a deny either.
"""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

# Written by nobody through Druse without a person: what runs code later, or holds credentials.
PROTECTED_PARTS = {".git", ".vscode", ".claude", ".cursor", ".druse", ".idea", ".husky", ".mcp.json", "mcp.json"}
_OWN = (".druse", "tools/generated")  # what Druse decides by: not even asked for
STARTUP = {
    *(".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".profile", ".zshrc", ".zshenv", ".zprofile"),
    *(".zlogin", ".zlogout", ".kshrc", ".cshrc", ".tcshrc", ".inputrc", ".gitconfig", ".npmrc", ".pypirc", ".netrc"),
    *(".envrc", ".vimrc", ".pythonrc.py", ".bash_aliases", ".zsh_aliases", ".exrc", ".gdbinit", ".lldbinit", ".emacs"),
    *(".xprofile", ".xinitrc", ".xsession", ".pam_environment", ".tmux.conf", ".screenrc", ".curlrc", ".wgetrc"),
    *(".gitmodules", ".pre-commit-config.yaml", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "sitecustomize.py"),
    "usercustomize.py",
}
_CREDENTIALS = (
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker/config.json", ".config/gcloud", ".config/gh", ".netrc"),
    *(".npmrc", ".pypirc", ".git-credentials", ".config/git/credentials", ".config/fish", ".config/systemd"),
    *(".config/autostart", ".local/share/keyrings", ".password-store", ".pgpass", ".my.cnf", ".vault-token"),
    *(".cargo/credentials", ".cargo/credentials.toml", ".gem/credentials", ".m2/settings.xml", ".terraform.d"),
    *(
        ".config/rclone",
        ".local/state/druse",
        ".config/op",
        ".config/hub",
        ".subversion/auth",
        ".mozilla",
        ".config/google-chrome",
    ),
    *(".claude.json", ".claude/.credentials.json", ".codex/auth.json", ".gemini/oauth_creds.json", ".config/doctl"),
)
# Files of the home folder that run code later.
_HOME_CODE = (
    ".config/git",
    ".local/bin",
    ".config/environment.d",
    ".config/nvim",
    ".emacs.d",
    ".vim",
    "bin",
    ".cargo/bin",
)
_HOME_OWN = (".config/druse",)
# Credentials wherever they lie: another account's, the system's.
_SECRET = re.compile(
    r"/(?:etc/(?:shadow|gshadow|sudoers)[^/]*|proc/[^/]+/(?:environ|mem|maps|root|fd|cwd|task)(?:/.*)?)"
    r"|.*/\.(?:ssh|gnupg|aws)(?:/.*)?|.*/id_(?:rsa|dsa|ecdsa|ed25519)"
)


@lru_cache(maxsize=64)
def real(folder: Path) -> str:
    """A workspace or home folder with links followed; where these lie does not change while Druse runs."""
    return os.path.realpath(folder)


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
    folder = cwd or workspace
    if text and "/" not in text and text not in (".", ".."):
        # One name in a folder: only the name itself can be a link that is not yet known.
        base = real(folder) if cwd is None or cwd == workspace else os.path.realpath(folder)
        written = f"{str(folder).rstrip('/')}/{text}"
        if not os.path.islink(f"{base}/{text}"):  # noqa: PTH114 - some hundred of these stand behind one decision
            return Place(written, f"{base.rstrip('/')}/{text}")
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
    lead: str = ""  # the folder, or file, under which everything that can match lies
    anchored: bool = False
    last: str = ""

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
        parts = [part for part in rest.split("/") if part]
        anchored = rest.startswith("/") or "/" in rest.rstrip("/")
        literal = list(itertools.takewhile(lambda part: not any(letter in part for letter in "*?[\\"), parts))
        lead = "/".join([root.rstrip("/"), *literal]) if anchored else root
        without_case = pathspec.GitIgnoreSpec.from_lines([folded(_escaped(rest))])
        anchored = anchored and bool(literal)
        return cls(text, root, spec, without_case, lead or "/", anchored, parts[-1] if parts else "")

    def covers(self, place: Place) -> bool:
        """Whether every form of the path matches: what an allow needs."""
        return all(self._matches(path) and self._own_name(path) for path in place.both)

    def covers_folder(self, place: Place) -> bool:
        """Whether a folder as a whole is covered: `./src/**` covers a search of `./src`."""
        return self.last == "**" and all(self._matches(path + "/x") for path in place.both)

    def _own_name(self, path: str) -> bool:
        """`*.md` speaks of files; gitignore's reading would let in whatever lies in a folder called `a.md`."""
        if "*" not in self.last or self.last.strip("*") == "":
            return True
        return fnmatch.fnmatchcase(path.rsplit("/", 1)[-1], self.last)

    def touches(self, place: Place) -> bool:
        """Whether any form of the path matches, letter case and Unicode form aside: what a deny needs."""
        return any(self._matches(path) or self._matches(folded(path), caseless=True) for path in place.both)

    def _matches(self, path: str, *, caseless: bool = False) -> bool:
        root = folded(self.root) if caseless else self.root
        base = root if root.endswith("/") else root + "/"
        if not path.startswith(base):
            # A written path may go through a link to the root itself.
            return False
        relative = path[len(base) :]
        if not relative:
            return False
        spec = self.folded if caseless else self.spec
        return bool(spec.match_file(relative))


def _escaped(pattern: str) -> str:
    # A trailing blank and a leading # mean something to gitignore, nothing in a rule.
    return "\\" + pattern if pattern.startswith("#") else pattern


def folded(text: str) -> str:
    """A path without letter case and with one form of each letter: how forgiving file systems compare."""
    return unicodedata.normalize("NFC", text).casefold()


def inside(place: Place, workspace: Path) -> bool:
    """Whether a path lies in the workspace, links followed."""
    root = real(workspace)
    return place.resolved == root or place.resolved.startswith(root + "/")


def protection(place: Place, workspace: Path, home: Path) -> str:
    """Why a write to this path needs a person whatever the rules say; empty if it does not."""
    root = folded(real(workspace))
    for path in (folded(form) for form in place.both):
        relative = path[len(root) + 1 :] if path.startswith(root + "/") else path.lstrip("/")
        if any(relative == own or relative.startswith(own + "/") for own in _OWN):
            return "Druse decides by it"
        parts = relative.split("/")
        if any(part in PROTECTED_PARTS for part in parts):
            return "it configures tools that run code"
        if parts[-1] in STARTUP:
            return "it is read at the start of a shell or a tool"
        base = folded(real(home))
        if any(path == f"{base}/{name}" or path.startswith(f"{base}/{name}/") for name in (*_HOME_CODE, *_HOME_OWN)):
            return "what lies there runs or decides later"
        if path.startswith(("/etc/", "/boot/", "/usr/", "/bin/", "/sbin/", "/lib", "/proc/", "/sys/", "/dev/")):
            return "it belongs to the system"
    return credential(place, home)


def is_own(place: Place, workspace: Path, home: Path | None = None) -> bool:
    """Whether Druse itself decides by a path: approvals, policy, keys, generated tools, the user's rules."""
    root = folded(real(workspace))
    owned = [f"{root}/{own}" for own in _OWN]
    if home is not None:
        owned += [f"{folded(real(home))}/{own}" for own in _HOME_OWN]
    forms = [folded(form) for form in place.both]
    return any(form == own or form.startswith(f"{own}/") for form in forms for own in owned)


def credential(place: Place, home: Path) -> str:
    """Why reading this path needs a person whatever the rules say; empty if it does not."""
    base = folded(real(home))
    for path in (folded(form) for form in place.both):
        for name in _CREDENTIALS:
            if path == f"{base}/{name}" or path.startswith(f"{base}/{name}/"):
                return "it holds credentials"
        if "/.druse/keys" in path:
            return "it holds keys of Druse"
        if _SECRET.fullmatch(path):
            return "it holds secrets"
    return ""
