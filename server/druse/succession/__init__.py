"""Successors: a change of Druse tried in a child process on a copy of the workspace, before a person decides."""

from druse.succession.fork import fork_successor
from druse.succession.succession import Succession
from druse.succession.verdict import Budget, Patch, Test, Verdict

__all__ = ["Budget", "Patch", "Succession", "Test", "Verdict", "fork_successor"]
