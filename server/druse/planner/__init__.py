"""Plans as data: made of what was recorded, validated, carried out through the router."""

from druse.planner.decomposition import LIKELY, Capability, Intent, decompose, parts_of, ranked, words_of
from druse.planner.execution import Conductor, Stopped
from druse.planner.generation import plan_of, plan_of_intents
from druse.planner.holds import Holds
from druse.planner.plans import PLAN_SCHEMA, calls_in, depth_of, inverses_in, plan_hash, references, steps_of
from druse.planner.undoing import (
    UNKNOWN,
    command_inverse,
    digest_of_file,
    file_inverse,
    taken_back,
    undo_listed,
)
from druse.planner.validation import Issue, issues_of

__all__ = [
    "LIKELY",
    "PLAN_SCHEMA",
    "UNKNOWN",
    "Capability",
    "Conductor",
    "Holds",
    "Intent",
    "Issue",
    "Stopped",
    "calls_in",
    "command_inverse",
    "decompose",
    "depth_of",
    "digest_of_file",
    "file_inverse",
    "inverses_in",
    "issues_of",
    "parts_of",
    "plan_hash",
    "plan_of",
    "plan_of_intents",
    "ranked",
    "references",
    "steps_of",
    "taken_back",
    "undo_listed",
    "words_of",
]
