"""`kill -9` at random points of a busy run: is anything lost that was acknowledged, and does the chain verify (D19)?

Each time a process writes four files at once through the application, audited and recorded; it is killed after a random
number of acknowledged calls, and the next one goes on with the same database. Then every acknowledged write is sought
in its run and in the chain, every file on the disk in the chain, and the chain is verified.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from druse.governance import AuditChain, SigningKey
from druse.settings import Workspace
from druse.store import Store

BUSY = Path(__file__).with_name("_busy.py")


@dataclass(frozen=True)
class Found:
    """What was left after the last kill. `lost`: acknowledged writes that their run does not hold."""

    kills: int
    acknowledged: int
    entries: int
    lost: tuple[str, ...]
    ends_without_begin: int
    files_unknown_to_the_chain: int
    seconds: float

    @property
    def whole(self) -> bool:
        return not self.lost and not self.ends_without_begin and not self.files_unknown_to_the_chain


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json", action="store_true", dest="as_json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), chosen.kills, seed=chosen.seed))
    if chosen.as_json:
        print(json.dumps(asdict(found), indent=2))
    else:
        print(
            f"{found.kills} kills, {found.acknowledged} acknowledged writes, {found.entries} entries, chain verified: "
            f"{len(found.lost)} lost, {found.ends_without_begin} ends without a begin, "
            f"{found.files_unknown_to_the_chain} files the chain does not know; {found.seconds:.0f} s"
        )
    raise SystemExit(0 if found.whole else 1)


async def measure(root: Path, kills: int, *, seed: int) -> Found:
    """Kill so often, then look. Raises StoreDamaged where the chain does not verify."""
    began = time.perf_counter()
    (root / ".druse").mkdir()
    (root / "out").mkdir()
    (root / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Write(./out/**)"]\n')
    points = random.Random(seed)
    acknowledged = dict(killed(root, f"p{number}", points.randrange(0, 60)) for number in range(kills))
    workspace = Workspace.find(root)
    async with Store.open(workspace.database) as store:
        key = SigningKey.from_file(workspace.keys / "audit.key")
        chain = AuditChain(store, clock=lambda: 0.0, key=key, copy=workspace.state / "audit.roots")
        verified = await chain.verify()
        entries = await chain.newest(100_000_000, {"subject": "Write"})
        begun = {str(entry["seq"]) for entry in entries if entry["action"] == "call.begin"}
        ended = [entry for entry in entries if entry["action"] == "call.end"]
        lost: list[str] = []
        for run_id, paths in acknowledged.items():
            record = await store.runs.get(run_id)
            steps = record.run.steps if record is not None else ()
            lost += sorted(set(paths) - {str(step.arguments["file_path"]) for step in steps})
    files = len(list((root / "out").iterdir()))
    return Found(
        kills,
        sum(map(len, acknowledged.values())),
        verified.entries,
        tuple(lost),
        sum(str(entry["cause"])[1:] not in begun for entry in ended),
        max(0, files - len(begun)),
        round(time.perf_counter() - began, 1),
    )


def killed(root: Path, prefix: str, after: int) -> tuple[str, list[str]]:
    """A busy process killed once `after` of its calls were acknowledged: its run, and the files it acknowledged."""
    environment = {**os.environ, "XDG_CONFIG_HOME": str(root / "none")}
    command = [sys.executable, str(BUSY), str(root), prefix]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=root)
    assert process.stdout is not None
    run_id, done = process.stdout.readline().split()[1], list[str]()
    while len(done) < after:
        word, _, path = process.stdout.readline().strip().partition(" ")
        assert word == "ok", path
        done.append(path)
    process.kill()
    rest, _ = process.communicate()
    # The last line may be cut: only a whole one is an acknowledgement.
    whole = rest[: rest.rfind("\n") + 1].splitlines()
    return run_id, [*done, *(line.partition(" ")[2] for line in whole if line.startswith("ok "))]


if __name__ == "__main__":
    main()
