"""Markdown skills."""

from druse.skills.library import Skill, SkillLibrary

__all__ = ["Skill", "SkillLibrary"]
