"""Forking: a copy of the workspace's state, a child process on it, its answer, and whether the parent is unchanged.

The child is given the database as the backup API copies it, the tools, and the two config.toml; no keys, no server and
no way back. Code under trial runs in the sandbox on recorded results, so that nothing happens outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from druse.model import Json, JsonObject, SandboxFailure, ToolSpec, digest
from druse.settings import Workspace
from druse.store import Store, checkpoints
from druse.succession.verdict import Budget, Patch, Test, Verdict, judged

_GRACE_SECONDS = 2.0  # between the child's own deadline and its end by force
_LONGEST_LINE = 16 * 1024 * 1024
_PASSED_ON = ("PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "TMP", "LANG", "LC_ALL", "PYTHONPATH")


async def fork_successor(
    workspace: Workspace,
    store: Store,
    patch: Patch,
    budget: Budget,
    *,
    approved: JsonObject,
    tools: Mapping[str, ToolSpec],
    diff: str,
) -> Verdict:
    """Try a patch in a child process on a copy, and answer. Raises SandboxFailure where the child breaks.

    `approved`: the rules in force; `tools`: what is known of the tools that recorded calls name.
    """
    began = time.monotonic()
    before = await fingerprint(workspace, store)
    tests: list[Test] = []
    with tempfile.TemporaryDirectory(prefix="druse-successor-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder)
        size = await _copied(workspace, store, copy)
        order: JsonObject = {
            "copy": str(copy),
            "root": str(workspace.root),
            "home": str(Path.home()),
            "patch": patch.as_dict(),
            "budget": {"seconds": budget.seconds, "runs": budget.runs},
            "approved": approved,
            "tools": {name: _known(spec) for name, spec in tools.items()},
        }
        done, said = await _conversed(order, copy, budget, tests)
    seconds = time.monotonic() - began
    after = await fingerprint(workspace, store)
    stopped = str(done.get("stopped") or "")
    if not done:
        stopped = f"its {budget.seconds:g} seconds were over after {len(tests)} runs"
        if said is not None:
            raise SandboxFailure(f"The successor broke off: {said or 'it said nothing'}. Nothing was changed.")
    denied = [str(text) for text in cast("list[Json]", done.get("denied") or [])]
    word, *reasons = judged(patch, tests, denied, stopped, unchanged=before == after)
    return Verdict(
        word,
        tuple(reasons),
        tuple(tests),
        tuple(denied),
        {"diff": diff, **cast("JsonObject", done.get("changes") or {})},
        {
            "wall_seconds": round(seconds, 3),
            "cpu_seconds": done.get("cpu_seconds"),
            "runs": len(tests),
            "calls": sum(test.calls for test in tests),
            "bytes_copied": size,
            "budget": order["budget"],
        },
        {"before": before, "after": after, "unchanged": before == after},
    )


async def fingerprint(workspace: Workspace, store: Store) -> str:
    """A hash over what a change of this workspace consists of: its files of rules, keys, servers, tools and skills,
    and which tool versions and rules the database has in force.
    """
    paths = [workspace.config, workspace.servers, workspace.state / "policy.json", workspace.user_config]
    paths += [workspace.user_servers]
    for folder in (workspace.keys, workspace.generated, workspace.skills):
        paths += [path for path in folder.rglob("*") if not path.name.startswith(".")] if folder.is_dir() else []
    files: JsonObject = {str(path): await asyncio.to_thread(_hash, path) for path in sorted(paths) if path.is_file()}
    versions: list[Json] = [[r.name, r.version, str(r.status), r.approval_hash] for r in await store.tools.all()]
    policy = await store.policies.newest()
    return digest({"files": files, "versions": versions, "policy": policy.hash if policy else None})


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


async def _copied(workspace: Workspace, store: Store, copy: Path) -> int:
    """The part of the state that trials need, in a folder that is this child's alone; how many bytes it has."""
    target = Workspace(copy, copy / "user" / "druse" / "config.toml")
    await checkpoints.save(store.database, target.database)

    def files() -> int:
        for source, there in ((workspace.config, target.config), (workspace.user_config, target.user_config)):
            if source.is_file():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, there)
        if workspace.generated.is_dir():
            shutil.copytree(workspace.generated, target.generated, symlinks=True)
        return sum(path.stat().st_size for path in copy.rglob("*") if path.is_file())

    return await asyncio.to_thread(files)


async def _conversed(
    order: JsonObject, copy: Path, budget: Budget, tests: list[Test]
) -> tuple[dict[str, Any], str | None]:
    """The child's last message and, where it ended without one by itself, the end of what it said on stderr."""
    kept = {key: value for key in _PASSED_ON if (value := os.environ.get(key)) is not None}
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", "-m", "druse.succession.child"),
        cwd=copy,
        env={**kept, "HOME": str(copy), "XDG_CONFIG_HOME": str(copy / "user")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LONGEST_LINE,
    )
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    async with asyncio.TaskGroup() as group:
        complaints = group.create_task(child.stderr.read())
        try:
            async with asyncio.timeout(budget.seconds + _GRACE_SECONDS):
                with contextlib.suppress(ConnectionError):
                    child.stdin.write(json.dumps(order).encode() + b"\n")
                    await child.stdin.drain()
                async for line in child.stdout:
                    message = cast("dict[str, Any]", json.loads(line))
                    if "test" in message:
                        tests.append(Test(**message["test"]))
                    else:
                        return message, None
                said = (await complaints).decode("utf-8", "replace").strip().splitlines()
                return {}, said[-1] if said else ""
        except TimeoutError:
            return {}, None
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
            child.stdin.close()


def _known(spec: ToolSpec) -> JsonObject:
    return {
        "source": str(spec.source),
        "effect": str(spec.effect),
        "server": spec.server,
        "upstream_name": spec.upstream_name,
        "version": spec.version,
    }
