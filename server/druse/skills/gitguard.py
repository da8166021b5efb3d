"""What a volume's own `.git` may hold: nothing in it starts a program or leads out of the volume.

A pull brings no configuration along, but a folder that was copied or unpacked does: its `.git/config` can name programs
for filters, merges, transports and signatures, another working tree, or another repository to read from. What a
person wants for a volume belongs into the person's own git configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from druse.model import Invalid, visible

# Neither links nor programs nor other directories can be named by these.
_HARMLESS = re.compile(
    r"core\.(repositoryformatversion|filemode|bare|logallrefupdates|ignorecase|precomposeunicode|symlinks|compression"
    r"|bigfilethreshold|preloadindex|untrackedcache|abbrev|whitespace|eol|autocrlf|safecrlf|quotepath|longpaths"
    r"|sharedrepository|protecthfs|protectntfs|hidedotfiles)"
    r"|remote\..*\.(url|fetch|pushurl|push|mirror|prune|tagopt|skipdefaultupdate)"
    r"|branch\..*\.(remote|merge|rebase|description|pushremote)"
    r"|(user|author|committer)\.\w+"
    r"|(commit|tag|push)\.gpgsign|gpg\.format|gpg\.ssh\.allowedsignersfile"
    r"|(init|push|pull|fetch|gc|pack|index|status|log|color|advice|receive|transfer|rerere|maintenance|diff|merge)\.\w+",
    re.IGNORECASE,
)
_PROGRAMS = re.compile(r"(diff\.(external|guitool|tool)|merge\.(tool|guitool)|log\.showsignature)", re.IGNORECASE)
# The last matching line wins, and this file wins over every .gitattributes that came with a pull.
_PLAIN = "* -text !filter !diff !merge !eol !ident !working-tree-encoding !export-subst !conflict-marker-size\n"


def settings_of(text: str) -> str:
    """Why these lines of `git config --list --name-only -z` are not used; empty if there is no reason."""
    for name in text.split("\0"):
        if name and (not _HARMLESS.fullmatch(name) or _PROGRAMS.fullmatch(name)):
            return f"`{visible(name)[:120]}` in its .git/config may name a program or another place"
    return ""


def folder_of(git: Path) -> str:
    """Why a `.git` is no ordinary one; empty if it is."""
    if git.is_symlink():
        return ".git is a link"
    for name in ("objects", "refs", "config", "HEAD", "info"):
        if (git / name).is_symlink():
            return f".git/{name} is a link"
    for name in ("commondir", "gitdir", "objects/info/alternates", "objects/info/http-alternates"):
        if (git / name).exists():
            return f".git/{name} names another repository"
    return ""


def make_plain(git: Path) -> None:
    """Have files kept as the bytes they are, whatever attributes came with a pull."""
    path = git / "info" / "attributes"
    path.parent.mkdir(exist_ok=True)
    if path.is_symlink():
        path.unlink()
    there = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if not there.endswith(_PLAIN):
        path.write_text(there + ("\n" if there and not there.endswith("\n") else "") + _PLAIN, encoding="utf-8")


def refused(root: Path, reason: str) -> Invalid:
    """The error for a repository that is not used."""
    return Invalid(
        f"Cannot use the volume in {root}: {reason}. Put what you want for all your repositories into your own git "
        "configuration (git config --global), and take this out.",
        where=str(root / ".git"),
        problem=reason,
    )


def refused_pull(volume: str, reason: str) -> Invalid:
    """The error for a remote whose history is not taken over."""
    return Invalid(
        f"Cannot pull {volume}: in its remote {reason}. Nothing was changed here; have that corrected in the remote.",
        where=volume,
        problem=reason,
    )


def areas_of(root: Path, areas: Iterable[str]) -> str:
    """Why the folders of a volume cannot be used; empty if they can."""
    for area in areas:
        path = root / area
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            return f"{area} is no folder"
    return ""
