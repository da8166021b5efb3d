"""Decisions on shell commands.

A deny or an ask looks through everything: wrappers, other spellings of a path to a program, shells in shells,
substitutions. An allow looks at what stands there plainly, and only where nothing else can happen beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from druse.commandline import Command, Word
from druse.permissions.expansion import may_be
from druse.permissions.operands import Line, Operand, folders_of, redirect_operands
from druse.permissions.paths import (
    PROTECTED_PARTS,
    STARTUP,
    PathPattern,
    credential,
    folded,
    inside,
    is_own,
    place_of,
    protection,
)
from druse.permissions.policy import Policy
from druse.permissions.programs import (
    HARMLESS,
    counts_operands,
    executes,
    follows_links,
    is_reader,
    only_reads,
    uncovered,
)
from druse.permissions.rulebook import RuleBook
from druse.permissions.rules import Rule
from druse.permissions.shell import program_of

_PLAIN_WRAPPERS = frozenset(("nohup", "time", "command"))
_READING_RULES = frozenset(("Read", "Grep", "Glob", "LS", "NotebookRead"))
_RECURSIVE = frozenset(("grep", "egrep", "fgrep", "rg", "ag", "ack", "tar", "zip", "cp", "rsync", "diff", "scp", "git"))


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies to a command, or the reason why no allow does."""

    rule: Rule | None
    why: str


# deny and ask


def forbidding(rules: RuleBook, line: Line) -> Finding | None:
    """The first of these deny (or ask) rules that any part of the command falls under."""
    if rules.every_command is not None:
        return Finding(rules.every_command, "every command")
    for command in line.reached:
        for form in _spellings(command):
            for rule in rules.of_words(form):
                if rule.words is not None and rule.words.matches(form):
                    return Finding(rule, f"it runs {' '.join(command.texts)[:80]!r}")
        found = _named_by_glob(rules, command)
        if found is not None:
            return found
    return _forbidden_path(rules, line) if rules.on_paths else None


def _spellings(command: Command) -> Iterable[tuple[str, ...]]:
    """The words as they stand, with the program named plainly, and without options before a subcommand."""
    texts = command.texts
    if not texts:
        return
    yield texts
    program = program_of(texts[0])
    plain = {program, program.casefold(), program.casefold().removesuffix(".exe")} - {""}
    for name in plain - {texts[0]}:
        yield (name, *texts[1:])
    if len(texts) > 2 and texts[1].startswith(("-", "+")):
        # Options before the subcommand may take values: each later word may be it.
        for start in range(2, min(len(texts), 12)):
            for name in plain:
                yield (name, *texts[start:])


def _named_by_glob(rules: RuleBook, command: Command) -> Finding | None:
    """A program that a shell pattern could name: `/bin/[r]m`."""
    if not command.words or not command.words[0].glob:
        return None
    pattern = program_of(command.words[0].text)
    for rule in rules.on_words:
        assert rule.words is not None
        first = rule.words.words[0] if rule.words.words else ""
        if may_be(program_of(first), pattern) and rule.words.matches((first, *command.texts[1:])):
            return Finding(rule, f"{command.words[0].text[:80]!r} may name it")
    return None


def _forbidden_path(rules: RuleBook, line: Line) -> Finding | None:
    for command in line.reached:
        for redirect in command.redirects:
            for operand in redirect_operands(redirect, line.script, line.policy):
                for rule in _touching(rules, operand):
                    reads = rule.tool in _READING_RULES
                    if redirect.writes is not reads:
                        what = "from" if reads else "to"
                        return Finding(rule, f"it redirects {what} {redirect.target.text!r}")
        if not command.words:
            continue
        program = program_of(command.words[0].text)
        reader = is_reader(program)
        for operand in line.operands(command):
            for rule in _touching(rules, operand):
                if rule.tool in _READING_RULES or not reader or not only_reads((program, *command.texts[1:])):
                    return Finding(rule, f"{program} names {operand.word[:80]!r}")
            found = _read_within(rules, program, command, operand)
            if found is not None:
                return found
    return None


