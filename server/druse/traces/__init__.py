"""Recording of runs, secret handles, goal shapes."""

from druse.traces.exchange import exported
from druse.traces.observed import Difference, differences, schema_of
from druse.traces.recorder import IDLE_SECONDS, Closed, Recorder
from druse.traces.secrets import HANDLE, SecretHandles, is_secret_key
from druse.traces.shapes import Slot, shape_of, slots_of

__all__ = [
    "HANDLE",
    "IDLE_SECONDS",
    "Closed",
    "Difference",
    "Recorder",
    "SecretHandles",
    "Slot",
    "differences",
    "exported",
    "is_secret_key",
    "schema_of",
    "shape_of",
    "slots_of",
]
