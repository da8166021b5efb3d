"""Configuration files, workspace and paths."""

from druse.settings.config import Config, Knobs, SelfProgramming, load_config
from druse.settings.environment import child_environment, likeness, named_variables, needed_environment
from druse.settings.modelprovider import ModelProvider
from druse.settings.people import AgentRules, People, agent_of, narrower, widened
from druse.settings.workspace import Workspace

__all__ = [
    "AgentRules",
    "Config",
    "Knobs",
    "ModelProvider",
    "People",
    "SelfProgramming",
    "Workspace",
    "agent_of",
    "child_environment",
    "likeness",
    "load_config",
    "named_variables",
    "narrower",
    "needed_environment",
    "widened",
]
