"""Benchmark of class activation maps."""
