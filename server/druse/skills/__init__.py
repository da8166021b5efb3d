"""Markdown skills in volumes."""
