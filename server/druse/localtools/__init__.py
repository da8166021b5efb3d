"""Bash, Read, Edit, Write, Glob, Grep, WebFetch as permission-checked tools."""
