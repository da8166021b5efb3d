"""What can be tested here of the layers of macOS and Windows: structures, order of calls, errors, and what a tier needs."""

from __future__ import annotations

import asyncio
import ctypes
import struct
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from druse.cli import main
from druse.model import SandboxFailure
from druse.runtime import SandboxHost
from druse.runtime.windows import ExtendedLimits, Job, extended_limits
from druse_sandbox import lowered, seatbelt
from druse_sandbox.jail import holds_least, tier_of


def test_a_tier_needs_every_layer_of_its_platform() -> None:
    complete = {
        "T3": ("descriptors", "rlimits", "no_new_privs", "seccomp"),
        "T2": ("descriptors", "rlimits", "memory", "seatbelt"),
        "T1": ("descriptors", "job", "privileges", "dynamic_code", "integrity"),
    }
    for tier, names in complete.items():
        report = dict.fromkeys(names, "active")
        assert tier_of(report) == tier and holds_least(report)
        for name in names:
            assert tier_of({**report, name: "failed: EPERM"}) == "T0"
    assert not holds_least({"rlimits": "active"}) and not holds_least({"descriptors": "active", "job": "failed: 5"})


def test_the_status_of_spawned_workers_is_asked_for_by_a_flag() -> None:
    result = CliRunner().invoke(main, ["sandbox", "status", "--spawned", "--json"])

    assert result.exit_code == 0 and '"tier": "T3"' in result.output


class SystemLibrary:
    """Takes the calls of another system down. Each function answers what `answers` says, else 1."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            answer = self.answers.get(name, 1)
            return answer(*arguments) if callable(answer) else answer

        self.__dict__[name] = call
        return call

    def names(self) -> list[str]:
        return [name for name, _ in self.calls]


def test_the_limits_of_a_job_object_lie_where_windows_looks_for_them() -> None:
    """Offsets of JOBOBJECT_EXTENDED_LIMIT_INFORMATION on 64 bits, as its documentation lays it out."""
    raw = bytes(extended_limits(3, 512 << 20))

    assert len(raw) == ctypes.sizeof(ExtendedLimits) == 144
    assert struct.unpack_from("<q", raw, 0) == (30_000_000,)
    assert struct.unpack_from("<I", raw, 16) == (0x2 | 0x8 | 0x100 | 0x400 | 0x2000,)
    assert struct.unpack_from("<I", raw, 40) == (1,)
    assert struct.unpack_from("<Q", raw, 112) == (512 << 20,)


def test_a_worker_that_cannot_be_put_in_its_job_is_told_and_nothing_stays_open() -> None:
    library = SystemLibrary(AssignProcessToJobObject=0)
    with pytest.raises(OSError, match="AssignProcessToJobObject"):
        Job(7, cpu_seconds=1, memory_bytes=1, library=library)

    assert library.names().count("CloseHandle") == 2
    job = Job(7, cpu_seconds=1, memory_bytes=1, library=SystemLibrary())
    job.close()


def test_a_token_loses_every_privilege_and_falls_to_the_lowest_level() -> None:
    held = struct.pack("<IIiIIiI", 2, 23, 0, 3, 8, 0, 0)
    assert lowered.removing(held) == struct.pack("<IIiIIiI", 2, 23, 0, 4, 8, 0, 4)
    assert lowered.integrity_sid(0) == bytes([1, 1, 0, 0, 0, 0, 0, 16, 0, 0, 0, 0])

    library = SystemLibrary()
    lowered.lower_integrity(library)
    lowered.forbid_code(library)

    assert library.names()[:4] == ["GetCurrentProcess", "OpenProcessToken", "SetTokenInformation", "CloseHandle"]
    label = next(arguments for name, arguments in library.calls if name == "SetTokenInformation")
    assert label[1] == 25 and len(label[2]) == 16
    assert [arguments[0] for name, arguments in library.calls if name == "SetProcessMitigationPolicy"] == [2, 6, 10, 13]
    with pytest.raises(OSError, match="Windows error"):
        lowered.forbid_code(SystemLibrary(SetProcessMitigationPolicy=0))


def test_the_profile_of_seatbelt_allows_nothing_and_a_refusal_of_it_is_told() -> None:
    assert "(deny default)" in seatbelt.PROFILE and "allow" not in seatbelt.PROFILE
    assert seatbelt.PROFILE.count("(") == seatbelt.PROFILE.count(")")
    library = SystemLibrary(sandbox_init=0)
    seatbelt.put_on(library)
    assert library.calls[0][1][:2] == (seatbelt.PROFILE.encode(), 0)

    with pytest.raises(OSError, match="sandbox_init"):
        seatbelt.put_on(SystemLibrary(sandbox_init=-1))
    with pytest.raises(NotImplementedError):
        seatbelt.put_on()


def test_a_host_that_cannot_start_a_worker_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def attempt() -> None:
        async with SandboxHost.open(ready=0, spawned=True) as own:
            await own.run("1", {}, mode="script")

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(SandboxFailure, match="could be started"):
        asyncio.run(attempt())
