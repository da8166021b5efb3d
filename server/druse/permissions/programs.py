"""What programs can do beyond their name: options that execute, write or leave the workspace.

A rule such as `Bash(curl:*)` allows a program, not everything its options reach. `programs.toml` says per program what
a wildcard covers, what it reads without a rule, and which of its words are paths; git, which has the most ways out,
has `git.py`. `EXECUTORS` run whatever they are given: a wildcard on one of them is refused at load, unless its table
says for which subcommands it is safe.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, cast

from druse.permissions import git


@dataclass(frozen=True, slots=True)
class Program:
    """One table of programs.toml; its comments there say what each part means."""

    refuse: re.Pattern[str] | None = None
    refuse_long: tuple[str, ...] = ()
    refuse_short: frozenset[str] = frozenset()
    accept: re.Pattern[str] | None = None
    first: re.Pattern[str] | None = None  # what the first word must be
    pinned: Mapping[str, re.Pattern[str] | None] = field(default_factory=dict[str, "re.Pattern[str] | None"])
    executes: bool = False
    until_dashes: bool = False  # words after `--` belong to somebody else
    reads: bool = False
    reads_with: re.Pattern[str] | None = None
    operands: int | None = None
    no_paths: bool = False
    follows: bool = False
    text_first: bool = False
    text: frozenset[str] = frozenset()
    words_are_options: bool = False  # options are whole words behind one dash, as in find
    operand_refused: re.Pattern[str] | None = None  # operands with which it is no mere reader

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Program:
        """A table as read. Raises KeyError for a name that means nothing."""
        unknown = set(table) - _KEYS
        if unknown:
            raise KeyError(f"programs.toml: {sorted(unknown)}")
        reads = table.get("reads", False)
        return cls(
            _pattern(table.get("refuse")),
            tuple(table.get("refuse_long", ())),
            frozenset(table.get("refuse_short", "")),
            _pattern(table.get("accept")),
            _pattern(table.get("first")),
            {name: _any_or(patterns) for name, patterns in table.get("pinned", {}).items()},
            bool(table.get("executes")),
            bool(table.get("until_dashes")),
            bool(reads),
            _pattern(cast("list[str]", reads)) if isinstance(reads, list) else None,
            table.get("operands"),
            bool(table.get("no_paths")),
            bool(table.get("follows")),
            bool(table.get("text_first")),
            frozenset(table.get("text", ())),
            bool(table.get("words_are_options")),
            _pattern(table.get("operand_refused")),
        )


_KEYS = frozenset(
    (
        *("refuse", "refuse_long", "refuse_short", "accept", "first", "pinned", "executes", "until_dashes", "reads"),
        *("operands", "no_paths", "follows", "text_first", "text", "words_are_options", "operand_refused"),
    )
)
_UNKNOWN = Program()


def _pattern(parts: Sequence[str] | None) -> re.Pattern[str] | None:
    return None if parts is None else re.compile("|".join(f"(?:{part})" for part in parts) or r"(?!)", re.DOTALL)


def _any_or(parts: Sequence[str]) -> re.Pattern[str] | None:
    return None if "*" in parts else _pattern(parts)


@lru_cache(maxsize=1)
def programs() -> Mapping[str, Program]:
    """Every known program by name."""
    text = (files("druse.permissions") / "programs.toml").read_text(encoding="utf-8")
    known = {name: Program.from_table(table) for name, table in tomllib.loads(text).items()}
    return {**known, "[": known["test"]}


# Programs that execute what they are handed, and builtins that change what later words mean.
EXECUTORS = frozenset(
    """
    sh bash zsh dash ksh mksh fish csh tcsh rbash ash eval exec source . env sudo doas su runuser xargs parallel
    watch script setsid chroot unshare nsenter flock strace ltrace gdb lldb valgrind perf busybox toybox
    systemd-run pkexec setpriv python python2 python3 pypy pypy3 ipython perl ruby irb node nodejs deno bun php
    lua luajit tclsh wish expect Rscript R julia java jshell groovy scala kotlin ghci runghc osascript pwsh
    powershell awk gawk mawk nawk sed ed ex vi vim nvim view emacs nano less more most man info ssh scp sftp
    rsync nc ncat netcat socat telnet make gmake cmake ninja bazel gradle gradlew mvn ant rake just task tox nox
    invoke fab pytest py.test npx pnpx bunx uvx pipx yarn pnpm uv pip pip3 poetry pdm hatch conda mamba gem
    bundle go tar bsdtar gtar zip unzip 7z cpio ar docker podman kubectl helm terraform ansible ansible-playbook
    vagrant crontab at batch systemctl tmux screen nohup time timeout nice ionice stdbuf command builtin gcc cc
    g++ clang ld sqlite3 psql mysql ftp wget git-shell gpg openssl m4 dc bc entr fd fdfind split logrotate
    taskset chrt setarch dpkg apt apt-get brew xdg-open open start trap alias unalias enable hash druse mapfile
    readarray read declare typeset local export readonly unset set shopt let getopts bind complete compgen umask
    ulimit coproc faketime unbuffer rlwrap proot fakeroot torsocks proxychains firejail bwrap noglob nocorrect
    sshpass qemu wine tee-exec install-info msgfmt xdotool dbus-send gdbus rofi dmenu fzf peco tsx ts-node
    nodemon coverage rustup fc jobs ssh-agent hyperfine concurrently cross-env dotenv direnv asdf mise nvm rvm
    rbenv pyenv
    """.split()
)
_FAMILIES = re.compile(r"(?:python|pypy|pip|perl|ruby|lua|node|php)[\d.]*|busybox.*|.*(?:sh|awk)")
_SHELL_NAMES = frozenset(("sh", "bash", "zsh", "dash", "ksh", "mksh", "fish", "csh", "tcsh", "rbash", "ash", "pwsh"))
HARMLESS = frozenset(("echo", "printf", "true", "false", "pwd", ":", "test", "date", "whoami", "uname", "which"))


def executes(program: str) -> bool:
    """Whether a program can itself execute what it is handed."""
    known = programs().get(program)
    if program in EXECUTORS or (known is not None and (known.executes or bool(known.pinned))):
        return True
    match = _FAMILIES.fullmatch(program)
    return match is not None and (not program.endswith("sh") or program in _SHELL_NAMES)


def refusal_at_load(words: Sequence[str], *, wildcard: bool) -> str:
    """Why an allow rule on these leading words may not be loaded; empty if it may."""
    if not words or not wildcard:
        return ""
    program = program_name(words[0])
    if program == "[":
        return "`[` evaluates its words; allow the exact command"
    if not executes(program):
        return ""
    known = programs().get(program, _UNKNOWN)
    if known.executes and known.accept is not None:
        return ""
    if known.pinned:
        if len(words) < 2:
            return f"`{program}` can execute anything; name its subcommand, for example `{program} {_example(known)}`"
        runner = tuple(words[:2]) in _RUNNERS
        if _nested(words) if runner else (words[1] in known.pinned or "*" in known.pinned):
            return ""
        return f"`{' '.join(words[:2])}` can execute anything; allow the exact command instead"
    return f"`{program}` can itself execute anything, so a wildcard on it allows everything; allow the exact command"


def _example(known: Program) -> str:
    first = next(iter(known.pinned))
    return f"{first} test" if first in ("run", "*") else first


def _nested(words: Sequence[str]) -> bool:
    """`uv run pytest`: a known program behind a runner that takes no options here."""
    if tuple(words[:2]) not in _RUNNERS or len(words) < 3:
        return False
    if words[1] == "-m":
        return words[2] in _MODULES
    return not refusal_at_load(words[2:], wildcard=True)


_RUNNERS = frozenset(
    (("uv", "run"), ("poetry", "run"), ("pdm", "run"), ("bundle", "exec"), ("python", "-m"), ("python3", "-m"))
)
_MODULES = frozenset(("pytest", "unittest", "mypy", "ruff", "black", "isort", "flake8", "json.tool", "pyright"))


def program_name(word: str) -> str:
    """A program's name without its folder."""
    return word.rstrip("/").rsplit("/", 1)[-1]


