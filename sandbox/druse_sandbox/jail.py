"""The lock on a worker, put on before it reads a byte of tool code.

Resource limits, no_new_privs, Landlock with nothing allowed, and a seccomp allow-list that kills on the rest, by ctypes
on Linux x86-64 and aarch64. Each layer reports `active`, `unavailable` or `failed` with its errno; nothing is dropped
silently. macOS and Windows have resource limits and the language layer only (see docs/sandbox.md).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from typing import Any

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Landlock has the same numbers everywhere.
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446

# What a locked interpreter needs: its pipe, memory without execution, time, signals to itself, its end.
_ALLOW = {
    "x86_64": {
        *(0, 1, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 28, 35, 39, 60, 96, 97, 98, 131, 186, 201, 202, 204, 228),
        *(229, 230, 231, 234, 270, 273, 318, 334, 281, 7, 271),
    },
    "aarch64": {
        *(63, 64, 57, 80, 62, 222, 226, 215, 214, 134, 135, 139, 124, 216, 233, 101, 172, 93, 169, 163, 165, 132, 178),
        *(98, 123, 113, 114, 115, 94, 131, 99, 278, 293, 73),
    },
}
# Refused politely, so that a late import or a look at the file system is an ordinary error.
_POLITE = {
    "x86_64": {
        2,
        4,
        6,
        16,
        21,
        72,
        79,
        89,
        217,
        257,
        267,
        269,
        332,
        437,
        439,
        41,
        49,
        42,
        56,
        57,
        58,
        435,
        59,
        322,
        62,
    },
    "aarch64": {25, 29, 48, 56, 61, 78, 17, 291, 437, 439, 198, 200, 203, 220, 435, 221, 281, 129, 79, 261},
}
_MMAP = {"x86_64": (9, 10), "aarch64": (222, 226)}
_TGKILL = {"x86_64": 234, "aarch64": 131}


def lock(limits: dict[str, int], *, keep: int) -> dict[str, str]:
    """Put all layers on this process; `keep` is the one descriptor left open. The state of each layer by name."""
    report: dict[str, str] = {}
    _layer(report, "descriptors", lambda: _close_all(keep))
    _layer(report, "rlimits", lambda: _rlimits(limits))
    if sys.platform != "linux":
        for name in ("no_new_privs", "landlock", "seccomp"):
            report[name] = f"unavailable: not on {sys.platform}"
        return report
    libc = ctypes.CDLL(None, use_errno=True)
    _layer(report, "no_new_privs", lambda: _no_new_privs(libc))
    _layer(report, "landlock", lambda: _landlock(libc))
    _layer(report, "seccomp", lambda: _seccomp(libc))
    return report


def tier_of(report: dict[str, str]) -> str:
    """T3: all layers of Linux hold; T0: language and limits only."""
    wall = ("rlimits", "no_new_privs", "seccomp")
    if all(report.get(name) == "active" for name in wall):
        return "T3"
    return "T0"


def _layer(report: dict[str, str], name: str, put_on: Any) -> None:
    try:
        put_on()
        report[name] = "active"
    except NotImplementedError as error:
        report[name] = f"unavailable: {error}"
    except (OSError, ValueError, AttributeError) as error:
        number = getattr(error, "errno", None)
        report[name] = f"failed: {errno.errorcode.get(number, number) if number else error}"


def _close_all(keep: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        if descriptor != keep:
            os.dup2(null, descriptor)
    highest = 3 if keep < 3 else keep + 1
    os.closerange(3, keep)
    os.closerange(highest, 4096)


def _rlimits(limits: dict[str, int]) -> None:
    import resource

    cpu = limits["cpu_seconds"]
    wanted = {
        "RLIMIT_CPU": (cpu, cpu + 1),
        "RLIMIT_AS": (limits["memory_bytes"],) * 2,
        "RLIMIT_FSIZE": (0, 0),
        "RLIMIT_NOFILE": (16, 16),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_NPROC": (0, 0),
        "RLIMIT_STACK": (16 << 20, 16 << 20),
    }
    for name, value in wanted.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            capped = tuple(part if hard == resource.RLIM_INFINITY else min(part, hard) for part in value)
            resource.setrlimit(number, (capped[0], capped[1]))


def _prctl(libc: Any, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)][:4]
    if libc.prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _no_new_privs(libc: Any) -> None:
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
    _prctl(libc, _PR_SET_DUMPABLE, 0)


def _landlock(libc: Any) -> None:
    """A ruleset that handles every access right the kernel knows and allows none."""
    abi = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 1:
        number = ctypes.get_errno()
        if number in (errno.ENOSYS, errno.EOPNOTSUPP):
            raise NotImplementedError(os.strerror(number))
        raise OSError(number, os.strerror(number))
    files = {1: 13, 2: 14, 3: 15, 4: 15}.get(abi, 16)
    network = 0b11 if abi >= 4 else 0
    scoped = 0b11 if abi >= 6 else 0
    fields = [(1 << files) - 1] + ([network] if abi >= 4 else []) + ([scoped] if abi >= 6 else [])
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    restricted = libc.syscall(_LANDLOCK_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    number = ctypes.get_errno()
    os.close(ruleset)
    if restricted != 0:
        raise OSError(number, os.strerror(number))


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("jt", ctypes.c_ubyte), ("jf", ctypes.c_ubyte), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOWED, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000


def filter_program(machine: str, pid: int) -> list[tuple[int, int, int, int]]:
    """The seccomp program: architecture and x32 checked, allow-list, no executable memory, kill on the rest."""
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),  # architecture
        (_JEQ, 1, 0, _ARCH[machine]),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # number
    ]
    if machine == "x86_64":
        steps += [(_JGE, 0, 1, 0x40000000), (_RET, 0, 0, _KILL)]
    for number in _MMAP[machine]:  # protection is the third argument
        steps += [
            (_JEQ, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * 2),
            (_JSET, 0, 1, 4),
            (_RET, 0, 0, _ERRNO | errno.EACCES),
            (_RET, 0, 0, _ALLOWED),
        ]
    steps += [  # signals go to this process only
        (_JEQ, 0, 4, _TGKILL[machine]),
        (_LOAD, 0, 0, 16),
        (_JEQ, 1, 0, pid),
        (_RET, 0, 0, _KILL),
        (_RET, 0, 0, _ALLOWED),
    ]
    for number in sorted(_ALLOW[machine] - set(_MMAP[machine]) - {_TGKILL[machine]}):
        steps += [(_JEQ, 0, 1, number), (_RET, 0, 0, _ALLOWED)]
    for number in sorted(_POLITE[machine]):
        steps += [(_JEQ, 0, 1, number), (_RET, 0, 0, _ERRNO | errno.EACCES)]
    steps.append((_RET, 0, 0, _KILL))
    return steps


def _seccomp(libc: Any) -> None:
    machine = platform.machine()
    if machine not in _ARCH or struct.calcsize("P") != 8:
        raise NotImplementedError(f"no filter for {machine}")
    steps = filter_program(machine, os.getpid())
    array = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    program = _Program(len(steps), array)
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
