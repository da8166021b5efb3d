"""Druse: an agent's repeated work, turned into verified and sandboxed tools."""

__version__ = "0.1.0"
