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
    annex init-db apply am difftool--helper mergetool--lib merge-index merge-one-file merge-octopus merge-recursive
    merge-resolve merge-subtree merge-ours checkout-index update-index write-tree hash-object unpack-objects
    unpack-file sh-setup sh-i18n cvsimport cvsexportcommit quiltimport request-pull diagnose bugreport scalar
    interpret-trailers mktag mktree index-pack update-ref update-server-info prune gc repack pack-objects
    """.split()
)
_SUBCOMMANDS = {  # where only some of a subcommand's own subcommands are covered
    "submodule": frozenset(("status", "summary")),
    "symbolic-ref": frozenset(("--short", "-q", "HEAD")),
    "config": frozenset(("--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list")),
    "help": frozenset(("",)),
}
_PLAIN_KEYS = frozenset(
    ("user.name", "user.email", "push.default", "pull.rebase", "init.defaultbranch", "core.autocrlf", "color.ui")
)
_STRATEGIES = frozenset(("ours", "recursive", "ort", "resolve", "octopus", "subtree"))
_NETWORK = frozenset(("clone", "fetch", "pull", "push", "remote", "ls-remote", "submodule"))
# What these do without operands but with these options is to list.
_LISTS = {
    "branch": re.compile(r"-(?:a|r|v|vv|av|avv|rv)|--(?:all|list|remotes|show-current|verbose|no-color)"),
    "tag": re.compile(r"-l|--list|-n\d*"),
    "remote": re.compile(r"-v|--verbose"),
    "stash": re.compile(r"list"),
    "worktree": re.compile(r"list|--porcelain"),
    "symbolic-ref": re.compile(r"--short|-q|HEAD"),
    "check-ignore": re.compile(r"-[vnq]+|(?!-)[\w./-]+"),
}
_SCOPES = frozenset(("--global", "--local", "--system", "--show-origin", "--show-scope", "--name-only"))
_REACHES = re.compile(r"(?:ext|fd)::.*", re.DOTALL | re.IGNORECASE)
_TRANSPORT = re.compile(r"(?:ext|fd)::.*|file://.*|-.*::.*", re.DOTALL | re.IGNORECASE)
_KEYS_THAT_RUN = re.compile(
    r"(?:core\.(?:pager|editor|sshcommand|fsmonitor|hookspath|askpass|gitproxy|alternaterefscommand|attributesfile)"
    r"|diff\..*|alias\..*|filter\..*|merge\..*|credential\..*|sequence\.editor|gpg\..*|pager\..*|include.*)(?:=.*)?",
    re.DOTALL | re.IGNORECASE,
)
# Options whose value is a text: a message, a pattern, a format, a date. Short ones only where they mean that.
_MESSAGES = frozenset(("commit", "tag", "merge", "stash", "notes", "revert"))
_SEARCHES = frozenset(("log", "show", "shortlog", "whatchanged", "rev-list", "diff"))
_TEXT = frozenset(
    """
    --message --grep --author --committer --format --pretty --date --since --until --after --before --subject
    --trailer --cleanup --fixup --squash --glob --branches --tags --remotes --exclude --sort --points-at --contains
    --no-contains --diff-filter --word-diff-regex --encoding --decorate-refs --decorate-refs-exclude --signoff
    """.split()
)
_READS = frozenset(
    """
    status log diff show blame rev-parse ls-files ls-tree describe shortlog reflog cat-file merge-base rev-list name-rev
    grep whatchanged count-objects version
    """.split()
)
WRITES_FILES = frozenset(("mv", "restore", "checkout", "rm", "clean", "switch", "reset", "stash"))


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
        problem = _uncovered_own(subcommand, own, words[at + 1 :], fixed)
        if problem:
            return problem
    texts = texts_among(words)
    place = next((word for word in words[at + 1 :] if not word.startswith("-")), "")
    if subcommand in ("push", "fetch", "pull", "ls-remote") and _is_folder(place) and place not in fixed:
        return place  # a repository on this machine runs hooks of its own
    for index in range(at + 1, len(words)):
        word = words[index]
        if word in fixed:
            continue
        if subcommand in _NETWORK and _TRANSPORT.fullmatch(word):
            return word
        if index in texts and not word.startswith("-"):
            continue
        if word == "--":
            break
        if _far(subcommand, word):
            return word
    return ""


def _uncovered_own(subcommand: str, own: frozenset[str], rest: Sequence[str], fixed: set[str]) -> str:
    if rest and rest[0] in fixed:
        return ""
    if subcommand == "help":
        return next((word for word in rest if word.startswith("-")), "")
    first = rest[0] if rest else ""
    if subcommand == "config":
        scope = [
            word for word in rest if word not in ("--global", "--local", "--system", "--show-origin", "--name-only")
        ]
        first = scope[0] if scope else ""
        # `config user.name` reads; with a second word it would write.
        if first in own or (len(scope) == 1 and not first.startswith("-")):
            return ""
        # What only names a person or a habit starts nothing; a rule that names `config` covers it.
        return "" if "config" in fixed and first in _PLAIN_KEYS and len(scope) == 2 else "config"
    if subcommand == "symbolic-ref":
        return next((word for word in rest if word not in own), "")
    return "" if first in own or not rest else first


def _is_folder(remote: str) -> bool:
    """Whether a remote is a path, not a name, a URL or `host:path`."""
    return "://" not in remote and ":" not in remote.partition("/")[0] and ("/" in remote or remote.startswith("."))


def _far(subcommand: str, word: str) -> bool:
    """Whether a word behind the subcommand starts a program or writes elsewhere."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        if name == "--strategy":
            return bool(equals) and word.partition("=")[2] not in _STRATEGIES
        if name in _HARMLESS or (subcommand == "rev-parse" and name == "--git-dir" and not equals):
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
        plain = subcommand in _MESSAGES and word.startswith("-m")
        return bundle is not None and any(letter in letters for letter in bundle[1]) and not plain
    return _REACHES.fullmatch(word) is not None or (subcommand == "config" and bool(_KEYS_THAT_RUN.fullmatch(word)))


