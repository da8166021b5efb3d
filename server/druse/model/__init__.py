"""The words everyone speaks: runs, steps, tools, decisions, outcomes, errors. Knows nothing else of Druse."""

from druse.model.counterpart import Counterpart, able, asks_forms
from druse.model.decisions import Caller, CallerKind, Decision, Outcome, OutcomeStatus, Verdict
from druse.model.display import visible
from druse.model.errors import (
    DruseError,
    Invalid,
    NeedsApproval,
    NotAllowed,
    NotFound,
    SandboxFailure,
    StoreDamaged,
    UpstreamFailure,
    first_error,
)
from druse.model.json_data import (
    DEEPEST,
    Json,
    JsonObject,
    canonical,
    digest,
    digest_text,
    nested_deeper,
    typed_equal,
)
from druse.model.providers import CallContext, Progress, Provider
from druse.model.runs import Run, RunStatus, Step, run_from_neutral, run_to_neutral
from druse.model.tools import Effect, Source, ToolSpec, ToolVersion, VersionStatus, object_schema

__all__ = [
    "DEEPEST",
    "CallContext",
    "Caller",
    "CallerKind",
    "Counterpart",
    "Decision",
    "DruseError",
    "Effect",
    "Invalid",
    "Json",
    "JsonObject",
    "NeedsApproval",
    "NotAllowed",
    "NotFound",
    "Outcome",
    "OutcomeStatus",
    "Progress",
    "Provider",
    "Run",
    "RunStatus",
    "SandboxFailure",
    "Source",
    "Step",
    "StoreDamaged",
    "ToolSpec",
    "ToolVersion",
    "UpstreamFailure",
    "Verdict",
    "VersionStatus",
    "able",
    "asks_forms",
    "canonical",
    "digest",
    "digest_text",
    "first_error",
    "nested_deeper",
    "object_schema",
    "run_from_neutral",
    "run_to_neutral",
    "typed_equal",
    "visible",
]
