"""Finding tools, skills and past runs; goals in words against learned tools."""

import os

# A question is a few small products: threads of the linear algebra would wait for each other, and for every other
# process of a busy machine. It is read when numpy is first imported, which this package does lazily.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

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
