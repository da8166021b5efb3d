"""Finding tools, skills and past runs; goals in words against learned tools."""

from druse.retrieval.finder import Finder, GoalEntry, SkillEntry, compact_schema, signature_of
from druse.retrieval.goals import Match, Taught, match_goal

__all__ = [
    "Finder",
    "GoalEntry",
    "Match",
    "SkillEntry",
    "Taught",
    "compact_schema",
    "match_goal",
    "signature_of",
]
