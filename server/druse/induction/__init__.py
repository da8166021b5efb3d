"""From runs of one workflow to a Procedure, and from a Procedure to Python source. Pure: no I/O, no clock."""

from druse.induction.answers import exit_code
from druse.induction.deviations import Disagreement, Learned, inputs_met, learn, without_deviations
from druse.induction.elements import is_read
from druse.induction.induce import MIN_IDENTICAL, Induction, ParameterInfo, bind, goal_patterns, induce, macro_of
from druse.induction.keys import contains, workflow_key
from druse.induction.mining import Part, mine, ranked
from druse.induction.procedure import Procedure, calls_of
from druse.induction.replay import Deviation, Replay, Unrecorded

__all__ = [
    "MIN_IDENTICAL",
    "Deviation",
    "Disagreement",
    "Induction",
    "Learned",
    "ParameterInfo",
    "Part",
    "Procedure",
    "Replay",
    "Unrecorded",
    "bind",
    "calls_of",
    "contains",
    "exit_code",
    "goal_patterns",
    "induce",
    "inputs_met",
    "is_read",
    "learn",
    "macro_of",
    "mine",
    "ranked",
    "without_deviations",
    "workflow_key",
]
