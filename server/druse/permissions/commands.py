"""Decisions on shell commands.

A deny or an ask looks through everything: wrappers, other spellings of a path to a program, shells in shells,
substitutions. An allow looks at what stands there plainly, and only where nothing else can happen beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from druse.permissions.paths import Place, credential, inside, is_own, place_of, protection
from druse.permissions.policy import Policy
from druse.permissions.programs import GIT_READS, HARMLESS, READERS, uncovered
from druse.permissions.rules import Rule
from druse.permissions.shell import Command, Script, Word, program_of, read_command, unwrapped

_WRITERS = frozenset(
    (
        *("rm", "mv", "cp", "touch", "mkdir", "rmdir", "tee", "ln", "chmod", "chown", "chgrp", "truncate", "dd"),
        *("install", "rsync", "sed", "patch", "shred", "unlink", "mkfifo", "split", "sort", "tar", "unzip", "git"),
    )
)
_PLAIN_WRAPPERS = frozenset(("nohup", "time", "command"))


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies to a command, or the reason why no allow does."""

    rule: Rule | None
    why: str


def forbidding(rules: Sequence[Rule], text: str, policy: Policy) -> Finding | None:
    """The first of these deny (or ask) rules that any part of the command falls under."""
    script = read_command(text)
    reached = [inner for command in script.commands for inner in unwrapped(command)]
    for rule in rules:
        if rule.tool == "Bash" or (rule.tool == "*" and rule.bare):
            if rule.bare:
                return Finding(rule, "every command")
            for command in reached:
                if rule.words is not None and any(rule.words.matches(form) for form in _spellings(command)):
                    return Finding(rule, f"it runs {' '.join(command.texts)[:80]!r}")
        elif rule.path is not None:
            finding = _forbidden_path(rule, script, reached, policy)
            if finding:
                return finding
    return None


def _spellings(command: Command) -> Iterable[tuple[str, ...]]:
    """The words as they stand, and with the program named without its folder, in lower case too."""
    texts = command.texts
    if not texts:
        return
    yield texts
    program = program_of(texts[0])
    for name in {program, program.casefold()} - {texts[0]}:
        yield (name, *texts[1:])


def _forbidden_path(rule: Rule, script: Script, reached: Sequence[Command], policy: Policy) -> Finding | None:
    assert rule.path is not None
    reads = rule.tool in ("Read", "Grep")
    for command in reached:
        for redirect in command.redirects:
            if redirect.writes is not reads and _touched(rule, redirect.target, policy):
                return Finding(rule, f"it redirects {'from' if reads else 'to'} {redirect.target.text!r}")
        if not command.words:
            continue
        program = program_of(command.words[0].text)
        if program in HARMLESS or (not reads and program in READERS):
            continue
        for word in command.words[1:]:
            if any(_touched(rule, Word(part), policy) for part in _path_parts(word)):
                return Finding(rule, f"{program} names {word.text[:80]!r}")
    return None


def _touched(rule: Rule, word: Word, policy: Policy) -> bool:
    assert rule.path is not None
    place = place_of(word.text, policy.workspace, policy.home)
    if rule.path.touches(place):
        return True
    # A glob may expand to a forbidden name; a folder may hold one.
    if any(letter in word.text for letter in "*?["):
        return _may_expand_to(word.text, rule.path.text)
    return False


def _may_expand_to(glob: str, pattern: str) -> bool:
    """Whether a shell glob and a path pattern could name the same file, judged by their last parts."""
    last, wanted = glob.rsplit("/", 1)[-1], pattern.rsplit("/", 1)[-1]
    if wanted in ("**", "*", ""):
        folder = pattern.rstrip("*/").rsplit("/", 1)[-1]
        return bool(folder) and folder in glob
    if last.startswith(("*", "?")) and wanted.startswith("."):
        return False  # globs leave hidden files out
    expression = ".*".join(re.escape(part) for part in re.split(r"[*?]|\[[^\]]*\]", last))
    return re.fullmatch(expression, wanted.replace("*", "x")) is not None


def _path_parts(word: Word) -> list[str]:
    """What in a word may be a path: the word, the value of `--option=`, what hangs on `-o`, after `@` or `file:`."""
    text = word.text
    parts = [text]
    if "=" in text:
        parts.append(text.split("=", 1)[1])
    attached = re.fullmatch(r"-[A-Za-z](.+)", text, re.DOTALL)
    if attached:
        parts.append(attached[1])
    if text.startswith("@"):
        parts.append(text[1:])
    if text.startswith("file:"):
        parts.append(re.sub(r"^file:(?://)?", "", text))
    if ":" in text and "://" not in text:
        parts.extend(text.split(":"))
    return parts


