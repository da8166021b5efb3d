"""Permission rules: grammar, shell words, paths and hosts, layers, the one decision function."""

from druse.permissions.addresses import own_host, refusal
from druse.permissions.decision import decide, explain_call
from druse.permissions.hosts import host_of
from druse.permissions.policy import Layer, Policy
from druse.permissions.rules import Rule, parse_rule
from druse.permissions.shell import read_command

__all__ = [
    "Layer",
    "Policy",
    "Rule",
    "decide",
    "explain_call",
    "host_of",
    "own_host",
    "parse_rule",
    "read_command",
    "refusal",
]
