"""What one run in the sandbox may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run. The first three are put on by the operating system, the rest by host and worker."""

    cpu_seconds: int = 10
    memory_bytes: int = 512 * 1024 * 1024
    wall_seconds: float = 60.0  # of the worker's own time, asleep or not; calls of tools do not count
    calls: int = 500
    result_bytes: int = 1024 * 1024

    def for_worker(self) -> dict[str, int]:
        """The part that a worker is told."""
        return {key: int(value) for key, value in asdict(self).items()}
