"""The worker's own rights on Windows, given up before it reads tool code.

Its token loses every privilege and falls to the lowest integrity level, so that it can write to nothing and open no
other process; machine code can no longer be made; no child process can be started. What a token of this kind can still
do is read files that everybody may read and open sockets: the self-test finds that, and no tier is claimed on it.
Written from documentation, never run (docs/sandbox.md).
"""

from __future__ import annotations

import ctypes
import struct
import sys
from typing import Any

_TOKEN_ACCESS = 0x0080 | 0x0020 | 0x0008  # TOKEN_ADJUST_DEFAULT, TOKEN_ADJUST_PRIVILEGES, TOKEN_QUERY
_TOKEN_PRIVILEGES, _TOKEN_INTEGRITY = 3, 25  # TOKEN_INFORMATION_CLASS
_PRIVILEGE_REMOVED = 0x00000004
_INTEGRITY_GROUP = 0x00000020
_UNTRUSTED = 0x0000
_INTEGRITY_AUTHORITY = 16
# PROCESS_MITIGATION_POLICY, each with the flags of its structure.
MITIGATIONS = {
    "dynamic code": (2, 0x1),  # ProhibitDynamicCode
    "extension points": (6, 0x1),  # DisableExtensionPoints
    "image loads": (10, 0x3),  # NoRemoteImages, NoLowMandatoryLabelImages
    "child processes": (13, 0x1),  # NoChildProcessCreation
}


def drop_privileges(library: Any = None) -> None:
    """Remove every privilege from the token of this process, for good. Raises OSError."""
    with _Token(library) as token:
        needed = ctypes.c_uint32()
        token.security.GetTokenInformation(token.handle, _TOKEN_PRIVILEGES, None, 0, ctypes.byref(needed))
        held = ctypes.create_string_buffer(max(needed.value, 4))
        token.check(
            token.security.GetTokenInformation(token.handle, _TOKEN_PRIVILEGES, held, len(held), ctypes.byref(needed))
        )
        removed = removing(held.raw)
        token.check(token.security.AdjustTokenPrivileges(token.handle, 0, removed, 0, None, None))


def removing(held: bytes) -> bytes:
    """TOKEN_PRIVILEGES that remove every privilege listed in the TOKEN_PRIVILEGES given."""
    (count,) = struct.unpack_from("<I", held)
    made = [struct.pack("<I", count)]
    for number in range(count):
        low, high, _ = struct.unpack_from("<IiI", held, 4 + 12 * number)
        made.append(struct.pack("<IiI", low, high, _PRIVILEGE_REMOVED))
    return b"".join(made)


def lower_integrity(library: Any = None) -> None:
    """Give the token the integrity level Untrusted (S-1-16-0); no way leads up again. Raises OSError."""
    with _Token(library) as token:
        level = ctypes.create_string_buffer(integrity_sid(_UNTRUSTED))
        size = struct.calcsize("P")
        label = struct.pack("P", ctypes.addressof(level)) + struct.pack("<I", _INTEGRITY_GROUP)
        label = label.ljust(2 * size, b"\0")  # TOKEN_MANDATORY_LABEL: pointer to the SID, attributes
        token.check(
            token.security.SetTokenInformation(token.handle, _TOKEN_INTEGRITY, label, len(label) + len(level) - 1)
        )


def integrity_sid(level: int) -> bytes:
    """The SID S-1-16-`level`: revision, number of parts, authority (big endian), the one part (little endian)."""
    return struct.pack("<BB", 1, 1) + _INTEGRITY_AUTHORITY.to_bytes(6, "big") + struct.pack("<I", level)


def forbid_code(library: Any = None) -> None:
    """No new machine code, no child process, no foreign images, for the rest of this process. Raises OSError."""
    kernel = library or _library("kernel32")
    for number, flags in MITIGATIONS.values():
        policy = ctypes.c_uint32(flags)
        if not kernel.SetProcessMitigationPolicy(number, ctypes.byref(policy), ctypes.sizeof(policy)):
            raise _last_error()


class _Token:
    """The token of this process, open for changes."""

    def __init__(self, library: Any) -> None:
        self._kernel = library or _library("kernel32")
        self.security = library or _library("advapi32")
        self.handle = ctypes.c_void_p()

    def __enter__(self) -> _Token:
        self._kernel.GetCurrentProcess.restype = ctypes.c_void_p
        process = ctypes.c_void_p(self._kernel.GetCurrentProcess())
        self.check(self.security.OpenProcessToken(process, _TOKEN_ACCESS, ctypes.byref(self.handle)))
        return self

    def __exit__(self, *_: object) -> None:
        self._kernel.CloseHandle(self.handle)

    def check(self, done: int) -> None:
        """Raise what Windows says unless `done`."""
        if not done:
            raise _last_error()


def _library(name: str) -> Any:
    if sys.platform != "win32":
        raise NotImplementedError(f"not on {sys.platform}")
    return ctypes.WinDLL(name, use_last_error=True)


def _last_error() -> OSError:
    number = int(getattr(ctypes, "get_last_error", lambda: 0)())
    return OSError(number, f"Windows error {number}")
