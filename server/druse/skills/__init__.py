"""Markdown skills: the Agent Skills format, the volumes they live in, and the layers a project sees."""

from druse.skills.access import Actor, Role, VolumeKind, VolumeRef
from druse.skills.document import SkillDocument, parse, render, slug_of
from druse.skills.gitvolume import GitVolume
from druse.skills.library import Skill, SkillLibrary
from druse.skills.memoryvolume import MemoryVolume
from druse.skills.volume import Commit, Conflict, Message, Proposal, StoredSkill, Volume

__all__ = [
    "Actor",
    "Commit",
    "Conflict",
    "GitVolume",
    "MemoryVolume",
    "Message",
    "Proposal",
    "Role",
    "Skill",
    "SkillDocument",
    "SkillLibrary",
    "StoredSkill",
    "Volume",
    "VolumeKind",
    "VolumeRef",
    "parse",
    "render",
    "slug_of",
]
