"""Benchmarks: run by hand, never as tests; figures and machine in ``RESULTS.md``."""