def uncovered(words: Sequence[str], named: Sequence[str]) -> str:
    """The first word that a wildcard rule whose own words are `named` does not cover; empty if there is none."""
    program = program_name(words[0])
    if program == "git":
        return git.uncovered(words, set(named))
    known = programs().get(program)
    if known is None:
        return program if executes(program) and len(named) < 2 else ""
    if known.pinned:
        return _uncovered_behind_pin(program, known, words, named)
    if executes(program) and not known.executes:
        return program
    return _uncovered_words(known, tuple(words[1:]), set(named[1:]))


def _uncovered_behind_pin(program: str, known: Program, words: Sequence[str], named: Sequence[str]) -> str:
    if len(named) < 2 or len(words) < 2 or words[1] != named[1]:
        return words[1] if len(words) > 1 else program
    if tuple(words[:2]) in _RUNNERS:
        same = len(named) > 2 and list(words[2:3]) == list(named[2:3]) and _nested(words)
        return uncovered(words[2:], named[2:]) if same else words[1]
    if words[1] not in known.pinned and "*" not in known.pinned:
        return words[1]
    accepted = known.pinned.get(words[1], known.pinned.get("*"))
    fixed = set(named[1:])
    for word in words[2:]:
        if word == "--" and (known.until_dashes or program in ("yarn", "pnpm", "bun")):
            return ""
        if word in fixed:
            continue
        if accepted is not None and not accepted.fullmatch(word):
            return word
        if _refused(known, word):
            return word
    return ""


def _uncovered_words(known: Program, words: Sequence[str], fixed: set[str]) -> str:
    begun = bool(words) and words[0] in fixed
    if known.first is not None and not begun:
        # Every word up to and including the subcommand must be one that is known.
        for word in words:
            if not known.first.fullmatch(word):
                return word
            if not word.startswith(("-", "+")):
                break
    for index, (word, part) in enumerate(_parts(known, words)):
        if part == "end" and known.until_dashes:
            return ""
        if word in fixed or word in ("-", "/dev/null") or part == "end":
            continue
        if part == "value":  # of an option that takes a text; what reads a file by `@`, or writes one, is none
            if known.accept is not None and ("@" in word or "%output" in word or word.startswith("-")):
                return word
            continue
        if word in ("-o", "--output") and tuple(words[index + 1 : index + 2]) == ("/dev/null",):
            continue
        if known.accept is not None:
            if not known.accept.fullmatch(word):
                return word
        elif _refused(known, word) if part == "option" else known.refuse and known.refuse.fullmatch(word):
            return word
    return ""