def only_reads(words: Sequence[str]) -> bool:
    """Whether a git command reads and does nothing else."""
    at = subcommand_at(words)
    if at == len(words):
        return False
    lists = _LISTS.get(words[at])
    if lists is not None:
        plain = all(_GLOBAL.fullmatch(word) for word in words[1:at])
        needs = words[at] in ("stash", "worktree", "check-ignore", "symbolic-ref")
        return plain and all(lists.fullmatch(word) for word in words[at + 1 :]) and (not needs or len(words) > at + 1)
    if words[at] not in _READS or uncovered(words, set()):
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


def texts_among(words: Sequence[str]) -> frozenset[int]:
    """The positions of words that are texts, not paths: values of -m, --grep and the like, revisions, remotes."""
    at = subcommand_at(words)
    if at == len(words):
        return frozenset()
    found: set[int] = set()
    subcommand = words[at]
    first_is_text = subcommand in ("grep", "clone", "fetch", "pull", "push", "ls-remote")
    takes = ended = False
    for index in range(at + 1, len(words)):
        word = words[index]
        if takes:
            found.add(index)
            takes = False
        elif ended:
            continue
        elif word == "--":
            ended = True
        elif word.startswith("-") and word != "-":
            takes, attached = _text_option(subcommand, word)
            if attached:
                found.add(index)
        elif subcommand in _READS and _is_revision(word):
            found.add(index)
        elif first_is_text:
            first_is_text = False
            if not (subcommand == "grep" and any(part.startswith(("-e", "-f")) for part in words[at:index])):
                found.add(index)
    return frozenset(found)


def _text_option(subcommand: str, word: str) -> tuple[bool, bool]:
    """Whether an option takes the next word as its text, and whether it carries its text itself."""
    if word.startswith("--"):
        name, equals, _ = word.partition("=")
        return (not equals and name in _TEXT), bool(equals) and name in _TEXT
    if subcommand in _MESSAGES and re.fullmatch(r"-[aqsvneS]*m", word):
        return True, False
    if subcommand in _MESSAGES and word.startswith("-m"):
        return False, True
    if subcommand in _SEARCHES and word[:2] in ("-S", "-G"):
        return len(word) == 2, len(word) > 2
    if subcommand in ("log", "blame", "show") and word[:2] == "-L":
        return len(word) == 2, len(word) > 2
    return False, False


def _is_revision(word: str) -> bool:
    """`:/words` of a message and `branch@{1}`; never anything that leads upwards."""
    if ".." in word.split("/"):
        return False
    return (word.startswith(":/") and len(word) > 2) or ("@{" in word and word.endswith("}"))


def without_magic(word: str) -> str:
    """A pathspec without its magic: `:(top)a` and `:/a` are `a`."""
    return re.sub(r"^:(?:\([^)]*\)|[/!^]+)", "", word)
