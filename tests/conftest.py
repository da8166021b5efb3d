"""Shared by all tests."""

from hypothesis import settings

# The suite asks the same question of every commit, so its answer is the commit's. scripts/fuzz asks new ones.
settings.register_profile("suite", derandomize=True, print_blob=True)
settings.register_profile("search", derandomize=False, print_blob=True)
settings.load_profile("suite")