# What a rule for every command does not mind: the parts are known, only not their values.
_RUNNABLE = frozenset(
    (
        *("it holds a subshell", "it holds a brace group", "it holds a command substitution"),
        *("it holds a process substitution", "it holds a function definition", "it holds an arithmetic loop"),
        "it sets a shell variable",
    )
)


def permitting(rules: Sequence[Rule], text: str, policy: Policy) -> Finding:
    """The rule that allows the whole command (its last part's), or why none does."""
    script = read_command(text)
    everything = next((rule for rule in rules if rule.tool == "Bash" and rule.bare), None)
    if everything is not None:
        blocked = [reason for reason in script.obstacles if reason not in _RUNNABLE]
        stop = blocked[0] if blocked else _shielded(script, policy)
        return Finding(None, stop) if stop else Finding(everything, "every command")
    if script.obstacles:
        return Finding(None, f"{script.obstacles[0]}, so it cannot be checked before it runs")
    if not script.visible:
        return Finding(None, "it runs no command that could be checked")
    last: Finding = Finding(None, "no rule allows it")
    for command in script.visible:
        last = _permitted(rules, command, policy)
        if last.rule is None and last.why:
            return last
    return last if last.rule is not None else Finding(_READER, "it only reads in the workspace")


_READER = Rule("(reads)", "built in", "Bash", readonly=True)


def _permitted(rules: Sequence[Rule], command: Command, policy: Policy) -> Finding:
    shown = " ".join(command.texts)[:80]
    if command.assignments:
        return Finding(None, f"{shown!r} sets environment variables")
    for redirect in command.redirects:
        if redirect.writes:
            return Finding(None, f"{shown!r} writes to {redirect.target.text!r}")
    if not command.words:
        return Finding(None, "it redirects a group of commands")
    inner = _stripped(command)
    if not inner.words or not inner.words[0].literal or inner.words[0].glob:
        return Finding(None, "the program is known only when it runs")
    outside = _outside(inner, policy)
    for rule in rules:
        if rule.tool != "Bash" or rule.words is None:
            continue
        if not any(rule.words.matches(form.texts) for form in (command, inner)):
            continue
        finding = _covered(rule, inner, outside, policy)
        if finding.rule is not None:
            return finding
        return finding
    if not outside and _only_reads(inner) and not _shielded_command(inner, policy, reading=True):
        return Finding(_READER, "it only reads in the workspace")
    return Finding(None, f"no rule allows {shown!r}" + (f" ({outside})" if outside and _only_reads(inner) else ""))


def _covered(rule: Rule, command: Command, outside: str, policy: Policy) -> Finding:
    """Whether a rule whose words match also covers the options, paths and expansions."""
    assert rule.words is not None
    shown = " ".join(command.texts)[:80]
    if not rule.words.wildcard:
        return Finding(rule, "")
    named = [word for word in rule.words.words if "*" not in word]
    if rule.words.words[0] in ("*",) and (rule.words.tail or len(command.words) != len(rule.words.words)):
        return Finding(None, f"{shown!r} fits {rule.text} only because its program is a wildcard")
    option = uncovered(command.texts, named)
    if option:
        return Finding(None, f"the option {option!r} reaches further than {rule.text}; a rule must name it")
    dynamic = next((word for word in command.words if not word.literal), None)
    if dynamic is not None:
        return Finding(None, f"{dynamic.text!r} is known only when it runs")
    shield = _shielded_command(command, policy, reading=program_of(command.words[0].text) not in _WRITERS)
    if shield:
        return Finding(None, shield)
    if outside and not _names_outside(rule, command, policy):
        return Finding(None, outside)
    return Finding(rule, "")


def _names_outside(rule: Rule, command: Command, policy: Policy) -> bool:
    """Whether the rule itself names the outside paths, for example `Bash(chmod:~/.tool/**)` or `Bash(cat //etc/*)`."""
    assert rule.words is not None
    fixed = [word for word in rule.words.words[1:] if "/" in word or word.startswith("~")]
    for word in command.words[1:]:
        for place in _outside_places(word, policy):
            if not any(_under(place, pattern, policy) for pattern in fixed):
                return False
    return True


