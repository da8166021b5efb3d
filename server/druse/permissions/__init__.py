"""Permission rules: grammar, shell words, paths and hosts, layers, the one decision function."""
