"""Six ways out of a worker, tried by plain Python in a locked one: no tier is claimed on a layer's word alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from druse.model import JsonObject
from druse_sandbox.jail import tier_of

# Each probe is plain Python; what it meets is the outcome. None may end well.
PROBES = """
import sys

def attempt(code):
    try:
        exec(code, {})
    except BaseException as error:
        return type(error).__name__
    return "NOT BLOCKED"

libc = "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); libc.mmap.restype = ctypes.c_long\\n"
ways = {
    "read a file": "open('/etc/passwd').read()",
    "open a socket": "import _socket; _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)",
    "start a process": "import os; os._exit(0) if os.fork() == 0 else None",
    "signal the parent": "import os; os.kill(os.getppid(), 0)",
    "map executable memory": libc
    + "anonymous = 0x1002 if sys.platform == 'darwin' else 0x22\\n"
    + "size = ctypes.c_size_t(4096)\\n"
    + "if libc.mmap(None, size, 7, anonymous, -1, ctypes.c_long(0)) == -1: raise OSError(ctypes.get_errno(), 'mmap')",
    "allocate 64 GiB": "bytearray(64 << 30)",
}
if sys.platform == "win32":
    # Nothing here may harm where it is not stopped: the parent is opened, not ended.
    ways["read a file"] = "import os; open(os.environ['SYSTEMROOT'] + '/win.ini').read()"
    ways["start a process"] = "import subprocess; subprocess.Popen(['hostname'])"
    ways["signal the parent"] = "import _winapi, os; _winapi.OpenProcess(1, False, os.getppid())"
    ways["map executable memory"] = (
        "import ctypes\\n"
        "if not ctypes.windll.kernel32.VirtualAlloc(None, 4096, 0x3000, 0x40): raise OSError('VirtualAlloc')"
    )
result = {name: attempt(code) for name, code in ways.items()}
"""
_EXPECTED = 6
_STOPPED = frozenset(("PermissionError", "OSError", "BlockingIOError", "MemoryError", "OverflowError"))
# A probe that cannot even load what it needs was stopped by the same closed file system.
_UNREACHABLE = frozenset(("ImportError", "ModuleNotFoundError"))


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """`tier`: T3 Linux, T2 macOS, T1 Windows with all their layers; T0 where any probe got through or met nothing."""

    tier: str
    layers: Mapping[str, str]
    probes: Mapping[str, str]

    def as_dict(self) -> JsonObject:
        """For `druse sandbox status --json`."""
        return {"tier": self.tier, "layers": dict(self.layers), "probes": dict(self.probes)}


def judged(layers: Mapping[str, str], value: Any) -> SandboxStatus:
    """The tier that layers and probes together prove."""
    met = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    probes = {str(name): _told(str(outcome)) for name, outcome in met.items()}
    held = len(probes) == _EXPECTED and all(told.startswith("blocked") for told in probes.values())
    return SandboxStatus(tier_of(dict(layers)) if held else "T0", dict(layers), probes)


def _told(outcome: str) -> str:
    if outcome in _STOPPED or outcome in _UNREACHABLE:
        return f"blocked ({outcome})"
    return outcome if outcome == "NOT BLOCKED" else f"unclear ({outcome})"
