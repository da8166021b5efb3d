"""Steps that ran a command, seen as the words of the command: a shell's text is never cut, it is read.

A `Bash` step becomes a step whose `command` is the list of words, and whose tool says which command it was, `Bash $ git
commit -m _`: only like commands are compared. Commands joined by `&&` become steps of their own; of each it is known
that it ended with exit code 0, not what it wrote. What no tool could run (see `reason_of`) stays one step that ends the
program.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from druse.commandline import Command, NotPlain, plain_commands
from druse.induction.values import Path
from druse.model import Json, Step

TOOL = "Bash"
_PLAIN, _REFUSED = f"{TOOL} $ ", f"{TOOL} ! "
_OPTION = re.compile(r"(--?[A-Za-z0-9][\w.-]*)(=)?", re.ASCII)
_ASSIGNED = re.compile(r"(--[A-Za-z0-9][\w.-]*=)(.*)", re.ASCII | re.DOTALL)

# How many words after the program say what it does.
_SUBCOMMANDS = {
    **dict.fromkeys(
        ("git", "npm", "yarn", "pnpm", "cargo", "go", "pip", "pip3", "poetry", "brew", "apt", "apt-get"), 1
    ),
    **dict.fromkeys(("systemctl", "kubectl", "terraform", "helm", "make", "just", "dotnet", "gradle", "mvn"), 1),
    **dict.fromkeys(("docker", "podman", "gh", "uv", "aws", "gcloud", "az", "npx", "bundle"), 2),
}
# What runs whatever it is given: nothing of it may be a value.
_RUNNERS = frozenset(
    (
        *("sh", "bash", "zsh", "dash", "ksh", "fish", "sudo", "su", "doas", "env", "xargs", "nohup", "time", "timeout"),
        *("nice", "setsid", "ssh", "watch", "parallel", "script", "awk", "gawk", "sed", "find", "command", "busybox"),
    )
)
# What a shell does itself; a program of that name does nothing, or is none.
_BUILTINS = frozenset(
    (
        *("cd", "pushd", "popd", "export", "unset", "set", "source", ".", "eval", "exec", "alias", "umask", "ulimit"),
        *("read", "local", "declare", "typeset", "trap", "wait", "exit", "return", "shift", "jobs", "fg", "bg"),
    )
)
# The word behind these is code, or names what is run.
_CODE = frozenset(
    (
        *("-c", "-e", "-E", "--eval", "--exec", "-exec", "--command", "--config", "--config-env", "--upload-pack"),
        *(
            "--receive-pack",
            "--extcmd",
            "-x",
            "--ext-diff",
            "--exec-path",
            "--rsh",
            "--to-command",
            "--open-files-in-pager",
        ),
    )
)
_MODULE = {"python": "-m", "python3": "-m", "py": "-m"}
_INTERPRETERS = frozenset(("python", "python3", "py", "node", "perl", "ruby", "php", "deno", "bun", "Rscript", "lua"))


def worded(steps: Sequence[Step]) -> list[Step]:
    """The steps with commands as words; what is no command is left as it is."""
    return [part for step in steps for part in _parts(step)]


def command_of(tool: str, arguments: dict[str, Json]) -> tuple[str, dict[str, Json]]:
    """A call as `worded` would show it, where it is one plain command; else the call itself."""
    parts = _parts(Step(tool, arguments))
    return (parts[0].tool, dict(parts[0].arguments)) if len(parts) == 1 else (tool, arguments)


def is_command(tool: str) -> bool:
    """Whether a step's tool is a command seen as words."""
    return tool.startswith(_PLAIN)


def reason_of(tool: str) -> str:
    """Why a step's command cannot be part of a tool; empty where it can."""
    if not tool.startswith(_REFUSED):
        return ""
    why = tool.removeprefix(_REFUSED)
    return f"{TOOL}: {why}; a tool runs plain programs, one a call, without a shell. Make a call for each command"


def tool_of(tool: str) -> str:
    """The tool that is really called."""
    return TOOL if tool.startswith((_PLAIN, _REFUSED)) else tool


