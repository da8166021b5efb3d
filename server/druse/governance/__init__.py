"""Approvals, trust levels, rules in force, quotas, and the audit chain."""

from druse.governance.adoption import Adoption
from druse.governance.approvals import Approvals
from druse.governance.audit import AuditChain
from druse.governance.clock import SteadyClock
from druse.governance.declarations import Declarations
from druse.governance.elicitation import SCHEMA as ELICITATION_SCHEMA
from druse.governance.elicitation import may_elicit, question
from druse.governance.entries import root_as_dict, seq_of
from druse.governance.exports import export_lines, verify_export
from druse.governance.history import causes, why_tool
from druse.governance.integrity import ChainCheck, Verified
from druse.governance.pins import InService, Pins
from druse.governance.policy import Content, losses
from druse.governance.proofs import check_proof, prove_entry, prove_growth
from druse.governance.quotas import Quotas
from druse.governance.reviewing import statement as review_statement
from druse.governance.rules import ASKS_MODEL, HTTP_API, Rules, rules_of
from druse.governance.signing import SigningKey, instance_of, signed_by
from druse.governance.trust import SECURITY, Action, allowed
from druse.store.approvals import Approval

__all__ = [
    "ASKS_MODEL",
    "ELICITATION_SCHEMA",
    "HTTP_API",
    "SECURITY",
    "Action",
    "Adoption",
    "Approval",
    "Approvals",
    "AuditChain",
    "ChainCheck",
    "Content",
    "Declarations",
    "InService",
    "Pins",
    "Quotas",
    "Rules",
    "SigningKey",
    "SteadyClock",
    "Verified",
    "allowed",
    "causes",
    "check_proof",
    "export_lines",
    "instance_of",
    "losses",
    "may_elicit",
    "prove_entry",
    "prove_growth",
    "question",
    "review_statement",
    "root_as_dict",
    "rules_of",
    "seq_of",
    "signed_by",
    "verify_export",
    "why_tool",
]
