"""Which files the words of a command name, and where: through `cd`, globs, attached options and pathspecs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from druse.commandline import Command, Redirect, Word
from druse.permissions import git
from druse.permissions.expansion import expanded
from druse.permissions.paths import Place, inside, place_of
from druse.permissions.policy import Policy
from druse.permissions.programs import program_name, texts_among
from druse.permissions.shell import Script, read_command

_MAX_WORDS = 200  # of one command whose paths are looked up; more are unknown
_MAX_PARTS = 8
_LEAVES = frozenset(("-", "--", "/dev/null"))


@dataclass(frozen=True, slots=True)
class Operand:
    """One word as the files it names. `unknown`: nobody can say before it runs."""

    word: str
    places: tuple[Place, ...]
    glob: bool = False
    unknown: bool = False
    writable: bool = True  # its program may write where it points

    @property
    def written(self) -> tuple[str, ...]:
        """The absolute forms as written."""
        return tuple(place.written for place in self.places)

    def inside(self, policy: Policy) -> bool:
        """Whether every place lies in the workspace."""
        return all(inside(place, policy.workspace) for place in self.places)

    def secret(self, policy: Policy) -> bool:
        """Whether a place holds keys of Druse, or is its folder as a whole."""
        state = os.path.realpath(policy.workspace / ".druse")
        return any(form == state or form.startswith(f"{state}/keys") for place in self.places for form in place.both)


class Line:
    """One command line under one policy: what it runs and names, each looked up once."""

    def __init__(self, text: str, policy: Policy) -> None:
        self.policy = policy
        self.script = read_command(text)
        self._reached: list[Command] | None = None
        self._operands: dict[int, tuple[Operand, ...]] = {}
        self._held: list[Command] = []  # keeps the commands alive whose identity is a key

    @property
    def reached(self) -> list[Command]:
        """Everything that could be started."""
        if self._reached is None:
            self._reached = self.script.reached
        return self._reached

    def operands(self, command: Command) -> tuple[Operand, ...]:
        """What the words behind the program name."""
        found = self._operands.get(id(command))
        if found is None:
            self._held.append(command)
            found = self._operands[id(command)] = tuple(operands_of(command, self.script, self.policy))
        return found


def operands_of(command: Command, script: Script, policy: Policy) -> Iterator[Operand]:
    """What the words behind the program name. Texts (patterns, messages) are left out."""
    if not command.words:
        return
    program = program_name(command.words[0].text)
    if program == "cd" and len(command.words) == 1:
        yield Operand("cd", (place_of("~", policy.workspace, policy.home),))
        return
    texts = texts_among(command.texts)
    folders = folders_of(command, script, policy) if len(command.words) <= _MAX_WORDS else None
    in_git = program == "git"
    writable = not in_git or _git_writes(command)
    for index, word in enumerate(command.words[1 : _MAX_WORDS + 2], 1):
        if index in texts and not (word.glob and "/" in word.text):
            continue
        for part in _path_parts(word, in_git=in_git):
            operand = _operand(word, part, folders, policy, writable=writable, always=not in_git)
            if operand is not None:
                yield operand


def redirect_operands(redirect: Redirect, script: Script, policy: Policy) -> Iterator[Operand]:
    """What the target of a redirection names."""
    target = redirect.target
    if not target.literal or re.match(r"/dev/(?:tcp|udp)/", os.path.normpath(target.text)):
        yield Operand(target.text, (), unknown=True)
        return
    folders = _all_folders(script, policy)
    if folders is None:
        yield Operand(target.text, (), glob=target.glob, unknown=True)
        return
    yield _found(target, target.text, folders, policy, writable=True)


def _operand(
    word: Word, part: str, folders: list[Path] | None, policy: Policy, *, writable: bool, always: bool
) -> Operand | None:
    if not part or part in _LEAVES or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", part):
        return None
    if folders is None:
        return Operand(word.text, (), glob=word.glob, unknown=True)
    operand = _found(word, part, folders, policy, writable=writable)
    places = operand.places
    pathlike = part.startswith(("/", "~")) or ".." in part.split("/")
    # A word without a slash that is no file of that name is a plain word, such as a branch.
    if not always and not pathlike and not any(os.path.lexists(place.written) for place in places) and not writable:
        return None
    return operand


def _found(word: Word, part: str, folders: list[Path], policy: Policy, *, writable: bool) -> Operand:
    """The places of a word in each folder, a shell pattern expanded; unknown where that would take too long."""
    places = [place_of(part, policy.workspace, policy.home, folder) for folder in folders]
    unknown = False
    if word.glob:
        try:
            for folder in folders:
                paths = expanded(part, folder, policy)
                places += [place_of(path, policy.workspace, policy.home, folder) for path in paths]
        except OverflowError:
            unknown = True
    return Operand(word.text, tuple(places), glob=word.glob, unknown=unknown, writable=writable)


def folders_of(command: Command, script: Script, policy: Policy) -> list[Path] | None:
    """Every folder the command may run in: where nothing proves it, `cd` before it may have failed. None: unknown."""
    walk = _Walk(policy, script)
    for other in script.visible:
        walk.reach(other)
        # A wrapper's inner command shares its last word with the whole.
        if other is command or (command.words and other.words and other.words[-1] is command.words[-1]):
            return walk.here
        walk.run(other)
    return _all_folders(script, policy)


def _all_folders(script: Script, policy: Policy) -> list[Path] | None:
    walk = _Walk(policy, script)
    for command in (*script.visible, *script.hidden):
        walk.run(command)
    return None if walk.lost else walk.possible


class _Walk:
    """Where a line of commands stands. `here` is None where nobody can say."""

    def __init__(self, policy: Policy, script: Script) -> None:
        self._policy = policy
        self.possible = [policy.workspace]
        self.here: list[Path] | None = self.possible
        self.lost = False
        # Only a chain of `&&` and `;` proves that what stands before it went well; a loop may go on and on.
        self._proves = not script.ordered and all(part.joined in ("", "&&", ";") for part in script.visible)
        self._loops = script.ordered

    def reach(self, command: Command) -> None:
        """Come to the next command."""
        if command.joined != "&&" or not self._proves:
            self.here = None if self.lost else self.possible

    def run(self, command: Command) -> None:
        """Follow a `cd`, also behind words that leave it what it is."""
        words = list(command.words)
        while words and words[0].text in ("command", "builtin", "time", "-p", "--"):
            words.pop(0)
        if not words or program_name(words[0].text) not in ("cd", "pushd", "popd", "chdir"):
            return
        targets = [word for word in words[1:] if not word.text.startswith("-") or word.text == "-"]
        options = any(word.text.startswith("-") for word in words[1:])
        unclear = any(not word.literal or word.glob for word in targets) or words[0].text == "popd"
        if self.here is None or len(targets) > 1 or unclear or options or self._loops or len(self.possible) > 12:
            self.here, self.lost = None, True
            return
        text = targets[0].text if targets else "~"
        policy = self._policy
        self.here = [Path(place_of(text, policy.workspace, policy.home, folder).written) for folder in self.here]
        self.possible = list(dict.fromkeys([*self.possible, *self.here]))


def _git_writes(command: Command) -> bool:
    texts = command.texts
    at = git.subcommand_at(texts)
    return at < len(texts) and texts[at] in git.WRITES_FILES


def _path_parts(word: Word, *, in_git: bool) -> list[str]:
    """What in a word may be a path: the word, the value of `--option=`, what hangs on `-xyz`, after `@` or `file:`."""
    text = git.without_magic(word.text) if in_git else word.text
    if not text.startswith("-") or text == "-":
        parts = [text]
    elif text.startswith("--"):
        parts = []
    else:
        # Of a bundle such as -sLo/tmp/x each rest may be the value of the letter before it.
        parts = [text[start:] for start in range(2, min(len(text), 8)) if text[1:start].isalnum()]
    if "=" in text:
        parts.append(text.split("=", 1)[1])
    if text.startswith("@"):
        parts.append(text[1:])
    if text.casefold().startswith("file:"):
        parts.append(re.sub(r"^file:(?://(?:localhost)?)?", "", text, flags=re.IGNORECASE))
    if ":" in text and "://" not in text and not in_git:
        parts.extend(text.split(":", _MAX_PARTS)[:_MAX_PARTS])
        if text.count(":") >= _MAX_PARTS:
            parts.append("/")  # nobody names so many paths in one word
    return parts