def _touching(rules: RuleBook, operand: Operand) -> Iterable[Rule]:
    for place in operand.places:
        yield from (rule for rule in rules.near(place) if rule.path is not None and rule.path.touches(place))
    if operand.glob:
        for rule in rules:
            if rule.path is not None and _may_expand_to(operand, rule.path):
                yield rule


def _may_expand_to(operand: Operand, pattern: PathPattern) -> bool:
    """Whether a shell glob and a path pattern could name the same file, segment by segment."""
    for written in operand.written:
        glob = [part for part in written.split("/") if part]
        lead = [part for part in pattern.lead.split("/") if part]
        fits = all(may_be(name, part) for name, part in zip(lead, glob, strict=False))
        if pattern.anchored:
            if fits and len(glob) >= len(lead):
                return True
        elif fits and glob and may_be(pattern.last.replace("*", "x"), glob[-1]):
            return True
    return False


def _read_within(rules: RuleBook, program: str, command: Command, operand: Operand) -> Finding | None:
    """A program that reads a whole folder in which a forbidden file lies."""
    recursive = program in _RECURSIVE and any(_goes_down(word) for word in command.texts[1:])
    if not recursive and program not in ("rg", "ag", "ack", "tar", "zip", "rsync"):
        return None
    for place in operand.places:
        for rule in rules.below(place):
            assert rule.path is not None
            if rule.tool not in _READING_RULES:
                continue
            hidden = program in ("rg", "ag") and rule.path.last.startswith(".") and "-u" not in command.texts
            if not hidden and (rule.path.anchored or rule.path.lead == place.resolved):
                return Finding(rule, f"{program} reads everything in {operand.word[:80]!r}")
    return None


def _goes_down(word: str) -> bool:
    if word.startswith("--"):
        return word.startswith("--recursive")
    return word.startswith("-") and not set("rRa").isdisjoint(word)


# allow

# What a rule for every command does not mind: the parts are known, only not their values.
_RUNNABLE = frozenset(
    (
        *("it holds a subshell", "it holds a brace group", "it holds a command substitution", "it holds arithmetic"),
        *("it holds a process substitution", "it holds a function definition", "it holds an arithmetic loop"),
        *("it sets a shell variable", "it holds a here-document", "it holds a compound command"),
        *("it holds an expansion with an operator", "it holds a translated text", "it holds a case"),
    )
)


def permitting(rules: RuleBook, line: Line) -> Finding:
    """The rule that allows the whole command (its last part's), or why none does."""
    script = line.script
    if rules.every_command is not None:
        return _everything(rules.every_command, line)
    if script.obstacles:
        return Finding(None, f"{script.obstacles[0]}, so it cannot be checked before it runs")
    if not script.visible:
        return Finding(None, "it runs no command that could be checked")
    last: Finding = Finding(None, "no rule allows it")
    for command in script.visible:
        last = _permitted(rules, command, line)
        if last.rule is None:
            return last
    return last


def _everything(rule: Rule, line: Line) -> Finding:
    """A rule for every command: not for protected files, nor for what a deny could not be checked against."""
    script, policy = line.script, line.policy
    blocked = [reason for reason in script.obstacles if reason not in _RUNNABLE]
    stop = blocked[0] if blocked else _shielded(line)
    if stop:
        return Finding(None, stop)
    if policy.deny.names_commands or policy.ask.names_commands:
        hidden = next((c for c in script.commands if c.words and not _known_program(c)), None)
        if hidden is not None:
            return Finding(
                None, f"{hidden.words[0].text[:80]!r} is known only when it runs, and some commands are denied"
            )
    if policy.deny.on_paths or policy.ask.on_paths:
        for command in script.commands:
            dynamic = next((word for word in command.words[1:] if not word.literal), None)
            if dynamic is not None and program_of(command.words[0].text) not in HARMLESS:
                return Finding(None, f"{dynamic.text[:80]!r} is known only when it runs, and some paths are denied")
    return Finding(rule, "every command")


