"""Candidates, verification by replay, versions on disk, hot reload."""
