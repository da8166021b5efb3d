"""Benchmarks: one command each, JSON out, a peer or a floor in the same run."""
