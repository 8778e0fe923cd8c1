"""Benchmarks of multi-label losses."""
