"""The lock on a worker, put on before it reads a byte of tool code.

On Linux x86-64 and aarch64 resource limits, no_new_privs, Landlock with nothing allowed, and a seccomp allow-list that
kills on the rest, by ctypes; on macOS resource limits and Seatbelt; on Windows a lowered token and forbidden machine
code, inside the job object of the host. Each layer reports `active`, `unavailable` or `failed` with its errno; nothing
is dropped silently (docs/sandbox.md says what was never run).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from functools import cache
from typing import Any

from druse_sandbox import lowered, seatbelt

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Landlock has the same numbers everywhere.
_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446

# System calls by name, with their numbers on x86-64 and aarch64 (None: there is no such call).
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # What a locked interpreter needs: memory without execution, time, signals to itself, its end.
    "close": (3, 57),
    "fstat": (5, 80),
    "lseek": (8, 62),
    "munmap": (11, 215),
    "brk": (12, 214),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "nanosleep": (35, 101),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "sched_getaffinity": (204, 123),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getrandom": (318, 278),
    "rseq": (334, 293),
    "poll": (7, None),
    "ppoll": (271, 73),
    "pselect6": (270, 72),
    # Refused politely, so that a late import or a look around is an ordinary error.
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "ioctl": (16, 29),
    "fcntl": (72, 25),
    "prlimit64": (302, 261),
    "socket": (41, 198),
    "connect": (42, 203),
    "bind": (49, 200),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "execve": (59, 221),
    "execveat": (322, 281),
    "kill": (62, 129),
    "getppid": (110, 173),
    # Allowed with conditions on their arguments.
    "read": (0, 63),
    "write": (1, 64),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "tgkill": (234, 131),
}
_NAMES = list(_NUMBERS)
_ALLOWED_CALLS = _NAMES[: _NAMES.index("open")]
_POLITE_CALLS = _NAMES[_NAMES.index("open") : _NAMES.index("read")]


def number_of(machine: str, call: str) -> int | None:
    """The number of a system call on `x86_64` or `aarch64`; None where that machine has none."""
    return _NUMBERS[call][0 if machine == "x86_64" else 1]


def lock(limits: dict[str, int], reading: int, writing: int) -> dict[str, str]:
    """Put all layers on this process; the two descriptors (or the one) stay open. The state of each layer by name."""
    report: dict[str, str] = {}
    _layer(report, "descriptors", lambda: _close_all({reading, writing}))
    if sys.platform == "win32":
        _layer(report, "privileges", lowered.drop_privileges)
        _layer(report, "dynamic_code", lowered.forbid_code)
        _layer(report, "integrity", lowered.lower_integrity)
        return report
    _layer(report, "rlimits", lambda: _rlimits(limits))
    if sys.platform == "darwin":
        _layer(report, "memory", lambda: _darwin_memory(limits["memory_bytes"]))
        _layer(report, "seatbelt", seatbelt.put_on)
    if sys.platform != "linux":
        for name in ("no_new_privs", "landlock", "seccomp"):
            report[name] = f"unavailable: not on {sys.platform}"
        return report
    libc = _libc()
    _layer(report, "no_new_privs", lambda: _no_new_privs(libc))
    _layer(report, "landlock", lambda: _landlock(libc))
    _layer(report, "seccomp", lambda: _seccomp(libc, reading, writing))
    return report


# What each platform needs for its tier, strongest first, and the least without which nothing runs at all.
_TIERS = {
    "T3": ("descriptors", "rlimits", "no_new_privs", "seccomp"),
    "T2": ("descriptors", "rlimits", "memory", "seatbelt"),
    "T1": ("descriptors", "job", "privileges", "dynamic_code", "integrity"),
}
_LEAST = (("descriptors", "rlimits"), ("descriptors", "job"))


def tier_of(report: dict[str, str]) -> str:
    """T3 Linux, T2 macOS, T1 Windows where every layer of it reports active; else T0: language and limits only.

    Layers speak for themselves here: nobody relies on a tier before the self-test tried to get out.
    """
    return next((tier for tier, names in _TIERS.items() if _all_active(report, names)), "T0")


def holds_least(report: dict[str, str]) -> bool:
    """Whether tool code may run in this process at all."""
    return any(_all_active(report, names) for names in _LEAST)


def _all_active(report: dict[str, str], names: tuple[str, ...]) -> bool:
    return all(report.get(name) == "active" for name in names)


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _layer(report: dict[str, str], name: str, put_on: Any) -> None:
    try:
        put_on()
        report[name] = "active"
    except NotImplementedError as error:
        report[name] = f"unavailable: {error}"
    except (OSError, ValueError, AttributeError) as error:
        number = getattr(error, "errno", None)
        report[name] = f"failed: {errno.errorcode.get(number, number) if number else error}"[:200]


def _close_all(kept: set[int]) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in {0, 1, 2} - kept:
        os.dup2(null, descriptor)
    start = 3
    for descriptor in sorted(kept - {0, 1, 2}):
        os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, 4096)


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
    if sys.platform == "darwin":
        # The address space has a limit of its own (`_darwin_memory`); the stack of the system is kept.
        del wanted["RLIMIT_AS"], wanted["RLIMIT_STACK"]
    for name, value in wanted.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            capped = tuple(part if hard == resource.RLIM_INFINITY else min(part, hard) for part in value)
            resource.setrlimit(number, (capped[0], capped[1]))


def _darwin_memory(memory_bytes: int) -> None:
    """The kernel of macOS refuses a limit below what is mapped already, and much is, from the start."""
    import resource

    limit = seatbelt.address_space() + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


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


_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOWED, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000


def filter_program(machine: str, pid: int, reading: int, writing: int) -> list[tuple[int, int, int, int]]:
    """The seccomp program: architecture and x32 checked, allow-list, no executable memory, kill on the rest."""
    steps: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, 4),  # architecture
        (_JEQ, 1, 0, _ARCH[machine]),
        (_RET, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # number
    ]
    if machine == "x86_64":
        steps += [(_JGE, 0, 1, 0x40000000), (_RET, 0, 0, _KILL)]
    for call, argument, check, otherwise in (
        ("read", 0, (_JEQ, 1, 0, reading), _ERRNO | errno.EBADF),  # the one descriptor, or one for each way
        ("write", 0, (_JEQ, 1, 0, writing), _ERRNO | errno.EBADF),
        ("mmap", 2, (_JSET, 0, 1, 4), _ERRNO | errno.EACCES),  # PROT_EXEC
        ("mprotect", 2, (_JSET, 0, 1, 4), _ERRNO | errno.EACCES),
        ("tgkill", 0, (_JEQ, 1, 0, pid), _KILL),  # signals go to this process only
    ):
        number = number_of(machine, call)
        assert number is not None
        steps += [
            (_JEQ, 0, 4, number),
            (_LOAD, 0, 0, 16 + 8 * argument),
            check,
            (_RET, 0, 0, otherwise),
            (_RET, 0, 0, _ALLOWED),
        ]
    for calls, answer in ((_ALLOWED_CALLS, _ALLOWED), (_POLITE_CALLS, _ERRNO | errno.EACCES)):
        for number in sorted(n for n in (number_of(machine, call) for call in calls) if n is not None):
            steps += [(_JEQ, 0, 1, number), (_RET, 0, 0, answer)]
    steps.append((_RET, 0, 0, _KILL))
    return steps


def _seccomp(libc: Any, reading: int, writing: int) -> None:
    machine = platform.machine()
    if machine not in _ARCH or struct.calcsize("P") != 8:
        raise NotImplementedError(f"no filter for {machine}")
    steps = filter_program(machine, os.getpid(), reading, writing)
    packed = b"".join(_INSTRUCTION.pack(*step) for step in steps)
    held = ctypes.create_string_buffer(packed, len(packed))
    program = _Program(len(steps), ctypes.cast(held, ctypes.c_void_p))
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
