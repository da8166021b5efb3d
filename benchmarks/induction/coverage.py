"""What the suite must contain: every binding and every trap, and the modules that register the workflows."""

from __future__ import annotations

import importlib

from benchmarks.induction.workflows import WORKFLOWS, Workflow

BINDINGS = (
    "constant parameter path template filter each nested_each each_parameter list_argument nested_object "
    "lookup dictionary optional either_or hole arithmetic date format extraction collected"
).split()
TRAPS = (
    "coincidence same_names list_index min_max template_number optional retry_noise failed_call empty_list "
    "paging polling numeric_ids server_made typed_equal handle user_turn parallel shared_prefix free_text threshold"
).split()


def workflows() -> list[Workflow]:
    """Every workflow of the suite, in the order of the files."""
    for module in ("shop", "bank", "office", "work", "strangers"):
        importlib.import_module(f"benchmarks.induction.{module}")
    return WORKFLOWS


def uncovered() -> list[str]:
    """Bindings and traps that no workflow has."""
    covered = {name for workflow in workflows() for name in workflow.covers}
    return sorted({*BINDINGS, *TRAPS} - covered)
