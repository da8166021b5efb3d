"""Which files the words of a command name, and where: through `cd`, globs, attached options and pathspecs."""

from __future__ import annotations

import glob as file_globs
import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from druse.permissions import git
from druse.permissions.paths import Place, inside, place_of
from druse.permissions.policy import Policy
from druse.permissions.programs import program_name, texts_among
from druse.permissions.shell import Script, read_command
from druse.permissions.words import Command, Redirect, Word

_MAX_EXPANDED = 500
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
    folders = folders_of(command, script, policy)
    in_git = program == "git"
    writable = not in_git or _git_writes(command)
    for index, word in enumerate(command.words[1:], 1):
        if index in texts:
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
    places = tuple(_places(target, target.text, _all_folders(script, policy), policy))
    yield Operand(target.text, places, glob=target.glob)


def _operand(
    word: Word, part: str, folders: list[Path] | None, policy: Policy, *, writable: bool, always: bool
) -> Operand | None:
    if not part or part in _LEAVES or re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", part):
        return None
    if folders is None:
        return Operand(word.text, (), glob=word.glob, unknown=True)
    places = tuple(_places(word, part, folders, policy))
    pathlike = part.startswith(("/", "~")) or ".." in part.split("/")
    # A word without a slash that is no file of that name is a plain word, such as a branch.
    if not always and not pathlike and not any(os.path.lexists(place.written) for place in places) and not writable:
        return None
    return Operand(word.text, places, glob=word.glob, writable=writable)


def _places(word: Word, part: str, folders: list[Path], policy: Policy) -> Iterator[Place]:
    for folder in folders:
        yield place_of(part, policy.workspace, policy.home, folder)
        if word.glob:
            text = str(policy.home) + part[1:] if part == "~" or part.startswith("~/") else part
            found = file_globs.iglob(os.path.join(folder, text), include_hidden=False)  # noqa: PTH118, PTH207
            for path in itertools.islice(found, _MAX_EXPANDED):
                yield place_of(path, policy.workspace, policy.home, folder)


def folders_of(command: Command, script: Script, policy: Policy) -> list[Path] | None:
    """Every folder the command may run in: where nothing proves it, `cd` before it may have failed. None: unknown."""
    if command not in script.visible:
        return _all_folders(script, policy)
    walk = _Walk(policy)
    for other in script.visible:
        walk.reach(other)
        if other is command:
            return walk.here
        walk.run(other)
    return None


def _all_folders(script: Script, policy: Policy) -> list[Path]:
    walk = _Walk(policy)
    for command in (*script.visible, *script.hidden):
        walk.run(command)
    return walk.possible


class _Walk:
    """Where a line of commands stands. `here` is None where nobody can say."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.possible = [policy.workspace]
        self.here: list[Path] | None = self.possible
        self._lost = False

    def reach(self, command: Command) -> None:
        """Only `&&` proves that what stands before it went well."""
        if command.joined != "&&":
            self.here = None if self._lost else self.possible

    def run(self, command: Command) -> None:
        """Follow a `cd`."""
        if not command.words or program_name(command.words[0].text) not in ("cd", "pushd", "popd"):
            return
        targets = [word for word in command.words[1:] if not word.text.startswith("-") or word.text == "-"]
        unclear = any(not word.literal or word.glob or word.text == "-" for word in targets)
        if self.here is None or len(targets) > 1 or unclear or command.words[0].text == "popd":
            self.here, self._lost = None, True
            return
        text = targets[0].text if targets else "~"
        policy = self._policy
        self.here = [Path(place_of(text, policy.workspace, policy.home, folder).written) for folder in self.here]
        self.possible = list(dict.fromkeys([*self.possible, *self.here]))[:16]


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
        parts.extend(text.split(":"))
    return parts
