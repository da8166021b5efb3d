"""Approvals, trust levels, quotas and the audit chain."""