def noun_of(tool: str) -> str:
    """What a command is called in a sentence and in names: `git commit`. Other tools: their own name."""
    if not is_command(tool):
        return tool
    words = tool.removeprefix(_PLAIN).split(" ")
    named = [words[0].rpartition("/")[2]]
    for word in words[1:]:
        if not re.fullmatch(r"[A-Za-z][\w.-]*", word, re.ASCII):
            break
        named.append(word)
    if words[0] in _MODULE and words[1:2] == [_MODULE[words[0]]] and len(words) > 2 and words[2] != "_":
        named = [words[2]]
    return " ".join(named)


def shown(tool: str) -> str:
    """A command's shape for people: `git commit -m _`."""
    return tool.removeprefix(_PLAIN) if is_command(tool) else tool


def may_vary(words: Sequence[Json], place: int) -> bool:
    """Whether the word at a place can be a value: not the program, what it is to do, an option, or code."""
    texts = ["".join(map(str, word.items())) if isinstance(word, dict) else str(word) for word in words]
    program = texts[0].rpartition("/")[2]
    word, before = words[place], texts[place - 1] if place else ""
    if place < _fixed(texts) or program in _RUNNERS or before in _CODE:
        return False
    if program in _INTERPRETERS and before != "-" and place == 1:
        return False  # the program to run
    if isinstance(word, dict):
        return next(iter(word)).removesuffix("=") not in _CODE
    return True


def _parts(step: Step) -> list[Step]:
    text = step.arguments.get("command")
    if step.tool != TOOL or not isinstance(text, str):
        return [step]
    others = {name: value for name, value in step.arguments.items() if name not in ("command", "description")}
    try:
        commands = plain_commands(text)
    except NotPlain as reason:
        return [replace(step, tool=f"{_REFUSED}{reason}", arguments={"command": text, **others})]
    why = next((why for why in map(_unfit, commands) if why), "" if commands else "it runs nothing")
    if why:
        return [replace(step, tool=f"{_REFUSED}{why}", arguments={"command": text, **others})]
    made: list[Step] = []
    for command in commands:
        words: list[Json] = [_word(word) for word in command.texts]
        made.append(replace(step, tool=_PLAIN + _shape(command.texts), arguments={"command": words, **others}))
    if len(made) > 1:
        # What the commands wrote cannot be told apart; that each ended well can.
        made = [replace(part, result={"exit_code": 0}, duration_ms=None) for part in made]
    return made


def _unfit(command: Command) -> str:
    """Why a command cannot be run by itself, without a shell."""
    if command.joined not in ("", "&&"):
        return {"|": "it holds a pipe", ";": "it goes on whatever the first command did"}.get(
            command.joined, "it goes on only where the first command failed"
        )
    if command.ordered:
        return "it holds `!` or a condition"
    if command.assignments:
        return "it sets variables"
    if command.redirects:
        return "it redirects"
    if not all(word.literal and not word.glob for word in command.words):
        return "it holds a variable or a wildcard"
    if not command.words:
        return "it runs nothing"
    if command.texts[0] in _BUILTINS:
        return f"`{command.texts[0]}` works inside of a shell only"
    return ""


def _word(text: str) -> Json:
    match = _ASSIGNED.fullmatch(text)
    return {match[1]: match[2]} if match else text


def _fixed(words: Sequence[str]) -> int:
    """How many words at the beginning are the program and what it is to do."""
    count = 1 + _SUBCOMMANDS.get(words[0].rpartition("/")[2], 0)
    if words[0] in _MODULE and list(words[1:2]) == [_MODULE[words[0]]]:
        return min(3, len(words))
    # An option in front of the subcommand is fixed with what may be its value.
    while 1 < count <= len(words) and words[count - 1].startswith("-"):
        count += 2
    return min(count, len(words))


def _shape(words: Sequence[str]) -> str:
    fixed = _fixed(words)
    found: list[str] = []
    for place, word in enumerate(words):
        option = _OPTION.match(word)
        if place < fixed:
            found.append(re.sub(r"[\s>!$]", "_", word))
        elif (option and (option[2] or option.end() == len(word))) or word in ("-", "--"):
            found.append(option[0] if option else word)
        else:
            found.append("_")
    return " ".join(found)


