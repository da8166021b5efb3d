"""`kill -9` at random points of a busy run loses nothing that was acknowledged (D19)."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from druse.governance import AuditChain, SigningKey
from druse.settings import Workspace
from druse.store import Store

KILLS = int(os.environ.get("DRUSE_KILLS", "5"))  # set 200 for the whole proof
BUSY = Path(__file__).with_name("busy.py")


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


@pytest.mark.timeout(30 + 6 * KILLS)
@pytest.mark.requirement("S-33", "N-34", "H-34")
async def test_no_acknowledged_event_is_lost_and_the_chain_verifies(tmp_path: Path) -> None:
    (tmp_path / ".druse").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / ".druse" / "config.toml").write_text('[permissions]\nallow = ["Write(./out/**)"]\n')
    points = random.Random(7)
    acknowledged: dict[str, list[str]] = {}
    for number in range(KILLS):
        run_id, paths = killed(tmp_path, f"p{number}", points.randrange(0, 60))
        acknowledged[run_id] = paths
    workspace = Workspace.find(tmp_path)
    async with Store.open(workspace.database) as store:
        key = SigningKey.from_file(workspace.keys / "audit.key")
        chain = AuditChain(store, clock=lambda: 0.0, key=key, copy=workspace.state / "audit.roots")
        await chain.verify()
        entries = await chain.newest(1_000_000, {"subject": "Write"})
        begun = {str(entry["seq"]) for entry in entries if entry["action"] == "call.begin"}
        ended = [entry for entry in entries if entry["action"] == "call.end"]
        assert all(str(entry["cause"])[1:] in begun for entry in ended)
        for run_id, paths in acknowledged.items():
            record = await store.runs.get(run_id)
            assert record is not None
            written = {str(step.arguments["file_path"]) for step in record.run.steps}
            assert set(paths) <= written, set(paths) - written
        # The entry before the effect: nothing stands on the disk that the chain does not know to have begun.
        assert len(list((tmp_path / "out").iterdir())) <= len(begun)
        assert len(ended) >= sum(map(len, acknowledged.values())) > 0
