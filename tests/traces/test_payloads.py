"""Large results, through the commands a person uses: kept once by their sha256, freed with their last run, checked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from capabilities.desk import Desk

BIG = "six of one, half a dozen of the other; " * 120


def blobs(desk: Desk) -> list[tuple[str, bytes]]:
    with closing(sqlite3.connect(desk.root / ".druse" / "druse.db")) as database, database:
        found = database.execute("SELECT digest, body FROM blob").fetchall()
    database.close()
    return found


@pytest.mark.requirement("N-35")
async def test_a_large_result_is_kept_once_is_freed_with_its_last_run_and_a_wrong_byte_is_found(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "project")
    step = {"tool": "desk__get_user", "args": {"email": "a"}, "res": BIG}
    small = {"tool": "desk__get_user", "args": {"email": "b"}, "res": "small enough to stand in its row; " * 20}
    runs = [{"traj": f"r{n}", "goal": "Look", "steps": [step, small]} for n in range(2)]
    source = tmp_path / "runs.jsonl"
    source.write_text("\n".join(json.dumps(run) for run in runs))
    assert (await desk.druse("traces", "import", str(source)))["imported"] == 2

    ((digest, body),) = blobs(desk)
    assert digest == "sha256:" + hashlib.sha256(body).hexdigest() and json.loads(body) == BIG
    assert (await desk.druse("traces", "delete", "r0"))["deleted"]
    assert len(blobs(desk)) == 1
    assert (await desk.druse("traces", "show", "r1"))["steps"][0]["res"] == BIG

    with closing(sqlite3.connect(desk.root / ".druse" / "druse.db")) as database, database:
        database.execute("UPDATE blob SET body = ?", (body.replace(b"six", b"two", 1),))
    database.close()
    wrong = await desk.druse("traces", "show", "r1")
    assert digest in json.dumps(wrong) and "does not match its digest" in json.dumps(wrong)

    assert (await desk.druse("traces", "delete", "r1"))["deleted"]
    assert blobs(desk) == []
