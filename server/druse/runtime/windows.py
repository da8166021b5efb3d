"""A job object around each worker on Windows: it ends with the host, starts no process, and has bounded memory.

The host assigns it before it hands a job to the worker, and a process never leaves its job. Written from documentation,
never run (docs/sandbox.md); the layout of the structures is tested everywhere.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

_BASIC_UI, _EXTENDED = 4, 9  # JOBOBJECTINFOCLASS
_PROCESS_ACCESS = 0x0100 | 0x0001  # PROCESS_SET_QUOTA, PROCESS_TERMINATE
_LIMIT_PROCESS_TIME = 0x00000002
_LIMIT_ACTIVE_PROCESS = 0x00000008
_LIMIT_PROCESS_MEMORY = 0x00000100
_LIMIT_DIE_ON_EXCEPTION = 0x00000400
_LIMIT_KILL_ON_CLOSE = 0x00002000
_FLAGS = (
    _LIMIT_PROCESS_TIME | _LIMIT_ACTIVE_PROCESS | _LIMIT_PROCESS_MEMORY | _LIMIT_DIE_ON_EXCEPTION | _LIMIT_KILL_ON_CLOSE
)
# Desktop, display settings, leaving Windows, atoms, handles, clipboard (both ways), system parameters.
_EVERY_UI_LIMIT = 0x000000FF
_TICKS = 10_000_000  # of 100 ns in a second


class _BasicLimits(ctypes.Structure):
    _fields_ = (
        ("process_time", ctypes.c_int64),
        ("job_time", ctypes.c_int64),
        ("flags", ctypes.c_uint32),
        ("least_working_set", ctypes.c_size_t),
        ("most_working_set", ctypes.c_size_t),
        ("active_processes", ctypes.c_uint32),
        ("affinity", ctypes.c_size_t),
        ("priority", ctypes.c_uint32),
        ("scheduling", ctypes.c_uint32),
    )


class _Counters(ctypes.Structure):
    _fields_ = tuple((f"count_{number}", ctypes.c_uint64) for number in range(6))


class ExtendedLimits(ctypes.Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("basic", _BasicLimits),
        ("io", _Counters),
        ("process_memory", ctypes.c_size_t),
        ("job_memory", ctypes.c_size_t),
        ("peak_process_memory", ctypes.c_size_t),
        ("peak_job_memory", ctypes.c_size_t),
    )


def extended_limits(cpu_seconds: int, memory_bytes: int) -> ExtendedLimits:
    """The limits of one worker."""
    made = ExtendedLimits()
    made.basic.process_time = cpu_seconds * _TICKS
    made.basic.active_processes = 1
    made.basic.flags = _FLAGS
    made.process_memory = memory_bytes
    return made


class Job:
    """One job object with one process in it. Closing it kills the process."""

    def __init__(self, pid: int, *, cpu_seconds: int, memory_bytes: int, library: Any = None) -> None:
        """Put the process into a job of its own. Raises OSError; NotImplementedError off Windows."""
        self._kernel = library or _kernel()
        for name in ("CreateJobObjectW", "OpenProcess"):
            getattr(self._kernel, name).restype = ctypes.c_void_p
        self._handle = ctypes.c_void_p(self._kernel.CreateJobObjectW(None, None))
        if not self._handle:
            raise _last_error("CreateJobObject")
        try:
            limits = extended_limits(cpu_seconds, memory_bytes)
            self._set(_EXTENDED, limits)
            self._set(_BASIC_UI, ctypes.c_uint32(_EVERY_UI_LIMIT))
            self._assign(pid)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """End the job and what runs in it."""
        if self._handle:
            self._kernel.CloseHandle(self._handle)
            self._handle = ctypes.c_void_p()

    def _set(self, kind: int, value: Any) -> None:
        if not self._kernel.SetInformationJobObject(self._handle, kind, ctypes.byref(value), ctypes.sizeof(value)):
            raise _last_error("SetInformationJobObject")

    def _assign(self, pid: int) -> None:
        process = ctypes.c_void_p(self._kernel.OpenProcess(_PROCESS_ACCESS, 0, pid))
        if not process:
            raise _last_error("OpenProcess")
        try:
            if not self._kernel.AssignProcessToJobObject(self._handle, process):
                raise _last_error("AssignProcessToJobObject")
        finally:
            self._kernel.CloseHandle(process)


def _kernel() -> Any:
    if sys.platform != "win32":
        raise NotImplementedError(f"not on {sys.platform}")
    return ctypes.WinDLL("kernel32", use_last_error=True)


def _last_error(call: str) -> OSError:
    number = int(getattr(ctypes, "get_last_error", lambda: 0)())
    return OSError(number, f"{call}: Windows error {number}")
