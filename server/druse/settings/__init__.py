"""Configuration files, workspace and paths."""