def _known_program(command: Command) -> bool:
    first = command.words[0]
    return first.literal and not first.glob and program_of(first.text) not in ("eval", "source", ".")


READER = Rule("(reads)", "built in", "Bash", readonly=True)


def _permitted(rules: RuleBook, command: Command, line: Line) -> Finding:
    policy = line.policy
    shown = " ".join(command.texts)[:80]
    if command.assignments:
        return Finding(None, f"{shown!r} sets environment variables")
    for redirect in command.redirects:
        if redirect.writes:
            return Finding(None, f"{shown!r} writes to {redirect.target.text!r}")
        for operand in redirect_operands(redirect, line.script, line.policy):
            if operand.unknown or not operand.inside(policy):
                return Finding(None, f"{shown!r} reads from {redirect.target.text!r}, which is outside the workspace")
            problem = next((why for place in operand.places if (why := credential(place, policy.home))), "")
            if problem:
                return Finding(None, f"{redirect.target.text!r} is protected: {problem}")
    if not command.words:
        return Finding(None, "it redirects a group of commands")
    inner = _stripped(command)
    if (
        not inner.words
        or not inner.words[0].literal
        or (inner.words[0].glob and inner.words[0].text != "[")
        or not inner.words[0].text
    ):
        return Finding(None, "the program is known only when it runs")
    operands = line.operands(inner)
    outside = _outside(inner, operands, policy)
    why = ""
    for form in (inner,) if inner is command else (inner, command):
        for rule in rules.of_words(form.texts):
            if rule.words is not None and rule.words.matches(form.texts, allows=True):
                finding = _covered(rule, inner, line, outside)
                if finding.rule is not None:
                    return finding
                why = why or finding.why
    told = program_of(inner.words[0].text) in ("echo", "printf")
    known = all(word.literal or (told and _plain_number(word)) for word in inner.words)
    many = any(word.glob for word in inner.words) and counts_operands(inner.words[0].text)
    reads = known and not many and only_reads(inner.texts)
    if reads and program_of(inner.words[0].text) == "git" and _moved(inner, line):
        reads, why = False, why or "git obeys what is configured in the folder it runs in; `cd` before it changes that"
    if reads and follows_links(program_of(inner.words[0].text), inner.texts) and _names_a_folder(line.operands(inner)):
        reads, why = False, why or "it follows the links in a folder; write --no-dereference, or name files"
    if reads and not outside and not _shielded_command(inner, line, reading=True):
        return Finding(READER, "it only reads in the workspace")
    return Finding(None, why or f"no rule allows {shown!r}" + (f" ({outside})" if outside and reads else ""))


def _names_a_folder(operands: Sequence[Operand]) -> bool:
    return any(os.path.isdir(written) for operand in operands for written in operand.written)  # noqa: PTH112


def _covered(rule: Rule, command: Command, line: Line, outside: str) -> Finding:
    """Whether a rule whose words match also covers the options, paths and expansions."""
    assert rule.words is not None
    shown = " ".join(command.texts)[:80]
    if not rule.words.wildcard:
        return Finding(rule, "")
    named = [word for word in rule.words.words if "*" not in word]
    program = command.words[0].text
    first = rule.words.words[0]
    if first == "*" and (rule.words.tail or len(command.words) != len(rule.words.words)):
        return Finding(None, f"{shown!r} fits {rule.text} only because its program is a wildcard")
    if "*" in first and "/" in program and "/" not in first:
        return Finding(None, f"{program!r} is a file, and {rule.text} names programs")
    if first == "*" and not rule.words.tail and not any("*" in word for word in rule.words.words[1:]):
        return Finding(None, outside) if outside else Finding(rule, "")
    if "*" in first and (executes(program_of(program)) or ".." in program.split("/")):
        return Finding(None, f"{program!r} fits {rule.text} only because its program is a wildcard")
    if program_of(program) == "git" and _moved(command, line):
        return Finding(None, "git obeys what is configured in the folder it runs in; `cd` before it changes that")
    option = uncovered(command.texts, named)
    if option:
        return Finding(None, f"{option!r} reaches further than {rule.text}; a rule must name it")
    dynamic = next((word for word in command.words if not word.literal), None)
    if dynamic is not None and not _only_told(command):
        return Finding(None, f"{dynamic.text!r} is known only when it runs")
    shield = _shielded_command(command, line, reading=only_reads(command.texts))
    if shield:
        return Finding(None, shield)
    if outside and not _names_outside(rule, line.operands(command), line.policy):
        return Finding(None, outside)
    return Finding(rule, "")


