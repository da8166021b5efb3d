"""Workflows with known answers on small servers with real state; see docs/benchmarks.md."""
