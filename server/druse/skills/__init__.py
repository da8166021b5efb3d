"""Markdown skills: the Agent Skills format, the volumes they live in, and the layers a project sees."""

from druse.skills.access import Actor, Role, VolumeKind, VolumeRef
from druse.skills.desk import SkillDesk, Written, proposer
from druse.skills.document import VISIBLE, SkillDocument, fields_of, parse, render, slug_of
from druse.skills.evolution import Evolved, Pattern, patterns, run_user_evolution
from druse.skills.exchange import TARGETS, adapt, check_path_of, export, incoming
from druse.skills.finding import ByMeaning, Labelled, SkillFinder, SkillIndex, by_words, labelled_queries
from druse.skills.gitrunner import Git
from druse.skills.gitvolume import GitVolume
from druse.skills.library import Skill, SkillLibrary, as_of, digest_of
from druse.skills.memoryvolume import MemoryVolume
from druse.skills.offered import Offered, fetch, list_offered
from druse.skills.remote import Remote
from druse.skills.team import run_team_evolution
from druse.skills.templates import new_skill
from druse.skills.usage import high_use, memory_view
from druse.skills.volume import Commit, Conflict, Message, Proposal, StoredSkill, Volume, check_skill_id
from druse.skills.volumes import Identity, Volumes
from druse.skills.watching import watch_skills

__all__ = [
    "TARGETS",
    "VISIBLE",
    "Actor",
    "ByMeaning",
    "Commit",
    "Conflict",
    "Evolved",
    "Git",
    "GitVolume",
    "Identity",
    "Labelled",
    "MemoryVolume",
    "Message",
    "Offered",
    "Pattern",
    "Proposal",
    "Remote",
    "Role",
    "Skill",
    "SkillDesk",
    "SkillDocument",
    "SkillFinder",
    "SkillIndex",
    "SkillLibrary",
    "StoredSkill",
    "Volume",
    "VolumeKind",
    "VolumeRef",
    "Volumes",
    "Written",
    "adapt",
    "as_of",
    "by_words",
    "check_path_of",
    "check_skill_id",
    "digest_of",
    "export",
    "fetch",
    "fields_of",
    "high_use",
    "incoming",
    "labelled_queries",
    "list_offered",
    "memory_view",
    "new_skill",
    "parse",
    "patterns",
    "proposer",
    "render",
    "run_team_evolution",
    "run_user_evolution",
    "slug_of",
    "watch_skills",
]
