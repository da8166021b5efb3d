"""What programs can do beyond their name: options that execute, write or leave the workspace.

A rule such as `Bash(git:*)` allows a program, not everything its options reach. `DANGEROUS` lists per program the
options and subcommands that an allow rule does not cover unless it names them. `EXECUTORS` are programs that run
whatever they are given: a wildcard rule on them is refused at load, an exact command is not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """Patterns (full match, per word) that a wildcard does not cover, and subcommands likewise."""

    words: re.Pattern[str]
    subcommands: frozenset[str] = frozenset()


def _options(*patterns: str, subcommands: Sequence[str] = ()) -> Options:
    return Options(re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.DOTALL), frozenset(subcommands))


# git before its subcommand: anything that changes what runs or where.
_GIT_GLOBAL = re.compile(
    r"-[cC].*|--(?:exec-path|git-dir|work-tree|namespace|super-prefix|config-env|attr-source|paginate)(?:=.*)?|-p"
)
# git after its subcommand: options that start a program or write where they say. git accepts every abbreviation of a
# long option, so each prefix of these counts, but for the full names of harmless options.
_GIT_LONG = (
    *("--upload-pack", "--receive-pack", "--exec", "--output", "--output-directory", "--ext-diff", "--extcmd"),
    *("--open-files-in-pager", "--textconv", "--template", "--config", "--sendmail-cmd", "--smtp-server", "--editor"),
    *("--to-command", "--use-compress-program", "--remote", "--work-tree", "--git-dir", "--separate-git-dir"),
    *("--reference", "--shared", "--bundle-uri", "--recurse-submodules-default", "--config-env", "--exec-path"),
)
_GIT_HARMLESS = frozenset(("--text", "--remote", "--edit"))
_GIT_LOCAL = re.compile(
    r"(?:ext|fd)::.*|file://.*|!.+"
    r"|.*core\.(?:pager|editor|sshcommand|fsmonitor|hookspath|askpass|gitproxy|alternaterefscommand).*",
    re.DOTALL | re.IGNORECASE,
)
_GIT_SHORT = {"clone": r"-[cu].*", "rebase": r"-x.*", "grep": r"-O.*", "fetch": r"-u.+", "archive": r"-o.*"}
_GIT_NEVER = frozenset(
    (
        *("filter-branch", "difftool", "mergetool", "bisect", "submodule", "send-email", "instaweb", "daemon", "hook"),
        *("credential", "credential-store", "credential-cache", "upload-pack", "receive-pack", "upload-archive"),
        *("shell", "cvsserver", "svn", "p4", "gui", "citool", "for-each-repo", "maintenance", "archive", "bundle"),
        *("remote-ext", "remote-fd", "fast-import", "fast-export", "web--browse", "help", "replace", "lfs"),
        *("imap-send", "difftool--helper", "mergetool--lib", "filter-repo", "annex", "init-db"),
    )
)
_GIT_CONFIG_READS = frozenset(("--get", "--get-all", "--get-regexp", "--list", "-l", "get", "list"))


def _reaches_out(word: str) -> bool:
    name, equals, _ = word.partition("=")
    if not name.startswith("--") or len(name) < 3 or (name in _GIT_HARMLESS and not equals):
        return False
    return any(option.startswith(name) or name.startswith(option) for option in _GIT_LONG)


def _git_uncovered(words: Sequence[str], fixed: set[str]) -> str:
    subcommand = ""
    for word in words[1:]:
        if not subcommand:
            if not word.startswith("-"):
                subcommand = word
                if word in _GIT_NEVER and word not in fixed:
                    return word
            elif _GIT_GLOBAL.fullmatch(word) and word not in fixed:
                return word
            continue
        short = _GIT_SHORT.get(subcommand)
        if word in fixed:
            continue
        if _reaches_out(word) or _GIT_LOCAL.fullmatch(word) or (short and re.fullmatch(short, word, re.DOTALL)):
            return word
    if subcommand == "config" and not _GIT_CONFIG_READS.intersection(words):
        return "config"
    return ""


DANGEROUS: dict[str, Options] = {
    "rg": _options(r"--pre(?:=.*)?", r"--pre-glob.*", r"--hostname-bin(?:=.*)?", r"-z|--search-zip"),
    "grep": _options(r"--devices.*", r"-D.*"),
    "sort": _options(r"-o.*", r"--output(?:=.*)?", r"--compress-program(?:=.*)?", r"-T.*", r"--temporary-directory.*"),
    "curl": _options(r"-[oOKTFd]+.*", r"--(?:output|remote-name|config|upload-file|form|data|unix-socket|proxy).*"),
    "wget": _options(r".*"),
    "jq": _options(r"-[nrcsejMSC]*f.*", r"--from-file.*", r"--(?:slurpfile|rawfile|argfile|L).*", r"-L.*"),
    "diff": _options(r"--to-file.*", r"--from-file.*"),
    "docker": _options(r".*"),
    "gh": _options(subcommands=("alias", "extension", "api", "codespace", "config", "auth")),
    "cargo": _options(r"--config(?:=.*)?", r"-Z.*", r"\+.*", subcommands=("run", "install", "test", "bench", "build")),
    "npm": _options(
        r"--(?:prefix|script-shell|node-options|userconfig|globalconfig|shell|call|package)(?:=.*)?",
        r"-C.*|-c.*|-g|--global",
        subcommands=("exec", "x", "explore", "edit", "config", "set", "init", "create"),
    ),
    "date": _options(r"-s.*", r"--set.*", r"-f.*", r"--file.*"),
    "cp": _options(r"--target-directory.*", r"-t.*", r"-[a-zA-Z]*S.*"),
    "split": _options(r"--filter.*"),
    "man": _options(r".*"),
    "find": _options(r"-(?:exec|execdir|ok|okdir|delete|fls|fprint0?|fprintf|files0-from)"),
    "tree": _options(r"-o.*", r"--output.*"),
    "file": _options(r"-m.*", r"--magic-file.*", r"-C", r"--compile"),
}

# Programs that execute what they are handed. A rule with a wildcard on one of these is refused at load.
EXECUTORS = frozenset(
    (
        *("sh", "bash", "zsh", "dash", "ksh", "fish", "csh", "tcsh", "rbash", "ash", "eval", "exec", "source", "."),
        *(
            "env",
            "sudo",
            "doas",
            "su",
            "runuser",
            "xargs",
            "parallel",
            "watch",
            "script",
            "setsid",
            "chroot",
            "unshare",
        ),
        *(
            "nsenter",
            "flock",
            "strace",
            "ltrace",
            "gdb",
            "lldb",
            "valgrind",
            "perf",
            "busybox",
            "toybox",
            "systemd-run",
        ),
        *("python", "python2", "python3", "pypy", "pypy3", "ipython", "perl", "ruby", "node", "nodejs", "deno", "bun"),
        *("php", "lua", "luajit", "tclsh", "wish", "expect", "Rscript", "R", "julia", "java", "jshell", "groovy"),
        *("scala", "kotlin", "ghci", "runghc", "osascript", "pwsh", "powershell", "awk", "gawk", "mawk", "nawk", "sed"),
        *("ed", "ex", "vi", "vim", "nvim", "view", "emacs", "nano", "less", "more", "most", "man", "info"),
        *("ssh", "scp", "sftp", "rsync", "nc", "ncat", "netcat", "socat", "telnet", "make", "gmake", "cmake", "ninja"),
        *("bazel", "gradle", "gradlew", "mvn", "ant", "rake", "just", "task", "tox", "nox", "invoke", "fab", "pytest"),
        *(
            "py.test",
            "npx",
            "pnpx",
            "bunx",
            "uvx",
            "pipx",
            "yarn",
            "pnpm",
            "uv",
            "pip",
            "pip3",
            "poetry",
            "pdm",
            "hatch",
        ),
        *("conda", "mamba", "gem", "bundle", "cargo-run", "go", "tar", "bsdtar", "zip", "unzip", "7z", "cpio", "ar"),
        *(
            "docker",
            "podman",
            "kubectl",
            "helm",
            "terraform",
            "ansible",
            "vagrant",
            "crontab",
            "at",
            "batch",
            "systemctl",
        ),
        *("tmux", "screen", "nohup", "time", "timeout", "nice", "ionice", "stdbuf", "command", "builtin", "gcc", "cc"),
        *("g++", "clang", "ld", "sqlite3", "psql", "mysql", "ftp", "wget", "git-shell", "gpg", "openssl", "m4", "dc"),
        *(
            "entr",
            "fd",
            "split",
            "logrotate",
            "taskset",
            "chrt",
            "setarch",
            "dpkg",
            "apt",
            "apt-get",
            "brew",
            "xdg-open",
        ),
        *("open", "start", "trap", "alias", "enable", "hash", "druse"),
    )
)

# Given as `npm run x`, these run what the project itself says; a wildcard after the script's name is fine.
_SCRIPTED = {
    "npm": ("run", "run-script", "test", "t", "start", "ci", "install", "i", "ls", "view", "outdated", "audit")
}

HARMLESS = frozenset(("echo", "printf", "true", "false", "pwd", ":", "test", "[", "date", "whoami", "uname", "which"))

# Runs without a rule, inside the workspace: it only reads. (Claude Code's own list, measured; see facts in the docs.)
READERS = frozenset(
    (
        *("ls", "cat", "head", "tail", "wc", "grep", "rg", "find", "stat", "file", "du", "df", "sort", "uniq", "cut"),
        *(
            "tr",
            "diff",
            "cmp",
            "basename",
            "dirname",
            "realpath",
            "readlink",
            "tree",
            "nl",
            "comm",
            "md5sum",
            "sha1sum",
        ),
        *("sha256sum", "cksum", "rev", "column", "paste", "fold", "id", "hostname", "nproc", "arch", "seq", "expr"),
        *(*HARMLESS,),
    )
)
GIT_READS = frozenset(
    (
        *(
            "status",
            "log",
            "diff",
            "show",
            "blame",
            "rev-parse",
            "ls-files",
            "ls-tree",
            "describe",
            "shortlog",
            "reflog",
        ),
        *("cat-file", "merge-base", "rev-list", "name-rev", "grep", "whatchanged", "count-objects", "version"),
    )
)


def refusal_at_load(words: Sequence[str], *, wildcard: bool) -> str:
    """Why a rule on these leading words may not be loaded; empty if it may."""
    if not words or not wildcard:
        return ""
    program = words[0].rsplit("/", 1)[-1]
    if program in _SCRIPTED and len(words) < 2:
        return f"`{program}` can execute anything; name its subcommand, for example `{program} run test`"
    if program in _SCRIPTED and words[1] not in _SCRIPTED[program]:
        return f"`{program} {words[1]}` can execute anything; allow the exact command instead"
    if re.fullmatch(r"python[\d.]*|pypy[\d.]*|pip[\d.]*|perl[\d.]*|ruby[\d.]*|lua[\d.]*|node[\d.]*", program):
        return _executes(program)
    return _executes(program) if program in EXECUTORS else ""


def _executes(program: str) -> str:
    return f"`{program}` can itself execute anything, so a wildcard on it allows everything; allow the exact command"


def uncovered(words: Sequence[str], named: Sequence[str]) -> str:
    """The first word that a wildcard rule whose own words are `named` does not cover; empty if there is none."""
    program = words[0].rsplit("/", 1)[-1]
    if program == "git":
        return _git_uncovered(words, set(named))
    options = DANGEROUS.get(program)
    if options is None:
        return ""
    fixed = set(named)
    seen_subcommand = False
    for word in words[1:]:
        if word in fixed:
            seen_subcommand = seen_subcommand or not word.startswith("-")
            continue
        if options.words.pattern and options.words.fullmatch(word) and word not in ("-", "--"):
            return word
        if not word.startswith("-") and not seen_subcommand:
            seen_subcommand = True
            if word in options.subcommands:
                return word
    return ""
