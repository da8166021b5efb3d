"""Shared by all tests."""

from hypothesis import HealthCheck, settings

# The suite asks the same question of every commit, so its answer is the commit's. scripts/fuzz asks new ones.
# No test is judged by how fast the machine is: neither an example nor the making of one has a limit of its own.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("suite", _UNHURRIED, derandomize=True)
settings.register_profile("search", _UNHURRIED, derandomize=False)
settings.load_profile("suite")
