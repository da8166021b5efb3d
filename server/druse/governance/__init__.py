"""Approvals and the audit chain."""

from druse.governance.approvals import Approvals
from druse.governance.audit import AuditChain
from druse.governance.clock import SteadyClock
from druse.governance.entries import root_as_dict, seq_of
from druse.governance.exports import export_lines, verify_export
from druse.governance.history import causes, why_tool
from druse.governance.integrity import ChainCheck, Verified
from druse.governance.proofs import check_proof, prove_entry, prove_growth
from druse.governance.signing import SigningKey
from druse.store.approvals import Approval

__all__ = [
    "Approval",
    "Approvals",
    "AuditChain",
    "ChainCheck",
    "SigningKey",
    "SteadyClock",
    "Verified",
    "causes",
    "check_proof",
    "export_lines",
    "prove_entry",
    "prove_growth",
    "root_as_dict",
    "seq_of",
    "verify_export",
    "why_tool",
]