def _parts(known: Program, words: Sequence[str]) -> list[tuple[str, str]]:
    """Each word as `option`, `value` (of an option that takes a text), `operand`, or `end` for the first `--`."""
    found: list[tuple[str, str]] = []
    takes, ended = False, False
    for word in words:
        if takes:
            found.append((word, "value"))
            takes = False
        elif ended or not word.startswith("-") or word == "-":
            found.append((word, "operand"))
        elif word == "--":
            found.append((word, "end"))
            ended = True
        else:
            found.append((word, "option"))
            takes = word in known.text or _bundle_takes(known, word)
    return found


def _bundle_takes(known: Program, word: str) -> bool:
    """Whether a bundle such as `-sH` ends in a letter that takes the next word as its text."""
    if word.startswith("--") or len(word) < 3 or not word[1:].isalpha():
        return False
    letters = [f"-{letter}" in known.text for letter in word[1:]]
    # A letter before the last that takes a value has the rest of the word as its value.
    return letters[-1] and not any(letters[:-1]) and not known.words_are_options


def _refused(known: Program, word: str) -> bool:
    if known.refuse is not None and known.refuse.fullmatch(word):
        return True
    if known.until_dashes or (word.startswith("--") and len(word) > 2):
        # npm takes any number of dashes; everybody takes abbreviations.
        name = "--" + word.partition("=")[0].lstrip("-")
        if name in known.text:
            return False
        if word.startswith("-") and len(name) > 3 and any(option.startswith(name) for option in known.refuse_long):
            return True
        if word.startswith("--"):
            return False
    if word.startswith("-") and known.refuse_short:
        for letter in word[1:]:
            if letter in known.refuse_short:
                return True
            if f"-{letter}" in known.text or not letter.isalnum():
                return False  # the rest is its value
    return False


def only_reads(words: Sequence[str]) -> bool:
    """Whether a command reads and does nothing else, so that it needs no rule inside of the workspace."""
    program = words[0]
    if program == "git":
        return git.only_reads(words)
    if program == "command":
        return len(words) == 3 and words[1] in ("-v", "-V")
    known = programs().get(program)
    if known is None or not known.reads:
        return False
    operands = 0
    for word, part in _parts(known, words[1:]):
        if part in ("value", "end"):
            continue
        if part == "operand":
            operands += 1
            if known.operand_refused is not None and known.operand_refused.fullmatch(word):
                return False
            continue
        if _refused(known, word) or (known.reads_with is not None and not known.reads_with.fullmatch(word)):
            return False
    if program == "date" and any(not word.startswith(("+", "-")) for word in _values_apart(known, words[1:])):
        return False
    return known.operands is None or operands <= known.operands


def _values_apart(known: Program, words: Sequence[str]) -> list[str]:
    return [word for before, word in zip(("", *words), words, strict=False) if before not in ("-d", "--date")]


def follows_links(program: str, words: Sequence[str]) -> bool:
    """Whether a program that is given a folder reads what the links in it point to."""
    known = programs().get(program)
    return known is not None and known.follows and "--no-dereference" not in words


def counts_operands(program: str) -> bool:
    """Whether a program reads only up to a number of files, so that a shell pattern may stand for too many."""
    known = programs().get(program)
    return known is not None and known.operands is not None


def is_reader(program: str) -> bool:
    """Whether a program can be one that only reads."""
    known = programs().get(program)
    return known is not None and known.reads


def texts_among(words: Sequence[str]) -> frozenset[int]:
    """The positions of words that are texts (patterns, messages, formats), not paths."""
    program = program_name(words[0])
    if program == "git":
        return git.texts_among(words)
    known = programs().get(program, _UNKNOWN)
    if known.no_paths:
        return frozenset(range(1, len(words)))
    found: set[int] = set()
    first = known.text_first and not any(_gives_pattern(known, word) for word in words[1:])
    for index, (word, part) in enumerate(_parts(known, words[1:]), 1):
        if part == "value":
            found.add(index)
        elif part == "option":
            name = word.partition("=")[0]
            attached = len(word) > 2 and word[1] != "-" and word[:2] in known.text
            if (name in known.text and "=" in word) or attached:
                found.add(index)
        elif part == "operand" and first:
            found.add(index)
            first = False
    return frozenset(found)


def _gives_pattern(known: Program, word: str) -> bool:
    """Whether an option gives the pattern, so that the first operand is a file: `-e`, `-ne x`, `--regex=x`, `-f`."""
    if word.startswith("--"):
        name = word.partition("=")[0]
        return len(name) > 2 and any(option.startswith(name) for option in ("--regexp", "--file", "--files"))
    return word.startswith("-") and any(letter in word for letter in "ef")
