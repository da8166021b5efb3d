"""Bash, Read, Edit, Write, Glob and Grep as permission-checked tools."""

from druse.localtools.provider import LocalTools

__all__ = ["LocalTools"]