# Words whose value has a name of its own: by what stands before them, or by the command.
_BEHIND = {
    ("git", "-m"): ("message", "text"),
    ("git", "--message"): ("message", "text"),
    ("git", "-b"): ("branch", "branch"),
    ("git", "-c"): ("branch", "branch"),
    ("git", "-C"): ("folder", "path"),
    ("pytest", "-k"): ("tests", "text"),
    ("python", "-k"): ("tests", "text"),
    ("python3", "-k"): ("tests", "text"),
}
_OPERAND = {
    **dict.fromkeys(("git checkout", "git switch", "git branch", "git merge", "git rebase"), ("branch", "branch")),
    **dict.fromkeys(("git tag",), ("tag", "branch")),
    **dict.fromkeys(("git add", "git restore", "git rm", "git mv"), ("path", "path")),
    **dict.fromkeys(("mkdir", "rmdir"), ("folder", "path")),
    **dict.fromkeys(("cat", "ls", "cp", "mv", "rm", "touch", "head", "tail", "wc", "ruff", "mypy"), ("path", "path")),
    **dict.fromkeys(("npm install", "npm uninstall", "pip install", "pip uninstall", "cargo add"), ("package", "text")),
    **dict.fromkeys(("npm run", "pnpm run", "yarn run"), ("script", "name")),
    "git push": ("branch", "branch"),
    "pytest": ("test", "test"),
}


_TEXTS = {"grep": "pattern", "rg": "pattern", "curl": "url"}  # what a word is that is no path


def named_kind(words: Sequence[Json], place: Path, values: Sequence[str], noun: str) -> tuple[str, str]:
    """The name and the kind (see druse_sandbox.commands) of the value at a place of a command."""
    index = int(place[0])
    program = str(words[0]).rpartition("/")[2]
    behind = place[1].removesuffix("=") if len(place) > 1 else words[index - 1]
    option = str(behind) if isinstance(behind, str) and _OPTION.fullmatch(behind) else ""
    name, wanted = _BEHIND.get((program, option)) or _OPERAND.get(noun) or ("", "")
    if not name and option.startswith("--"):
        name = option.strip("-")  # letters behind one dash are several options, and say nothing
    kind = kind_of(values, wanted)
    plain = {"path": "path", "test": "test", "branch": "branch", "number": "number", "name": "name"}
    return name or plain.get(kind) or _TEXTS.get(noun, "text"), kind


def kind_of(values: Sequence[str], wanted: str = "") -> str:
    """The narrowest kind that all values are of."""
    from druse_sandbox.commands import fits

    tests = ("test",) if any("::" in value for value in values) else ()
    paths = ("path",) if wanted == "test" or any(re.search(r"/|\.\w{1,8}$", value) for value in values) else ()
    order = ("number", wanted, *tests, *paths, "text", "any") if wanted != "text" else ("text", "any")
    return next((kind for kind in order if kind and all(fits(value, kind) for value in values)), "any")


_BORDER = re.compile(r"[/_.-]")


def common_ends(values: Sequence[str]) -> tuple[str, str]:
    """What all values begin and end with, cut at the borders of their parts: `tests/test_`, `.py`."""
    left = beginning(values)
    cut = max((match.end() for match in _BORDER.finditer(left) if match[0] != "."), default=0)
    left = left[:cut]
    rests = [value[cut:] for value in values]
    right = beginning([rest[::-1] for rest in rests])[::-1]
    first = _BORDER.search(right)
    right = right[first.start() :] if first else ""
    if not all(len(rest) > len(right) for rest in rests):
        return left, ""
    return left, right


def beginning(values: Sequence[str]) -> str:
    """The letters that all texts begin with."""
    shortest = min(values, key=len)
    length = next((i for i, letter in enumerate(shortest) if any(v[i] != letter for v in values)), len(shortest))
    return shortest[:length]
