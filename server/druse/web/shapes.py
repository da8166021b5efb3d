"""Requests and answers of the HTTP API, under the names of llmos-lite's own.

What the seed names is kept; what is more stands behind it. `user_id` and `team_id` may be left out. They never say who
somebody is: that comes from the token, and other values than the user's own are refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from druse.skills import VISIBLE

_ID = r"^[a-z0-9][a-z0-9-]*$"
SkillId = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
OwnerId = Annotated[str, Field(min_length=1, max_length=64, pattern=_ID)]
VolumeText = Annotated[str, Field(max_length=80, pattern=r"^(user|team|system):[a-z0-9][a-z0-9-]{0,63}$")]
Keyword = Annotated[str, Field(min_length=1, max_length=60, pattern=VISIBLE)]
Category = Literal["coding", "analysis", "writing", "data"]


def _whole(given: Any) -> Any:
    """JSON knows one kind of number: 5.0 is an integer there."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Whole = Annotated[int, BeforeValidator(_whole)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: OwnerId | None = None
    team_id: OwnerId | None = None


class _Body(_Shape):
    user_id: OwnerId | None = Field(default=None, description="Whose volume; the token's own user, if it is given.")
    team_id: OwnerId | None = Field(default=None, description="Its team, if it is given.")


class Problem(BaseModel):
    """Why it was not done, and what to do now."""

    detail: str
    kind: str
    context: str | None = Field(default=None, description="What the model was to be told, where none is in force.")
    skills_used: list[str] | None = None
    trace_id: str | None = None


class ChatRequest(_Body):
    """A message for the model."""

    message: str = Field(min_length=1, max_length=400_000)
    include_skills: bool = True
    max_skills: Whole = Field(5, ge=0, le=50)
    tokens: Whole = Field(2000, ge=50, le=100_000, description="At most so many tokens of context.")


class ChatResponse(_Shape):
    """The answer, the skills whose text was in the context, and the run it was recorded as."""

    response: str
    skills_used: list[str]
    trace_id: str
    model: str
    tokens_in: int | None
    tokens_out: int | None
    cut: bool = Field(description="The answer ended because max_tokens was reached.")


class Pending(_Shape):
    """A person must say yes first; nothing is in service before."""

    status: Literal["pending"]
    approval_id: str
    detail: str
    skill_id: str | None = None
    volume: str | None = None
    trace_id: str | None = None


class ToolRegister(_Body):
    """A tool: its source with the recorded runs it must reproduce, or the text of a file of "druse tools export"."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["name", "code"],
                    "properties": {"name": {"type": "string"}, "code": {"type": "string"}, "bundle": {"type": "null"}},
                },
                {
                    "required": ["bundle"],
                    "properties": {
                        **{"bundle": {"type": "string"}, "name": {"type": "null"}, "code": {"type": "null"}},
                        "run_ids": {"type": "array", "maxItems": 0},
                    },
                },
            ]
        }
    )

    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]{0,39}$")
    code: str | None = Field(None, min_length=1, max_length=200_000, description="def run(call, *, name: type) -> type")
    description: str = Field("", max_length=2000)
    run_ids: list[str] = Field(default_factory=list, max_length=1000)
    bundle: str | None = Field(None, min_length=1, max_length=1_000_000)


class SkillQuery(_Query):
    """Which skills."""

    category: Category | None = None


class SkillBrief(_Shape):
    """One skill in a list. `volume` is project, user, team, system or druse."""

    skill_id: str
    name: str
    category: str
    description: str
    volume: str
    keywords: list[str]


class SkillList(_Shape):
    """The skills in service, the nearest where several layers have one name."""

    total: int
    skills: list[SkillBrief]


class SkillDetail(SkillBrief):
    """One skill with its text."""

    content: str


class SkillCreate(_Body):
    """A new skill, or another text for one of this id."""

    skill_id: SkillId
    name: str = Field("", max_length=200, pattern=VISIBLE, description="A title; it is called by its id.")
    category: Category = "coding"
    description: str = Field(min_length=1, max_length=1024, pattern=VISIBLE)
    content: str = Field(
        min_length=1, max_length=200_000, pattern=VISIBLE, description="Markdown: the body, or a whole SKILL.md."
    )
    keywords: list[Keyword] = Field(default=[], max_length=40)
    volume: VolumeText | None = Field(default=None, description="Administrators: into this volume, at once.")


class SkillCreated(_Shape):
    """What came of it."""

    status: Literal["created", "edited", "unchanged"]
    skill_id: str
    volume: str
    commit: str = ""


class SkillPromote(_Body):
    """A skill of the user's for its team."""

    skill_id: SkillId
    reason: str = Field("Useful for team", min_length=1, max_length=500)


class SkillPromoted(_Shape):
    """Nothing was to be done: the team has this text."""

    status: Literal["unchanged"]
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    skill_id: str


class EvolveRequest(_Body):
    """Look through the runs now."""

    auto_apply: bool = Field(True, description="Kept of the seed; a person approves every draft whatever it says.")


class EvolveResponse(_Shape):
    """What was found. Every draft waits for a person."""

    status: str
    traces_analyzed: int
    patterns_detected: int
    skills_created: int
    created: list[str] = []
    skipped: list[str] = []
    approvals: list[str] = []


class TraceQuery(_Query):
    """Which runs; `goal` and `tool` are parts of the goal and of a tool's name, times are seconds since the epoch."""

    limit: int = Field(20, ge=1, le=500)
    offset: int = Field(0, ge=0, le=1_000_000_000)
    goal: str = Field("", max_length=1000)
    tool: str = Field("", max_length=100)
    status: Literal["", "open", "success", "failure", "unfinished"] = ""
    since: float = Field(0.0, ge=0, le=1e12, allow_inf_nan=False)
    until: float = Field(1e12, ge=0, le=1e12, allow_inf_nan=False)


class TraceBrief(_Shape):
    """One run in a list."""

    trace_id: str
    title: str
    timestamp: str
    status: str
    mode: str


class TraceList(_Shape):
    """Runs, newest first; `total` counts those of this page."""

    total: int
    traces: list[TraceBrief]
    next_offset: int | None


class TraceDetail(_Shape):
    """One run: as Markdown under `content`, as data under `trace`."""

    trace_id: str
    content: str
    trace: dict[str, Any]


class OwnerQuery(_Query):
    """Whose volumes."""


class VolumeStats(_Shape):
    """Counts of what is on disk; null where a volume does not exist."""

    user: dict[str, Any] | None
    team: dict[str, Any] | None
    system: dict[str, Any] | None


class HistoryQuery(_Query):
    """Which volume: the user's, or the named one."""

    limit: int = Field(10, ge=1, le=1000)
    volume: Literal["user", "team", "system"] = "user"


class VolumeCommit(_Shape):
    """One change. `at` in seconds since the epoch."""

    id: str
    subject: str
    body: str
    author: str
    email: str
    at: float
    trailers: dict[str, str]
    signed: bool


class VolumeHistory(_Shape):
    """The changes of a volume, newest first."""

    volume: str
    owner: str
    commits: list[VolumeCommit]
