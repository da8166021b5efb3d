"""The five execution modes."""

from druse.dispatch.dispatcher import Dispatcher, Known
from druse.dispatch.modes import FOLLOWER_FROM, MIXED_FROM, Mode, mode_for

__all__ = ["FOLLOWER_FROM", "MIXED_FROM", "Dispatcher", "Known", "Mode", "mode_for"]