def _plain_number(word: Word) -> bool:
    """`$?`, `$$`, `$#` and `$!` are numbers, whatever they are."""
    return re.fullmatch(r"[^$]*(?:\$[?$#!][^$]*)+", word.text) is not None


def _moved(command: Command, line: Line) -> bool:
    """Whether the command may run anywhere but in the workspace's own folder."""
    return folders_of(command, line.script, line.policy) != [line.policy.workspace]


def _only_told(command: Command) -> bool:
    """`echo "$HOME"` only tells; a variable in it changes nothing."""
    return program_of(command.words[0].text) == "echo"


def _names_outside(rule: Rule, operands: Sequence[Operand], policy: Policy) -> bool:
    """Whether the rule itself names the outside paths, for example `Bash(chmod:~/.tool/**)` or `Bash(cat //etc/*)`."""
    assert rule.words is not None
    fixed = [word for word in rule.words.words[1:] if "/" in word or word.startswith("~")]
    bases = [place_of(word.rstrip("*").rstrip("/") or "/", policy.workspace, policy.home).resolved for word in fixed]
    for operand in operands:
        for place in operand.places:
            if inside(place, policy.workspace):
                continue
            if not any(all(f == base or f.startswith(base + "/") for f in place.both) for base in bases):
                return False
        if operand.unknown:
            return False
    return True


def _stripped(command: Command) -> Command:
    """The command behind `timeout 5`, `nice`, `nohup`, `time` and `command`, which an allow may look through."""
    words = command.words
    for _ in range(4):
        taken = _wrapper_words(words)
        if not taken:
            break
        words = words[taken:]
    return command if words == command.words else Command(words, command.assignments, command.redirects)


def _wrapper_words(words: Sequence[Word]) -> int:
    """How many words at the front belong to a plain wrapper; 0 if none do."""
    texts = [word.text for word in words]
    if len(texts) < 2 or not all(word.literal for word in words[:1]):
        return 0
    if texts[0] in _PLAIN_WRAPPERS and not texts[1].startswith("-"):
        return 1
    if texts[:2] == ["time", "-p"] and len(texts) > 2:
        return 2
    if texts[0] == "timeout":
        at = 1
        plain = re.compile(r"-k|-s|--preserve-status|--foreground|-v|--(?:kill-after|signal)=\w+")
        while at < len(texts) - 1 and plain.fullmatch(texts[at]):
            at += 2 if texts[at] in ("-k", "-s") else 1
        number = texts[at].rstrip("smhd") if at < len(texts) else ""
        return at + 1 if number.replace(".", "", 1).isdigit() and at + 1 < len(texts) else 0
    if texts[0] == "nice":
        if len(texts) > 3 and texts[1] == "-n" and texts[2].lstrip("-").isdigit():
            return 3
        return 1 if not texts[1].startswith("-") else 0
    return 0


def _outside(command: Command, operands: Sequence[Operand], policy: Policy) -> str:
    """The first word that leads out of the workspace; empty if none does."""
    program = command.words[0]
    if "/" in program.text and ".." in program.text.split("/"):
        return f"{program.text[:80]!r} leads through `..`"
    for operand in operands:
        if operand.unknown or not operand.inside(policy):
            return f"{operand.word[:80]!r} is outside the workspace"
    return ""


