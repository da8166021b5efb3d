"""Candidates, verification by replay, versions on disk, hot reload."""

from druse.crystal.candidates import MIN_SUCCESS, MIN_USAGE, Candidate, candidates, signature_of, wilson_lower
from druse.crystal.crystallize import Crystallizer, Report
from druse.crystal.drift import outgrown
from druse.crystal.exchange import exported, imported
from druse.crystal.makers import schema_of
from druse.crystal.manifest import is_whole, permissions_of
from druse.crystal.parts import parts
from druse.crystal.preview import previewed
from druse.crystal.provider import CrystalProvider
from druse.crystal.reload import reload_once, watch
from druse.crystal.shelf import Shelf
from druse.crystal.upkeep import due, is_better, median_cost, propose_retirements, savings
from druse.crystal.versions import VersionFiles

__all__ = [
    "MIN_SUCCESS",
    "MIN_USAGE",
    "Candidate",
    "CrystalProvider",
    "Crystallizer",
    "Report",
    "Shelf",
    "VersionFiles",
    "candidates",
    "due",
    "exported",
    "imported",
    "is_better",
    "is_whole",
    "median_cost",
    "outgrown",
    "parts",
    "permissions_of",
    "previewed",
    "propose_retirements",
    "reload_once",
    "savings",
    "schema_of",
    "signature_of",
    "watch",
    "wilson_lower",
]
