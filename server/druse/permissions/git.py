"""git: which of its options and subcommands reach further than a rule such as `Bash(git:*)` says."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Before the subcommand: these only change how git talks. Everything else there changes what runs, or where.
_GLOBAL = re.compile(
    r"--no-pager|-P|--no-optional-locks|--version|-v|--help|-h|--literal-pathspecs|--no-replace-objects"
    r"|--no-lazy-fetch|--icase-pathspecs|--glob-pathspecs|--noglob-pathspecs|--html-path|--man-path|--info-path"
)
# After it: long options that start a program or write where they say, with every abbreviation that git accepts.
_LONG = (
    *("--upload-pack", "--receive-pack", "--exec", "--output", "--output-directory", "--ext-diff", "--extcmd"),
    *("--open-files-in-pager", "--textconv", "--template", "--config", "--config-env", "--exec-path", "--editor"),
    *("--to-command", "--use-compress-program", "--work-tree", "--git-dir", "--separate-git-dir", "--bundle-uri"),
    *("--reference", "--reference-if-able", "--shared", "--pathspec-from-file", "--filters", "--smtp-server"),
    *("--sendmail-cmd", "--trailer-command", "--strategy", "--gpg-sign", "--local-user", "--contents", "--file"),
    *("--unsafe-paths", "--directory", "--no-index", "--ignore-revs-file"),
)
# Options whose full name is harmless though it begins one of those.
_HARMLESS = frozenset(("--text", "--edit", "--strategy", "--filter", "--refer"))
_SHORT = {
    "clone": "uc",
    "rebase": "x",
    "grep": "Of",
    "fetch": "u",
    "pull": "u",
    "archive": "o",
    "format-patch": "o",
    "commit": "Ft",
    "tag": "Fu",
    "notes": "F",
    "merge": "Fs",
    "am": "",
    "diff": "O",
    "log": "O",
    "show": "O",
    "blame": "S",
    "annotate": "S",
}
_NEVER = frozenset(
    """
    filter-branch difftool mergetool bisect send-email instaweb daemon hook credential credential-store credential-cache
    upload-pack receive-pack upload-archive shell cvsserver svn p4 gui citool for-each-repo maintenance archive bundle
    remote-ext remote-fd remote-http remote-https fast-import fast-export web--browse replace lfs imap-send filter-repo
    annex init-db difftool--helper mergetool--lib merge-index merge-one-file merge-octopus merge-recursive
    merge-resolve merge-subtree merge-ours checkout-index update-index write-tree hash-object unpack-objects
    unpack-file sh-setup sh-i18n cvsimport cvsexportcommit quiltimport request-pull diagnose bugreport scalar
    interpret-trailers mktag mktree index-pack update-ref symbolic-ref update-server-info prune gc repack pack-objects
    """.split()
)
_SUBCOMMANDS = {  # where only some of a subcommand's own subcommands are covered
    "submodule": frozenset(("status", "summary")),
    "config": frozenset(("--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list")),
    "help": frozenset(("",)),
}
_SCOPES = frozenset(("--global", "--local", "--system", "--show-origin", "--show-scope", "--name-only"))
_REACHES = re.compile(r"(?:ext|fd)::.*", re.DOTALL | re.IGNORECASE)
_TRANSPORT = re.compile(r"(?:ext|fd)::.*|file://.*|-.*::.*", re.DOTALL | re.IGNORECASE)
_KEYS_THAT_RUN = re.compile(
    r"(?:core\.(?:pager|editor|sshcommand|fsmonitor|hookspath|askpass|gitproxy|alternaterefscommand|attributesfile)"
    r"|diff\..*|alias\..*|filter\..*|merge\..*|credential\..*|sequence\.editor|gpg\..*|pager\..*|include.*)(?:=.*)?",
    re.DOTALL | re.IGNORECASE,
)
# Options whose value is a text: a message, a pattern, a format, a date.
_TEXT = frozenset(
    """
    -m --message --grep --author --committer --format --pretty --date --since --until --after --before -S -G --subject
    --trailer --cleanup --fixup --squash --glob --branches --tags --remotes --exclude --sort --points-at --contains
    --no-contains --diff-filter --word-diff-regex -L --encoding --decorate-refs --decorate-refs-exclude --signoff
    """.split()
)
_READS = frozenset(
    """
    status log diff show blame rev-parse ls-files ls-tree describe shortlog reflog cat-file merge-base rev-list name-rev
    grep whatchanged count-objects version
    """.split()
)
WRITES_FILES = frozenset(("mv", "restore", "checkout", "rm", "apply", "clean", "switch", "reset", "stash", "am"))


def subcommand_at(words: Sequence[str]) -> int:
    """Where the subcommand stands; len(words) if there is none."""
    return next((i for i, word in enumerate(words) if i and not word.startswith("-")), len(words))


def uncovered(words: Sequence[str], fixed: set[str]) -> str:
    """The first word that a wildcard rule naming `fixed` does not cover; empty if there is none."""
    at = subcommand_at(words)
    early = next((word for word in words[1:at] if not _GLOBAL.fullmatch(word) and word not in fixed), "")
    if early or at == len(words):
        return early
    subcommand = words[at]
    if subcommand in _NEVER and subcommand not in fixed:
        return subcommand
    own = _SUBCOMMANDS.get(subcommand)
    if own is not None:
        problem = _uncovered_own(subcommand, own, words[at + 1 :])
        if problem:
            return problem
    texts = texts_among(words)
    for index in range(at + 1, len(words)):
        word = words[index]
        if word in fixed or (index in texts and not word.startswith("-")):
            continue
        if word == "--":
            break
        if _far(subcommand, word):
            return word
    return ""


def _uncovered_own(subcommand: str, own: frozenset[str], rest: Sequence[str]) -> str:
    if subcommand == "help":
        return "help" if rest else ""
    first = rest[0] if rest else ""
    if subcommand == "config":
        scope = [
            word for word in rest if word not in ("--global", "--local", "--system", "--show-origin", "--name-only")
        ]
        first = scope[0] if scope else ""
        # `config user.name` reads; with a second word it would write.
        if first in own or (len(scope) == 1 and not first.startswith("-")):
            return ""
        return "config"
    return "" if first in own or not rest else first


def _far(subcommand: str, word: str) -> bool:
    """Whether a word behind the subcommand starts a program or writes elsewhere."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        if name in _HARMLESS and not (equals and name == "--strategy"):
            return False
        if name in ("--file",) and subcommand not in ("commit", "tag", "notes", "merge", "grep", "config", "blame"):
            return False
        if name == "--gpg-sign" and not equals:
            return False
        return len(name) > 2 and any(option.startswith(name) for option in _LONG)
    if word.startswith("-") and len(word) > 1:
        bundle = re.match(r"-([A-Za-z0-9]*)", word)
        letters = _SHORT.get(subcommand, "")
        # `-b user` and its like take a value of their own word; a bundle is judged letter by letter.
        return bundle is not None and any(letter in letters for letter in bundle[1]) and not _plain_bundle(word)
    if subcommand in ("clone", "fetch", "pull", "push", "remote", "ls-remote", "submodule"):
        return _TRANSPORT.fullmatch(word) is not None
    return _REACHES.fullmatch(word) is not None or (subcommand == "config" and bool(_KEYS_THAT_RUN.fullmatch(word)))


