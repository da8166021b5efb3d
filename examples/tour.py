"""Runs the commands of tour.md in a folder of their own and compares what they print with what the page says.

`scripts/tour` compares; `scripts/tour --write` puts what was printed into the page. Ids, hashes, times and durations
differ in every run: where the page has one, the run must have one of the same kind, and one name on the page stands for
one name in the run, in the commands as well.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PAGE = Path(__file__).with_suffix(".md")
FILES = Path(__file__).with_suffix("")
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What differs from run to run; the kinds are tried in this order.
_KINDS = {
    "time": r"\d{4}-\d\d-\d\dT? ?\d\d:\d\d(?::\d\d)?",
    "duration": r"\d+(?:\.\d+)? ?(?:ms|s)\b",
    "hash": r"(?:sha256:)?[0-9a-f]{64}|sha256:[0-9a-f]{6,63}",
    "instance": r"druse-[0-9a-f]{16}",
    "roots": r"\b\d+ (?=signed roots)",
    "number": r"\b\d{10}\.\d+",
    "run": r"\b(?:run|exec)-[0-9a-f]{12}\b",
    "id": r"\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b",
}
_VARYING = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in _KINDS.items()))
_KEPT = ("run", "id", "hash", "instance")  # these are names: what one is called once it is called again


@dataclass
class Names:
    """Which name of the page is which in this run."""

    in_run: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # approvals in this run, the newest last

    def into_run(self, text: str) -> str:
        """A command of the page with the names of this run."""
        return _VARYING.sub(lambda found: self.in_run.get(found[0], found[0]), text)

    def guess(self, command: str) -> None:
        """A name in a command that no line before it printed is that of the newest approval."""
        for found in re.finditer(_KINDS["id"], command):
            if self.asked:
                self.in_run.setdefault(found[0], self.asked[-1])

    def fits(self, page: str, run: str) -> bool:
        """Whether a line of the run is the page's line; takes up its names."""
        told, seen = list(_VARYING.finditer(page)), list(_VARYING.finditer(run))
        if _VARYING.sub("\0", page) != _VARYING.sub("\0", run):
            return False
        for one, other in zip(told, seen, strict=True):
            if one.lastgroup != other.lastgroup:
                return False
            if one.lastgroup not in _KEPT:
                continue
            taken = next((name for name, held in self.in_run.items() if held == other[0]), one[0])
            if taken != one[0] or self.in_run.setdefault(one[0], other[0]) != other[0]:
                return False
        return True


def commands_of(block: str) -> list[tuple[str, list[str]]]:
    """The commands of a block, each with the lines it printed. `>` goes on with the command of the line before."""
    found: list[tuple[str, list[str]]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        else:
            found[-1][1].append(line)
    return found


def printed(command: str, folder: Path, programs: str) -> list[str]:
    """What a command prints, on both streams, in the tour's folder."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("DRUSE")}
    environment |= {"PATH": f"{programs}{os.pathsep}{environment.get('PATH', '')}", "USER": "ada", "LOGNAME": "ada"}
    environment |= {"HOME": str(folder), "XDG_CONFIG_HOME": str(folder / ".config"), "COLUMNS": "110"}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = done.stdout.replace(str(folder), "~/tour").splitlines()
    return [line.rstrip() for line in lines]


def walk(folder: Path, *, write: bool, programs: str = "") -> list[str]:
    """Do what the page says; the lines that differ from it. `write` puts what was printed into the page instead.

    `programs` are folders in which programs are looked for before those of this environment.
    """
    programs = os.pathsep.join(filter(None, (programs, sysconfig.get_path("scripts"))))
    shutil.copytree(FILES, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    text = PAGE.read_text(encoding="utf-8")
    names, wrong = Names(), list[str]()

    def block(found: re.Match[str]) -> str:
        made: list[str] = []
        for command, expected in commands_of(found[1]):
            if write:
                names.guess(command)
            seen = printed(names.into_run(command), folder, programs)
            fits = len(expected) == len(seen) and all(map(names.fits, expected, seen))
            names.asked += [line.split()[-1] for line in seen if line.lstrip().startswith("approval_id: ")]
            if not fits and not write:
                wrong.append(f"$ {command}")
                wrong.extend(difflib.unified_diff(expected, seen, "the page", "this run", lineterm="", n=1))
            made += ["$ " + command.replace("\n", "\n> "), *(seen if write and not fits else expected)]
        return "```console\n" + "\n".join(made) + "\n```"

    text = _BLOCK.sub(block, text)
    if write:
        for name, other in names.in_run.items():  # what the page calls by a name keeps it
            text = text.replace(other, name)
        PAGE.write_text(text, encoding="utf-8")
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/tour", description=__doc__)
    parser.add_argument("--write", action="store_true", help="Put what was printed into the page.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tour"
        root.mkdir()
        wrong = walk(root, write=chosen.write)
    print("\n".join(wrong) if wrong else f"{PAGE.name}: every command printed what the page says")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
