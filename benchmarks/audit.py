"""The audit chain: what an entry costs, and how long it takes to verify, prove and query as it grows."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from druse.governance import AuditChain, SigningKey, check_proof, prove_entry
from druse.model import Caller, CallerKind, JsonObject, Run, Step, digest
from druse.store import RunRecord, Store

CALLER = Caller(CallerKind.AGENT, session="5f1c9a70-bench", connection="c1", client="claude-code 2.1.329")
PAYLOAD = {
    "arguments": "sha256:" + "ab" * 32,
    "schema": "sha256:" + "cd" * 32,
    "run": "0123456789ab",
    "rule": "shop__*",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench audit", description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument(
        "--calls", action="store_true", help="entries of recorded calls, each held against its step in a run"
    )
    parser.add_argument("--json", action="store_true", dest="as_json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(measure(Path(folder), sorted(chosen.entries), calls=chosen.calls))
    if chosen.as_json:
        print(json.dumps(found, indent=2))
        return
    for name, row in found["append"].items():
        print(f"append, {name}: median {row['median_ms']:.3f} ms, 99 % under {row['p99_ms']:.3f} ms")
    print("entries   verify s   prove ms   newest 50 of one tool ms   database MiB")
    for row in found["growth"]:
        print(
            f"{row['entries']:>7}   {row['verify_s']:>8.3f}   {row['prove_ms']:>8.1f}   {row['query_ms']:>24.1f}"
            f"   {row['mib']:>12.1f}"
        )


async def measure(folder: Path, sizes: list[int], *, calls: bool = False) -> dict[str, Any]:
    async with Store.open(folder / "druse.db") as store:
        chain = AuditChain(store, clock=time.time, key=SigningKey.from_file(folder / "audit.key"))
        found: dict[str, Any] = {"append": await appending(store, chain), "growth": []}
        for size in sizes:
            await (fill_calls if calls else fill)(store, chain, size)
            found["growth"].append(await at_size(store, chain, folder))
    return found


async def appending(store: Store, chain: AuditChain) -> dict[str, dict[str, float]]:
    """One entry in a transaction of its own, and one more entry in a transaction that is open anyway."""
    found: dict[str, dict[str, float]] = {}
    for name, durable in (("own transaction", False), ("own transaction, synced", True)):
        times: list[float] = []
        for _ in range(300):
            started = time.perf_counter()
            await chain.record("call.begin", "shop__get_user", CALLER, dict(PAYLOAD), durable=durable)
            times.append((time.perf_counter() - started) * 1000)
        found[name] = _summary(times)
    times = []
    for _ in range(50):
        async with store.database.transaction() as transaction:
            for _ in range(20):
                started = time.perf_counter()
                await chain.append(transaction, "call.begin", "shop__get_user", CALLER, dict(PAYLOAD))
                times.append((time.perf_counter() - started) * 1000)
    found["within a transaction"] = _summary(times)
    return found


async def fill(store: Store, chain: AuditChain, size: int) -> None:
    async with store.database.transaction() as transaction:
        held = (await store.audit.head(transaction)).seq
        for number in range(held, size):
            await chain.append(transaction, "call.begin", f"shop__tool_{number % 40}", CALLER, dict(PAYLOAD))


async def fill_calls(store: Store, chain: AuditChain, size: int) -> None:
    """Runs of ten recorded calls, two entries each, as the router writes them."""
    async with store.database.transaction() as transaction:
        held = (await store.audit.head(transaction)).seq
        for first in range(held, size, 20):
            run = Run(f"r{first:08d}", f"Look after order {first}", source="druse")
            await store.runs.open(transaction, RunRecord(run), owner="bench")
            for turn in range(10):
                given: JsonObject = {"order": first, "turn": turn, "text": "where is it " * 4}
                result: JsonObject = {"order": first, "lines": [{"item": n, "state": "sent"} for n in range(8)]}
                step = Step(f"shop__tool_{turn}", given, result, turn=turn)
                begun: JsonObject = {**PAYLOAD, "arguments": digest(given), "run": run.id}
                cause = await chain.append(transaction, "call.begin", step.tool, CALLER, begun)
                ended: JsonObject = {"status": "ok", "result": digest(result), "run": run.id, "ms": 1.25}
                await chain.append(transaction, "call.end", step.tool, CALLER, ended, cause=cause)
                await store.runs.add_step(transaction, run.id, step, now=float(first))


async def at_size(store: Store, chain: AuditChain, folder: Path) -> dict[str, float]:
    started = time.perf_counter()
    verified = await chain.verify()
    verify_s = time.perf_counter() - started
    proving: list[float] = []
    await chain.seal()
    for number in range(10):
        started = time.perf_counter()
        proof = await prove_entry(store, chain, 1 + number * (verified.entries - 1) // 9)
        proving.append((time.perf_counter() - started) * 1000)
        check_proof(proof, public=chain.key.public)
    started = time.perf_counter()
    await chain.newest(50, {"subject": "shop__tool_7", "action": "call.*"})
    query_ms = (time.perf_counter() - started) * 1000
    await store.database.all("PRAGMA wal_checkpoint(TRUNCATE)")
    size = sum(path.stat().st_size for path in folder.glob("druse.db*"))  # noqa: ASYNC240 - nothing else runs
    return {
        "entries": verified.entries,
        "verify_s": round(verify_s, 4),
        "prove_ms": round(statistics.median(proving), 2),
        "query_ms": round(query_ms, 2),
        "mib": round(size / 2**20, 1),
    }


def _summary(times: list[float]) -> dict[str, float]:
    times.sort()
    return {"median_ms": round(statistics.median(times), 4), "p99_ms": round(times[int(len(times) * 0.99)], 4)}