def _under(place: Place, pattern: str, policy: Policy) -> bool:
    base = place_of(pattern.rstrip("*").rstrip("/") or "/", policy.workspace, policy.home)
    return all(
        form == base.resolved or form.startswith(base.resolved + "/") for form in (place.written, place.resolved)
    )


def _stripped(command: Command) -> Command:
    """The command behind `timeout 5`, `nice`, `nohup`, `time` and `command`, which an allow may look through."""
    words = command.words
    for _ in range(4):
        if not words:
            break
        name = words[0].text
        if name in _PLAIN_WRAPPERS and len(words) > 1 and not words[1].text.startswith("-"):
            words = words[1:]
        elif name == "timeout" and len(words) > 2 and re.fullmatch(r"\d+(?:\.\d+)?[smhd]?", words[1].text):
            words = words[2:]
        elif name == "nice" and len(words) > 3 and words[1].text == "-n" and re.fullmatch(r"-?\d+", words[2].text):
            words = words[3:]
        elif name == "nice" and len(words) > 1 and not words[1].text.startswith("-"):
            words = words[1:]
        else:
            break
    return Command(words, command.assignments, command.redirects)


def _outside_places(word: Word, policy: Policy) -> list[Place]:
    places: list[Place] = []
    for part in _path_parts(word):
        if not part or part in ("-", "--", "/dev/null") or "://" in part:
            continue
        pathlike = part.startswith(("/", "~")) or ".." in part.split("/")
        place = place_of(part, policy.workspace, policy.home)
        # A name without a slash may still be a link that leads out.
        if (pathlike or place.written != place.resolved) and not inside(place, policy.workspace):
            places.append(place)
    return places


def _outside(command: Command, policy: Policy) -> str:
    if program_of(command.words[0].text) in HARMLESS:
        return ""
    for word in command.words[1:]:
        if _outside_places(word, policy):
            return f"{word.text[:80]!r} is outside the workspace"
    return ""


def _only_reads(command: Command) -> bool:
    words = command.texts
    if not all(word.literal for word in command.words):
        return False
    program = words[0]
    if program == "git":
        return len(words) > 1 and words[1] in GIT_READS and not uncovered(words, ())
    if program not in READERS or uncovered(words, ()):
        return False
    if program == "hostname" or program == "date":
        return len(words) == 1 or words[1].startswith("+")
    if program in ("sort", "uniq", "tree", "find", "rg", "file", "tr"):
        # `uniq in out` writes; `sort -o` and `find -delete` are uncovered above.
        return program != "uniq" or sum(not word.startswith("-") for word in words[1:]) <= 1
    return True


def _shielded(script: Script, policy: Policy) -> str:
    """What even a rule for every command does not cover: protected paths, and approving oneself."""
    for command in (inner for outer in script.commands for inner in unwrapped(outer)):
        reading = bool(command.words) and program_of(command.words[0].text) in READERS
        found = _shielded_command(command, policy, reading=reading)
        if found:
            return found
    return ""


def _shielded_command(command: Command, policy: Policy, *, reading: bool) -> str:
    for redirect in command.redirects:
        place = place_of(redirect.target.text, policy.workspace, policy.home)
        why = protection(place, policy.workspace, policy.home) if redirect.writes else credential(place, policy.home)
        if why and not redirect.target.text.startswith("/dev/"):
            return f"{redirect.target.text!r} is protected: {why}"
    if not command.words or program_of(command.words[0].text) in HARMLESS:
        return ""
    if self_approval(command):
        return "only a person decides approvals"
    program = program_of(command.words[0].text)
    for word in command.words[1:]:
        for part in _path_parts(word):
            place = place_of(part, policy.workspace, policy.home)
            why = credential(place, policy.home)
            if not why and not reading and program in _WRITERS and program != "git":
                why = protection(place, policy.workspace, policy.home)
            if not why and not reading and is_own(place, policy.workspace):
                why = "Druse decides by it"
            if why:
                return f"{word.text[:80]!r} is protected: {why}"
    return ""


_DECIDING = frozenset(("approvals", "permissions", "trust", "policy", "init", "tools", "crystallize"))


def self_approval(command: Command) -> bool:
    """Whether a command would decide in a person's place: Druse's own approving commands, however they are started."""
    texts = command.texts
    for index, text in enumerate(texts):
        if program_of(text) in ("druse", "druse.exe") or text == "druse":
            rest = texts[index + 1 :]
            if any(word in ("approve", "reject", "trust") for word in rest):
                return True
    return False
