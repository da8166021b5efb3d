"""Configuration files, workspace and paths."""

from druse.settings.config import Config, Knobs, SelfProgramming, load_config
from druse.settings.environment import child_environment
from druse.settings.workspace import Workspace

__all__ = ["Config", "Knobs", "SelfProgramming", "Workspace", "child_environment", "load_config"]
