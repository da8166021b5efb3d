"""Configuration files, workspace and paths."""

from typing import TYPE_CHECKING

from druse.later import parts_of
from druse.settings.environment import child_environment, likeness, named_variables, needed_environment
from druse.settings.workspace import Workspace

if TYPE_CHECKING:
    from druse.settings.config import Config, Knobs, SelfProgramming, load_config
    from druse.settings.modelprovider import ModelProvider
    from druse.settings.oauth import OAuth
    from druse.settings.people import AgentRules, People, agent_of, narrower, widened
else:
    __getattr__ = parts_of(
        __name__,
        config=(
            "Config",
            "Knobs",
            "SelfProgramming",
            "load_config",
        ),
        modelprovider=("ModelProvider",),
        oauth=("OAuth",),
        people=(
            "AgentRules",
            "People",
            "agent_of",
            "narrower",
            "widened",
        ),
    )

__all__ = [
    "AgentRules",
    "Config",
    "Knobs",
    "ModelProvider",
    "OAuth",
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
