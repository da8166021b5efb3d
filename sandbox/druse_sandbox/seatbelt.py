"""The wall on macOS: Seatbelt with everything denied, put on by the worker itself before it reads tool code.

`sandbox_init` is deprecated by Apple without a successor for programs like this one; browsers rely on it. After it the
process can compute, and read and write the descriptors it already has: no file, no socket, no process, no signal to
others, no Mach service. Written from documentation and the published kernel sources, never run (docs/sandbox.md).
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from typing import Any

# No import of a system profile: the one commonly used allows forking. Denials need no list beside the default, but
# what later versions of macOS allow unless it is named is named.
PROFILE = """(version 1)
(deny default)
(deny process-fork)
(deny process-exec*)
(deny network*)
(deny file-read* file-write*)
(deny mach-lookup)
(deny signal (target others))
"""
_LIBRARY = "/usr/lib/libSystem.B.dylib"
_TASK_INFO = 4  # PROC_PIDTASKINFO of proc_pidinfo; its answer begins with the size of the address space
_TASK_INFO_BYTES = 96


def put_on(library: Any = None) -> None:
    """Deny everything from here on. Raises OSError with Seatbelt's reason; NotImplementedError off macOS."""
    if library is None:
        library = _system()
    library.sandbox_init.argtypes = [ctypes.c_char_p, ctypes.c_uint64, ctypes.POINTER(ctypes.c_char_p)]
    library.sandbox_init.restype = ctypes.c_int
    reason = ctypes.c_char_p()
    if library.sandbox_init(PROFILE.encode("ascii"), 0, ctypes.byref(reason)) != 0:
        text = reason.value.decode("utf-8", "replace") if reason.value else "no reason given"
        raise OSError(None, f"sandbox_init: {text[:200]}")


def address_space(library: Any = None) -> int:
    """Bytes of address space this process has now. The limit of macOS cannot be set below that. Raises OSError."""
    if library is None:
        library = _system()
    answer = ctypes.create_string_buffer(_TASK_INFO_BYTES)
    library.proc_pidinfo.argtypes = [
        *(ctypes.c_int, ctypes.c_int, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_int),
    ]
    library.proc_pidinfo.restype = ctypes.c_int
    if library.proc_pidinfo(os.getpid(), _TASK_INFO, 0, answer, _TASK_INFO_BYTES) < 8:
        raise OSError(ctypes.get_errno(), "proc_pidinfo")
    return int(struct.unpack_from("=Q", answer.raw)[0])


def _system() -> Any:
    if sys.platform != "darwin":
        raise NotImplementedError(f"not on {sys.platform}")
    return ctypes.CDLL(_LIBRARY, use_errno=True)
