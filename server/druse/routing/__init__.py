"""The registry of tools and the router: the only way to an effect."""

from druse.routing.arguments import MAX_ARGUMENT_BYTES, ArgumentCheck
from druse.routing.journal import CallConsent, CallJournal
from druse.routing.lanes import Lanes, is_read, reads_by_name
from druse.routing.registry import Entry, Registry
from druse.routing.router import Call, Consent, Journal, Router

__all__ = [
    "MAX_ARGUMENT_BYTES",
    "ArgumentCheck",
    "Call",
    "CallConsent",
    "CallJournal",
    "Consent",
    "Entry",
    "Journal",
    "Lanes",
    "Registry",
    "Router",
    "is_read",
    "reads_by_name",
]
