"""Permission rules: grammar, shell words, paths and hosts, layers, the one decision function."""

from druse.permissions.decision import decide, explain_call
from druse.permissions.policy import Layer, Policy
from druse.permissions.rules import Rule, parse_rule
from druse.permissions.shell import read_command

__all__ = ["Layer", "Policy", "Rule", "decide", "explain_call", "parse_rule", "read_command"]
