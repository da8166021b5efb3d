"""Project memory: what sessions taught, promoted by the historian, quoted to its source."""

from druse.memory.compaction import Compacted, compact
from druse.memory.dreamer import Dream, dreams
from druse.memory.historian import Historian, Promoted
from druse.memory.identity import git_folders, normal_remote, project_hash
from druse.memory.markers import MAX_CHARACTERS, MAX_MARKERS, marker, markers
from druse.memory.notebook import Notebook
from druse.memory.signals import Signal, signals_of, supersedes
from druse.memory.view import rendered

__all__ = [
    "MAX_CHARACTERS",
    "MAX_MARKERS",
    "Compacted",
    "Dream",
    "Historian",
    "Notebook",
    "Promoted",
    "Signal",
    "compact",
    "dreams",
    "git_folders",
    "marker",
    "markers",
    "normal_remote",
    "project_hash",
    "rendered",
    "signals_of",
    "supersedes",
]
