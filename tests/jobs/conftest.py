"""The project of the skills' tests."""

from ..skills.conftest import Home, home  # type: ignore[import-not-found]

__all__ = ["Home", "home"]
