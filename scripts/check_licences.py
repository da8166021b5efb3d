"""Licences: every file here is under the project's own, and nothing is depended on whose terms do not fit it.

Each file of the repository is under the licence of pyproject.toml (the text is in LICENSE) unless it carries a notice
of its own; such a notice must name the same licence. Each installed run-time dependency, also those of dependencies,
must declare a licence of the list below.
"""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ACCEPTED = (
    *("Apache", "MIT", "BSD", "0BSD", "PSF", "ISC", "Zlib", "CC0", "ZPL", "Python Software Foundation"),
    *("MPL", "Mozilla"),  # file-level copyleft: used unchanged, never copied into this repository
)
REFUSED = re.compile(r"\b(A?GPL|LGPL|GNU|SSPL|BUSL|Commons Clause|Proprietary|NonCommercial|CC-BY-NC)", re.IGNORECASE)
NOTICE = re.compile(r"SPDX-" r"License-Identifier:\s*([\w.+-]+)|copy" r"right \(c\)", re.IGNORECASE)


def main(root: Path) -> int:
    """Print what is wrong; 1 if anything is."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    problems = [*foreign_notices(root, project["license"]), *unfit_dependencies(project["dependencies"])]
    print("\n".join(problems) or f"licences: every file is under {project['license']}, every dependency fits")
    return 1 if problems else 0


def foreign_notices(root: Path, own: str) -> Iterator[str]:
    """Files that carry a notice of another licence or of another owner."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        path = root / name
        if name == "LICENSE" or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            notice = NOTICE.search(line)
            if notice and notice[1] != own:
                yield f"{name}:{number}: a notice of another licence or owner: {line.strip()[:80]}"


def unfit_dependencies(wanted: list[str]) -> Iterator[str]:
    """Installed dependencies, and theirs, whose declared licence is missing or not accepted."""
    waiting, seen = [_name(part) for part in wanted], set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        declared = licence_of(found)
        if not fits(declared):
            yield f"{name}: its licence is {declared or 'not declared'}"
        waiting += [_name(part) for part in found.requires or [] if "extra ==" not in part]


def licence_of(found: importlib.metadata.Distribution) -> str:
    """What a distribution declares: an expression, else the classifiers, else the first line of the licence."""
    about = found.metadata
    classified = [part for part in about.get_all("Classifier") or [] if part.startswith("License ::")]
    first = (about.get("License") or "").strip().split("\n")[0]
    return about.get("License-Expression") or " AND ".join(part.split(" :: ")[-1] for part in classified) or first


def fits(declared: str) -> bool:
    """Whether a declared licence is accepted: of alternatives one, of a conjunction every part."""
    alternatives = re.split(r"\s+OR\s+", declared.strip("() "))
    return any(all(_accepted(part) for part in re.split(r"\s+AND\s+", one)) for one in alternatives)


def _accepted(part: str) -> bool:
    return not REFUSED.search(part) and any(re.search(rf"\b{re.escape(name)}", part) for name in ACCEPTED)


def _name(requirement: str) -> str:
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parents[1]))
