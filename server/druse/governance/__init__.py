"""Approvals and the audit chain."""

from druse.governance.approvals import Approvals
from druse.governance.audit import AuditChain
from druse.store.approvals import Approval

__all__ = ["Approval", "Approvals", "AuditChain"]
