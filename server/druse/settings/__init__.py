"""Configuration files, workspace and paths."""

from druse.settings.config import Config, Knobs, SelfProgramming, load_config
from druse.settings.environment import child_environment, likeness, named_variables, needed_environment
from druse.settings.modelprovider import ModelProvider
from druse.settings.workspace import Workspace

__all__ = [
    "Config",
    "Knobs",
    "ModelProvider",
    "SelfProgramming",
    "Workspace",
    "child_environment",
    "likeness",
    "load_config",
    "named_variables",
    "needed_environment",
]