def _shielded(line: Line) -> str:
    """What even a rule for every command does not cover: protected paths, and approving oneself."""
    for command in line.reached:
        reading = bool(command.words) and only_reads((program_of(command.words[0].text), *command.texts[1:]))
        found = _shielded_command(command, line, reading=reading)
        if found:
            return found
    return ""


def _shielded_command(command: Command, line: Line, *, reading: bool) -> str:
    policy = line.policy
    for redirect in command.redirects:
        for operand in redirect_operands(redirect, line.script, line.policy):
            for place in operand.places:
                why = credential(place, policy.home)
                if redirect.writes:
                    why = protection(place, policy.workspace, policy.home)
                if why and place.written not in _OUTPUTS:
                    return f"{redirect.target.text!r} is protected: {why}"
    if not command.words:
        return ""
    if self_approval(command):
        return "only a person runs this command of Druse"
    if command.words[0].glob and command.words[0].text != "[":
        return f"{command.words[0].text[:80]!r} is known only when it runs"
    for operand in line.operands(command):
        for place in operand.places:
            why = credential(place, policy.home)
            if not why and not reading and operand.writable:
                why = protection(place, policy.workspace, policy.home)
            if not why and is_own(place, policy.workspace, policy.home) and (not reading or operand.secret(policy)):
                why = "Druse decides by it"
            if why:
                return f"{operand.word[:80]!r} is protected: {why}"
        if operand.glob and not reading and operand.writable and _may_name_protected(operand.word):
            return f"{operand.word[:80]!r} may name a protected file"
    return ""


def _may_name_protected(text: str) -> bool:
    """Whether a part of a shell pattern that spells something out could be a protected name."""
    parts = [part for part in folded(text).split("/") if any(letter in part for letter in "*?[") and part.strip("*?")]
    names = (*PROTECTED_PARTS, *(name for name in STARTUP if name.startswith(".")))
    return any(may_be(name, part) for part in parts for name in names)


_OUTPUTS = frozenset(("/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/null", "/dev/stdin"))


# Commands of Druse that only look. Whoever runs any other one speaks as the person of this account: `druse run` is not
# asked, `druse approvals approve` decides, `druse init` writes rules.
_LOOKING: dict[str, frozenset[str] | None] = {
    "agents": frozenset(("list", "show")),
    "approvals": frozenset(("list", "show")),
    "audit": frozenset(("check", "prove", "roots", "show", "verify")),
    "candidates": None,
    "doctor": None,
    "find": None,
    "permissions": None,
    "plans": frozenset(("list", "show")),
    "policy": frozenset(("", "history", "show")),
    "sandbox": frozenset(("status",)),
    "skills": frozenset(("list", "show", "validate")),
    "stats": None,
    "status": None,
    "tools": frozenset(("diff", "list", "show")),
    "traces": frozenset(("list", "show")),
    "volumes": frozenset(("list", "log", "proposals")),
}
_SPEAKING = frozenset(
    (
        *("accept", "approve", "confirm", "crystallize", "dispatch", "init", "install", "mark", "promote", "reject"),
        *("retire", "rollback", "run", "serve", "trust", "uninstall"),
    )
)


def self_approval(command: Command) -> bool:
    """Whether a command speaks in a person's place: Druse's own commands but those that only look, however started."""
    texts = command.texts
    for index, text in enumerate(texts):
        name = program_of(text).casefold()
        if name != "druse.exe" and not may_be("druse", name):
            continue
        rest = texts[index + 1 :]
        # Further behind, `druse` may be a folder or a word of a sentence.
        program = index == 0 or texts[index - 1] == "-m"
        if any(word in _SPEAKING for word in rest) or (program and _speaks(rest)):
            return True
    return False


def _speaks(rest: Sequence[str]) -> bool:
    named = [word for word in rest if not word.startswith("-")]
    if not named:
        return False  # --help, --version
    if named[0] not in _LOOKING:
        return True
    looking = _LOOKING[named[0]]
    return looking is not None and (named[1] if len(named) > 1 else "") not in looking