def _plain_bundle(word: str) -> bool:
    """`-m` with its text attached, and numbers, are no bundles of flags."""
    return word.startswith("-m") or re.fullmatch(r"-\d+", word) is not None


def only_reads(words: Sequence[str]) -> bool:
    """Whether a git command reads and does nothing else."""
    at = subcommand_at(words)
    if at == len(words) or words[at] not in _READS or uncovered(words, set()):
        return False
    rest = words[at + 1 :]
    if words[at] == "reflog":
        first = next((word for word in rest if not word.startswith("-")), "show")
        return first not in ("expire", "delete", "drop", "write")
    if words[at] == "grep":
        return not any(
            word.startswith("-") and "f" in word.lstrip("-")[:1] for word in rest if not word.startswith("--")
        )
    return True


_FILES_BY_S = frozenset(("blame", "annotate"))  # -S of these reads a file, of others it searches
_GIVES_PATTERN = re.compile(r"-[A-Za-z]*[ef]")


def texts_among(words: Sequence[str]) -> frozenset[int]:
    """The positions of words that are texts, not paths: values of -m, --grep and the like, revisions, remotes."""
    at = subcommand_at(words)
    if at == len(words):
        return frozenset()
    found: set[int] = set()
    first_is_text = words[at] in ("grep", "clone", "fetch", "pull", "push", "ls-remote")
    for index in range(at + 1, len(words)):
        word = words[index]
        before = words[index - 1]
        value_of = (before in _TEXT and not (before == "-S" and words[at] in _FILES_BY_S)) or (
            re.fullmatch(r"-[a-zA-Z]*m", before) is not None and not before.startswith("--")
        )
        revision = re.fullmatch(r":/[^/].*|.*@\{.*\}", word, re.DOTALL) is not None and words[at] in _READS
        starts = ("-m", "-L") if words[at] in _FILES_BY_S else ("-m", "-S", "-G", "-L")
        attached = word.startswith("-") and (word.partition("=")[0] in _TEXT or word[:2] in starts)
        if value_of or revision or attached:
            found.add(index)
        elif first_is_text and not word.startswith("-"):
            first_is_text = False
            if words[at] == "grep" and not any(_GIVES_PATTERN.match(part) for part in words[at:index]):
                found.add(index)
    return frozenset(found)


def without_magic(word: str) -> str:
    """A pathspec without its magic: `:(top)a` and `:/a` are `a`."""
    return re.sub(r"^:(?:\([^)]*\)|[/!^]+)", "", word)
