"""Benchmarks of the condensation of graphs."""
