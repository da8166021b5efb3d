"""The host side of the sandbox: worker pool, limits, broker end of the pipe."""

from druse.runtime.conversation import Broker
from druse.runtime.host import SandboxHost, no_effects
from druse.runtime.limits import Limits
from druse.runtime.results import CompileReport, EndRun, SandboxError, SandboxResult, ToolCallFailed
from druse.runtime.selftest import SandboxStatus

__all__ = [
    "Broker",
    "CompileReport",
    "EndRun",
    "Limits",
    "SandboxError",
    "SandboxHost",
    "SandboxResult",
    "SandboxStatus",
    "ToolCallFailed",
    "no_effects",
]
